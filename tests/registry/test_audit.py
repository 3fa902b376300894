"""What a registry reports of loads, calls and effects."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from sen_host import PluginLoader, PluginRegistry
from sen_host.errors import CommandConflict, FunctionCall, ModuleCompilation
from sen_host.messages import Effect, EffectResult, Error, Success, encode
from sen_host.registry.events import CallEvent, EffectEvent, RegistryEvent
from sen_host.registry.recorder import public_url
from sen_host_conformance.hosts import Host
from tests.registry.support import manifest, measuring, save, saying, sleeping
from tests.wat import Wat

ECHO = Path(__file__).parents[2] / "plugins" / "echo" / "echo.wasm"


class Sink:
    def __init__(self) -> None:
        self.events: list[RegistryEvent | CallEvent | EffectEvent] = []

    def record(self, event: RegistryEvent | CallEvent | EffectEvent, /) -> None:
        self.events.append(event)

    def of_registry(self) -> list[RegistryEvent]:
        return [event for event in self.events if isinstance(event, RegistryEvent)]

    def calls(self) -> list[CallEvent]:
        return [event for event in self.events if isinstance(event, CallEvent)]

    def effects(self) -> list[EffectEvent]:
        return [event for event in self.events if isinstance(event, EffectEvent)]


@pytest.fixture
def sink() -> Sink:
    return Sink()


def test_plugins_that_come_change_and_go(sink: Sink, tmp_path: Path) -> None:
    path = save(tmp_path / "x.wasm", saying("x", "1"))
    other = save(tmp_path / "y.wasm", saying("x", "2"))
    loader = PluginLoader("wasmtime")
    with PluginRegistry(loader, audit=sink, application="app") as registry:
        registry.load(path)
        save(path, saying("x", "3"))
        registry.reload("x")
        registry.refresh(path)
        with pytest.raises(CommandConflict):
            registry.load(other)
        save(path, b"broken")
        with pytest.raises(ModuleCompilation):
            registry.reload("x")
        registry.register(loader.load(saying("z", "z")))
        registry.unload("x")
    events = sink.of_registry()
    assert [(event.kind, event.plugin, event.path, event.fault) for event in events] == [
        ("loaded", "x", str(path), None),
        ("reloaded", "x", str(path), None),
        ("load failed", None, str(other), "CommandConflict"),
        ("load failed", None, str(path), "ModuleCompilation"),
        ("loaded", "z", None, None),
        ("unloaded", "x", str(path), None),
        ("unloaded", "z", None, None),
    ]
    assert {event.application for event in events} == {"app"}
    assert events[1].sha256 == events[5].sha256 != events[0].sha256


class TestCalls:
    def test_an_answer(self, host: Host, sink: Sink) -> None:
        with PluginRegistry(host.loader(), audit=sink) as registry:
            plugin = host.loader().load(measuring("db", "create"))
            registry.register(plugin)
            registry.execute("db:create", ["secret"])
            [event] = sink.calls()
            assert event.plugin == "db"
            assert event.sha256 == plugin.sha256
            assert event.function == "plugin_execute"
            assert (event.arguments, event.values) == (2, None)
            assert (event.result, event.code, event.detail) == ("success", None, None)
            assert event.fuel_used == plugin.fuel_used
            assert event.fuel_used
            assert event.seconds > 0
        assert "secret" not in repr(sink.events)

    def test_values_if_they_are_asked_for(self, sink: Sink) -> None:
        loader = PluginLoader("wasmtime")
        with PluginRegistry(loader, audit=sink, audit_values=True) as registry:
            registry.register(loader.load(measuring("db", "create")))
            registry.execute("db create", ["a"])
        assert sink.calls()[0].values == ("create", "a")

    def test_an_error_and_a_fault(self, sink: Sink) -> None:
        loader = PluginLoader("wasmtime")
        failing = Wat(manifest_bytes=manifest("f"), answer_bytes=encode(Error(3, "no"))).wasm()
        trapping = Wat(manifest_bytes=manifest("t"), execute="unreachable").wasm()
        with PluginRegistry(loader, audit=sink) as registry:
            registry.register(loader.load(failing))
            registry.register(loader.load(trapping))
            assert registry.run("f") == Error(3, "no")
            with pytest.raises(FunctionCall):
                registry.run("t")
        assert [(event.result, event.code, event.detail) for event in sink.calls()] == [
            ("error", 3, None),
            ("fault", None, "FunctionCall"),
        ]

    def test_each_has_its_own_fuel(self, sink: Sink) -> None:
        """Though threads call one plugin at a time."""
        loader = PluginLoader("wasmtime")
        with PluginRegistry(loader, audit=sink) as registry:
            registry.register(loader.load(ECHO))

            def call(count: int) -> None:
                for _ in range(100):
                    registry.execute("echo", ["x" * 100] * count)

            threads = [threading.Thread(target=call, args=(count,)) for count in (1, 50)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        # What echo uses differs by some units with what its allocator did before.
        fuel = [(event.arguments, event.fuel_used or 0) for event in sink.calls()]
        assert len(fuel) == 200
        assert all(used < 5_000 if count == 1 else used > 100_000 for count, used in fuel)


class TestEffects:
    @pytest.mark.parametrize("way", ["sync", "async"])
    def test_an_effect_stands_between_its_calls(self, sink: Sink, way: str) -> None:
        loader = PluginLoader("wasmtime")
        with PluginRegistry(loader, audit=sink) as registry:
            registry.register(loader.load(sleeping("nap")))
            if way == "sync":
                assert registry.run("nap") == Success("done")
            else:
                assert asyncio.run(registry.run_async("nap")) == Success("done")
        _, first, effect, second, _ = sink.events
        assert isinstance(first, CallEvent)
        assert isinstance(effect, EffectEvent)
        assert isinstance(second, CallEvent)
        assert (first.result, first.detail) == ("effect", "Sleep")
        assert (effect.effect, effect.url, effect.outcome) == ("Sleep", None, "SleepComplete")
        assert effect.seconds >= 0.005
        assert (second.function, second.arguments) == ("plugin_resume", 0)

    def test_a_handler_that_raises(self, sink: Sink) -> None:
        def handle(effect: Effect) -> EffectResult:
            raise KeyError("no such thing")

        loader = PluginLoader("wasmtime")
        with PluginRegistry(loader, audit=sink) as registry:
            registry.register(loader.load(sleeping("nap")))
            with pytest.raises(KeyError):
                registry.run("nap", [], handle)
        assert [event.outcome for event in sink.effects()] == ["KeyError"]

    @pytest.mark.parametrize(
        ("url", "public"),
        [
            ("https://example.org/a/b?token=1#x", "https://example.org/a/b"),
            ("https://user:pass@example.org:8080/a", "https://example.org:8080/a"),
            ("https://a@b@example.org", "https://example.org"),
            ("https://example.org/a@b", "https://example.org/a@b"),
            ("https://example.org#user:pass@x", "https://example.org"),
            ("nonsense", "nonsense"),
            ("", ""),
            ("https://x/" + "a" * 1000, "https://x/" + "a" * 490 + "..."),
        ],
    )
    def test_no_secret_of_a_url_is_told(self, url: str, public: str) -> None:
        assert public_url(url) == public
