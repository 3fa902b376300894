"""Run the programs, unmetered and metered, in turn on every engine; keep the best time of each."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.metering.guests import BackendGuest, Guest, OwnMeterGuest
from benchmarks.metering.programs import Program, Timing
from benchmarks.progress import Progress
from sen_host.backend import Backend

UNMETERED, METERED, OWN_METER = "unmetered", "metered", "own meter"
VARIANTS = (UNMETERED, METERED, OWN_METER)
HAS_OWN_METER = "wasmtime"


class Disagreement(Exception):
    """An engine or a variant gave another result than the others, or used other fuel."""


@dataclass
class Times:
    """What was measured of one program.

    Attributes:
        checksum: of the result, equal everywhere.
        fuel: by the schedule, for each round: a plugin may find more memory free in
            a later one. Equal on every engine.
        best: the least seconds by engine and variant.
    """

    checksum: int | None = None
    fuel: list[int] = field(default_factory=list)
    best: dict[tuple[str, str], float] = field(default_factory=dict)

    def ratio(self, engine: str, variant: str) -> float:
        """The time of a variant to that of unmetered code."""
        return self.best[engine, variant] / self.best[engine, UNMETERED]


def measure(
    programs: Sequence[Program],
    backends: Mapping[str, Backend],
    *,
    rounds: int,
    small: bool,
    progress: Progress,
) -> dict[str, Times]:
    """The times of each program by its name.

    Args:
        backends: the engines by the name they get in the result.
        rounds: how often each is run; they take turns.
        small: whether to run small sizes, which tell nothing about time.

    Raises:
        Disagreement: results or fuel are not equal.
    """
    progress("compiling")
    guests: dict[tuple[Path, str, str], Guest] = {}
    times = {program.name: Times() for program in programs}
    try:
        for path in dict.fromkeys(program.module for program in programs):
            wasm = path.read_bytes()
            for name, backend in backends.items():
                guests[path, name, UNMETERED] = BackendGuest(backend, wasm, metered=False)
                guests[path, name, METERED] = BackendGuest(backend, wasm, metered=True)
                if backend.name == HAS_OWN_METER:
                    guests[path, name, OWN_METER] = OwnMeterGuest(wasm)
        for turn in range(rounds):
            for program in programs:
                progress(f"round {turn + 1} of {rounds}: {program.name}")
                chosen = [item for item in guests.items() if item[0][0] == program.module]
                # Whoever comes first finds cold caches: so the order changes.
                for (_, engine, variant), guest in chosen[:: -1 if turn % 2 else 1]:
                    timing = program.run(guest, small=small)
                    _note(times[program.name], turn, engine, variant, timing, program.name)
    finally:
        for guest in guests.values():
            guest.close()
    return times


def _note(times: Times, turn: int, engine: str, variant: str, timing: Timing, program: str) -> None:
    where = f"{program} on {engine}, {variant}"
    if times.checksum is None:
        times.checksum = timing.checksum
    if timing.checksum != times.checksum:
        raise Disagreement(
            f"{where}: the result is {timing.checksum}, elsewhere it is {times.checksum}"
        )
    if variant == METERED and timing.fuel is not None:
        if turn == len(times.fuel):
            times.fuel.append(timing.fuel)
        if timing.fuel != times.fuel[turn]:
            raise Disagreement(
                f"{where}: the fuel is {timing.fuel}, elsewhere it is {times.fuel[turn]}"
            )
    key = engine, variant
    times.best[key] = min(timing.seconds, times.best.get(key, math.inf))


def geometric_mean(values: Iterable[float]) -> float:
    """Of at least one value above zero."""
    logarithms = [math.log(value) for value in values]
    return math.exp(sum(logarithms) / len(logarithms))
