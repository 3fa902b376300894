"""What came of a run: the results of all cases, and where hosts differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sen_host.backend import Binding, Capability
from sen_host_conformance.case import ANY, Case
from sen_host_conformance.player import DECLARED, FAILED, PASSED, Played


@dataclass(frozen=True)
class Difference:
    """Where hosts saw different things in one case.

    Attributes:
        step: its number, from 0 on.
        field: such as ``fuel_used`` or ``raises.message``.
        seen: by host, values that json can write.
    """

    step: int
    field: str
    seen: Mapping[str, Any]

    def __str__(self) -> str:
        seen = "; ".join(f"{host}: {value!r}" for host, value in self.seen.items())
        return f"{self.field} differs: {seen}"


@dataclass(frozen=True)
class CaseResult:
    """What came of a case: on each host, and between them."""

    case: Case
    played: Mapping[str, Played]
    differences: tuple[Difference, ...]

    @property
    def verdict(self) -> str:
        """The worst of its verdicts; FAILED as well if hosts differ."""
        verdicts = {played.verdict for played in self.played.values()}
        if FAILED in verdicts or self.differences:
            return FAILED
        return PASSED if PASSED in verdicts else DECLARED


@dataclass(frozen=True)
class Report:
    """The results of a run.

    Attributes:
        head: versions of everything under test, and of what it runs on.
        bindings: by host.
    """

    head: Mapping[str, str]
    bindings: Mapping[str, Binding]
    results: tuple[CaseResult, ...]
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether all cases passed, and there was at least one, and a backend."""
        return bool(self.results and self.bindings) and all(
            result.verdict != FAILED for result in self.results
        )

    def count(self, host: str, verdict: str, area: str | None = None) -> int:
        """How many cases came to a verdict on a host."""
        return sum(
            result.played[host].verdict == verdict
            for result in self.results
            if area is None or result.case.area == area
        )

    @property
    def areas(self) -> tuple[str, ...]:
        """In the order of the cases."""
        return tuple(dict.fromkeys(result.case.area for result in self.results))


def differences(
    case: Case, played: Mapping[str, Played], bindings: Mapping[str, Binding]
) -> tuple[Difference, ...]:
    """Where hosts that should agree do not, whatever the case expects.

    Left out is what a host has declared that it cannot do or tell, and what a case
    says may be anything.
    """
    columns: dict[tuple[int, str], dict[str, Any]] = {}
    for host, item in played.items():
        lacks = [c for c in case.needs if not bindings[host].has(c)]
        if item.verdict == DECLARED and not {*lacks} <= {*_PARTIAL}:
            continue
        silent = {field for lack in lacks for field in _PARTIAL.get(lack, ())}
        for number, seen in enumerate(item.seen):
            free = silent | _free(case.steps[number].expect)
            for field, value in _leaves(seen):
                if field not in free:
                    columns.setdefault((number, field), {})[host] = value
    return tuple(
        Difference(number, field, seen)
        for (number, field), seen in columns.items()
        if len({repr(value) for value in seen.values()}) > 1
    )


def _free(expect: Mapping[str, Any]) -> set[str]:
    free = {_WHERE_AN_ENGINE_STOPPED, *(name for name, value in expect.items() if value == ANY)}
    return free | {"fuel_left"} if "fuel_used" in free else free


_WHERE_AN_ENGINE_STOPPED = "raises.offset"
"""Validators look in an order of their own, and give up at different places."""

_PARTIAL = {
    Capability.COUNTERS_AFTER_TRAP: ("fuel_used", "fuel_left"),
    Capability.TRAP_KINDS: ("raises.trap", "raises.message"),
}
"""Fields on which a host that lacks this need not agree with others."""


def _leaves(seen: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    yield "outcome", next(iter(seen))
    for field, value in seen.items():
        if field == "raises":
            yield from ((f"raises.{name}", item) for name, item in value.items())
        else:
            yield field, value
