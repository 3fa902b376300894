"""Which proposals after WebAssembly 1.0 a module makes use of."""

from __future__ import annotations

from collections.abc import Iterable

from sen_host.wasm.cursor import VALUE_TYPES
from sen_host.wasm.instructions import instructions, read_locals
from sen_host.wasm.operators import Immediate
from sen_host.wasm.reader import GlobalType, ParsedModule, SectionId, TableType
from sen_host.wasm.segments import Mode, data_segments, element_segments

MULTI_VALUE = "multi-value"
MUTABLE_GLOBALS = "mutable globals"
BULK_MEMORY = "bulk memory"
REFERENCE_TYPES = "reference types"
SIMD = "SIMD"

_VALUE_TYPES = {"v128": SIMD, "funcref": REFERENCE_TYPES, "externref": REFERENCE_TYPES}
_PLAIN_BLOCK_TYPES = range(0x40, 0x80)


def features_used(module: ParsedModule) -> tuple[str, ...]:
    """The proposals without which the module would be invalid, sorted by name.

    They are, of those that are part of WebAssembly 2.0: bulk memory, multi-value,
    mutable globals, reference types, saturating float-to-int, sign extension, SIMD.

    Raises:
        ModuleCompilation: the module is malformed, or uses a later proposal.
    """
    used: set[str] = set()
    _scan_types(module, used)
    _scan_segments(module, used)
    for start, end in module.initialisers:
        _scan_code(module.data, start, end, used)
    for start, end in module.function_bodies:
        declarations, code = read_locals(module.data, start, end)
        _scan_value_types((type for _, type in declarations), used)
        _scan_code(module.data, code, end, used)
    used.discard("mvp")
    return tuple(sorted(used, key=str.lower))


def _scan_types(module: ParsedModule, used: set[str]) -> None:
    for type in module.types:
        _scan_value_types(type.params, used)
        _scan_value_types(type.results, used)
        if len(type.results) > 1:
            used.add(MULTI_VALUE)
    tables = list(module.tables)
    for item in module.imports:
        if isinstance(item.type, TableType):
            tables.append(item.type)
        elif isinstance(item.type, GlobalType):
            _scan_border_global(item.type, used)
    if len(tables) > 1 or any(table.element != "funcref" for table in tables):
        used.add(REFERENCE_TYPES)
    _scan_value_types((type.value for type in module.globals), used)
    for export in module.exports:
        type_of = module.type_of(export)
        if isinstance(type_of, GlobalType):
            _scan_border_global(type_of, used)


def _scan_border_global(type: GlobalType, used: set[str]) -> None:
    _scan_value_types((type.value,), used)
    if type.mutable:
        used.add(MUTABLE_GLOBALS)


def _scan_segments(module: ParsedModule, used: set[str]) -> None:
    for element in element_segments(module):
        # Version 1 knows only active segments of table 0 with function indices.
        if element.mode is not Mode.ACTIVE or element.table is not None or element.expressions:
            used.add(BULK_MEMORY)
        if element.expressions:
            used.add(REFERENCE_TYPES)
        if element.offset is not None:
            _scan_code(module.data, *element.offset, used)
        if element.expressions:
            _scan_code(module.data, *element.items, used)
    if module.section(SectionId.DATA_COUNT) is not None:
        used.add(BULK_MEMORY)
    for data in data_segments(module):
        if data.mode is Mode.PASSIVE or data.named_memory:
            used.add(BULK_MEMORY)
        if data.offset is not None:
            _scan_code(module.data, *data.offset, used)


def _scan_value_types(types: Iterable[str], used: set[str]) -> None:
    used.update(_VALUE_TYPES[type] for type in types if type in _VALUE_TYPES)


def _scan_code(data: bytes, start: int, end: int, used: set[str]) -> None:
    for _, operator, immediates, after in instructions(data, start, end):
        used.add(operator.proposal)
        if operator.immediate is Immediate.BLOCK:
            type = data[immediates]
            if type not in _PLAIN_BLOCK_TYPES:
                used.add(MULTI_VALUE)
            elif type in VALUE_TYPES:
                _scan_value_types((VALUE_TYPES[type],), used)
        elif operator.immediate is Immediate.TYPES:
            types = (VALUE_TYPES[type] for type in data[immediates + 1 : after])
            _scan_value_types(types, used)
        elif operator.immediate is Immediate.TYPE_TABLE and data[after - 2] & 0x80:
            # Version 1 has one byte of zero in place of the table's index. (An
            # index above zero needs a second table, which is seen elsewhere.)
            used.add(REFERENCE_TYPES)
