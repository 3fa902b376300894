"""A plugin, called from several threads and processes."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from sen_host import Limits, Plugin
from sen_host.backend import Capability
from sen_host.errors import PluginClosed, WorkerDied, WrongThread
from sen_host.messages import Success
from sen_host_conformance.hosts import Host
from tests.guests import COUNTING, ENDLESS, ENDLESS_ON_REQUEST, GOOD
from tests.threads import failure_in_thread


class TestThreads:
    def test_calls_from_other_threads(self, host: Host) -> None:
        with host.loader().load(COUNTING) as plugin:
            if not plugin.binding.has(Capability.ANY_THREAD):
                assert isinstance(failure_in_thread(plugin.execute), WrongThread)
                assert plugin.execute([]) == Success("finf")
                return
            threads = [threading.Thread(target=plugin.execute) for _ in range(20)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert plugin.execute([]) == Success("fin" + chr(ord("e") + 21))

    def test_many_plugins_in_many_threads(self, host: Host) -> None:
        loader = host.loader()
        failures: list[object] = []

        def work() -> None:
            with loader.load(COUNTING) as plugin:
                for count in range(1, 6):
                    answer = plugin.execute([])
                    if answer != Success("fin" + chr(ord("e") + count)):
                        failures.append(answer)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []


def test_closing_ends_a_call_that_runs_in_a_worker(host: Host) -> None:
    if host.isolation == "none":
        pytest.skip("a guest in this process runs to its end")
    plugin = host.loader(Limits(fuel=None, wall_clock_seconds=60)).load(ENDLESS)
    ended: list[BaseException | None] = []
    caller = threading.Thread(target=lambda: ended.append(failure_in_thread(plugin.execute)))
    caller.start()
    while not plugin._lock.locked():
        time.sleep(0.01)
    assert plugin.memory_bytes == 65_536, "it does not wait for the call"
    plugin.close()
    caller.join()
    assert isinstance(ended[0], (WorkerDied, PluginClosed))


def test_a_thread_is_not_mistaken_for_one_that_ended(host: Host) -> None:
    """The operating system gives the number of a thread that ended to the next one."""
    for _ in range(5):
        loaded: list[Plugin] = []

        def load(into: list[Plugin] = loaded) -> None:
            into.append(host.loader().load(GOOD))

        thread = threading.Thread(target=load)
        thread.start()
        thread.join()
        [plugin] = loaded
        error = failure_in_thread(plugin.execute)
        if plugin.binding.has(Capability.ANY_THREAD):
            assert error is None
            plugin.close()
        else:
            assert isinstance(error, WrongThread)


def test_a_fork_in_the_middle_of_a_call_can_call_as_well(tmp_path: Path) -> None:
    (tmp_path / "endless.wasm").write_bytes(ENDLESS_ON_REQUEST)
    code = f"""
import os, threading, time
from sen_host import Config, Limits, PluginLoader
plugin = PluginLoader(
    "wasmtime", limits=Limits(fuel=None, wall_clock_seconds=3), config=Config.defaults()
).load({str(tmp_path / "endless.wasm")!r})
def call():
    try:
        plugin.execute(["spin"])
    except Exception:
        print("stopped", flush=True)
thread = threading.Thread(target=call)
thread.start()
while not plugin._lock.locked():
    time.sleep(0.01)
time.sleep(0.1)
child = os.fork()
if child == 0:
    print(plugin.execute([]), flush=True)
    os._exit(0)
_, status = os.waitpid(child, 0)
thread.join()
print("child", status)
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.splitlines() == ["Success(text='fine')", "stopped", "child 0"], done.stderr
