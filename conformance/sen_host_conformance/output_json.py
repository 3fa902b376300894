"""A report as json: what other tools, and the page for people, are made from."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sen_host.backend import Binding
from sen_host_conformance.player import Played, present
from sen_host_conformance.report import CaseResult, Report

FORMAT = 1
"""Changes when something that was there has another meaning, or is gone."""


def as_json(report: Report) -> dict[str, Any]:
    """A report, in values that json can write."""
    return {
        "format": FORMAT,
        "passed": report.passed,
        "seconds": round(report.seconds, 3),
        "head": dict(report.head),
        "backends": [_backend(name, binding) for name, binding in report.bindings.items()],
        "fixtures": {
            fixture.name: {
                "bytes": fixture.binary.stat().st_size,
                "text": None if fixture.text is None else fixture.text.read_text(encoding="utf-8"),
            }
            for fixture in (result.case.fixture for result in report.results)
        },
        "cases": [_case(result) for result in report.results],
    }


def _backend(name: str, binding: Binding) -> dict[str, Any]:
    return {
        "name": name,
        "engine": binding.engine,
        "packages": list(binding.packages),
        "isolation": binding.isolation,
        "lacks": [
            {"capability": str(lack.capability), "why": lack.why, "reason": lack.reason}
            for lack in binding.lacks
        ],
    }


def _case(result: CaseResult) -> dict[str, Any]:
    case = result.case
    return {
        "id": case.id,
        "area": case.area,
        "name": case.name,
        "shows": case.shows,
        "rule": case.rule,
        "verdict": result.verdict,
        "needs": [str(capability) for capability in case.needs],
        "limits": present(asdict(case.limits)),
        "instances": case.instances,
        "fixture": case.fixture.name,
        "loaded_as": "plugin" if case.fixture.is_plugin else "module",
        "steps": [
            {"title": step.title, "expect": present(dict(step.expect))} for step in case.steps
        ],
        "played": {name: _played(played) for name, played in result.played.items()},
        "differences": [
            {"step": item.step, "field": item.field, "seen": dict(item.seen)}
            for item in result.differences
        ],
    }


def _played(played: Played) -> dict[str, Any]:
    return {
        "verdict": played.verdict,
        "why": played.why,
        "seconds": round(played.seconds, 6),
        "fuel": played.fuel,
        "seen": list(played.seen),
        "faults": [asdict(fault) for fault in played.faults],
    }
