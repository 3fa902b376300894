"""Plugins in an application of Typer."""

from __future__ import annotations

import pytest
import typer
from typer.testing import CliRunner

from sen_host.click import mount_typer
from sen_host.messages import ArgSpec, CommandSpec, Error
from tests.test_click.support import Fakes

TOOL = CommandSpec(
    "tool", "Does [bold]things\x1b[2J", args=(ArgSpec("n", long="num", value_name="N"),)
)


def made(plugins: Fakes) -> typer.Typer:
    application = typer.Typer()

    @application.command()
    def own() -> None:
        """Mine."""
        typer.echo("the application's own")

    assert mount_typer(application, plugins) == ("own",)
    return application


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--help"], 0, "tool"),
        (["own"], 0, "the application's own"),
        (["tool", "--num", "3", "x", "--", "-y"], 0, "--num|3|x|--|-y"),
        (["tool", "--help"], 0, "--num N"),
        (["tool", "--nmu", "3"], 2, "did you mean --num?"),
    ],
)
def test_commands_help_and_checks(words: list[str], code: int, told: str) -> None:
    done = CliRunner().invoke(made(Fakes(CommandSpec("own", "FORGED"), TOOL)), words)

    assert (done.exit_code, done.exception is None or code != 0) == (code, True)
    assert told in done.output
    assert "FORGED" not in done.output
    assert "\x1b[2J" not in done.output


def test_an_error_of_the_plugin_is_the_exit_code() -> None:
    plugins = Fakes(CommandSpec("own", ""), TOOL, answer=lambda _: Error(9, "no"))

    assert CliRunner().invoke(made(plugins), ["tool"]).exit_code == 9
