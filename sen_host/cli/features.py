"""Which proposals, beyond WebAssembly 1.0, a module makes use of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from sen_host.errors import ModuleCompilation
from sen_host.wasm.leb128 import decode_unsigned
from sen_host.wasm.operators import (
    OPERATORS,
    PREFIX_MISC,
    PREFIX_SIMD,
    Immediate,
    later_proposal,
)
from sen_host.wasm.reader import (
    Export,
    ExternType,
    GlobalType,
    ParsedModule,
    SectionId,
    TableType,
)

MULTI_VALUE = "multi-value"

# How many LEB128 integers, and how many bytes after them, follow an opcode.
_INTEGERS = {
    Immediate.LABEL: 1,
    Immediate.FUNCTION: 1,
    Immediate.TYPE_TABLE: 2,
    Immediate.LOCAL: 1,
    Immediate.GLOBAL: 1,
    Immediate.TABLE: 1,
    Immediate.TABLE_TABLE: 2,
    Immediate.ELEMENT_TABLE: 2,
    Immediate.ELEMENT: 1,
    Immediate.DATA: 1,
    Immediate.DATA_MEMORY: 2,
    Immediate.MEMORY: 1,
    Immediate.MEMORY_MEMORY: 2,
    Immediate.ACCESS: 2,
    Immediate.ACCESS_LANE: 2,
    Immediate.I32: 1,
    Immediate.I64: 1,
}
_BYTES = {
    Immediate.ACCESS_LANE: 1,
    Immediate.LANE: 1,
    Immediate.LANES: 16,
    Immediate.F32: 4,
    Immediate.F64: 8,
    Immediate.V128: 16,
    Immediate.REFERENCE_TYPE: 1,
}


def features(module: ParsedModule) -> tuple[str, ...]:
    """The names of the proposals used, sorted; empty for plain WebAssembly 1.0.

    A function that cannot be read to its end counts as far as it was read.
    """
    found = set(_of_types(module))
    for start, end in module.function_bodies:
        with suppress(IndexError):
            _of_body(module.data, start, end, found)
    found.discard("mvp")
    return tuple(sorted(found, key=str.lower))


def export_type(module: ParsedModule, export: Export) -> ExternType | None:
    """The type of an export; None if what it names does not exist."""
    try:
        return module.type_of(export)
    except ModuleCompilation:
        return None


def _of_types(module: ParsedModule) -> Iterator[str]:
    for function in module.types:
        if len(function.results) > 1:
            yield MULTI_VALUE
        yield from _of_values(function.params + function.results)
    shared: list[ExternType | None] = [item.type for item in module.imports]
    shared += [export_type(module, export) for export in module.exports]
    if any(isinstance(type, GlobalType) and type.mutable for type in shared):
        yield "mutable globals"
    tables = [type for type in shared if isinstance(type, TableType)] + list(module.tables)
    if len(module.tables) + len(module.imported("table")) > 1:
        yield "reference types"
    if any(table.element != "funcref" for table in tables):
        yield "reference types"
    if module.section(SectionId.DATA_COUNT) is not None:
        yield "bulk memory"


def _of_values(types: tuple[str, ...]) -> Iterator[str]:
    if "v128" in types:
        yield "SIMD"
    if "funcref" in types or "externref" in types:
        yield "reference types"


def _of_body(data: bytes, start: int, end: int, found: set[str]) -> None:
    """Add the proposals of the operators of one function body."""
    offset = _locals_end(data, start)
    while offset < end:
        code = data[offset]
        offset += 1
        if code in (PREFIX_MISC, PREFIX_SIMD):
            sub, offset = decode_unsigned(data, offset)
            code = code << 16 | sub
        operator = OPERATORS.get(code)
        if operator is None:
            later = later_proposal(code)
            if later is not None:
                found.add(later)
            return
        found.add(operator.proposal)
        immediate = operator.immediate
        if immediate is Immediate.BLOCK:
            # A single byte from 0x40 up is a value type or "empty"; else a type index.
            if not 0x40 <= data[offset] < 0x80:
                found.add(MULTI_VALUE)
            offset = _past_integers(data, offset, 1)
        elif immediate is Immediate.LABELS:
            count, offset = decode_unsigned(data, offset)
            offset = _past_integers(data, offset, count + 1)
        elif immediate is Immediate.TYPES:
            count, offset = decode_unsigned(data, offset)
            offset += count
        elif immediate is not Immediate.NONE:
            offset = _past_integers(data, offset, _INTEGERS.get(immediate, 0))
            offset += _BYTES.get(immediate, 0)


def _locals_end(data: bytes, offset: int) -> int:
    groups, offset = decode_unsigned(data, offset)
    for _ in range(groups):
        offset = _past_integers(data, offset, 1) + 1
    return offset


def _past_integers(data: bytes, offset: int, count: int) -> int:
    for _ in range(count):
        while data[offset] & 0x80:
            offset += 1
        offset += 1
    return offset
