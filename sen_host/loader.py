"""From a file or bytes to a plugin that is ready to be called."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import replace
from time import perf_counter
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
from sen_host.wasm.profile import check_profile
from sen_host.wasm.reader import ParsedModule, parse
from sen_host.wasm.table_limit import limit_tables

if TYPE_CHECKING:
    from sen_host.config import Config

_log = logging.getLogger("sen_host")

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
                config.backend if backend is None or named else backend,
                binding=config.binding,
                isolation=config.isolation,
            )
        except UnknownBackend as error:
            raise config.blame(error) from None
        self.limits, self.unenforced = enforceable(
            config.limits,
            config.explicit_limits,
            self._backend.binding,
            backend=self._backend.name,
            origins={
                name.removeprefix("limits."): origin for name, origin in config.origins.items()
            },
        )
        _log.debug("plugins run on %s (%s)", self.backend, self.binding.engine)

    @property
    def backend(self) -> str:
        """The name of the backend in use."""
        return self._backend.name

    @property
    def binding(self) -> Binding:
        """The binding of the backend in use."""
        return self._backend.binding

    def load(self, source: str | os.PathLike[str] | bytes | bytearray | memoryview) -> Plugin:
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
        if isinstance(source, (bytes, bytearray, memoryview)):
            return self._load(bytes(source), None)
        path = os.fspath(source)
        try:
            return self._load(read_plugin_file(path, self.limits.module_bytes), path)
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
        started = perf_counter()
        parsed = parse(data)
        check_profile(parsed)
        self._backend.validate(data)
        validated = perf_counter()
        check_plugin(parsed)
        if self.limits.memory_bytes is not None:
            data = limit_memory(parsed, self.limits.memory_bytes)
        if self.limits.table_elements is not None:
            data = limit_tables(parse(data), self.limits.table_elements)
        module = self._backend.compile(data, self.limits)
        compiled = perf_counter()
        try:
            plugin = Plugin(
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
        _log.debug(
            "loaded %s: validated in %.1f ms, compiled in %.1f ms, manifest in %.1f ms",
            path or f"{len(data):,} bytes",
            (validated - started) * 1e3,
            (compiled - validated) * 1e3,
            (perf_counter() - compiled) * 1e3,
        )
        return plugin


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


def enforceable(
    limits: Limits,
    explicit: frozenset[str],
    binding: Binding,
    *,
    backend: str,
    origins: Mapping[str, object] | None = None,
) -> tuple[Limits, frozenset[str]]:
    """The limits in force on a binding, and the default ones that it cannot enforce.

    Where fuel cannot end a guest that does not end by itself, the wall clock
    does, after FALLBACK_SECONDS, if the binding has one and no other is set.

    Args:
        explicit: the names of the limits that somebody asked for.
        origins: where each was asked for, by name.

    Raises:
        LimitNotEnforceable: one that was asked for cannot be enforced.
    """
    lacking = {
        name
        for name in _BACKEND_ENFORCED
        if getattr(limits, name) is not None and name not in binding.enforces
    }
    for name in sorted(lacking & explicit):
        raise LimitNotEnforceable(
            name,
            backend=f"{backend} ({binding.name})",
            hint=_LACKING_HINTS[name],
            source=str(origins[name]) if origins and name in origins else None,
        )
    seconds = limits.wall_clock_seconds
    if "wall_clock_seconds" in lacking:
        seconds = None
    elif "fuel" in lacking and seconds is None and "wall_clock_seconds" not in explicit:
        seconds = FALLBACK_SECONDS if "wall_clock_seconds" in binding.enforces else None
    in_force = replace(
        limits, fuel=None if "fuel" in lacking else limits.fuel, wall_clock_seconds=seconds
    )
    return in_force, frozenset(lacking)


FALLBACK_SECONDS = 30.0

_LACKING_HINTS = {
    "fuel": "switch it off (`none`, in Python None), or use a backend that meters fuel",
    "stack_bytes": "leave it at its default, or use another backend",
    "wall_clock_seconds": "set isolation to 'process': a worker process can always be stopped",
}
