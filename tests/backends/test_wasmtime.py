"""What is particular to the Wasmtime backend, through each of its bindings."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path
from typing import Protocol

import pytest
from wasmtime import _bindings as official

from sen_host import Limits, PluginLoader
from sen_host.config import Config
from sen_host.errors import FunctionCall, WallClockExceeded
from sen_host.messages import Success
from sen_host_wasmtime import capi
from sen_host_wasmtime.backend import WasmtimeInstance
from tests.wat import TRAP_SUPPORT, Wat

ROOT = Path(__file__).parent.parent.parent
RECURSING = Wat(execute="(call $recurse) unreachable", extra=TRAP_SUPPORT).wasm()


class Loader(Protocol):
    def __call__(self, limits: Limits | None = None) -> PluginLoader: ...


@pytest.fixture(params=["c-api", "public"])
def binding(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def loader(binding: str) -> Loader:
    """Makes loaders on each binding in turn."""

    def loader(limits: Limits | None = None) -> PluginLoader:
        return PluginLoader("wasmtime", binding=binding, limits=limits, config=Config.defaults())

    return loader


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


def test_the_clock_tells_time_in_a_busy_interpreter(loader: Loader) -> None:
    wasm = Wat(execute="(loop $again (br $again)) unreachable").wasm()
    stop = threading.Event()

    def spin() -> None:
        while not stop.is_set():
            sum(range(1_000))

    threads = [threading.Thread(target=spin) for _ in range(4)]
    with loader(Limits(fuel=None, wall_clock_seconds=0.5)).load(wasm) as plugin:
        try:
            for thread in threads:
                thread.start()
            started = time.monotonic()
            with pytest.raises(WallClockExceeded):
                plugin.execute([])
            assert time.monotonic() - started >= 0.5, "never earlier than was asked for"
        finally:
            stop.set()
            for thread in threads:
                thread.join()


def test_one_clock_serves_all_threads_that_start_at_once(loader: Loader) -> None:
    # No other test has an engine for this stack.
    limits = Limits(fuel=None, wall_clock_seconds=9, stack_bytes=(1 << 20) - 65_536)
    before = set(threading.enumerate())
    plugins = [loader(limits).load(Wat().wasm()) for _ in range(6)]
    threads = [threading.Thread(target=plugin.execute) for plugin in plugins]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    started = set(threading.enumerate()) - before
    clocks = [thread for thread in started if "wasmtime-clock" in thread.name]
    assert len(clocks) == 1
    for plugin in plugins:
        plugin.close()


def test_the_wall_clock_is_kept_in_a_fork(binding: str) -> None:
    code = f"""
import os, warnings
from sen_host import Config, Limits, PluginLoader
from sen_host.errors import WallClockExceeded
from tests.guests import ENDLESS_ON_REQUEST
limits = Limits(fuel=None, wall_clock_seconds=0.2)
plugin = PluginLoader(
    "wasmtime", binding={binding!r}, limits=limits, config=Config.defaults()
).load(ENDLESS_ON_REQUEST)
plugin.execute()  # the clock runs, in a thread that a fork does not have
warnings.simplefilter("ignore", DeprecationWarning)  # to fork beside threads is, since 3.12
pid = os.fork()
try:
    plugin.execute(["for ever"])
except WallClockExceeded:
    print("stopped", flush=True)
if pid == 0:
    os._exit(0)
os.waitpid(pid, 0)
"""
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, start_new_session=True) as run:
        try:
            out, _ = run.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(run.pid, signal.SIGKILL)
            raise
    assert out.count(b"stopped") == 2


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
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30
    )
    assert done.stdout.count("in the middle of a call") == 2, done.stderr


def test_the_text_of_a_trap_is_its_cause_alone(loader: Loader) -> None:
    wasm = Wat(execute="(drop (i32.load (i32.const 0x7ffffff0))) unreachable").wasm()
    with loader().load(wasm) as plugin, pytest.raises(FunctionCall) as caught:
        plugin.execute([])
    assert caught.value.detail is None, "it says no more than the kind"


def test_results_longer_than_a_c_int_are_read_another_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sen_host_wasmtime.backend._LONGEST_STRING", 5)
    loader = PluginLoader("wasmtime", binding="c-api", config=Config.defaults())
    with loader.load(Wat().wasm()) as plugin:
        assert plugin.execute([]) == Success("fine")


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "in-a-call"])
def test_the_interpreter_ends_in_silence_while_plugins_are_open(binding: str, busy: bool) -> None:
    code = f"""
import os, threading, time
from sen_host import Config, Limits, PluginLoader
from tests.guests import ENDLESS_ON_REQUEST
limits = Limits(fuel=None)
loader = PluginLoader("wasmtime", binding={binding!r}, limits=limits, config=Config.defaults())
os.kept = plugin = loader.load(ENDLESS_ON_REQUEST)  # modules go in the reverse of their order
if {busy}:
    threading.Thread(target=plugin.execute, args=(["for ever"],), daemon=True).start()
    time.sleep(0.1)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_many_instances_are_freed(loader: Loader) -> None:
    with loader().load(RECURSING) as plugin:
        for _ in range(50):
            with pytest.raises(FunctionCall):
                plugin.execute([])
    with loader().load(Wat().wasm()) as plugin:
        assert plugin.execute([]) == Success("fine")


def test_a_plugin_that_was_not_closed_is_freed_without_the_garbage_collector(
    loader: Loader,
) -> None:
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
    limits = Limits(wall_clock_seconds=60)
    fast = PluginLoader("wasmtime", binding="c-api", limits=limits, config=Config.defaults())
    with fast.load(Wat().wasm()) as plugin:
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
