"""Hostile input to the reader: it refuses with ModuleCompilation, soon and in little memory."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sen_host.errors import MemoryLimitExceeded, ModuleCompilation
from sen_host.limits import PAGE_BYTES
from sen_host.wasm.features import features_used
from sen_host.wasm.instrument import instrument
from sen_host.wasm.leb128 import encode_unsigned
from sen_host.wasm.reader import ParsedModule, parse
from tests.wasm.support import (
    HEADER,
    every_section,
    is_valid,
    module,
    real_modules,
    said,
    section,
)

TYPE = section(1, b"\x01\x60\x00\x00")
U32_MAX = b"\xff\xff\xff\xff\x0f"


def refused(data: bytes) -> ModuleCompilation:
    with pytest.raises(ModuleCompilation) as caught:
        parse(data)
    return caught.value


@pytest.mark.parametrize(
    ("data", "message", "offset"),
    [
        (b"", "the module is empty", 0),
        (b"\0", "truncated within its header", 1),
        (b"\0asm", "truncated within its header", 4),
        (b"\0asm\x01\0\0", "truncated within its header", 7),
        (b"(module)", "is text, not a WebAssembly binary", 0),
        (b"\n\t  ;; a comment\n(module)", "is text, not a WebAssembly binary", 0),
        (b"\0asn\x01\0\0\0", "does not start with '\\0asm'", 0),
        (b"\x7fELF" + bytes(60), "does not start with '\\0asm'", 0),
        (b" " * 100_000, "does not start with '\\0asm'", 0),
        (b"\0asm\x0d\0\x01\0", "a WebAssembly component, not a core module", 4),
        (b"\0asm\x02\0\0\0", "binary version 2, this host reads version 1", 4),
        (b"\0asm\xff\xff\xff\xff", "binary version 4294967295", 4),
    ],
)
def test_headers(data: bytes, message: str, offset: int) -> None:
    error = refused(data)
    assert message in error.message
    assert error.offset == offset


@pytest.mark.parametrize(
    ("data", "message", "offset"),
    [
        (b"\x01", "unexpected end", 9),
        (b"\x01\x80", "unexpected end", 9),
        (b"\x01\x05\x00", "unexpected end", 10),
        (b"\x01" + U32_MAX, "unexpected end", 14),
        (b"\x01\xff\xff\xff\xff\x1f", "integer too large", 9),
        (b"\x01\x81\x80\x80\x80\x80\x00\x00", "integer representation too long", 9),
        (section(14, b""), "unknown section id 14", 8),
        (section(255, b""), "unknown section id 255", 8),
        (TYPE + TYPE, "section 1 is out of order or stands twice", 14),
        (section(3, b"\0") + TYPE, "section 1 is out of order or stands twice", 11),
        (
            section(10, b"\0") + section(12, b"\0"),
            "section 12 is out of order or stands twice",
            11,
        ),
        (section(1, b"\x00\x00"), "section 1 is longer than its content", 11),
        (section(8, b"\x80") + section(9, b"\0"), "unexpected end", 10),
        (section(8, b"\x00\x00"), "section 8 is longer than its content", 11),
        (section(12, b"\x00\x00"), "section 12 is longer than its content", 11),
        (section(1, b""), "unexpected end", 10),
        (section(1, b"\x01"), "1 types do not fit", 10),
        (section(1, b"\x01\x61\x00\x00"), "0x61 is not a function type", 11),
        (section(1, b"\x01\x60\x02\x7f\x7f\x01"), "1 results do not fit", 15),
        (section(1, b"\x01\x60\x02\x7f\x40\x00"), "0x40 is not a value type", 14),
        (section(0, b""), "unexpected end", 10),
        (section(0, b"\x05abc"), "unexpected end", 11),
        (section(0, b"\x01\xff"), "a name is not UTF-8", 11),
        (section(0, b"\x03\xed\xa0\x80"), "a name is not UTF-8", 11),  # a surrogate
        (section(2, b"\x01\x01\xc3\x01a\x02\x00\x01"), "a name is not UTF-8", 12),
        (section(2, b"\x01\x00\x02\xc0\x80\x02\x00\x01"), "a name is not UTF-8", 13),
        (section(2, b"\x01\x00\x00\x05\x00"), "unknown kind of import or export 0x05", 13),
        (section(2, b"\x01\x00\x00\x00\x00"), "type 0 does not exist", 14),
        (section(2, b"\x01\x00\x00\x03\x7f\x05"), "unknown mutability 0x05", 15),
        (section(3, b"\x01\x00"), "type 0 does not exist", 11),
        (section(4, b"\x01\x7f\x00\x00"), "0x7f is not a reference type", 11),
        (section(5, b"\x01\x10\x00"), "unknown limits 0x10 of a memory", 11),
        (section(5, b"\x01\x01\x01"), "unexpected end", 13),
        (section(6, b"\x01\x7f\x00\x41\x00"), "a constant expression has no end", 15),
        (section(6, b"\x01\x7f\x00\x41"), "unexpected end in i32.const", 13),
        (section(6, b"\x01\x7f\x00\x41" + b"\x80" * 90 + b"\0\x0b"), "too long in i32.const", 13),
        (section(6, b"\x01\x7f\x00\x10\x00\x0b"), "call in a constant expression", 13),
        (section(7, b"\x01\x01\xff\x00\x00"), "a name is not UTF-8", 12),
        (section(7, b"\x01\x01x\x09\x00"), "unknown kind of import or export 0x09", 13),
        (TYPE + section(3, b"\x01\x00"), "1 functions are declared, 0 have a body", 18),
        (section(10, b"\x01\x02\x00\x0b"), "0 functions are declared, 1 have a body", 14),
        (TYPE + section(3, b"\x01\x00") + section(10, b"\x01\x03\x00\x0b"), "unexpected end", 22),
    ],
)
def test_structure(data: bytes, message: str, offset: int) -> None:
    error = refused(HEADER + data)
    assert (
        said(error)
        == f"the module is malformed at offset {offset:#x}: " + (error.message.partition(": ")[2])
    )
    assert message in error.message
    assert error.offset == offset
    assert not is_valid(HEADER + data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (section(1, encode_unsigned(10**6 + 1) + b"\x60\0\0" * 9), "1,000,001 types, at most"),
        (section(1, b"\x01\x60\xe9\x07" + b"\x7f" * 1001 + b"\0"), "1,001 parameters, at most"),
        (section(1, b"\x01\x60\x00\xe9\x07" + b"\x7f" * 1001), "1,001 results, at most 1,000"),
        (section(2, encode_unsigned(10**6 + 1)), "1,000,001 imports, at most"),
        (section(3, encode_unsigned(10**6 + 1)), "1,000,001 functions, at most"),
        (section(4, b"\x65" + b"\x70\0\0" * 101), "101 tables, at most 100"),
        (section(6, encode_unsigned(10**6 + 1)), "1,000,001 globals, at most"),
        (section(7, encode_unsigned(10**6 + 1)), "1,000,001 exports, at most"),
        (section(10, encode_unsigned(10**6 + 1)), "1,000,001 function bodies, at most"),
        (section(7, b"\x01\xa1\x8d\x06" + b"a" * 100_001 + b"\0\0"), "a name of 100,001 bytes"),
        (
            TYPE + section(3, b"\x01\0") + section(10, b"\x01\xb2\x97\xd3\x03" + bytes(7_654_322)),
            "a function of 7,654,322 bytes, at most 7,654,321 are read",
        ),
    ],
)
def test_more_than_engines_take(data: bytes, message: str) -> None:
    assert message in said(refused(HEADER + data))
    assert not is_valid(HEADER + data)


def peak_bytes(data: bytes) -> int:
    """The most memory that reading takes, whether it ends well or not."""
    tracemalloc.start()
    try:
        parse(data)
    except ModuleCompilation:
        pass  # refusing is what most of these modules are for
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak


@pytest.mark.parametrize("id", [1, 2, 3, 4, 5, 6, 7, 9, 10, 11])
def test_a_claim_of_four_billion_items_takes_no_memory(id: int) -> None:
    data = module(section(id, U32_MAX + bytes(100_000)))
    assert not is_valid(data)
    assert peak_bytes(data) < 100_000
    if id in (9, 11):  # the reader leaves these sections closed
        with pytest.raises(ModuleCompilation, match=r"4,294,967,295 .* segments, at most 100,000"):
            features_used(parse(data))
    else:
        refused(data)


def test_a_claim_of_four_billion_locals_or_elements_takes_no_memory() -> None:
    types = TYPE + section(3, b"\x01\0")
    body = U32_MAX + bytes(90)
    for data in (
        module(section(9, b"\x01\x01\x00" + U32_MAX + bytes(100))),
        module(types + section(10, b"\x01" + bytes((len(body),)) + body)),
    ):
        parsed = parse(data)
        tracemalloc.start()
        with pytest.raises(ModuleCompilation):
            features_used(parsed)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 100_000


def test_many_custom_sections_take_bounded_memory() -> None:
    assert len(parse(module(section(0, b"\0") * 1000)).custom_sections) == 1000
    data = module(section(0, b"\0") * 100_001)
    assert "more than 100,000 custom sections" in said(refused(data))


def test_a_large_module_takes_little_more_than_its_size() -> None:
    data = module(section(0, b"\0" + bytes(8_000_000)), section(11, b"\0" + bytes(8_000_000)))
    assert peak_bytes(data) < 8_100_000


@pytest.mark.parametrize("name", real_modules())
def test_truncation(name: str) -> None:
    data = real_modules()[name]
    borders = {8} | {found.end for found in parse(data).sections}
    # Every byte of small modules; of large ones what lies around the borders, and samples.
    near = {border + step for border in borders for step in range(-40, 40)}
    stops = near | set(range(0, len(data), 1 if len(data) < 3_000 else 97))
    for stop in sorted(stop for stop in stops if 0 <= stop < len(data)):
        truncated = data[:stop]
        parsed = parsed_or_refused(truncated)
        if isinstance(parsed, ModuleCompilation):
            assert parsed.offset is not None
            assert parsed.offset <= stop
            assert not is_valid(truncated)
        else:
            assert stop in borders


def parsed_or_refused(data: bytes) -> ParsedModule | ModuleCompilation:
    try:
        return parse(data)
    except ModuleCompilation as error:
        return error


def seen_or_refused(data: bytes) -> ParsedModule | ModuleCompilation:
    try:
        parsed = parse(data)
        features_used(parsed)
        for export in parsed.exports:
            parsed.type_of(export)
    except ModuleCompilation as error:
        return error
    return parsed


def check_hostile(data: bytes) -> None:
    """Only errors of the plugin come out, and nothing valid is refused."""
    parsed = seen_or_refused(data)
    if isinstance(parsed, ModuleCompilation):
        # Wasmtime's binding cannot switch every later proposal off.
        assert "proposal" in parsed.message or not is_valid(data)
        return
    if is_valid(data):
        try:
            assert is_valid(instrument(parsed, memory_bytes=PAGE_BYTES).wasm)
        except MemoryLimitExceeded:
            return


replacements = st.lists(
    st.tuples(st.integers(8, len(every_section()) - 1), st.integers(0, 255)), max_size=4
)


@settings(max_examples=400)
@given(replacements)
def test_changed_bytes(changes: list[tuple[int, int]]) -> None:
    data = bytearray(every_section())
    for index, byte in changes:
        data[index] = byte
    check_hostile(bytes(data))


@settings(max_examples=150)
@given(st.integers(8, len(every_section())), st.integers(0, 12), st.binary(max_size=6))
def test_cut_and_inserted_bytes(index: int, cut: int, inserted: bytes) -> None:
    data = every_section()
    check_hostile(data[:index] + inserted + data[index + cut :])


@settings(max_examples=150)
@given(st.lists(st.tuples(st.integers(0, 14), st.binary(max_size=20)), max_size=4))
def test_sections_of_random_content(sections: list[tuple[int, bytes]]) -> None:
    check_hostile(module(*(section(id, content) for id, content in sections)))


@given(st.binary(max_size=40))
def test_random_bytes(data: bytes) -> None:
    check_hostile(HEADER + data)
    refused(b"\0" + data)
