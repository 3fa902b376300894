"""Plugins that Rust and Zig built for WASI, with files and streams of the host, on each engine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sen_host import Config, Limits, PluginLoader
from sen_host.backend import Capability
from sen_host.errors import FunctionCall, GrantNotUsable, ImportNotGranted, TrapKind
from sen_host.limits import PAGE_BYTES
from sen_host.messages import Capabilities, Error, PathPattern, StdioCapability, Success
from sen_host.plugin import Plugin
from sen_host.wasi import FixedClock, Wasi, WasiLimits
from sen_host_conformance.hosts import Host
from tests.conftest import HOSTS
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
    (tmp_path / "data" / "big").write_bytes(bytes(range(256)) * 800)
    (tmp_path / "secret").write_text("secret")
    return tmp_path


@pytest.fixture
def one_host() -> Host:
    """Any host, for what happens above the engines."""
    return HOSTS[0]


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
        stdin=b"typed",
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
    "read /data/note": '"hello"',
    "read data/link": '"hello"',
    "read data/big": "204800 bytes, sum 26112000",
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
    "random": "fa8d4650f155d051",
    "print to the screen": "done",
    "complain about it": "done",
    "input": '"typed"',
}


def test_a_plugin_of_rust_uses_what_it_was_granted(host: Host, home: Path) -> None:
    stdout, stderr = Written(), Written()
    with load(host, SURVEY, fixed(home, stdout, stderr)) as survey:
        survey.grant(survey.manifest.capabilities)
        seen = dict(zip(SURVEYED, report(survey, *SURVEYED), strict=True))
        assert seen == SURVEYED
        # Equal on every engine, and after each change of one.
        assert (survey.fuel_used, survey.memory_bytes) == (3_311_548, 20 * PAGE_BYTES)
    assert stdout.data == b"to the screen\n"
    assert stderr.data == b"about it\n"
    assert (home / "out" / "c").read_text() == "text"


PROBED = {
    "read data/note": "hello",
    "read data/none": "failed: FileNotFound",
    "read data/link": "failed: SymLinkLoop",
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
    "random": "f5b165224a58b791",
    "print to the screen": "done",
    "input": "typed",
}


def test_a_plugin_of_zig_uses_what_it_was_granted(host: Host, home: Path) -> None:
    stdout = Written()
    with load(host, PROBE, fixed(home, stdout)) as probe:
        probe.grant(probe.manifest.capabilities)
        result = probe.execute(list(PROBED))
        assert isinstance(result, Success)
        wanted = "\n".join(f"{step}: {seen}" for step, seen in PROBED.items())
        assert result.text == wanted
        assert (probe.fuel_used, probe.memory_bytes) == (75_818, 6 * PAGE_BYTES)
    assert stdout.data == b"to the screen\n"


NOTHING_SEEN = {
    "read data/note": "failed: Uncategorized",
    "write out/a text": "failed: Uncategorized",
    "list .": "failed: Uncategorized",
    "env": "[]",
    "print to nobody": "done",
    "complain to nobody": "done",
    "input": '""',
    "args": '["plugin", '
    + ", ".join(
        f'"{step}"'
        for step in (
            *("read data/note", "write out/a text", "list .", "env", "print to nobody"),
            *("complain to nobody", "input", "args"),
        )
    )
    + "]",
}


def test_a_plugin_that_was_granted_nothing_sees_nothing(host: Host, home: Path) -> None:
    stdout, stderr = Written(), Written()
    with load(host, SURVEY, fixed(home, stdout, stderr)) as survey:
        seen = dict(zip(NOTHING_SEEN, report(survey, *NOTHING_SEEN), strict=True))
        assert seen == NOTHING_SEEN
    assert stdout.data + stderr.data == b""
    assert os.listdir(home / "out") == []


def test_what_is_granted_counts_from_the_next_call_on(one_host: Host, home: Path) -> None:
    with load(one_host, PROBE, fixed(home)) as probe:
        for granted, seen in (
            (Capabilities(fs_read=(PathPattern("data"),)), "hello"),
            (Capabilities(), "failed: NotGranted"),
            (Capabilities(fs_read=(PathPattern("data/note"),)), "hello"),
        ):
            probe.grant(granted)
            assert report(probe, "read data/note") == [seen]


def test_a_run_can_be_repeated(host: Host, home: Path) -> None:
    """Time, randomness and input start anew in each call."""
    steps = ("time", "random", "time", "input", "sleep 5", "random")
    with load(host, PROBE, fixed(home)) as probe:
        probe.grant(Capabilities(stdio=StdioCapability(stdin=True)))
        assert report(probe, *steps) == report(probe, *steps)


def test_a_plugin_may_exit(host: Host, home: Path) -> None:
    with load(host, PROBE, fixed(home)) as plugin:
        with pytest.raises(FunctionCall, match="exited in 'plugin_execute' with code 7") as failed:
            plugin.execute(["time", "exit 7"])
        assert (failed.value.trap, failed.value.exit_code) == (TrapKind.EXIT, 7)
        assert report(plugin, "args") is not None  # the next call gets a fresh instance


def test_a_panic_is_a_trap_with_a_text_on_standard_error(one_host: Host, home: Path) -> None:
    stderr = Written()
    with load(one_host, SURVEY, fixed(home, stderr=stderr)) as survey:
        survey.grant(Capabilities(stdio=StdioCapability(stderr=True)))
        with pytest.raises(FunctionCall) as failed:
            survey.execute(["panic"])
        assert failed.value.trap is TrapKind.UNREACHABLE
    assert b"asked to" in stderr.data


def test_wrong_usage_is_the_plugin_s_own_error(one_host: Host, home: Path) -> None:
    with load(one_host, PROBE, fixed(home)) as probe:
        assert probe.execute(["nope"]) == Error(2, "unknown step: nope")


def test_a_grant_that_cannot_be_used_is_an_error_of_the_call(one_host: Host, home: Path) -> None:
    with load(one_host, PROBE, fixed(home)) as probe:
        probe.grant(Capabilities(fs_read=(PathPattern("../other"),)))
        with pytest.raises(GrantNotUsable, match="it leads out of the working directory"):
            probe.execute(["time"])
        probe.grant(Capabilities())
        assert isinstance(probe.execute(["time"]), Success)


def test_without_wasi_nothing_is_offered(one_host: Host) -> None:
    with pytest.raises(ImportNotGranted, match=r"'wasi_snapshot_preview1'.'fd_write'"):
        load(one_host, PROBE, None)


def test_a_function_that_is_not_offered_is_refused_by_its_name(one_host: Host, home: Path) -> None:
    names = ("sock_accept", "sock_recv", "sock_send", "sock_shutdown", "proc_raise")
    imports = " ".join(
        f'(import "wasi_snapshot_preview1" "{name}" (func (param i32) (result i32)))'
        for name in names
    )
    with pytest.raises(ImportNotGranted) as failed:
        load(one_host, assemble(f"(module {imports})"), fixed(home))
    assert [name for _, name, _ in failed.value.imports] == list(names)


def test_what_one_call_may_write_is_limited(one_host: Host, home: Path) -> None:
    wasi = Wasi(working_directory=str(home), limits=WasiLimits(written_bytes=10, steps=200))
    with load(one_host, SURVEY, wasi) as survey:
        survey.grant(Capabilities(fs_write=(PathPattern("out"),)))
        steps = ("write out/a 1234567890", "append out/a 1", "cut 1000000000 out/a")
        assert report(survey, *steps) == ["done", *["failed: Uncategorized"] * 2]
        assert (home / "out" / "a").read_text() == "1234567890"
        assert report(survey, "write out/a 123") == ["done"]


def test_a_clone_has_descriptors_of_its_own(one_host: Host, home: Path) -> None:
    with load(one_host, PROBE, fixed(home)) as probe:
        probe.grant(Capabilities(fs_read=(PathPattern("data"),)))
        with probe.clone() as clone:
            assert report(clone, "read data/note") == ["hello"]
            clone.grant(Capabilities())
            assert report(clone, "read data/note") == ["failed: NotGranted"]
            assert report(probe, "read data/note") == ["hello"]
