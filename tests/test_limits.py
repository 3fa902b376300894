"""Limits: their defaults and their ranges."""

from __future__ import annotations

import math

import pytest

from sen_host import Limits
from sen_host.errors import InvalidLimit


def test_the_defaults_of_the_rust_host() -> None:
    limits = Limits()
    assert limits.fuel == 10_000_000
    assert limits.stack_bytes == 1 << 20


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("fuel", 0, 2**64 - 1),
        ("memory_bytes", 65_536, 2**32),
        ("table_elements", 0, 2**32 - 1),
        ("stack_bytes", 131_072, 2**21),
        ("result_bytes", 1, 2**32 - 1),
        ("module_bytes", 8, 2**32 - 1),
    ],
)
def test_the_edges_of_each_range(name: str, low: int, high: int) -> None:
    for value in (low, high):
        assert getattr(Limits(**{name: value}), name) == value
    for value in (low - 1, high + 1):
        with pytest.raises(InvalidLimit) as caught:
            Limits(**{name: value})
        assert f"limits.{name} is {value}; it must be a whole number from" in str(caught.value)


@pytest.mark.parametrize("value", [True, 1.5, "5000", -1, math.nan])
def test_what_is_no_whole_number_is_refused(value: object) -> None:
    with pytest.raises(InvalidLimit, match=r"limits\.fuel"):
        Limits(fuel=value)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [0, -1, math.inf, math.nan, 86_401, True, "5"])
def test_what_is_no_time_is_refused(value: object) -> None:
    with pytest.raises(InvalidLimit, match="a number of seconds above 0"):
        Limits(wall_clock_seconds=value)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["fuel", "memory_bytes", "table_elements", "wall_clock_seconds"])
def test_some_limits_can_be_off(name: str) -> None:
    assert getattr(Limits(**{name: None}), name) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["stack_bytes", "result_bytes", "module_bytes"])
def test_the_others_cannot(name: str) -> None:
    with pytest.raises(InvalidLimit):
        Limits(**{name: None})  # type: ignore[arg-type]
