"""Scale: further instances, many plugins, guests in two threads."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from benchmarks.build import ECHO
from benchmarks.metering.programs import PLUGINS
from benchmarks.progress import Progress
from benchmarks.speed.outcome import OURS, Outcome
from benchmarks.speed.sampling import WrongResult
from benchmarks.speed.settings import Settings

if TYPE_CHECKING:
    from sen_host import Plugin

MEMORY_MAP = Path("/proc/self/smaps_rollup")
ONE_THREAD, TWO_THREADS = "one thread", "two threads"
WORDCOUNT = PLUGINS / "wordcount" / "wordcount.wasm"
WORDS = "the quick brown fox jumps over the lazy dog\n" * 20_000
"""Takes the guest milliseconds, and the host a small part of one."""


def resident_bytes() -> int:
    """What this process has in memory now."""
    for line in MEMORY_MAP.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "Rss":
            return int(value.split()[0]) * 1024
    raise LookupError(f"{MEMORY_MAP} tells no Rss")


def _no_memory_map() -> Outcome | None:
    if MEMORY_MAP.exists():
        return None
    return Outcome(missing={OURS: f"this system has no {MEMORY_MAP}"})


def instances(settings: Settings, progress: Progress) -> Outcome:
    """KB of resident memory for each further instance, after one call of it.

    The module is compiled once, as the loader does it, and instantiated by the backend's
    contract.
    """
    from sen_host.abi import Guest
    from sen_host.engines import open_backend
    from sen_host.limits import Limits
    from sen_host.messages import Success, decode, encode_args
    from sen_host.messages.types import ExecuteResult
    from sen_host.wasm.instrument import instrument
    from sen_host.wasm.reader import parse

    if missing := _no_memory_map():
        return missing
    limits = Limits()
    rewritten = instrument(
        parse(ECHO.read_bytes()),
        memory_bytes=limits.memory_bytes,
        table_elements=limits.table_elements,
    )
    module = open_backend("wasmtime").compile(rewritten.wasm, limits)
    arguments, expected = encode_args(["x" * 64]), Success("x" * 64)
    guests: list[Guest] = []

    def make() -> None:
        for _ in range(settings.instances):
            guest = Guest(module.instantiate(), limits, has_resume=False)
            if decode(ExecuteResult, guest.execute(arguments)) != expected:
                raise WrongResult("an instance does not echo")
            guests.append(guest)
        gc.collect()

    make()
    sizes = [resident_bytes()]
    for block in range(settings.blocks):
        progress(f"block {block + 1} of {settings.blocks}")
        make()
        sizes.append(resident_bytes())
    grown = [(after - before) / settings.instances / 1e3 for before, after in pairwise(sizes)]
    for guest in guests:
        guest.close()
    module.close()
    return Outcome({OURS: grown}, facts={"instances": settings.blocks * settings.instances})


def plugins(settings: Settings, progress: Progress) -> Outcome:
    """How many of many different plugins work in one process, loaded at the same time."""
    from sen_host import PluginLoader
    from sen_host.messages import Success
    from sen_host.wasm.writer import name, section

    if missing := _no_memory_map():
        return missing
    echo = ECHO.read_bytes()
    loader = PluginLoader(backend="wasmtime")
    with ExitStack() as stack:
        stack.enter_context(loader.load(echo))
        before = resident_bytes()
        started = perf_counter()
        loaded = []
        for number in range(settings.plugins):
            if number % 50 == 0:
                progress(f"{number} of {settings.plugins}")
            # A section that only tells them apart, so that each is compiled.
            mark = section(0, name("benchmark") + number.to_bytes(4, "little"))
            loaded.append(stack.enter_context(loader.load(echo + mark)))
        taken = perf_counter() - started
        grown = resident_bytes() - before
        working = sum(
            plugin.execute([str(number)]) == Success(str(number))
            for number, plugin in enumerate(loaded)
        )
    return Outcome(
        {OURS: [float(working)]},
        facts={
            "load, ms each": taken / settings.plugins * 1e3,
            "resident, KB each": grown / settings.plugins / 1e3,
        },
    )


def threads(settings: Settings, progress: Progress) -> Outcome:
    """Calls in a second: one thread with its plugin, and two with one each."""
    from sen_host import Limits, PluginLoader

    loader = PluginLoader(backend="wasmtime", limits=Limits(fuel=None))
    with loader.load(WORDCOUNT) as one, loader.load(WORDCOUNT) as other:
        expected = one.execute([WORDS])
        started = perf_counter()
        other.execute([WORDS])
        calls = max(1, round(settings.thread_seconds / (perf_counter() - started)))
        samples: dict[str, list[float]] = {ONE_THREAD: [], TWO_THREADS: []}
        pairs = {ONE_THREAD: (one,), TWO_THREADS: (one, other)}
        for turn in range(settings.thread_rounds):
            progress(f"round {turn + 1} of {settings.thread_rounds}")
            for way in list(pairs)[:: -1 if turn % 2 else 1]:
                chosen = pairs[way]
                samples[way].append(calls * len(chosen) / _side_by_side(chosen, calls, expected))
    return Outcome(samples)


def _side_by_side(chosen: Sequence[Plugin], calls: int, expected: object) -> float:
    """Seconds until each plugin was called so often in a thread of its own."""

    def work(plugin: Plugin) -> None:
        for _ in range(calls):
            result = plugin.execute([WORDS])
        if result != expected:
            raise WrongResult("a plugin counts other words in a thread")

    with ThreadPoolExecutor(len(chosen)) as pool:
        started = perf_counter()
        list(pool.map(work, chosen))
        return perf_counter() - started
