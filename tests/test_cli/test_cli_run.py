"""``sen-host run``: answers, exit codes, limits, JSON, effects."""

from __future__ import annotations

import json
import logging
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sen_host.cli.failure import EXIT_CODES
from sen_host.messages import CommandSpec, Error, HttpGet, PluginManifest, Sleep, Success, encode
from sen_host_conformance.hosts import Host
from tests.test_cli.conftest import ECHO, FETCH, GREET, Cli, command_line, environment, on, process
from tests.wat import TRAP_SUPPORT, TRAPS, Wat, assemble

DONE = encode(Success("done"))


def plugin(path: Path, wat: Wat) -> Path:
    file = path / "plugin.wasm"
    file.write_bytes(wat.wasm())
    return file


def with_effect(effect: Sleep | HttpGet) -> Wat:
    """A plugin that asks for an effect and then answers "done"."""
    escaped = "".join(f"\\{byte:02x}" for byte in DONE)
    return Wat(
        answer_bytes=encode(effect),
        extra=f'(data (i32.const 3072) "{escaped}")',
        resume=f"(i64.const {3072 << 32 | len(DONE)})",
    )


class TestAnswers:
    def test_success_is_text_on_stdout_and_code_0(self, cli: Cli, host: Host) -> None:
        assert cli("run", *on(host), GREET, "Alice") == (0, "Hello, Alice!\n", "")

    @pytest.mark.parametrize(
        ("text", "written"),
        [("", ""), ("a", "a\n"), ("a\n", "a\n"), ("\n", "\n"), ("é\0", "é\0\n")],
    )
    def test_a_line_feed_is_added_where_it_lacks(
        self, cli: Cli, tmp_path: Path, text: str, written: str
    ) -> None:
        path = plugin(tmp_path, Wat(answer_bytes=encode(Success(text))))
        assert cli("run", path).stdout == written

    @pytest.mark.parametrize(
        ("code", "left_with"), [(1, 1), (7, 7), (101, 101), (255, 255), (0, 1)]
    )
    def test_an_error_is_text_on_stderr_and_the_plugins_code(
        self, cli: Cli, tmp_path: Path, code: int, left_with: int
    ) -> None:
        path = plugin(tmp_path, Wat(answer_bytes=encode(Error(code, "no such thing"))))
        assert cli("run", path) == (left_with, "", "no such thing\n")

    def test_the_answer_is_utf_8_whatever_the_locale(self, tmp_path: Path) -> None:
        path = plugin(tmp_path, Wat(answer_bytes=encode(Success("Grüße 👋"))))
        env = environment(PYTHONIOENCODING="ascii", LC_ALL="C", PYTHONUTF8="0")
        done = subprocess.run(command_line("run", path), env=env, capture_output=True, check=True)
        assert done.stdout.decode() == "Grüße 👋\n"


class TestArguments:
    @pytest.mark.parametrize(
        "given",
        [
            ["--json", "-h", "--help", "--fuel", "0", "--version"],
            ["--", "a", "--"],
            ["", " ", "a b", "é", "*", "\n", "."],
            ["-", "--x=y", "-abc"],
        ],
    )
    def test_what_follows_the_plugin_goes_to_it_untouched(self, cli: Cli, given: list[str]) -> None:
        assert cli("run", ECHO, *given) == (0, f"Echo: {' '.join(given)}\n", "")

    def test_two_dashes_may_end_the_options(self, cli: Cli) -> None:
        answer = cli("run", "--", GREET, "--fuel", "-x")
        assert answer == (0, "-x, --fuel!\n", "")

    def test_an_argument_that_is_not_utf_8_is_the_callers_fault(self) -> None:
        done = process("run", GREET, "a", os.fsdecode(b"\xff"))
        assert (done.returncode, done.stdout) == (121, b"")
        assert done.stderr.startswith(b"error: argument 2 is not valid UTF-8\n")


class TestJson:
    def test_one_object_with_the_result_as_on_the_wire(self, cli: Cli, host: Host) -> None:
        answer = cli("run", "--json", *on(host), GREET, "Alice")
        assert (answer.code, answer.stderr) == (0, "")
        assert list(answer.json) == ["backend", "binding", "result", "fuel_used", "fuel_left"]
        assert answer.json["backend"] == host.backend
        assert answer.json["binding"] == host.binding
        assert answer.json["result"] == {"Success": "Hello, Alice!"}
        used, left = answer.json["fuel_used"], answer.json["fuel_left"]
        assert used > 1_000
        assert used + left == 10_000_000

    def test_a_plugins_error_keeps_its_code(self, cli: Cli, tmp_path: Path) -> None:
        path = plugin(tmp_path, Wat(answer_bytes=encode(Error(9, "no"))))
        answer = cli("run", "--json", path)
        assert answer.code == 9
        assert answer.json["result"] == {"Error": {"code": 9, "message": "no"}}

    def test_a_failure_of_the_host_is_an_error_object(self, cli: Cli) -> None:
        answer = cli("run", "--json", "--backend", "wasmtime", "--fuel", "100", GREET)
        assert answer.code == 124
        assert answer.stderr == ""
        assert answer.json["backend"] == "wasmtime"
        error = answer.json["error"]
        assert error["kind"] == "FuelExhausted"
        assert (error["function"], error["budget"]) == ("plugin_manifest", 100)
        assert "limits.fuel" in error["hint"]

    def test_an_error_names_the_plugin_or_none(self, cli: Cli, tmp_path: Path) -> None:
        (tmp_path / "x.wasm").write_bytes(b"")
        for path in (tmp_path / "x.wasm", tmp_path / "gone.wasm"):
            assert cli("run", "--json", path).json["error"]["plugin"] == str(path)
        found = cli("inspect", "--json", tmp_path / "x.wasm")
        assert found.json["error"]["plugin"] == str(tmp_path / "x.wasm")
        for arguments in (["--backend", "x", GREET], [GREET, os.fsdecode(b"\xff")]):
            assert cli("run", "--json", *arguments).json["error"]["plugin"] is None

    @pytest.mark.usefixtures("lax_backends")
    def test_a_limit_that_is_not_enforceable_names_the_binding(self, cli: Cli) -> None:
        found = cli("run", "--json", "--backend", "lax", "--timeout", "5", GREET).json
        assert (found["backend"], found["binding"]) == ("lax", "only")
        assert found["error"]["kind"] == "LimitNotEnforceable"
        assert found["error"]["plugin"] is None

    def test_enums_and_tuples_of_an_error_are_plain(self, cli: Cli, tmp_path: Path) -> None:
        imports = '(module (import "env" "f" (func)) (memory (export "memory") 1))'
        (tmp_path / "i.wasm").write_bytes(assemble(imports))
        error = cli("run", "--json", tmp_path / "i.wasm").json["error"]
        assert error["kind"] == "ImportNotGranted"
        assert error["imports"] == [["env", "f", "function"]]
        trap = plugin(tmp_path, Wat(execute="unreachable"))
        assert cli("run", "--json", trap).json["error"]["trap"] == "unreachable"

    def test_control_characters_stay_valid_json(self, cli: Cli, tmp_path: Path) -> None:
        text = "\x1b[31m\x7f\x9b\u202e\u2028ü"
        path = plugin(tmp_path, Wat(answer_bytes=encode(Success(text))))
        answer = cli("run", "--json", path)
        assert answer.json["result"] == {"Success": text}
        assert not {"\x1b", "\x7f", "\x9b", "\u202e", "\u2028"} & set(answer.stdout)


class TestExitCodes:
    @pytest.mark.parametrize(
        ("wat", "code", "said"),
        [
            (Wat(execute="unreachable"), 125, "the plugin trapped in 'plugin_execute'"),
            (Wat(execute=TRAPS["STACK_OVERFLOW"] + " unreachable", extra=TRAP_SUPPORT), 125,
             "call stack exhausted"),
            (Wat(answer_bytes=b"\xc1"), 125, "not a valid ExecuteResult"),
            (Wat(manifest_bytes=b"\xc0"), 125, "not a valid PluginManifest"),
            (Wat(manifest_bytes=encode(PluginManifest(3, CommandSpec("x", "y")))), 123,
             "API version 3"),
            (Wat(memory='(memory (export "memory") 5000)'), 124, "bytes of memory"),
            (Wat(memory="(memory 1)"), 123, "does not export its memory"),
        ],
    )  # fmt: skip
    def test_each_kind_of_fault_has_its_code(
        self, cli: Cli, tmp_path: Path, wat: Wat, code: int, said: str
    ) -> None:
        path = plugin(tmp_path, wat)
        answer = cli("run", path)
        assert (answer.code, answer.stdout) == (code, "")
        assert answer.stderr.startswith(f"error: {path}: ")
        assert said in answer.stderr

    @pytest.mark.parametrize("content", [b"", b"(module)", b"\0asm\1\0\0\0\7"])
    def test_what_is_no_plugin(self, cli: Cli, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "x.wasm").write_bytes(content)
        answer = cli("run", tmp_path / "x.wasm")
        assert answer.code == 123
        assert answer.stderr.count(str(tmp_path / "x.wasm")) == 1

    def test_files_that_cannot_be_read(self, cli: Cli, tmp_path: Path) -> None:
        answer = cli("run", tmp_path / "gone.wasm")
        assert answer.code == 123
        assert "there is no plugin file" in answer.stderr
        assert answer.stderr.count(str(tmp_path / "gone.wasm")) == 1
        assert "hint: check the path" in answer.stderr
        assert cli("run", tmp_path).code == 123
        os.mkfifo(tmp_path / "pipe")
        assert cli("run", tmp_path / "pipe").code == 123
        assert cli("run", "--module-size", "8 B", GREET).code == 123

    def test_limits_name_their_option(self, cli: Cli) -> None:
        answer = cli("run", "--backend", "wasmtime", "--fuel", "100", GREET)
        assert answer.code == 124
        assert "hint: raise limits.fuel (--fuel)" in answer.stderr

    def test_a_wall_clock_limit_stops_a_plugin(self, cli: Cli, tmp_path: Path) -> None:
        endless = plugin(tmp_path, Wat(execute="(loop $again (br $again)) unreachable"))
        start = time.monotonic()
        answer = cli("run", "--backend", "wasmtime", "--fuel", "none", "--timeout", "0.2", endless)
        assert answer.code == 124
        assert "--timeout" in answer.stderr
        assert time.monotonic() - start < 10

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["run"], "Missing argument 'PLUGIN'"),
            (["run", "--fule", "3", "x"], "No such option"),
            (["run", "--fuel", "lots", "x"], "--fuel: limits.fuel is 'lots'"),
            (["run", "--backend", "wasmtine", "x"], "did you mean 'wasmtime'?"),
            (["run", "--backend", "wasmtime", "--binding", "x", "x"], "no binding 'x'"),
            (["rnu", "x"], "did you mean 'run'?"),
        ],
    )
    def test_wrong_usage_and_configuration(self, cli: Cli, arguments: list[str], said: str) -> None:
        answer = cli(*arguments)
        assert (answer.code, answer.stdout) == (121, "")
        assert answer.stderr.startswith("error: ")
        assert said in answer.stderr

    def test_a_backend_from_a_file_is_blamed_on_the_file(self, cli: Cli, tmp_path: Path) -> None:
        (tmp_path / "sen-host.toml").write_text('\nbackend = "wasmtine"\n')
        answer = cli("run", GREET)
        assert answer.code == 121
        assert "error: sen-host.toml:2: there is no backend 'wasmtine'" in answer.stderr

    def test_an_engine_that_is_not_there(self, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sen_host.engines.entry_points", lambda _: [])
        answer = cli("run", GREET)
        assert answer.code == 122
        assert "hint: pip install 'sen-host[wasmtime]'" in answer.stderr

    def test_a_fault_of_our_own_has_no_traceback_unless_asked(
        self, cli: Cli, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: object, **__: object) -> None:
            raise RuntimeError("out of order")

        monkeypatch.setattr("sen_host.config.Config.load", broken)
        answer = cli("run", "x")
        assert answer.code == 119
        assert "error: sen-host itself failed: RuntimeError: out of order" in answer.stderr
        assert "Traceback" not in answer.stderr
        assert "Traceback" in cli("run", "--traceback", "x").stderr
        assert "Traceback" in cli("run", "-vv", "x").stderr
        assert cli("run", "--json", "x").json["error"]["kind"] == "RuntimeError"

    def test_the_codes_are_the_documented_ones(self) -> None:
        page = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text()
        for code, meaning in EXIT_CODES.items():
            assert f"| {code} | {meaning}" in page


class TestEffects:
    def test_a_sleep_is_slept(self, cli: Cli, tmp_path: Path) -> None:
        path = plugin(tmp_path, with_effect(Sleep(id=7, duration_ms=30)))
        start = time.monotonic()
        assert cli("run", path) == (0, "done\n", "")
        assert time.monotonic() - start >= 0.03

    def test_an_endless_sleep_is_refused(self, cli: Cli, tmp_path: Path) -> None:
        path = plugin(tmp_path, with_effect(Sleep(id=7, duration_ms=2**64 - 1)))
        answer = cli("run", path)
        assert answer[:2] == (0, "done\n")
        assert (
            "note: the plugin asked for a sleep of 18,446,744,073,709,551,615 ms" in answer.stderr
        )

    def test_the_network_is_refused_and_the_user_told_once(self, cli: Cli) -> None:
        options = ("--allow-net", "example.com")
        answer = cli("run", *options, FETCH, "http://localhost/\x1b[2J")
        assert answer.code == 1
        assert answer.stderr.count("note: the plugin asked for HTTP GET http://localhost/") == 1
        assert "the URL has control characters in it" in answer.stderr
        assert "\x1b" not in answer.stderr.splitlines()[0]


class TestFuel:
    """With ``--fuel`` what was used is told, on stderr, however the plugin ends."""

    @pytest.fixture
    def frugal(self, tmp_path: Path) -> Path:
        return plugin(tmp_path, Wat(alloc="(i32.const 4096)"))

    def test_on_every_host(self, cli: Cli, host: Host, frugal: Path) -> None:
        answer = cli("run", *on(host), "--fuel", "50", frugal)
        assert answer == (0, "fine\n", "note: fuel used: 2, left: 48\n")

    def test_without_a_budget(self, cli: Cli, frugal: Path) -> None:
        assert cli("run", "--fuel", "none", frugal).stderr == "note: fuel used: 2\n"

    def test_after_a_failure(self, cli: Cli, tmp_path: Path) -> None:
        path = plugin(tmp_path, Wat(execute="(loop (br 0)) unreachable"))
        answer = cli("run", "--fuel", "50", path)
        assert answer.code == 124
        assert answer.stderr.startswith("note: fuel used: 50, left: 0\nerror: ")

    def test_not_unless_asked_for(self, cli: Cli, frugal: Path) -> None:
        assert cli("run", frugal).stderr == ""
        assert "note: fuel used: 2, left: " in cli("run", "-v", frugal).stderr


class TestVerbose:
    def test_the_debug_log_is_shown_while_the_command_runs(self, cli: Cli, tmp_path: Path) -> None:
        path = plugin(tmp_path, Wat(dealloc="unreachable"))
        shown = cli("run", "-v", path)
        assert shown[:2] == (0, "fine\n")
        assert "WARNING sen_host: " in shown.stderr
        assert logging.getLogger("sen_host").handlers == []

    def test_the_log_tells_which_files_were_read(self, cli: Cli, tmp_path: Path) -> None:
        (tmp_path / "sen-host.toml").write_text("limits.fuel = 10_000_000\n")
        shown = cli("run", "-v", "--backend", "wasmtime", GREET)
        assert shown.code == 0
        said = shown.stderr.splitlines()
        assert f"DEBUG sen_host: configuration file {tmp_path / 'sen-host.toml'}" in said
        assert "DEBUG" not in cli("run", "--backend", "wasmtime", GREET).stderr


class TestProcess:
    def test_the_reader_may_go_away(self, tmp_path: Path) -> None:
        path = plugin(tmp_path, Wat(answer_bytes=encode(Success("x" * 900))))
        read_end, write_end = os.pipe()
        os.close(read_end)
        done = subprocess.run(
            command_line("run", path), env=environment(), stdout=write_end, stderr=subprocess.PIPE
        )
        os.close(write_end)
        assert (done.returncode, done.stderr) == (141, b"")

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no /dev/full")
    def test_a_full_disk_is_told(self) -> None:
        with open("/dev/full", "wb") as full:
            done = subprocess.run(
                command_line("run", GREET),
                env=environment(),
                stdout=full,
                stderr=subprocess.PIPE,
            )
        assert done.returncode == 122
        assert b"No space left on device" in done.stderr

    def test_closed_streams_are_no_fault(self) -> None:
        script = f"exec {shlex.join(command_line('run', GREET))} >&- 2>&-"
        assert subprocess.run(["sh", "-c", script], env=environment()).returncode == 0

    def test_ctrl_c_ends_a_plugin_without_limits(self, tmp_path: Path) -> None:
        endless = plugin(tmp_path, Wat(execute="(loop $again (br $again)) unreachable"))
        child = subprocess.Popen(
            command_line("run", "-v", "--backend", "wasmtime", "--fuel", "none", endless),
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            _wait_until_busy(child)
            child.send_signal(signal.SIGINT)
            _, stderr = child.communicate(timeout=10)
        finally:
            child.kill()
        # A shell shows death by SIGINT as exit code 130.
        assert child.returncode == -signal.SIGINT
        assert b"Traceback" not in stderr

    def test_a_cached_plugin_is_run_without_what_other_commands_need(self) -> None:
        code = (
            "import sys; before = set(sys.modules);"
            "from sen_host.cli.app import app;"
            "app.main(sys.argv[1:], standalone_mode=False);"
            "print(*set(sys.modules) - before)"
        )
        for _ in range(2):
            done = subprocess.run(
                [sys.executable, "-c", code, "run", str(GREET), "Bob"],
                env=environment(),
                capture_output=True,
                text=True,
                check=True,
            )
        answer, modules = done.stdout.splitlines()
        assert answer == "Hello, Bob!"
        loaded = set(modules.split())
        assert {name for name in loaded if name.startswith("sen_host.cli.")} == {
            f"sen_host.cli.{name}"
            for name in ("app", "failure", "options", "granting", "output", "run")
        }
        assert not loaded & {
            *("asyncio", "difflib", "email", "importlib.metadata", "json", "logging", "pathlib"),
            *("rich", "sen_host.checkup", "sen_host.comparison", "sen_host.wasm", "tempfile"),
            *("tomli", "tomllib"),
        }


def _wait_until_busy(child: subprocess.Popen[bytes]) -> None:
    """Wait until the process has used more processor time than its start needs."""
    deadline = time.monotonic() + 30
    stat = Path(f"/proc/{child.pid}/stat")
    while time.monotonic() < deadline:
        fields = stat.read_text().rpartition(")")[2].split()
        if (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") > 1.5:
            return
        time.sleep(0.02)
    raise AssertionError("the plugin did not start")


def test_the_json_of_a_run_is_one_line_in_a_pipe(cli: Cli) -> None:
    stdout = cli("run", "--json", GREET).stdout
    assert stdout.count("\n") == 1
    assert json.loads(stdout)
