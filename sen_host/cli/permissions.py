"""``sen-host permissions``: what plugins were granted, granting and revoking."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from sen_host.cli.granting import allowed, granting_options
from sen_host.cli.options import Call, call_options
from sen_host.cli.output import note, one_line, printable, write_json, write_report
from sen_host.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sen_host.messages import Capabilities
    from sen_host.permissions import StoredGrant
    from sen_host.permissions.file_store import FilePermissionStore

_OWN = "sen-host"
"""The application that this command line itself is."""


def _application() -> Callable[[Any], Any]:
    return click.option(
        "--application",
        metavar="NAME",
        default=_OWN,
        show_default=True,
        help="The application that runs the plugins.",
    )


def _command_words() -> Callable[[Any], Any]:
    return click.option(
        "--command",
        "words",
        metavar="WORDS",
        help='For this command, e.g. "migrate up", if the application grants by command.',
    )


@click.group(short_help="Show, grant or revoke what plugins may do.")
def command() -> None:
    """Show, grant or revoke what plugins may do, for one application."""


@command.command("list", short_help="List what is granted.")
@click.option("--application", metavar="NAME", help="Only this one.  [default: all]")
@call_options(settings=False)
def list_(call: Call, application: str | None) -> None:
    """List what plugins were granted, for ever, and in which file it is kept."""
    from sen_host.permissions.file_store import FilePermissionStore, applications
    from sen_host.permissions.grant import grant_as_json

    names = applications() if application is None else (application,)
    stores = [FilePermissionStore(name) for name in names]
    found = [(store, store.grants()) for store in stores]
    if call.json:
        listed = [
            {
                "application": store.application,
                "file": store.path,
                "grants": [grant_as_json(grant) for grant in grants],
            }
            for store, grants in found
        ]
        write_json({"applications": listed})
    elif any(grants for _, grants in found):
        write_report(*_report(found))
    else:
        note("nothing is granted")


@command.command(short_help="Grant a plugin what it asks for, or what is named.")
@click.argument("plugin", type=click.Path())
@_application()
@_command_words()
@click.option("--tie", is_flag=True, help="Only to this very file, not to all of its name.")
@granting_options
@call_options(settings=True)
def grant(
    call: Call,
    plugin: str,
    application: str,
    words: str | None,
    tie: bool,
    **named: tuple[str, ...],
) -> None:
    """Grant a plugin what it asks for, in place of what it was granted before.

    PLUGIN is its file, which is loaded to ask for its manifest. If options such as
    --allow-read name what is granted, PLUGIN is its name, and no file is needed.
    """
    from datetime import datetime, timezone

    from sen_host.permissions.file_store import FilePermissionStore
    from sen_host.permissions.grant import StoredGrant, grant_as_json

    store = FilePermissionStore(application)
    sha256 = None
    if any(named.values()):
        if tie:
            raise click.UsageError("--tie needs the plugin's file, so nothing can be named")
        name, capabilities = plugin, allowed(**named)
    else:
        name, capabilities, sha256 = _asked_by(call, plugin)
    now = datetime.now(timezone.utc).replace(microsecond=0)
    given = StoredGrant(name, capabilities, _split(words), sha256 if tie else None, now)
    store.put(given)
    if call.json:
        write_json({"application": application, "file": store.path, "grant": grant_as_json(given)})
    else:
        write_report(*_report([(store, (given,))]))


@command.command(short_help="Revoke what a plugin was granted.")
@click.argument("plugin", required=False)
@click.option("--all", "everything", is_flag=True, help="The grants of all plugins.")
@_application()
@_command_words()
@call_options(settings=False)
def revoke(
    call: Call, plugin: str | None, everything: bool, application: str, words: str | None
) -> None:
    """Revoke all grants of the plugin with the name PLUGIN, or of one of its commands."""
    from sen_host.permissions.file_store import FilePermissionStore

    if everything == (plugin is not None):
        raise click.UsageError("name one plugin, or give --all")
    store = FilePermissionStore(application)
    if plugin is None:
        if words is not None:
            raise click.UsageError("--command needs a plugin")
        count = store.clear()
    else:
        count = store.remove(plugin, None if words is None else _split(words))
        if not count:
            raise ConfigError(
                f"nothing is granted to {plugin!r} for the application {application}",
                hint="`sen-host permissions list` shows the names",
            )
    if call.json:
        write_json({"application": application, "file": store.path, "revoked": count})
    else:
        click.echo(f"revoked {count:,} grant{'' if count == 1 else 's'}")


def _asked_by(call: Call, path: str) -> tuple[str, Capabilities, str]:
    """The name of a plugin, what it asks for, and the SHA-256 of its file."""
    from hashlib import sha256

    from sen_host.permissions.capabilities import is_empty
    from sen_host.plugin_file import read_plugin_file

    config = call.config()
    # Read once, so that the hash is that of what was looked at.
    data = read_plugin_file(path, config.limits.module_bytes)
    with call.loader(config).load(data) as plugin:
        manifest = plugin.manifest
    if is_empty(manifest.capabilities):
        raise ConfigError(
            f"the plugin {manifest.command.name[:80]!r} asks for nothing, so there is nothing"
            " to grant"
        )
    return manifest.command.name, manifest.capabilities, sha256(data).hexdigest()


def _split(words: str | None) -> tuple[str, ...]:
    return () if words is None else tuple(words.split())


def _report(
    found: list[tuple[FilePermissionStore, tuple[StoredGrant, ...]]],
) -> Iterator[RenderableType]:
    from rich.text import Text

    from sen_host.permissions import describe

    for store, grants in found:
        if not grants:
            continue
        yield Text.assemble((store.application, "bold"), "   ", (printable(store.path), "dim"))
        for given in grants:
            name = one_line(" ".join((given.plugin, *given.command)))
            tied = "" if given.sha256 is None else f", only the file {given.sha256[:12]}"
            yield Text.assemble(
                "  ", (name, "cyan"), f"   {given.granted_at:%Y-%m-%d %H:%M} UTC{tied}"
            )
            yield from (Text(f"    {line}") for line in describe(given.capabilities))
