"""``sen-host plugins``: the plugins in directories, and what is wrong with the others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from sen_host.cli import failure
from sen_host.cli.options import Call, call_options
from sen_host.cli.output import note, one_line, write_json, write_report
from sen_host.cli.progress import progress
from sen_host.discovery import MAX_DEPTH, Failure, default_plugin_dirs, scan
from sen_host.errors import CommandConflict

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sen_host.discovery import Scan
    from sen_host.loader import PluginLoader
    from sen_host.messages import PluginManifest

APPLICATION = "sen-host"

depth_option = click.option(
    "--depth",
    type=click.IntRange(0, MAX_DEPTH),
    default=0,
    metavar="N",
    help="Levels of directories below that count as well.  [default: 0]",
)


class Listed(NamedTuple):
    """A plugin that can be loaded."""

    manifest: PluginManifest
    sha256: str


@click.command(short_help="List the plugins in directories.")
@click.argument("directories", metavar="[DIR]...", nargs=-1, type=click.Path())
@depth_option
@call_options(settings=True)
def command(call: Call, directories: tuple[str, ...], depth: int) -> int:
    """List the plugins in each DIR: what they are, and which of them cannot be loaded.

    Without DIR, these are the directories in SEN_HOST_PLUGIN_PATH, and those in which
    the system keeps data: sen-host/plugins in $XDG_DATA_HOME and $XDG_DATA_DIRS.
    """
    loader = call.loader(call.config())
    looked_at = directories or _existing(default_plugin_dirs(APPLICATION))
    with progress() as tell:
        found = scan(looked_at, _Lister(loader).list, depth=depth, progress=tell)
    if call.json:
        write_json({**call.facts, "directories": list(looked_at), **_as_json(found)})
    else:
        if found.loaded or found.failures:
            write_report(*_report(found))
        if not found.total_found:
            note(f"there is no plugin in {_named(looked_at or default_plugin_dirs(APPLICATION))}")
        for path, reason in found.skipped:
            note(f"{one_line(path)} was passed over: {reason}")
    return failure.exit_code(found.failures[0].error) if found.failures else 0


class _Lister:
    """Loads one plugin after the other, as a registry would, but keeps none of them."""

    def __init__(self, loader: PluginLoader) -> None:
        self._loader = loader
        self._paths: dict[str, str] = {}

    def list(self, path: str) -> Listed:
        from sen_host.registry.names import check_spec

        with self._loader.load(path) as plugin:
            check_spec(plugin.manifest.command)
            name = plugin.manifest.command.name
            holder = self._paths.setdefault(name, path)
            if holder != path:
                raise CommandConflict(name, path=path, holder=holder)
            return Listed(plugin.manifest, plugin.sha256)


def _existing(directories: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(path for path in directories if os.path.lexists(path))


def _named(directories: tuple[str, ...]) -> str:
    return ", ".join(one_line(path) for path in directories)


def _as_json(found: Scan[Listed]) -> dict[str, Any]:
    return {
        "plugins": [
            {
                "command": listed.manifest.command.name,
                "version": listed.manifest.command.version,
                "about": listed.manifest.command.about,
                "path": path,
                "sha256": listed.sha256,
            }
            for path, listed in found.loaded.items()
        ],
        "failures": [
            {"path": path, "error": failure.as_json(error)} for path, error in found.failures
        ],
        "skipped": [{"path": path, "reason": reason} for path, reason in found.skipped],
    }


def _report(found: Scan[Listed]) -> Iterator[RenderableType]:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 3, 0, 0))
    for _ in range(4):
        table.add_column(overflow="fold")
    for path, listed in found.loaded.items():
        spec = listed.manifest.command
        table.add_row(
            Text(one_line(spec.name), style="cyan"),
            one_line(spec.version or ""),
            one_line(spec.about),
            Text(one_line(path), style="dim"),
        )
    yield table
    for problem in found.failures:
        yield Text.assemble(("failed", "red"), "   ", _told(problem))


def _told(problem: Failure) -> str:
    message, _ = failure.describe(problem.error)
    return f"{one_line(problem.path)}: {one_line(message)}"
