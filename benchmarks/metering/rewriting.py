"""How long it takes to rewrite a module, and what else is done when one is loaded."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TypeVar

from benchmarks.metering.guests import LIMITS
from benchmarks.progress import Progress
from sen_host.backend import Backend
from sen_host.wasm.instrument import Instrumented, instrument
from sen_host.wasm.profile import check_profile
from sen_host.wasm.reader import ParsedModule, parse

T = TypeVar("T")

READ, PROFILE, REWRITE = "read", "profile", "rewrite"
VALIDATE, COMPILE, COMPILE_UNMETERED = "validate", "compile", "compile unmetered"
ENGINE_ROUNDS = 3
"""Compilers take long and vary little."""


@dataclass
class LoadTimes:
    """What was measured of one module.

    Attributes:
        file_bytes, code_bytes: its size, and that of its function bodies.
        rewritten_code_bytes: the size of the function bodies afterwards.
        best: the least seconds by part; an engine's part is "ENGINE: PART".
    """

    name: str
    file_bytes: int
    code_bytes: int
    rewritten_code_bytes: int = 0
    best: dict[str, float] = field(default_factory=dict)

    @property
    def speed(self) -> float:
        """Bytes of code that are rewritten in a second."""
        return self.code_bytes / self.best[REWRITE]

    def time(self, part: str, action: Callable[[], T]) -> T:
        """Do it, and note how long it took."""
        started = perf_counter()
        result = action()
        seconds = perf_counter() - started
        self.best[part] = min(seconds, self.best.get(part, math.inf))
        return result


def measure_loading(
    path: Path, backends: Mapping[str, Backend], *, rounds: int, progress: Progress
) -> LoadTimes:
    """The times of what ``PluginLoader.load`` does with a module before it runs."""
    wasm = path.read_bytes()
    parsed = parse(wasm)
    times = LoadTimes(path.stem, len(wasm), _code_bytes(parsed))
    for turn in range(rounds):
        progress(f"round {turn + 1} of {rounds}: rewriting {path.stem}")
        times.time(READ, partial(parse, wasm))
        times.time(PROFILE, partial(check_profile, parsed))
        rewritten = times.time(REWRITE, partial(_rewrite, parsed))
    times.rewritten_code_bytes = _code_bytes(parse(rewritten.wasm))
    for turn in range(min(rounds, ENGINE_ROUNDS)):
        for name, backend in backends.items():
            progress(f"round {turn + 1}: {name} compiles {path.stem}")
            for part, data in ((COMPILE_UNMETERED, wasm), (COMPILE, rewritten.wasm)):
                # As when a module is loaded: a worker that has validated compiles at once.
                times.time(f"{name}: {VALIDATE}", partial(backend.validate, wasm))
                module = times.time(f"{name}: {part}", partial(backend.compile, data, LIMITS))
                module.close()
    return times


def _rewrite(parsed: ParsedModule) -> Instrumented:
    return instrument(
        parsed, memory_bytes=LIMITS.memory_bytes, table_elements=LIMITS.table_elements
    )


def _code_bytes(module: ParsedModule) -> int:
    return sum(end - start for start, end in module.function_bodies)
