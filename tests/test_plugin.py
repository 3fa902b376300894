"""The life of a plugin, on every backend."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sen_host import Config, PluginLoader
from sen_host.errors import (
    ConfigError,
    EffectLimitExceeded,
    EffectsNotSupported,
    FunctionCall,
    ModuleCompilation,
    PluginClosed,
    Serialization,
)
from sen_host.messages import Effect, EffectResult, Error, Sleep, SleepComplete, Success, encode
from sen_host_conformance.hosts import Host
from tests.guests import COUNTING, GOOD, SLEEPING
from tests.wat import ANSWER, ANSWER_AT, HEAP_AT, Wat, message, packed


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


@pytest.mark.parametrize(
    "arguments", [{"isolation": "thread"}, {"backend": 3}, {"backend": int}], ids=str
)
def test_arguments_of_the_loader_are_checked(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        PluginLoader(**arguments, config=Config.defaults())
