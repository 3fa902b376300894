"""The memory limit, written into modules and felt by guests on Wasmtime."""

from __future__ import annotations

import pytest
import wasmtime
from hypothesis import given
from hypothesis import strategies as st

from sen_host.errors import MemoryLimitExceeded
from sen_host.limits import PAGE_BYTES
from sen_host.wasm.memory_limit import limit_memory
from sen_host.wasm.reader import Limits, SectionId, parse
from tests.wasm.support import ENGINE, HEADER, every_section, is_valid, real_modules, section, wat


def growing(memory: str) -> bytes:
    return wat(
        f"""(module {memory}
          (func (export "grow") (param i32) (result i32) local.get 0 memory.grow)
          (func (export "size") (result i32) memory.size)
          (data (i32.const 0) ""))"""
    )


def limited(data: bytes, pages: int, more_bytes: int = 0) -> bytes:
    result = limit_memory(parse(data), pages * PAGE_BYTES + more_bytes)
    assert is_valid(result)
    return result


def pages_reached(data: bytes) -> int:
    """Where growth page by page ends."""
    store = wasmtime.Store(ENGINE)
    exports = wasmtime.Instance(store, wasmtime.Module(ENGINE, data), []).exports(store)
    grow, size = exports["grow"], exports["size"]
    assert isinstance(grow, wasmtime.Func)
    assert isinstance(size, wasmtime.Func)
    for _ in range(200):
        if grow(store, 1) == -1:
            break
    return int(size(store))


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
    assert pages_reached(limited(data, limit)) == reached
    assert pages_reached(limited(data, limit, more_bytes=PAGE_BYTES - 1)) == reached


def test_the_limit_can_be_all_there_is() -> None:
    memories = parse(limited(growing("(memory 1)"), 65_536)).memories
    assert memories[0].limits == Limits(1, 65_536)


@pytest.mark.parametrize("memory", ["(memory 6)", "(memory 6 9)"])
def test_more_initial_memory_than_the_limit_is_refused(memory: str) -> None:
    with pytest.raises(MemoryLimitExceeded) as caught:
        limit_memory(parse(growing(memory)), 5 * PAGE_BYTES + 1)
    assert caught.value.initial_bytes == 6 * PAGE_BYTES
    assert caught.value.limit_bytes == 5 * PAGE_BYTES
    assert "393,216 bytes" in caught.value.message
    assert "327,680 bytes" in caught.value.message


def test_imported_memory_is_left_to_the_host() -> None:
    data = wat('(module (import "env" "memory" (memory 9)))')
    assert limit_memory(parse(data), PAGE_BYTES) == data


def test_a_module_without_memory_stays_as_it_is() -> None:
    data = wat("(module (func))")
    assert limit_memory(parse(data), PAGE_BYTES) == data


def test_an_empty_memory_section_stays_valid() -> None:
    assert limited(HEADER + section(5, b"\0"), 1) == HEADER + section(5, b"\0")


@pytest.mark.parametrize("name", real_modules())
@pytest.mark.parametrize("pages", [300, 20_000])
def test_all_other_bytes_stay(name: str, pages: int) -> None:
    data = real_modules()[name]
    result = limited(data, pages)
    before, after = parse(data).section(SectionId.MEMORY), parse(result).section(SectionId.MEMORY)
    assert before is not None
    assert after is not None
    assert result[: after.start] == data[: before.start]
    assert result[after.end :] == data[before.end :]
    minimum, maximum = parse(data).memories[0].limits
    expected = pages if maximum is None else min(maximum, pages)
    assert parse(result).memories[0].limits == Limits(minimum, expected)


@given(st.integers(1, 65_536), st.none() | st.integers(1, 65_536), st.integers(1, 65_536))
def test_the_maximum_is_the_lower_one(minimum: int, maximum: int | None, limit: int) -> None:
    minimum = min(minimum, limit, maximum or limit)
    data = wat(f"(module (memory {minimum} {'' if maximum is None else maximum}))")
    result = limited(data, limit)
    assert parse(result).memories[0].limits == Limits(minimum, min(maximum or limit, limit))
    assert limited(result, limit) == result


def test_a_second_pass_with_a_lower_limit_holds() -> None:
    once = limited(every_section(), 4)
    assert parse(limited(once, 2)).memories[0].limits == Limits(1, 2)
