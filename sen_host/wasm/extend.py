"""Add imported functions, functions and memories of the host to a module."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sen_host.backend import FuncType
from sen_host.wasm.cursor import VALUE_TYPES
from sen_host.wasm.leb128 import encode_unsigned
from sen_host.wasm.reader import (
    EXTERN_KINDS,
    MAGIC,
    VERSION,
    Export,
    ParsedModule,
    SectionId,
)
from sen_host.wasm.reader import Limits as MemoryLimits
from sen_host.wasm.shift import FunctionShift

_FUNCTION_FORM = b"\x60"
_VALUE_TYPE_CODES = {name: bytes((code,)) for code, name in VALUE_TYPES.items()}


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
    """

    shift: int
    functions: int
    memories: int


def extend(
    module: ParsedModule,
    *,
    imports: Sequence[ImportedFunction] = (),
    memories: Sequence[MemoryLimits] = (),
    functions: Callable[[Indices], Sequence[NewFunction]],
    exports: Callable[[Indices], Sequence[Export]],
    bodies: Callable[[Indices], Mapping[int, bytes]] = lambda _: {},
) -> bytes:
    """The module with additions; new imports come first, all else is appended.

    ``exports`` replaces the module's exports. The start function is dropped,
    and so are custom sections: they may name functions by index.

    Args:
        functions, exports: given the indices of the extended module.
        bodies: new bodies of functions that the module defines, by their index
            in the original.

    Raises:
        ModuleCompilation: the code is malformed, or names a function, type or
            memory that the original does not have.
    """
    shift = FunctionShift(module, len(imports))
    old_functions = len(module.imported("function")) + len(module.functions)
    indices = Indices(
        shift=len(imports),
        functions=len(imports) + old_functions,
        memories=len(module.imported("memory")) + len(module.memories),
    )
    new_functions = functions(indices)
    types = _Types(module)
    new_imports = [
        _name(item.module) + _name(item.name) + b"\0" + encode_unsigned(types.index(item.type))
        for item in imports
    ]
    type_indices = [encode_unsigned(types.index(item.type)) for item in new_functions]
    replaced = bodies(indices)
    all_bodies = [
        replaced.get(index) or shift.body(start, end)
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
            old(SectionId.IMPORT, len(module.imports), new_imports, first=True),
            old(SectionId.FUNCTION, len(module.functions), type_indices),
            _verbatim(module, SectionId.TABLE),
            old(SectionId.MEMORY, len(module.memories), map(_limits, memories)),
            _section(SectionId.GLOBAL, len(module.globals), shift.globals()),
            _vector(SectionId.EXPORT, map(_export, exports(indices))),
            _vector(SectionId.ELEMENT, shift.elements()),
            _verbatim(module, SectionId.DATA_COUNT),
            _vector(SectionId.CODE, (encode_unsigned(len(body)) + body for body in all_bodies)),
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
            self.added.append(_FUNCTION_FORM + _values(type.params) + _values(type.results))
        return index


def _values(names: tuple[str, ...]) -> bytes:
    return encode_unsigned(len(names)) + b"".join(_VALUE_TYPE_CODES[name] for name in names)


def _name(text: str) -> bytes:
    data = text.encode()
    return encode_unsigned(len(data)) + data


def _limits(limits: MemoryLimits) -> bytes:
    if limits.maximum is None:
        return b"\0" + encode_unsigned(limits.minimum)
    return b"\x01" + encode_unsigned(limits.minimum) + encode_unsigned(limits.maximum)


def _export(export: Export) -> bytes:
    kind = bytes((EXTERN_KINDS.index(export.kind),))
    return _name(export.name) + kind + encode_unsigned(export.index)


def _vector(id: SectionId, items: Iterable[bytes]) -> bytes:
    listed = list(items)
    return _section(id, len(listed), b"".join(listed))


def _section(id: SectionId, count: int, items: bytes) -> bytes:
    if not count:
        return b""
    content = encode_unsigned(count) + items
    return bytes((id,)) + encode_unsigned(len(content)) + content


def _items(module: ParsedModule, id: SectionId) -> bytes:
    """The content of a section behind its count."""
    section = module.section(id)
    if section is None:
        return b""
    offset = section.content
    while module.data[offset] & 0x80:
        offset += 1
    return module.data[offset + 1 : section.end]


def _verbatim(module: ParsedModule, id: SectionId) -> bytes:
    section = module.section(id)
    return b"" if section is None else module.data[section.start : section.end]
