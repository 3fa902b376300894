"""The command: python -m benchmarks speed."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.progress import Progress, progress_on_stderr
from benchmarks.speed.charts import CHARTS
from benchmarks.speed.outcome import OURS, Outcome
from benchmarks.speed.page import page
from benchmarks.speed.report import Measured, as_json, head, table_head, table_lines, times
from benchmarks.speed.rows import ROWS, Row
from benchmarks.speed.settings import FULL, QUICK, Settings
from benchmarks.speed.trial import PYTHON310_VARIABLE, TrialFailed, find_python310, run

OUTPUT = Path(__file__).resolve().parents[2] / "build" / "benchmarks"
FILE = "speed.json"
PAGE = "speed.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 a trial failed, 2 wrong usage. Missed goals are no failure."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks speed",
        description="Time calls and starts beside other ways to run plugins, and see how"
        " memory, threads and load time scale. Each row is measured in a process of its own.",
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=[row.name for row in ROWS],
        metavar="ROW",
        help=f"one row only; may be given again. Rows: {', '.join(row.name for row in ROWS)}",
    )
    parser.add_argument(
        "--quick", action="store_true", help="see that it works; its figures tell nothing"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=OUTPUT,
        metavar="FOLDER",
        help=f"where {FILE}, {PAGE} and the charts go (default: build/benchmarks)",
    )
    parser.add_argument(
        "--python310",
        metavar="PATH",
        help="an interpreter with sen-host and the package wasmer, for the row execute-wasmer"
        f" (default: {PYTHON310_VARIABLE}, or one in .venv)",
    )
    options = parser.parse_args(arguments)
    try:
        options.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"nothing can be written to {options.output}: {error}")
    settings = QUICK if options.quick else FULL
    chosen = [row for row in ROWS if row.name in (options.only or [row.name])]
    for line in head(settings):
        print(line, flush=True)
    print(f"\n{table_head()}", flush=True)
    measured = []
    with progress_on_stderr() as progress:
        for row in chosen:
            measured.append(_measure(row, settings, options.python310, progress))
            progress("")
            print(*table_lines(measured[-1]), sep="\n", flush=True)
    print("\nIn figures, medians", *times(measured), sep="\n")
    for result in measured:
        if result.failure:
            print(f"\n{result.row.name} failed: {result.failure}", file=sys.stderr)
    _write(options.output, measured, settings)
    return int(any(result.failure for result in measured))


def _measure(row: Row, settings: Settings, python310: str | None, progress: Progress) -> Measured:
    if row.trial is None:
        return Measured(row, Outcome())
    progress(row.name)
    python = find_python310(python310) if row.python310 else sys.executable
    if python is None:
        reason = f"it needs CPython 3.10; name one by --python310 or {PYTHON310_VARIABLE}"
        return Measured(row, Outcome(missing={OURS: reason}))
    try:
        return Measured(row, run(row, settings, python, progress))
    except TrialFailed as failure:
        return Measured(row, Outcome(), str(failure))


def render(report: Mapping[str, Any]) -> dict[str, str]:
    """What is made of the figures, by the file's name: the same figures, the same text."""
    drawings = {name: draw(report) for name, draw in CHARTS.items()}
    return {PAGE: page(report)} | {name: text for name, text in drawings.items() if text}


def _write(folder: Path, measured: Sequence[Measured], settings: Settings) -> None:
    report = as_json(measured, settings)
    written = [folder / FILE]
    written[0].write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    for name, text in render(report).items():
        written.append(folder / name)
        written[-1].write_text(text, encoding="utf-8")
    print(f"\nwritten: {', '.join(map(str, written))}")


if __name__ == "__main__":
    sys.exit(main())
