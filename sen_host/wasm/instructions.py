"""Walk over code, operator by operator (WebAssembly 2.0, section 5.4).

What follows an opcode is known from the table in ``operators`` alone. The walk
checks the form of the code, not its types or its nesting: engines do that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sen_host.wasm.cursor import (
    REFERENCE_TYPES,
    VALUE_TYPES,
    Cursor,
    malformed,
    unknown_type,
    unsupported,
)
from sen_host.wasm.leb128 import decode_signed, decode_unsigned
from sen_host.wasm.operators import OPERATORS, Immediate, Operator, later_proposal

MAX_LOCALS = 50_000

Instruction = tuple[int, Operator, int, int]
"""Offset of the opcode, operator, offset of the immediates, offset behind them."""

_END = 0x0B
_PREFIXES = frozenset({0xFB, 0xFC, 0xFD, 0xFE})
_EMPTY_BLOCK_TYPE = 0x40
_MULTI_MEMORY_FLAG = 0x40


def instructions(data: bytes, start: int, end: int) -> Iterator[Instruction]:
    """Walk over the instructions of ``data[start:end]``.

    Yields:
        ``(offset, operator, immediates, next)`` for each instruction: its bytes
        are ``data[offset:next]``, those of its immediates ``data[immediates:next]``.

    Raises:
        ModuleCompilation: an operator is not of WebAssembly 2.0 (the message has
            its proposal, if it is known), an immediate is malformed, or the range
            ends within an instruction.
    """
    offset = start
    operator = None
    try:
        while offset < end:
            shape = _SHAPES[data[offset]]
            immediates = offset + 1
            if shape is None:
                shape, immediates = _look_up(data, offset, end)
            operator, short, fields = shape
            # Nearly all immediates are nothing, or one integer, at most behind an
            # alignment of one byte. Up to four bytes no integer can be too large.
            if short == 0:
                after = immediates
            elif short == 1 or (short == 2 and data[immediates] < 0x40):
                after = immediates + short
                while data[after - 1] >= 0x80:
                    after += 1
                if after > immediates + 4:
                    after = _step_over(fields, data, immediates, end)
            else:
                after = _step_over(fields, data, immediates, end)
            if after > end:
                raise malformed(f"unexpected end in {operator.name}", offset)
            yield offset, operator, immediates, after
            offset = after
    except IndexError:
        name = "an operator" if operator is None else operator.name
        raise malformed(f"unexpected end in {name}", offset) from None
    except ValueError as error:
        assert operator is not None
        raise malformed(f"{error} in {operator.name}", offset) from None


def constant_expression(data: bytes, start: int, end: int) -> Iterator[Instruction]:
    """Walk over a constant expression that starts at ``start``, its ``end`` included.

    Raises:
        ModuleCompilation: as ``instructions``, and for an operator that is not
            constant, or an expression that does not end within the range.
    """
    for position, instruction in enumerate(instructions(data, start, end)):
        offset, operator = instruction[:2]
        if operator.code != _END:
            if operator.name not in _CONSTANT:
                raise malformed(f"{operator.name} in a constant expression", offset)
            # No constant operator of WebAssembly 2.0 takes a value from the stack.
            if position > 0:
                what = "several operators in a constant expression"
                raise unsupported(what, "extended constant expressions", offset)
        yield instruction
        if operator.code == _END:
            return
    raise malformed("a constant expression has no end", end)


def read_locals(data: bytes, start: int, end: int) -> tuple[tuple[tuple[int, str], ...], int]:
    """Read the local declarations at the start of a function body.

    Returns:
        The declarations as (count, value type), those of no locals left out;
        and the offset of the first instruction.

    Raises:
        ModuleCompilation: they are malformed, or more than 50,000 locals.
    """
    cursor = Cursor(data, start, end)
    declarations: list[tuple[int, str]] = []
    total = 0
    for _ in range(cursor.count("local declarations")):
        offset = cursor.offset
        count = cursor.u32()
        type = cursor.value_type()
        total += count
        if total > MAX_LOCALS:
            raise malformed(f"{total:,} locals, at most {MAX_LOCALS:,} are read", offset)
        if count:
            declarations.append((count, type))
    return tuple(declarations), cursor.offset


_CONSTANT = frozenset(
    "i32.const i64.const f32.const f64.const v128.const global.get ref.null ref.func".split()
)

_Field = Callable[[bytes, int, int], int]
"""Step over one immediate: data, its offset, end of the range -> the offset behind it.

It may read past the end of the range; the walk checks that afterwards.
"""


def _u32(data: bytes, offset: int, _end: int) -> int:
    return decode_unsigned(data, offset)[1]


def _s32(data: bytes, offset: int, _end: int) -> int:
    return decode_signed(data, offset)[1]


def _s64(data: bytes, offset: int, _end: int) -> int:
    return decode_signed(data, offset, 64)[1]


def _bytes(count: int) -> _Field:
    return lambda _data, offset, _end: offset + count


def _alignment(data: bytes, offset: int, _end: int) -> int:
    value, after = decode_unsigned(data, offset)
    if value & _MULTI_MEMORY_FLAG and value < 2 * _MULTI_MEMORY_FLAG:
        raise unsupported("a memory index", "multi-memory", offset)
    if value >= _MULTI_MEMORY_FLAG:
        raise ValueError("alignment too large")
    return after


def _memory(data: bytes, offset: int, _end: int) -> int:
    index, after = decode_unsigned(data, offset)
    if index:
        raise unsupported(f"memory {index}", "multi-memory", offset)
    return after


def _block_type(data: bytes, offset: int, _end: int) -> int:
    code = data[offset]
    if code == _EMPTY_BLOCK_TYPE or code in VALUE_TYPES:
        return offset + 1
    if 0x40 <= code < 0x80:
        raise unknown_type("block type", code, offset)
    index, after = decode_signed(data, offset, 33)
    if index < 0:
        raise ValueError("negative type index")
    return after


def _reference_type(data: bytes, offset: int, _end: int) -> int:
    if data[offset] not in REFERENCE_TYPES:
        raise unknown_type("reference type", data[offset], offset)
    return offset + 1


def _value_types(data: bytes, offset: int, end: int) -> int:
    cursor = Cursor(data, offset, end)
    cursor.value_types("value types")
    return cursor.offset


def _labels(data: bytes, offset: int, end: int) -> int:
    count, offset = decode_unsigned(data, offset)
    if count >= end - offset:
        raise ValueError(f"{count:,} labels do not fit")
    for _ in range(count + 1):
        offset = offset + 1 if data[offset] < 0x80 else decode_unsigned(data, offset)[1]
    return offset


_FIELDS: dict[Immediate, tuple[_Field, ...]] = {
    Immediate.NONE: (),
    Immediate.BLOCK: (_block_type,),
    Immediate.LABEL: (_u32,),
    Immediate.LABELS: (_labels,),
    Immediate.FUNCTION: (_u32,),
    Immediate.TYPE_TABLE: (_u32, _u32),
    Immediate.TYPES: (_value_types,),
    Immediate.LOCAL: (_u32,),
    Immediate.GLOBAL: (_u32,),
    Immediate.TABLE: (_u32,),
    Immediate.TABLE_TABLE: (_u32, _u32),
    Immediate.ELEMENT_TABLE: (_u32, _u32),
    Immediate.ELEMENT: (_u32,),
    Immediate.DATA: (_u32,),
    Immediate.DATA_MEMORY: (_u32, _memory),
    Immediate.MEMORY: (_memory,),
    Immediate.MEMORY_MEMORY: (_memory, _memory),
    Immediate.ACCESS: (_alignment, _u32),
    Immediate.ACCESS_LANE: (_alignment, _u32, _bytes(1)),
    Immediate.LANE: (_bytes(1),),
    Immediate.LANES: (_bytes(16),),
    Immediate.I32: (_s32,),
    Immediate.I64: (_s64,),
    Immediate.F32: (_bytes(4),),
    Immediate.F64: (_bytes(8),),
    Immediate.V128: (_bytes(16),),
    Immediate.REFERENCE_TYPE: (_reference_type,),
}

_Shape = tuple[Operator, int, tuple[_Field, ...]]
"""An operator, the number of its immediates if all are integers (else 9), and their forms."""


def _shape(operator: Operator) -> _Shape:
    fields = _FIELDS[operator.immediate]
    short = all(field in (_u32, _s32, _s64, _alignment) for field in fields)
    return operator, len(fields) if short else 9, fields


_ALL_SHAPES = {code: _shape(operator) for code, operator in OPERATORS.items()}
_SHAPES = [_ALL_SHAPES.get(opcode) for opcode in range(256)]


def _step_over(fields: tuple[_Field, ...], data: bytes, offset: int, end: int) -> int:
    for field in fields:
        offset = field(data, offset, end)
    return offset


def _look_up(data: bytes, offset: int, end: int) -> tuple[_Shape, int]:
    """The shape of an operator behind a prefix, and the offset of its immediates."""
    code = data[offset]
    cursor = Cursor(data, offset + 1, end)
    name = f"{code:#04x}"
    if code in _PREFIXES:
        sub_opcode = cursor.u32()
        name += f" {sub_opcode:#04x}"
        # A larger one would run into the bits of the prefix.
        code = code << 16 | sub_opcode if sub_opcode < 1 << 16 else -1
    shape = _ALL_SHAPES.get(code)
    if shape is not None:
        return shape, cursor.offset
    proposal = later_proposal(code)
    if proposal is not None:
        raise unsupported(f"an operator ({name})", proposal, offset)
    raise malformed(f"unknown operator {name}", offset)
