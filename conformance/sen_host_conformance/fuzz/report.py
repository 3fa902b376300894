"""What a run of the fuzzer came to."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Failure:
    """A module on which backends differ, or that ended the process or took too long.

    Attributes:
        number: the module's.
        what: how it failed.
        command: what tries this module again.
        case: path of the shrunk case; None if there is none.
        suite_case: path of the same as a case of the suite, ready to be looked at and kept.
    """

    number: int
    what: str
    command: str
    case: str | None = None
    suite_case: str | None = None

    def __str__(self) -> str:
        lines = [f"module {self.number}: {self.what}", f"  again: {self.command}"]
        if self.case is not None:
            lines.append(f"  shrunk: python -m sen_host_conformance.fuzz --replay {self.case}")
        if self.suite_case is not None:
            lines.append(f"  to keep: {self.suite_case}")
        return "\n".join(lines)


@dataclass
class Result:
    """What came of one module.

    Attributes:
        unknown_fuel: after how many calls a backend could not tell the fuel.
        left_out: who could not take it, and why.
        failure: None if all backends agreed.
    """

    number: int
    source: str
    outcomes: Counter[str] = field(default_factory=Counter)
    unknown_fuel: Counter[str] = field(default_factory=Counter)
    left_out: tuple[str, str] | None = None
    failure: Failure | None = None


@dataclass
class Summary:
    """The sum of many results.

    Attributes:
        backends: what was compared, with the engines' versions.
        seconds: how long it took.
    """

    backends: tuple[str, ...]
    sources: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    left_out: Counter[tuple[str, str]] = field(default_factory=Counter)
    unknown_fuel: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, result: Result) -> None:
        self.sources[result.source] += 1
        self.outcomes += result.outcomes
        self.unknown_fuel += result.unknown_fuel
        if result.left_out is not None:
            self.left_out[result.left_out] += 1
        if result.failure is not None:
            self.failures.append(result.failure)

    @property
    def modules(self) -> int:
        return self.sources.total()

    @property
    def calls(self) -> int:
        return self.outcomes.total()

    def as_json(self) -> dict[str, Any]:
        """The sum, in values that json can write."""
        return {
            "backends": list(self.backends),
            "modules": self.modules,
            "sources": dict(self.sources),
            "calls": self.calls,
            "outcomes": dict(self.outcomes),
            "unknown_fuel": dict(self.unknown_fuel),
            "left_out": [
                {"by": who, "reason": reason, "modules": count}
                for (who, reason), count in self.left_out.items()
            ],
            "seconds": round(self.seconds, 3),
            "differences": [asdict(failure) for failure in self.failures],
        }

    def progress(self, of: int) -> str:
        """One line."""
        seconds = max(self.seconds, 1e-9)
        left = (of - self.modules) * seconds / max(self.modules, 1)
        return (
            f"{self.modules:,} of {of:,} modules, {self.calls:,} calls,"
            f" {len(self.failures)} differences; {_time(self.seconds)}, {_time(left)} to go"
        )

    def __str__(self) -> str:
        seconds = max(self.seconds, 1e-9)
        sources = ", ".join(f"{count:,} of {name}" for name, count in self.sources.most_common())
        lines = [
            f"compared     {', '.join(self.backends)}",
            f"modules      {self.modules:,} ({sources})",
            f"calls        {self.calls:,} on each",
        ]
        lines += [f"  {count:>12,}  {kind}" for kind, count in self.outcomes.most_common()]
        for name, count in self.unknown_fuel.items():
            lines.append(f"  {count:>12,}  of these with fuel that {name} could not tell")
        if self.left_out:
            lines.append(f"left out     {self.left_out.total():,} modules")
            lines += [
                f"  {count:>12,}  by {who}: {reason}"
                for (who, reason), count in self.left_out.most_common(10)
            ]
        lines.append(
            f"time         {_time(self.seconds)}: {self.modules / seconds:.1f} modules"
            f" and {self.calls / seconds:,.0f} calls a second"
        )
        lines.append(f"differences  {len(self.failures)}")
        lines += [str(failure) for failure in self.failures]
        return "\n".join(lines)


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
