"""``sen-host cache``, and the options that say how modules are kept."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from sen_host.limits import MIB
from tests.cache.support import DATA, cache_in, description, entries
from tests.test_cli.conftest import ECHO, GREET, Cli, environment, process


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of the cache, which does not exist yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    return tmp_path / "caches" / "sen-host"


def fill(folder: Path, count: int, data: bytes = DATA) -> None:
    """Entries 1 to ``count``, each used an hour after the one before."""
    for number in range(1, count + 1):
        cache_in(folder).put(description(number), data)
        used = time.time() - 3600 * (count - number)
        os.utime(folder / f"{number:064x}.mod", (used, used))


class TestRunning:
    def test_a_plugin_is_kept_and_used(self, cli: Cli, folder: Path) -> None:
        for said in ("checked and rewritten in", "from the compile cache in"):
            answer = cli("run", "-v", "--backend", "wasmtime", GREET, "Alice")
            assert answer.stdout == "Hello, Alice!\n"
            assert said in answer.stderr
        assert len(entries(folder)) == 1

    def test_no_cache(self, cli: Cli, folder: Path) -> None:
        for _ in range(2):
            answer = cli("run", "-v", "--no-cache", "--backend", "wasmtime", GREET, "Alice")
            assert "checked and rewritten in" in answer.stderr
        assert not folder.exists()

    def test_another_directory(self, cli: Cli, folder: Path, tmp_path: Path) -> None:
        other = tmp_path / "other"
        assert cli("run", "--cache-dir", other, "--backend", "wasmtime", GREET, "A").code == 0
        assert len(entries(other)) == 1
        assert not folder.exists()

    @pytest.mark.parametrize("command", ["inspect", "compare", "check"])
    def test_other_commands_use_it_too(self, cli: Cli, folder: Path, command: str) -> None:
        arguments = () if command == "inspect" else ("--backend", "wasmtime")
        if command == "compare":
            arguments = ()
        cli(command, "--no-cache", *arguments, ECHO)
        assert not folder.exists()
        cli(command, *arguments, ECHO)
        assert entries(folder)

    def test_a_directory_that_is_not_private_is_told_and_not_used(self, folder: Path) -> None:
        fill(folder, 1)
        folder.chmod(0o777)
        done = process("run", "--backend", "wasmtime", GREET, "Alice")
        assert done.stdout == b"Hello, Alice!\n"
        assert done.stderr.decode() == (
            f"the compile cache {folder} is not used: others can write to it"
            f" (remedy: chmod 700 {folder}, and remove what is in it)\n"
        )
        assert len(entries(folder)) == 1

    def test_a_project_cannot_bring_a_cache_along(self, cli: Cli, tmp_path: Path) -> None:
        (tmp_path / "sen-host.toml").write_text('[cache]\ndirectory = "/srv/theirs"\n')
        answer = cli("run", GREET, "Alice")
        assert answer.code == 121
        assert "sen-host.toml:1: a project may not say" in answer.stderr


class TestPath:
    def test_it_is_one_line(self, cli: Cli, folder: Path) -> None:
        assert cli("cache", "path") == (0, f"{folder}\n", "")
        assert cli("cache", "path", "--json").json == {"directory": str(folder)}
        assert not folder.exists()

    def test_it_is_what_is_configured(
        self, cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SEN_HOST_CACHE_DIRECTORY", "/srv/cache")
        assert cli("cache", "path").stdout == "/srv/cache\n"
        assert cli("cache", "path", "--cache-dir", "/srv/other").stdout == "/srv/other\n"

    def test_no_home(self, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setenv("HOME", "nowhere")
        answer = cli("cache", "path")
        assert answer.code == 122
        assert "the user has no home directory" in answer.stderr
        assert "set cache.directory (--cache-dir)" in answer.stderr


class TestSize:
    def test_nothing(self, cli: Cli, folder: Path) -> None:
        assert cli("cache", "size").stdout == "0 modules, 0 bytes of at most 512 MiB\n"

    def test_something(self, cli: Cli, folder: Path) -> None:
        fill(folder, 2)
        total = sum(file.stat().st_size for file in entries(folder))
        said = cli("cache", "size", "--cache-size", "2 MiB").stdout
        assert said == f"2 modules, {total:,} bytes of at most 2 MiB\n"
        assert cli("cache", "size", "--json").json == {
            "directory": str(folder),
            "entries": 2,
            "bytes": total,
            "max_bytes": 512 * MIB,
        }


class TestList:
    def test_nothing(self, cli: Cli, folder: Path) -> None:
        assert cli("cache", "list") == (0, "", f"note: no module is kept in {folder}\n")
        assert cli("cache", "list", "--json").json["entries"] == []

    def test_the_one_used_last_comes_first(self, cli: Cli, folder: Path) -> None:
        fill(folder, 2)
        (folder / f"{1:064x}.mod").write_bytes(b"nonsense")
        used = time.time() - 3600
        os.utime(folder / f"{1:064x}.mod", (used, used))
        first, second = cli("cache", "list").stdout.splitlines()
        assert first.split()[0] == "greet"
        assert first.endswith("compiled   wasmtime (c-api), Wasmtime 50.0.1")
        assert second.split()[:3] == ["damaged", "8", "bytes"]
        shown = cli("cache", "list", "--json").json["entries"]
        assert [(entry["plugin"], entry["damaged"]) for entry in shown] == [
            ("greet", False),
            (None, True),
        ]
        assert shown[0]["module_bytes"] == 86_596
        assert shown[0]["kind"] == "compiled"

    def test_what_a_plugin_calls_itself_does_no_harm(self, cli: Cli, folder: Path) -> None:
        odd = description()._replace(plugin="\x1b[2Jgreet\n")
        cache_in(folder).put(odd, DATA)
        assert cli("cache", "list").stdout.startswith("\\x1b[2Jgreet\\n ")


class TestClearAndPrune:
    def test_clear(self, cli: Cli, folder: Path) -> None:
        fill(folder, 2)
        (folder / "notes.txt").write_text("mine")
        total = sum(file.stat().st_size for file in entries(folder))
        assert cli("cache", "clear") == (0, f"removed 2 files, {total:,} bytes\n", "")
        assert [file.name for file in folder.iterdir()] == ["notes.txt"]
        found = cli("cache", "clear", "--json").json
        assert found == {"directory": str(folder), "removed": 0, "bytes": 0}

    def test_clear_tells_what_stays(self, cli: Cli, folder: Path) -> None:
        (folder / f"{1:064x}.mod").mkdir(parents=True)
        folder.chmod(0o700)
        answer = cli("cache", "clear")
        assert answer.code == 122
        assert f"1 module in {folder} could not be removed" in answer.stderr

    def test_prune(self, cli: Cli, folder: Path) -> None:
        fill(folder, 4, bytes(MIB // 2))
        (folder / f"{4:064x}.mod").write_bytes(b"nonsense")
        said = cli("cache", "prune", "--cache-size", "1.5 MiB")
        assert said.code == 121
        said = cli("cache", "prune", "--cache-size", "1 MiB")
        assert said.stdout.startswith("removed 3 files, ")
        assert [file.name for file in entries(folder)] == [f"{3:064x}.mod"]

    @pytest.mark.parametrize("command", ["path", "size", "list", "clear", "prune"])
    def test_a_directory_that_is_not_private_is_an_error(
        self, cli: Cli, folder: Path, command: str
    ) -> None:
        fill(folder, 1)
        folder.chmod(0o770)
        answer = cli("cache", command)
        assert (answer.code, answer.stdout) == (122, "")
        assert f"the compile cache {folder} is not used: others can write to it" in answer.stderr
        assert "hint: chmod 700" in answer.stderr
        assert len(entries(folder)) == 1
        assert cli("cache", command, "--json").json["error"]["kind"] == "EnvironmentFault"


def test_the_tests_have_a_cache_of_their_own() -> None:
    assert "sen-host-tests-" in os.environ["XDG_CACHE_HOME"]
    assert environment()["XDG_CACHE_HOME"] == os.environ["XDG_CACHE_HOME"]
