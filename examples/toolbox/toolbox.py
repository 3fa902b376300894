"""A command line whose commands are plugins: ``python examples/toolbox/toolbox.py --help``."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import click

from sen_host import Permissions, PluginLoader, PluginRegistry, SenHostError, Wasi
from sen_host.cli.failure import describe, exit_code
from sen_host.cli.output import complain, one_line
from sen_host.click import LazyRegistry, PluginGroup
from sen_host.discovery import default_plugin_dirs
from sen_host.permissions import Trust, TrustFlags
from sen_host.user_dirs import data_directories
from sen_host.watch import HotReloadWatcher, WatchEvent

NAME = "toolbox"
HOME = Path(data_directories()[0], NAME, "plugins")
trusted = Trust()


def make_registry() -> PluginRegistry:
    """With permissions: a plugin that asks for something is granted it by the user first."""
    return PluginRegistry(make_loader(), permissions=Permissions(NAME, trust=trusted))


def make_loader() -> PluginLoader:
    """With WASI: plugins may use the files and the environment that they are granted."""
    return PluginLoader(host_functions=Wasi())


plugins = LazyRegistry(NAME, default_plugin_dirs(NAME), make=make_registry)


def set_trust(_: click.Context, __: click.Parameter, names: tuple[str, ...]) -> None:
    """Remember whom the user trusts, before a command is looked for."""
    global trusted
    trusted = TrustFlags.trust(plugins=names)


@click.group(cls=PluginGroup, plugins=plugins)
@click.option(
    "--trust-plugin",
    multiple=True,
    metavar="NAME",
    expose_value=False,
    callback=set_trust,
    help="Grant this plugin all that it asks for, for this run.",
)
def app() -> None:
    """A box of tools. Each tool is a plugin."""


@app.group()
def plugin() -> None:
    """List, add and remove plugins."""


@plugin.command("list")
def list_plugins() -> None:
    """Tell which plugins there are, and what is no plugin."""
    for name in plugins.commands():
        click.echo(f"{one_line(name)}  {one_line(plugins.source(name))}")
    if not plugins.commands():
        click.echo(f"there are no plugins; add one with: {NAME} plugin add FILE")
    for path, error in plugins.failures():
        complain(f"{one_line(path)}: {describe(error)[0]}", None)


@plugin.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def add(file: Path) -> None:
    """Add the plugin in FILE: a copy of it is kept."""
    data = file.read_bytes()
    with make_loader().load(data) as loaded, PluginRegistry() as checked:
        name = checked.register(loaded)  # which refuses odd names
    if name in app.commands:
        raise click.ClickException(f"{NAME} has a command {name} of its own")
    target = HOME / f"{name}.wasm"
    if name in plugins.commands() and plugins.source(name) != str(target):
        raise click.ClickException(f"there is a plugin {name} already: {plugins.source(name)}")
    HOME.mkdir(parents=True, exist_ok=True)
    # Beside it first: whoever looks meanwhile finds the old one, or all of the new one.
    beside = HOME / f".{name}.{os.getpid()}"
    try:
        beside.write_bytes(data)
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)
    click.echo(f"added {name}; try: {NAME} {name} --help")


@plugin.command()
@click.argument("name")
def remove(name: str) -> None:
    """Remove the plugin NAME, if it was added with "plugin add"."""
    source = Path(plugins.source(name))
    if source.parent != HOME:  # it is the user's own file, perhaps the only one
        raise click.ClickException(
            f"{NAME} has not added {one_line(name)}: remove {one_line(str(source))} yourself"
        )
    source.unlink()
    click.echo(f"removed {name}")


@plugin.command()
@click.argument("name")
def info(name: str) -> None:
    """Tell what the plugin NAME says of itself."""
    command = plugins.manifest(name).command
    click.echo(f"{command.name} {one_line(command.version or '')}: {one_line(command.about)}")
    click.echo(f"file: {one_line(plugins.source(name))}")
    click.echo(f"by: {one_line(command.author or 'unknown')}")


@app.command()
def watch() -> None:
    """Run commands line by line, while plugins come, change and go.

    Type a command, such as: greet Alice. An empty input (Ctrl-D) ends it.
    """

    def tell(event: WatchEvent) -> None:
        what = event.command or (describe(event.error)[0] if event.error else "")
        click.echo(f"{event.kind}: {one_line(what)} ({one_line(event.path)})", err=True)

    with make_registry() as registry:
        served = PluginGroup(NAME, plugins=registry)
        with HotReloadWatcher(registry, HOME, on_event=tell):
            click.echo("type a command, Ctrl-D ends", err=True)
            for line in sys.stdin:
                run_line(served, line)


def run_line(served: PluginGroup, line: str) -> None:
    """Run one line as a command, and go on whatever comes of it."""
    try:
        served.main(shlex.split(line), prog_name="", standalone_mode=False)
    except click.ClickException as error:
        error.show()
    except ValueError as error:  # a quote that is not closed
        complain(str(error), None)


def main() -> int:
    """Run the command line; a SenHostError becomes a message and an exit code."""
    try:
        return int(app.main(prog_name=NAME, standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (SenHostError, OSError) as error:
        complain(*describe(error))
        return exit_code(error)
    except click.Abort:
        return 130


if __name__ == "__main__":
    sys.exit(main())
