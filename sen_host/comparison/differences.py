"""Where runs of the same calls differ, apart from what a backend cannot know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sen_host.backend import Binding, Capability
from sen_host.comparison.trace import Failure, Step, Trace
from sen_host.errors import TrapKind

UNKNOWN: Final = "unknown"
"""Stands for what a backend declares that it cannot know. It is equal to anything."""

RESULT = "result"
ERROR_CLASS = "error class"
TRAP = "trap"
MESSAGE = "error message"
FUEL_USED = "fuel used"
FUEL_LEFT = "fuel left"
MEMORY = "memory"

_OUTCOMES = (RESULT, ERROR_CLASS, TRAP, MESSAGE)


@dataclass(frozen=True)
class Difference:
    """One thing that is not the same everywhere.

    Attributes:
        step: number of the step, from 0.
        call: the function of the ABI that was asked.
        field: what differs: "result", "error class", "trap", "error message",
            "fuel used", "fuel left" or "memory".
        seen: what each run has, in the order of the runs; UNKNOWN for what
            cannot be known.
    """

    step: int
    call: str
    field: str
    seen: tuple[Any, ...]


def differences(bindings: Sequence[Binding], traces: Sequence[Trace]) -> tuple[Difference, ...]:
    """All differences up to and including the first step that ends otherwise.

    Args:
        bindings: by which each trace was made.
        traces: of the same calls.
    """
    found: list[Difference] = []
    for number, steps in enumerate(zip(*traces, strict=False)):
        for field, seen in _fields(bindings, steps):
            known = [value for value in seen if value is not UNKNOWN]
            if any(value != known[0] for value in known[1:]):
                found.append(Difference(number, steps[0].call, field, tuple(seen)))
        if any(difference.field in _OUTCOMES for difference in found):
            break
    return tuple(found)


def _fields(bindings: Sequence[Binding], steps: Sequence[Step]) -> Iterator[tuple[str, list[Any]]]:
    outcomes = [step.outcome for step in steps]
    failures = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    if len(failures) == len(outcomes):
        sides = list(zip(bindings, failures, strict=True))
        yield ERROR_CLASS, [failure.kind for failure in failures]
        yield TRAP, [_if_told(binding, failure, failure.trap) for binding, failure in sides]
        yield MESSAGE, [_if_told(binding, failure, failure.message) for binding, failure in sides]
    else:
        yield RESULT, _if_validated(bindings, outcomes)
    for field, name in (
        (FUEL_USED, "fuel_used"),
        (FUEL_LEFT, "fuel_left"),
        (MEMORY, "memory_bytes"),
    ):
        yield (
            field,
            [
                _if_counted(binding, step, getattr(step, name))
                for binding, step in zip(bindings, steps, strict=True)
            ],
        )


def _if_told(binding: Binding, failure: Failure, value: Any) -> Any:
    """A trap, or an error that names it, unless the backend does not tell traps apart."""
    if failure.trap is TrapKind.UNKNOWN and not binding.has(Capability.TRAP_KINDS):
        return UNKNOWN
    return value


def _if_validated(bindings: Sequence[Binding], outcomes: Sequence[Any]) -> list[Any]:
    """Outcomes, less what a backend makes of a module that the others take for invalid."""
    invalid = any(
        isinstance(outcome, Failure) and outcome.kind == "ModuleCompilation" for outcome in outcomes
    )
    return [
        UNKNOWN if invalid and not binding.has(Capability.VALIDATION) else outcome
        for binding, outcome in zip(bindings, outcomes, strict=True)
    ]


def _if_counted(binding: Binding, step: Step, value: int | None) -> int | str | None:
    """A figure after a call, unless the guest took it along when it ended."""
    if value is not None or not isinstance(step.outcome, Failure):
        return value
    if step.outcome.kind == "WallClockExceeded":  # its worker was killed
        return UNKNOWN
    lost = step.outcome.trap is not None and not binding.has(Capability.COUNTERS_AFTER_TRAP)
    return UNKNOWN if lost else None
