"""The command: python -m benchmarks metering."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.build import KERNELS, build_large
from benchmarks.metering.measure import Disagreement, measure
from benchmarks.metering.programs import PLUGINS, PROGRAMS
from benchmarks.metering.report import as_json, engine_table, guest_table, head, rewriting_table
from benchmarks.metering.rewriting import measure_loading
from benchmarks.progress import Progress, progress_on_stderr
from plugins.build import BuildError, ToolchainMissing
from sen_host.engines import backends, open_backend

PLUGIN_MODULES = tuple(PLUGINS / name / f"{name}.wasm" for name in ("wordcount", "greet", "fetch"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 engines disagree, 2 wrong usage."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks metering",
        description="Time guest code with and without metering, and the rewriting of modules.",
    )
    available = [info.name for info in backends() if info.available]
    parser.add_argument("--rounds", type=_positive, default=25, help="25 by default")
    parser.add_argument(
        "--engine",
        action="append",
        choices=available,
        help="one of them only; may be given again (default: all)",
    )
    parser.add_argument(
        "--program",
        action="append",
        choices=[program.name for program in PROGRAMS],
        help="one of them only; may be given again (default: all)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there, too")
    parser.add_argument(
        "--small", action="store_true", help="try it out: small sizes, and one module to load"
    )
    options = parser.parse_args(arguments)
    if not available:
        parser.error("no engine can be used here; `sen-host backends` says why")

    programs = [p for p in PROGRAMS if p.name in (options.program or [p.name])]
    opened = {name: open_backend(name) for name in options.engine or available}
    with progress_on_stderr() as progress:
        modules = [KERNELS]
        if not options.small:
            modules += [*PLUGIN_MODULES, *_large(progress)]
        for line in head(opened, options.rounds):
            progress("")
            print(line, flush=True)
        try:
            times = measure(
                programs, opened, rounds=options.rounds, small=options.small, progress=progress
            )
        except Disagreement as disagreement:
            progress("")
            print(disagreement, file=sys.stderr)
            return 1
        loads = [
            measure_loading(path, opened, rounds=options.rounds, progress=progress)
            for path in modules
        ]
        progress("")
    for title, table in (
        ("Guest code: unmetered, then as ratios to it", guest_table(programs, times)),
        ("Rewriting: by the size of the code", rewriting_table(loads)),
        ("The engines' part of loading", engine_table(loads)),
    ):
        print(f"\n{title}", *table, sep="\n")
    if options.json is not None:
        report = as_json(programs, times, loads, opened, options.rounds)
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0


def _large(progress: Progress) -> list[Path]:
    """The large module, if it is there or can be built."""
    progress("building a large module, once")
    try:
        return [build_large()]
    except (ToolchainMissing, BuildError) as error:
        progress("")
        print(f"without a large module: {error}", file=sys.stderr)
        return []


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number
