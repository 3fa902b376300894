"""The rows of the table: what is measured, what is made of it, and what it has to reach."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from benchmarks.progress import Progress
from benchmarks.speed import calls, growth, scale, starts
from benchmarks.speed.outcome import OURS, Outcome
from benchmarks.speed.sampling import slope
from benchmarks.speed.settings import Settings

Samples = Mapping[str, Sequence[float]]
Trial = Callable[[Settings, Progress], Outcome]


@dataclass(frozen=True)
class Figure:
    """One number that is made of a row's samples.

    Attributes:
        text: what it tells.
        values: one for each round.
        needs: the contestants that it is made of.
        unit: behind the number, e.g. "x", "ms".
        goal: the bound of its median, and on which side of it that must lie.
    """

    text: str
    values: Callable[[Samples], Sequence[float]]
    needs: tuple[str, ...]
    unit: str
    goal: tuple[Literal["at least", "at most"], float]

    def reached(self, median: float) -> bool:
        """Whether that is good enough."""
        side, bound = self.goal
        return median >= bound if side == "at least" else median <= bound


@dataclass(frozen=True)
class Row:
    """A kind of work that is measured, in a process of its own.

    Attributes:
        name: by which it is chosen.
        work: what is done.
        trial: does it; None if it cannot be measured yet.
        figures: at least one.
        scale, unit: what a sample is multiplied with to be shown, and its unit then.
        reason: why there is no trial.
        python310: whether it needs CPython 3.10.
    """

    name: str
    work: str
    trial: Trial | None
    figures: tuple[Figure, ...]
    scale: float = 1e6
    unit: str = "µs"
    reason: str | None = None
    python310: bool = False


def _over(
    upper: str, lower: str, text: str, side: Literal["at least", "at most"], bound: float
) -> Figure:
    """How many times the one is the other."""

    def values(samples: Samples) -> list[float]:
        return [a / b for a, b in zip(samples[upper], samples[lower], strict=True)]

    return Figure(text, values, (upper, lower), "x", (side, bound))


def _above_bare(samples: Samples) -> list[float]:
    pairs = zip(samples[OURS], samples[starts.BARE], strict=True)
    return [(ours - bare) * 1e3 for ours, bare in pairs]


def _above_bare_over_extism(samples: Samples) -> list[float]:
    triples = zip(samples[OURS], samples[calls.EXTISM], samples[starts.BARE], strict=True)
    return [(ours - bare) / (extism - bare) for ours, extism, bare in triples]


def _alone(factor: float, samples: Samples, *, name: str = OURS) -> list[float]:
    return [value * factor for value in samples[name]]


def _slope(samples: Samples, *, above: int = 0) -> list[float]:
    """Of each round; the contestants are sizes."""
    sizes = [size for size in samples if int(size) >= above]
    rounds = zip(*(samples[size] for size in sizes), strict=True)
    return [
        slope([(int(size), seconds) for size, seconds in zip(sizes, turn, strict=True)])
        for turn in rounds
    ]


def _execute(name: str, length: int, what: str, port: float, extism: float) -> Row:
    return Row(
        name,
        f"execute of echo, {what}, typed result, fuel on, Wasmtime",
        partial(calls.in_wasmtime, length=length),
        (
            _over(calls.PORT, OURS, "times faster than a plain port", "at least", port),
            _over(calls.EXTISM, OURS, "times faster than Extism", "at least", extism),
        ),
    )


ROWS = (
    _execute("execute-64", calls.SMALL, "64 bytes", 20, 3),
    _execute("execute-64k", calls.LARGE, "64 KiB", 8, 2),
    Row(
        "execute-wasmer",
        "the same with 64 bytes, Wasmer 2.1 in process",
        calls.in_wasmer,
        (_over(OURS, calls.RAW, "times a raw call through a memoryview", "at most", 2),),
        python310=True,
    ),
    Row(
        "execute-worker",
        "the same with 64 bytes, Wasmer 7 in a worker process",
        calls.in_wasmer_worker,
        (_over(OURS, calls.PIPES, "times a bare pipe round trip", "at most", 1.5),),
    ),
    Row(
        "first-result",
        "process start to first result, 320 KB plugin, cached",
        starts.first_result,
        (
            Figure(
                "above a bare interpreter",
                _above_bare,
                (OURS, starts.BARE),
                "ms",
                ("at most", 12),
            ),
            Figure(
                "of what Extism takes above it",
                _above_bare_over_extism,
                (OURS, calls.EXTISM, starts.BARE),
                "x",
                ("at most", 0.5),
            ),
        ),
        scale=1e3,
        unit="ms",
    ),
    Row(
        "command",
        "sen-host run, 320 KB plugin, cached",
        starts.command,
        (Figure("above python -c pass", _above_bare, (OURS, starts.BARE), "ms", ("at most", 60)),),
        scale=1e3,
        unit="ms",
    ),
    Row(
        "load-again",
        "loading the 320 KB plugin again",
        starts.load_again,
        (
            Figure("while it is open", partial(_alone, 1e3), (OURS,), "ms", ("at most", 2)),
            Figure(
                "after it was closed",
                partial(_alone, 1e3, name=starts.CLOSED),
                (starts.CLOSED,),
                "ms",
                ("at most", 2),
            ),
        ),
        scale=1e3,
        unit="ms",
    ),
    Row(
        "instances",
        "further instances of a loaded echo, called once each",
        scale.instances,
        (Figure("resident for each", partial(_alone, 1), (OURS,), "KB", ("at most", 40)),),
        scale=1,
        unit="KB",
    ),
    Row(
        "plugins",
        "many different plugins in one process",
        scale.plugins,
        (Figure("of them work", partial(_alone, 1), (OURS,), "plugins", ("at least", 1_000)),),
        scale=1,
        unit="plugins",
    ),
    Row(
        "threads",
        "two threads, two plugins, guest-bound, Wasmtime",
        scale.threads,
        (
            _over(
                scale.TWO_THREADS,
                scale.ONE_THREAD,
                "times the calls of one thread",
                "at least",
                1.8,
            ),
        ),
        scale=1,
        unit="calls/s",
    ),
    Row(
        "load-size",
        "cold load against module size, 10 KB to 10 MB",
        growth.load_cold,
        (
            Figure("power of the size", _slope, (), "", ("at most", 1.1)),
            Figure(
                "power of the size, above 1 MB",
                partial(_slope, above=1_000_000),
                (str(10**6), str(10**7)),
                "",
                ("at most", 1.1),
            ),
        ),
        scale=1e3,
        unit="ms",
    ),
    Row(
        "registry",
        "registry look-up against 1 to 10,000 plugins",
        growth.look_up,
        (
            Figure("power of the number", _slope, (), "", ("at most", 0.1)),
            _over("10000", "1", "times the look-up of one plugin, among 10,000", "at most", 2),
        ),
    ),
)
