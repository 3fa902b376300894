"""The command line of the fuzzer."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

from sen_host.errors import SenHostError
from sen_host_conformance.fuzz.arena import Arena, Difference, LeftOut
from sen_host_conformance.fuzz.campaign import Settings, open_backends, run
from sen_host_conformance.fuzz.case import Case, replay
from sen_host_conformance.fuzz.exercise import MAX_CALLS
from sen_host_conformance.fuzz.report import Summary
from sen_host_conformance.fuzz.smith import REMEDY, find_wasm_tools, version

AGREED, DIFFERED, WRONG = 0, 1, 2
"""Exit codes."""

CASES = Path("fuzz-cases")

_SECONDS_BETWEEN_LINES = 10


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the fuzzer, or a case: 0 if all backends agreed, 1 if they differ, 2 for misuse."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        if options.replay is not None:
            return _replay(options.replay, tuple(options.backend))
        return _fuzz(options)
    except (SenHostError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return WRONG


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sen_host_conformance.fuzz",
        description="Run modules at random alike on several backends, and tell where they differ.",
    )
    parser.add_argument("--modules", type=_count, default=100, help="how many modules (100)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other modules (0)")
    parser.add_argument("--first", type=_from_zero, default=0, help="number of the first one (0)")
    parser.add_argument(
        "--calls",
        type=_count,
        default=MAX_CALLS,
        help=f"about how many calls of a module at most ({MAX_CALLS})",
    )
    parser.add_argument("--jobs", type=_count, default=1, help="how many processes (1)")
    parser.add_argument(
        "--backend",
        action="append",
        default=[],
        metavar="NAME[:BINDING]",
        help="compare this one (all that are available)",
    )
    parser.add_argument("--own-only", action="store_true", help="no modules of wasm-tools smith")
    parser.add_argument("--cases", type=Path, default=CASES, help=f"where cases go (./{CASES})")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run a case and nothing else")
    return parser


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("it must be at least 1")
    return value


def _from_zero(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError("it must not be below 0")
    return value


def _fuzz(options: argparse.Namespace) -> int:
    summary = fuzz(
        options.modules,
        seed=options.seed,
        first=options.first,
        calls=options.calls,
        backends=tuple(options.backend),
        own_only=options.own_only,
        cases=options.cases,
        jobs=options.jobs,
    )
    print(summary)
    return DIFFERED if summary.failures else AGREED


def fuzz(
    modules: int,
    *,
    seed: int = 0,
    first: int = 0,
    calls: int = MAX_CALLS,
    backends: tuple[str, ...] = (),
    own_only: bool = False,
    cases: Path = CASES,
    jobs: int = 1,
) -> Summary:
    """Fuzz, and tell on stderr how far it is; the arguments are those of ``Settings``.

    Raises:
        As ``campaign.run``.
    """
    wasm_tools = None if own_only else find_wasm_tools()
    if wasm_tools is not None:
        print(f"every second module is of {version(wasm_tools)} smith", file=sys.stderr)
    elif not own_only:
        print(
            f"wasm-tools is not here, so the own generator makes all modules: {REMEDY}",
            file=sys.stderr,
        )
    settings = Settings(
        seed=seed,
        first=first,
        modules=modules,
        calls=calls,
        backends=backends,
        wasm_tools=wasm_tools,
        cases=cases,
    )
    return run(settings, jobs=jobs, progress=_Progress(modules))


class _Progress:
    """Lines on stderr: one that changes on a terminal, else one now and then."""

    def __init__(self, modules: int) -> None:
        self._modules = modules
        self._told = monotonic()
        self._failures = 0

    def __call__(self, summary: Summary) -> None:
        for failure in summary.failures[self._failures :]:
            print(failure, file=sys.stderr)
        self._failures = len(summary.failures)
        line = summary.progress(self._modules)
        if sys.stderr.isatty():
            end = "\n" if summary.modules == self._modules else ""
            print(f"\r\x1b[K{line}", end=end, file=sys.stderr, flush=True)
        elif (now := monotonic()) - self._told >= _SECONDS_BETWEEN_LINES:
            self._told = now
            print(line, file=sys.stderr, flush=True)


def _replay(path: Path, backends: tuple[str, ...]) -> int:
    case = Case.read(path)
    arena = Arena(open_backends(backends))
    try:
        outcomes = replay(arena, case.wasm, case.calls)
    except Difference as found:
        print(found)
        for reason in case.reasons(side.backend.binding.engine for side in arena.sides):
            print(f"known of {reason}")
        return DIFFERED
    except LeftOut as error:
        print(f"left out by {error.who}: {error.reason}")
        return WRONG
    finally:
        arena.close()
    for call, outcome in zip(case.calls, outcomes, strict=False):
        print(f"{call.function}{call.arguments} with fuel {call.fuel}: {outcome.kind}")
    print("the backends agree")
    return AGREED
