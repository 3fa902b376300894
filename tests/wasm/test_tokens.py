"""Splitting by expression, against the walk that decodes each instruction."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sen_host.errors import ModuleCompilation
from sen_host.wasm.instructions import instructions, read_locals
from sen_host.wasm.leb128 import encode_unsigned
from sen_host.wasm.operators import OPERATORS, Immediate, Operator
from sen_host.wasm.reader import parse
from sen_host.wasm.tokens import split
from tests.wasm.support import generated_module, real_modules, said


def walked(data: bytes, start: int, end: int) -> list[bytes]:
    return [data[offset:after] for offset, _, _, after in instructions(data, start, end)]


def overlong(value: int, size: int) -> bytes:
    """The unsigned LEB128 form of that many bytes, or the shortest if it takes more."""
    shortest = encode_unsigned(value)
    padding = size - len(shortest)
    if padding <= 0:
        return shortest
    return shortest[:-1] + bytes((shortest[-1] | 0x80,)) + b"\x80" * (padding - 1) + b"\0"


def assert_split_as_walked(data: bytes) -> None:
    for start, end in parse(data).function_bodies:
        code = read_locals(data, start, end)[1]
        assert split(data, code, end) == walked(data, code, end)


@pytest.mark.parametrize("name", real_modules())
def test_real_modules(name: str) -> None:
    assert_split_as_walked(real_modules()[name])


@pytest.mark.parametrize("seed", range(24))
def test_generated_modules(seed: int) -> None:
    assert_split_as_walked(generated_module(seed))


def opcode(operator: Operator, size: int = 1) -> bytes:
    prefix, sub = divmod(operator.code, 1 << 16)
    return bytes((prefix,)) + overlong(sub, size) if prefix else bytes((operator.code,))


def encoded(operator: Operator, size: int) -> bytes:
    """An instruction with LEB128 integers of that size; its bytes look like opcodes."""
    integer = overlong(0x10, size)
    first = {
        Immediate.NONE: b"",
        Immediate.BLOCK: overlong(1, size),
        Immediate.LABELS: overlong(3, size) + integer * 4,
        Immediate.TYPES: overlong(1, size) + b"\x7f",
        Immediate.TYPE_TABLE: integer * 2,
        Immediate.TABLE_TABLE: integer * 2,
        Immediate.ELEMENT_TABLE: integer * 2,
        Immediate.DATA_MEMORY: integer + overlong(0, size),
        Immediate.MEMORY: overlong(0, size),
        Immediate.MEMORY_MEMORY: overlong(0, size) * 2,
        Immediate.ACCESS: overlong(2, size) + integer,
        Immediate.ACCESS_LANE: overlong(2, size) + integer + b"\xfd",
        Immediate.LANE: b"\x0a",
        Immediate.LANES: b"\xfd\x0c" * 8,
        Immediate.F32: b"\x0a\xff\x0b\n",
        Immediate.F64: b"\x0a\xff\x0b\n\x0e\x80\x80\x80",
        Immediate.V128: b"\x0e\xff\x80\x80" * 4,
        Immediate.REFERENCE_TYPE: b"\x6f",
    }
    return opcode(operator, size) + first.get(operator.immediate, integer)


@pytest.mark.parametrize("size", range(1, 6))
def test_every_operator_with_integers_of_every_size(size: int) -> None:
    for operator in OPERATORS.values():
        token = encoded(operator, size)
        code = b"\x01" + token + b"\x1a" + token + b"\x0b"
        expected = [b"\x01", token, b"\x1a", token, b"\x0b"]
        assert walked(code, 0, len(code)) == expected, operator
        assert split(code, 0, len(code)) == expected, operator


@given(st.lists(st.tuples(st.sampled_from(list(OPERATORS.values())), st.integers(1, 5))))
def test_any_sequence(instances: list[tuple[Operator, int]]) -> None:
    tokens = [encoded(operator, size) for operator, size in instances]
    code = b"\xff" + b"".join(tokens) + b"\xff"
    assert split(code, 1, len(code) - 1) == tokens


@pytest.mark.parametrize("size", range(1, 6))
@pytest.mark.parametrize("count", [0, 1, 127, 128, 129, 255, 256, 257, 5_000])
def test_br_table(count: int, size: int) -> None:
    table = b"\x0e" + overlong(count, size) + overlong(0x0E, size) * (count + 1)
    tokens = [b"\x41\x0e", table, b"\x0b"] * 3
    code = b"".join(tokens)
    assert walked(code, 0, len(code)) == tokens
    assert split(code, 0, len(code)) == tokens


def test_tables_of_all_sizes_in_one_body() -> None:
    tokens = [b"\x0e" + encode_unsigned(count) + b"\x0b" * (count + 1) for count in range(300)]
    code = b"".join(tokens)
    assert split(code, 0, len(code)) == tokens


@pytest.mark.parametrize("count", [0, 1, 2, 200])
def test_select_with_any_number_of_types_is_one_instruction(count: int) -> None:
    """The validator refuses all but one; whoever splits only has to keep the place."""
    token = b"\x1c" + encode_unsigned(count) + b"\x7f" * count
    code = b"\x01" + token + b"\x0b"
    assert split(code, 0, len(code)) == [b"\x01", token, b"\x0b"]


def test_an_empty_range_has_no_instruction() -> None:
    assert split(b"\xff\xff", 1, 1) == []


@pytest.mark.parametrize(
    ("code", "named"),
    [
        (b"\x12\x00", "0x12) of the tail calls proposal"),
        (b"\xff", "unknown operator 0xff"),
        (b"\xfc\x80\x01", "unknown operator 0xfc 0x80"),
        (b"\xfc\x93\x80\x00", "0xfc 0x13) of the wide arithmetic proposal"),
        (b"\xfd\x9a\x81\x00", "unknown operator 0xfd 0x9a"),
        (b"\xfd\x80\x82\x00", "0xfd 0x100) of the relaxed SIMD proposal"),
        (b"\xfe\x00", "threads proposal"),
    ],
)
@pytest.mark.parametrize("before", [b"", b"\x41\x12", b"\x0e\x80\x01" + b"\0" * 129])
def test_unknown_operators_are_refused_by_name_and_offset(
    code: bytes, named: str, before: bytes
) -> None:
    data = b"\xff\xff" + before + code + b"\x0b\x0b"
    with pytest.raises(ModuleCompilation) as caught:
        split(data, 2, len(data))
    assert named in said(caught.value)
    assert caught.value.offset == 2 + len(before)


@given(st.binary(max_size=40))
def test_bytes_that_are_no_code_are_split_or_refused(code: bytes) -> None:
    try:
        tokens = split(code, 0, len(code))
    except ModuleCompilation:
        with pytest.raises(ModuleCompilation):
            walked(code, 0, len(code))
    else:
        assert b"".join(tokens) == code
