"""The watcher: its threads, the system's signals, and its end."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sen_host import HotReloadWatcher, PluginLoader, PluginRegistry
from sen_host.errors import ConfigError, MissingLibrary
from sen_host.messages import Effect, EffectResult, SleepComplete, Success
from sen_host.watch import WatchEvent
from sen_host_conformance.hosts import Host
from tests.registry.support import save, saying, sleeping, wait_until

SETTLE = 0.05


@pytest.fixture
def registry() -> Iterator[PluginRegistry]:
    with PluginRegistry(PluginLoader("wasmtime")) as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "plugins"
    made.mkdir()
    return made


def serves(registry: PluginRegistry, command: str, text: str) -> bool:
    return command in registry and registry.execute(command) == Success(text)


def watchers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("sen-host-watch")]


def test_a_registry_follows_a_directory(host: Host, folder: Path) -> None:
    with PluginRegistry(host.loader()) as registry:
        with HotReloadWatcher(registry, folder, settle_seconds=SETTLE):
            assert watchers()
            path = save(folder / "a.wasm", saying("greet", "one"))
            wait_until(lambda: serves(registry, "greet", "one"))
            path.write_bytes(saying("greet", "two"))
            wait_until(lambda: serves(registry, "greet", "two"))
            path.rename(folder / "b.wasm")
            wait_until(lambda: registry.source("greet") == str(folder / "b.wasm"))
            (folder / "b.wasm").unlink()
            wait_until(lambda: "greet" not in registry)
        assert watchers() == []


def test_a_hundred_saves_in_a_second_leave_the_last_version(
    registry: PluginRegistry, folder: Path
) -> None:
    stop = threading.Event()
    with HotReloadWatcher(registry, folder, settle_seconds=SETTLE):
        save(folder / "a.wasm", saying("greet", "first"))
        wait_until(lambda: "greet" in registry)
        for number in range(100):
            if number % 2:
                save(folder / "a.wasm", saying("greet", f"save {number}"))
            else:
                (folder / "a.wasm").write_bytes(saying("greet", f"save {number}"))
            assert isinstance(registry.execute("greet"), Success)
            stop.wait(0.01)
        wait_until(lambda: serves(registry, "greet", "save 99"))


def test_a_call_that_runs_finishes_on_the_old_version(
    registry: PluginRegistry, folder: Path
) -> None:
    save(folder / "a.wasm", sleeping("nap"))

    def handle(effect: Effect) -> EffectResult:
        save(folder / "a.wasm", saying("nap", "new"))
        wait_until(lambda: serves(registry, "nap", "new"))
        return SleepComplete()

    with HotReloadWatcher(registry, folder, settle_seconds=SETTLE):
        wait_until(lambda: "nap" in registry)
        assert registry.run("nap", [], handle) == Success("done")


def test_a_directory_that_comes_later_and_goes_for_a_while(
    registry: PluginRegistry, folder: Path
) -> None:
    folder.rmdir()
    events: list[WatchEvent] = []
    with HotReloadWatcher(registry, folder, settle_seconds=SETTLE, on_event=events.append):
        assert [event.kind for event in events] == ["failed"]
        for text in ("one", "two"):
            folder.mkdir()
            save(folder / "a.wasm", saying("greet", text))
            wait_until(lambda text=text: serves(registry, "greet", text))  # type: ignore[misc]
            folder.rename(folder.with_name(text))
            wait_until(lambda: "greet" not in registry)


def test_several_directories_and_those_below(registry: PluginRegistry, folder: Path) -> None:
    (folder / "one").mkdir()
    other = folder.parent / "other"
    other.mkdir()
    with HotReloadWatcher(registry, [folder, other], settle_seconds=SETTLE, depth=2):
        (folder / "one" / "two").mkdir()
        save(folder / "one" / "two" / "a.wasm", saying("a", "a"))
        save(other / "b.wasm", saying("b", "b"))
        wait_until(lambda: registry.commands() == ("a", "b"))


def test_two_watchers_on_one_directory(registry: PluginRegistry, folder: Path) -> None:
    events: list[WatchEvent] = []
    with (
        HotReloadWatcher(registry, folder, settle_seconds=SETTLE, on_event=events.append),
        HotReloadWatcher(registry, folder, settle_seconds=SETTLE, on_event=events.append),
    ):
        for number in range(5):
            save(folder / "a.wasm", saying("greet", str(number)))
            wait_until(lambda number=number: serves(registry, "greet", str(number)))  # type: ignore[misc]
        (folder / "a.wasm").unlink()
        wait_until(lambda: "greet" not in registry)
    kinds = [event.kind for event in events]
    assert kinds == ["loaded", "reloaded", "reloaded", "reloaded", "reloaded", "unloaded"]


class TestStartAndStop:
    def test_it_can_be_started_again(self, registry: PluginRegistry, folder: Path) -> None:
        watcher = HotReloadWatcher(registry, folder, settle_seconds=SETTLE)
        watcher.stop()
        for text in ("one", "two"):
            watcher.start()
            watcher.start()
            save(folder / "a.wasm", saying("greet", text))
            wait_until(lambda text=text: serves(registry, "greet", text))  # type: ignore[misc]
            watcher.stop()
            watcher.stop()
            assert watchers() == []
        save(folder / "b.wasm", saying("other", "unseen"))
        assert registry.commands() == ("greet",), "it keeps what it has, and follows no more"

    def test_stopped_by_its_own_callback(self, registry: PluginRegistry, folder: Path) -> None:
        watcher = HotReloadWatcher(
            registry, folder, settle_seconds=SETTLE, on_event=lambda event: watcher.stop()
        )
        watcher.start()
        save(folder / "a.wasm", saying("greet", "hi"))
        wait_until(lambda: watchers() == [])
        assert registry.commands() == ("greet",)

    def test_asyncio(self, registry: PluginRegistry, folder: Path) -> None:
        async def main() -> None:
            async with HotReloadWatcher(registry, folder, settle_seconds=SETTLE):
                save(folder / "a.wasm", saying("greet", "hi"))
                while "greet" not in registry:
                    await asyncio.sleep(0.01)

        asyncio.run(main())
        assert watchers() == []

    def test_a_program_that_forgets_it_ends(self, folder: Path) -> None:
        code = f"""
from sen_host import HotReloadWatcher, PluginLoader, PluginRegistry
registry = PluginRegistry(PluginLoader("wasmtime"))
HotReloadWatcher(registry, {str(folder)!r}).start()
print("end")
"""
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=60
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")


class TestTrouble:
    def test_a_callback_that_fails_stops_nothing(
        self, registry: PluginRegistry, folder: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(event: WatchEvent) -> None:
            raise RuntimeError(event.kind)

        with HotReloadWatcher(registry, folder, settle_seconds=SETTLE, on_event=fail):
            for text in ("one", "two"):
                save(folder / "a.wasm", saying("greet", text))
                wait_until(lambda text=text: serves(registry, "greet", text))  # type: ignore[misc]
        assert "on_event of hot reload raised RuntimeError('reloaded')" in caplog.text

    def test_without_signals_of_the_system_it_looks_by_itself(
        self,
        registry: PluginRegistry,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        def refuse(*paths: object, **more: object) -> object:
            raise OSError(28, "no space left for watches")

        monkeypatch.setattr("watchfiles.watch", refuse)
        with HotReloadWatcher(registry, folder, settle_seconds=SETTLE):
            save(folder / "a.wasm", saying("greet", "hi"))
            wait_until(lambda: "greet" in registry)
            (folder / "a.wasm").write_bytes(saying("greet", "ho"))
            wait_until(lambda: serves(registry, "greet", "ho"))
        assert caplog.text.count("no space left for watches") == 1

    def test_a_closed_registry_is_told_and_ends_nothing(
        self, registry: PluginRegistry, folder: Path
    ) -> None:
        events: list[WatchEvent] = []
        with HotReloadWatcher(registry, folder, settle_seconds=SETTLE, on_event=events.append):
            registry.close()
            save(folder / "a.wasm", saying("greet", "hi"))
            wait_until(lambda: bool(events))
        assert [(event.kind, type(event.error).__name__) for event in events] == [
            ("failed", "PluginClosed")
        ]

    def test_without_watchfiles(
        self, registry: PluginRegistry, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "watchfiles", None)
        with pytest.raises(MissingLibrary, match=r"pip install 'sen-host\[watch\]'"):
            HotReloadWatcher(registry, folder)

    @pytest.mark.parametrize(
        "wrong", [{"settle_seconds": -1}, {"settle_seconds": 61}, {"depth": 99}]
    )
    def test_wrong_arguments(
        self, registry: PluginRegistry, folder: Path, wrong: dict[str, int]
    ) -> None:
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            HotReloadWatcher(registry, folder, **wrong)  # type: ignore[arg-type]

    def test_no_directory(self, registry: PluginRegistry) -> None:
        with pytest.raises(ConfigError, match="no directory"):
            HotReloadWatcher(registry, [])
