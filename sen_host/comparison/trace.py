"""What one run of a plugin looks like from outside, call by call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter

from sen_host.abi import EXECUTE, MANIFEST, RESUME
from sen_host.comparison.answers import Answers, refuse_requests
from sen_host.conversation import MAX_EFFECTS
from sen_host.errors import EffectLimitExceeded, PluginFault, SenHostError, TrapKind
from sen_host.loader import PluginLoader
from sen_host.messages import Effect, ExecuteResult, PluginManifest
from sen_host.plugin import Plugin


@dataclass(frozen=True)
class Failure:
    """A call that ended in an error.

    Attributes:
        kind: name of the class in ``sen_host.errors``.
        message: its text without what the engine says.
        trap: the kind of the trap, if it was one.
        error: the error itself.
    """

    kind: str
    message: str
    trap: TrapKind | None
    error: SenHostError = field(compare=False, repr=False)

    @classmethod
    def of(cls, error: SenHostError) -> Failure:
        return cls(type(error).__name__, error.message, getattr(error, "trap", None), error)


@dataclass(frozen=True)
class Step:
    """One message from the plugin, or why there was none.

    Attributes:
        call: the function of the ABI that was asked.
        outcome: the message, or how it failed.
        fuel_used, fuel_left: of the call; None if unknown, ``fuel_left`` also
            without a budget.
        memory_bytes: size of the memory after it; None if the instance is gone.
        seconds: that it took, the load of the module included for the manifest
            of ``record_load``.
    """

    call: str
    outcome: ExecuteResult | PluginManifest | Failure
    fuel_used: int | None
    fuel_left: int | None
    memory_bytes: int | None
    seconds: float = field(compare=False)


Trace = tuple[Step, ...]
"""The steps of one run: the first is the command's, the others answer effects."""


def record_load(loader: PluginLoader, wasm: bytes) -> tuple[Plugin | None, Step]:
    """Load a plugin; None if that fails, and in any case the step of its manifest."""
    started = perf_counter()
    try:
        plugin = loader.load(wasm)
    except SenHostError as error:
        took = perf_counter() - started
        return None, Step(MANIFEST, Failure.of(error), None, None, None, took)
    took = perf_counter() - started
    return plugin, _known(plugin, MANIFEST, plugin.manifest, took)


def record(
    plugin: Plugin,
    args: Sequence[str],
    answers: Answers = refuse_requests,
    *,
    fresh: bool = True,
    max_effects: int = MAX_EFFECTS,
) -> Trace:
    """Run the plugin's command to its end.

    Args:
        answers: what it is told of the effects that it asks for.
        fresh: whether to do so in a fresh instance. If that fails, its manifest
            is the only step.
        max_effects: after so many answers the run is broken off, with a last step
            that holds EffectLimitExceeded.
    """
    if fresh:
        failed = _restart(plugin)
        if failed is not None:
            return (failed,)
    steps = [_step(plugin, EXECUTE, lambda: plugin.execute(args))]
    while isinstance(effect := steps[-1].outcome, Effect):
        if len(steps) > max_effects:
            failure = Failure.of(EffectLimitExceeded(max_effects))
            steps.append(Step(RESUME, failure, None, None, plugin.memory_bytes, 0.0))
            break
        steps.append(_step(plugin, RESUME, _resumption(plugin, effect, answers)))
    return tuple(steps)


def _resumption(plugin: Plugin, effect: Effect, answers: Answers) -> Callable[[], ExecuteResult]:
    return lambda: plugin.resume(effect.id, answers(effect))


def _restart(plugin: Plugin) -> Step | None:
    started = perf_counter()
    try:
        plugin.restart()
    except SenHostError as error:
        return _failed(plugin, MANIFEST, error, perf_counter() - started)
    return None


def _step(plugin: Plugin, call: str, action: Callable[[], ExecuteResult]) -> Step:
    started = perf_counter()
    try:
        outcome = action()
    except SenHostError as error:
        return _failed(plugin, call, error, perf_counter() - started)
    return _known(plugin, call, outcome, perf_counter() - started)


def _known(
    plugin: Plugin, call: str, outcome: ExecuteResult | PluginManifest, seconds: float
) -> Step:
    return Step(call, outcome, plugin.fuel_used, plugin.fuel_left, plugin.memory_bytes, seconds)


def _failed(plugin: Plugin, call: str, error: SenHostError, seconds: float) -> Step:
    failure = Failure.of(error)
    if not isinstance(error, PluginFault):  # the figures are those of an earlier call
        return Step(call, failure, None, None, None, seconds)
    return Step(call, failure, plugin.fuel_used, plugin.fuel_left, plugin.memory_bytes, seconds)
