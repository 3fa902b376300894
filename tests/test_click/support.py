"""Plugins by their manifests alone, which answer with what they were given."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import click
from click.testing import CliRunner, Result

from sen_host.click import PluginGroup
from sen_host.errors import CommandNotFound
from sen_host.messages import CommandSpec, Error, PluginManifest, Success

Answer = Callable[[Sequence[str]], "Success | Error"]


class Fakes:
    """Plugins that are only a manifest and a Python function."""

    def __init__(self, *specs: CommandSpec, answer: Answer | None = None) -> None:
        self.specs = {spec.name: spec for spec in specs}
        self.calls: list[tuple[str, tuple[str, ...]]] = []
        self.answer = answer or (lambda args: Success("|".join(args)))

    def commands(self) -> Sequence[str]:
        return list(self.specs)

    def manifest(self, name: str) -> PluginManifest:
        if name not in self.specs:
            raise CommandNotFound(name)
        return PluginManifest.new(self.specs[name])

    def run(self, name: str, args: Sequence[str]) -> Success | Error:
        self.calls.append((name, tuple(args)))
        return self.answer(args)


def application(plugins: Fakes) -> PluginGroup:
    """An application with one command of its own, ``own``."""

    @click.group(cls=PluginGroup, plugins=plugins)
    def app() -> None:
        """The application."""

    @app.command()
    def own() -> None:
        """The application's own."""
        click.echo("the application's own")

    return app


def call(plugins: Fakes, *words: str) -> Result:
    return CliRunner().invoke(application(plugins), list(words), prog_name="app")
