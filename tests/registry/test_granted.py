"""A registry's plugins use what they were granted, and nothing else."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from sen_host import EffectDriver, Permissions, Plugin, PluginLoader, PluginRegistry
from sen_host.backend import Capability
from sen_host.errors import PermissionDenied
from sen_host.messages import (
    Capabilities,
    CommandSpec,
    HttpGet,
    NetPattern,
    NetProtocol,
    PluginManifest,
    Success,
    encode,
)
from sen_host.permissions import AutomaticPrompt, Choice, MemoryPermissionStore
from sen_host.wasi import Wasi
from sen_host_conformance.hosts import Host
from tests.effects.server import Server
from tests.registry.support import measured, measuring, sleeping
from tests.wat import Wat

PROBE = Path(__file__).parents[2] / "plugins" / "probe" / "probe.wasm"


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def fetching(server: Server) -> bytes:
    """A plugin that wants to get the server's page, does so, and says ``done``."""
    net = (NetPattern("127.0.0.1", server.port, NetProtocol.HTTP),)
    spec = CommandSpec("get", "gets a page")
    return Wat(
        manifest_bytes=encode(PluginManifest.new(spec, Capabilities(net=net))),
        answer_bytes=encode(HttpGet(id=7, url=server.url("/plain"))),
        extra='(data (i32.const 3072) "\\81\\a7Success\\a4done")',
        resume="(i64.const 0x00000c000000000e)",
    ).wasm()


def permissions(choice: Choice) -> Permissions:
    return Permissions("test", store=MemoryPermissionStore(), prompt=AutomaticPrompt(choice))


def run_in_each_way(registry: PluginRegistry, way: str) -> object:
    if way == "async":
        return asyncio.run(registry.run_async("get"))
    return registry.run("get")


@pytest.mark.parametrize("way", ["sync", "async"])
class TestEffects:
    def test_what_is_granted_is_reached(self, host: Host, server: Server, way: str) -> None:
        with PluginRegistry(host.loader(), permissions=permissions(Choice.ALWAYS)) as registry:
            registry.register(host.loader().load(fetching(server)))
            assert run_in_each_way(registry, way) == Success("done")
        assert [request.target for request in server.requests] == ["/plain"]

    def test_without_a_grant_the_plugin_is_not_called(self, server: Server, way: str) -> None:
        loader = PluginLoader("wasmtime")
        with PluginRegistry(loader, permissions=permissions(Choice.DENY)) as registry:
            registry.register(loader.load(fetching(server)))
            with pytest.raises(PermissionDenied):
                run_in_each_way(registry, way)
            with pytest.raises(PermissionDenied):
                registry.execute("get")
            with registry.lease("get") as session, pytest.raises(PermissionDenied):
                session.execute()
        assert server.requests == []

    def test_without_permissions_nothing_is_granted(self, server: Server, way: str) -> None:
        loader = PluginLoader("wasmtime")
        with PluginRegistry(loader) as registry:
            registry.register(loader.load(fetching(server)))
            assert run_in_each_way(registry, way) == Success("done"), "it was told of the refusal"
        assert server.requests == []

    def test_or_what_the_driver_was_given(self, server: Server, way: str) -> None:
        loader = PluginLoader("wasmtime")
        driver = EffectDriver([NetPattern("127.0.0.1", None, NetProtocol.HTTP)])
        with PluginRegistry(loader, effects=driver) as registry:
            registry.register(loader.load(fetching(server)))
            assert run_in_each_way(registry, way) == Success("done")
        assert len(server.requests) == 1

    def test_a_grant_is_all_that_the_driver_gets(self, server: Server, way: str) -> None:
        class Little(Permissions):
            def check(self, *args: object, **named: object) -> Capabilities:
                return Capabilities()

        loader = PluginLoader("wasmtime")
        driver = EffectDriver([NetPattern("127.0.0.1", None, NetProtocol.HTTP)])
        little = Little("test", store=MemoryPermissionStore())
        with PluginRegistry(loader, effects=driver, permissions=little) as registry:
            registry.register(loader.load(fetching(server)))
            assert run_in_each_way(registry, way) == Success("done")
        assert server.requests == []


def test_sleep_needs_no_grant(host: Host) -> None:
    with PluginRegistry(host.loader()) as registry:
        registry.register(host.loader().load(sleeping("nap")))
        assert registry.run("nap") == Success("done")


def test_files_of_a_plugin_with_wasi(host: Host, tmp_path: Path) -> None:
    if not host.describe().has(Capability.HOST_FUNCTIONS):
        pytest.skip(f"{host} has no host functions")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "note").write_text("hello")
    loader = PluginLoader(
        host.backend,
        binding=host.binding,
        isolation=host.isolation,
        host_functions=Wasi(working_directory=str(tmp_path)),
    )
    steps = ["read data/note"]
    with PluginRegistry(loader) as registry:
        registry.load(PROBE)
        assert registry.execute("probe", steps) != Success("read data/note: hello")
    with PluginRegistry(loader, permissions=permissions(Choice.ALWAYS)) as registry:
        registry.load(PROBE)
        assert registry.execute("probe", steps) == Success("read data/note: hello")
        assert registry.run("probe", steps) == Success("read data/note: hello")


class Noting(Permissions):
    """Grants the variable that has the command's name, and notes what it was asked."""

    def __init__(self) -> None:
        super().__init__("test", store=MemoryPermissionStore())
        self.asked: list[tuple[str, tuple[str, ...], str]] = []

    def check(
        self,
        plugin: str,
        requested: Capabilities,
        *,
        sha256: str,
        command_path: tuple[str, ...] = (),
    ) -> Capabilities:
        self.asked.append((plugin, command_path, sha256))
        return granted(command_path)


def granted(command_path: Sequence[str]) -> Capabilities:
    return Capabilities(env_read=(" ".join(command_path),))


class TestChecks:
    def test_each_execute_is_checked_with_its_command(self) -> None:
        loader = PluginLoader("wasmtime")
        noting = Noting()
        plugin = loader.load(measuring("db", "create", "drop"))
        with PluginRegistry(loader, permissions=noting) as registry:
            registry.register(plugin, prefix="my")
            assert registry.execute("my:db", ["create", "x"]) == measured("create", "x")
            assert plugin.granted == granted(["create"])
            assert registry.run("my db drop", ["y"]) == Success(measured("drop", "y").text)
            assert plugin.granted == granted(["drop"])
            assert registry.execute("my:db", ["all", "drop"]) == measured("all", "drop")
            with registry.lease("my:db:create") as session:
                for _ in range(2):
                    assert session.execute() == measured("create")
                assert session.granted == granted(["create"])
        assert [path for _, path, _ in noting.asked] == [
            *(("create",), ("drop",), (), ("create",), ("create",))
        ]
        assert {(name, sha256) for name, _, sha256 in noting.asked} == {("my:db", plugin.sha256)}

    def test_no_call_has_the_grant_of_another(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loader = PluginLoader("wasmtime")
        plugin = loader.load(measuring("db", "a", "b"))
        wrong: list[object] = []
        execute = plugin.execute

        def watched(args: Sequence[str] = ()) -> object:
            before = plugin.granted
            answer = execute(args)
            if not before == plugin.granted == granted(args):
                wrong.append((args, before, plugin.granted))
            return answer

        monkeypatch.setattr(plugin, "execute", watched)
        with PluginRegistry(loader, permissions=Noting()) as registry:
            registry.register(plugin)

            def call(command: str) -> None:
                for _ in range(200):
                    registry.execute("db", [command])

            threads = [threading.Thread(target=call, args=(name,)) for name in "abab"]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert wrong == []

    def test_several_instances(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loader = PluginLoader("wasmtime")
        seen: list[Capabilities] = []
        execute = Plugin.execute

        def watched(self: Plugin, args: Sequence[str] = ()) -> object:
            seen.append(self.granted)
            return execute(self, args)

        monkeypatch.setattr(Plugin, "execute", watched)
        with PluginRegistry(loader, permissions=Noting(), instances=2) as registry:
            registry.register(loader.load(measuring("db", "a", "b")))
            with registry.lease("db a") as first, registry.lease("db b") as second:
                first.execute()
                second.execute()
        assert seen == [granted(["a"]), granted(["b"])]
