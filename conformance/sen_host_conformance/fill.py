"""Fill in the fuel that cases use: ``python -m sen_host_conformance.fill FILE...``

Where a case file says ``fuel_used = "?"``, the figure is written that all backends
see here, if they agree. It is for the author to check it against docs/fuel.md.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from sen_host_conformance.hosts import find_hosts
from sen_host_conformance.reader import CaseError, read_file
from sen_host_conformance.report import CaseResult
from sen_host_conformance.runner import run

_FIGURE = re.compile(r"(\bfuel_used\s*=\s*)(\"\?\"|\"any\"|\"none\"|\d[\d_]*)")
_OPEN = '"?"'


def fill(path: Path) -> list[str]:
    """Fill in one file.

    Returns:
        What could not be filled in, a line each.

    Raises:
        CaseError: the file is wrong otherwise.
    """
    text = path.read_text(encoding="utf-8")
    if all(match[2] != _OPEN for match in _FIGURE.finditer(text)):
        return []
    closed = _FIGURE.sub(lambda match: f'{match[1]}"any"', text)
    report = run(read_file(path, closed), find_hosts())
    seen = [figures for result in report.results for figures in _seen(result)]
    faults: list[str] = []
    remaining = iter(seen)

    def figure(match: re.Match[str]) -> str:
        place, known = next(remaining)
        if match[2] != _OPEN:
            return match[0]
        if len(known) != 1:
            faults.append(f"{path}: {place}: {sorted(known) or 'nothing'} seen")
            return match[0]
        return f"{match[1]}{known.pop()}"

    filled = _FIGURE.sub(figure, text)
    path.write_text(filled, encoding="utf-8")
    return faults


def _seen(result: CaseResult) -> Iterator[tuple[str, set[int]]]:
    for number, step in enumerate(result.case.steps):
        if "fuel_used" in step.expect:
            figures = {
                item.seen[number]["fuel_used"]
                for item in result.played.values()
                if number < len(item.seen)
            }
            yield f"{result.case.name}, step {number + 1}", figures - {None}


def main(paths: list[str]) -> int:
    status = 0
    for path in map(Path, paths):
        try:
            faults = fill(path)
        except CaseError as error:
            faults = [str(error)]
        for fault in faults:
            print(fault, file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
