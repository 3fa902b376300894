"""Play a case on one host, and judge what is seen against what the case expects."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import partial
from time import perf_counter
from typing import Any

from sen_host.backend import Binding, Capability
from sen_host.errors import SenHostError
from sen_host_conformance.case import ANY, Case, Step
from sen_host_conformance.hosts import Host
from sen_host_conformance.offered import RAISED, TRACES
from sen_host_conformance.subject import Subject, subject

PASSED, FAILED, DECLARED = "passed", "failed", "declared"
"""Verdicts. DECLARED: it failed as its binding had said that it would."""

_OUTCOMES = ("result", "manifest", "returns", "bytes", "raises", "done")
_FUEL = ("fuel_used", "fuel_left")
_TRACED = tuple(name for names in TRACES.values() for name in names)
_TEXTS = frozenset({"message", "detail", "hint", "plugin"})
_SHOWN = 1_000


@dataclass(frozen=True)
class Fault:
    """Where a host did not do what a case expects.

    Attributes:
        step: its number, from 0 on.
        field: of what was seen, such as ``fuel_used`` or ``raises.trap``.
        expected, seen: values that json can write.
    """

    step: int
    field: str
    expected: Any
    seen: Any

    def __str__(self) -> str:
        return f"{self.field}: expected {_told(self.expected)}, seen {_told(self.seen)}"


@dataclass(frozen=True)
class Played:
    """What came of a case on one host.

    Attributes:
        verdict: PASSED, FAILED or DECLARED.
        why: of a failure without faults, or of what was declared; else None.
        seen: for each step that was done, one outcome and the figures by name, in
            values that json can write.
        seconds: how long it took.
        fuel: that all calls used together, as far as it is known.
    """

    verdict: str
    why: str | None
    faults: tuple[Fault, ...]
    seen: tuple[dict[str, Any], ...]
    seconds: float
    fuel: int


class Player:
    """Plays cases on one host.

    In a worker process a load is dear, and so is that of a plugin for WASI. There, a case
    that is followed by one with the same fixture and limits leaves it what it has loaded,
    if nothing went wrong; that one begins with a fresh instance.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._binding = host.describe()
        self._keeps = host.isolation == "process"
        self._kept: Subject | None = None
        self._kept_key: tuple[object, ...] | None = None

    def play(self, case: Case) -> Played:
        """Play a case. Whatever goes wrong is in what is returned."""
        started = perf_counter()
        closing: list[Fault] = []
        kept = self._take(case, closing)
        subjects = [kept] if kept else [subject(case, self._host) for _ in range(case.instances)]
        for item in subjects:
            item.begin()
        seen: list[dict[str, Any]] = []
        faults = closing
        for number, step in enumerate(case.steps):
            do = "renew" if kept and number == 0 else step.do
            observed = _all_do(subjects, step, do)
            seen.append(present(observed[0]))
            faults += _judge(number, step, observed, case.limits.fuel)
            if "crashed" in observed[0] or (step.do == "load" and "raises" in observed[0]):
                break
        for item in subjects:
            item.end()
        if not faults and self._may_keep(case):
            self._kept, self._kept_key = subjects[0], case.loads
        else:
            faults += [fault for item in subjects for fault in _close(item, len(seen) - 1)]
        seconds = perf_counter() - started
        verdict, why = _verdict(case, self._binding, faults, seen)
        fuel = sum(item["fuel_used"] or 0 for item in seen)
        return Played(verdict, why, tuple(faults), tuple(seen), seconds, fuel)

    def close(self) -> None:
        """Free what is loaded."""
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.close()

    def _take(self, case: Case, closing: list[Fault]) -> Subject | None:
        kept, self._kept = self._kept, None
        if kept is not None and self._may_keep(case) and self._kept_key == case.loads:
            return kept
        if kept is not None:
            closing += _close(kept, 0)
        return None

    def _may_keep(self, case: Case) -> bool:
        loads = [step for step in case.steps if step.do in ("load", "close")]
        return (
            (self._keeps or case.world is not None)
            and case.instances == 1
            and len(loads) == 1
            and "raises" not in loads[0].expect
        )


def play(case: Case, host: Host) -> Played:
    """Play one case. Whatever goes wrong is in what is returned."""
    player = Player(host)
    try:
        return player.play(case)
    finally:
        player.close()


def present(value: Any) -> Any:
    """A value as json can write it, long texts by their length and hash."""
    if isinstance(value, Enum):
        return present(value.value)
    if isinstance(value, bytes):
        return present(value.hex())
    if isinstance(value, str) and len(value) > _SHOWN:
        digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()
        return {"length": len(value), "begins": value[:60], "sha256": digest}
    if isinstance(value, Mapping):
        return {str(key): present(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [present(item) for item in value]
    return value


def _close(item: Subject, step: int) -> list[Fault]:
    try:
        item.close()
    except SenHostError as error:
        return [Fault(step, "close", {"done": True}, {"raises": _facts(error)})]
    return []


def _all_do(subjects: list[Subject], step: Step, do: str) -> list[dict[str, Any]]:
    """Have each instance do the step: in turn, or all at once."""
    if step.thread == "each":
        return _at_once([partial(_observe, item, step, do) for item in subjects])
    return [_do(item, step, do) for item in subjects]


def _do(item: Subject, step: Step, do: str) -> dict[str, Any]:
    if step.thread == "own":
        return _observe(item, step, do)
    number = step.thread if isinstance(step.thread, int) else 1
    observed = _at_once([partial(_observe, item, step, do)] * number)
    for other in observed[1:]:
        if other != observed[0]:
            return {"crashed": f"threads saw different things: {present(other)}", **observed[0]}
    return observed[0]


def _at_once(works: list[Callable[[], dict[str, Any]]]) -> list[dict[str, Any]]:
    observed: dict[int, dict[str, Any]] = {}
    gate = threading.Barrier(len(works))

    def run(number: int) -> None:
        gate.wait()
        observed[number] = works[number]()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [observed[number] for number in range(len(works))]


def _observe(item: Subject, step: Step, do: str) -> dict[str, Any]:
    figures: tuple[int | None, int | None, int | None] = None, None, None
    try:
        try:
            name, outcome = item.do(do, step.arguments)
            observed = {name: outcome}
        except (SenHostError, *RAISED.values()) as error:
            observed = {"raises": _facts(error)}
        figures = item.figures()
    except Exception as error:
        observed = {"crashed": f"{type(error).__name__}: {error}"}
    used, left, memory = figures
    known = {"fuel_used": used, "fuel_left": left, "memory_bytes": memory}
    return {**observed, **known, **item.traces()}


def _facts(error: Exception) -> dict[str, Any]:
    attributes = {key: value for key, value in vars(error).items() if key not in _TEXTS}
    return {"error": type(error).__name__, "message": _message(error), **present(attributes)}


def _message(error: Exception) -> str:
    return error.message if isinstance(error, SenHostError) else str(error)


def _judge(
    number: int, step: Step, observed: list[dict[str, Any]], budget: int | None
) -> list[Fault]:
    first = observed[0]
    faults = [
        Fault(number, f"instance {index}", present(first), present(other))
        for index, other in enumerate(observed)
        if other != first
    ]
    if "crashed" in first:
        return [*faults, Fault(number, "outcome", present(step.expect), first["crashed"])]
    outcome = next(name for name in _OUTCOMES if name in first)
    expected = next(name for name in _OUTCOMES if name in step.expect)
    if outcome != expected and not (expected == "done" and outcome == "manifest"):
        wanted = {expected: step.expect[expected]}
        faults.append(Fault(number, "outcome", present(wanted), present({outcome: first[outcome]})))
    elif expected != "done":
        matches = _partial if expected in ("raises", "manifest") else _whole
        faults += matches(number, expected, step.expect[expected], first[outcome])
    for name in (*_FUEL, "memory_bytes"):
        wanted = step.expect.get(name, ANY)
        if name == "fuel_left" and name not in step.expect:
            wanted = _left(step, first, budget)
        if wanted != ANY and first[name] != wanted:
            faults.append(Fault(number, name, wanted, first[name]))
    for name in _TRACED:
        if name in step.expect:
            faults += _whole(number, name, step.expect[name], first[name])
    return faults


def _left(step: Step, observed: dict[str, Any], budget: int | None) -> Any:
    """What must be left of the fuel, if what was used is as expected."""
    used = step.expect.get("fuel_used", ANY)
    if used in (ANY, None) or observed["fuel_used"] != used:
        return ANY
    budget = step.arguments.get("fuel", budget)
    return None if budget is None else budget - used


def _whole(number: int, field: str, expected: Any, seen: Any) -> list[Fault]:
    if expected == seen:
        return []
    return [Fault(number, field, present(expected), present(seen))]


def _partial(number: int, field: str, expected: Any, seen: Any) -> list[Fault]:
    """Compare what is expected, key by key; there may be more keys, but no more items."""
    if isinstance(expected, list) and isinstance(seen, list) and len(expected) == len(seen):
        pairs = enumerate(zip(expected, seen, strict=True))
        return [
            fault
            for index, (value, item) in pairs
            for fault in _partial(number, f"{field}[{index}]", value, item)
        ]
    if not isinstance(expected, Mapping) or not isinstance(seen, Mapping):
        return _whole(number, field, expected, seen)
    faults = []
    for key, value in expected.items():
        if key not in seen:
            faults.append(Fault(number, f"{field}.{key}", present(value), "nothing of that name"))
        else:
            faults += _partial(number, f"{field}.{key}", value, seen[key])
    return faults


def _verdict(
    case: Case, binding: Binding, faults: list[Fault], seen: list[dict[str, Any]]
) -> tuple[str, str | None]:
    lacks = [lack for lack in binding.lacks if lack.capability in case.needs]
    if not lacks:
        return (FAILED if faults else PASSED), None
    named = "; ".join(f"{lack.capability} ({lack.why}): {lack.reason}" for lack in lacks)
    if not faults and all(lack.capability in _LACKED_IN_PART for lack in lacks):
        return PASSED, None
    if not faults:
        return FAILED, f"it passes, although the binding declares that it lacks {named}"
    if _explained({lack.capability for lack in lacks}, faults, seen):
        return DECLARED, f"it lacks {named}"
    return FAILED, f"it lacks {named}; that does not explain every fault"


_LACKED_IN_PART = frozenset({Capability.VALIDATION})
"""What a backend without it still does now and then: decoders notice some invalid modules."""


def _explained(lacked: set[Capability], faults: list[Fault], seen: list[dict[str, Any]]) -> bool:
    """Whether a backend that lacks this, and is right otherwise, would have these faults."""
    details = [_DETAILS[capability] for capability in lacked if capability in _DETAILS]
    rest = [fault for fault in faults if not any(explains(fault) for explains in details)]
    if not rest:
        return True
    if any(_lost(_observed(fault, seen)) for fault in rest):
        return False
    if Capability.VALIDATION in lacked:
        return True
    # What comes behind a step that was refused may be different for that reason.
    refusals = {_REFUSALS.get(capability) for capability in lacked} - {None}
    return _error(_observed(rest[0], seen)) in refusals


def _observed(fault: Fault, seen: list[dict[str, Any]]) -> Mapping[str, Any]:
    return fault.seen if fault.field.startswith("instance ") else seen[fault.step]


def _lost(observed: Mapping[str, Any]) -> bool:
    return "crashed" in observed or _error(observed) == "WorkerDied"


def _error(observed: Mapping[str, Any]) -> str | None:
    name: str | None = observed.get("raises", {}).get("error")
    return name


def _unknown_fuel(fault: Fault) -> bool:
    return fault.field in _FUEL and fault.seen is None


def _unknown_trap(fault: Fault) -> bool:
    return fault.field in ("raises.trap", "raises.message") and "unknown trap" in str(fault.seen)


_DETAILS: Mapping[Capability, Callable[[Fault], bool]] = {
    Capability.COUNTERS_AFTER_TRAP: _unknown_fuel,
    Capability.TRAP_KINDS: _unknown_trap,
}
"""Which faults a lack explains, where it is a detail that is lacking."""

_REFUSALS: Mapping[Capability, str] = {
    Capability.ANY_THREAD: "WrongThread",
    Capability.WALL_CLOCK: "LimitNotEnforceable",
    Capability.FULL_STACK: "LimitNotEnforceable",
    Capability.BULK_MEMORY: "ModuleCompilation",
    Capability.REFERENCE_TYPES: "ModuleCompilation",
    Capability.MULTI_VALUE: "ModuleCompilation",
    Capability.HOST_FUNCTIONS: "ImportNotGranted",
}
"""The error by which it shows that a capability is lacking."""


def _told(value: Any) -> str:
    return "nothing known" if value is None else repr(value)
