"""The figures as a page in Markdown, written from the figures as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.speed.report import number, with_unit


def page(report: Mapping[str, Any]) -> str:
    """The file's text."""
    return "\n".join([*_lines(report), ""])


def _lines(report: Mapping[str, Any]) -> Iterator[str]:
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    yield "# Figures of a run"
    yield ""
    yield f"{report['machine']}; {versions}."
    yield "Written by `python -m benchmarks speed`; [the method](../README.md)."
    yield ""
    yield "| work | figure | median | quartiles | to reach | |"
    yield "|---|---|---|---|---|---|"
    reasons = {}
    for name, row in report["rows"].items():
        for figure in row["figures"]:
            side, bound = figure["goal"]
            found, unit = figure["found"], figure["unit"]
            middle = with_unit(found["median"], unit) if found else ""
            between = f"{number(found['low'])} .. {number(found['high'])}" if found else ""
            goal = f"{side} {with_unit(bound, unit)}"
            cells = (row["work"], figure["text"], middle, between, goal, figure["verdict"])
            yield f"| {' | '.join(cells)} |"
            if figure["reason"]:
                reasons[name] = figure["reason"].splitlines()[0]
    for name, reason in reasons.items():
        yield ""
        yield f"Not measured, `{name}`: {reason}."
    yield ""
    yield "What each took, medians:"
    yield ""
    yield "| row | unit | |"
    yield "|---|---|---|"
    for name, row in report["rows"].items():
        parts = [f"{way} {number(found['median'])}" for way, found in row["contestants"].items()]
        parts += [f"{fact}: {number(value)}" for fact, value in row["facts"].items()]
        if parts:
            yield f"| `{name}` | {row['unit']} | {'; '.join(parts)} |"
