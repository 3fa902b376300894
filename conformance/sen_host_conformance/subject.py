"""A fixture that is loaded on a backend: what the steps of a case act on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgpack

from sen_host.abi import EXECUTE, MANIFEST, RESUME, Guest, instantiation_fault
from sen_host.backend import FuncType, Instance, Module, Trap
from sen_host.messages import EffectResult, decode, to_wire
from sen_host.plugin import Plugin
from sen_host.preparation import rewrite
from sen_host.wasm.profile import check_profile
from sen_host.wasm.reader import parse
from sen_host_conformance.case import Case
from sen_host_conformance.hosts import Host


class Subject(ABC):
    """Steps are methods; each returns the name of its outcome and the outcome."""

    def __init__(self, case: Case, host: Host) -> None:
        self._case = case
        self._host = host

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
        self._plugin = _loader(self._host, self._case.limits).load(
            self._case.fixture.binary.read_bytes()
        )
        return "manifest", to_wire(self._plugin.manifest)

    def renew(self) -> tuple[str, Any]:
        self._loaded.restart()
        return "manifest", to_wire(self._loaded.manifest)

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
    _instance: Instance | None = None
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
        instrumented = rewrite(parsed, limits, backend.binding)
        self._module = backend.compile(instrumented.wasm, limits)
        self._has_start = instrumented.has_start
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
        limits = self._case.limits
        try:
            self._instance = self._module.instantiate()
        except Trap as trap:
            raise instantiation_fault(trap, limits) from trap
        self._guest = Guest(self._instance, limits, has_resume=RESUME in self._types)
        if self._has_start:
            self._guest.start()
        return "done", True

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
        return "bytes", self._opened.read(at, length)

    def write(self, at: int, bytes: bytes) -> tuple[str, Any]:
        self._opened.write(at, bytes)
        return "done", True

    def close(self) -> tuple[str, Any]:
        self._drop()
        if self._module is not None:
            self._module.close()
            self._module = None
        return "done", True

    def _drop(self) -> None:
        guest, self._guest, self._instance = self._guest, None, None
        if guest is not None:
            guest.close()

    @property
    def _alive(self) -> Guest:
        assert self._guest is not None
        return self._guest

    @property
    def _opened(self) -> Instance:
        assert self._instance is not None
        return self._instance


# Kept, because a worker process that has refused one module can take the next.
_loader = lru_cache(maxsize=8)(Host.loader)
_backend = lru_cache(maxsize=8)(Host.open)


def subject(case: Case, host: Host) -> Subject:
    """What the case's steps act on."""
    return (PluginSubject if case.fixture.is_plugin else ModuleSubject)(case, host)
