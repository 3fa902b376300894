"""A report for the terminal: head, matrix, what failed, and the sum."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sen_host.cli.output import one_line
from sen_host_conformance.player import DECLARED, FAILED, PASSED, Fault, Played
from sen_host_conformance.report import CaseResult, Report

_SHOWN = 300
_COLOURS = {PASSED: "green", FAILED: "red", DECLARED: "yellow"}


def as_text(report: Report) -> Iterator[RenderableType]:
    """The parts of a report."""
    yield _head(report)
    yield ""
    yield _matrix(report)
    for result in report.results:
        if result.verdict == FAILED:
            yield ""
            yield _failure(result)
    lacks = list(_lacks(report))
    if lacks:
        yield ""
        yield from lacks
    yield ""
    yield _sum(report)


def _head(report: Report) -> RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in report.head.items():
        table.add_row(name, one_line(value))
    return table


def _matrix(report: Report) -> RenderableType:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("area")
    for host in report.bindings:
        table.add_column(host, justify="right")
    for area in report.areas:
        table.add_row(area, *(_cell(report, host, area) for host in report.bindings))
    table.add_row(
        Text("all", style="bold"), *(_cell(report, host, None) for host in report.bindings)
    )
    return table


def _cell(report: Report, host: str, area: str | None) -> Text:
    passed, failed, declared = (
        report.count(host, verdict, area) for verdict in (PASSED, FAILED, DECLARED)
    )
    cell = Text()
    if failed:
        cell.append(f"{failed} failed, ", _COLOURS[FAILED])
    if declared:
        cell.append(f"{declared} declared, ", _COLOURS[DECLARED])
    cell.append(f"{passed} passed", _COLOURS[PASSED] if not failed else "")
    return cell


def _failure(result: CaseResult) -> RenderableType:
    case = result.case
    lines: list[RenderableType] = [
        Text.assemble(("failed  ", _COLOURS[FAILED]), (case.id, "bold")),
        _indented(f"shows: {case.shows}"),
        _indented(f"rule:  {case.rule}"),
    ]
    for host, played in result.played.items():
        if played.verdict == FAILED:
            lines.append(_indented(f"on {host}{_reason(played)}"))
            for step, faults in groupby(played.faults, key=lambda fault: fault.step):
                lines.append(_indented(f"step {step + 1}: {case.steps[step].title}", 4))
                for fault in faults:
                    lines += _diff(fault)
    for difference in result.differences:
        step = case.steps[difference.step]
        lines.append(_indented(f"backends differ in {difference.field} of {step.title}:"))
        for host, value in difference.seen.items():
            lines.append(_indented(f"{host}: {_told(value)}", 4))
    lines.append(_indented(f"in {case.source}"))
    return Group(*lines)


def _reason(played: Played) -> str:
    return f": {played.why}" if played.why else ""


def _diff(fault: Fault) -> list[RenderableType]:
    return [
        _indented(f"{fault.field}", 6),
        Padding(Text(f"- expected {_told(fault.expected)}", style="green"), (0, 0, 0, 8)),
        Padding(Text(f"+ seen     {_told(fault.seen)}", style="red"), (0, 0, 0, 8)),
    ]


def _lacks(report: Report) -> Iterator[RenderableType]:
    for host, binding in report.bindings.items():
        declared = [item.case for item in report.results if item.played[host].verdict == DECLARED]
        needed = {capability for case in declared for capability in case.needs}
        for lack in binding.lacks:
            if lack.capability in needed:
                yield Text(
                    f"declared  {host} lacks {lack.capability} ({lack.why}): {lack.reason}",
                    style=_COLOURS[DECLARED],
                )


def _sum(report: Report) -> Text:
    failed = sum(result.verdict == FAILED for result in report.results)
    cases, hosts = len(report.results), len(report.bindings)
    noun = "case" if cases == 1 else "cases"
    verdict = f"{failed} of {cases:,} {noun} failed" if failed else f"all {cases:,} {noun} passed"
    alone = "" if hosts > 1 else "; with one backend there was nothing to compare it with"
    text = f"{verdict} on {hosts} backend{'s' * (hosts != 1)} in {report.seconds:.1f} s{alone}"
    return Text(text, style=_COLOURS[FAILED if failed else PASSED])


def _indented(text: str, by: int = 2) -> Padding:
    return Padding(Text(one_line(text)), (0, 0, 0, by))


def _told(value: Any) -> str:
    text = "nothing known" if value is None else json.dumps(value, ensure_ascii=False)
    return one_line(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")
