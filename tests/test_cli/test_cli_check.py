"""``sen-host check``: good plugins, and plugins and backends with planted faults."""

from __future__ import annotations

import sys
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from sen_host.backend import Capability
from sen_host.checkup import Finding, Level, check_manifest, merged, sweep
from sen_host.checkup.findings import Area
from sen_host.checkup.sweep import MOST_PROBES
from sen_host.cli.progress import progress
from sen_host.messages import (
    ArgSpec,
    Capabilities,
    CommandSpec,
    Error,
    HttpGet,
    NetPattern,
    PathPattern,
    PluginManifest,
    Sleep,
    encode,
)
from tests.guests import WITH_WASI
from tests.test_cli.conftest import ECHO, PLUGINS, Cli
from tests.test_cli.crooked import (
    ABSENT,
    WASMTIME,
    Failing,
    Fickle,
    Forgetful,
    Honest,
    Install,
    Misnaming,
    Overcharging,
    Oversized,
    install,
    only_backends,
)
from tests.test_cli.test_cli_run import with_effect
from tests.test_cli.test_cli_terminal import on_a_terminal
from tests.wat import ANSWER, ANSWER_AT, TRAPS, Wat, assemble, message, packed

__all__ = ["install"]

ALL = sorted({path.parent.name for path in PLUGINS.glob("*/*.wasm")})

GOOD = Wat(memory='(memory (export "memory") 4)', alloc="(i32.const 8192)")
ANSWERS = message(ANSWER_AT, ANSWER)


def check(cli: Cli, tmp_path: Path, wat: Wat | str, *options: str, code: int = 1) -> Any:
    """The findings on a plugin."""
    path = tmp_path / "plugin.wasm"
    path.write_bytes(assemble(wat) if isinstance(wat, str) else wat.wasm())
    answer = cli("check", "--json", *options, path)
    assert (answer.code, answer.stderr) == (code, ""), answer.stdout
    return answer.json["findings"]


def only(findings: Any) -> Any:
    (finding,) = findings
    return finding


class TestGoodPlugins:
    @pytest.mark.parametrize("name", ALL)
    def test_our_own_plugins_have_no_faults(self, cli: Cli, install: Install, name: str) -> None:
        if name not in WITH_WASI:  # the second backend has no host functions
            install()
        answer = cli("check", PLUGINS / name / f"{name}.wasm")
        assert (answer.code, answer.stderr) == (0, "")
        assert answer.stdout.endswith("\nNothing wrong was found.\n")
        assert len(answer.stdout.splitlines()) == 4

    def test_all_backends_here_are_used(self, cli: Cli) -> None:
        answer = cli("check", "--json", ECHO)
        assert answer.code == 0
        assert len(answer.json["backends"]) > 1
        assert answer.json["calls"] > 20
        assert (answer.json["errors"], answer.json["findings"]) == (0, [])

    def test_a_small_good_plugin_has_no_findings(
        self, cli: Cli, install: Install, tmp_path: Path
    ) -> None:
        install()
        assert check(cli, tmp_path, GOOD, code=0) == []

    def test_one_backend_alone_is_told(
        self, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        only_backends(monkeypatch, wasmtime=WASMTIME, absent=ABSENT)
        finding = only(check(cli, tmp_path, GOOD, code=0))
        assert finding["level"] == "note"
        assert "only wasmtime (c-api) was used" in finding["what"]


class TestBinary:
    def test_all_faults_are_told_at_once(self, cli: Cli, install: Install, tmp_path: Path) -> None:
        install()
        findings = check(
            cli,
            tmp_path,
            """
            (module
              (import "env" "log" (func (param i32)))
              (import "wasi_snapshot_preview1" "sock_send" (func))
              (import "wasi_snapshot_preview1" "fd_close" (func))
              (memory (export "memory") 5000)
              (table 2000000 funcref)
              (func (export "plugin_alloc") (param i64) (result i32) (i32.const 0))
              (global (export "plugin_manifest") i32 (i32.const 0))
              (func $first (drop (i8x16.popcnt (v128.const i64x2 1 2))))
              (func $second (drop (v128.const i64x2 1 2))))
            """,
        )
        assert {finding["level"] for finding in findings} == {"error"}
        told = {finding["what"]: finding for finding in findings}
        assert told["the plugin imports what the host does not grant"]["where"] == [
            "function 'env'.'log'",
            "function 'wasi_snapshot_preview1'.'sock_send'",
        ]
        wrong = "the plugin imports a function as () -> (), the host offers it as (i32) -> (i32)"
        assert told[wrong]["where"] == ["function 'wasi_snapshot_preview1'.'fd_close'"]
        assert "the plugin does not export 'plugin_execute'" in told
        assert "the plugin does not export 'plugin_dealloc'" in told
        signature = "the plugin exports 'plugin_alloc' as (i64) -> (i32), the ABI asks for"
        assert f"{signature} (i32) -> (i32)" in told
        assert (
            "the plugin exports 'plugin_manifest' as a global, the ABI asks for a function"
            " () -> (i64)" in told
        )
        simd = "the module uses v128.const of the SIMD proposal, which not every engine runs right"
        first, second = told[simd]["where"]
        assert first.startswith("offset 0x")
        assert first.endswith(", in function 4 ('first')")
        assert second.endswith(", in function 5 ('second')")
        assert "accept 'simd'" in told[simd]["remedy"]
        assert any("starts with 327,680,000 bytes of memory" in what for what in told)
        assert any("starts with 2,000,000 table elements" in what for what in told)
        assert len(findings) == 9
        assert all(finding["remedy"] for finding in findings)

    def test_the_same_for_people(self, cli: Cli, tmp_path: Path) -> None:
        path = tmp_path / "plugin.wasm"
        imports = "".join(f'(import "env" "f{n}" (func))' for n in range(7))
        path.write_bytes(assemble(f"(module {imports})"))
        answer = cli("check", path)
        assert answer.code == 1
        assert "error  imports: the plugin imports what the host does not grant\n" in answer.stdout
        assert "  - function 'env'.'f4'\n  - and 2 more; --json lists them all\n" in answer.stdout
        assert answer.stdout.endswith("\n6 errors.\n")

    def test_an_exception_of_the_profile_can_be_accepted(
        self, cli: Cli, install: Install, tmp_path: Path
    ) -> None:
        install()
        simd = replace(GOOD, extra="(func (result v128) (v128.const i64x2 1 2))")
        named = ["--backend", "wasmtime", "--backend", "crooked"]
        assert check(cli, tmp_path, simd, *named, "--accept", "simd", code=0) == []
        assert {item["area"] for item in check(cli, tmp_path, simd, *named)} == {"profile"}

    def test_what_one_engine_takes_for_invalid(
        self, cli: Cli, install: Install, tmp_path: Path
    ) -> None:
        install(refuses=True)
        finding = only(check(cli, tmp_path, GOOD))
        assert (finding["area"], finding["where"]) == ("binary", ["crooked (only)"])
        assert "no module is good enough" in finding["what"]

    @pytest.mark.parametrize("data", [b"", b"(module)", b"\0asm\x01\0\0\0\x01\x05"])
    def test_what_is_no_module(self, cli: Cli, tmp_path: Path, data: bytes) -> None:
        path = tmp_path / "plugin.wasm"
        path.write_bytes(data)
        answer = cli("check", "--json", path)
        assert answer.code == 1
        assert only(answer.json["findings"])["area"] == "binary"

    def test_a_reserved_export(self, cli: Cli, install: Install, tmp_path: Path) -> None:
        install()
        wat = replace(GOOD, extra='(func (export "sen-host:fuel"))')
        assert "reserved" in only(check(cli, tmp_path, wat))["what"]

    def test_a_start_function_is_worth_a_note(
        self, cli: Cli, install: Install, tmp_path: Path
    ) -> None:
        install()
        wat = replace(GOOD, extra="(func $start) (start $start)")
        finding = only(check(cli, tmp_path, wat, code=0))
        assert finding["level"] == "note"
        assert "start function" in finding["what"]

    def test_debug_information_is_worth_a_note(
        self, cli: Cli, install: Install, tmp_path: Path
    ) -> None:
        install()
        custom = f'(@custom ".debug_info" "{"x" * 200_000}")'
        finding = only(check(cli, tmp_path, replace(GOOD, extra=custom), code=0))
        assert "information for debuggers" in finding["what"]

    def test_a_file_that_is_missing(self, cli: Cli) -> None:
        answer = cli("check", "gone.wasm")
        assert (answer.code, answer.stdout) == (123, "")


class TestLoad:
    @pytest.mark.parametrize(
        ("wat", "told"),
        [
            (replace(GOOD, manifest="unreachable"), "trapped in 'plugin_manifest': unreachable"),
            (replace(GOOD, manifest_bytes=b"\xc0"), "PluginManifest"),
            (replace(GOOD, manifest=packed(70_000, 1 << 20)), "outside its memory"),
            (
                replace(
                    GOOD,
                    manifest_bytes=encode(PluginManifest(3, CommandSpec("test", "a test"))),
                ),
                "speaks API version 3, this host speaks version 2",
            ),
            (
                replace(GOOD, extra="(func $start unreachable) (start $start)"),
                "trapped while it was instantiated",
            ),
        ],
    )
    def test_a_plugin_that_does_not_load(
        self, cli: Cli, install: Install, tmp_path: Path, wat: Wat, told: str
    ) -> None:
        install()
        findings = check(cli, tmp_path, wat)
        finding = only(item for item in findings if item["level"] == "error")
        assert finding["area"] == "load"
        assert finding["where"] == ["wasmtime (c-api)", "crooked (only)"]
        assert told in finding["what"]


class TestBehaviour:
    LONG = "(i32.gt_u (local.get $length) (i32.const 5000))"

    @pytest.mark.parametrize(
        ("wat", "level", "told", "where"),
        [
            (
                replace(GOOD, execute=f"(if {LONG} (then unreachable)) {ANSWERS}"),
                "error",
                "trapped in 'plugin_execute': unreachable",
                "10,000 characters",
            ),
            (
                replace(GOOD, execute=f"(if {LONG} (then (loop (br 0)))) {ANSWERS}"),
                "warning",
                "ran out of fuel",
                "10,000 characters",
            ),
            (replace(GOOD, execute="(loop (br 0)) unreachable"), "error", "of fuel", "a word"),
            (replace(GOOD, answer_bytes=b"\xc1"), "error", "ExecuteResult", "no arguments"),
            (
                replace(GOOD, execute=packed(1, 1 << 30)),
                "error",
                "outside its memory",
                "no arguments",
            ),
            (Wat(), "error", "'plugin_alloc' returned", "100,000 characters"),
            (
                replace(GOOD, answer_bytes=encode(Error(0, "no"))),
                "warning",
                "an error of code 0",
                "no arguments",
            ),
            (
                replace(GOOD, answer_bytes=encode(Sleep(1, 5))),
                "error",
                "does not export 'plugin_resume'",
                "no arguments",
            ),
            (
                replace(
                    GOOD,
                    answer_bytes=encode(Sleep(1, 5)),
                    resume=packed(ANSWER_AT, len(encode(Sleep(1, 5)))),
                ),
                "error",
                "asked for more than 1,000 effects",
                "no arguments",
            ),
        ],
        ids=["trap", "large-fuel", "fuel", "message", "bounds", "alloc", "code-0", "resume", "ask"],
    )  # fmt: skip
    def test_a_fault_in_a_call(
        self,
        cli: Cli,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        wat: Wat,
        level: str,
        told: str,
        where: str,
    ) -> None:
        only_backends(monkeypatch, wasmtime=WASMTIME)
        findings = check(cli, tmp_path, wat, code=1 if level == "error" else 0)
        finding = next(item for item in findings if told in item["what"])
        assert finding["level"] == level
        assert where in finding["where"]
        assert finding["remedy"]

    def test_a_fault_behind_an_answered_request(
        self, cli: Cli, install: Install, tmp_path: Path
    ) -> None:
        install()
        # The answer to a request is longer than its refusal.
        longer = "(if (i32.gt_u (local.get 2) (i32.const 50)) (then unreachable))"
        wat = with_effect(HttpGet(1, "http://x"))
        wat = replace(wat, memory=GOOD.memory, alloc=GOOD.alloc, resume=longer + (wat.resume or ""))
        finding = only(check(cli, tmp_path, wat))
        assert "trapped in 'plugin_resume': unreachable" in finding["what"]
        assert all(place.endswith(", HTTP requests answered") for place in finding["where"])

    def test_a_fault_in_one_option_alone(self, cli: Cli, install: Install, tmp_path: Path) -> None:
        install()
        manifest = PluginManifest.new(
            CommandSpec("test", "a test", args=(ArgSpec("depth", long="depth"),))
        )
        # One argument of 9 bytes: a header of two bytes and "--depth=0" .
        nine = "(i32.eq (local.get $length) (i32.const 11))"
        wat = replace(
            GOOD,
            manifest_bytes=encode(manifest),
            execute=f"(if {nine} (then {TRAPS['INTEGER_DIVIDE_BY_ZERO']})) {ANSWERS}",
        )
        finding = only(check(cli, tmp_path, wat))
        assert "integer divide by zero" in finding["what"]
        assert "--depth=: zero" in finding["where"]
        assert "no arguments" not in finding["where"]

    def test_a_trap_of_dealloc(self, cli: Cli, install: Install, tmp_path: Path) -> None:
        install()
        findings = check(cli, tmp_path, replace(GOOD, dealloc="unreachable"))
        told = {finding["what"]: finding["where"] for finding in findings}
        after = "plugin_dealloc trapped after {}, so the host replaces the instance"
        assert told[after.format("plugin_manifest")] == ["load"]
        assert "no arguments" in told[after.format("plugin_execute")]

    def test_memory_that_grows_from_call_to_call(
        self, cli: Cli, install: Install, tmp_path: Path
    ) -> None:
        install()
        grows = """
            (local $pointer i32)
            (local.set $pointer (i32.mul (memory.size) (i32.const 65536)))
            (drop (memory.grow (i32.add (i32.const 1)
                (i32.div_u (local.get $length) (i32.const 65536)))))
            (local.get $pointer)
        """
        finding = only(check(cli, tmp_path, replace(GOOD, alloc=grows), code=0))
        assert finding["level"] == "warning"
        assert finding["what"] == "the memory grows from call to call"
        assert "about 65,536 bytes each" in finding["where"][0]
        assert "plugin_dealloc" in finding["remedy"]

    def test_a_plugin_that_can_be_called_only_so_often(
        self, cli: Cli, install: Install, tmp_path: Path
    ) -> None:
        install()
        wat = replace(
            GOOD,
            execute=f"""
                (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
                (if (i32.gt_u (global.get $calls) (i32.const 99)) (then unreachable)) {ANSWERS}
            """,
            extra="(global $calls (mut i32) (i32.const 0))",
        )
        finding = only(check(cli, tmp_path, wat))
        assert "fails when a call that succeeded is repeated" in finding["what"]
        assert finding["where"][0].startswith("the same call, call 100: ")


class TestBackends:
    DIVISION = replace(GOOD, execute=f"{TRAPS['INTEGER_DIVIDE_BY_ZERO']} (i64.const 0)")

    @pytest.mark.parametrize(
        ("instances", "wat", "told"),
        [
            (Overcharging, GOOD, "backends differ in fuel used"),
            (Oversized, GOOD, "backends differ in memory"),
            (Failing, GOOD, "backends differ in result"),
            (Misnaming, DIVISION, "backends differ in trap"),
            (Forgetful, DIVISION, "backends differ in fuel used"),
            (Fickle, GOOD, "two runs in fresh instances differ in fuel used"),
            (Fickle, GOOD, "a fresh instance gives another manifest, or needs other fuel for it"),
        ],
    )
    def test_a_crooked_one_is_found(
        self,
        cli: Cli,
        install: Install,
        tmp_path: Path,
        instances: type[Honest],
        wat: Wat,
        told: str,
    ) -> None:
        install(instances)
        findings = check(cli, tmp_path, wat)
        finding = only(item for item in findings if item["what"] == told)
        assert finding["level"] == "error"
        assert any("crooked" in place for place in finding["where"])

    def test_what_it_declares_is_no_difference(
        self, cli: Cli, install: Install, tmp_path: Path
    ) -> None:
        install(Forgetful, Capability.COUNTERS_AFTER_TRAP)
        finding = only(check(cli, tmp_path, self.DIVISION))
        assert finding["area"] == "behaviour"


class TestManifest:
    @pytest.mark.parametrize(
        ("command", "level", "where", "told"),
        [
            (CommandSpec("", "x"), "error", "command.name", "name of a command is empty"),
            (CommandSpec("a\x1b", "x"), "error", "command.name", "control characters"),
            (CommandSpec("-a", "x"), "error", "command.name", "begins with a dash"),
            (CommandSpec("a b", "x"), "warning", "command.name", "white space"),
            (CommandSpec("a", " "), "note", "command.about", "no description"),
            (CommandSpec("a", "x\u202e"), "warning", "command.about", "control characters"),
            (CommandSpec("a", "x", author="\n"), "warning", "command.author", "control"),
        ],
    )
    def test_names_and_texts(self, command: CommandSpec, level: str, where: str, told: str) -> None:
        finding = only(check_manifest(PluginManifest.new(command)))
        assert (finding.level, finding.where) == (level, (where,))
        assert told in finding.what
        below = CommandSpec("a", "x", subcommands=(CommandSpec("b", "x"), command))
        finding = only(check_manifest(PluginManifest.new(below)))
        assert finding.where == (where.replace("command", "command.subcommands[1]"),)

    @pytest.mark.parametrize(
        ("args", "level", "where", "told"),
        [
            ([ArgSpec("")], "error", "args[0].name", "is empty"),
            ([ArgSpec("a", long="")], "error", "args[0].long", "is empty"),
            ([ArgSpec("a", long="--all")], "error", "args[0].long", "begins with a dash"),
            ([ArgSpec("a", long="a=b")], "error", "args[0].long", "cannot be the long name"),
            ([ArgSpec("a", short="-")], "error", "args[0].short", "cannot be the short name"),
            ([ArgSpec("a", short=" ")], "error", "args[0].short", "cannot be the short name"),
            ([ArgSpec("a", long="help")], "warning", "args[0].long", "the host's own help"),
            ([ArgSpec("a", short="h")], "warning", "args[0].short", "the host's own help"),
            ([ArgSpec("a", help="\x07")], "warning", "args[0].help", "control characters"),
            ([ArgSpec("a"), ArgSpec("a")], "error", "", "2 arguments have the name 'a'"),
            (
                [ArgSpec("a", long="x"), ArgSpec("b", long="x")],
                "error", "", "2 options have the long name 'x'",
            ),
            (
                [ArgSpec("a", short="x"), ArgSpec("b", short="x")],
                "error", "", "2 options have the short name 'x'",
            ),
            (
                [ArgSpec("a"), ArgSpec("o", long="o", required=True), ArgSpec("b", required=True)],
                "error", "args[2]", "the required argument 'b' comes after the optional 'a'",
            ),
            (
                [ArgSpec("a", required=True, default_value="1")],
                "warning", "args[0]", "its default is never used",
            ),
            (
                [ArgSpec("a", default_value="c", possible_values=("a", "b"))],
                "error", "args[0].default_value", "the default 'c' is not one of",
            ),
            ([ArgSpec("a", possible_values=())], "error", "args[0].possible_values", "empty list"),
            (
                [ArgSpec("a", possible_values=("x", "x"))],
                "warning", "args[0].possible_values", "'x' stands 2 times",
            ),
        ],
    )  # fmt: skip
    def test_arguments(self, args: list[ArgSpec], level: str, where: str, told: str) -> None:
        manifest = PluginManifest.new(CommandSpec("a", "x", args=tuple(args)))
        finding = only(check_manifest(manifest))
        assert finding.level == level
        assert finding.where == (f"command.{where}" if where else "command",)
        assert told in finding.what
        assert finding.remedy

    def test_subcommands(self) -> None:
        twice = CommandSpec("a", "x", subcommands=(CommandSpec("b", "x"), CommandSpec("b", "x")))
        assert "2 subcommands" in only(check_manifest(PluginManifest.new(twice))).what
        both = replace(twice, subcommands=twice.subcommands[:1], args=(ArgSpec("p"),))
        assert "cannot tell" in only(check_manifest(PluginManifest.new(both))).what

    @pytest.mark.parametrize(
        ("asked", "where"),
        [
            (Capabilities(fs_read=(PathPattern(""),)), "fs_read[0].pattern"),
            (Capabilities(env_read=("A", "")), "env_read[1]"),
            (Capabilities(net=(NetPattern("https://example.org/"),)), "net[0].host"),
            (Capabilities(net=(NetPattern("a\x1bb"),)), "net[0].host"),
        ],
    )
    def test_capabilities(self, asked: Capabilities, where: str) -> None:
        finding = only(check_manifest(PluginManifest.new(CommandSpec("a", "x"), asked)))
        assert finding.where == (f"capabilities.{where}",)

    def test_a_faulty_manifest_fails_the_check(
        self, cli: Cli, install: Install, tmp_path: Path
    ) -> None:
        install()
        manifest = PluginManifest.new(CommandSpec("te\x1b]0;st", "a test"))
        path = tmp_path / "plugin.wasm"
        path.write_bytes(replace(GOOD, manifest_bytes=encode(manifest)).wasm())
        answer = cli("check", path)
        assert answer.code == 1
        assert "\x1b" not in answer.stdout
        assert "error  manifest: the name of a command has control characters" in answer.stdout
        assert answer.stdout.endswith("\n1 error.\n")


class TestSweep:
    ARGS = (
        ArgSpec("source", required=True),
        ArgSpec("target"),
        ArgSpec("sort", long="sort", short="s", possible_values=("date", "title")),
        ArgSpec("user", long="user", required=True, default_value="me"),
    )

    def test_declared_arguments_are_tried_with_what_they_need(self) -> None:
        tried = [probe.args for probe in sweep(CommandSpec("a", "x", args=self.ARGS))]
        for args in (
            (),
            ("text", "--user", "me"),
            ("a\0b", "--user", "me"),
            ("text", "a\0b", "--user", "me"),
            ("text", "--user", "me", "--sort", "title"),
            ("text", "--user", "me", "--sort=-1"),
            ("text", "--user", "me", "-s", ""),
            ("text", "--user", "me", "--sort"),
            ("x",) * 1000,
        ):
            assert args in tried
        assert len(tried) == len({*tried})

    def test_subcommands_are_tried_by_their_path(self) -> None:
        below = CommandSpec("many", "x", args=self.ARGS)
        spec = CommandSpec("a", "x", subcommands=(CommandSpec("add", "x", subcommands=(below,)),))
        tried = {probe.args: probe.what for probe in sweep(spec)}
        assert tried["add", "many", "text", "--user", ""] == "add many --user: an empty text"
        assert ("add",) in tried

    def test_it_ends_whatever_a_manifest_declares(self) -> None:
        args = tuple(ArgSpec(f"a{n}", long=f"a{n}") for n in range(200))
        assert len(sweep(CommandSpec("a", "x", args=args))) == MOST_PROBES


def test_a_finding_in_several_places_stands_once_and_the_worst_is_first() -> None:
    note = Finding(Level.NOTE, Area.BINARY, "n", ("1",))
    error = Finding(Level.ERROR, Area.BACKENDS, "e", ("1",), "r")
    again = replace(error, where=("2", "1"))
    load = replace(error, area=Area.LOAD)
    assert merged([note, error, again, load]) == (load, replace(error, where=("1", "2")), note)


def test_the_report_fits_a_terminal() -> None:
    text = on_a_terminal("check", "--backend", "wasmtime", ECHO, TERM="dumb", columns=40)
    assert "\x1b" not in text
    assert "Nothing wrong was found" in text
    assert max(len(line) for line in text.splitlines()) <= 40


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


class TestProgress:
    def told(self, monkeypatch: pytest.MonkeyPatch, stream: StringIO, seconds: float) -> str:
        now = 100.0
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setattr("sen_host.cli.progress.monotonic", lambda: now)
        monkeypatch.setenv("TERM", "xterm")
        with progress() as tell:
            for number in range(4):
                tell("calling", number, 4)
                now += seconds
        return stream.getvalue()

    def test_a_terminal_is_told_after_a_second_and_the_line_goes_at_the_end(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        told = self.told(monkeypatch, Terminal(), 0.6)
        assert told == "\r\x1b[K 50 %  calling\r\x1b[K 75 %  calling\r\x1b[K"

    def test_what_is_done_within_a_second_shows_nothing(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert self.told(monkeypatch, Terminal(), 0.2) == ""

    def test_what_is_no_terminal_is_told_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.told(monkeypatch, StringIO(), 9.0) == ""
