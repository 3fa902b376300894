"""``sen-host watch``: what hot reload does with the plugins in directories, as it happens."""

from __future__ import annotations

from queue import Queue
from typing import TYPE_CHECKING, Any

import click

from sen_host.cli import failure
from sen_host.cli.options import Call, call_options
from sen_host.cli.output import complain, note, one_line, write_json
from sen_host.cli.plugins import depth_option

if TYPE_CHECKING:
    from sen_host.watch import WatchEvent


@click.command(short_help="Load plugins as they come, change and go.")
@click.argument("directories", metavar="DIR...", nargs=-1, type=click.Path(), required=True)
@depth_option
@click.option(
    "--settle",
    type=click.FloatRange(0, 60),
    metavar="SECONDS",
    help="How long a file has to stay as it is before it is loaded.  [default: 0.2]",
)
@call_options(settings=True)
def command(call: Call, directories: tuple[str, ...], depth: int, settle: float | None) -> int:
    """Load the plugins in each DIR, and tell what comes of each change. Ctrl-C ends it.

    None of their commands is run. An author of plugins sees at once whether what was
    built can be loaded.
    """
    from sen_host.registry import PluginRegistry
    from sen_host.watch import SETTLE_SECONDS, HotReloadWatcher

    events: Queue[WatchEvent] = Queue()
    with PluginRegistry(call.loader(call.config())) as registry:
        watcher = HotReloadWatcher(
            registry,
            directories,
            depth=depth,
            settle_seconds=SETTLE_SECONDS if settle is None else settle,
            on_event=events.put,
        )
        try:
            with watcher:
                if not call.json:
                    note(f"following {', '.join(one_line(path) for path in directories)}")
                while True:
                    _tell(call, events.get())
        except KeyboardInterrupt:
            # How it is meant to end.
            return 0


def _tell(call: Call, event: WatchEvent) -> None:
    if call.json:
        write_json(_as_json(call, event))
    elif event.error is not None:
        message, hint = failure.describe(event.error)
        complain(f"{one_line(event.path)}: {message}", hint)
    else:
        click.echo(f"{event.kind:<8}   {one_line(event.command or '')}   {one_line(event.path)}")


def _as_json(call: Call, event: WatchEvent) -> dict[str, Any]:
    return {
        **call.facts,
        "event": event.kind,
        "path": event.path,
        "command": event.command,
        "error": None if event.error is None else failure.as_json(event.error),
    }
