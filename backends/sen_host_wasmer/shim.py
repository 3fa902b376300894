"""Turn a plugin into a WASI command that serves requests.

``wasmer-sdk`` cannot call exports; it runs commands. So the plugin gets a
``_start`` that reads requests from stdin and answers on stdout, see
:mod:`sen_host_wasmer.protocol`.

The shim keeps its buffers in a second memory of its own. Wasmer's WASI works
on the first memory that a module exports, and the plugin's memory is not
exported any more, so no request touches a byte of it but those that were asked
for. The plugin's functions stay exported under numbers: an exported function
may be named by ``ref.func``, and none is mistaken for a WASI entry point. What the
plugin imports comes to be functions that call the host: Wasmer's own WASI is for the
shim alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sen_host.backend import EXHAUSTED, FuncType
from sen_host.errors import ModuleCompilation
from sen_host.wasm.assembler import Memory, call, function, i32
from sen_host.wasm.extend import Indices, NewFunction, extend
from sen_host.wasm.reader import Export, Limits, ParsedModule
from sen_host.wasm.stubs import ARGUMENT_BYTES, stubs
from sen_host_wasmer.shim_functions import NAMES
from sen_host_wasmer.shim_functions import functions as shim_functions
from sen_host_wasmer.shim_io import DATA, IMPORTS, PAGES

_MAX_PARAMS = 3
_INTEGERS = frozenset({"i32", "i64"})


@dataclass(frozen=True)
class Shim:
    """A plugin as a command.

    Attributes:
        wasm: the command's binary.
        functions: number by which the shim calls each exported function; only
            those that take and return integers.
        indices: index of each of these functions in the command.
        caller: index of the function that calls them.
    """

    wasm: bytes
    functions: Mapping[str, int]
    indices: Mapping[str, int]
    caller: int


def attach(module: ParsedModule) -> Shim:
    """Attach the shim to a plugin.

    Raises:
        ModuleCompilation: the code is malformed, or the plugin has no memory
            of the name ``memory``.
    """
    memory = next((e.index for e in module.exports if (e.name, e.kind) == ("memory", "memory")), -1)
    if memory < 0:
        raise ModuleCompilation("the module exports no memory of the name 'memory'")
    imported = [item.type for item in module.imports if isinstance(item.type, FuncType)]
    counters = {e.name: e.index for e in module.exports if e.kind == "global"}
    exported = [e for e in module.exports if e.kind == "function"]
    callees: list[tuple[int, FuncType]] = []
    numbers: dict[str, int] = {}
    for export in exported:
        type = module.type_of(export)
        assert isinstance(type, FuncType)
        if _is_callable(type):
            numbers[export.name] = len(callees)
            callees.append((export.index, type))

    caller = 0
    shift = 0

    def functions(indices: Indices) -> list[NewFunction]:
        nonlocal caller, shift
        caller, shift = indices.functions + NAMES.index("call"), indices.shift
        shifted = [(index + indices.shift, type) for index, type in callees]
        guest, own = Memory(memory), Memory(indices.memories)
        return shim_functions(indices.functions, guest, own, counters, shifted)

    def exports(indices: Indices) -> list[Export]:
        main = indices.functions + NAMES.index("serve")
        renamed = [
            Export(str(number), "function", export.index + indices.shift)
            for number, export in enumerate(exported)
        ]
        own = Export("memory", "memory", indices.memories)
        return [own, Export("_start", "function", main), *renamed]

    def instead(indices: Indices) -> list[bytes]:
        own, upcall = Memory(indices.memories), indices.functions + NAMES.index("upcall")

        def up(number: int) -> bytes:
            return call(upcall, i32(number), i32(ARGUMENT_BYTES * len(imported[number].params)))

        return stubs(imported, own, DATA, up)

    def bodies(indices: Indices) -> dict[int, bytes]:
        report = function((), call(indices.functions + NAMES.index("report")))
        return {export.index: report for export in exported if export.name == EXHAUSTED}

    wasm = extend(
        module,
        imports=IMPORTS,
        memories=[Limits(PAGES, PAGES)],
        functions=functions,
        exports=exports,
        bodies=bodies,
        stubs=instead if imported else None,
    )
    placed = {name: callees[number][0] + shift for name, number in numbers.items()}
    return Shim(wasm, numbers, placed, caller)


def _is_callable(type: FuncType) -> bool:
    return (
        len(type.params) <= _MAX_PARAMS
        and len(type.results) <= 1
        and _INTEGERS.issuperset(type.params + type.results)
    )
