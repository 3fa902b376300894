"""The support matrix of the documentation, from the reports of runs.

``python -m sen_host_conformance.matrix REPORT.json... > docs/support.md``; each
report is what ``sen-host conformance --workers --json`` printed on one interpreter.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sen_host.backend import Capability
from sen_host_conformance.player import DECLARED, FAILED, PASSED

_HEAD = """\
# What each backend supports

This page is made from runs of the [conformance suite](conformance.md); nobody wrote it.

- **passed**: as the case expects, and as on every other backend.
- **declared**: it failed in what its backend says that it lacks, and in nothing else.
"""


def as_markdown(reports: Sequence[dict[str, Any]]) -> str:
    """The page, from reports as ``as_json`` makes them.

    Raises:
        ValueError: a case failed; a page is made of runs that passed.
    """
    for report in reports:
        if not report["passed"]:
            raise ValueError(f"a case failed on {report['head']['python']}")
    lines = [_HEAD]
    for report in reports:
        lines += _section(report)
    return "\n".join(lines)


def _section(report: dict[str, Any]) -> Iterator[str]:
    backends = report["backends"]
    head = report["head"]
    yield f"## {head['python']}"
    yield ""
    cases = len(report["cases"])
    yield f"{cases:,} cases, fuel schedule {head['fuel schedule']}; {head['packages']}."
    yield ""
    yield from _row("", (backend["name"] for backend in backends))
    yield from _row("---", ("---" for _ in backends))
    yield from _row("engine", (backend["engine"] for backend in backends))
    yield from _row("runs in", (_place(backend) for backend in backends))
    for capability in Capability:
        yield from _row(f"`{capability}`", (_support(item, str(capability)) for item in backends))
    areas = dict.fromkeys(case["area"] for case in report["cases"])
    for area in areas:
        yield from _row(area, (_count(report, area, item["name"]) for item in backends))
    yield ""
    for backend in backends:
        for lack in backend["lacks"]:
            yield (
                f"- `{backend['name']}` lacks `{lack['capability']}` ({lack['why']}):"
                f" {lack['reason']}."
            )
    yield ""


def _row(name: str, cells: Iterator[str]) -> Iterator[str]:
    yield f"| {' | '.join((name, *cells))} |"


def _place(backend: dict[str, Any]) -> str:
    return "a worker process" if backend["isolation"] == "process" else "the same process"


def _support(backend: dict[str, Any], capability: str) -> str:
    for lack in backend["lacks"]:
        if lack["capability"] == capability:
            return str(lack["why"])
    return "yes"


def _count(report: dict[str, Any], area: str, backend: str) -> str:
    verdicts = [
        case["played"][backend]["verdict"] for case in report["cases"] if case["area"] == area
    ]
    assert FAILED not in verdicts
    declared = verdicts.count(DECLARED)
    return f"{verdicts.count(PASSED)} passed" + (f", {declared} declared" if declared else "")


def main(paths: Sequence[str]) -> int:
    try:
        reports = [json.loads(Path(path).read_text(encoding="utf-8")) for path in paths]
        page = as_markdown(reports)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(page, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
