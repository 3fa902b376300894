"""What is particular to the Wasmtime backend."""

from __future__ import annotations

import ctypes
import gc
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import pytest
from wasmtime import _bindings as official

from sen_host import Limits, PluginLoader
from sen_host.config import Config
from sen_host.errors import FunctionCall, WallClockExceeded
from sen_host.messages import Success
from sen_host_wasmtime import capi
from sen_host_wasmtime.backend import WasmtimeInstance
from tests.wat import TRAP_SUPPORT, Wat

RECURSING = Wat(execute="(call $recurse) unreachable", extra=TRAP_SUPPORT).wasm()


def loader(limits: Limits | None = None) -> PluginLoader:
    return PluginLoader("wasmtime", limits=limits, config=Config.defaults())


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (capi.Value, official.wasmtime_val_t),
        (capi.Function, official.wasmtime_func_t),
        (capi.Memory, official.wasmtime_memory_t),
        (capi.Extern, official.wasmtime_extern_t),
        (capi.Instance, official.wasmtime_instance_t),
        (capi.ByteVector, official.wasm_byte_vec_t),
    ],
)
def test_layouts_are_those_of_the_installed_release(
    ours: type[ctypes.Structure], theirs: type[ctypes.Structure]
) -> None:
    assert ctypes.sizeof(ours) == ctypes.sizeof(theirs)
    assert ctypes.alignment(ours) == ctypes.alignment(theirs)
    for (name, *_), (other, *_) in zip(ours._fields_, theirs._fields_, strict=True):
        assert getattr(ours, name).offset == getattr(theirs, other).offset


def test_the_clock_tells_time_in_a_busy_interpreter() -> None:
    wasm = Wat(execute="(loop $again (br $again)) unreachable").wasm()
    stop = threading.Event()

    def spin() -> None:
        while not stop.is_set():
            sum(range(1_000))

    threads = [threading.Thread(target=spin) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        with loader(Limits(fuel=None, wall_clock_seconds=0.5)).load(wasm) as plugin:
            started = time.monotonic()
            with pytest.raises(WallClockExceeded):
                plugin.execute([])
            assert time.monotonic() - started >= 0.5, "never earlier than was asked for"
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_one_clock_serves_all_threads_that_start_at_once() -> None:
    plugins = [loader(Limits(fuel=None, wall_clock_seconds=9)).load(Wat().wasm()) for _ in range(6)]
    threads = [threading.Thread(target=plugin.execute) for plugin in plugins]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    clocks = [thread for thread in threading.enumerate() if "wasmtime-clock" in thread.name]
    assert len(clocks) == 1
    for plugin in plugins:
        plugin.close()


def test_a_finalizer_within_a_call_is_refused_instead_of_waiting_for_itself() -> None:
    code = """
import signal
from sen_host import Config, Limits, PluginLoader
from sen_host.errors import PluginBusy
from tests.wat import Wat
wasm = Wat(execute="(loop $again (br $again)) unreachable").wasm()
plugin = PluginLoader(
    "wasmtime", limits=Limits(fuel=None, wall_clock_seconds=0.5), config=Config.defaults()
).load(wasm)
plugin._lock.acquire()
import threading
plugin._caller = threading.get_ident()
for call in (plugin.execute, plugin.close):
    try:
        call()
    except PluginBusy as error:
        print(error.message)
"""
    root = Path(__file__).parent.parent.parent
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=30
    )
    assert done.stdout.count("in the middle of a call") == 2, done.stderr


def test_the_text_of_a_trap_is_its_cause_alone() -> None:
    wasm = Wat(execute="(drop (i32.load (i32.const 0x7ffffff0))) unreachable").wasm()
    with loader().load(wasm) as plugin, pytest.raises(FunctionCall) as caught:
        plugin.execute([])
    assert caught.value.detail is None, "it says no more than the kind"


def test_results_longer_than_a_c_int_are_read_another_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sen_host_wasmtime.backend._LONGEST_STRING", 5)
    with loader().load(Wat().wasm()) as plugin:
        assert plugin.execute([]) == Success("fine")


def test_many_instances_are_freed() -> None:
    with loader().load(RECURSING) as plugin:
        for _ in range(50):
            with pytest.raises(FunctionCall):
                plugin.execute([])
    with loader().load(Wat().wasm()) as plugin:
        assert plugin.execute([]) == Success("fine")


def test_a_plugin_that_was_not_closed_is_freed_without_the_garbage_collector() -> None:
    plugin = loader().load(Wat().wasm())
    assert plugin.execute([]) == Success("fine")
    assert plugin._guest is not None
    instance = weakref.ref(plugin._guest._instance)
    gc.disable()
    try:
        del plugin
        assert instance() is None
    finally:
        gc.enable()


def test_a_trap_before_the_first_step_of_an_exchange_is_not_the_answer_of_the_one_before() -> None:
    with loader(Limits(wall_clock_seconds=60)).load(Wat().wasm()) as plugin:
        assert plugin.execute() == Success("fine")
        instance = plugin._guest._instance  # type: ignore[union-attr]
        assert isinstance(instance, WasmtimeInstance)
        api, context = instance._api, instance._context

        def expire(seconds: float) -> None:
            api.wasmtime_context_set_epoch_deadline(context, 0)

        instance.set_deadline = expire  # type: ignore[method-assign]
        with pytest.raises(WallClockExceeded):
            plugin.execute()
        assert plugin.execute() == Success("fine")
