"""``sen-host check``: what is wrong with a plugin, before its users find out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from sen_host.cli import failure
from sen_host.cli.options import Call, backends_option, call_options
from sen_host.cli.output import one_line, write_json, write_report
from sen_host.cli.run import interruptible

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sen_host.checkup import Finding, Report

_MOST_PLACES = 5
_LONGEST_TEXT = 500


@click.command(short_help="Tell an author what is wrong with a plugin.")
@click.argument("plugin", type=click.Path())
@backends_option()
@call_options(settings=True, without=("backend", "binding"))
def command(call: Call, plugin: str, backends: tuple[str, ...]) -> int:
    """Tell what is wrong with PLUGIN, before its users find out.

    Looks at its binary and its manifest, then calls it on every available engine
    with many sets of arguments, likely ones and hostile ones. HTTP requests are
    refused at first and answered then; a sleep is granted, but not slept.

    The exit code is 0 if there is no error, and 1 if there is one.
    """
    from sen_host.checkup import Level, check
    from sen_host.cli.progress import progress
    from sen_host.comparison import available_loaders
    from sen_host.plugin_file import read_plugin_file

    config = call.config()
    wasm = read_plugin_file(plugin, config.limits.module_bytes)
    loaders = available_loaders(config, backends)
    with interruptible(), progress() as tell:
        found = check(wasm, loaders, progress=tell)
    if call.json:
        write_json(as_json(plugin, wasm, found))
    else:
        write_report(*report(plugin, wasm, found))
    return failure.FOUND if found.count(Level.ERROR) else 0


def as_json(path: str, wasm: bytes, found: Report) -> dict[str, Any]:
    """The report as a JSON object."""
    from sen_host.checkup import Level

    return {
        "path": path,
        "size_bytes": len(wasm),
        "backends": list(found.backends),
        "calls": found.calls,
        **{f"{level}s": found.count(level) for level in Level},
        "findings": [
            {
                "level": str(finding.level),
                "area": str(finding.area),
                "what": finding.what,
                "where": list(finding.where),
                "remedy": finding.remedy,
            }
            for finding in found.findings
        ],
    }


def report(path: str, wasm: bytes, found: Report) -> Iterator[RenderableType]:
    """The report for people, in parts."""
    from rich.text import Text

    from sen_host.checkup import Level
    from sen_host.cli.output import size

    yield Text.assemble((one_line(path), "bold"), f"  {size(len(wasm))}")
    if found.calls:
        yield Text(
            f"{found.calls:,} sets of arguments, each twice on {' and '.join(found.backends)}",
            style="dim",
        )
    elif found.count(Level.ERROR):
        yield Text("not called, since it does not load", style="dim")
    for finding in found.findings:
        yield from _finding(finding)
    yield Text()
    yield _verdict(found)


def _finding(finding: Finding) -> Iterator[RenderableType]:
    from rich.padding import Padding
    from rich.text import Text

    colour = {"error": "bold red", "warning": "bold yellow"}.get(finding.level, "bold cyan")
    yield Text.assemble(
        "\n", (f"{finding.level}", colour), f"  {finding.area}: ", _said(finding.what)
    )
    for place in finding.where[:_MOST_PLACES]:
        yield Padding(Text(f"- {_said(place)}"), (0, 0, 0, 2))
    if len(finding.where) > _MOST_PLACES:
        more = len(finding.where) - _MOST_PLACES
        yield Padding(Text(f"- and {more:,} more; --json lists them all"), (0, 0, 0, 2))
    if finding.remedy is not None:
        text = failure.with_options(finding.remedy)
        yield Padding(Text(f"hint: {_said(text)}", style="cyan"), (0, 0, 0, 2))


def _verdict(found: Report) -> RenderableType:
    from rich.text import Text

    from sen_host.checkup import Level

    counts = {level: found.count(level) for level in Level}
    told = ", ".join(
        f"{count:,} {level}{'' if count == 1 else 's'}" for level, count in counts.items() if count
    )
    if counts[Level.ERROR]:
        return Text(f"{told}.", style="bold red")
    if counts[Level.WARNING]:
        return Text(f"No errors; {told}.", style="bold yellow")
    return Text(f"Nothing wrong was found{f'; {told}' if told else ''}.", style="bold green")


def _said(text: str) -> str:
    return one_line(text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}...")
