"""The memory limit, written into modules and felt by guests on Wasmtime."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sen_host.errors import MemoryLimitExceeded
from sen_host.limits import PAGE_BYTES
from sen_host.wasm.instrument import instrument
from sen_host.wasm.memory_limit import MAX_PAGES
from sen_host.wasm.reader import Limits, parse
from tests.wasm.metered import on_wasmtime
from tests.wasm.support import HEADER, every_section, is_valid, real_modules, section, wat


def growing(memory: str) -> bytes:
    """A module whose export grows page by page and returns where that ended."""
    return wat(
        f"""(module {memory}
          (func (export "run") (result i32)
            (loop (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
            memory.size)
          (data (i32.const 0) ""))"""
    )


def limited(data: bytes, pages: int, more_bytes: int = 0) -> bytes:
    result = instrument(parse(data), memory_bytes=pages * PAGE_BYTES + more_bytes).wasm
    assert is_valid(result)
    return result


@pytest.mark.parametrize(
    ("memory", "limit", "reached"),
    [
        ("(memory 1)", 5, 5),
        ("(memory 5)", 5, 5),
        ("(memory 1 3)", 5, 3),
        ("(memory 1 5)", 5, 5),
        ("(memory 1 100)", 5, 5),
        ("(memory 0)", 1, 1),
        ("(memory 1 65536)", 130, 130),
    ],
)
def test_growth_ends_at_the_limit(memory: str, limit: int, reached: int) -> None:
    data = growing(memory)
    for more_bytes in (0, PAGE_BYTES - 1):
        assert on_wasmtime(limited(data, limit, more_bytes), "run").results == (reached,)


@pytest.mark.parametrize("memory", ["(memory 1)", "(memory 1 65536)"])
def test_the_last_page_that_addresses_allow_is_never_given(memory: str) -> None:
    memories = parse(limited(growing(memory), 65_536)).memories
    assert memories[0].limits == Limits(1, MAX_PAGES)
    assert MAX_PAGES == 65_535


@pytest.mark.parametrize("memory", ["(memory 6)", "(memory 6 9)"])
def test_more_initial_memory_than_the_limit_is_refused(memory: str) -> None:
    with pytest.raises(MemoryLimitExceeded) as caught:
        limited(growing(memory), 5, more_bytes=1)
    assert caught.value.initial_bytes == 6 * PAGE_BYTES
    assert caught.value.limit_bytes == 5 * PAGE_BYTES
    assert "393,216 bytes" in caught.value.message
    assert "327,680 bytes" in caught.value.message


def test_imported_memory_is_left_to_the_host() -> None:
    data = wat('(module (import "env" "memory" (memory 9)))')
    (memory,) = parse(limited(data, 1)).imported("memory")
    assert str(memory.type) == "memory 9 to any pages"


def test_a_module_without_memory_gets_none() -> None:
    assert parse(limited(wat("(module (func))"), 1)).memories == ()


def test_an_empty_memory_section_stays_valid() -> None:
    assert parse(limited(HEADER + section(5, b"\0"), 1)).memories == ()


@pytest.mark.parametrize("name", real_modules())
@pytest.mark.parametrize("pages", [300, 20_000])
def test_real_modules(name: str, pages: int) -> None:
    data = real_modules()[name]
    minimum, maximum = parse(data).memories[0].limits
    expected = pages if maximum is None else min(maximum, pages)
    assert parse(limited(data, pages)).memories[0].limits == Limits(minimum, expected)


@given(st.integers(1, MAX_PAGES), st.none() | st.integers(1, 65_536), st.integers(1, MAX_PAGES))
def test_the_maximum_is_the_lower_one(minimum: int, maximum: int | None, limit: int) -> None:
    minimum = min(minimum, limit, maximum or limit)
    data = wat(f"(module (memory {minimum} {'' if maximum is None else maximum}))")
    result = limited(data, limit)
    assert parse(result).memories[0].limits == Limits(minimum, min(maximum or limit, limit))


def test_a_module_with_every_section() -> None:
    assert parse(limited(every_section(), 4)).memories[0].limits == Limits(1, 4)
