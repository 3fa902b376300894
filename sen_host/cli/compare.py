"""``sen-host compare``: one plugin on all backends, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from sen_host.cli import failure
from sen_host.cli.options import Call, backends_option, call_options
from sen_host.cli.output import write_json, write_report
from sen_host.cli.run import check_text, interruptible
from sen_host.limits import FUEL_SCHEDULE

if TYPE_CHECKING:
    from sen_host.comparison import Case, Comparison, Difference, Failure, Side, Step, Trace


@click.command(short_help="Run a plugin on all engines and compare.")
@click.argument("plugin", type=click.Path())
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "--args-file",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="Sets of arguments: on each line a JSON array of strings.",
)
@backends_option()
@call_options(settings=True, without=("backend", "binding"))
def command(
    call: Call,
    plugin: str,
    args: tuple[str, ...],
    args_file: str | None,
    backends: tuple[str, ...],
) -> int:
    """Run PLUGIN with ARGS on all available engines, and compare.

    Results, errors, fuel and memory have to be equal; the time is for you to
    look at. ARGS that look like options stand behind `--`. Each set of arguments
    gets a fresh instance. HTTP requests are refused; a sleep is granted, but not slept.

    The exit code is 0 if all is equal and 1 if anything differs. If no engine
    loads the plugin, it is the one that `sen-host run` would have.
    """
    from sen_host.comparison import compare, loaders_to_compare, read_argument_file
    from sen_host.plugin_file import read_plugin_file

    if args_file is not None and args:
        raise click.UsageError("--args-file and ARGS cannot be given both")
    check_text(args)
    sets = (args,) if args_file is None else read_argument_file(args_file)
    config = call.config()
    wasm = read_plugin_file(plugin, config.limits.module_bytes)
    loaders = loaders_to_compare(config, backends)

    from sen_host.cli.progress import progress

    with interruptible(), progress() as tell:
        found = compare(wasm, loaders, sets, progress=tell)
    if call.json:
        write_json(as_json(plugin, found))
    else:
        from sen_host.cli.compare_report import report

        write_report(*report(plugin, found))
    return _exit_code(found)


def _exit_code(found: Comparison) -> int:
    from sen_host.comparison import Failure

    if found.differs:
        return failure.FOUND
    outcome = found.sides[0].load.outcome
    return failure.exit_code(outcome.error) if isinstance(outcome, Failure) else 0


def as_json(path: str, found: Comparison) -> dict[str, Any]:
    """The comparison as a JSON object; null for what is not known."""
    return {
        "path": path,
        "fuel_schedule": FUEL_SCHEDULE,
        "equal": not found.differs,
        "backends": [
            {**_name(side), "engine": side.binding.engine, "isolation": side.binding.isolation}
            for side in found.sides
        ],
        "load": {
            "runs": [
                {**_name(side), "repeats": side.loads, **_step(side.load)} for side in found.sides
            ],
            "differences": [_difference(found, item) for item in found.load_differences],
        },
        "cases": [_case(found, case) for case in found.cases],
    }


def _case(found: Comparison, case: Case) -> dict[str, Any]:
    ran = [side for side, run in zip(found.sides, case.runs, strict=True) if run is not None]
    return {
        "args": list(case.args),
        "runs": [
            {
                **_name(side),
                "repeats": repeats,
                "steps": None if run is None else _steps(run),
            }
            for side, run, repeats in zip(found.sides, case.runs, case.repeats, strict=True)
        ],
        "differences": [_difference(found, item, ran) for item in case.differences],
        "unsteady": [
            {**_name(found.sides[number]), **_place(item), "seen": [_value(v) for v in item.seen]}
            for number, item in case.unsteady
        ],
    }


def _difference(
    found: Comparison, difference: Difference, sides: list[Side] | None = None
) -> dict[str, Any]:
    among = found.sides if sides is None else sides
    seen = [
        {**_name(side), "value": _value(value)}
        for side, value in zip(among, difference.seen, strict=True)
    ]
    return {**_place(difference), "seen": seen}


def _place(difference: Difference) -> dict[str, Any]:
    return {"step": difference.step, "call": difference.call, "field": difference.field}


def _steps(trace: Trace) -> list[dict[str, Any]]:
    return [_step(step) for step in trace]


def _step(step: Step) -> dict[str, Any]:
    return {
        "call": step.call,
        **_outcome(step.outcome),
        "fuel_used": step.fuel_used,
        "fuel_left": step.fuel_left,
        "memory_bytes": step.memory_bytes,
        "seconds": round(step.seconds, 9),
    }


def _outcome(outcome: Any) -> dict[str, Any]:
    from sen_host.comparison import Failure
    from sen_host.messages import to_wire

    if isinstance(outcome, Failure):
        return {"error": _error(outcome)}
    return {"result": to_wire(outcome)}


def _error(outcome: Failure) -> dict[str, Any]:
    return failure.as_json(outcome.error)


def _value(value: Any) -> Any:
    from sen_host.comparison import Failure
    from sen_host.messages.types import Message

    if isinstance(value, (Message, Failure)):
        return _outcome(value)
    return value


def _name(side: Side) -> dict[str, str]:
    return {"backend": side.backend, "binding": side.binding.name}
