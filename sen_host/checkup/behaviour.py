"""How a plugin behaves when it is called: on every backend, twice, and many times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sen_host.backend import Binding
from sen_host.checkup.findings import Area, Finding, Level
from sen_host.checkup.sweep import LONG_CHARACTERS, Probe
from sen_host.comparison import (
    Answers,
    Difference,
    Failure,
    Progress,
    Step,
    Trace,
    answer_requests,
    differences,
    label,
    record,
    refuse_requests,
)
from sen_host.errors import EnvironmentFault, SenHostError
from sen_host.messages import Effect, Error, Sleep
from sen_host.plugin import Plugin

MANY_CALLS = 300

_ENDLESS = "give up after a few failures; no other calls were tried, as each takes long"

_REMEDIES = {
    "FunctionCall": "check the input and answer with an Error instead;"
    " panics, failed assertions and running out of memory end in a trap",
    "FuelExhausted": "do less work for such input, or tell users how much fuel it needs",
    "Deserialization": "encode the answer as an ExecuteResult, with the SDK's own functions",
    "MemoryAccess": "return pointer << 32 | length of a buffer that lies in the memory;"
    " free what plugin_dealloc is given, so that plugin_alloc has room",
    "ResultTooLarge": "send shorter answers",
    "EffectsNotSupported": "export plugin_resume, or ask for no effects",
    "EffectLimitExceeded": _ENDLESS,
}


_NO_CHANCE = "a plugin has no source of chance: report the engine"


def check_call(plugins: Sequence[Plugin], probe: Probe) -> Iterator[Finding]:
    """Make a call twice on each plugin, always in a fresh instance.

    Args:
        plugins: the same plugin on different backends.
    """
    yield from _try(plugins, probe, probe.what, refuse_requests)


def is_endless(finding: Finding) -> bool:
    """Whether a plugin asks for effects without end: then each call of it takes long."""
    return finding.remedy == _ENDLESS


def _try(
    plugins: Sequence[Plugin], probe: Probe, where: str, answers: Answers
) -> Iterator[Finding]:
    traces = [record(plugin, probe.args, answers) for plugin in plugins]
    for plugin, trace in zip(plugins, traces, strict=True):
        again = record(plugin, probe.args, answers)
        for difference in differences([plugin.binding] * 2, (trace, again)):
            yield _unsteady(plugin, where, difference)
    bindings = [plugin.binding for plugin in plugins]
    names = [label(plugin.backend, plugin.binding) for plugin in plugins]
    for difference in differences(bindings, traces):
        yield _unequal(names, where, difference)
    yield from _of_trace(traces[0], probe, where)
    if answers is refuse_requests and _requests(traces[0]):
        yield from _try(plugins, probe, f"{where}, HTTP requests answered", answer_requests)


def _of_trace(trace: Trace, probe: Probe, where: str) -> Iterator[Finding]:
    for step in trace:
        yield from check_freed(step, where)
    outcome = trace[-1].outcome
    if isinstance(outcome, Failure):
        yield _failed(outcome, where, large=probe.large)
    elif isinstance(outcome, Error) and outcome.code == 0:
        yield Finding(
            Level.WARNING,
            Area.BEHAVIOUR,
            "the plugin answers with an error of code 0, which stands for success",
            (where,),
            "give errors a code from 1 to 255",
        )


def check_freed(step: Step, where: str) -> Iterator[Finding]:
    """A call that succeeds and leaves no instance is one that could not be cleaned up after."""
    if step.memory_bytes is None and not isinstance(step.outcome, Failure):
        yield Finding(
            Level.ERROR,
            Area.BEHAVIOUR,
            f"plugin_dealloc trapped after {step.call}, so the host replaces the instance",
            (where,),
            "take back every buffer that plugin_alloc gave out and every message, with"
            " the length that the host was given",
        )


def _failed(failure: Failure, where: str, *, large: bool) -> Finding:
    remedy = _REMEDIES.get(failure.kind, failure.error.hint)
    if isinstance(failure.error, EnvironmentFault):
        remedy = "this is the engine's fault or the machine's, not the plugin's: report it"
    level = Level.WARNING if large and failure.kind == "FuelExhausted" else Level.ERROR
    return Finding(level, Area.BEHAVIOUR, failure.message, (where,), remedy)


def _requests(trace: Trace) -> bool:
    return any(
        isinstance(step.outcome, Effect) and not isinstance(step.outcome, Sleep) for step in trace
    )


def _unsteady(plugin: Plugin, where: str, difference: Difference) -> Finding:
    return Finding(
        Level.ERROR,
        Area.BEHAVIOUR,
        f"two runs in fresh instances differ in {difference.field}",
        (f"{where}, {label(plugin.backend, plugin.binding)}: {_both(difference)}",),
        _NO_CHANCE,
    )


def _unequal(names: Sequence[str], where: str, difference: Difference) -> Finding:
    seen = ", ".join(
        f"{name} {_shown(value)}" for name, value in zip(names, difference.seen, strict=True)
    )
    return Finding(
        Level.ERROR,
        Area.BACKENDS,
        f"backends differ in {difference.field}",
        (f"{where}: {seen}",),
        "`sen-host compare` with these arguments shows both sides; report the engine",
    )


def check_loads(
    backends: Sequence[tuple[str, Binding]], loads: Sequence[Trace]
) -> Iterator[Finding]:
    """Compare what the loads of a plugin came to.

    Args:
        backends: name and binding of each.
        loads: the trace of each, its manifest alone.
    """
    names = [label(name, binding) for name, binding in backends]
    for difference in differences([binding for _, binding in backends], loads):
        yield _unequal(names, "load", difference)


def check_manifest_again(plugins: Sequence[Plugin]) -> Iterator[Finding]:
    """Ask fresh instances for their manifest: it must be the same, for the same fuel."""
    for plugin in plugins:
        where = label(plugin.backend, plugin.binding)
        before = plugin.manifest, plugin.fuel_used
        try:
            plugin.restart()
        except SenHostError as error:
            yield _failed(Failure.of(error), f"a fresh instance, {where}", large=False)
            continue
        if before != (plugin.manifest, plugin.fuel_used):
            yield Finding(
                Level.ERROR,
                Area.MANIFEST,
                "a fresh instance gives another manifest, or needs other fuel for it",
                (where,),
                _NO_CHANCE,
            )


def check_leaks(plugin: Plugin, args: Sequence[str], progress: Progress) -> Iterator[Finding]:
    """Repeat one call in one instance: its memory must come to rest.

    Calls with a long argument come on top, since memory grows in steps of 64 KiB.
    """
    for what, words in (
        ("the same call", tuple(args)),
        (f"a call with {LONG_CHARACTERS:,} characters", (*args, "x" * LONG_CHARACTERS)),
    ):
        yield from _leak(plugin, words, what, progress)


def _leak(plugin: Plugin, args: Sequence[str], what: str, progress: Progress) -> Iterator[Finding]:
    first = record(plugin, args)
    if isinstance(first[-1].outcome, Failure):
        return  # the sweep tells of it
    sizes = []
    for number in range(MANY_CALLS):
        progress("repeating a call", number, MANY_CALLS)
        trace = record(plugin, args, fresh=False)
        outcome = trace[-1].outcome
        if isinstance(outcome, Failure):
            yield Finding(
                Level.ERROR,
                Area.BEHAVIOUR,
                "the plugin fails when a call that succeeded is repeated in the same instance",
                (f"{what}, call {number + 2:,}: {outcome.message}",),
                "free in plugin_dealloc what plugin_alloc gave out, and keep no state that"
                " spoils the next call",
            )
            return
        sizes.append(trace[-1].memory_bytes or 0)
    third = MANY_CALLS // 3
    early, middle, late = sizes[third], sizes[2 * third], sizes[-1]
    if early < middle < late:
        per_call = (late - early) // (MANY_CALLS - 1 - third)
        yield Finding(
            Level.WARNING,
            Area.BEHAVIOUR,
            "the memory grows from call to call",
            (f"{what}: about {per_call:,} bytes each, {late:,} after {MANY_CALLS + 1} calls",),
            "free in plugin_dealloc what plugin_alloc gave out: both the arguments and the result",
        )


def _both(difference: Difference) -> str:
    return ", then ".join(_shown(value) for value in difference.seen)


def _shown(value: object) -> str:
    if isinstance(value, Failure):
        return f"{value.kind}: {value.message}"
    if isinstance(value, int):
        return f"{value:,}"
    text = str(value)
    return text if len(text) <= 200 else f"{text[:200]}..."
