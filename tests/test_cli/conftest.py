"""The command line under test, away from the configuration of whoever runs the tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner

from sen_host.backend import Backend, Binding, Capability, Lack, Module
from sen_host.cli.app import app
from sen_host.distributions import EntryPoint
from sen_host.limits import Limits
from sen_host_conformance.hosts import Host

PLUGINS = Path(__file__).parents[2] / "plugins"
GREET = PLUGINS / "greet" / "greet.wasm"
ECHO = PLUGINS / "echo" / "echo.wasm"
FETCH = PLUGINS / "fetch" / "fetch.wasm"


class Answer(NamedTuple):
    """What a command came to."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)


Cli = Callable[..., Answer]


@pytest.fixture(autouse=True)
def _hermetic(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("SEN_HOST_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SEN_HOST_CONFIG", "none")
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def cli() -> Cli:
    """Run a command in this process."""

    def call(*arguments: str | os.PathLike[str]) -> Answer:
        result = CliRunner().invoke(app, [os.fspath(argument) for argument in arguments])
        return Answer(result.exit_code, result.stdout, result.stderr)

    return call


class Lax(Backend):
    """A backend without a clock, for commands that run no plugin."""

    name = "lax"

    @classmethod
    def bindings(cls) -> tuple[Binding, ...]:
        lack = Lack(Capability.WALL_CLOCK, "never", "it is too lax for that")
        return (Binding(name="only", engine="Lax 1", lacks=(lack,)),)

    def validate(self, wasm: bytes) -> None:
        raise NotImplementedError

    def compile(self, wasm: bytes, limits: Limits) -> Module:
        raise NotImplementedError


@pytest.fixture
def lax_backends(monkeypatch: pytest.MonkeyPatch) -> None:
    """The only backend that is installed: ``lax``."""
    found = [EntryPoint(Lax.name, f"{__name__}:{Lax.__name__}")]
    monkeypatch.setattr("sen_host.engines.entry_points", lambda _: found)


def command_line(*arguments: str | os.PathLike[str]) -> list[str]:
    """The command as a process of its own would get it."""
    return [sys.executable, "-m", "sen_host", *(os.fspath(argument) for argument in arguments)]


def environment(**more: str) -> dict[str, str]:
    """The environment for such a process."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **more}


def process(*arguments: str | os.PathLike[str], **more: Any) -> subprocess.CompletedProcess[bytes]:
    """Run a command in a process of its own."""
    return subprocess.run(
        command_line(*arguments), env=environment(), capture_output=True, timeout=60, **more
    )


def on(host: Host) -> list[str]:
    """The options that choose a host."""
    return [
        "--backend", host.backend, "--binding", host.binding, "--isolation", host.isolation
    ]  # fmt: skip
