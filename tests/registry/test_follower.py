"""What hot reload does, step by step, by a clock of the test's own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from sen_host import PluginLoader, PluginRegistry
from sen_host.messages import Success
from sen_host.watch.follower import Follower, WatchEvent
from tests.registry.support import save, saying


class Steps:
    """A follower of one directory, and a clock that goes when it is told to."""

    def __init__(self, folder: Path, registry: PluginRegistry) -> None:
        self.folder = folder
        self.registry = registry
        self.now = 1000.0
        self.events: list[WatchEvent] = []
        self.follower = Follower(
            registry, [str(folder)], settle_seconds=1.0, depth=0, tell=self.events.append
        )

    def step(self, seconds: float = 0.0) -> float | None:
        self.now += seconds
        return self.follower.step(self.now)

    def settle(self) -> list[tuple[str, str, str | None]]:
        """Let things settle; the events of that as (kind, file, command)."""
        self.step()
        assert self.step(1.0) is None
        return self.told()

    def told(self) -> list[tuple[str, str, str | None]]:
        told: list[tuple[str, str, str | None]] = [
            (event.kind, Path(event.path).name, event.command) for event in self.events
        ]
        self.events.clear()
        return told

    def put(self, name: str, command: str, text: str) -> Path:
        return save(self.folder / name, saying(command, text))


@pytest.fixture
def steps(tmp_path: Path) -> Iterator[Steps]:
    folder = tmp_path / "plugins"
    folder.mkdir()
    with PluginRegistry(PluginLoader("wasmtime")) as registry:
        yield Steps(folder, registry)


def test_come_change_go(steps: Steps) -> None:
    steps.put("a.wasm", "greet", "one")
    assert steps.settle() == [("loaded", "a.wasm", "greet")]
    steps.put("a.wasm", "greet", "two")
    assert steps.settle() == [("reloaded", "a.wasm", "greet")]
    assert steps.registry.execute("greet") == Success("two")
    (steps.folder / "a.wasm").unlink()
    assert steps.settle() == [("unloaded", "a.wasm", "greet")]
    assert steps.settle() == []


def test_a_file_is_read_when_it_has_stayed_as_it_is(steps: Steps) -> None:
    wasm = saying("greet", "done")
    path = steps.folder / "a.wasm"
    with path.open("wb") as file:
        for start in range(0, len(wasm), 50):
            file.write(wasm[start : start + 50])
            file.flush()
            assert steps.step(0.9) == steps.now + 1.0
            assert steps.events == []
    assert steps.step(0.5) is not None
    assert steps.step(0.5) is None
    assert steps.told() == [("loaded", "a.wasm", "greet")]


def test_of_a_hundred_saves_the_last_is_loaded_alone(steps: Steps) -> None:
    steps.put("a.wasm", "greet", "first")
    steps.settle()
    steps.told()
    for number in range(100):
        steps.put("a.wasm", "greet", f"save {number}")
        steps.step(0.01)
    assert steps.settle() == [("reloaded", "a.wasm", "greet")]
    assert steps.registry.execute("greet") == Success("save 99")


def test_a_broken_plugin_over_a_good_one(steps: Steps) -> None:
    path = steps.put("a.wasm", "greet", "good")
    steps.settle()
    steps.told()
    save(path, b"\0asm\1\0\0\0\1")
    assert steps.settle() == [("failed", "a.wasm", None)]
    assert steps.registry.execute("greet") == Success("good")
    assert steps.settle() == [], "it is told once"
    steps.put("a.wasm", "greet", "good")
    assert steps.settle() == [("mended", "a.wasm", "greet")]
    save(path, b"")
    steps.settle()
    steps.told()
    path.unlink()
    assert steps.settle() == [("unloaded", "a.wasm", "greet")]


def test_touching_a_file_is_no_change(steps: Steps) -> None:
    path = steps.put("a.wasm", "greet", "good")
    steps.settle()
    steps.told()
    os.utime(path, (1, 1))
    assert steps.settle() == []


def test_a_renamed_plugin_is_never_missing(steps: Steps) -> None:
    path = steps.put("b.wasm", "greet", "one")
    steps.settle()
    steps.told()
    for name in ("a.wasm", "c.wasm"):
        path = path.rename(steps.folder / name)
        steps.step()
        assert "greet" in steps.registry
        assert steps.settle() == [("loaded", name, "greet")]
        assert steps.registry.source("greet") == str(path)


def test_unlinked_and_written_anew_in_one_go(steps: Steps) -> None:
    path = steps.put("a.wasm", "greet", "one")
    steps.settle()
    steps.told()
    path.unlink()
    steps.step(0.5)
    steps.put("a.wasm", "greet", "two")
    assert steps.settle() == [("reloaded", "a.wasm", "greet")]


def test_another_command_in_the_same_file(steps: Steps) -> None:
    steps.put("a.wasm", "greet", "one")
    steps.settle()
    steps.told()
    steps.put("a.wasm", "other", "two")
    assert steps.settle() == [("reloaded", "a.wasm", "other")]
    assert steps.registry.commands() == ("other",)


def test_two_files_with_one_command(steps: Steps) -> None:
    first = steps.put("a.wasm", "greet", "first")
    steps.put("b.wasm", "greet", "second")
    assert steps.settle() == [("loaded", "a.wasm", "greet"), ("failed", "b.wasm", None)]
    first.unlink()
    assert steps.settle() == [("unloaded", "a.wasm", "greet"), ("loaded", "b.wasm", "greet")]
    assert steps.registry.execute("greet") == Success("second")


def test_a_directory_that_goes_and_comes_back(steps: Steps) -> None:
    steps.put("a.wasm", "greet", "one")
    steps.settle()
    steps.told()
    shutil.rmtree(steps.folder)
    assert steps.settle() == [("failed", "plugins", None), ("unloaded", "a.wasm", "greet")]
    assert steps.settle() == []
    steps.folder.mkdir()
    steps.put("a.wasm", "greet", "two")
    assert steps.settle() == [("loaded", "a.wasm", "greet")]


def test_a_directory_that_cannot_be_read_for_a_while(
    steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps.put("a.wasm", "greet", "one")
    steps.settle()
    steps.told()

    def refuse(path: object) -> object:
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr("sen_host.discovery.os.scandir", refuse)
        assert steps.settle() == [("failed", "plugins", None)]
        assert steps.registry.execute("greet") == Success("one")
    assert steps.settle() == []


def test_a_link_to_a_version(steps: Steps, tmp_path: Path) -> None:
    save(tmp_path / "v1", saying("greet", "one"))
    save(tmp_path / "v2", saying("greet", "two"))
    link = steps.folder / "a.wasm"
    link.symlink_to(tmp_path / "v1")
    assert steps.settle() == [("loaded", "a.wasm", "greet")]
    link.unlink()
    link.symlink_to(tmp_path / "v2")
    assert steps.settle() == [("reloaded", "a.wasm", "greet")]
    (tmp_path / "v2").unlink()
    assert steps.settle() == [("failed", "a.wasm", None), ("unloaded", "a.wasm", "greet")]


def test_two_followers_of_one_directory(steps: Steps) -> None:
    other = Steps(steps.folder, steps.registry)
    path = steps.put("a.wasm", "greet", "one")
    steps.step()
    other.step()
    assert steps.settle() == [("loaded", "a.wasm", "greet")]
    assert other.settle() == []
    path.unlink()
    steps.step()
    assert other.settle() == [("unloaded", "a.wasm", "greet")]
    assert steps.settle() == []


class TestExisting:
    def test_it_is_loaded_at_once_if_it_is_not_new(self, steps: Steps) -> None:
        for name in ("a", "b"):
            steps.put(f"{name}.wasm", name, name)
        steps.follower.load_existing(steps.now)
        assert steps.registry.commands() == (), "these were written just now"
        assert steps.settle() == [("loaded", "a.wasm", "a"), ("loaded", "b.wasm", "b")]

    def test_what_has_long_been_there(self, steps: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
        steps.put("a.wasm", "greet", "old")
        later = os.stat(steps.folder / "a.wasm").st_ctime + 2
        monkeypatch.setattr("sen_host.watch.follower.time.time", lambda: later)
        steps.follower.load_existing(steps.now)
        assert steps.told() == [("loaded", "a.wasm", "greet")]

    def test_or_taken_as_it_is(self, steps: Steps) -> None:
        path = steps.put("a.wasm", "greet", "old")
        steps.follower.skip_existing()
        assert steps.settle() == []
        steps.put("b.wasm", "other", "new")
        assert steps.settle() == [("loaded", "b.wasm", "other")]
        steps.put("a.wasm", "greet", "changed")
        assert steps.settle() == [("loaded", "a.wasm", "greet")]
        path.unlink()
        assert steps.settle() == [("unloaded", "a.wasm", "greet")]
