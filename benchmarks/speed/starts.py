"""The starts: from a new process to the first result, and loading once more."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from time import perf_counter

from benchmarks.build import LARGE_ECHO, LARGE_EXTISM_ECHO
from benchmarks.progress import Progress
from benchmarks.speed.calls import EXTISM
from benchmarks.speed.outcome import OURS, Outcome
from benchmarks.speed.peers import Missing, extism_sdk
from benchmarks.speed.sampling import WrongResult
from benchmarks.speed.settings import Settings

PROGRAMS = Path(__file__).resolve().parent / "programs"
BARE, OURS_COLD, EXTISM_COLD = "bare", "sen-host, no cache", "extism, no cache"
CLOSED = "after it was closed"
TEXT = "x" * 64
CACHE_VARIABLE = "XDG_CACHE_HOME"
"""Both hosts keep compiled code below this directory."""


def first_result(settings: Settings, progress: Progress) -> Outcome:
    """From the start of a process to the first line that it prints."""

    def way(program: str, *arguments: str, cold: bool = False) -> float:
        command = [sys.executable, str(PROGRAMS / program), *arguments]
        if not cold:
            return _first_line(command, os.environ)
        with tempfile.TemporaryDirectory(prefix="sen-benchmarks-") as empty:
            return _first_line(command, {**os.environ, CACHE_VARIABLE: empty})

    def bare() -> float:
        return way("bare.py", TEXT)

    def ours(*, cold: bool = False) -> float:
        return way("ours.py", str(LARGE_ECHO), TEXT, cold=cold)

    def extism(*, cold: bool = False) -> float:
        return way("with_extism.py", str(LARGE_EXTISM_ECHO), TEXT, cold=cold)

    outcome = Outcome()
    ways: dict[str, Callable[[], float]] = {BARE: bare, OURS: ours}
    cold_ways: dict[str, Callable[[], float]] = {OURS_COLD: lambda: ours(cold=True)}
    try:
        extism_sdk.require()
    except Missing as missing:
        outcome.missing[EXTISM] = str(missing)
    else:
        ways[EXTISM] = extism
        cold_ways[EXTISM_COLD] = lambda: extism(cold=True)
    outcome.samples = _alternate(ways, settings.starts, progress)
    outcome.samples |= _alternate(cold_ways, settings.cold_starts, progress)
    return outcome


def command(settings: Settings, progress: Progress) -> Outcome:
    """A whole ``sen-host run``, beside a whole ``python -c pass``."""
    script = Path(sys.executable).with_name("sen-host")
    if not script.exists():
        return Outcome(missing={OURS: f"{script} is not there: install sen-host"})

    def whole(*arguments: str, prints: str) -> float:
        started = perf_counter()
        done = subprocess.run(arguments, capture_output=True, text=True)
        taken = perf_counter() - started
        _check(arguments[0], done.returncode, done.stdout.strip(), prints, done.stderr)
        return taken

    ours = [str(script), "run", "--backend", "wasmtime", str(LARGE_ECHO), TEXT]
    return Outcome(
        _alternate(
            {
                BARE: lambda: whole(sys.executable, "-c", "pass", prints=""),
                OURS: lambda: whole(*ours, prints=TEXT),
            },
            settings.starts,
            progress,
        )
    )


def load_again(settings: Settings, progress: Progress) -> Outcome:
    """Loading the plugin when this process has it open, and when it has closed it."""
    from sen_host import PluginLoader
    from sen_host.messages import Success

    loader = PluginLoader(backend="wasmtime")

    def load() -> float:
        started = perf_counter()
        plugin = loader.load(LARGE_ECHO)
        taken = perf_counter() - started
        with plugin:
            if plugin.execute([TEXT]) != Success(TEXT):
                raise WrongResult("the plugin does not echo")
        return taken

    def load_beside() -> float:
        with loader.load(LARGE_ECHO):
            return load()

    progress("first")
    first = load()
    samples = _alternate({OURS: load_beside, CLOSED: load}, settings.loads, progress, warm_up=0)
    return Outcome(samples, facts={"first load, ms": first * 1e3})


def _alternate(
    ways: Mapping[str, Callable[[], float]], rounds: int, progress: Progress, *, warm_up: int = 1
) -> dict[str, list[float]]:
    """What each way returns, in turn; the first rounds fill caches and are not kept."""
    samples: dict[str, list[float]] = {name: [] for name in ways}
    names = list(ways)
    for turn in range(-warm_up, rounds):
        progress(f"round {max(turn, 0) + 1} of {rounds}")
        for name in names[:: -1 if turn % 2 else 1]:
            taken = ways[name]()
            if turn >= 0:
                samples[name].append(taken)
    return samples


def _first_line(arguments: list[str], environment: Mapping[str, str]) -> float:
    started = perf_counter()
    with subprocess.Popen(
        arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        line = process.stdout.readline()
        taken = perf_counter() - started
        errors = process.stderr.read()
    _check(arguments[1], process.returncode, line.strip(), TEXT, errors)
    return taken


def _check(what: str, code: int, printed: str, expected: str, errors: str) -> None:
    if code != 0 or printed != expected:
        raise WrongResult(f"{what} ended with {code} and printed {printed!r}\n{errors}")
