"""Reports of the conformance suite that tests look at."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sen_host import Limits
from sen_host.backend import Binding, Capability, Lack
from sen_host_conformance.case import Case, Fixture, Step
from sen_host_conformance.fixtures import find_fixture
from sen_host_conformance.player import DECLARED, FAILED, PASSED, Fault, Played
from sen_host_conformance.report import CaseResult, Report, differences

HOSTILE = (
    "</script><script>window.broken = 1</script><img src=x onerror='window.broken = 1'>&amp;\""
)
WHY = "a trap ends the process in which the guest runs"
LACK = Lack(Capability.COUNTERS_AFTER_TRAP, "not possible", WHY)
BINDINGS = {
    "alpha": Binding(name="alpha", engine="Alpha 1.2", packages=("alpha-py 1.2",)),
    "alpha-worker": Binding(name="alpha", engine="Alpha 1.2", isolation="process"),
    "beta-with-a-long-name": Binding(name="beta", engine="Beta 7", lacks=(LACK,)),
}
PLUGIN = Fixture("puppet", *find_fixture("puppet"), is_plugin=True)


def seen_as(result: Any = "ok", used: int | None = 5, **outcome: Any) -> dict[str, Any]:
    figures = {"fuel_used": used, "fuel_left": None if used is None else 100 - used}
    return {**(outcome or {"result": {"Success": result}}), **figures, "memory_bytes": 65_536}


def played_as(*seen: dict[str, Any], **other: Any) -> Played:
    fields = {"verdict": PASSED, "why": None, "faults": (), "seconds": 0.25, "fuel": 5}
    return Played(**{**fields, "seen": seen, **other})


def result_of(
    id: str,
    played: Mapping[str, Played] | None = None,
    bindings: Mapping[str, Binding] = BINDINGS,
    **fields: Any,
) -> CaseResult:
    area, name = id.split("/")
    step = Step("execute", {"args": ["x"]}, {"result": {"Success": "ok"}, "fuel_used": 5})
    values: dict[str, Any] = {
        "shows": f"what {name} shows",
        "rule": "a rule, section 4",
        "fixture": PLUGIN,
        "limits": Limits(),
        "needs": (),
        "instances": 1,
        "steps": (step,),
    }
    case = Case(area=area, name=name, source=Path("x.toml"), **{**values, **fields})
    found = {**dict.fromkeys(bindings, played_as(seen_as())), **(played or {})}
    return CaseResult(case, found, differences(case, found, bindings))


def report_of(*results: CaseResult, bindings: Mapping[str, Binding] = BINDINGS) -> Report:
    head = {
        "sen-host": "0.1.0",
        "fuel schedule": "1",
        "platform": "Linux",
        "time": "2026-01-02T03:04:05+00:00",
    }
    return Report(head, bindings, results, 12.34)


OFF_BY_ONE = Fault(0, "fuel_used", 5, 6)
MIXED = report_of(
    result_of("bounds/plain"),
    result_of("bounds/small", limits=Limits(fuel=1_000), instances=3),
    result_of(
        "fuel/off-by-one",
        {"alpha-worker": played_as(seen_as(used=6), verdict=FAILED, faults=(OFF_BY_ONE,), fuel=6)},
    ),
    result_of(
        "fuel/hangs",
        {"alpha": played_as(verdict=FAILED, why="there was no end to it within 60 s", fuel=0)},
    ),
    result_of(
        "trap/unknown-fuel",
        {
            "beta-with-a-long-name": played_as(
                seen_as(used=None),
                verdict=DECLARED,
                why=f"it lacks counters-after-trap (not possible): {WHY}",
                faults=(Fault(0, "fuel_used", 5, None),),
            )
        },
        needs=(Capability.COUNTERS_AFTER_TRAP,),
    ),
    result_of("trap/hostile", shows=HOSTILE, rule=HOSTILE),
)
GOOD = report_of(*(result_of(f"area-{number % 3}/case-{number}") for number in range(9)))


def many_cases(cases: int, hosts: int) -> Report:
    bindings = {f"backend-{n}-worker": BINDINGS["alpha"] for n in range(hosts)}
    step = Step("execute", {"args": ["tm"]}, {"raises": {"error": "FunctionCall"}, "fuel_used": 5})
    error = {"error": "FunctionCall", "message": "the plugin trapped: " + "m" * 80, "trap": "x"}
    results = []
    for number in range(cases):
        played = dict.fromkeys(bindings, played_as(*[seen_as(raises=error)] * 4))
        if number % 10 == 0:
            faults = (Fault(1, "fuel_used", 5, 6),)
            seen = [
                seen_as(raises=error),
                seen_as(raises=error, used=6),
                *[seen_as(raises=error)] * 2,
            ]
            played["backend-0-worker"] = played_as(*seen, verdict=FAILED, faults=faults)
        id = f"area-{number // 20}/case-{number}"
        results.append(result_of(id, played, bindings, steps=(step,) * 4))
    return report_of(*results, bindings=bindings)
