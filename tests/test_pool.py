"""A pool of instances: bounded, shared by threads, closed cleanly."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from sen_host import Limits, Plugin, PluginLoader, PluginPool
from sen_host.backend import Capability
from sen_host.errors import ConfigError, PluginBusy, PluginClosed, WorkerDied, WrongThread
from sen_host.messages import Effect, EffectResult, SleepComplete, Success
from sen_host_conformance.hosts import Host
from tests.guests import COUNTING, ENDLESS, GOOD, SLEEPING


def first_answer() -> Success:
    return Success("finf")


@pytest.fixture
def counting() -> Iterator[PluginPool]:
    with PluginPool(PluginLoader("wasmtime").load(COUNTING), 2) as pool:
        yield pool


class TestOnEachHost:
    def test_calls_of_many_threads_are_served_by_few_instances(self, host: Host) -> None:
        plugin = host.loader().load(GOOD)
        if not plugin.binding.has(Capability.ANY_THREAD):
            with plugin, pytest.raises(WrongThread, match="isolation='process'"):
                PluginPool(plugin, 2)
            return
        with PluginPool(plugin, 2) as pool, ThreadPoolExecutor(6) as threads:
            answers = list(threads.map(lambda _: pool.execute(), range(30)))
            assert answers == [Success("fine")] * 30
            assert 1 <= pool.instances <= 2

    def test_instances_do_not_share_memory(self, host: Host) -> None:
        with host.loader().load(COUNTING) as plugin, plugin.clone() as clone:
            assert plugin.execute() == first_answer()
            assert plugin.execute() != first_answer()
            assert clone.execute() == first_answer()
            assert clone.manifest == plugin.manifest

    def test_a_clone_outlives_its_original(self, host: Host) -> None:
        plugin = host.loader().load(COUNTING)
        clone = plugin.clone()
        plugin.close()
        assert plugin.closed
        with clone:
            assert clone.execute() == first_answer()
            with pytest.raises(PluginClosed):
                plugin.clone()

    def test_each_clone_in_a_worker_has_a_process_of_its_own(self, host: Host) -> None:
        if host.isolation == "none":
            pytest.skip("the plugin runs in this process")
        limits = Limits(fuel=None, wall_clock_seconds=30)
        with (
            host.loader(limits).load(ENDLESS) as plugin,
            plugin.clone() as clone,
            ThreadPoolExecutor(1) as threads,
        ):
            endless = threads.submit(plugin.execute)
            clone.restart()
            assert clone.memory_bytes == 65_536
            plugin.close()
            assert isinstance(endless.exception(30), (WorkerDied, PluginClosed))


class TestBounds:
    def test_an_instance_is_made_only_when_all_others_are_busy(self, counting: PluginPool) -> None:
        for _ in range(3):
            counting.execute()
        assert counting.instances == 1
        with counting.lease() as one, counting.lease() as other:
            assert one is not other
            assert counting.instances == 2

    def test_who_comes_too_late_waits_no_longer_than_asked(self, counting: PluginPool) -> None:
        with counting.lease(), counting.lease(), pytest.raises(PluginBusy, match="all 2"):
            counting.execute(timeout=0.01)
        counting.execute(timeout=0.01)

    def test_a_waiting_call_gets_what_is_given_back(self, counting: PluginPool) -> None:
        with counting.lease(), ThreadPoolExecutor(1) as threads:
            with counting.lease() as plugin:
                waiting = threads.submit(counting.execute)
                plugin.execute()
            assert waiting.result(30) == Success("fing")

    @pytest.mark.parametrize("size", [0, -1, 1.5, "2", True])
    def test_a_size_that_is_none_is_refused(self, size: int) -> None:
        with (
            PluginLoader("wasmtime").load(GOOD) as plugin,
            pytest.raises(ConfigError, match="size of a pool"),
        ):
            PluginPool(plugin, size)

    def test_it_is_as_large_as_there_are_processors(self) -> None:
        with PluginPool(PluginLoader("wasmtime").load(GOOD)) as pool:
            assert pool.size == os.cpu_count()

    def test_an_instance_that_failed_is_replaced(self) -> None:
        limits = Limits(fuel=1_000)
        with PluginPool(PluginLoader("wasmtime", limits=limits).load(ENDLESS), 1) as pool:
            for _ in range(3):
                with pytest.raises(Exception, match="fuel"):
                    pool.execute()
            assert pool.instances == 1


class TestConversations:
    def test_one_instance_serves_a_whole_conversation(self) -> None:
        def handle(effect: Effect) -> EffectResult:
            return SleepComplete()

        with PluginPool(PluginLoader("wasmtime").load(SLEEPING), 2) as pool:
            assert pool.run([], handle) == Success("done")

    def test_many_at_once_in_one_event_loop(self) -> None:
        async def handle(effect: Effect) -> EffectResult:
            await asyncio.sleep(0)
            return SleepComplete()

        async def all_of(pool: PluginPool) -> list[object]:
            return list(await asyncio.gather(*(pool.run_async([], handle) for _ in range(6))))

        with PluginPool(PluginLoader("wasmtime").load(SLEEPING), 2) as pool:
            assert asyncio.run(all_of(pool)) == [Success("done")] * 6
            assert pool.instances <= 2

    def test_a_wait_that_is_cancelled_takes_no_instance_along(self) -> None:
        async def handle(effect: Effect) -> EffectResult:
            return SleepComplete()

        async def cancel_while_waiting(pool: PluginPool) -> None:
            with pool.lease():
                waiting = asyncio.ensure_future(pool.run_async([], handle))
                await asyncio.sleep(0.05)
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
            assert await pool.run_async([], handle, timeout=30) == Success("done")

        with PluginPool(PluginLoader("wasmtime").load(SLEEPING), 1) as pool:
            asyncio.run(cancel_while_waiting(pool))


class TestClosing:
    def test_a_closed_pool_serves_nobody(self, counting: PluginPool) -> None:
        counting.close()
        counting.close()
        assert counting.instances == 0
        with pytest.raises(PluginClosed, match="the pool is closed"):
            counting.execute()

    def test_who_waits_is_told(self, counting: PluginPool) -> None:
        with counting.lease(), counting.lease(), ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(counting.execute)
            counting.close()
            assert isinstance(waiting.exception(30), PluginClosed)

    def test_what_is_in_use_is_closed_when_it_comes_back(self, counting: PluginPool) -> None:
        with counting.lease() as plugin:
            counting.close()
            assert plugin.execute() == first_answer()
        assert plugin.closed
        assert counting.instances == 0

    def test_an_instance_that_a_user_closed_does_not_come_back(self, counting: PluginPool) -> None:
        with counting.lease(), counting.lease() as plugin:
            plugin.close()
        assert counting.instances == 1
        assert isinstance(counting.execute(), Success)


def test_a_fork_has_the_instances_that_were_free() -> None:
    def answer_in_fork(pool: PluginPool) -> int:
        child = os.fork()
        if child == 0:
            os._exit(0 if pool.execute(timeout=5) == Success("fing") else 1)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    with PluginPool(PluginLoader("wasmtime").load(COUNTING), 2) as pool:
        pool.execute()
        with pool.lease(), pool.lease() as plugin:
            assert isinstance(plugin, Plugin)
        assert answer_in_fork(pool) == 0
