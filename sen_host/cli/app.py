"""The command group: finds commands late, and turns every failure into words and a code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

from sen_host import __version__
from sen_host.cli import failure
from sen_host.cli.options import current_call
from sen_host.cli.output import complain, one_line, printable, write_json

_COMMANDS = (
    "run",
    "inspect",
    "compare",
    "check",
    "conformance",
    "backends",
    "config",
    "cache",
    "permissions",
    "completion",
)

_ELSEWHERE = {"conformance": "sen_host_conformance.command"}
"""Commands of other packages; nothing of this package knows these."""


class App(click.Group):
    """``sen-host``. Each command is a module of this package that has its name."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        cmd_name: str,
    ) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        home = _ELSEWHERE.get(cmd_name, f"sen_host.cli.{cmd_name}")
        command: click.Command = import_module(home).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in _COMMANDS and not args[0].startswith("-"):
            from sen_host.config import nearest

            message = f"there is no command {args[0]!r} ({nearest(args[0], _COMMANDS)})"
            raise click.UsageError(message, ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> int:
        try:
            code = super().invoke(ctx)
            sys.stdout.flush()
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except BrokenPipeError:
            _discard_stdout()
            return failure.BROKEN_PIPE
        except KeyboardInterrupt:
            click.echo(err=True)
            return failure.INTERRUPTED
        except Exception as error:
            return _report(error)
        return code if isinstance(code, int) else 0

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        try:
            code = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        except click.ClickException as error:
            context = getattr(error, "ctx", None)
            path = "sen-host" if context is None else context.command_path
            complain(error.format_message(), f"`{path} --help` shows what can be given")
            code = failure.USAGE
        except click.Abort:
            code = failure.INTERRUPTED
        if standalone_mode:
            sys.exit(code)
        return code


def _report(error: Exception) -> int:
    call = current_call()
    if call.traceback:
        import traceback

        click.echo(printable("".join(traceback.format_exception(error))), nl=False, err=True)
    if call.json:
        write_json({**call.facts, "error": failure.as_json(error)})
    else:
        message, hint = failure.describe(error)
        plugin = getattr(error, "plugin", None)
        complain(message if plugin is None else f"{one_line(plugin)}: {message}", hint)
    return failure.exit_code(error)


def _discard_stdout() -> None:
    """Let the interpreter flush at its exit without another broken pipe."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


@click.group(
    name="sen-host",
    cls=App,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.pass_context
def app(context: click.Context) -> None:
    """Run sen-rs WebAssembly plugins on the engine of your choice."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
