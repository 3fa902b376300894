"""What was measured, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import distributions
from typing import Any

from benchmarks.metering.report import machine
from benchmarks.speed.outcome import OURS, Outcome
from benchmarks.speed.rows import Figure, Row
from benchmarks.speed.sampling import Spread, spread
from benchmarks.speed.settings import Settings

PACKAGES = ("sen-host", "wasmtime", "wasmer-sdk", "extism", "extism-sys", "msgpack")


@dataclass(frozen=True)
class Judged:
    """A figure, and its spread, or the reason why it was not measured."""

    figure: Figure
    found: Spread | None
    reason: str | None

    @property
    def verdict(self) -> str:
        """Whether the goal is reached, in a word."""
        if self.found is None:
            return "not measured"
        return "reached" if self.figure.reached(self.found.median) else "NOT reached"


@dataclass(frozen=True)
class Measured:
    """A row and what came of it. ``failure`` is set if its trial failed."""

    row: Row
    outcome: Outcome
    failure: str | None = None

    def figures(self) -> Iterator[Judged]:
        """Each figure of the row."""
        samples, missing = self.outcome.samples, self.outcome.missing
        for figure in self.row.figures:
            lacking = [name for name in figure.needs if name not in samples]
            reason = self.failure or self.row.reason or missing.get(OURS)
            if reason is None and lacking:
                reason = missing.get(lacking[0], f"no figures for {lacking[0]}")
            found = None if reason else spread(figure.values(samples))
            yield Judged(figure, found, reason)


def head(settings: Settings) -> Iterator[str]:
    """Versions, machine, and what a figure is."""
    yield machine()
    yield ", ".join(f"{name} {found}" for name, found in versions().items())
    yield (
        f"medians and quartiles of {settings.rounds} rounds of calls, {settings.starts} of starts"
    )


def versions() -> dict[str, str]:
    """Of the packages that take part, as far as they are installed."""
    installed = {distribution.name: distribution.version for distribution in distributions()}
    return {name: installed.get(name, "not installed") for name in PACKAGES}


def table_head() -> str:
    """What stands above the lines of all rows."""
    return f"{'':57}{'median':>14}{'quartiles':>20}  to reach"


def table_lines(measured: Measured) -> Iterator[str]:
    """The row's work, and a line for each figure: what it came to, and if that is enough."""
    yield measured.row.work
    for judged in measured.figures():
        figure, found = judged.figure, judged.found
        side, bound = figure.goal
        goal = f"{side} {with_unit(bound, figure.unit)}"
        middle, between = "", ""
        if found is not None:
            middle = with_unit(found.median, figure.unit)
            between = f"{number(found.low)} .. {number(found.high)}"
        yield (
            f"  {measured.row.name:15}{figure.text:40}{middle:>14}{between:>20}"
            f"  {goal:18} {judged.verdict}"
        )
        if judged.reason:
            yield f"{'':17}not measured: {judged.reason.splitlines()[0]}"


def times(rows: Sequence[Measured]) -> Iterator[str]:
    """What each contestant took, in the order in which they are quoted."""
    for measured in rows:
        row, outcome = measured.row, measured.outcome
        parts = [
            f"{name} {number(spread(values).median * row.scale)} {row.unit}"
            for name, values in outcome.samples.items()
        ]
        parts += [f"{name}: {number(value)}" for name, value in outcome.facts.items()]
        if parts:
            yield f"  {row.name:15}{'; '.join(parts)}"


def as_json(rows: Sequence[Measured], settings: Settings) -> dict[str, Any]:
    """Everything; the unit of a row's contestants is the row's."""
    return {
        "machine": machine(),
        "versions": versions(),
        "settings": asdict(settings),
        "rows": {measured.row.name: _row_as_json(measured) for measured in rows},
    }


def _row_as_json(measured: Measured) -> dict[str, Any]:
    row, outcome = measured.row, measured.outcome
    return {
        "work": row.work,
        "figures": [
            {
                "text": judged.figure.text,
                "unit": judged.figure.unit,
                "goal": list(judged.figure.goal),
                "found": _rounded(judged.found),
                "verdict": judged.verdict,
                "reason": judged.reason,
            }
            for judged in measured.figures()
        ],
        "unit": row.unit,
        "contestants": {
            name: _rounded(spread([value * row.scale for value in values]))
            for name, values in outcome.samples.items()
        },
        "missing": outcome.missing,
        "facts": _rounded_values(outcome.facts),
    }


def _rounded(found: Spread | None) -> dict[str, float] | None:
    return None if found is None else _rounded_values(found._asdict())


def _rounded_values(values: Mapping[str, float]) -> dict[str, float]:
    return {name: float(f"{value:.4g}") for name, value in values.items()}


def number(value: float) -> str:
    """With three digits that count."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def with_unit(value: float, unit: str) -> str:
    """With its unit, if it has one."""
    return f"{number(value)} {unit}".rstrip()
