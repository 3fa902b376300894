"""The walk over code: it covers every byte, refuses what is malformed, and never falls over."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sen_host.errors import ModuleCompilation
from sen_host.wasm.instructions import (
    MAX_LOCALS,
    Instruction,
    constant_expression,
    instructions,
    read_locals,
)
from sen_host.wasm.leb128 import encode_unsigned
from sen_host.wasm.operators import OPERATORS
from sen_host.wasm.reader import parse
from tests.wasm.support import function, is_valid, real_modules, said, vector


def walk(code: bytes) -> list[Instruction]:
    return list(instructions(code, 0, len(code)))


def refused(code: bytes) -> str:
    with pytest.raises(ModuleCompilation) as caught:
        walk(code)
    return said(caught.value)


def padded(value: int, length: int) -> bytes:
    """An unsigned LEB128 form of that length."""
    return bytes(value >> 7 * i & 0x7F | 0x80 for i in range(length - 1)) + bytes(
        (value >> 7 * (length - 1),)
    )


@pytest.mark.parametrize("name", real_modules())
def test_real_code_is_covered_byte_by_byte(name: str) -> None:
    module = parse(real_modules()[name])
    for start, end in module.function_bodies:
        offset = read_locals(module.data, start, end)[1]
        depth = 1
        for at, operator, immediates, after in instructions(module.data, offset, end):
            assert at == offset < immediates <= after
            prefix = operator.code >> 16
            assert module.data[at] == (prefix or operator.code)
            depth += (operator.name in ("block", "loop", "if")) - (operator.name == "end")
            assert (depth == 0) == (after == end)
            offset = after
        assert offset == end


@pytest.mark.parametrize(
    ("code", "immediates"),
    [
        (b"\x10" + padded(3, 5), 1),  # call
        (b"\x11" + padded(100, 5) + padded(0, 5), 1),  # call_indirect
        (b"\x41" + b"\xff\xff\xff\xff\x7f", 1),  # i32.const -1
        (b"\x42" + b"\xff" * 9 + b"\x7f", 1),  # i64.const -1
        (b"\x28" + padded(2, 5) + padded(2**32 - 1, 5), 1),  # i32.load
        (b"\x02" + b"\x80\x80\x80\x80\x00", 1),  # block with type 0
        (b"\x02\x3f", 1),  # block with type 63
        (b"\x02\x6f", 1),  # block with an externref
        (b"\x0e" + padded(200, 5) + b"\x00" * 199 + padded(1, 5) * 2, 1),  # br_table
        (b"\x1c" + padded(1, 5) + b"\x7b", 1),  # select v128
        (b"\x3f" + padded(0, 5), 1),  # memory.size
        (b"\xfc" + padded(10, 5) + padded(0, 5) * 2, 6),  # memory.copy
        (b"\xfd" + padded(12, 5) + bytes(16), 6),  # v128.const
        (b"\xfd" + padded(255, 5), 6),  # f64x2.convert_low_i32x4_u
    ],
)
def test_overlong_integers_are_read_everywhere(code: bytes, immediates: int) -> None:
    first, second = walk(code + b"\x01")
    assert first[0] == 0
    assert first[2:] == (immediates, len(code))
    assert second == (len(code), OPERATORS[1], len(code) + 1, len(code) + 1)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (b"\x10\xff\xff\xff\xff\x1f", "integer too large in call"),
        (b"\x10\x80\x80\x80\x80\x80\x00", "integer representation too long in call"),
        (b"\x41\xff\xff\xff\xff\x6f", "integer too large in i32.const"),
        (b"\x42" + b"\xff" * 9 + b"\x7e", "integer too large in i64.const"),
        (b"\x42" + b"\xff" * 100_000 + b"\x7f", "integer representation too long in i64.const"),
        (b"\x11\x00\x80\x80\x80\x80\x10", "integer too large in call_indirect"),
        (b"\xfd\x80\x80\x80\x80\x10", "integer too large"),
        (b"\x02\xff\x7f", "negative type index in block"),
        (b"\x02\x41", "0x41 is not a block type"),
        (b"\x02\x64", "a type (0x64) of the typed function references proposal"),
        (b"\xd0\x7f", "0x7f is not a reference type"),
        (b"\xd0\x6e", "a type (0x6e) of the garbage collection proposal"),
        (b"\x1c\x01\x69", "a type (0x69) of the exception handling proposal"),
        (b"\x1c\x01\x00", "0x00 is not a value type"),
        (b"\x28\x42\x00", "a memory index of the multi-memory proposal"),
        (b"\x28\x80\x01\x00", "alignment too large in i32.load"),
        (b"\x3f\x01", "memory 1 of the multi-memory proposal"),
        (b"\xfc\x0a\x00\x01", "memory 1 of the multi-memory proposal"),
        (b"\x0e\xff\xff\xff\xff\x0f\x00", "4,294,967,295 labels do not fit"),
        (b"\x0e\x02\x00\x00", "2 labels do not fit"),
        (b"\x27", "unknown operator 0x27"),
        (b"\xff", "unknown operator 0xff"),
    ],
)
def test_malformed_code_is_refused(code: bytes, message: str) -> None:
    assert message in refused(code)
    assert not is_valid(function(b"\0" + code + b"\x0b"))


@pytest.mark.parametrize("name", real_modules())
def test_a_range_that_ends_within_an_instruction_is_refused(name: str) -> None:
    module = parse(real_modules()[name])
    start, end = max(module.function_bodies, key=lambda body: body[1] - body[0])
    start = read_locals(module.data, start, end)[1]
    end = min(end, start + 300)
    borders = {start, *(found[3] for found in _until(module.data, start, end))}
    for stop in range(start, end):
        for data in (module.data, module.data[:stop]):  # with and without bytes behind the range
            if stop in borders:
                walked = list(instructions(data, start, stop))
                assert (walked[-1][3] if walked else start) == stop
            else:
                with pytest.raises(ModuleCompilation, match=r"unexpected end|do not fit"):
                    list(instructions(data, start, stop))


def _until(data: bytes, start: int, end: int) -> list[Instruction]:
    found = []
    for instruction in instructions(data, start, len(data)):
        found.append(instruction)
        if instruction[3] >= end:
            break
    return found


any_code = st.binary(max_size=60) | st.lists(
    st.sampled_from(list(OPERATORS)).map(
        lambda code: (
            bytes((code,)) if code < 256 else bytes((code >> 16,)) + encode_unsigned(code & 0xFFFF)
        )
    )
    | st.binary(max_size=3),
    max_size=20,
).map(b"".join)


@settings(max_examples=200)
@given(any_code)
def test_any_bytes_are_walked_to_the_end_or_refused(code: bytes) -> None:
    try:
        walked = walk(code)
    except ModuleCompilation as error:
        said(error)
        assert not is_valid(function(b"\0" + code + b"\x0b"))
    else:
        assert b"".join(code[at:after] for at, _, _, after in walked) == code


class TestLocals:
    @pytest.mark.parametrize(
        ("body", "declarations"),
        [
            (b"\0", ()),
            (b"\x01\x02\x7f", ((2, "i32"),)),
            (b"\x03\x01\x7b\x00\x7e\x85\x80\x80\x80\x00\x70", ((1, "v128"), (5, "funcref"))),
            (b"\x81\x00" + encode_unsigned(MAX_LOCALS) + b"\x7c", ((MAX_LOCALS, "f64"),)),
        ],
    )
    def test_declarations(self, body: bytes, declarations: tuple[tuple[int, str], ...]) -> None:
        assert is_valid(function(body + b"\x0b"))
        assert read_locals(body + b"\x0b", 0, len(body) + 1) == (declarations, len(body))
        assert read_locals(b"\x01" + body, 1, len(body) + 1) == (declarations, len(body) + 1)

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            (b"", "unexpected end"),
            (b"\x01", "1 local declarations do not fit"),
            (b"\x01\x02", "unexpected end"),
            (b"\x01\x80\x80\x80\x80\x10\x7f", "integer too large"),
            (b"\x01\x01\x40", "0x40 is not a value type"),
            (b"\x01\x01\x64\x70", "a type (0x64) of the typed function references proposal"),
            (b"\xff\xff\xff\xff\x0f" + b"\x01\x7f" * 9, "4,294,967,295 local declarations"),
            (b"\x01" + encode_unsigned(MAX_LOCALS + 1) + b"\x7f", "50,001 locals, at most 50,000"),
            (b"\x02\xff\xff\xff\xff\x0f\x7f\x01\x7f", "4,294,967,295 locals, at most 50,000"),
            (vector([b"\x90\x4e\x7f"] * 6), "60,000 locals, at most 50,000"),
        ],
    )
    def test_what_is_refused(self, body: bytes, message: str) -> None:
        with pytest.raises(ModuleCompilation) as caught:
            read_locals(body, 0, len(body))
        assert message in said(caught.value)
        assert not is_valid(function(body + b"\x0b"))

    def test_declarations_of_nothing_take_no_memory(self) -> None:
        body = vector([b"\0\x7f"] * 100_000)
        assert read_locals(body, 0, len(body)) == ((), len(body))


class TestConstantExpression:
    def test_it_stops_behind_its_end(self) -> None:
        code = b"\x41\x2a\x0b\x01\x01"
        assert [found[1].name for found in constant_expression(code, 0, 5)] == ["i32.const", "end"]

    @pytest.mark.parametrize(
        ("code", "message"),
        [
            (b"\x41\x01", "has no end"),
            (b"\x41", "unexpected end in i32.const"),
            (b"\x20\x00\x0b", "local.get in a constant expression"),
            (b"\x41\x01\x41\x01\x6a\x0b", "of the extended constant expressions proposal"),
            (b"\x6a\x0b", "i32.add in a constant expression"),
            (b"\xfb\x00\x00\x0b", "of the garbage collection proposal"),
        ],
    )
    def test_what_is_refused(self, code: bytes, message: str) -> None:
        with pytest.raises(ModuleCompilation) as caught:
            list(constant_expression(code, 0, len(code)))
        assert message in said(caught.value)
