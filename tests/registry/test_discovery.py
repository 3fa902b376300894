"""Discovery: every file once, every failure told, in an order that stays."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from sen_host import PluginLoader, PluginRegistry, default_plugin_dirs, scan
from sen_host.discovery import find_plugins
from sen_host.errors import (
    CommandConflict,
    ConfigError,
    InvalidCommandName,
    ModuleCompilation,
    PluginDirectoryError,
    PluginFileError,
)
from sen_host_conformance.hosts import Host
from tests.registry.support import measuring, save, saying


def names(paths: object) -> list[str]:
    assert isinstance(paths, (list, tuple, dict))
    return [Path(path).name for path in paths]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "plugins"
    made.mkdir()
    return made


class TestScan:
    def test_good_ones_and_bad_ones_side_by_side(self, host: Host, folder: Path) -> None:
        save(folder / "b.wasm", saying("b", "b"))
        save(folder / "a.wasm", saying("a", "a"))
        save(folder / "broken.wasm", b"\0asm\1\0\0\0\1")
        save(folder / "empty.wasm", b"")
        save(folder / "rude.wasm", measuring("\x1b[2J"))
        save(folder / "second.wasm", saying("a", "again"))
        (folder / "nowhere.wasm").symlink_to("missing")
        (folder / "notes.txt").write_text("no plugin")
        with PluginRegistry(host.loader()) as registry:
            found = scan([folder, folder / "none"], registry.load)
            assert list(found.loaded.values()) == ["a", "b"]
            assert names(found.loaded) == ["a.wasm", "b.wasm"]
            assert [(Path(path).name, type(error)) for path, error in found.failures] == [
                ("nowhere.wasm", PluginFileError),
                ("none", PluginDirectoryError),
                ("broken.wasm", ModuleCompilation),
                ("empty.wasm", ModuleCompilation),
                ("rude.wasm", InvalidCommandName),
                ("second.wasm", CommandConflict),
            ]
            assert not found.is_success
            assert found.total_found == 8
            assert registry.commands() == ("a", "b")

    def test_plugins_themselves(self, folder: Path) -> None:
        save(folder / "a.wasm", saying("a", "a"))
        found = scan([folder], PluginLoader("wasmtime").load)
        [plugin] = found.loaded.values()
        assert plugin.manifest.command.name == "a"
        assert plugin.path == str(folder / "a.wasm")
        assert found.is_success
        plugin.close()

    def test_progress(self, folder: Path) -> None:
        for number in range(3):
            save(folder / f"{number}.wasm", b"")
        told: list[tuple[str, int, int]] = []
        scan([folder], Path, progress=lambda *step: told.append(step))
        assert told == [(str(folder / f"{number}.wasm"), number, 3) for number in range(3)]

    def test_what_is_no_fault_of_a_plugin_goes_through(self, folder: Path) -> None:
        save(folder / "a.wasm", b"")

        def load(path: str) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            scan([folder], load)


class TestFind:
    def test_directories_as_given_and_files_by_name(self, tmp_path: Path) -> None:
        for directory in ("z", "a"):
            (tmp_path / directory).mkdir()
            for name in ("2.wasm", "10.wasm", "B.wasm", "a.wasm"):
                (tmp_path / directory / name).touch()
        found = find_plugins([tmp_path / "z", tmp_path / "a", tmp_path / "z"])
        assert names(found.files) == ["10.wasm", "2.wasm", "B.wasm", "a.wasm"] * 2
        assert found.files[0].startswith(str(tmp_path / "z"))
        assert not found.failures
        assert not found.skipped

    def test_only_names_that_end_so_and_are_not_hidden(self, folder: Path) -> None:
        for name in ("a.wasm", ".b.wasm", "._c.wasm", "d.wasm~", "e.wasm.part", "wasm", "f.wat"):
            (folder / name).touch()
        assert names(find_plugins([folder]).files) == ["a.wasm"]

    def test_one_file_in_several_ways_counts_once(self, folder: Path) -> None:
        (folder / "b.wasm").touch()
        os.link(folder / "b.wasm", folder / "c.wasm")
        (folder / "a.wasm").symlink_to("b.wasm")
        (folder.parent / "same").symlink_to(folder)
        found = find_plugins([folder, folder.parent / "same"])
        assert names(found.files) == ["a.wasm"]
        assert [(Path(path).name, reason) for path, reason in found.skipped] == [
            ("b.wasm", f"it is the same as {str(folder / 'a.wasm')!r}"),
            ("c.wasm", f"it is the same as {str(folder / 'a.wasm')!r}"),
            ("same", f"it is the same as {str(folder)!r}"),
        ]

    def test_links_in_circles(self, folder: Path) -> None:
        (folder / "inner").mkdir()
        (folder / "inner" / "up").symlink_to(folder)
        (folder / "inner" / "self").symlink_to(".")
        (folder / "a.wasm").symlink_to("b.wasm")
        (folder / "b.wasm").symlink_to("a.wasm")
        (folder / "inner" / "good.wasm").touch()
        found = find_plugins([folder], depth=32)
        assert names(found.files) == ["good.wasm"]
        assert names([path for path, _ in found.failures]) == ["a.wasm", "b.wasm"]
        assert names([path for path, _ in found.skipped]) == ["self", "up"]

    def test_what_is_no_file_is_passed_over(self, tmp_path: Path) -> None:
        folder = tmp_path / "p"
        folder.mkdir()
        os.mkfifo(folder / "pipe.wasm")
        (folder / "folder.wasm").mkdir()
        (folder / "device.wasm").symlink_to("/dev/null")
        with socket.socket(socket.AF_UNIX) as listening:
            directory = os.open(folder, os.O_RDONLY)
            here = os.getcwd()
            try:
                os.fchdir(directory)
                listening.bind("socket.wasm")
            finally:
                os.chdir(here)
                os.close(directory)
        found = find_plugins([folder], depth=1)
        assert found.files == ()
        assert [(Path(path).name, reason) for path, reason in found.skipped] == [
            ("device.wasm", "it is a device"),
            ("folder.wasm", "it is a directory"),
            ("pipe.wasm", "it is a pipe"),
            ("socket.wasm", "it is a socket"),
        ]

    @pytest.mark.parametrize(("depth", "expected"), [(0, 1), (1, 2), (2, 3)])
    def test_depth(self, folder: Path, depth: int, expected: int) -> None:
        (folder / "1" / "2" / "3").mkdir(parents=True)
        for path in ("0.wasm", "1/1.wasm", "1/2/2.wasm", "1/2/3/3.wasm"):
            (folder / path).touch()
        found = find_plugins([folder], depth=depth)
        assert names(found.files) == [f"{number}.wasm" for number in range(expected)]

    @pytest.mark.parametrize("depth", [-1, 33, True, 1.5, None])
    def test_a_wrong_depth(self, folder: Path, depth: int) -> None:
        with pytest.raises(ConfigError, match="depth"):
            find_plugins([folder], depth=depth)

    def test_what_is_no_directory(self, folder: Path) -> None:
        (folder / "file").touch()
        found = find_plugins([folder / "file", folder / "none", f"{folder}\0"])
        assert [error.message for _, error in found.failures] == [
            f"{str(folder / 'file')!r} is not a directory",
            f"there is no plugin directory {str(folder / 'none')!r}",
            f"the plugin directory {str(folder) + chr(0)!r} cannot be read",
        ]

    def test_a_directory_that_may_not_be_read(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Whoever runs the tests may be allowed everything.
        def refuse(path: object) -> Iterator[object]:
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr("sen_host.discovery.os.scandir", refuse)
        [(path, error)] = find_plugins([folder]).failures
        assert path == str(folder)
        assert error.detail == "Permission denied"


class TestDefaultDirectories:
    @pytest.fixture(autouse=True)
    def _bare(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("XDG_DATA_HOME", "XDG_DATA_DIRS", "MY_APP_PLUGIN_PATH"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HOME", "/home/alice")
        monkeypatch.setattr("sys.platform", "linux")

    def test_those_of_linux(self) -> None:
        assert default_plugin_dirs("my-app") == (
            "/home/alice/.local/share/my-app/plugins",
            "/usr/local/share/my-app/plugins",
            "/usr/share/my-app/plugins",
        )

    def test_those_of_macos(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sys.platform", "darwin")
        assert default_plugin_dirs("my-app") == (
            "/home/alice/Library/Application Support/my-app/plugins",
            "/Library/Application Support/my-app/plugins",
        )

    def test_variables(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_DATA_HOME", "/data")
        monkeypatch.setenv("XDG_DATA_DIRS", "relative:/srv/share::/data")
        monkeypatch.setenv("MY_APP_PLUGIN_PATH", "/opt/one:two:/opt/three:")
        assert default_plugin_dirs("my-app") == (
            "/opt/one",
            "/opt/three",
            "/data/my-app/plugins",
            "/srv/share/my-app/plugins",
        )

    def test_the_working_directory_if_asked_for(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert str(tmp_path / "plugins") not in default_plugin_dirs("my-app")
        assert default_plugin_dirs("my-app", working_directory=True)[0] == str(tmp_path / "plugins")

    @pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "a\\b", "a\0b", "a\nb"])
    def test_a_name_that_leads_elsewhere(self, name: str) -> None:
        with pytest.raises(ConfigError, match="name of an application"):
            default_plugin_dirs(name)
