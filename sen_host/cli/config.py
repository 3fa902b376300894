"""``sen-host config``: each setting, its value, and where the value comes from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from sen_host.cli.failure import describe, exit_code
from sen_host.cli.options import Call, call_options
from sen_host.cli.output import one_line, setting, write_json, write_report
from sen_host.config import PROJECT_FILES, SETTINGS, Config
from sen_host.errors import EnvironmentFault, LimitNotEnforceable

if TYPE_CHECKING:
    from rich.console import RenderableType


@click.command(short_help="Show each setting and where it comes from.")
@call_options(settings=True)
def command(call: Call) -> int:
    """Show each setting, its value, and where the value comes from.

    Options are taken as `sen-host run` would take them. If no plugin can run
    with them, the exit code is the one that `sen-host run` would have.
    """
    config = call.config()
    resolved: dict[str, Any] = dict.fromkeys(("backend", "binding", "engine", "problem", "remedy"))
    code = 0
    try:
        loader = call.loader(config)
    except LimitNotEnforceable as error:
        resolved |= call.facts
        resolved["problem"], resolved["remedy"] = describe(error)
        code = exit_code(error)
    except EnvironmentFault as error:
        resolved["problem"], resolved["remedy"] = describe(error)
        code = exit_code(error)
    else:
        resolved |= call.facts
        resolved["engine"] = loader.binding.engine
    if call.json:
        write_json(_as_json(config, resolved))
    else:
        write_report(*_report(config, resolved))
    return code


def _as_json(config: Config, resolved: dict[str, Any]) -> dict[str, Any]:
    return {
        "settings": {
            key: {
                "value": _json_value(config.value(key)),
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


def _json_value(value: Any) -> Any:
    return sorted(value) if isinstance(value, frozenset) else value


def _report(config: Config, resolved: dict[str, Any]) -> Iterator[RenderableType]:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 3, 0, 0))
    for _ in range(3):
        table.add_column(overflow="fold")
    for key in SETTINGS:
        origin = config.origins[key]
        style = "dim" if origin.layer == "default" else ""
        where = Text(one_line(str(origin)), style=style)
        table.add_row(Text(key, style="cyan"), _shown(key, config.value(key)), where)
    yield table
    if resolved["problem"] is None:
        names = f"{resolved['backend']} ({resolved['binding']})"
        yield Text.assemble("\nPlugins run on ", (names, "bold"), f": {resolved['engine']}")
    else:
        yield Text.assemble("\n", ("No plugin can run: ", "red"), one_line(resolved["problem"]))
        if resolved["remedy"]:
            yield Text.assemble("hint: ", (one_line(resolved["remedy"]), "bold"))
    yield "\nFiles, the later ones beat the earlier:"
    files = {file.layer: file for file in config.files}
    for layer, name in PROJECT_FILES:
        if layer in files:
            yield f"  {one_line(files[layer].path)}"
        else:
            yield Text.assemble("  ", name, ("  (none in this directory or above)", "dim"))
    if "user" in files:
        missing = "" if files["user"].exists else "  (does not exist)"
        yield Text.assemble("  ", one_line(files["user"].path), (missing, "dim"))


def _shown(key: str, value: Any) -> str:
    if key == "binding" and value is None:
        return "auto (the preferred one)"
    if key == "cache.directory" and value is None:
        from sen_host.cache.settings import default_directory

        return f"auto ({one_line(default_directory() or 'no home directory')})"
    return setting(SETTINGS[key].kind, value)
