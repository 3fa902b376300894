"""Time several ways of doing the same, in turn."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import repeat
from time import perf_counter
from typing import NamedTuple

from benchmarks.progress import Progress


class WrongResult(Exception):
    """A contestant gave something else than it should."""


class Contestant(NamedTuple):
    """A way of doing it, and what comes of it."""

    call: Callable[[], object]
    expected: object


class Spread(NamedTuple):
    """Median and quartiles."""

    low: float
    median: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """The spread of at least one value; quartiles lie between values, in proportion."""
    ordered = sorted(values)

    def at(share: float) -> float:
        place = share * (len(ordered) - 1)
        below = math.floor(place)
        above = math.ceil(place)
        return ordered[below] + (ordered[above] - ordered[below]) * (place - below)

    return Spread(at(0.25), at(0.5), at(0.75))


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Of the straight line through the logarithms: the power of x with which y grows.

    Args:
        points: at least two, of different x, all above zero.
    """
    xs = [math.log(x) for x, _ in points]
    ys = [math.log(y) for _, y in points]
    x_mean, y_mean = sum(xs) / len(xs), sum(ys) / len(ys)
    rise = sum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True))
    return rise / sum((x - x_mean) ** 2 for x in xs)


def take_turns(
    contestants: Mapping[str, Contestant],
    *,
    rounds: int,
    seconds: float,
    progress: Progress,
) -> dict[str, list[float]]:
    """The seconds a call of each contestant, one for each round.

    Args:
        seconds: how long a contestant's turn takes, about; it makes as many calls.

    Raises:
        WrongResult: the last call of a turn did not give what it should.
    """
    counts = {name: _calls_in(seconds, name, way) for name, way in contestants.items()}
    samples: dict[str, list[float]] = {name: [] for name in contestants}
    names = list(contestants)
    for turn in range(rounds):
        progress(f"round {turn + 1} of {rounds}")
        # Whoever comes first finds cold caches: so the order changes.
        for name in names[:: -1 if turn % 2 else 1]:
            samples[name].append(_timed(name, contestants[name], counts[name]) / counts[name])
    return samples


def _calls_in(seconds: float, name: str, contestant: Contestant) -> int:
    count = 1
    while (taken := _timed(name, contestant, count)) < seconds / 2:
        count *= 2
    return max(1, round(count * seconds / taken))


def _timed(name: str, contestant: Contestant, count: int) -> float:
    call, expected = contestant
    result: object = None
    started = perf_counter()
    for _ in repeat(None, count):
        result = call()
    taken = perf_counter() - started
    if result != expected:
        raise WrongResult(f"{name} gave {_short(result)}, not {_short(expected)}")
    return taken


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."
