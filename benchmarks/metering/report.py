"""What was measured, as text and as JSON."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any

from benchmarks.metering.measure import UNMETERED, VARIANTS, Times, geometric_mean
from benchmarks.metering.programs import Program
from benchmarks.metering.rewriting import PROFILE, READ, REWRITE, LoadTimes
from sen_host.backend import Backend


def machine() -> str:
    """Interpreter, platform and cores."""
    return (
        f"{platform.python_implementation()} {platform.python_version()},"
        f" {platform.machine()} {platform.system()}, {os.cpu_count()} cores"
    )


def head(backends: Mapping[str, Backend], rounds: int) -> Iterator[str]:
    """Versions and machine."""
    yield f"sen-host {version('sen-host')}, {machine()}; the least of {rounds} rounds"
    for name, backend in backends.items():
        binding = backend.binding
        where = "in a worker process" if binding.isolation == "process" else "in process"
        yield f"{name}: {binding.engine} through {binding.name}, {where}"


def groups(programs: Sequence[Program]) -> dict[str, list[str]]:
    """The names of the programs of which a mean is told."""
    found = {
        "programs": [program.name for program in programs if not program.calls_mostly],
        "calls and short loops": [program.name for program in programs if program.calls_mostly],
        "all": [program.name for program in programs],
    }
    return {name: members for name, members in found.items() if members}


def means(times: Mapping[str, Times], members: Sequence[str]) -> dict[tuple[str, str], float]:
    """The geometric mean of the ratios, by engine and variant."""
    return {
        key: geometric_mean(times[name].ratio(*key) for name in members)
        for key in _columns(times)
        if key[1] != UNMETERED
    }


def guest_table(programs: Sequence[Program], times: Mapping[str, Times]) -> Iterator[str]:
    """A line for each program, and one for each mean."""
    columns = _columns(times)
    engines = dict.fromkeys(engine for engine, _ in columns)
    widths = {engine: 11 * sum(key[0] == engine for key in columns) for engine in engines}
    yield f"{'':38}" + "".join(f"{engine:>{width}}" for engine, width in widths.items())
    yield f"{'program':22}{'fuel':>16}" + "".join(f"{variant:>11}" for _, variant in columns)
    for program in programs:
        found = times[program.name]
        cells = [
            f"{found.best[key] * 1e3:.2f} ms" if key[1] == UNMETERED else f"{found.ratio(*key):.3f}"
            for key in columns
        ]
        yield f"{program.name:22}{found.fuel[-1]:16,}" + "".join(f"{cell:>11}" for cell in cells)
    for group, members in groups(programs).items():
        found_means = means(times, members)
        cells = [f"{found_means[key]:.3f}" if key in found_means else "" for key in columns]
        yield f"{f'geometric mean: {group}':38}" + "".join(f"{cell:>11}" for cell in cells)


def rewriting_table(modules: Sequence[LoadTimes]) -> Iterator[str]:
    """A line for each module."""
    parts = (READ, PROFILE, REWRITE)
    yield f"{'module':12}{'code':>14}{'grows by':>10}{'MB/s':>8}" + "".join(
        f"{part:>12}" for part in parts
    )
    for module in modules:
        growth = module.rewritten_code_bytes / module.code_bytes
        cells = "".join(f"{module.best[part] * 1e3:9.2f} ms" for part in parts)
        yield (
            f"{module.name:12}{module.code_bytes:8,} bytes{growth:10.2f}"
            f"{module.speed / 1e6:8.2f}{cells}"
        )


def engine_table(modules: Sequence[LoadTimes]) -> Iterator[str]:
    """A line for each part of an engine, a column for each module."""
    parts = dict.fromkeys(part for module in modules for part in module.best if ":" in part)
    yield f"{'engine':32}" + "".join(f"{module.name:>14}" for module in modules)
    for part in parts:
        cells = "".join(f"{module.best[part] * 1e3:11.2f} ms" for module in modules)
        yield f"{part:32}{cells}"


def as_json(
    programs: Sequence[Program],
    times: Mapping[str, Times],
    modules: Sequence[LoadTimes],
    backends: Mapping[str, Backend],
    rounds: int,
) -> dict[str, Any]:
    """Everything; times in seconds, sizes in bytes."""
    return {
        "sen_host": version("sen-host"),
        "machine": machine(),
        "rounds": rounds,
        "engines": {
            name: {"engine": backend.binding.engine, "binding": backend.binding.name}
            for name, backend in backends.items()
        },
        "programs": {
            program.name: {
                "fuel": times[program.name].fuel[-1],
                "seconds": _nested(times[program.name].best),
            }
            for program in programs
        },
        "means": {
            group: _nested(means(times, members)) for group, members in groups(programs).items()
        },
        "modules": {
            module.name: {
                "file_bytes": module.file_bytes,
                "code_bytes": module.code_bytes,
                "rewritten_code_bytes": module.rewritten_code_bytes,
                "rewritten_bytes_per_second": module.speed,
                "seconds": module.best,
            }
            for module in modules
        },
    }


def _columns(times: Mapping[str, Times]) -> list[tuple[str, str]]:
    measured = next(iter(times.values())).best
    engines = dict.fromkeys(engine for engine, _ in measured)
    columns = [(engine, variant) for engine in engines for variant in VARIANTS]
    return [key for key in columns if key in measured]


def _nested(values: Mapping[tuple[str, str], float]) -> dict[str, dict[str, float]]:
    nested: dict[str, dict[str, float]] = {}
    for (engine, variant), value in values.items():
        nested.setdefault(engine, {})[variant] = value
    return nested
