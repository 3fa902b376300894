"""Run one plugin on several backends, and put the runs side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from statistics import median
from time import perf_counter

from sen_host.backend import Binding
from sen_host.comparison.differences import Difference, differences
from sen_host.comparison.trace import Failure, Step, Trace, record, record_load
from sen_host.loader import PluginLoader
from sen_host.plugin import Plugin

Progress = Callable[[str, int, int], None]
"""Told what is done now, how much is done, and how much there is to do."""

MOST_REPEATS = 5
LOAD_SECONDS = 0.6
CASE_SECONDS = 0.25
"""How long, for each backend, what is measured is repeated."""


@dataclass(frozen=True)
class Side:
    """A backend through one binding, and how it loaded the plugin.

    Attributes:
        load: the manifest; its seconds are the median of ``loads`` loads.
    """

    backend: str
    binding: Binding
    load: Step
    loads: int


@dataclass(frozen=True)
class Case:
    """One set of arguments.

    Attributes:
        args: the arguments.
        runs: the trace of each side, in their order; seconds are medians. It
            is None where the plugin did not load.
        repeats: how many runs of each side the medians are of.
        differences: between the sides that loaded the plugin.
        unsteady: by number of the side, differences between two of its own runs.
    """

    args: tuple[str, ...]
    runs: tuple[Trace | None, ...]
    repeats: tuple[int, ...]
    differences: tuple[Difference, ...]
    unsteady: tuple[tuple[int, Difference], ...]


@dataclass(frozen=True)
class Comparison:
    """One plugin on several backends.

    Attributes:
        load_differences: between the loads.
    """

    sides: tuple[Side, ...]
    cases: tuple[Case, ...]
    load_differences: tuple[Difference, ...]

    @property
    def differs(self) -> bool:
        """Whether anything is not the same everywhere and every time."""
        return bool(self.load_differences) or any(
            case.differences or case.unsteady for case in self.cases
        )

    @property
    def loaded(self) -> bool:
        """Whether any side could load the plugin."""
        return any(not isinstance(side.load.outcome, Failure) for side in self.sides)


def compare(
    wasm: bytes,
    loaders: Sequence[PluginLoader],
    argument_sets: Sequence[Sequence[str]],
    *,
    progress: Progress | None = None,
) -> Comparison:
    """Load a plugin on each loader, and run each set of arguments in a fresh instance.

    Everything is repeated a few times, for the median of the time and to see
    whether it always comes to the same.

    Raises:
        Serialization: an argument is not a text that UTF-8 can hold.
    """
    tell = progress or (lambda _what, _done, _of: None)
    total = len(loaders) * (1 + len(argument_sets))
    with ExitStack() as stack:
        sides: list[Side] = []
        plugins: list[Plugin | None] = []
        for number, loader in enumerate(loaders):
            tell(f"loading on {loader.backend}", number, total)
            plugin, side = _load(loader, wasm)
            if plugin is not None:
                stack.enter_context(plugin)
            plugins.append(plugin)
            sides.append(side)
        bindings = [loader.binding for loader in loaders]
        load_differences = differences(bindings, [(side.load,) for side in sides])
        cases = []
        for number, args in enumerate(argument_sets):
            tell("running", len(loaders) * (1 + number), total)
            cases.append(_case(tuple(args), bindings, plugins))
    return Comparison(tuple(sides), tuple(cases), load_differences)


def _load(loader: PluginLoader, wasm: bytes) -> tuple[Plugin | None, Side]:
    end = perf_counter() + LOAD_SECONDS
    plugin, step = record_load(loader, wasm)
    seconds = [step.seconds]
    while len(seconds) < MOST_REPEATS and perf_counter() < end:
        again, another = record_load(loader, wasm)
        if again is not None:
            again.close()
        seconds.append(another.seconds)
    step = replace(step, seconds=median(seconds))
    return plugin, Side(loader.backend, loader.binding, step, len(seconds))


def _case(
    args: tuple[str, ...], bindings: Sequence[Binding], plugins: Sequence[Plugin | None]
) -> Case:
    runs: list[Trace | None] = []
    repeats = []
    unsteady: list[tuple[int, Difference]] = []
    for number, (binding, plugin) in enumerate(zip(bindings, plugins, strict=True)):
        traces = [] if plugin is None else _traces(plugin, args)
        repeats.append(len(traces))
        runs.append(_with_medians(traces) if traces else None)
        for other in traces[1:]:
            found = differences((binding, binding), (traces[0], other))
            if found:
                unsteady += [(number, difference) for difference in found]
                break
    ran = [(binding, run) for binding, run in zip(bindings, runs, strict=True) if run is not None]
    found = differences([binding for binding, _ in ran], [run for _, run in ran])
    return Case(args, tuple(runs), tuple(repeats), found, tuple(unsteady))


def _traces(plugin: Plugin, args: tuple[str, ...]) -> list[Trace]:
    end = perf_counter() + CASE_SECONDS
    traces = [record(plugin, args)]
    while len(traces) < MOST_REPEATS and perf_counter() < end:
        traces.append(record(plugin, args))
    return traces


def _with_medians(traces: Sequence[Trace]) -> Trace:
    """The first trace, with the median of the time of each step that all have."""
    seconds = [median(step.seconds for step in steps) for steps in zip(*traces, strict=False)]
    seconds += [step.seconds for step in traces[0][len(seconds) :]]
    return tuple(replace(step, seconds=took) for step, took in zip(traces[0], seconds, strict=True))
