"""LEB128, against the grammar of the specification (section 5.2.2) read literally."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sen_host.wasm.leb128 import decode_signed, decode_unsigned, encode_signed, encode_unsigned

UNSIGNED_BITS = (32, 64)
SIGNED_BITS = (32, 33, 64)


def unsigned_by_grammar(data: bytes, bits: int) -> tuple[int, int]:
    first, rest = data[0], data[1:]
    if first < 2**7 and first < 2**bits:
        return first, 1
    if first >= 2**7 and bits > 7:
        value, length = unsigned_by_grammar(rest, bits - 7)
        return 2**7 * value + (first - 2**7), length + 1
    raise ValueError


def signed_by_grammar(data: bytes, bits: int) -> tuple[int, int]:
    first, rest = data[0], data[1:]
    if first < 2**6 and first < 2 ** (bits - 1):
        return first, 1
    if 2**6 <= first < 2**7 and first >= 2**7 - 2 ** (bits - 1):
        return first - 2**7, 1
    if first >= 2**7 and bits > 7:
        value, length = signed_by_grammar(rest, bits - 7)
        return 2**7 * value + (first - 2**7), length + 1
    raise ValueError


def outcome(decode: object, *arguments: object) -> object:
    assert callable(decode)
    try:
        return decode(*arguments)
    except (IndexError, ValueError) as error:
        return type(error)


# Mostly continued bytes: the legal and illegal ends of long forms are the interesting part.
long_forms = st.builds(
    lambda head, last, tail: bytes(byte | 0x80 for byte in head) + bytes((last,)) + tail,
    st.lists(st.sampled_from([0x00, 0x7F]) | st.integers(0, 0x7F), max_size=11),
    st.integers(0, 0x7F),
    st.binary(max_size=2),
)


@given(long_forms | st.binary(max_size=12))
@example(b"")
@example(b"\x80" * 4)
def test_every_form_is_read_or_refused_as_the_grammar_says(data: bytes) -> None:
    for bits in UNSIGNED_BITS:
        assert outcome(decode_unsigned, data, 0, bits) == outcome(unsigned_by_grammar, data, bits)
    for bits in SIGNED_BITS:
        assert outcome(decode_signed, data, 0, bits) == outcome(signed_by_grammar, data, bits)


@pytest.mark.parametrize("filler", [0x80, 0xFF])
@pytest.mark.parametrize("length", range(11))
def test_every_last_byte_at_every_length(length: int, filler: int) -> None:
    for last in range(256):
        data = bytes((filler,)) * length + bytes((last,))
        for bits in UNSIGNED_BITS:
            expected = outcome(unsigned_by_grammar, data, bits)
            assert outcome(decode_unsigned, data, 0, bits) == expected
        for bits in SIGNED_BITS:
            expected = outcome(signed_by_grammar, data, bits)
            assert outcome(decode_signed, data, 0, bits) == expected


@given(st.integers(0, 2**64 - 1), st.binary(max_size=3), st.binary(max_size=3))
def test_unsigned_values_survive(value: int, before: bytes, after: bytes) -> None:
    form = encode_unsigned(value)
    assert decode_unsigned(before + form + after, len(before), 64) == (
        value,
        len(before) + len(form),
    )
    assert len(form) == max(1, -(-value.bit_length() // 7)), "the form is not the shortest"


@given(st.integers(-(2**63), 2**63 - 1), st.binary(max_size=3), st.binary(max_size=3))
def test_signed_values_survive(value: int, before: bytes, after: bytes) -> None:
    form = encode_signed(value)
    assert decode_signed(before + form + after, len(before), 64) == (
        value,
        len(before) + len(form),
    )
    magnitude = value if value >= 0 else ~value
    assert len(form) == magnitude.bit_length() // 7 + 1, "the form is not the shortest"


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_overlong_forms_have_the_same_value(value: int, length: int) -> None:
    shortest = encode_unsigned(value)
    length = max(length, len(shortest))
    padded = bytearray(shortest.ljust(length, b"\0"))
    for index in range(length - 1):
        padded[index] |= 0x80
    assert decode_unsigned(bytes(padded), 0) == (value, length)


def test_a_negative_number_has_no_unsigned_form() -> None:
    with pytest.raises(ValueError, match="range"):
        encode_unsigned(-1)
