"""Plugins that Rust and Zig built for WASI, with files and streams of the host, on each engine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sen_host import Config, Limits, PluginLoader
from sen_host.backend import Capability
from sen_host.errors import FunctionCall, GrantNotUsable, ImportNotGranted, TrapKind
from sen_host.messages import Capabilities, Error, PathPattern, StdioCapability, Success
from sen_host.plugin import Plugin
from sen_host.wasi import FixedClock, Wasi, WasiLimits
from sen_host_conformance.hosts import Host
from tests.wat import assemble

PLUGINS = Path(__file__).parents[1] / "plugins"
SURVEY = PLUGINS / "survey" / "survey.wasm"
PROBE = PLUGINS / "probe" / "probe.wasm"

ENVIRON = {"SURVEY_ONE": "1", "PROBE_TWO": "zwei", "HOME": "/home", "SURVEY_NAME": "Ä"}
CLOCK = FixedClock(start_ns=1_700_000_000_000_000_000, step_ns=1_000)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A working directory for the plugins."""
    (tmp_path / "data" / "sub").mkdir(parents=True)
    (tmp_path / "out").mkdir()
    (tmp_path / "data" / "note").write_text("hello")
    (tmp_path / "data" / "link").symlink_to("sub/../note")
    (tmp_path / "data" / "away").symlink_to("../secret")
    (tmp_path / "data" / "big").write_bytes(bytes(range(256)) * 8_000)
    (tmp_path / "secret").write_text("secret")
    return tmp_path


class Written:
    """What a plugin wrote to a standard stream."""

    def __init__(self) -> None:
        self.data = b""

    def __call__(self, data: bytes) -> None:
        self.data += data


def load(host: Host, path: Path | bytes, wasi: Wasi | None) -> Plugin:
    """The plugin, on a host that can give it functions."""
    if not host.describe().has(Capability.HOST_FUNCTIONS):
        pytest.skip(f"{host} has no host functions")
    loader = PluginLoader(
        host.backend,
        binding=host.binding,
        isolation=host.isolation,
        limits=Limits(fuel=100_000_000),
        cache=False,
        host_functions=wasi,
        config=Config.defaults(),
    )
    return loader.load(path)


def fixed(home: Path, stdout: Written | None = None, stderr: Written | None = None) -> Wasi:
    """Settings by which each run is like the one before."""
    return Wasi(
        working_directory=str(home),
        environ=ENVIRON,
        stdin=b"typed\n",
        stdout=stdout or Written(),
        stderr=stderr or Written(),
        clock=CLOCK,
        random_seed=1,
    )


def report(plugin: Plugin, *steps: str) -> list[str]:
    """What came of each step."""
    result = plugin.execute(steps)
    assert isinstance(result, Success)
    lines = result.text.split("\n")
    assert len(lines) == len(steps)
    return [line.removeprefix(f"{step}: ") for step, line in zip(steps, lines, strict=True)]


SURVEYED = {
    "read data/note": '"hello"',
    "read data/link": '"hello"',
    "read data/big": "2048000 bytes, sum 261120000",
    "read-from -2 data/note": '"lo" from 3',
    "read data/none": "failed: NotFound",
    "read data/away": "failed: PermissionDenied",
    "read data/../secret": "failed: PermissionDenied",
    "read secret": "failed: Uncategorized",
    "read /etc/passwd": "failed: Uncategorized",
    "write data/note no": "failed: PermissionDenied",
    "write out/a text": "done",
    "append out/a  and more": "done",
    "read out/a": '"text and more"',
    "cut 4 out/a": "done",
    "mkdir out/x/y": "done",
    "rename out/a out/x/b": "done",
    "copy out/x/b out/c": "4",
    "link out/c out/d": "done",
    "list out": "c d x/",
    "stat out/x/b": "4 bytes, directory: false",
    "rmdir out/x": "done",
    "remove out/d": "done",
    "list out/.": "c",
    "follow data/link": "sub/../note",
    "env": '[("SURVEY_NAME", "Ä"), ("SURVEY_ONE", "1")]',
    "env HOME": "not set",
    "time": "1700000000s",
    "ticks": "1µs",
    "sleep 60000": "60.000001s",
    "random": "d8ed83a8a8e3e8d6",
    "print to the screen": "done",
    "complain about it": "done",
    "input": '"typed\\n"',
}


def test_a_plugin_of_rust_uses_what_it_was_granted(host: Host, home: Path) -> None:
    stdout, stderr = Written(), Written()
    with load(host, SURVEY, fixed(home, stdout, stderr)) as survey:
        survey.grant(survey.manifest.capabilities)
        seen = dict(zip(SURVEYED, report(survey, *SURVEYED), strict=True))
        assert seen == SURVEYED
        # Equal on every engine, and after each change of one.
        assert (survey.fuel_used, survey.memory_bytes) == (0, 0)
    assert stdout.data == b"to the screen\n"
    assert stderr.data == b"about it\n"
    assert (home / "out" / "c").read_text() == "text"


PROBED = {
    "read data/note": "hello",
    "read data/none": "failed: FileNotFound",
    "read data/away": "failed: PermissionDenied",
    "read data/../secret": "failed: PermissionDenied",
    "read secret": "failed: NotGranted",
    "write data/note no": "failed: PermissionDenied",
    "write out/a text": "done",
    "append out/a  and more": "done",
    "read out/a": "text and more",
    "mkdir out/x/y": "done",
    "rename out/a out/x/b": "done",
    "list out": "x/ ",
    "list out/x": "b y/ ",
    "remove out/x/b": "done",
    "env PROBE_TWO": "zwei",
    "env SURVEY_ONE": "not set",
    "time": "1700000000000000000",
    "sleep 60000": "60000001000",
    "random": "2265b1f5591fd0e2",
    "print to the screen": "done",
    "input": "typed",
}


def test_a_plugin_of_zig_uses_what_it_was_granted(host: Host, home: Path) -> None:
    stdout = Written()
    (home / "in").write_text("typed")
    with load(host, PROBE, fixed(home, stdout)) as probe:
        probe.grant(probe.manifest.capabilities)
        result = probe.execute(list(PROBED))
        assert isinstance(result, Success)
        wanted = "\n".join(f"{step}: {seen}" for step, seen in PROBED.items()) + "\n"
        assert result.text == wanted
        assert (probe.fuel_used, probe.memory_bytes) == (0, 0)
    assert stdout.data == b"to the screen\n"
