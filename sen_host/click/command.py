"""A plugin's command as a command of Click."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import click
from click.shell_completion import CompletionItem

from sen_host.cli import failure
from sen_host.cli.output import complain, one_line, write_text
from sen_host.click.syntax import Option, Syntax, WrongUse, placeholder
from sen_host.click.text import shown
from sen_host.errors import InvalidCommandName, SenHostError
from sen_host.messages import ArgSpec, CommandSpec, Error
from sen_host.registry.names import check_name

if TYPE_CHECKING:
    from sen_host.messages import PluginManifest, Success


class Plugins(Protocol):
    """What commands are made of: a PluginRegistry, a LazyRegistry, or one of your own."""

    def commands(self) -> Sequence[str]:
        """The names of all commands."""

    def manifest(self, name: str) -> PluginManifest:
        """The manifest of the plugin that has a command."""

    def run(self, name: str, args: Sequence[str]) -> Success | Error:
        """Run a command to its end."""


class PluginCommand(click.Command):
    """A command of a plugin, and those below it.

    The plugin gets the words that were typed, as they are; what its manifest rules out is
    refused before. A Success goes to stdout. An Error goes to stderr and its code becomes
    the exit code (1 for code 0). Other failures are told with the exit codes of sen-host.
    """

    def __init__(self, plugins: Plugins, name: str, spec: CommandSpec | None = None) -> None:
        """``name``: of the command in ``plugins``; ``spec``: by default that of its manifest."""
        if spec is None:
            spec = plugins.manifest(name).command
        self.spec = spec
        self.syntax = Syntax(spec)
        self._plugins = plugins
        about = shown(spec.about)
        super().__init__(name=name, help=about, short_help=shown(spec.about, 100))

    # --- what was typed --------------------------------------------------------

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the words apart, and follow them down to a subcommand."""
        ctx.args = list(args)
        here, command, rest = ctx, self, list(args)
        while below := command.below(rest[0]) if rest else None:
            here = click.Context(below, info_name=rest[0], parent=here)
            command, rest = below, rest[1:]
        if not ctx.resilient_parsing:
            command.check(here, rest)
        return ctx.args

    def below(self, word: str) -> PluginCommand | None:
        """The subcommand of that name."""
        for spec in self.spec.subcommands:
            if spec.name == word and is_usable(word):
                return PluginCommand(self._plugins, self.name or "", spec)
        return None

    def check(self, ctx: click.Context, words: list[str]) -> None:
        """Refuse the words, or show what they ask for, or do nothing."""
        scanned = self.syntax.scan(words)
        if scanned.wants == "help":
            click.echo(ctx.get_help())
            ctx.exit()
        if scanned.wants == "version":
            click.echo(f"{ctx.command_path} {shown(self.spec.version or '')}")
            ctx.exit()
        if self.spec.subcommands and not self.spec.args:
            if not words:
                click.echo(ctx.get_help(), err=True)
                ctx.exit(failure.USAGE)
            raise click.UsageError(f"there is no command {one_line(words[0][:100])}", ctx)
        try:
            self.syntax.check(scanned)
        except WrongUse as wrong:
            raise click.UsageError(one_line(str(wrong)), ctx) from None

    def invoke(self, ctx: click.Context) -> Any:
        """Run the plugin, tell its answer, and end with its exit code."""
        try:
            result = self._plugins.run(self.name or "", tuple(ctx.args))
        except SenHostError as error:
            message, hint = failure.describe(error)
            complain(f"{self.name}: {message}", hint)
            ctx.exit(failure.exit_code(error))
        if isinstance(result, Error):
            write_text(result.message, err=True)
            ctx.exit(result.code or 1)
        write_text(result.text)
        sys.stdout.flush()
        return None

    # --- help ------------------------------------------------------------------

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
        """``[OPTIONS] NAME [WORD]``."""
        pieces = ["[OPTIONS]"]
        for arg in self.syntax.positionals[:20]:
            name = shown(placeholder(arg), 40)
            pieces.append(name if arg.required and arg.default_value is None else f"[{name}]")
        if len(self.syntax.positionals) > 20:
            pieces.append("...")
        if self.spec.subcommands:
            pieces.append("COMMAND [ARGS]..." if not self.spec.args else "[COMMAND [ARGS]...]")
        return pieces

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The sections for arguments, options and subcommands."""
        arguments = [(shown(placeholder(arg), 40), _told(arg)) for arg in self.syntax.positionals]
        options = [(_typed(option), _told(option.spec)) for option in self.syntax.options]
        if self.syntax.has_version:
            options.append(("--version", "Show the version and exit."))
        options.append(("--help", "Show this message and exit."))
        commands = [
            (spec.name, shown(spec.about, 100))
            for spec in self.spec.subcommands
            if is_usable(spec.name)
        ]
        for title, rows in (("Arguments", arguments), ("Options", options), ("Commands", commands)):
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)

    # --- completion ------------------------------------------------------------

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Subcommands, options and values that can follow."""
        command, rest = self, list(ctx.args)
        while below := command.below(rest[0]) if rest else None:
            command, rest = below, rest[1:]
        syntax = command.syntax
        scanned = syntax.scan(rest)
        if scanned.pending is not None and scanned.pending.takes_value:
            return _items(scanned.pending.spec.possible_values or (), incomplete)
        found: list[CompletionItem] = []
        if not rest:
            found += [
                CompletionItem(spec.name, help=shown(spec.about, 100))
                for spec in command.spec.subcommands
                if spec.name.startswith(incomplete) and is_usable(spec.name)
            ]
        if incomplete.startswith("-") and "--" not in rest:
            for option in syntax.options:
                help_text = shown(option.spec.help, 100)
                found += _items(option.names, incomplete, help_text)
            found += _items(("--version",) if syntax.has_version else (), incomplete)
            return found + _items(("--help",), incomplete)
        place = len(scanned.positionals)
        if place < len(syntax.positionals):
            found += _items(syntax.positionals[place].possible_values or (), incomplete)
        return found


def is_usable(name: str) -> bool:
    """Whether a command can be called by that name."""
    try:
        check_name(name)
    except InvalidCommandName:
        return False
    return True


def _typed(option: Option) -> str:
    names = ", ".join(shown(name, 60) for name in option.names)
    return f"{names} {shown(placeholder(option.spec), 40)}" if option.takes_value else names


def _told(arg: ArgSpec) -> str:
    notes = []
    if arg.possible_values:
        notes.append("one of: " + shown(", ".join(arg.possible_values[:50]), 200))
    if arg.default_value is not None:
        notes.append(f"default: {shown(arg.default_value, 100)}")
    elif arg.required:
        notes.append("required")
    text = shown(arg.help)
    return f"{text}  [{'; '.join(notes)}]" if notes else text


def _items(values: Sequence[str], start: str, about: str | None = None) -> list[CompletionItem]:
    # A completion is put on the user's command line: nothing in it that a shell would run.
    return [
        CompletionItem(value, help=about)
        for value in values
        if value.startswith(start) and value.isprintable() and len(value) <= 200
    ]
