"""Code that is added to a plugin for the binding ``native``.

What is added stands in :mod:`sen_host_wasmer.native_exchange`.
"""

from __future__ import annotations

from collections.abc import Iterator

from sen_host.backend import ALLOC, DEALLOC, FUEL, FUNCTIONS, STACK, FuncType
from sen_host.wasm.assembler import (
    call,
    function,
    get,
    global_get,
    global_set,
    i32,
    i64,
    i64_add,
    i64_extend_i32_u,
    i64_lt_s,
    i64_shl,
    if_,
    memory_pages,
    return_,
    select,
    set_,
)
from sen_host.wasm.extend import Indices, NewFunction, extend
from sen_host.wasm.reader import Export, parse
from sen_host_wasmer.native_exchange import BEGIN, BUDGETS, CALLS, END


def attach(wasm: bytes) -> bytes:
    """Add the functions to a module that is valid.

    A module that does not export what a plugin exports comes back as it is.
    """
    module = parse(wasm)
    callees = {
        export.name: export.index
        for export in module.exports
        if module.type_of(export) == FUNCTIONS.get(export.name)
    }
    counters = {export.name: export.index for export in module.exports if export.kind == "global"}
    if not (callees.keys() >= {ALLOC, DEALLOC} and counters.keys() >= {FUEL, STACK}):
        return wasm
    called = {name: CALLS[name] for name in CALLS if name in callees}

    def functions(indices: Indices) -> list[NewFunction]:
        builder = _Builder(indices, callees, counters[FUEL], counters[STACK])
        return [builder.begin(), builder.end(), *map(builder.call, called)]

    def exports(indices: Indices) -> Iterator[Export]:
        yield from module.exports
        for position, name in enumerate((BEGIN, END, *called.values())):
            yield Export(name, "function", indices.functions + position)
        for position, name in enumerate(BUDGETS):
            yield Export(name, "global", indices.globals + position)

    return extend(
        module, globals=len(BUDGETS), functions=functions, exports=lambda i: list(exports(i))
    )


class _Builder:
    """Builds the functions. Locals are named at the head of each."""

    def __init__(self, indices: Indices, callees: dict[str, int], fuel: int, stack: int) -> None:
        self._callees = callees
        self._budgets = ((fuel, indices.globals), (stack, indices.globals + 1))
        self._fuel = global_get(fuel)

    def _enter(self, name: str, *arguments: bytes) -> bytes:
        """Call one of the guest's functions, with its budgets."""
        set_budgets = b"".join(
            global_set(counter, global_get(budget)) for counter, budget in self._budgets
        )
        return set_budgets + call(self._callees[name], *arguments)

    def _overdrawn(self) -> bytes:
        return i64_lt_s(self._fuel, i64(0))

    def begin(self) -> NewFunction:
        """(length) -> a pointer and the pages of the memory, or -1 if fuel is overdrawn."""
        length, pointer = range(2)
        pages = i64_shl(i64_extend_i32_u(memory_pages()), i64(32))
        body = function(
            ("i64",),
            set_(pointer, i64_extend_i32_u(self._enter(ALLOC, get(length)))),
            select(self._overdrawn(), i64(-1), i64_add(get(pointer), pages)),
        )
        return NewFunction(FuncType(("i32",), ("i64",)), body)

    def call(self, name: str) -> NewFunction:
        """As the function of that name, with more results."""
        params = FUNCTIONS[name].params
        code = self._enter(name, *map(get, range(len(params))))
        memory_bytes = i64_shl(i64_extend_i32_u(memory_pages()), i64(16))
        body = function((), code, self._fuel, memory_bytes)
        return NewFunction(FuncType(params, ("i64", "i64", "i64")), body)

    def end(self) -> NewFunction:
        """(pointer, length, pointer, length) -> whether fuel is overdrawn."""
        frees = (
            if_(
                get(length),
                self._enter(DEALLOC, get(pointer), get(length))
                + if_(self._overdrawn(), return_(i32(1))),
            )
            for pointer, length in ((0, 1), (2, 3))
        )
        return NewFunction(FuncType(("i32",) * 4, ("i32",)), function((), *frees, i32(0)))
