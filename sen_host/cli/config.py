"""``sen-host config``: each setting, its value, and where the value comes from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from sen_host.cli.failure import describe
from sen_host.cli.options import Call, call_options
from sen_host.cli.output import one_line, size, write_json, write_report
from sen_host.config import SETTINGS, Config
from sen_host.errors import EnvironmentFault, UnknownBackend

if TYPE_CHECKING:
    from rich.console import RenderableType


@click.command(short_help="Show each setting and where it comes from.")
@call_options(settings=True)
def command(call: Call) -> int:
    """Show each setting, its value, and where the value comes from.

    Options are taken as `sen-host run` would take them.
    """
    from sen_host.engines import open_backend

    config = call.config()
    resolved: dict[str, Any] = {"backend": None, "binding": None, "engine": None, "problem": None}
    try:
        backend = open_backend(config.backend, binding=config.binding, isolation=config.isolation)
    except UnknownBackend as error:
        raise config.blame(error) from None
    except EnvironmentFault as error:
        resolved["problem"], resolved["remedy"] = describe(error)
    else:
        binding = backend.binding
        resolved |= {"backend": backend.name, "binding": binding.name, "engine": binding.engine}
    if call.json:
        write_json(_as_json(config, resolved))
    else:
        write_report(*_report(config, resolved))
    return 0


def _as_json(config: Config, resolved: dict[str, Any]) -> dict[str, Any]:
    return {
        "settings": {
            key: {
                "value": config.value(key),
                "origin": str(config.origins[key]),
                "layer": config.origins[key].layer,
            }
            for key in SETTINGS
        },
        "resolved": resolved,
        "files": [
            {"path": file.path, "layer": file.layer, "exists": file.exists} for file in config.files
        ],
    }


def _report(config: Config, resolved: dict[str, Any]) -> Iterator[RenderableType]:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 3, 0, 0))
    for _ in range(3):
        table.add_column(overflow="fold")
    for key in SETTINGS:
        origin = config.origins[key]
        style = "dim" if origin.layer == "default" else ""
        table.add_row(
            Text(key, style="cyan"), _shown(config, key), Text(one_line(str(origin)), style=style)
        )
    yield table
    if resolved["problem"] is None:
        names = f"{resolved['backend']} ({resolved['binding']})"
        yield Text.assemble("\nPlugins run on ", (names, "bold"), f": {resolved['engine']}")
    else:
        yield Text.assemble("\n", ("No plugin can run: ", "red"), one_line(resolved["problem"]))
        if resolved["remedy"]:
            yield Text.assemble("hint: ", (one_line(resolved["remedy"]), "bold"))
    if config.files:
        yield "\nFiles, the later ones beat the earlier:"
        for file in config.files:
            missing = "" if file.exists else "  (does not exist)"
            yield Text.assemble("  ", one_line(file.path), (missing, "dim"))


def _shown(config: Config, key: str) -> str:
    value = config.value(key)
    kind = SETTINGS[key].kind
    if value is None:
        return "auto" if key == "binding" else "none"
    if kind == "bytes":
        return size(value)
    if kind == "count":
        return f"{value:,}"
    return f"{value} s" if kind == "seconds" else one_line(str(value))
