"""From a file or bytes to a plugin that is ready to be called."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from sen_host.abi import check_exports
from sen_host.backend import Backend, Binding, FuncType
from sen_host.engines import IsolationChoice, open_backend
from sen_host.errors import (
    ImportNotGranted,
    LimitNotEnforceable,
    ModuleCompilation,
    PluginFileError,
    SenHostError,
    UnknownBackend,
)
from sen_host.limits import Limits
from sen_host.plugin import Plugin, close_quietly
from sen_host.plugin_file import read_plugin_file
from sen_host.wasm.memory_limit import limit_memory
from sen_host.wasm.reader import ParsedModule, parse

if TYPE_CHECKING:
    from sen_host.config import Config

_BACKEND_ENFORCED = ("fuel", "stack_bytes", "wall_clock_seconds")


class PluginLoader:
    """Loads plugins on one backend with one set of limits.

    What is not given as an argument comes from the configuration: see
    ``sen_host.config``.

    Args:
        backend: name or class of a backend, or "auto".
        binding: name of one of its bindings.
        isolation: "none", "process" or "auto".
        limits: all limits. A limit that differs from its default must be one
            that the backend can enforce; one that stands at its default is
            enforced where the backend can, see ``Plugin.unenforced``.
        config: a configuration to use instead of the one that is found.

    Raises:
        ConfigError: the configuration or an argument is wrong.
        BackendUnavailable, BackendConflict: the backend cannot be used.
        LimitNotEnforceable: a limit is asked for that the backend lacks.
    """

    def __init__(
        self,
        backend: str | type[Backend] | None = None,
        *,
        binding: str | None = None,
        isolation: IsolationChoice | None = None,
        limits: Limits | None = None,
        config: Config | None = None,
    ) -> None:
        if config is None:
            from sen_host.config import Config

            config = Config.load()
        named = backend if isinstance(backend, str) else None
        config = config.with_arguments(
            backend=named, binding=binding, isolation=isolation, limits=limits
        )
        self.config = config
        try:
            self._backend = open_backend(
                backend if isinstance(backend, type) else config.backend,
                binding=config.binding,
                isolation=config.isolation,
            )
        except UnknownBackend as error:
            raise config.blame(error) from None
        self.limits, self.unenforced = _enforceable(
            config.limits, config.explicit_limits, self._backend
        )

    @property
    def backend(self) -> str:
        """The name of the backend in use."""
        return self._backend.name

    @property
    def binding(self) -> Binding:
        """The binding of the backend in use."""
        return self._backend.binding

    def load(self, source: str | os.PathLike[str] | bytes) -> Plugin:
        """Load a plugin from a file, or from the bytes of a binary module.

        Raises:
            PluginFileError: the file cannot be read, or is too large.
            ModuleCompilation: it is not a valid WebAssembly module.
            FunctionNotFound, SignatureMismatch: an export of the ABI is missing.
            Instantiation: an import is not granted, the memory is too large,
                or the start function trapped.
            ApiVersionMismatch: it speaks another API version.
            Others as ``Plugin.execute``.
        """
        path = None if isinstance(source, bytes) else os.fspath(source)
        try:
            if isinstance(source, bytes):
                return self._load(source, None)
            data = read_plugin_file(os.fspath(source), self.limits.module_bytes)
            return self._load(data, path)
        except SenHostError as error:
            if error.plugin is None and not isinstance(error, PluginFileError):
                error.plugin = path
            raise

    def _load(self, data: bytes, path: str | None) -> Plugin:
        if len(data) > self.limits.module_bytes:
            raise ModuleCompilation(
                f"the module has {len(data):,} bytes, the limit is"
                f" {self.limits.module_bytes:,} bytes",
                hint="raise limits.module_bytes if a module of this size is expected",
            )
        parsed = parse(data)
        self._backend.validate(data)
        check_plugin(parsed)
        if self.limits.memory_bytes is not None:
            data = limit_memory(parsed, self.limits.memory_bytes)
        module = self._backend.compile(data, self.limits)
        try:
            return Plugin(
                module,
                parsed,
                backend=self._backend.name,
                binding=self._backend.binding,
                limits=self.limits,
                unenforced=self.unenforced,
                path=path,
            )
        except SenHostError as error:
            close_quietly(module, error)
            raise


def check_plugin(module: ParsedModule) -> None:
    """Check that a module has the exports of a plugin and no imports.

    Raises:
        FunctionNotFound, SignatureMismatch, ImportNotGranted
    """
    if module.imports:
        raise ImportNotGranted((item.module, item.name, item.kind) for item in module.imports)
    functions: dict[str, FuncType] = {}
    memories: set[str] = set()
    other: dict[str, str] = {}
    for export in module.exports:
        type = module.type_of(export)
        if isinstance(type, FuncType):
            functions[export.name] = type
        elif export.kind == "memory":
            memories.add(export.name)
        else:
            other[export.name] = f"a {export.kind}"
    check_exports(functions, memories, other)


def _enforceable(
    limits: Limits, explicit: frozenset[str], backend: Backend
) -> tuple[Limits, frozenset[str]]:
    """The limits in force, and the default ones that the backend cannot enforce."""
    lacking = [
        name
        for name in _BACKEND_ENFORCED
        if getattr(limits, name) is not None and name not in backend.binding.enforces
    ]
    for name in lacking:
        if name in explicit:
            raise LimitNotEnforceable(
                name,
                backend=f"{backend.name} ({backend.binding.name})",
                hint=_LACKING_HINTS[name],
            )
    in_force = replace(
        limits,
        fuel=None if "fuel" in lacking else limits.fuel,
        wall_clock_seconds=None if "wall_clock_seconds" in lacking else limits.wall_clock_seconds,
    )
    return in_force, frozenset(lacking)


_LACKING_HINTS = {
    "fuel": "switch limits.fuel off, or use a backend that meters fuel",
    "stack_bytes": "leave limits.stack_bytes at its default or use another backend",
    "wall_clock_seconds": "set isolation to 'process': a worker process can always be stopped",
}
