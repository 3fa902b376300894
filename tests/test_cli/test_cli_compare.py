"""``sen-host compare``: equal backends, planted differences, argument files."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from sen_host import Config, PluginLoader
from sen_host.backend import Capability
from sen_host.comparison import compare, read_argument_file
from sen_host.errors import ConfigError
from sen_host.messages import Error, HttpGet, Sleep, encode
from tests.test_cli.conftest import ECHO, FETCH, GREET, Cli
from tests.test_cli.crooked import (
    ABSENT,
    WASMTIME,
    Failing,
    Fickle,
    Forgetful,
    Garbling,
    Honest,
    Install,
    Misnaming,
    Overcharging,
    Oversized,
    Vague,
    install,
    only_backends,
)
from tests.test_cli.test_cli_run import plugin, with_effect
from tests.test_cli.test_cli_terminal import on_a_terminal
from tests.wat import TRAPS, Wat, assemble

__all__ = ["install"]


@pytest.fixture(autouse=True)
def _once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load once: these tests look at no times."""
    monkeypatch.setattr("sen_host.comparison.side_by_side.LOAD_SECONDS", 0)


DIVISION = Wat(execute=f"{TRAPS['INTEGER_DIVIDE_BY_ZERO']} (i64.const 0)")


def lines(text: str) -> list[str]:
    return [re.sub(r" {2,}", "  ", line.strip()) for line in text.splitlines()]


class TestEqual:
    def test_every_backend_here_gives_the_same(self, cli: Cli) -> None:
        answer = cli("compare", "--json", GREET, "Alice", "Hi")
        assert (answer.code, answer.stderr) == (0, "")
        found = answer.json
        assert found["equal"] is True
        assert len(found["backends"]) > 1
        (case,) = found["cases"]
        assert case["args"] == ["Alice", "Hi"]
        for run in case["runs"]:
            (step,) = run["steps"]
            assert run["repeats"] >= 1
            assert step["call"] == "plugin_execute"
            assert step["result"] == {"Success": "Hi, Alice!"}
            assert step["fuel_used"] + step["fuel_left"] == 10_000_000
            assert step["memory_bytes"] % 65_536 == 0
            assert step["seconds"] > 0
        assert len({run["steps"][0]["fuel_used"] for run in case["runs"]}) == 1

    def test_the_report_has_them_side_by_side(self, cli: Cli, install: Install) -> None:
        install()
        fuel = cli("run", "--json", GREET, "Bob").json["fuel_used"]
        answer = cli("compare", GREET, "Bob")
        assert (answer.code, answer.stderr) == (0, "")
        shown = lines(answer.stdout)
        assert shown[1:3] == [
            "wasmtime (c-api)  " + shown[1].split("  ")[1] + "  in this process",
            "crooked (only)  Crooked 1.0  in this process",
        ]
        for name in ("wasmtime (c-api)", "crooked (only)"):
            start = f"{name}  Hello, Bob!  {fuel:,}  {10_000_000 - fuel:,}  "
            assert any(line.startswith(start) for line in shown)
        assert shown[-1] == "No difference in 1 set of arguments."

    def test_a_plugin_that_traps_alike_everywhere_is_no_difference(
        self, cli: Cli, tmp_path: Path
    ) -> None:
        answer = cli("compare", plugin(tmp_path, DIVISION))
        assert answer.code == 0
        assert "FunctionCall: the plugin trapped in 'plugin_execute'" in answer.stdout

    def test_a_plugin_that_no_backend_loads_has_the_code_of_run(
        self, cli: Cli, tmp_path: Path
    ) -> None:
        path = tmp_path / "plugin.wasm"
        path.write_bytes(assemble("(module)"))
        answer = cli("compare", path)
        assert answer.code == cli("run", path).code == 123
        assert answer.stdout.endswith("No backend loads the plugin; all say the same.\n")
        assert cli("compare", "gone.wasm").code == 123

    def test_limits_hold_on_all(self, cli: Cli, install: Install) -> None:
        install()
        found = cli("compare", "--json", "--fuel", "none", ECHO).json
        assert [run["steps"][0]["fuel_left"] for run in found["cases"][0]["runs"]] == [None, None]
        starved = cli("compare", "--json", "--fuel", "100", ECHO)
        assert starved.code == 124
        kinds = {run["error"]["kind"] for run in starved.json["load"]["runs"]}
        assert kinds == {"FuelExhausted"}

    def test_the_report_fits_a_terminal(self) -> None:
        for columns in (40, 80):
            text = on_a_terminal(
                "compare",
                "--backend",
                "wasmtime",
                "--backend",
                "wasmer",
                ECHO,
                "a" * 99,
                columns=columns,
                TERM="dumb",
            )
            assert max(len(line) for line in text.splitlines()) <= columns


class TestEffects:
    def test_a_sleep_is_granted_but_not_slept(
        self, cli: Cli, install: Install, tmp_path: Path
    ) -> None:
        install()
        path = plugin(tmp_path, with_effect(Sleep(1, 3_600_000)))
        found = cli("compare", "--json", path).json["cases"][0]
        for run in found["runs"]:
            assert [step["call"] for step in run["steps"]] == ["plugin_execute", "plugin_resume"]
            assert run["steps"][1]["result"] == {"Success": "done"}
            assert sum(step["seconds"] for step in run["steps"]) < 60

    def test_requests_are_refused_and_every_step_is_shown(self, cli: Cli, install: Install) -> None:
        install()
        answer = cli("compare", FETCH, "--", "http://x", "--retry", "1")
        assert answer.code == 0
        assert answer.stdout.count("asks for HTTP GET http://x") == 4
        assert answer.stdout.count("asks to sleep 100 ms") == 2
        assert answer.stdout.count("network access is not granted (2 attempts)") == 2

    def test_a_plugin_that_never_stops_asking_is_broken_off(
        self, cli: Cli, install: Install, tmp_path: Path
    ) -> None:
        install()
        asks = encode(HttpGet(1, "http://x"))
        again = f"(i64.const {2048 << 32 | len(asks)})"
        path = plugin(tmp_path, Wat(answer_bytes=asks, resume=again, alloc="(i32.const 8192)"))
        answer = cli("compare", path)
        assert answer.code == 0
        assert "... and 982 more calls; --json lists them all" in answer.stdout
        last = cli("compare", "--json", path).json["cases"][0]["runs"][0]["steps"][-1]
        assert last["error"]["kind"] == "EffectLimitExceeded"

    def test_a_difference_names_its_step(self, cli: Cli, install: Install) -> None:
        install(Overcharging)
        answer = cli("compare", "--json", FETCH, "http://x")
        steps = [item["step"] for item in answer.json["cases"][0]["differences"]]
        assert steps == [number for number in range(6) for _ in range(2)]


class TestDifferent:
    @pytest.mark.parametrize(
        ("instances", "wat", "fields"),
        [
            (Overcharging, Wat(), {"fuel used", "fuel left"}),
            (Oversized, Wat(), {"memory"}),
            (Garbling, Wat(answer_bytes=encode(Error(1, "Hi"))), {"result"}),
            (Misnaming, DIVISION, {"trap", "error message"}),
            (Vague, DIVISION, {"trap", "error message"}),
            (Forgetful, DIVISION, {"fuel used", "fuel left"}),
            (Failing, Wat(), {"result", "fuel used", "fuel left", "memory"}),
        ],
        ids=lambda value: value.__name__ if isinstance(value, type) else "",
    )
    def test_it_is_an_error_and_tells_where(
        self,
        cli: Cli,
        install: Install,
        tmp_path: Path,
        instances: type[Honest],
        wat: Wat,
        fields: set[str],
    ) -> None:
        path = plugin(tmp_path, wat)
        install()
        assert cli("compare", path).code == 0
        install(instances)
        answer = cli("compare", "--json", path)
        assert answer.code == 1
        assert answer.json["equal"] is False
        found = answer.json["cases"][0]["differences"]
        assert {item["field"] for item in found} == fields
        for item in found:
            assert [seen["backend"] for seen in item["seen"]] == ["wasmtime", "crooked"]
            assert item["seen"][0]["value"] != item["seen"][1]["value"]

    def test_the_report_lists_both_sides(self, cli: Cli, install: Install, tmp_path: Path) -> None:
        install(Misnaming)
        answer = cli("compare", plugin(tmp_path, DIVISION), "a b")
        assert answer.code == 1
        shown = lines(answer.stdout)
        at = shown.index("'a b': trap of plugin_execute")
        assert shown[at + 1 : at + 3] == [
            "wasmtime (c-api)  integer divide by zero",
            "crooked (only)  integer overflow",
        ]
        assert "No difference" not in answer.stdout

    def test_of_long_results_the_part_that_differs_is_shown(
        self, cli: Cli, install: Install, tmp_path: Path
    ) -> None:
        install(Garbling)
        answer = cli(
            "compare", plugin(tmp_path, Wat(answer_bytes=encode(Error(1, "a" * 999 + "Hi"))))
        )
        assert re.search(r"wasmtime \(c-api\) +from character 1,\d+ on: \"?'?a+Hi", answer.stdout)
        assert re.search(r"crooked \(only\) +from character 1,\d+ on: \"?'?a+hi", answer.stdout)

    def test_a_backend_that_refuses_the_plugin_differs_in_the_load(
        self, cli: Cli, install: Install
    ) -> None:
        install(refuses=True)
        answer = cli("compare", "--json", ECHO)
        assert answer.code == 1
        (found,) = (i for i in answer.json["load"]["differences"] if i["field"] == "result")
        assert found["seen"][1]["value"]["error"]["kind"] == "ModuleCompilation"
        assert answer.json["cases"][0]["runs"][1]["steps"] is None
        assert "load: result of plugin_manifest" in cli("compare", ECHO).stdout

    def test_a_backend_that_differs_from_run_to_run_is_told(
        self, cli: Cli, install: Install
    ) -> None:
        install(Fickle)
        answer = cli("compare", "--json", ECHO)
        assert answer.code == 1
        found = answer.json["cases"][0]["unsteady"]
        assert {item["backend"] for item in found} == {"crooked"}
        assert {item["field"] for item in found} == {"fuel used", "fuel left"}
        assert "from run to run: fuel used" in cli("compare", ECHO).stdout


class TestDeclaredLacks:
    @pytest.mark.parametrize(
        ("instances", "lack"),
        [(Forgetful, Capability.COUNTERS_AFTER_TRAP), (Vague, Capability.TRAP_KINDS)],
    )
    def test_what_cannot_be_known_is_no_difference(
        self,
        cli: Cli,
        install: Install,
        tmp_path: Path,
        instances: type[Honest],
        lack: Capability,
    ) -> None:
        install(instances, lack)
        path = plugin(tmp_path, DIVISION)
        assert cli("compare", path).code == 0
        crooked = cli("compare", "--json", path).json["cases"][0]["runs"][1]["steps"][0]
        if instances is Forgetful:
            assert (crooked["fuel_used"], crooked["fuel_left"]) == (None, None)
            assert "  unknown    unknown  " in cli("compare", path).stdout
        else:
            assert crooked["error"]["trap"] == "unknown trap"

    def test_a_lack_excuses_nothing_else(self, cli: Cli, install: Install, tmp_path: Path) -> None:
        path = plugin(tmp_path, DIVISION)
        install(Vague, Capability.COUNTERS_AFTER_TRAP)
        assert cli("compare", path).code == 1
        install(Forgetful, Capability.TRAP_KINDS)
        assert cli("compare", path).code == 1
        install(Overcharging, Capability.COUNTERS_AFTER_TRAP)
        assert cli("compare", path).code == 1


class TestChoice:
    def test_backends_are_chosen_by_name(self, cli: Cli, install: Install) -> None:
        install(Overcharging)
        both = ["--backend", "crooked", "--backend", "wasmtime"]
        found = cli("compare", "--json", *both, ECHO)
        assert [item["backend"] for item in found.json["backends"]] == ["wasmtime", "crooked"]
        assert cli("compare", "--backend", "nope", ECHO).code == 121

    def test_one_alone_is_nothing_to_compare(self, cli: Cli, install: Install) -> None:
        install()
        answer = cli("compare", "--backend", "crooked", ECHO)
        assert (answer.code, answer.stdout) == (121, "")
        assert "only crooked (only) was chosen, so there is nothing to compare" in answer.stderr
        assert "hint: name another backend" in answer.stderr

    def test_where_only_one_is_installed_the_remedy_is_told(
        self, cli: Cli, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        only_backends(monkeypatch, wasmtime=WASMTIME, absent=ABSENT)
        for chosen in ([], ["--backend", "wasmtime"]):
            answer = cli("compare", *chosen, ECHO)
            assert (answer.code, answer.stdout) == (122, "")
            assert "only wasmtime (c-api) can be used here" in answer.stderr
            assert "absent (only): the package absent is not installed" in answer.stderr
            assert "hint: pip install absent" in answer.stderr

    def test_one_engine_through_two_bindings_is_compared_once(
        self, cli: Cli, install: Install
    ) -> None:
        install()
        found = cli("compare", "--json", ECHO)
        assert [(item["backend"], item["binding"]) for item in found.json["backends"]] == [
            ("wasmtime", "c-api"),
            ("crooked", "only"),
        ]

    def test_isolation_is_the_same_for_all(self, cli: Cli, install: Install) -> None:
        install()
        found = cli("compare", "--json", "--isolation", "process", ECHO)
        assert found.code == 0
        assert {item["isolation"] for item in found.json["backends"]} == {"process"}

    def test_what_the_profile_refuses_is_accepted_for_named_backends_only(
        self, cli: Cli, install: Install, tmp_path: Path
    ) -> None:
        install()
        path = plugin(tmp_path, Wat(extra="(func (result v128) (v128.const i64x2 1 2))"))
        assert cli("compare", "--accept", "simd", path).code == 121
        names = ["--backend", "wasmtime", "--backend", "crooked"]
        assert cli("compare", *names, "--accept", "simd", path).code == 0
        assert cli("compare", *names, path).code == 123


class TestArguments:
    def test_options_of_the_plugin_stand_behind_two_dashes(
        self, cli: Cli, install: Install
    ) -> None:
        install()
        found = cli("compare", "--json", ECHO, "--", "--json", "-x").json
        assert found["cases"][0]["args"] == ["--json", "-x"]
        assert cli("compare", ECHO, "--no-such-option").code == 121

    def test_a_file_holds_many_sets(self, cli: Cli, install: Install, tmp_path: Path) -> None:
        install()
        file = tmp_path / "sets"
        sets = [[], ["Alice"], ["two\nlines", "", "é\0", "# no comment"], ["👋"]]
        text = "\n\n  # a comment\n".join(json.dumps(words) for words in sets)
        file.write_text(text + "\n")
        found = cli("compare", "--json", ECHO, "--args-file", file)
        assert found.code == 0
        assert [case["args"] for case in found.json["cases"]] == sets
        assert "No difference in 4 sets" in cli("compare", "--args-file", file, ECHO).stdout
        assert cli("compare", "--args-file", file, ECHO, "Alice").code == 121

    def test_each_set_gets_a_fresh_instance(
        self, cli: Cli, install: Install, tmp_path: Path
    ) -> None:
        install()
        counts = """
            (if (global.get $called) (then unreachable))
            (global.set $called (i32.const 1))
        """
        answer = Wat().text().split('(func (export "plugin_execute")')[1]
        packed = re.search(r"\(i64\.const \d+\)", answer)
        assert packed is not None
        wat = Wat(execute=counts + packed.group(), extra="(global $called (mut i32) (i32.const 0))")
        file = tmp_path / "sets"
        file.write_text("[]\n[]\n")
        found = cli("compare", "--json", plugin(tmp_path, wat), "--args-file", file).json
        for case in found["cases"]:
            assert [run["steps"][0]["result"] for run in case["runs"]] == [{"Success": "fine"}] * 2

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            (b'[]\n"Alice"\n', ":2: is not an array"),
            (b"[]\n\n# x\n[1]\n", ":4: argument 1 is not a string"),
            (b'["a", "\\ud800"]', ":1: argument 2 has half of a surrogate pair"),
            (b"Alice\n", ":1: is not JSON"),
            (b"[" * 100_000, ":1: is not JSON"),
            (b'["\xff"]', ": is not UTF-8 text, from byte 2 on"),
            (b"# nothing\n\n", ": holds no set of arguments"),
        ],
    )
    def test_a_file_that_is_none_names_the_line(
        self, cli: Cli, tmp_path: Path, content: bytes, told: str
    ) -> None:
        file = tmp_path / "sets"
        file.write_bytes(content)
        answer = cli("compare", "--args-file", file, ECHO)
        assert answer.code == 121
        assert f"{file}{told}" in answer.stderr

    def test_a_file_that_cannot_be_read(self, cli: Cli, tmp_path: Path) -> None:
        assert cli("compare", "--args-file", tmp_path / "gone", GREET).code == 121
        with pytest.raises(ConfigError, match="gone: cannot be read: No such file"):
            read_argument_file(tmp_path / "gone")

    def test_an_argument_that_is_not_utf_8_is_the_callers_fault(self, cli: Cli) -> None:
        assert cli("compare", ECHO, "--", os.fsdecode(b"\xff")).code == 121


def test_it_can_be_used_from_python() -> None:
    loaders = [
        PluginLoader("wasmtime", isolation=isolation, config=Config.defaults())
        for isolation in ("none", "process")
    ]
    told: list[tuple[int, int]] = []
    found = compare(
        ECHO.read_bytes(),
        loaders,
        [["Alice"], []],
        progress=lambda _what, done, of: told.append((done, of)),
    )
    assert not found.differs
    assert told == [(0, 6), (1, 6), (2, 6), (4, 6)]
