"""Add imported functions, functions, memories and globals of the host to a module.

Functions that the module imports may be replaced by ones with a body: behind the new
imports, those come first again, so that all indices move up by the same number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from sen_host.backend import FuncType
from sen_host.wasm.leb128 import decode_unsigned, encode_unsigned
from sen_host.wasm.reader import (
    MAGIC,
    VERSION,
    Export,
    ParsedModule,
    SectionId,
)
from sen_host.wasm.reader import Limits as MemoryLimits
from sen_host.wasm.shift import FunctionShift
from sen_host.wasm.writer import (
    MUTABLE_I64_ZERO,
    export,
    function_type,
    limits,
    name,
    section,
    sized,
)


@dataclass(frozen=True)
class ImportedFunction:
    """A function to import."""

    module: str
    name: str
    type: FuncType


@dataclass(frozen=True)
class NewFunction:
    """A function to add: its body holds the locals' declarations and the final end."""

    type: FuncType
    body: bytes


@dataclass(frozen=True)
class Indices:
    """Where things stand in the extended module.

    Attributes:
        shift: what to add to an index of a function of the original module.
        functions: index of the first new function.
        memories: index of the first new memory.
        globals: index of the first new global.
    """

    shift: int
    functions: int
    memories: int
    globals: int


def extend(
    module: ParsedModule,
    *,
    imports: Sequence[ImportedFunction] = (),
    memories: Sequence[MemoryLimits] = (),
    globals: int = 0,
    functions: Callable[[Indices], Sequence[NewFunction]],
    exports: Callable[[Indices], Sequence[Export]],
    bodies: Callable[[Indices], Mapping[int, bytes]] = lambda _: {},
    stubs: Callable[[Indices], Sequence[bytes]] | None = None,
) -> bytes:
    """The module with additions; new imports come first, all else is appended.

    ``exports`` replaces the module's exports. The start function is dropped,
    and so are custom sections: they may name functions by index. Where nothing is
    imported no index moves, and all code is taken as it is: it must be valid then.

    Args:
        globals: how many mutable i64 globals to add; they start at zero.
        functions, exports: given the indices of the extended module.
        bodies: new bodies of functions that the module defines, by their index
            in the original.
        stubs: if given, the module imports functions and nothing else, and these are
            the bodies to have in their place.

    Raises:
        ModuleCompilation: the code is malformed, or names a function, type or
            memory that the original does not have.
    """
    shift = FunctionShift(module, len(imports)) if imports else None
    replaced_imports = module.imported("function") if stubs else ()
    old_functions = len(module.imported("function")) + len(module.functions)
    indices = Indices(
        shift=len(imports),
        functions=len(imports) + old_functions,
        memories=len(module.imported("memory")) + len(module.memories),
        globals=len(module.imported("global")) + len(module.globals),
    )
    new_functions = functions(indices)
    types = _Types(module)
    new_imports = [
        name(item.module) + name(item.name) + b"\0" + encode_unsigned(types.index(item.type))
        for item in imports
    ]
    type_indices = [encode_unsigned(types.index(item.type)) for item in new_functions]
    stub_types = [
        encode_unsigned(types.index(cast(FuncType, item.type))) for item in replaced_imports
    ]
    replaced = bodies(indices)
    all_bodies = [*stubs(indices)] if stubs else []
    assert len(all_bodies) == len(stub_types)
    all_bodies += [
        replaced.get(index) or (shift.body(start, end) if shift else module.data[start:end])
        for index, (start, end) in enumerate(
            module.function_bodies, len(module.imported("function"))
        )
    ]
    all_bodies += [item.body for item in new_functions]

    def old(id: SectionId, count: int, extra: Iterable[bytes], *, first: bool = False) -> bytes:
        """A vector section of the original with more items."""
        added = list(extra)
        items = _items(module, id)
        parts = (b"".join(added), items) if first else (items, b"".join(added))
        return _section(id, count + len(added), b"".join(parts))

    return b"".join(
        (
            MAGIC,
            VERSION,
            old(SectionId.TYPE, len(module.types), types.added),
            _vector(SectionId.IMPORT, new_imports)
            if stubs
            else old(SectionId.IMPORT, len(module.imports), new_imports, first=True),
            _section(
                SectionId.FUNCTION,
                len(stub_types) + len(module.functions) + len(type_indices),
                b"".join((*stub_types, _items(module, SectionId.FUNCTION), *type_indices)),
            ),
            _verbatim(module, SectionId.TABLE),
            old(SectionId.MEMORY, len(module.memories), [limits(*item) for item in memories]),
            _section(
                SectionId.GLOBAL,
                len(module.globals) + globals,
                (shift.globals() if shift else _items(module, SectionId.GLOBAL))
                + MUTABLE_I64_ZERO * globals,
            ),
            _vector(
                SectionId.EXPORT,
                [export(item.name, item.kind, item.index) for item in exports(indices)],
            ),
            _vector(SectionId.ELEMENT, shift.elements())
            if shift
            else _verbatim(module, SectionId.ELEMENT),
            _verbatim(module, SectionId.DATA_COUNT),
            _vector(SectionId.CODE, map(sized, all_bodies)),
            _verbatim(module, SectionId.DATA),
        )
    )


class _Types:
    """The function types of the module, and those that have to be added."""

    def __init__(self, module: ParsedModule) -> None:
        self._indices = {type: index for index, type in reversed([*enumerate(module.types)])}
        self._next = len(module.types)
        self.added: list[bytes] = []

    def index(self, type: FuncType) -> int:
        index = self._indices.get(type)
        if index is None:
            index = self._indices[type] = self._next
            self._next += 1
            self.added.append(function_type(type))
        return index


def _section(id: SectionId, count: int, items: bytes) -> bytes:
    """A vector section; none if it has no items."""
    return section(id, encode_unsigned(count) + items) if count else b""


def _vector(id: SectionId, items: Iterable[bytes]) -> bytes:
    listed = list(items)
    return _section(id, len(listed), b"".join(listed))


def _items(module: ParsedModule, id: SectionId) -> bytes:
    """The content of a section behind its count."""
    found = module.section(id)
    if found is None:
        return b""
    _, items = decode_unsigned(module.data, found.content)
    return module.data[items : found.end]


def _verbatim(module: ParsedModule, id: SectionId) -> bytes:
    found = module.section(id)
    return b"" if found is None else module.data[found.start : found.end]
