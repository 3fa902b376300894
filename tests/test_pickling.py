"""Plugins cross to other processes by pickle, and run there as they ran here."""

from __future__ import annotations

import multiprocessing
import pickle
from concurrent.futures import Executor, ProcessPoolExecutor
from pathlib import Path

import pytest

from sen_host import Limits, Plugin, PluginLoader, received
from sen_host.errors import FuelExhausted
from sen_host.messages import Success
from sen_host_conformance.hosts import Host
from sen_host_wasmtime import WasmtimeBackend
from tests.guests import COUNTING, ENDLESS, GOOD


def copy_of(plugin: Plugin) -> Plugin:
    copied = pickle.loads(pickle.dumps(plugin))
    assert isinstance(copied, Plugin)
    return copied


def test_it_comes_back_with_its_terms(host: Host) -> None:
    limits = Limits(fuel=12_345, memory_bytes=1 << 20, result_bytes=4_000)
    with host.loader(limits).load(GOOD) as plugin, copy_of(plugin) as copied:
        assert copied.execute() == Success("fine")
        assert (copied.limits, copied.backend) == (limits, plugin.backend)
        assert (copied.binding, copied.manifest) == (plugin.binding, plugin.manifest)
        assert (copied.fuel_used or 0) + (copied.fuel_left or 0) == 12_345


def test_what_it_remembers_stays_behind(host: Host) -> None:
    with host.loader().load(COUNTING) as plugin:
        assert plugin.execute() == Success("finf")
        assert plugin.execute() == Success("fing")
        with copy_of(plugin) as one, copy_of(plugin) as other:
            assert one.execute() == Success("finf")
            assert other.execute() == Success("finf")
            assert one.execute() == Success("fing")


def test_closing_one_that_was_received_leaves_the_others(host: Host) -> None:
    with host.loader().load(COUNTING) as plugin:
        with copy_of(plugin) as first:
            first.execute()
        with copy_of(plugin) as second:
            assert second.execute() == Success("finf")


def test_its_path_is_told_in_errors(tmp_path: Path) -> None:
    path = tmp_path / "endless.wasm"
    path.write_bytes(ENDLESS)
    with PluginLoader("wasmtime").load(path) as plugin:
        path.unlink()
        with copy_of(plugin) as copied, pytest.raises(FuelExhausted) as caught:
            copied.execute()
    assert caught.value.plugin == str(path)


def test_a_backend_that_was_given_as_a_class_is_sent_as_one() -> None:
    with PluginLoader(WasmtimeBackend).load(GOOD) as plugin, copy_of(plugin) as copied:
        assert copied.execute() == Success("fine")


def test_a_module_is_loaded_once_for_all_that_are_received(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with PluginLoader("wasmtime", limits=Limits(fuel=54_321)).load(GOOD) as plugin:
        data = pickle.dumps(plugin)
    loads = []
    load = PluginLoader.load

    def counted(loader: PluginLoader, source: bytes) -> Plugin:
        loads.append(source)
        return load(loader, source)

    monkeypatch.setattr(PluginLoader, "load", counted)
    for _ in range(5):
        pickle.loads(data).close()
    assert len(loads) == 1


def test_modules_that_were_not_asked_for_again_are_let_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(received, "KEPT_MODULES", 2)
    fresh = received._Received()
    monkeypatch.setattr(received, "received", fresh)
    copies = []
    for fuel in range(1_000, 1_004):
        with PluginLoader("wasmtime", limits=Limits(fuel=fuel)).load(GOOD) as plugin:
            copies.append(copy_of(plugin))
    assert len(fresh._plugins) == 2
    assert [copied.execute() for copied in copies] == [Success("fine")] * 4


@pytest.mark.parametrize("start", ["spawn", "fork", "forkserver"])
def test_an_executor_runs_it_in_other_processes(start: str) -> None:
    executor: Executor
    context = multiprocessing.get_context(start)
    with (
        PluginLoader("wasmtime").load(GOOD) as plugin,
        ProcessPoolExecutor(2, mp_context=context) as executor,
    ):
        assert list(executor.map(plugin.execute, [["a"]] * 8)) == [Success("fine")] * 8


def test_an_error_of_another_process_is_the_same_here() -> None:
    context = multiprocessing.get_context("spawn")
    with (
        PluginLoader("wasmtime", limits=Limits(fuel=1_000)).load(ENDLESS) as plugin,
        ProcessPoolExecutor(1, mp_context=context) as executor,
    ):
        error = executor.submit(plugin.execute, []).exception(60)
    assert isinstance(error, FuelExhausted)
    assert error.budget == 1_000


def test_closing_one_again_and_again_in_the_middle_of_its_call_leaves_the_others(
    host: Host,
) -> None:
    if host.isolation == "none":
        pytest.skip("closing waits for a call in this process")
    with host.loader(Limits(fuel=2_000_000)).load(GOOD) as plugin:
        one, other = copy_of(plugin), copy_of(plugin)
        assert other.execute() == Success("fine")
        with one._lock:
            for _ in range(5):
                one.close()
        assert one.closed
        with other:
            assert other.execute() == Success("fine")
