"""Plugins in directories: nothing is loaded that need not be."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sen_host import PluginLoader, PluginRegistry
from sen_host.click import LazyRegistry
from sen_host.errors import CommandConflict, CommandNotFound, ModuleCompilation
from sen_host.messages import Success
from tests.registry.support import save, saying

ROOT = Path(__file__).parent.parent.parent


class Counted(PluginRegistry):
    """A registry that tells what it loaded."""

    def __init__(self) -> None:
        super().__init__(PluginLoader("wasmtime"))
        self.loads: list[str] = []

    def load(
        self, path: str | os.PathLike[str], *, prefix: str | None = None, replace: bool = False
    ) -> str:
        self.loads.append(Path(path).name)
        return super().load(path, prefix=prefix, replace=replace)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "plugins"
    folder.mkdir()
    for name in ("one", "two", "three"):
        save(folder / f"{name}.wasm", saying(name, f"I am {name}"))
    return folder


def opened(folder: Path, index: str | None = "") -> tuple[LazyRegistry, Counted]:
    counted = Counted()
    where = str(folder.parent / "index") if index == "" else index
    return LazyRegistry("app", [folder], make=lambda: counted, index_directory=where), counted


def test_a_second_start_loads_only_what_is_run(folder: Path) -> None:
    with opened(folder)[0] as first:
        assert first.commands() == ("one", "three", "two")
    second, counted = opened(folder)
    with second:
        assert second.commands() == ("one", "three", "two")
        assert second.manifest("two").command.about == "the two"
        assert counted.loads == []
        assert second.run("two") == second.run("two") == Success("I am two")
        assert counted.loads == ["two.wasm"]
        with pytest.raises(CommandNotFound):
            second.run("four")


def test_changed_new_and_removed_files_are_seen(folder: Path) -> None:
    with opened(folder)[0] as first:
        first.commands()
    save(folder / "one.wasm", saying("uno", "now uno"))
    save(folder / "four.wasm", saying("four", "I am four"))
    (folder / "two.wasm").unlink()
    second, counted = opened(folder)
    with second:
        assert second.commands() == ("four", "three", "uno")
        assert sorted(counted.loads) == ["four.wasm", "one.wasm"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        lambda data: b"sen-host manifests 9" + data[20:],
        lambda data: data + b"more",
    ],
    ids=["empty", "cut", "flipped", "other version", "longer"],
)
def test_a_damaged_index_is_made_anew(folder: Path, damage: object) -> None:
    with opened(folder)[0] as first:
        first.commands()
    [file] = (folder.parent / "index").iterdir()
    good = file.read_bytes()
    file.write_bytes(damage(good))  # type: ignore[operator]
    second, counted = opened(folder)
    with second:
        assert second.commands() == ("one", "three", "two")
        assert len(counted.loads) == 3
    third, counted = opened(folder)
    with third:
        assert len(third.commands()) == 3
        assert counted.loads == []


def test_an_index_that_others_can_write_is_not_read(folder: Path) -> None:
    with opened(folder)[0] as first:
        first.commands()
    os.chmod(folder.parent / "index", 0o777)
    second, counted = opened(folder)
    with second:
        assert len(second.commands()) == len(counted.loads) == 3


def test_without_an_index_all_is_as_before(folder: Path) -> None:
    for _ in range(2):
        plugins, counted = opened(folder, None)
        with plugins:
            assert len(plugins.commands()) == len(counted.loads) == 3
    assert not (folder.parent / "index").exists()


def test_what_is_no_plugin_is_told_beside_what_is(folder: Path) -> None:
    (folder / "broken.wasm").write_bytes(b"not one")
    save(folder / "zwei.wasm", saying("two", "another two"))
    plugins, _ = opened(folder)
    with plugins:
        assert plugins.commands() == ("one", "three", "two")
        assert plugins.source("two") == str(folder / "two.wasm")
        failed = {Path(path).name: type(error) for path, error in plugins.failures()}
    assert failed == {"broken.wasm": ModuleCompilation, "zwei.wasm": CommandConflict}


def test_a_plugin_that_changed_its_name_since_is_not_run_under_the_old_one(folder: Path) -> None:
    plugins, counted = opened(folder)
    with plugins:
        assert "one" in plugins.commands()
        counted.unload("one")
        save(folder / "one.wasm", saying("uno", "now uno"))
        with pytest.raises(CommandNotFound, match="has another name now"):
            plugins.run("one")
        plugins.refresh()
        assert plugins.run("uno") == Success("now uno")


def test_directories_that_do_not_exist_are_passed_over(tmp_path: Path) -> None:
    with LazyRegistry("app", [tmp_path / "none"], index_directory=None) as plugins:
        assert plugins.commands() == ()
        assert plugins.failures() == ()


def test_help_with_fifty_plugins_imports_no_engine(tmp_path: Path) -> None:
    folder = tmp_path / "plugins"
    folder.mkdir()
    for number in range(50):
        save(folder / f"p{number}.wasm", saying(f"p{number}", "x"))
    code = f"""
import sys, click
from sen_host.click import LazyRegistry, PluginGroup
app = PluginGroup("app", plugins=LazyRegistry("app", [{str(folder)!r}]))
app.main(["--help"], standalone_mode=False)
print(*sys.modules)
"""
    environ = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "SEN_HOST_CONFIG": "none"}
    cold, warm = (
        subprocess.run(
            [sys.executable, "-c", code],
            env={**environ, "SEN_HOST_BACKEND": "wasmtime"},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        ).stdout
        for _ in range(2)
    )
    listed, modules = warm.rsplit("\n", 2)[:2]
    assert listed == cold.rsplit("\n", 2)[0]
    assert listed.count("the p") == 50
    assert "sen_host_wasmtime" in cold.rsplit("\n", 2)[1].split()
    for heavy in ("wasmtime", "sen_host_wasmtime", "sen_host.loader", "sen_host.wasm", "rich"):
        assert heavy not in modules.split()


def test_a_corrupt_directory_entry_does_no_harm(folder: Path) -> None:
    os.symlink("nowhere", folder / "dangling.wasm")
    os.symlink(folder, folder / "loop.wasm")
    plugins, _ = opened(folder)
    with plugins:
        assert len(plugins.commands()) == 3
        assert [Path(path).name for path, _ in plugins.failures()] == ["dangling.wasm"]
    shutil.rmtree(folder)
    plugins, _ = opened(folder)
    with plugins:
        assert plugins.commands() == ()
