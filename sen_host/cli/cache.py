"""``sen-host cache``: the compiled modules that are kept, and how to be rid of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from sen_host.cli.options import Call, call_options
from sen_host.cli.output import note, one_line, size, write_json, write_report
from sen_host.config import SETTINGS
from sen_host.errors import EnvironmentFault

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sen_host.cache.store import CompileCache
    from sen_host.cache.upkeep import Entry, Removed

_NO_BOUND = [key for key in SETTINGS if key != "cache.directory"]
_BOUND = [key for key in _NO_BOUND if key != "cache.max_bytes"]


@click.group(short_help="Show or clear the compiled modules that are kept.")
def command() -> None:
    """Show or clear the compiled modules that are kept.

    A plugin that is loaded is compiled once and kept for the next time.
    """


@command.command(short_help="Print the directory.")
@call_options(settings=True, without=_NO_BOUND)
def path(call: Call) -> None:
    """Print the directory that compiled modules are kept in."""
    directory = _cache(call).check()
    if call.json:
        write_json({"directory": directory})
    else:
        click.echo(directory)


@command.command("size", short_help="Tell how much is kept.")
@call_options(settings=True, without=_BOUND)
def size_(call: Call) -> None:
    """Tell how many modules are kept, and how many bytes they have."""
    cache = _cache(call)
    directory = cache.check()
    files = [entry.file for entry in cache.entries()]
    total = sum(file.size for file in files)
    if call.json:
        found = {"entries": len(files), "bytes": total, "max_bytes": cache.max_bytes}
        write_json({"directory": directory, **found})
        return
    click.echo(f"{_modules(len(files))}, {size(total)} of at most {size(cache.max_bytes)}")


@command.command("list", short_help="List what is kept.")
@call_options(settings=True, without=_NO_BOUND)
def list_(call: Call) -> None:
    """List the modules that are kept, the one used last first."""
    cache = _cache(call)
    directory = cache.check()
    entries = cache.entries()
    if call.json:
        write_json({"directory": directory, "entries": [_as_json(entry) for entry in entries]})
    elif entries:
        write_report(*_report(entries))
    else:
        note(f"no module is kept in {directory}")


@command.command(short_help="Remove all that is kept.")
@call_options(settings=True, without=_NO_BOUND)
def clear(call: Call) -> None:
    """Remove all modules that are kept. Other files in the directory stay."""
    cache = _cache(call)
    directory = cache.check()
    removed = cache.clear()
    _tell(call, removed, directory)
    left = len(cache.entries())
    if left:
        raise EnvironmentFault(
            f"{_modules(left)} in {directory} could not be removed",
            hint="the disk is perhaps read-only",
        )


@command.command(short_help="Remove what is damaged or too much.")
@call_options(settings=True, without=_BOUND)
def prune(call: Call) -> None:
    """Remove damaged modules, leftovers, and the least recently used above the bound.

    This reads all modules. The bound is kept whenever a module is added.
    """
    cache = _cache(call)
    directory = cache.check()
    _tell(call, cache.prune(), directory)


def _cache(call: Call) -> CompileCache:
    from sen_host.cache.store import CompileCache

    return CompileCache(call.config().cache)


def _tell(call: Call, removed: Removed, directory: str) -> None:
    if call.json:
        write_json({"directory": directory, "removed": removed.files, "bytes": removed.bytes})
    else:
        files = f"{removed.files:,} file{'' if removed.files == 1 else 's'}"
        click.echo(f"removed {files}, {size(removed.bytes)}")


def _modules(count: int) -> str:
    return f"{count:,} module{'' if count == 1 else 's'}"


def _as_json(entry: Entry) -> dict[str, Any]:
    from datetime import datetime, timezone

    about = entry.description
    return {
        "key": entry.file.key,
        "bytes": entry.file.size,
        "used": datetime.fromtimestamp(entry.file.used, timezone.utc).isoformat(),
        "damaged": about is None,
        "plugin": None if about is None else about.plugin,
        "engine": None if about is None else about.engine,
        "kind": None if about is None else about.kind,
        "module_bytes": None if about is None else about.module_bytes,
    }


def _report(entries: list[Entry]) -> Iterator[RenderableType]:
    from datetime import datetime

    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 3, 0, 0))
    for number in range(5):
        table.add_column(justify="right" if number == 1 else "left", overflow="fold")
    for entry in entries:
        about = entry.description
        table.add_row(
            Text("damaged", style="red")
            if about is None
            else Text(one_line(about.plugin), style="cyan"),
            size(entry.file.size),
            datetime.fromtimestamp(entry.file.used).strftime("%Y-%m-%d %H:%M"),
            "" if about is None else about.kind,
            "" if about is None else one_line(about.engine),
        )
    yield table
