"""Many modules, in several processes; an engine that crashes takes only its own process along."""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from time import monotonic

from sen_host.backend import Backend
from sen_host.engines import backends as installed_backends
from sen_host.engines import open_backend
from sen_host.errors import ConfigError
from sen_host_conformance.fuzz.arena import Arena
from sen_host_conformance.fuzz.case import Case, Found, difference
from sen_host_conformance.fuzz.exercise import MAX_CALLS, Exercised, exercise
from sen_host_conformance.fuzz.report import Failure, Result, Summary
from sen_host_conformance.fuzz.shrink import shrink
from sen_host_conformance.fuzz.sources import Made, make
from sen_host_conformance.fuzz.suite_case import write_suite_case

MODULES_PER_PROCESS = 500
"""Then a new process takes over: engines do not give all their memory back."""

UNKNOWN_SOURCE = "a process that ended"


@dataclass(frozen=True)
class Settings:
    """What to run.

    Attributes:
        seed, first, modules: modules ``first`` to ``first + modules - 1`` of the seed.
        calls: about how many of each module at most.
        backends: names, each with ``:binding`` if need be; all that are available
            if it is empty.
        wasm_tools: path of wasm-tools; None for modules of the own generator alone.
        cases: where to write what differed.
        module_seconds: after this time a module counts as one that never ends.
        shrink_seconds: how long to look for a smaller case.
    """

    seed: int = 0
    first: int = 0
    modules: int = 100
    calls: int = MAX_CALLS
    backends: tuple[str, ...] = ()
    wasm_tools: str | None = None
    cases: Path = field(default_factory=lambda: Path("fuzz-cases"))
    module_seconds: float = 120.0
    shrink_seconds: float = 60.0

    def again(self, number: int) -> str:
        """The command that tries one module again."""
        names = "".join(f" --backend {name}" for name in self.backends)
        own = " --own-only" if self.wasm_tools is None else ""
        calls = "" if self.calls == MAX_CALLS else f" --calls {self.calls}"
        return (
            f"python -m sen_host_conformance.fuzz --seed {self.seed} --first {number}"
            f" --modules 1{calls}{names}{own}"
        )


def open_backends(names: Sequence[str]) -> dict[str, Backend]:
    """Open backends, in this process where they may.

    Args:
        names: each ``backend`` or ``backend:binding``; none for all that are available.

    Raises:
        ConfigError: fewer than two, so that there is nothing to compare.
        UnknownBackend, BackendUnavailable, BackendConflict
    """
    chosen = list(names) or [info.name for info in installed_backends() if info.available]
    if len({*chosen}) < 2:
        raise ConfigError(
            f"there is nothing to compare: {', '.join(chosen) or 'no backend'}",
            hint="name two backends, or install another engine: pip install 'sen-host[all]'",
        )
    opened = {}
    for name in chosen:
        backend, _, binding = name.partition(":")
        opened[name] = open_backend(backend, binding=binding or None)
    return opened


def described(backends: dict[str, Backend]) -> tuple[str, ...]:
    return tuple(
        f"{name} ({backend.binding.engine}, {backend.binding.name})"
        for name, backend in backends.items()
    )


def run_module(arena: Arena, settings: Settings, number: int) -> Result:
    """One module in this process; what differs is shrunk and written."""
    made = make(settings.seed, number, settings.wasm_tools)
    done = exercise(arena, made.target, made.random, most=settings.calls)
    failure = _failure(arena, settings, number, made, done)
    return Result(number, made.source, done.outcomes, done.unknown_fuel, done.left_out, failure)


def _failure(
    arena: Arena, settings: Settings, number: int, made: Made, done: Exercised
) -> Failure | None:
    if done.difference is None:
        return None
    again = settings.again(number)
    wasm, calls = made.target.wasm, tuple(done.history)
    what = str(done.difference)
    found = difference(arena, wasm, calls)
    if found is None:
        what += " (not every time: the same calls on fresh instances agreed)"
        found = done.difference
    else:
        wasm, calls = shrink(arena, wasm, calls, seconds=settings.shrink_seconds)
        found = difference(arena, wasm, calls) or found
    name = f"{settings.seed}-{number}"
    path = settings.cases / f"{name}.json"
    case = Case(wasm, calls, Found(again, found.field, found.seen))
    case.write(path, settings.wasm_tools)
    suite = write_suite_case(case, arena.sides[0], settings.cases, name, settings.wasm_tools)
    return Failure(number, what, again, str(path), str(suite))


def run(settings: Settings, *, jobs: int, progress: Callable[[Summary], None]) -> Summary:
    """All modules in ``jobs`` processes.

    Args:
        progress: called about once a second.

    Raises:
        ConfigError, UnknownBackend, BackendUnavailable, BackendConflict: see ``open_backends``.
    """
    summary = Summary(described(open_backends(settings.backends)))
    numbers = iter(range(settings.first, settings.first + settings.modules))
    started = told = monotonic()
    workers: list[_Worker] = []
    try:
        for number in numbers:
            workers.append(_Worker(settings, number))
            if len(workers) == jobs:
                break
        while workers:
            wait([worker.connection for worker in workers], timeout=1.0)
            for worker in list(workers):
                result = worker.result()
                if result is None:
                    continue
                summary.add(result)
                following = next(numbers, None)
                if following is None:
                    worker.stop()
                    workers.remove(worker)
                else:
                    worker.give(following)
            now = monotonic()
            summary.seconds = now - started
            if now - told >= 1.0 or not workers:
                told = now
                progress(summary)
    finally:
        for worker in workers:
            worker.stop()
    return summary


class _Worker:
    """A process that takes one number after the other."""

    def __init__(self, settings: Settings, number: int) -> None:
        self.settings = settings
        self._start()
        self.give(number)

    def _start(self) -> None:
        # A fresh interpreter: engines do not survive a fork.
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        self._process = context.Process(target=_work, args=(other, self.settings), daemon=True)
        self._process.start()
        other.close()
        self._done = 0

    def give(self, number: int) -> None:
        if self._done >= MODULES_PER_PROCESS:
            self.stop()
            self._start()
        self._done += 1
        self.number = number
        self._since = monotonic()
        self.connection.send(number)

    def result(self) -> Result | None:
        """What came of the number; None while nothing has."""
        try:
            if self.connection.poll():
                result: Result | str = self.connection.recv()
                if isinstance(result, str):
                    raise RuntimeError(f"module {self.number} broke the fuzzer:\n{result}")
                return result
        except (EOFError, ConnectionResetError):
            self._process.join()
            return self._restart(f"the process ended with code {self._process.exitcode}")
        limit = self.settings.module_seconds + self.settings.shrink_seconds
        if monotonic() - self._since > limit:
            return self._restart(f"it did not end within {limit:g} s")
        return None

    def _restart(self, what: str) -> Result:
        failure = Failure(self.number, what, self.settings.again(self.number))
        self.stop()
        self._start()
        return Result(self.number, UNKNOWN_SOURCE, failure=failure)

    def stop(self) -> None:
        self.connection.close()
        self._process.join(timeout=1.0)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _work(connection: Connection, settings: Settings) -> None:
    arena = Arena(open_backends(settings.backends))
    try:
        while True:
            try:
                number = connection.recv()
            except EOFError:
                return
            try:
                result: Result | str = run_module(arena, settings, number)
            except Exception:
                result = traceback.format_exc()
            connection.send(result)
    finally:
        arena.close()
