"""The life of a plugin, on every backend."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from sen_host import Config, Limits, Plugin, PluginLoader
from sen_host.backend import Capability
from sen_host.errors import (
    ConfigError,
    EffectLimitExceeded,
    EffectsNotSupported,
    FuelExhausted,
    FunctionCall,
    Instantiation,
    LimitNotEnforceable,
    ModuleCompilation,
    PluginClosed,
    Serialization,
    TrapKind,
    WallClockExceeded,
    WorkerDied,
    WrongThread,
)
from sen_host.messages import (
    Effect,
    EffectResult,
    Error,
    Sleep,
    SleepComplete,
    Success,
    encode,
)
from sen_host_conformance.hosts import Host
from tests.wat import ANSWER, ANSWER_AT, HEAP_AT, TRAP_SUPPORT, TRAPS, Wat, message, packed

GOOD = Wat().wasm()

# Each of its functions costs 2 at most: the entry and one constant.
FRUGAL = Wat(alloc=f"(i32.const {HEAP_AT})").wasm()

# Counts its calls in memory and answers with the count as one character.
COUNTING = Wat(
    execute=f"""
    (i32.store8 (i32.const {ANSWER_AT + len(ANSWER) - 1})
      (i32.add (i32.const 1) (i32.load8_u (i32.const {ANSWER_AT + len(ANSWER) - 1}))))
    (if (i32.gt_u (local.get $length) (i32.const 1)) (then unreachable))
    {packed(ANSWER_AT, len(ANSWER))}""",
).wasm()

SLEEPING = Wat(
    answer_bytes=encode(Sleep(id=7, duration_ms=5)),
    extra='(data (i32.const 3072) "\\81\\a7Success\\a4done")',
    resume="""
    (if (result i64) (i32.eq (local.get 0) (i32.const 7))
      (then (i64.const 0x00000c000000000e))
      (else unreachable))""",
).wasm()

ENDLESS = Wat(execute="(loop $again (br $again)) unreachable").wasm()


ENDLESS_ON_REQUEST = Wat(
    execute=f"""
    (if (i32.gt_u (local.get $length) (i32.const 1)) (then (loop $again (br $again))))
    {packed(ANSWER_AT, len(ANSWER))}""",
).wasm()


class TestLifecycle:
    def test_memory_is_kept_from_call_to_call(self, host: Host) -> None:
        with host.loader().load(COUNTING) as plugin:
            assert [plugin.execute([]) for _ in range(3)] == [
                Success("fin" + chr(ord("e") + count)) for count in (1, 2, 3)
            ]

    def test_after_a_trap_the_next_call_gets_a_fresh_instance(self, host: Host) -> None:
        with host.loader().load(COUNTING) as plugin:
            plugin.execute([])
            plugin.execute([])
            with pytest.raises(FunctionCall):
                plugin.execute(["trap"])
            assert plugin.execute([]) == Success("finf"), "counting starts anew"

    def test_closing(self, host: Host) -> None:
        plugin = host.loader().load(GOOD)
        plugin.close()
        plugin.close()
        with pytest.raises(PluginClosed):
            plugin.execute([])

    def test_what_the_plugin_tells_of_itself(self, host: Host, tmp_path: Path) -> None:
        path = tmp_path / "good.wasm"
        path.write_bytes(GOOD)
        with host.loader().load(path) as plugin:
            assert plugin.manifest.command.name == "test"
            assert plugin.path == str(path)
            assert (plugin.backend, plugin.binding.name) == (host.backend, host.binding)
            assert plugin.binding.isolation == host.isolation
            assert not plugin.supports_effects
            assert plugin.memory_bytes == 65_536
            assert repr(plugin) == f"<Plugin 'test' from {path} on {host.backend}>"

    def test_several_plugins_at_once(self, host: Host) -> None:
        loader = host.loader()
        plugins = [loader.load(COUNTING) for _ in range(3)]
        for plugin in plugins:
            assert plugin.execute([]) == Success("finf")
        for plugin in plugins:
            plugin.close()

    @pytest.mark.parametrize("args", ["text", b"bytes", [b"bytes"], [1], [None]])
    def test_arguments_that_are_no_strings(self, host: Host, args: list[str]) -> None:
        with host.loader().load(GOOD) as plugin:
            with pytest.raises(Serialization):
                plugin.execute(args)
            assert plugin.execute(["fine"]) == Success("fine")


class TestEffects:
    def test_run_drives_effects_to_the_end(self, host: Host) -> None:
        asked: list[Effect] = []

        def handler(effect: Effect) -> EffectResult:
            asked.append(effect)
            return SleepComplete()

        with host.loader().load(SLEEPING) as plugin:
            assert plugin.supports_effects
            assert plugin.run([], handler) == Success("done")
        assert asked == [Sleep(id=7, duration_ms=5)]

    def test_run_async(self, host: Host) -> None:
        async def handler(effect: Effect) -> EffectResult:
            await asyncio.sleep(0)
            return SleepComplete()

        with host.loader().load(SLEEPING) as plugin:
            assert asyncio.run(plugin.run_async([], handler)) == Success("done")

    def test_what_the_handler_raises_reaches_the_caller(self, host: Host) -> None:
        def handler(effect: Effect) -> EffectResult:
            raise ConnectionError("no network")

        with host.loader().load(SLEEPING) as plugin:
            with pytest.raises(ConnectionError, match="no network"):
                plugin.run([], handler)
            assert isinstance(plugin.execute([]), Sleep)

    def test_effects_without_end(self, host: Host) -> None:
        sleep = encode(Sleep(id=7, duration_ms=5))
        wasm = Wat(answer_bytes=sleep, resume=message(ANSWER_AT, sleep)).wasm()
        with (
            host.loader().load(wasm) as plugin,
            pytest.raises(EffectLimitExceeded, match="more than 3 effects"),
        ):
            plugin.run([], lambda effect: SleepComplete(), max_effects=3)

    def test_resume_on_a_plugin_without_it(self, host: Host) -> None:
        with host.loader().load(GOOD) as plugin:
            with pytest.raises(EffectsNotSupported):
                plugin.resume(1, SleepComplete())
            assert plugin.execute([]) == Success("fine")

    def test_an_error_is_a_result_not_an_exception(self, host: Host) -> None:
        wasm = Wat(answer_bytes=encode(Error(3, "not today"))).wasm()
        with host.loader().load(wasm) as plugin:
            assert plugin.execute([]) == Error(3, "not today")


class TestLimits:
    def test_the_wall_clock(self, host: Host) -> None:
        limits = Limits(fuel=None, wall_clock_seconds=0.3)
        if not interrupts(host):
            with pytest.raises(LimitNotEnforceable, match="wall_clock_seconds") as caught:
                host.loader(limits)
            assert "set isolation to 'process'" in str(caught.value)
            return
        with host.loader(limits).load(ENDLESS) as plugin:
            for _ in range(2):
                with pytest.raises(WallClockExceeded, match=r"'plugin_execute' after 0\.3 s"):
                    plugin.execute([])

    def test_fuel(self, host: Host) -> None:
        with host.loader(Limits(fuel=5_000)).load(ENDLESS) as plugin:
            for _ in range(3):
                with pytest.raises(FuelExhausted, match="its budget of 5,000 is spent"):
                    plugin.execute([])
                assert (plugin.fuel_used, plugin.fuel_left) == (5_000, 0)

    @pytest.mark.parametrize("budget", [2, 3, 10_000_000, 2**63 - 1, 2**63, 2**64 - 1, None])
    def test_fuel_is_reported(self, host: Host, budget: int | None) -> None:
        with host.loader(Limits(fuel=budget)).load(FRUGAL) as plugin:
            assert plugin.execute([]) == Success("fine")
            assert plugin.fuel_used == 2, "the entry and one constant"
            assert plugin.fuel_left == (None if budget is None else budget - 2)

    def test_a_budget_that_is_one_too_small(self, host: Host) -> None:
        with pytest.raises(FuelExhausted, match="'plugin_manifest', its budget of 1 is spent"):
            host.loader(Limits(fuel=1)).load(FRUGAL)

    @pytest.mark.parametrize("function", ["alloc", "execute"])
    def test_what_is_used_up_to_a_trap(self, host: Host, function: str) -> None:
        parts: dict[str, Any] = {function: f"(drop (i32.const 1)) {TRAPS['UNREACHABLE']}"}
        trapping = Wat(**parts).wasm()
        with host.loader(Limits(fuel=100)).load(trapping) as plugin:
            with pytest.raises(FunctionCall):
                plugin.execute([])
            assert (plugin.fuel_used, plugin.fuel_left) == (2, 98)

    def test_a_recursion_without_end(self, host: Host) -> None:
        recursing = Wat(execute="(call $recurse) unreachable", extra=TRAP_SUPPORT).wasm()
        # The frame of execute has two parameters; each of the others is the smallest.
        depth = (Limits().stack_bytes - 64 * 1024 - (96 + 2 * 8)) // 96
        with host.loader().load(recursing) as plugin:
            for _ in range(2):
                with pytest.raises(FunctionCall) as caught:
                    plugin.execute([])
                assert caught.value.trap is TrapKind.STACK_OVERFLOW
                # An entry and all calls each, by the one that had no room as well.
                assert plugin.fuel_used == (1 + 1) + (1 + 2) * (depth + 1)

    def test_more_stack_than_an_engine_has_is_refused(self, host: Host) -> None:
        recursing = Wat(execute="(call $recurse) unreachable", extra=TRAP_SUPPORT).wasm()
        limits = Limits(stack_bytes=2 << 20)
        if host.binding == "sdk":
            with pytest.raises(LimitNotEnforceable, match=r"limits\.stack_bytes") as caught:
                host.loader(limits)
            assert "1,048,576 bytes" in str(caught.value)
            return
        with host.loader(limits).load(recursing) as plugin:
            with pytest.raises(FunctionCall):
                plugin.execute([])
            assert plugin.fuel_used is not None
            assert plugin.fuel_used > 40_000

    def test_an_endless_dealloc_runs_out_of_fuel(
        self, host: Host, caplog: pytest.LogCaptureFixture
    ) -> None:
        endless = Wat(dealloc="(loop (br 0))").wasm()
        with host.loader(Limits(fuel=5_000)).load(endless) as plugin:
            assert plugin.execute([]) == Success("fine")
        assert "plugin_dealloc failed after plugin_execute: out of fuel" in caplog.text

    def test_the_size_of_the_module(self, host: Host) -> None:
        with pytest.raises(ModuleCompilation, match="the limit is 64 bytes"):
            host.loader(Limits(module_bytes=64)).load(GOOD)


class TestStartFunctions:
    """They run when an instance is made, with a budget and a stack of their own."""

    @staticmethod
    def with_start(code: str, **parts: Any) -> bytes:
        extra = f"(func $start {code}) (start $start) {TRAP_SUPPORT}"
        return Wat(extra=extra, **parts).wasm()

    def test_it_runs_before_all_else_and_once(self, host: Host) -> None:
        count = "(global.set $next (i32.add (global.get $next) (i32.const 1)))"
        # The answer is a message of three bytes: a fixstr of the letters that follow.
        once = self.with_start(
            f"{count} (i32.store8 (i32.const {ANSWER_AT + len(ANSWER) - 1}) (global.get $next))",
        )
        expected = Success("fin" + chr((HEAP_AT + 1) % 256))
        with host.loader().load(once) as plugin:
            assert plugin.execute([]) == plugin.execute([]) == expected

    @pytest.mark.parametrize("name", TRAPS)
    def test_a_trap_is_a_failed_instantiation(self, host: Host, name: str) -> None:
        with pytest.raises(Instantiation) as caught:
            host.loader().load(self.with_start(TRAPS[name]))
        assert caught.value.trap is TrapKind[name]

    def test_one_that_never_ends_runs_out_of_fuel(self, host: Host) -> None:
        endless = self.with_start("(loop (br 0))")
        with pytest.raises(FuelExhausted, match="'instantiation', its budget of 500 is spent"):
            host.loader(Limits(fuel=500)).load(endless)

    def test_one_that_never_ends_runs_out_of_time(self, host: Host) -> None:
        limits = Limits(fuel=None, wall_clock_seconds=0.3)
        if interrupts(host):
            with pytest.raises(WallClockExceeded, match="'instantiation'"):
                host.loader(limits).load(self.with_start("(loop (br 0))"))

    def test_its_budget_is_not_that_of_the_next_call(self, host: Host) -> None:
        costly = self.with_start("(drop (i32.const 1))" * 50, alloc=f"(i32.const {HEAP_AT})")
        with host.loader(Limits(fuel=51)).load(costly) as plugin:
            assert plugin.execute([]) == Success("fine")
            assert (plugin.fuel_used, plugin.fuel_left) == (2, 49)
        with pytest.raises(FuelExhausted):
            host.loader(Limits(fuel=50)).load(costly)

    def test_every_fresh_instance_is_started(self, host: Host) -> None:
        trapping = self.with_start(
            f"(global.set $next (i32.const {2 * HEAP_AT}))", execute="(unreachable)"
        )
        with host.loader().load(trapping) as plugin:
            for _ in range(2):
                with pytest.raises(FunctionCall):
                    plugin.execute([])


class TestAcceptedProfile:
    """A module that one engine would not take is refused on all, unless it is accepted."""

    WIDE = Wat(extra="(func (param v128) (drop (f64x2.promote_low_f32x4 (local.get 0))))").wasm()

    def test_what_is_beyond_it_is_refused(self, host: Host) -> None:
        with pytest.raises(ModuleCompilation, match=r"v128 in function type .* SIMD"):
            host.loader().load(self.WIDE)

    def test_it_can_be_widened_for_an_engine_that_runs_it(self) -> None:
        loader = PluginLoader("wasmtime", accept={"simd"}, config=Config.defaults())
        with loader.load(self.WIDE) as plugin:
            assert plugin.execute([]) == Success("fine")

    def test_it_cannot_be_widened_for_any_engine(self) -> None:
        with pytest.raises(ConfigError, match="accept is simd, and backend is auto"):
            PluginLoader(accept={"simd"}, config=Config.defaults())


class TestThreads:
    def test_calls_from_other_threads(self, host: Host) -> None:
        with host.loader().load(COUNTING) as plugin:
            if not plugin.binding.has(Capability.ANY_THREAD):
                assert isinstance(in_thread(plugin.execute), WrongThread)
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


def test_arguments_reach_the_guest(host: Host) -> None:
    """The payload stands where the guest's allocator said, byte for byte."""
    echo = Wat(
        execute=f"""
        (i32.store8 (i32.const {ANSWER_AT + len(ANSWER) - 1})
          (i32.load8_u (i32.add (local.get $pointer) (i32.const 2))))
        {packed(ANSWER_AT, len(ANSWER))}""",
    )
    with host.loader().load(echo.wasm()) as plugin:
        assert plugin.execute(["Z"]) == Success("finZ")
    assert HEAP_AT > ANSWER_AT


def test_a_config_without_arguments_is_enough() -> None:
    with PluginLoader(config=Config.defaults()).load(GOOD) as plugin:
        assert plugin.execute() == Success("fine")


def interrupts(host: Host) -> bool:
    from sen_host import open_backend

    backend = open_backend(host.backend, binding=host.binding, isolation=host.isolation)
    return backend.binding.has(Capability.WALL_CLOCK)


def in_thread(function: object) -> BaseException | None:
    caught: list[BaseException] = []

    def work() -> None:
        try:
            function()  # type: ignore[operator]
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return caught[0] if caught else None


class TestMistakes:
    def test_a_result_that_is_no_effect_result(self, host: Host) -> None:
        with host.loader().load(SLEEPING) as plugin:
            plugin.execute([])
            with pytest.raises(Serialization, match="the result of effect 7 is of type Success"):
                plugin.resume(7, Success("x"))  # type: ignore[arg-type]

    def test_an_async_handler_for_run_and_the_other_way_round(self, host: Host) -> None:
        async def late() -> EffectResult:
            return SleepComplete()

        with host.loader().load(SLEEPING) as plugin:
            coroutine = late()
            with pytest.raises(Serialization, match="use run_async"):
                plugin.run([], lambda effect: coroutine)  # type: ignore[arg-type,return-value]
            coroutine.close()
            with pytest.raises(Serialization, match="use run"):
                asyncio.run(
                    plugin.run_async([], lambda effect: SleepComplete())  # type: ignore[arg-type,return-value]
                )

    def test_errors_name_the_plugin(self, host: Host, tmp_path: Path) -> None:
        path = tmp_path / "good.wasm"
        path.write_bytes(GOOD)
        plugin = host.loader().load(path)
        with pytest.raises(EffectsNotSupported) as caught:
            plugin.resume(1, SleepComplete())
        assert caught.value.plugin == str(path)
        plugin.close()
        with pytest.raises(PluginClosed, match=r"good\.wasm: the plugin is closed"):
            plugin.execute([])

    @pytest.mark.parametrize("kind", [bytearray, memoryview])
    def test_bytes_of_any_kind_are_a_module(self, host: Host, kind: type) -> None:
        with host.loader().load(kind(GOOD)) as plugin:
            assert plugin.execute([]) == Success("fine")


def test_closing_ends_a_call_that_runs_in_a_worker(host: Host) -> None:
    if host.isolation == "none":
        pytest.skip("a guest in this process runs to its end")
    plugin = host.loader(Limits(fuel=None, wall_clock_seconds=60)).load(ENDLESS)
    ended: list[BaseException | None] = []
    caller = threading.Thread(target=lambda: ended.append(in_thread(plugin.execute)))
    caller.start()
    while not plugin._lock.locked():
        time.sleep(0.01)
    assert plugin.memory_bytes == 65_536, "it does not wait for the call"
    plugin.close()
    caller.join()
    assert isinstance(ended[0], (WorkerDied, PluginClosed))


@pytest.mark.parametrize(
    "arguments", [{"isolation": "thread"}, {"backend": 3}, {"backend": int}], ids=str
)
def test_arguments_of_the_loader_are_checked(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        PluginLoader(**arguments, config=Config.defaults())


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
        error = in_thread(plugin.execute)
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
