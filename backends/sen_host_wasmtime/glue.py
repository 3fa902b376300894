"""Code that is added to a plugin so that a whole exchange takes one call.

What is added stands in :mod:`sen_host_wasmtime.exchange`. Plugins cannot reach the
second memory: their own code has been validated with one.
"""

from __future__ import annotations

from sen_host.backend import (
    ALLOC,
    DEALLOC,
    EXECUTE,
    FUEL,
    FUNCTIONS,
    MANIFEST,
    RESUME,
    STACK,
    FuncType,
)
from sen_host.limits import PAGE_BYTES
from sen_host.wasm.assembler import (
    UNREACHABLE,
    Memory,
    call,
    copy_between,
    function,
    get,
    global_get,
    global_set,
    i32,
    i32_and,
    i32_eqz,
    i32_le_u,
    i32_wrap_i64,
    i64,
    i64_add,
    i64_extend_i32_u,
    i64_le_u,
    i64_lt_s,
    i64_shl,
    i64_shr_u,
    if_,
    return_,
    set_,
    switch,
)
from sen_host.wasm.extend import ImportedFunction, Indices, NewFunction, extend
from sen_host.wasm.reader import Export, Limits, parse
from sen_host.wasm.stubs import stubs
from sen_host_wasmtime import upcalls
from sen_host_wasmtime.backend import BUFFER_BYTES
from sen_host_wasmtime.exchange import (
    BUFFER,
    CAPACITY,
    DATA_AT,
    EXCHANGE,
    FINISH,
    Stage,
)

_MEMORY = "memory", "memory"

# Offsets in the second memory.
_NUMBER, _LENGTH, _HAS_PAYLOAD, _ARGUMENT, _FUEL, _STACK, _LONGEST = 0, 4, 8, 12, 16, 24, 32
_STAGE, _PAGES, _RESULT, _LEFT, _POINTER, _INSIDE = 40, 44, 48, 56, 64, 68


def attach(wasm: bytes) -> bytes:
    """Add the functions and the memory to a module that is valid, and take its imports away.

    What does not export what a plugin exports gets no functions, and what imports
    nothing keeps its code as it is.
    """
    module = parse(wasm)
    imported = [item.type for item in module.imports]
    shift = 1 if imported else 0
    functions = {
        export.name: export.index + shift
        for export in module.exports
        if module.type_of(export) == FUNCTIONS.get(export.name)
    }
    globals = {export.name: export.index for export in module.exports if export.kind == "global"}
    memory = next((e.index for e in module.exports if (e.name, e.kind) == _MEMORY), None)
    needed = functions.keys() >= FUNCTIONS.keys() - {RESUME} and globals.keys() >= {FUEL, STACK}
    exchanging = memory is not None and needed
    if not (exchanging or imported):
        return wasm
    pages = BUFFER_BYTES // PAGE_BYTES
    memories = [Limits(pages, pages)] if exchanging else []
    if imported:
        memories.append(Limits(upcalls.PAGES, upcalls.PAGES))

    def added(indices: Indices) -> list[NewFunction]:
        if not exchanging:
            return []
        assert memory is not None
        own = Memory(indices.memories)
        return _Builder(indices.functions, Memory(memory), own, functions, globals).functions()

    def exports(indices: Indices) -> list[Export]:
        found = [
            Export(e.name, e.kind, e.index + shift) if e.kind == "function" else e
            for e in module.exports
        ]
        if exchanging:
            found += [
                Export(EXCHANGE, "function", indices.functions + _Builder.EXCHANGE),
                Export(FINISH, "function", indices.functions + _Builder.FINISH),
                Export(BUFFER, "memory", indices.memories),
            ]
        if imported:
            last = indices.memories + len(memories) - 1
            found.append(Export(upcalls.UPCALLS, "memory", last))
        return found

    def instead(indices: Indices) -> list[bytes]:
        own = Memory(indices.memories + len(memories) - 1)

        def up(number: int) -> bytes:
            return own.store_i32(0, i32(number)) + call(0) + own.load_i64(upcalls.RESULT_AT)

        types = [type for type in imported if isinstance(type, FuncType)]
        return stubs(types, own, upcalls.ARGUMENTS_AT, up)

    return extend(
        module,
        imports=[ImportedFunction(*upcalls.UPCALL, FuncType((), ()))] if imported else (),
        memories=memories,
        functions=added,
        exports=exports,
        stubs=instead if imported else None,
    )


class _Builder:
    """Builds the functions. Locals are named at the head of each."""

    FITS, ENTER, OVERDRAWN, FINISH, EXCHANGE = range(5)

    def __init__(
        self,
        first: int,
        guest: Memory,
        own: Memory,
        functions: dict[str, int],
        globals: dict[str, int],
    ) -> None:
        self._first = first
        self._guest = guest
        self._own = own
        self._functions = functions
        self._fuel, self._stack = globals[FUEL], globals[STACK]

    def functions(self) -> list[NewFunction]:
        """The functions, in the order of their numbers above."""
        return [
            NewFunction(FuncType(("i32", "i32"), ("i32",)), self._fits()),
            NewFunction(FuncType((), ()), self._enter()),
            NewFunction(FuncType((), ("i32",)), self._overdrawn()),
            NewFunction(FuncType((), ()), self._finish()),
            NewFunction(FuncType((), ()), self._exchange()),
        ]

    def _call(self, number: int, *arguments: bytes) -> bytes:
        return call(self._first + number, *arguments)

    def _u32(self, address: int) -> bytes:
        return self._own.load_i32(address)

    def _set_stage(self, stage: Stage) -> bytes:
        return self._own.store_i32(_STAGE, i32(stage))

    def _fits(self) -> bytes:
        """(pointer, length) -> whether a message may lie there."""
        pointer, length = range(2)
        end = i64_add(i64_extend_i32_u(get(pointer)), i64_extend_i32_u(get(length)))
        size = i64_shl(i64_extend_i32_u(self._guest.pages()), i64(16))
        return function(
            (),
            if_(i32_and(i32_eqz(get(pointer)), i32_le_u(i32(1), get(length))), return_(i32(0))),
            i64_le_u(end, size),
        )

    def _enter(self) -> bytes:
        """Set the fuel and the stack for the next call."""
        return function(
            (),
            global_set(self._fuel, self._own.load_i64(_FUEL)),
            global_set(self._stack, self._own.load_i64(_STACK)),
        )

    def _overdrawn(self) -> bytes:
        """-> whether the call that returned has used more fuel than it had."""
        return function((), i64_lt_s(global_get(self._fuel), i64(0)))

    def _guest_call(self, name: str, *arguments: bytes) -> bytes:
        """Enter the guest; code behind it runs if its fuel sufficed."""
        return self._call(self.ENTER) + call(self._functions[name], *arguments)

    def _or_stop(self) -> bytes:
        return if_(self._call(self.OVERDRAWN), return_())

    def _finish(self) -> bytes:
        """Free payload and result."""
        pointer, length = range(2)

        def free() -> bytes:
            return self._guest_call(DEALLOC, get(pointer), get(length)) + self._or_stop()

        result = self._own.load_i64(_RESULT)
        return function(
            ("i32", "i32"),
            if_(
                self._u32(_HAS_PAYLOAD),
                self._set_stage(Stage.FREE_PAYLOAD)
                + set_(pointer, self._u32(_POINTER))
                + set_(length, self._u32(_LENGTH))
                + free(),
            ),
            set_(pointer, i32_wrap_i64(i64_shr_u(result, i64(32)))),
            set_(length, i32_wrap_i64(result)),
            if_(
                i32_and(i32_le_u(i32(1), get(length)), self._u32(_INSIDE)),
                self._set_stage(Stage.FREE_RESULT) + free(),
            ),
            self._set_stage(Stage.DONE),
        )

    def _exchange(self) -> bytes:
        pointer, length, result, inside = range(4)
        payload = get(pointer), self._u32(_LENGTH)
        calls = [
            call(self._functions[MANIFEST]),
            call(self._functions[EXECUTE], *payload),
        ]
        if RESUME in self._functions:
            calls.append(call(self._functions[RESUME], self._u32(_ARGUMENT), *payload))
        called = switch(self._u32(_NUMBER), [set_(result, code) for code in calls], UNREACHABLE)
        data = i32(DATA_AT)
        return function(
            ("i32", "i32", "i64", "i32"),
            self._set_stage(Stage.ALLOCATE),
            if_(
                self._u32(_HAS_PAYLOAD),
                set_(pointer, self._guest_call(ALLOC, self._u32(_LENGTH)))
                + self._or_stop()
                + self._own.store_i32(_POINTER, get(pointer))
                + if_(
                    i32_eqz(self._call(self.FITS, *payload)),
                    self._note_counters() + self._set_stage(Stage.UNFIT) + return_(),
                )
                + copy_between(self._guest, get(pointer), self._own, data, self._u32(_LENGTH)),
            ),
            self._set_stage(Stage.CALL),
            self._call(self.ENTER),
            called,
            self._or_stop(),
            self._own.store_i64(_RESULT, get(result)),
            self._note_counters(),
            set_(pointer, i32_wrap_i64(i64_shr_u(get(result), i64(32)))),
            set_(length, i32_wrap_i64(get(result))),
            set_(inside, self._call(self.FITS, get(pointer), get(length))),
            self._own.store_i32(_INSIDE, get(inside)),
            if_(
                i32_and(get(inside), i32_le_u(get(length), self._u32(_LONGEST))),
                if_(
                    i32_le_u(get(length), i32(CAPACITY)),
                    copy_between(self._own, data, self._guest, get(pointer), get(length)),
                    self._set_stage(Stage.LARGE) + return_(),
                ),
            ),
            self._call(self.FINISH),
        )

    def _note_counters(self) -> bytes:
        """Write down the fuel that is left and the size of the guest's memory."""
        return self._own.store_i64(_LEFT, global_get(self._fuel)) + self._own.store_i32(
            _PAGES, self._guest.pages()
        )
