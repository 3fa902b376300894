"""What a registry tells of its plugins."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sen_host import Audit, EffectDriver, Limits, Permissions, PluginLoader, PluginRegistry
from sen_host.audit import (
    AuditEvent,
    BrokenLine,
    CallEvent,
    EffectEvent,
    FileAuditSink,
    MemoryAuditSink,
    PermissionEvent,
    PluginEvent,
    read_events,
)
from sen_host.errors import (
    AuditError,
    FuelExhausted,
    ModuleCompilation,
    PermissionDenied,
    SenHostError,
)
from sen_host.messages import (
    Effect,
    EffectError,
    EffectResult,
    Error,
    HttpGet,
    NetPattern,
    NetProtocol,
    SleepComplete,
    Success,
    encode,
)
from sen_host.permissions import AutomaticPrompt, Choice, MemoryPermissionStore
from sen_host_conformance.hosts import Host
from tests.effects.server import Server
from tests.guests import ENDLESS, GOOD, SLEEPING
from tests.registry.test_granted import fetching
from tests.wat import Wat

FAILING = Wat(answer_bytes=encode(Error(7, "no"))).wasm()
SECRET = "hunter2"


@pytest.fixture
def sink() -> MemoryAuditSink:
    return MemoryAuditSink()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def calls(sink: MemoryAuditSink) -> list[CallEvent]:
    return [event for event in sink.events if isinstance(event, CallEvent)]


def test_a_call_is_told_with_its_fuel_but_not_with_its_arguments(
    host: Host, sink: MemoryAuditSink, tmp_path: Path
) -> None:
    path = tmp_path / "test.wasm"
    path.write_bytes(GOOD)
    with PluginRegistry(host.loader(), audit=sink) as registry:
        registry.load(path)
        assert registry.execute("test", [SECRET]) == Success("fine")
        with registry.lease("test") as session:
            session.execute([SECRET])
            fuel = session.fuel_used
        registry.reload("test")
        registry.unload("test")
    loaded, first, second, reloaded, unloaded = sink.events
    assert isinstance(loaded, PluginEvent)
    assert (loaded.name, loaded.path, loaded.plugin) == ("plugin.loaded", str(path), "test")
    assert loaded.seconds is not None
    for call in (first, second):
        assert isinstance(call, CallEvent)
        assert (call.outcome, call.function) == ("success", "plugin_execute")
        assert (call.fuel_used, call.argument_count, call.arguments) == (fuel, 1, None)
        assert call.sha256 == loaded.sha256
    assert [reloaded.name, unloaded.name] == ["plugin.reloaded", "plugin.unloaded"]
    assert SECRET not in str([event.to_dict() for event in sink.events])


def test_values_are_told_if_that_is_asked_for(sink: MemoryAuditSink) -> None:
    audit = Audit(sink, application="app", values=True)
    with PluginRegistry(audit=audit) as registry:
        registry.register(PluginLoader("wasmtime").load(GOOD))
        registry.execute("test", ["a", "b"])
    [call] = calls(sink)
    assert (call.application, call.arguments) == ("app", ("a", "b"))


@pytest.mark.parametrize(
    ("wasm", "outcome", "code", "fault"),
    [
        (FAILING, "error", 7, None),
        (ENDLESS, "fault", None, "FuelExhausted"),
        (SLEEPING, "effect", None, None),
    ],
)
def test_outcomes(
    host: Host,
    sink: MemoryAuditSink,
    wasm: bytes,
    outcome: str,
    code: int | None,
    fault: str | None,
) -> None:
    loader = host.loader(limits=Limits(fuel=1_000))
    with PluginRegistry(loader, audit=sink) as registry:
        registry.register(loader.load(wasm))
        try:
            registry.execute("test")
        except FuelExhausted:
            assert fault
    [call] = calls(sink)
    assert (call.outcome, call.code, call.fault) == (outcome, code, fault)


def test_a_plugin_that_cannot_be_loaded(sink: MemoryAuditSink, tmp_path: Path) -> None:
    path = tmp_path / "broken.wasm"
    path.write_bytes(b"\0asm\x01\0\0\0broken")
    with PluginRegistry(audit=sink) as registry, pytest.raises(ModuleCompilation):
        registry.load(path)
    [event] = sink.events
    assert isinstance(event, PluginEvent)
    assert event.name == "plugin.load-failed"
    assert event.path == str(path)
    assert event.reason is not None


def named(events: tuple[AuditEvent | BrokenLine, ...]) -> list[str]:
    return [event.name for event in events if isinstance(event, AuditEvent)]


@pytest.mark.parametrize("way", ["sync", "async"])
def test_a_run_with_permissions_and_an_effect(
    sink: MemoryAuditSink, server: Server, way: str
) -> None:
    told: list[Any] = []
    permissions = Permissions(
        "app",
        store=MemoryPermissionStore(),
        prompt=AutomaticPrompt(Choice.ALWAYS),
        audit=sink,
    )
    loader = PluginLoader("wasmtime")
    driver = EffectDriver(observer=told.append)
    with PluginRegistry(loader, permissions=permissions, effects=driver, audit=sink) as registry:
        registry.register(loader.load(fetching(server)))
        if way == "sync":
            assert registry.run("get") == Success("done")
        else:
            assert asyncio.run(registry.run_async("get")) == Success("done")
    assert named(sink.events) == [
        "plugin.loaded",
        "permission.requested",
        "permission.granted",
        "call",
        "effect",
        "call",
        "plugin.unloaded",
    ]
    assert {event.application for event in sink.events} == {"app"}
    first, second = calls(sink)
    assert (first.outcome, first.function) == ("effect", "plugin_execute")
    assert (second.outcome, second.function) == ("success", "plugin_resume")
    [effect] = [event for event in sink.events if isinstance(event, EffectEvent)]
    assert (effect.effect, effect.status, effect.reason) == ("HttpGet", 200, None)
    assert effect.url == server.url("/plain")
    [report] = told
    assert report.status == 200


def test_an_effect_that_is_refused_is_told_without_its_secrets(sink: MemoryAuditSink) -> None:
    wasm = Wat(
        answer_bytes=encode(HttpGet(id=7, url=f"https://example.com/a?key={SECRET}")),
        extra='(data (i32.const 3072) "\\81\\a7Success\\a4done")',
        resume="(i64.const 0x00000c000000000e)",
    ).wasm()
    loader = PluginLoader("wasmtime")
    with PluginRegistry(loader, audit=sink) as registry:
        registry.register(loader.load(wasm))
        assert registry.run("test") == Success("done")
    [effect] = [event for event in sink.events if isinstance(event, EffectEvent)]
    assert effect.url == "https://example.com/a"
    assert effect.reason is not None
    assert SECRET not in str([event.to_dict() for event in sink.events])


@pytest.mark.parametrize("way", ["sync", "async"])
@pytest.mark.parametrize("outcome", ["done", "refused", "raised"])
def test_effects_of_a_handler_of_ones_own(sink: MemoryAuditSink, way: str, outcome: str) -> None:
    def handle(effect: Effect) -> EffectResult:
        if outcome == "raised":
            raise ValueError(SECRET)
        return SleepComplete() if outcome == "done" else EffectError("not now")

    async def handle_async(effect: Effect) -> EffectResult:
        return handle(effect)

    loader = PluginLoader("wasmtime")
    with PluginRegistry(loader, audit=sink) as registry:
        registry.register(loader.load(SLEEPING))
        try:
            if way == "sync":
                registry.run("test", [], handle)
            else:
                asyncio.run(registry.run_async("test", [], handle_async))
        except ValueError:
            assert outcome == "raised"
    [effect] = [event for event in sink.events if isinstance(event, EffectEvent)]
    reasons = {"done": None, "refused": "not now", "raised": "the handler raised ValueError"}
    assert (effect.effect, effect.reason) == ("Sleep", reasons[outcome])


def test_a_denial(sink: MemoryAuditSink, server: Server) -> None:
    permissions = Permissions(
        "app", store=MemoryPermissionStore(), prompt=AutomaticPrompt(Choice.DENY), audit=sink
    )
    loader = PluginLoader("wasmtime")
    with PluginRegistry(loader, permissions=permissions, audit=sink) as registry:
        registry.register(loader.load(fetching(server)))
        with pytest.raises(PermissionDenied):
            registry.execute("get")
    _, asked, denied, _ = sink.events
    assert isinstance(denied, PermissionEvent)
    assert named((asked, denied)) == ["permission.requested", "permission.denied"]
    pattern = NetPattern("127.0.0.1", server.port, NetProtocol.HTTP)
    assert pattern.host in " ".join(denied.capabilities)


def test_a_strict_file_that_fails_fails_the_call(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    loader = PluginLoader("wasmtime")
    with PluginRegistry(loader, audit=FileAuditSink(path, strict=True)) as registry:
        registry.register(loader.load(GOOD))
        assert registry.execute("test") == Success("fine")
        path.unlink()
        path.mkdir()
        with pytest.raises(AuditError):
            registry.execute("test")
        path.rmdir()
        assert registry.execute("test") == Success("fine")
    assert named(tuple(read_events(path))) == ["call", "plugin.unloaded"]


def test_a_file_that_fails_does_not_fail_the_call(tmp_path: Path) -> None:
    sink = FileAuditSink(tmp_path)
    loader = PluginLoader("wasmtime")
    with PluginRegistry(loader, audit=sink) as registry:
        registry.register(loader.load(GOOD))
        try:
            assert registry.execute("test") == Success("fine")
        except SenHostError as error:  # the text tells which
            pytest.fail(str(error))
    assert sink.lost == 3
