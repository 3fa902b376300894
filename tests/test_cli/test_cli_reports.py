"""``sen-host backends``, ``config``, ``completion``, help and version."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import sen_host
from sen_host.config import SETTINGS
from sen_host.errors import InvalidLimit
from sen_host.limits import Limits
from tests.test_cli.conftest import GREET, Cli, command_line, environment, process


class TestBackends:
    def test_the_list_is_that_of_the_library(self, cli: Cli) -> None:
        listed = cli("backends", "--json").json["backends"]
        assert [(item["name"], item["available"]) for item in listed] == [
            (info.name, info.available) for info in sen_host.backends()
        ]
        for item, info in zip(listed, sen_host.backends(), strict=True):
            assert [binding["name"] for binding in item["bindings"]] == [
                binding.name for binding in info.bindings
            ]

    def test_what_is_unavailable_says_why_and_what_mends_it(self, cli: Cli) -> None:
        shown = cli("backends").stdout
        for info in sen_host.backends():
            assert info.name in shown
            for binding in info.bindings:
                assert binding.engine in shown
                assert binding.reason is None or f"why: {binding.reason}" in shown
                assert binding.remedy is None or f"mend it with: {binding.remedy}" in shown

    def test_none_installed_says_how_to_get_one(
        self, cli: Cli, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sen_host.engines.entry_points", lambda _: [])
        assert "pip install 'sen-host[wasmtime]'" in cli("backends").stdout


class TestConfig:
    def test_each_value_is_shown_with_its_origin(
        self, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "sen-host.toml").write_text('[limits]\nmemory_bytes = "64 MiB"\n')
        monkeypatch.setenv("SEN_HOST_LIMITS_WALL_CLOCK_SECONDS", "2.5")
        answer = cli("config", "--fuel", "none", "--backend", "wasmtime")
        assert answer.code == 0
        rows = _rows(answer.stdout)
        assert set(SETTINGS) <= set(rows)
        assert rows["backend"] == "wasmtime --backend"
        assert rows["binding"] == "auto (the preferred one) default"
        assert rows["limits.fuel"] == "none --fuel"
        assert rows["limits.memory_bytes"] == "64 MiB sen-host.toml:2"
        assert rows["limits.stack_bytes"] == "1 MiB default"
        assert rows["limits.wall_clock_seconds"] == (
            "2.5 s environment variable SEN_HOST_LIMITS_WALL_CLOCK_SECONDS"
        )
        assert "Plugins run on wasmtime" in answer.stdout
        assert str(tmp_path / "sen-host.toml") in answer.stdout

    def test_the_same_as_json(self, cli: Cli, tmp_path: Path) -> None:
        (tmp_path / "sen-host.toml").write_text('limits.fuel = "none"\n')
        shown = cli("config", "--json", "--backend", "wasmtime").json
        assert set(shown["settings"]) == set(SETTINGS)
        assert shown["settings"]["limits.fuel"] == {
            "value": None,
            "origin": "sen-host.toml:1",
            "layer": "project",
        }
        assert shown["resolved"]["backend"] == "wasmtime"
        assert shown["files"] == [
            {"path": str(tmp_path / "sen-host.toml"), "layer": "project", "exists": True}
        ]

    def test_auto_shows_what_it_comes_to(self, cli: Cli) -> None:
        first = next(info.name for info in sen_host.backends() if info.available)
        shown = cli("config", "--json").json
        assert shown["settings"]["backend"]["value"] == "auto"
        assert shown["resolved"]["backend"] == first

    def test_an_engine_that_is_not_there_is_shown(
        self, cli: Cli, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sen_host.engines.entry_points", lambda _: [])
        answer = cli("config")
        assert answer.code == 122
        assert "No plugin can run: " in answer.stdout
        assert "hint: pip install 'sen-host[wasmtime]'" in answer.stdout
        assert cli("config", "--json").json["resolved"]["engine"] is None

    @pytest.mark.usefixtures("lax_backends")
    def test_a_limit_that_the_loader_would_refuse_is_a_problem(self, cli: Cli) -> None:
        answer = cli("config", "--backend", "lax", "--timeout", "5")
        assert answer.code == cli("run", "--backend", "lax", "--timeout", "5", GREET).code == 121
        said = "the backend lax (only) cannot enforce limits.wall_clock_seconds"
        assert "No plugin can run: " in answer.stdout
        assert said in answer.stdout
        assert answer.stdout.count("hint: ") == 1
        found = cli("config", "--json", "--backend", "lax", "--timeout", "5")
        assert found.code == 121
        resolved = found.json["resolved"]
        assert said in resolved["problem"]
        assert resolved["remedy"]
        assert (resolved["backend"], resolved["binding"]) == ("lax", "only")

    def test_files_that_would_be_read_are_listed(self, cli: Cli, tmp_path: Path) -> None:
        listed = cli("config").stdout.partition("Files, ")[2].splitlines()[1:]
        assert listed == [
            "  sen-host.toml  (none in this directory or above)",
            "  pyproject.toml  (none in this directory or above)",
        ]
        (tmp_path / "pyproject.toml").touch()
        listed = cli("config").stdout.partition("Files, ")[2].splitlines()[1:]
        assert listed == [
            "  sen-host.toml  (none in this directory or above)",
            f"  {tmp_path / 'pyproject.toml'}",
        ]

    def test_what_is_wrong_is_an_error_with_its_place(self, cli: Cli, tmp_path: Path) -> None:
        (tmp_path / "sen-host.toml").write_text("[limits]\nfule = 1\n")
        answer = cli("config")
        assert (answer.code, answer.stdout) == (121, "")
        assert answer.stderr == (
            "error: sen-host.toml:2: unknown key 'fule'\n"
            "hint: did you mean 'fuel'? allowed: fuel, memory_bytes, table_elements, stack_bytes,"
            " result_bytes, wall_clock_seconds, module_bytes\n"
        )
        error = cli("config", "--json").json["error"]
        assert (error["kind"], error["source"]) == ("ConfigError", "sen-host.toml:2")


def _rows(report: str) -> dict[str, str]:
    """The rest of each line by its first word."""
    words = [line.split() for line in report.splitlines() if line.strip()]
    return {first: " ".join(rest) for first, *rest in words}


COMMANDS = ("run", "inspect", "compare", "check", "backends", "config", "cache", "completion")


class TestHelpAndVersion:
    def test_help_lists_the_commands(self, cli: Cli) -> None:
        for arguments in ([], ["--help"], ["-h"]):
            answer = cli(*arguments)
            assert answer.code == 0
            for command in COMMANDS:
                assert f"\n  {command} " in answer.stdout

    def test_every_command_has_help(self, cli: Cli) -> None:
        for command in COMMANDS:
            assert f"Usage: sen-host {command}" in cli(command, "--help").stdout

    def test_help_tells_the_codes_of_the_host(self, cli: Cli) -> None:
        shown = " ".join(cli("run", "--help").stdout.split())
        assert "from 119 to 125" in shown
        assert "130 that Ctrl-C" in shown
        assert "141 that the reader" in shown

    @pytest.mark.parametrize(
        ("limit", "lowest", "highest", "said"),
        [
            ("fuel", 0, 2**64 - 1, "0 to 2^64 - 1. [default: 10,000,000]"),
            ("memory_bytes", 1 << 16, 1 << 32, "64 KiB to 4 GiB. [default: 256 MiB]"),
            ("stack_bytes", 1 << 17, 2 << 20, "128 KiB to 2 MiB. [default: 1 MiB]"),
            ("result_bytes", 1, 2**32 - 1, "1 byte to 4 GiB - 1. [default: 16 MiB]"),
            ("wall_clock_seconds", 1e-9, 86_400, "above 0, at most 86,400. [default: none]"),
            ("module_bytes", 8, 2**32 - 1, "8 bytes to 4 GiB - 1. [default: 256 MiB]"),
        ],
    )
    def test_help_tells_what_a_limit_may_be(
        self, cli: Cli, limit: str, lowest: float, highest: float, said: str
    ) -> None:
        assert said in " ".join(cli("run", "--help").stdout.split())
        for value in (lowest, highest):
            Limits(**{limit: value})  # type: ignore[arg-type]
        below = 0 if isinstance(lowest, float) else lowest - 1
        for value in (below, highest + 1):
            with pytest.raises(InvalidLimit):
                Limits(**{limit: value})  # type: ignore[arg-type]

    def test_version(self, cli: Cli) -> None:
        assert cli("--version").stdout == f"sen-host {sen_host.__version__}\n"

    def test_python_m_is_the_same_command(self) -> None:
        assert process("--version").stdout.decode() == f"sen-host {sen_host.__version__}\n"

    def test_every_option_and_variable_is_documented(self) -> None:
        docs = Path(__file__).parents[2] / "docs"
        command_line_page = (docs / "command-line.md").read_text()
        configuration_page = (docs / "configuration.md").read_text()
        for setting in SETTINGS.values():
            assert setting.option in command_line_page
            for name in (setting.key.removeprefix("limits."), setting.variable, setting.option):
                assert f"`{name}`" in configuration_page


class TestCompletion:
    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_the_script_is_one_that_the_shell_accepts(self, cli: Cli, shell: str) -> None:
        script = cli("completion", shell).stdout
        assert "_SEN_HOST_COMPLETE" in script
        assert f"sen-host completion {shell}" in script
        assert (shell != "zsh") or script.startswith("#compdef sen-host\n")
        binary = shutil.which(shell)
        if binary is None:
            pytest.skip(f"{shell} is not installed; only the text was checked")
        subprocess.run([binary, "-n"], input=script.encode(), check=True)

    @pytest.mark.parametrize(
        ("words", "offered"),
        [
            (["r"], {"run"}),
            (["run", "--backend", ""], {"auto", "wasmtime", "wasmer"}),
            (["run", "--isolation", "p"], {"process"}),
            (["c"], {"compare", "check", "config", "completion"}),
            (["compare", "--backend", "w"], {"wasmtime", "wasmer"}),
            (["check", "--"], {"--backend", "--json"}),
            (["run", "--fu"], {"--fuel"}),
            (["completion", ""], {"bash", "zsh", "fish"}),
        ],
    )
    def test_words_are_completed(self, words: list[str], offered: set[str]) -> None:
        assert offered <= {value for _, value in complete(words)}

    def test_a_binding_is_completed_for_its_backend(self) -> None:
        offered = {
            value for _, value in complete(["run", "--backend", "wasmtime", "--binding", ""])
        }
        wasmtime = next(info for info in sen_host.backends() if info.name == "wasmtime")
        assert offered == {binding.name for binding in wasmtime.bindings}

    def test_a_plugin_is_completed_as_a_file(self) -> None:
        assert ("file", "pl") in complete(["run", "pl"])

    def test_an_unknown_shell_is_told(self, cli: Cli) -> None:
        answer = cli("completion", "tcsh")
        assert answer.code == 121
        assert "'bash', 'zsh', 'fish'" in answer.stderr


def complete(words: list[str]) -> list[tuple[str, str]]:
    """What a shell would be offered after these words, as (type, value)."""
    env = environment(
        _SEN_HOST_COMPLETE="bash_complete",
        COMP_WORDS=" ".join(["sen-host", *words]),
        COMP_CWORD=str(len(words)),
    )
    done = subprocess.run(command_line(), env=env, capture_output=True, text=True, check=True)
    pairs = [line.partition(",") for line in done.stdout.split(os.linesep) if line]
    return [(kind, value) for kind, _, value in pairs]
