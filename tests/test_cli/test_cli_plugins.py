"""``sen-host plugins`` and ``sen-host watch``."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest

from sen_host_conformance.hosts import Host
from tests.registry.support import measuring, save, saying
from tests.test_cli.conftest import GREET, Cli, command_line, environment, on


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "plugins"
    made.mkdir()
    return made


class TestPlugins:
    def test_a_list(self, cli: Cli, host: Host, folder: Path) -> None:
        save(folder / "greet.wasm", GREET.read_bytes())
        save(folder / "b.wasm", saying("b", "hi"))
        answer = cli("plugins", *on(host), folder)
        assert answer.code == 0
        assert answer.stderr == ""
        assert [line.split() for line in answer.stdout.splitlines()] == [
            ["b", "the", "b", str(folder / "b.wasm")],
            [
                *("greet", "1.0.0", "Greets", "a", "person", "with", "a", "custom", "message"),
                str(folder / "greet.wasm"),
            ],
        ]

    def test_failures_stand_below_and_decide_the_exit_code(self, cli: Cli, folder: Path) -> None:
        save(folder / "a.wasm", saying("a", "hi"))
        save(folder / "b.wasm", saying("a", "hi"))
        save(folder / "c.wasm", b"no plugin")
        save(folder / "d.wasm", measuring("\x1b[2J"))
        (folder / "e.wasm").mkdir()
        answer = cli("plugins", folder)
        assert answer.code == 123
        assert answer.stdout.startswith("a      the a")
        assert [line.split(":")[0] for line in answer.stdout.splitlines()[1:]] == [
            f"failed   {folder}/{name}.wasm" for name in "bcd"
        ]
        assert f"already that of '{folder}/a.wasm'" in answer.stdout
        assert "\x1b" not in answer.stdout
        assert answer.stderr == f"note: {folder}/e.wasm was passed over: it is a directory\n"

    def test_a_directory_that_does_not_exist(self, cli: Cli) -> None:
        answer = cli("plugins", "none")
        assert answer.code == 122
        assert "there is no plugin directory" in answer.stdout

    def test_without_a_directory(
        self, cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("XDG_DATA_HOME", "/nowhere")
        monkeypatch.setenv("XDG_DATA_DIRS", "/neither")
        monkeypatch.setenv("SEN_HOST_PLUGIN_PATH", str(folder))
        answer = cli("plugins")
        assert (answer.code, answer.stdout) == (0, "")
        assert answer.stderr == f"note: there is no plugin in {folder}\n"
        save(folder / "a.wasm", saying("a", "hi"))
        assert "the a" in cli("plugins").stdout
        monkeypatch.delenv("SEN_HOST_PLUGIN_PATH")
        assert cli("plugins").stderr == (
            "note: there is no plugin in /nowhere/sen-host/plugins, /neither/sen-host/plugins\n"
        )

    def test_json(self, cli: Cli, folder: Path) -> None:
        (folder / "below").mkdir()
        save(folder / "below" / "greet.wasm", GREET.read_bytes())
        save(folder / "c.wasm", b"no plugin")
        (folder / "link.wasm").symlink_to("below/greet.wasm")
        answer = cli("plugins", "--json", "--depth", "1", "--backend", "wasmtime", folder)
        assert answer.code == 123
        [plugin] = answer.json["plugins"]
        assert plugin["command"] == "greet"
        assert plugin["version"] == "1.0.0"
        assert plugin["path"] == str(folder / "link.wasm")
        assert len(plugin["sha256"]) == 64
        [failed] = answer.json["failures"]
        assert failed["error"]["kind"] == "ModuleCompilation"
        assert [Path(one["path"]).name for one in answer.json["skipped"]] == ["greet.wasm"]
        assert answer.json["directories"] == [str(folder)]


class Watching:
    """``sen-host watch`` in a process of its own."""

    def __init__(self, *arguments: str | Path) -> None:
        self.process = subprocess.Popen(
            command_line("watch", "--settle", "0.05", *arguments),
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def stop(self) -> tuple[int, str]:
        """Press Ctrl-C; the exit code, and what stood on stderr."""
        self.process.send_signal(signal.SIGINT)
        _, told = self.process.communicate(timeout=60)
        return self.process.returncode, told


class TestWatch:
    def test_each_change_is_told_until_ctrl_c(self, folder: Path) -> None:
        path = save(folder / "a.wasm", saying("greet", "one"))
        watching = Watching("--backend", "wasmtime", folder)
        assert watching.line() == f"loaded     greet   {path}\n"
        save(path, saying("greet", "two"))
        assert watching.line() == f"reloaded   greet   {path}\n"
        save(folder / "b.wasm", b"no plugin")
        path.unlink()
        assert watching.line() == f"unloaded   greet   {path}\n"
        code, told = watching.stop()
        assert code == 0
        assert told.startswith(f"note: following {folder}\nerror: {folder}/b.wasm: ")
        assert "Traceback" not in told

    def test_json_is_an_object_on_each_line(self, folder: Path) -> None:
        watching = Watching("--json", "--backend", "wasmtime", folder)
        save(folder / "a.wasm", b"no plugin")
        event = json.loads(watching.line())
        assert (event["event"], event["command"]) == ("failed", None)
        assert event["error"]["kind"] == "ModuleCompilation"
        save(folder / "a.wasm", saying("greet", "one"))
        event = json.loads(watching.line())
        assert (event["event"], event["command"], event["error"]) == ("loaded", "greet", None)
        assert watching.stop() == (0, "")

    def test_a_reader_that_goes_away(self, folder: Path) -> None:
        watching = Watching("--backend", "wasmtime", folder)
        assert watching.process.stdout is not None
        watching.process.stdout.close()
        save(folder / "a.wasm", saying("greet", "one"))
        assert watching.process.wait(60) == 141
        assert watching.process.stderr is not None
        watching.process.stderr.close()

    @pytest.mark.parametrize("wrong", [[], ["--settle", "-1", "x"], ["--depth", "99", "x"]])
    def test_wrong_usage(self, cli: Cli, wrong: list[str]) -> None:
        assert cli("watch", *wrong).code == 121
