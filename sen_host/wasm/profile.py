"""The accepted profile: what every bundled engine runs alike, checked before one sees it.

It is WebAssembly 2.0 without the exceptions in ``exceptions``, and with the
bounds there. A plugin that loads on one engine then loads on all of them, and
runs alike.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from operator import itemgetter
from typing import NoReturn

from sen_host.backend import FuncType
from sen_host.errors import ModuleCompilation
from sen_host.wasm.cursor import Cursor, malformed, unsupported
from sen_host.wasm.exceptions import (
    DEAD_BR_TABLE,
    EXPORTS,
    EXTERNREF_ELEMENTS,
    FEATURES,
    GLOBAL_ELEMENTS,
    LABELS,
    SIGNATURE,
    SIMD,
    TABLE_MAXIMUM,
    TABLE_MINIMUM,
    Bound,
)
from sen_host.wasm.immediates import block_type, table_labels
from sen_host.wasm.instructions import constant_expression, read_locals
from sen_host.wasm.leb128 import decode_unsigned
from sen_host.wasm.module import ParsedModule, SectionId
from sen_host.wasm.names import function_name
from sen_host.wasm.operators import OPERATORS, PREFIX_SIMD
from sen_host.wasm.segments import ElementSegment, data_segments, element_segments
from sen_host.wasm.tokens import split

_GLOBAL_GET, _LOOP, _END, _BR_TABLE = 0x23, 0x03, 0x0B, 0x0E
_SHOWN = 80
_V128 = "v128"

_first = itemgetter(0)
# These look at a string of opcodes.
_memory_operators = re.compile(rb"[\x3f\x40]").finditer
_nesting = re.compile(rb"[\x02-\x04\x0b\x0e]").finditer


def check_profile(module: ParsedModule, accept: frozenset[str] = frozenset()) -> None:
    """Refuse what some engine would not take.

    Args:
        accept: names of FEATURES not to refuse, for an engine that is known to
            run them.

    Raises:
        ModuleCompilation: the module uses a later proposal or what is refused,
            exceeds a bound, or is malformed. The message names the operator or
            type, its proposal, the function and the offset.
    """
    for check in _checks(module, accept):
        check()


def refusals(
    module: ParsedModule, accept: frozenset[str] = frozenset()
) -> Iterator[ModuleCompilation]:
    """What ``check_profile`` would refuse: the first in each function, segment and so on.

    What is malformed so that nothing behind it can be read is the last.
    """
    checks = _checks(module, accept)
    while True:
        try:
            check = next(checks, None)
        except ModuleCompilation as error:
            yield error
            return
        if check is None:
            return
        try:
            check()
        except ModuleCompilation as error:
            yield error


def _checks(module: ParsedModule, accept: frozenset[str]) -> Iterator[Callable[[], object]]:
    yield partial(_check_types, module, accept)
    yield partial(_check_globals, module, accept)
    yield partial(_check_tables, module)
    yield partial(_check_exports, module)
    for start, end in module.initialisers:
        yield partial(_check_constant, module, start, end)
    for element in element_segments(module):
        yield partial(_check_elements, module, element, accept)
    for data in data_segments(module):
        if data.offset is not None:
            yield partial(_check_constant, module, *data.offset)
    for index in range(len(module.function_bodies)):
        yield partial(_check_function, module, index, accept)


def _check_types(module: ParsedModule, accept: frozenset[str]) -> None:
    for index, type in enumerate(module.types):
        count = len(type.params) + len(type.results)
        if count > SIGNATURE.most:
            _exceeds(f"function type {index}", count, SIGNATURE, _type_offset(module, index))
        if SIMD not in accept and _V128 in type.params + type.results:
            _refuse(SIMD, f"{_V128} in function type {index}", _type_offset(module, index))


def _type_offset(module: ParsedModule, index: int) -> int:
    section = module.section(SectionId.TYPE)
    assert section is not None
    cursor = Cursor(module.data, section.content, section.end)
    cursor.u32()
    for _ in range(index):
        cursor.byte()
        cursor.value_types("parameters")
        cursor.value_types("results")
    return cursor.offset


def _check_globals(module: ParsedModule, accept: frozenset[str]) -> None:
    imported = len(module.imported("global"))
    for index, type in enumerate(module.globals):
        if SIMD not in accept and type.value == _V128:
            start, _ = module.initialisers[index]
            _refuse(SIMD, f"{_V128} in global {imported + index}", start - 2)


def _check_tables(module: ParsedModule) -> None:
    for index, table in enumerate(module.tables):
        minimum, maximum = table.limits
        for count, bound in ((minimum, TABLE_MINIMUM), (maximum or 0, TABLE_MAXIMUM)):
            if count > bound.most:
                section = module.section(SectionId.TABLE)
                assert section is not None
                number = len(module.imported("table")) + index
                _exceeds(f"table {number}", count, bound, section.start)


def _check_exports(module: ParsedModule) -> None:
    count = 0
    for export in module.exports:
        type = module.type_of(export)
        values = len(type.params) + len(type.results) if isinstance(type, FuncType) else 1
        count += 1 + values
    if count > EXPORTS.most:
        section = module.section(SectionId.EXPORT)
        assert section is not None
        _exceeds("the export section", count, EXPORTS, section.start)


def _check_elements(module: ParsedModule, segment: ElementSegment, accept: frozenset[str]) -> None:
    start, end = segment.items
    if segment.element == "externref" and EXTERNREF_ELEMENTS not in accept:
        _refuse(EXTERNREF_ELEMENTS, "an element segment of externref", start)
    if segment.offset is not None:
        _check_constant(module, *segment.offset)
    if segment.expressions:
        for _ in range(segment.length):
            if module.data[start] == _GLOBAL_GET and GLOBAL_ELEMENTS not in accept:
                _refuse(GLOBAL_ELEMENTS, "global.get in an element segment", start)
            start = _check_constant(module, start, end)


def _check_constant(module: ParsedModule, start: int, end: int) -> int:
    """Check one constant expression; the offset behind it."""
    after = start
    for offset, operator, immediates, after in constant_expression(  # noqa: B007
        module.data, start, end
    ):
        if operator.code == _GLOBAL_GET:
            index, _ = decode_unsigned(module.data, immediates)
            if index >= len(module.imported("global")):
                what = f"a constant expression with global.get {index}, which is not imported,"
                raise unsupported(what, "garbage collection", offset)
    return after


def _check_function(module: ParsedModule, index: int, accept: frozenset[str]) -> None:
    body, end = module.function_bodies[index]
    results = module.types[module.functions[index]].results
    try:
        locals, start = read_locals(module.data, body, end)
        if SIMD not in accept and any(type == _V128 for _, type in locals):
            _refuse(SIMD, f"{_V128} in a local", body)
        code = _Code(module.data, start, end)
        if SIMD not in accept:
            code.check_simd()
        code.check_memory_operators()
        code.check_br_tables(results, module.types, any_types=DEAD_BR_TABLE in accept)
    except ModuleCompilation as error:
        number = len(module.imported("function")) + index
        name = function_name(module, number)
        place = f"function {number}" if name is None else f"function {number} ({name[:_SHOWN]!r})"
        raise ModuleCompilation(
            f"{error.message}, in {place}", hint=error.hint, offset=error.offset
        ) from None


class _Code:
    """The instructions of a function."""

    def __init__(self, data: bytes, start: int, end: int) -> None:
        self.start = start
        self.tokens = split(data, start, end)
        # Most functions do not have these bytes, so they are spared the look at
        # each instruction.
        self.has_long_index = (
            data.find(b"\x3f\x80", start, end) >= 0 or data.find(b"\x40\x80", start, end) >= 0
        )
        suspicious = (
            self.has_long_index
            or data.find(b"\x0e", start, end) >= 0
            or data.find(b"\xfd", start, end) >= 0
        )
        self.opcodes = bytes(map(_first, self.tokens)) if suspicious else b""

    def offset(self, position: int) -> int:
        """Of an instruction, in the module."""
        return self.start + sum(map(len, self.tokens[:position]))

    def check_simd(self) -> None:
        position = self.opcodes.find(PREFIX_SIMD)
        if position >= 0:
            sub_opcode, _ = decode_unsigned(self.tokens[position], 1)
            operator = OPERATORS[PREFIX_SIMD << 16 | sub_opcode]
            _refuse(SIMD, operator.name, self.offset(position))

    def check_memory_operators(self) -> None:
        """Wasmer 7 alone reads their last byte as an index of several bytes."""
        for match in _memory_operators(self.opcodes if self.has_long_index else b""):
            token = self.tokens[match.start()]
            if len(token) > 2:
                what = f"{OPERATORS[token[0]].name} with a memory index of {len(token) - 1} bytes"
                raise unsupported(what, "multi-memory", self.offset(match.start()))

    def check_br_tables(
        self, results: tuple[str, ...], types: tuple[FuncType, ...], *, any_types: bool
    ) -> None:
        if _BR_TABLE not in self.opcodes:
            return
        # What a branch to each label takes, the innermost last. Labels and types
        # that do not exist, and wrong nesting, are left to the validator.
        tokens, opcodes = self.tokens, self.opcodes
        labels = [results]
        for match in _nesting(opcodes):
            position = match.start()
            opcode = opcodes[position]
            try:
                if opcode == _BR_TABLE:
                    self._check_br_table(position, labels, any_types=any_types)
                elif opcode != _END:
                    labels.append(_label_types(tokens[position], types))
                elif len(labels) > 1:
                    labels.pop()
            except ValueError as error:
                raise malformed(str(error), self.offset(position)) from None

    def _check_br_table(
        self, position: int, labels: list[tuple[str, ...]], *, any_types: bool
    ) -> None:
        count, targets = table_labels(self.tokens[position])
        if count > LABELS.most:
            _exceeds("a br_table", count, LABELS, self.offset(position))
        taken = {labels[-1 - target] for target in targets if target < len(labels)}
        if len(taken) > 1 and not any_types:
            what = "a br_table whose targets have different types"
            _refuse(DEAD_BR_TABLE, what, self.offset(position))


def _label_types(token: bytes, types: tuple[FuncType, ...]) -> tuple[str, ...]:
    """What a branch to a block, a loop or an if takes."""
    try:
        type = block_type(token, types)
    except IndexError:
        return ()
    return type.params if token[0] == _LOOP else type.results


def _refuse(name: str, what: str, offset: int) -> NoReturn:
    feature = FEATURES[name]
    raise ModuleCompilation(
        f"the module uses {what} of the {feature.proposal} proposal, which not every engine"
        f" runs right, at offset {offset:#x}",
        hint=f"{feature.remedy}; or accept {name!r} on an engine that runs it:"
        f" {', '.join(feature.engines)}",
        offset=offset,
    )


def _exceeds(what: str, count: int, bound: Bound, offset: int) -> NoReturn:
    raise ModuleCompilation(
        f"{what} at offset {offset:#x} is too large for some engine: {count:,} {bound.what},"
        f" at most {bound.most:,} are accepted",
        hint=bound.remedy,
        offset=offset,
    )
