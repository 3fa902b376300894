"""Proof that backends behave the same: cases as data, for our backends and for anybody's.

from sen_host_conformance import find_hosts, run, select

report = run(select(areas=["fuel"]), find_hosts(["wasmtime", "wasmer"]))
assert report.passed, [result.case.id for result in report.results if result.verdict == "failed"]
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sen_host_conformance.case import Case
    from sen_host_conformance.hosts import Host, find_hosts
    from sen_host_conformance.output_html import as_html
    from sen_host_conformance.output_json import as_json
    from sen_host_conformance.output_junit import as_junit
    from sen_host_conformance.player import Played, play
    from sen_host_conformance.reader import CaseError, read_cases
    from sen_host_conformance.report import CaseResult, Difference, Report
    from sen_host_conformance.runner import run
    from sen_host_conformance.selection import select

_HOMES = {
    "Case": "case",
    "CaseError": "reader",
    "CaseResult": "report",
    "Difference": "report",
    "Host": "hosts",
    "Played": "player",
    "Report": "report",
    "as_html": "output_html",
    "as_json": "output_json",
    "as_junit": "output_junit",
    "find_hosts": "hosts",
    "play": "player",
    "read_cases": "reader",
    "run": "runner",
    "select": "selection",
}

__all__ = [
    "Case",
    "CaseError",
    "CaseResult",
    "Difference",
    "Host",
    "Played",
    "Report",
    "as_html",
    "as_json",
    "as_junit",
    "find_hosts",
    "play",
    "read_cases",
    "run",
    "select",
]


def __getattr__(name: str) -> object:
    # Late, because pytest imports this package in every project where it is installed.
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
