"""Plugins in an application of Click or Typer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from sen_host import log
from sen_host.click.command import PluginCommand, Plugins, is_usable
from sen_host.click.text import shown
from sen_host.errors import CommandNotFound

if TYPE_CHECKING:
    from collections.abc import Callable

    from typer import Typer


class PluginGroup(click.Group):
    """A group with the commands of plugins beside its own: ``click.group(cls=PluginGroup)``.

    It asks ``plugins`` each time, so plugins may come and go. A plugin never takes the place
    of one of the group's own commands; the help says which plugins are hidden.

    Attributes:
        plugins: where the commands come from, or None; may be set later.
    """

    def __init__(self, *args: Any, plugins: Plugins | None = None, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.plugins = plugins

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The group's own commands, then those of plugins."""
        return [*super().list_commands(ctx), *self._mounted()[0]]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The group's own command of that name, else that of a plugin."""
        own = super().get_command(ctx, cmd_name)
        if own is not None or self.plugins is None or cmd_name not in self._mounted()[0]:
            return own
        try:
            return PluginCommand(self.plugins, cmd_name)
        except CommandNotFound:  # it was unloaded since
            return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """A section for the group's own commands, one for those of plugins."""
        own = [
            (name, super(PluginGroup, self).get_command(ctx, name))
            for name in super().list_commands(ctx)
        ]
        visible = [(name, command) for name, command in own if command and not command.hidden]
        limit = formatter.width - 6 - max((len(name) for name, _ in visible), default=0)
        rows = [(name, command.get_short_help_str(limit)) for name, command in visible]
        mounted, hidden = self._mounted()
        plugins = [
            (name, command.short_help or "")
            for name in mounted
            if (command := self.get_command(ctx, name)) is not None
        ]
        for title, lines in (("Commands", rows), ("Plugins", plugins)):
            if lines:
                with formatter.section(title):
                    formatter.write_dl(lines)
        if hidden:
            formatter.write_paragraph()
            formatter.write_text(_hidden_text(hidden))

    def _mounted(self) -> tuple[list[str], list[str]]:
        """The names of plugins that are commands, and of those that are hidden."""
        names = [] if self.plugins is None else [*filter(is_usable, self.plugins.commands())]
        return (
            [name for name in names if name not in self.commands],
            [name for name in names if name in self.commands],
        )


def mount(group: click.Group, plugins: Plugins) -> tuple[str, ...]:
    """Add the commands that plugins have now to a group that exists already.

    A plugin never takes the place of a command; that is logged as a warning.

    Returns:
        The names that were left out: the group has them, or they cannot be used.
    """
    return _add(plugins, set(group.commands), lambda command: group.add_command(command))


def mount_typer(application: Typer, plugins: Plugins) -> tuple[str, ...]:
    """As :func:`mount`, for a Typer application. Call it after its own commands.

    Typer lists the plugins' commands and hands on what follows them: their help, checks and
    errors are the same as in Click. It completes their names, not what follows.
    """
    import typer

    def add(command: PluginCommand) -> None:
        def call(ctx: Any) -> None:
            command.main([*ctx.args], prog_name=ctx.command_path)

        # Typer evaluates annotations where it finds the function's globals.
        call.__annotations__ = {"ctx": typer.Context, "return": None}

        application.command(
            command.name,
            help=command.help,
            short_help=command.short_help,
            add_help_option=False,
            context_settings={
                "allow_extra_args": True,
                "ignore_unknown_options": True,
                "allow_interspersed_args": False,
            },
        )(call)

    own = {
        info.name or getattr(info.callback, "__name__", "").replace("_", "-")
        for info in application.registered_commands
        if info.name or info.callback
    }
    own |= {info.name for info in application.registered_groups if isinstance(info.name, str)}
    return _add(plugins, own, add)


def _add(plugins: Plugins, own: set[str], add: Callable[[PluginCommand], None]) -> tuple[str, ...]:
    left_out = []
    for name in plugins.commands():
        if name in own or not is_usable(name):
            left_out.append(name)
        else:
            add(PluginCommand(plugins, name))
    if left_out:
        log.warning("%s", _hidden_text(left_out))
    return tuple(left_out)


def _hidden_text(names: list[str]) -> str:
    listed = ", ".join(shown(name, 60) for name in names[:20])
    return (
        f"Plugins whose names the application has already are not commands: {listed}."
        " Load them with a prefix."
    )
