"""A fixture that is loaded on a backend: what the steps of a case act on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgpack

from sen_host.abi import EXECUTE, MANIFEST, RESUME, Guest, instantiation_fault
from sen_host.backend import FuncType, Import, Module, Trap
from sen_host.host_calls import serve
from sen_host.imports import check_imports
from sen_host.messages import Capabilities, EffectResult, decode, to_wire
from sen_host.plugin import Plugin
from sen_host.preparation import function_imports, rewrite
from sen_host.wasm.profile import check_profile
from sen_host.wasm.reader import parse
from sen_host_conformance.case import ASKED, Case
from sen_host_conformance.hosts import Host
from sen_host_conformance.offered import Offered, offer


class Subject(ABC):
    """Steps are methods; each returns the name of its outcome and the outcome."""

    def __init__(self, case: Case, host: Host) -> None:
        self._case = case
        self._host = host
        self._offered: Offered | None = None if case.world is None else offer(case.world)

    def begin(self) -> None:
        """A case begins."""
        if self._offered is not None:
            self._offered.begin()

    def end(self) -> None:
        """The case is over; ``renew`` may follow, in the next one."""
        if self._offered is not None:
            self._offered.end()

    def traces(self) -> Mapping[str, Any]:
        """What the latest step did with what the host offers: ``offered.TRACES``."""
        return {} if self._offered is None else self._offered.seen()

    def do(self, step: str, arguments: Mapping[str, Any]) -> tuple[str, Any]:
        """Do a step of ``reader.PLUGIN_STEPS`` or ``reader.MODULE_STEPS``.

        Raises:
            SenHostError: what a user of the library would get.
        """
        outcome: tuple[str, Any] = getattr(self, step)(**arguments)
        return outcome

    @abstractmethod
    def figures(self) -> tuple[int | None, int | None, int | None]:
        """Fuel used and left by the latest call, and bytes of memory; None if unknown."""

    @abstractmethod
    def load(self) -> tuple[str, Any]:
        """Load the fixture."""

    @abstractmethod
    def renew(self) -> tuple[str, Any]:
        """What ``load`` does, without compiling again what is loaded."""

    @abstractmethod
    def close(self) -> tuple[str, Any]:
        """Free everything. May be called again."""


class PluginSubject(Subject):
    """A plugin, through ``PluginLoader`` and ``Plugin``: what users do."""

    _plugin: Plugin | None = None

    def figures(self) -> tuple[int | None, int | None, int | None]:
        plugin = self._plugin
        if plugin is None:
            return None, None, None
        return plugin.fuel_used, plugin.fuel_left, plugin.memory_bytes

    def load(self) -> tuple[str, Any]:
        if self._offered is None:
            loader = _loader(self._host, self._case.limits)
        else:
            loader = self._host.loader(self._case.limits, self._offered)
        self._plugin = loader.load(self._case.fixture.binary.read_bytes())
        return "manifest", to_wire(self._plugin.manifest)

    def renew(self) -> tuple[str, Any]:
        self._loaded.grant(Capabilities())
        self._loaded.restart()
        return "manifest", to_wire(self._loaded.manifest)

    def grant(self, capabilities: Any) -> tuple[str, Any]:
        asked = self._loaded.manifest.capabilities
        wire = msgpack.packb(capabilities)
        self._loaded.grant(asked if capabilities == ASKED else decode(Capabilities, wire))
        return "done", True

    def execute(self, args: list[str]) -> tuple[str, Any]:
        return "result", to_wire(self._loaded.execute(args))

    def resume(self, effect_id: int, result: Any) -> tuple[str, Any]:
        answer = decode(EffectResult, msgpack.packb(result))
        return "result", to_wire(self._loaded.resume(effect_id, answer))

    def close(self) -> tuple[str, Any]:
        if self._plugin is not None:
            self._plugin.close()
        return "done", True

    @property
    def _loaded(self) -> Plugin:
        assert self._plugin is not None
        return self._plugin


class ModuleSubject(Subject):
    """Any module, prepared as the loader prepares plugins, through the contract of backends."""

    _module: Module | None = None
    _imports: tuple[Import, ...] = ()
    _guest: Guest | None = None

    def figures(self) -> tuple[int | None, int | None, int | None]:
        guest = self._guest
        if guest is None:
            return None, None, None
        return guest.fuel_used, guest.fuel_left, guest.memory_bytes if guest.alive else None

    def load(self) -> tuple[str, Any]:
        data = self._case.fixture.binary.read_bytes()
        limits = self._case.limits
        backend = _backend(self._host, limits)
        parsed = parse(data)
        check_profile(parsed)
        backend.validate(data)
        self._imports = function_imports(parsed)
        if self._imports:
            check_imports(self._imports, self._types_offered(), backend.binding)
        instrumented = rewrite(parsed, limits, backend.binding)
        self._module = backend.compile(instrumented.wasm, limits)
        self._has_start = instrumented.has_start
        self._binding = backend.binding
        self._types = {
            export.name: type
            for export in parsed.exports
            if isinstance(type := parsed.type_of(export), FuncType)
        }
        return self.instantiate()

    def renew(self) -> tuple[str, Any]:
        return self.instantiate()

    def instantiate(self) -> tuple[str, Any]:
        """A fresh instance in place of the one there was."""
        self._drop()
        assert self._module is not None
        self._guest = self._fresh(self._module)
        if self._has_start:
            self._guest.start()
        return "done", True

    def _fresh(self, module: Module) -> Guest:
        limits, has_resume = self._case.limits, RESUME in self._types
        if self._imports:
            return serve(
                module,
                self._imports,
                self._offered,
                self._binding,
                limits,
                has_resume=has_resume,
            )
        try:
            instance = module.instantiate()
        except Trap as trap:
            raise instantiation_fault(trap, limits) from trap
        return Guest(instance, limits, has_resume=has_resume)

    def _types_offered(self) -> Mapping[tuple[str, str], FuncType] | None:
        if self._offered is None:
            return None
        functions = self._offered()
        functions.close()
        return functions.types

    def call(
        self,
        function: str,
        args: tuple[int, ...] = (),
        fuel: int | None = None,
        stack: int | None = None,
    ) -> tuple[str, Any]:
        type = self._types[function]
        result = self._alive.call(function, type, args, fuel=fuel, stack=stack)
        return "returns", [] if result is None else [result]

    def exchange(self, function: str, payload: bytes = b"", effect_id: int = 0) -> tuple[str, Any]:
        guest = self._alive
        if function == MANIFEST:
            return "bytes", guest.manifest()
        if function == EXECUTE:
            return "bytes", guest.execute(payload)
        assert function == RESUME, f"{function} is no function of the ABI"
        return "bytes", guest.resume(effect_id, payload)

    def read(self, at: int, length: int) -> tuple[str, Any]:
        return "bytes", self._alive.instance.read(at, length)

    def write(self, at: int, bytes: bytes) -> tuple[str, Any]:
        self._alive.instance.write(at, bytes)
        return "done", True

    def close(self) -> tuple[str, Any]:
        self._drop()
        if self._module is not None:
            self._module.close()
            self._module = None
        return "done", True

    def _drop(self) -> None:
        guest, self._guest = self._guest, None
        if guest is not None:
            guest.close()

    @property
    def _alive(self) -> Guest:
        assert self._guest is not None
        return self._guest


# Kept, because a worker process that has refused one module can take the next.
_loader = lru_cache(maxsize=8)(Host.loader)
_backend = lru_cache(maxsize=8)(Host.open)


def subject(case: Case, host: Host) -> Subject:
    """What the case's steps act on."""
    return (PluginSubject if case.fixture.is_plugin else ModuleSubject)(case, host)
