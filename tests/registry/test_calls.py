"""Calls of a registry's plugins: side by side, while they are replaced, in other threads."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sen_host import PluginLoader, PluginRegistry
from sen_host.backend import Capability
from sen_host.errors import CommandNotFound, FunctionCall, WrongThread
from sen_host.messages import Effect, EffectResult, SleepComplete, Success
from sen_host_conformance.hosts import Host
from tests.guests import COUNTING
from tests.registry.support import measured, measuring, save, saying, sleeping
from tests.threads import failure_in_thread, in_thread
from tests.wat import Wat


@pytest.fixture
def registry() -> Iterator[PluginRegistry]:
    with PluginRegistry(PluginLoader("wasmtime")) as made:
        yield made


def any_thread(host: Host) -> bool:
    return host.loader().binding.has(Capability.ANY_THREAD)


class TestReplacedDuringACall:
    def test_a_call_that_runs_finishes_on_the_old_version(self, host: Host, tmp_path: Path) -> None:
        path = save(tmp_path / "x.wasm", sleeping("nap"))
        registry = PluginRegistry(host.loader())
        registry.load(path)

        def reload(effect: Effect) -> EffectResult:
            save(path, saying("nap", "new"))
            registry.reload("nap")
            assert registry.execute("nap") == Success("new")
            return SleepComplete()

        def close(effect: Effect) -> EffectResult:
            registry.close()
            return SleepComplete()

        assert registry.run("nap", [], reload) == Success("done")
        save(path, sleeping("nap"))
        registry.reload("nap")
        assert registry.run("nap", [], close) == Success("done")

    @pytest.mark.parametrize("how", ["unload", "replace"])
    def test_whatever_takes_its_place(
        self, registry: PluginRegistry, tmp_path: Path, how: str
    ) -> None:
        registry.load(save(tmp_path / "x.wasm", sleeping("nap")))
        other = save(tmp_path / "y.wasm", saying("nap", "new"))

        def handle(effect: Effect) -> EffectResult:
            if how == "unload":
                registry.unload("nap")
                assert "nap" not in registry
            else:
                registry.load(other, replace=True)
            return SleepComplete()

        assert registry.run("nap", [], handle) == Success("done")

    def test_the_old_version_is_closed_after_its_last_call(self, registry: PluginRegistry) -> None:
        plugin = PluginLoader("wasmtime").load(sleeping("nap"))
        registry.register(plugin)
        with registry.lease("nap") as first:
            with registry.lease("nap") as second:
                registry.unload("nap")
                assert not plugin.closed
                first.execute()
                second.execute()
            assert not plugin.closed
            first.execute()
        assert plugin.closed

    def test_nobody_waits_for_a_guest_that_runs(
        self, registry: PluginRegistry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        plugin = PluginLoader("wasmtime").load(saying("slow", "done"))
        inside, leave = threading.Event(), threading.Event()
        execute = plugin.execute

        def slow(args: object = ()) -> object:
            inside.set()
            assert leave.wait(20)
            return execute()

        monkeypatch.setattr(plugin, "execute", slow)
        registry.register(plugin)
        answers: list[object] = []
        caller = threading.Thread(target=lambda: answers.append(registry.execute("slow")))
        caller.start()
        assert inside.wait(20)
        registry.close()
        assert not plugin.closed
        leave.set()
        caller.join()
        assert answers == [Success("done")]
        assert plugin.closed

    def test_after_a_trap_the_plugin_serves_on_and_is_released(
        self, registry: PluginRegistry
    ) -> None:
        plugin = PluginLoader("wasmtime").load(Wat(execute="unreachable").wasm())
        registry.register(plugin)
        for _ in range(2):
            with pytest.raises(FunctionCall):
                registry.execute("test")
        registry.unload("test")
        assert plugin.closed


class TestThreads:
    def test_calls_from_other_threads(self, host: Host, tmp_path: Path) -> None:
        with PluginRegistry(host.loader()) as registry:
            in_thread(lambda: registry.load(save(tmp_path / "x.wasm", measuring("db", "create"))))
            assert registry.execute("db", ["a"]) == measured("a")
            assert in_thread(lambda: registry.execute("db:create")) == measured("create")
            in_thread(lambda: registry.reload("db"))
            assert registry.execute("db") == measured()
            assert in_thread(lambda: registry.unload("db")) == "db"

    def test_effects_are_done_in_the_thread_of_the_caller(self, host: Host, tmp_path: Path) -> None:
        threads: list[int] = []

        def handle(effect: Effect) -> EffectResult:
            threads.append(threading.get_ident())
            return SleepComplete()

        with PluginRegistry(host.loader()) as registry:
            registry.load(save(tmp_path / "x.wasm", sleeping("nap")))
            assert registry.run("nap", [], handle) == Success("done")
        assert threads == [threading.get_ident()]

    def test_calls_of_different_plugins_run_side_by_side(
        self, registry: PluginRegistry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        both = threading.Barrier(2)

        def meet(args: object = ()) -> object:
            both.wait(20)
            return Success("met")

        for name in ("a", "b"):
            plugin = PluginLoader("wasmtime").load(saying(name, name))
            monkeypatch.setattr(plugin, "execute", meet)
            registry.register(plugin)
        other = threading.Thread(target=registry.execute, args=("a",))
        other.start()
        assert registry.execute("b") == Success("met")
        other.join()

    def test_many_threads_call_load_and_unload(
        self, registry: PluginRegistry, tmp_path: Path
    ) -> None:
        """Each answer is that of a version that was there; none is lost, closed or mixed."""
        path = save(tmp_path / "x.wasm", saying("x", "0"))
        registry.load(path)
        registry.register(PluginLoader("wasmtime").load(saying("steady", "steady")))
        failures: list[object] = []
        done = threading.Event()

        def call() -> None:
            while not done.is_set():
                answer = registry.execute("x")
                if answer not in (Success("0"), Success("1")):
                    failures.append(answer)
                if registry.execute("steady") != Success("steady"):
                    failures.append("steady")

        def guarded() -> None:
            try:
                call()
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=guarded) for _ in range(4)]
        for thread in threads:
            thread.start()
        for number in range(40):
            save(path, saying("x", str(number % 2)))
            registry.reload(path)
        done.set()
        for thread in threads:
            thread.join()
        assert failures == []
        assert registry.execute("x") == Success("1")

    def test_a_plugin_that_was_loaded_in_another_thread(self, host: Host) -> None:
        with PluginRegistry(host.loader()) as registry:
            registry.register(host.loader().load(saying("mine", "hi")))
            failure = failure_in_thread(lambda: registry.execute("mine"))
            assert isinstance(failure, WrongThread) is not any_thread(host)
            assert registry.execute("mine") == Success("hi")

    def test_no_thread_is_left(self, host: Host, tmp_path: Path) -> None:
        before = set(threading.enumerate())
        with PluginRegistry(host.loader()) as registry:
            registry.load(save(tmp_path / "x.wasm", saying("x", "hi")))
            registry.execute("x")
        for thread in set(threading.enumerate()) - before:
            thread.join(20)
            assert not thread.is_alive()


class TestInstances:
    def test_each_caller_has_one(self, host: Host, tmp_path: Path) -> None:
        path = save(tmp_path / "x.wasm", COUNTING)
        with PluginRegistry(host.loader(), instances=2) as registry:
            if not any_thread(host):
                with pytest.raises(WrongThread, match="cannot have several instances"):
                    registry.load(path)
                return
            registry.load(path)
            with registry.lease("test") as first, registry.lease("test") as second:
                assert first.execute() == second.execute() == Success("finf")
                assert first.execute() == Success("fing")
                registry.unload("test")
                assert second.execute() == Success("fing")

    def test_async_callers_wait_for_one(self, registry: PluginRegistry) -> None:
        async def handle(effect: Effect) -> EffectResult:
            await asyncio.sleep(0)
            return SleepComplete()

        async def run() -> list[object]:
            with PluginRegistry(PluginLoader("wasmtime"), instances=2) as pooled:
                pooled.register(PluginLoader("wasmtime").load(sleeping("nap")))
                runs = [pooled.run_async("nap", [], handle) for _ in range(6)]
                return list(await asyncio.gather(*runs))

        assert asyncio.run(run()) == [Success("done")] * 6


class TestAsync:
    def test_load_run_and_execute(self, host: Host, tmp_path: Path) -> None:
        path = save(tmp_path / "x.wasm", sleeping("nap"))
        other = save(tmp_path / "y.wasm", measuring("db", "create"))
        threads: list[int] = []

        async def handle(effect: Effect) -> EffectResult:
            threads.append(threading.get_ident())
            await asyncio.sleep(0)
            return SleepComplete()

        async def main() -> None:
            with PluginRegistry(host.loader()) as registry:
                assert await registry.load_async(path) == "nap"
                assert await registry.load_async(other) == "db"
                assert await registry.execute_async("db:create", ["a"]) == measured("create", "a")
                runs = [registry.run_async("nap", [], handle) for _ in range(3)]
                assert await asyncio.gather(*runs) == [Success("done")] * 3
                with pytest.raises(CommandNotFound):
                    await registry.run_async("none", [], handle)

        asyncio.run(main())
        assert threads == [threading.get_ident()] * 3

    def test_a_cancelled_run_leaves_the_plugin_open_for_its_guest(
        self, registry: PluginRegistry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        plugin = PluginLoader("wasmtime").load(saying("slow", "done"))
        inside, leave = threading.Event(), threading.Event()
        seen: list[bool] = []

        def slow(args: object = ()) -> object:
            inside.set()
            assert leave.wait(20)
            seen.append(plugin.closed)
            return Success("done")

        async def handle(effect: Effect) -> EffectResult:
            raise NotImplementedError

        async def main() -> None:
            running = asyncio.ensure_future(registry.run_async("slow", [], handle))
            assert await asyncio.to_thread(inside.wait, 20)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            registry.unload("slow")
            assert not plugin.closed
            leave.set()

        monkeypatch.setattr(plugin, "execute", slow)
        registry.register(plugin)
        asyncio.run(main())
        assert seen == [False]
        assert plugin.closed


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_can_call_what_is_not_tied_to_a_thread(host: Host, tmp_path: Path) -> None:
    if host.isolation == "process":
        pytest.skip("a worker process belongs to the process that started it")
    with PluginRegistry(host.loader()) as registry:
        registry.load(save(tmp_path / "x.wasm", saying("x", "hi")))
        child = os.fork()
        if not child:
            try:
                good = registry.execute("x") == Success("hi")
            except WrongThread:
                good = not any_thread(host)
            finally:
                os._exit(0 if good else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert registry.execute("x") == Success("hi")
