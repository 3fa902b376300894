"""From a file or bytes to a plugin that is ready to be called."""

from __future__ import annotations

import os
from time import perf_counter

from sen_host import log
from sen_host.abi import check_exports
from sen_host.backend import Backend, Binding, Capability, FuncType
from sen_host.engines import open_backend
from sen_host.errors import (
    ImportNotGranted,
    LimitNotEnforceable,
    ModuleCompilation,
    PluginFileError,
    SenHostError,
    UnknownBackend,
)
from sen_host.limits import PAGE_BYTES, Limits
from sen_host.plugin import Plugin, close_quietly
from sen_host.plugin_file import read_plugin_file
from sen_host.wasm.instrument import Instrumented, instrument
from sen_host.wasm.memory_limit import MAX_PAGES
from sen_host.wasm.profile import check_profile
from sen_host.wasm.reader import ParsedModule, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from sen_host.config import Config
    from sen_host.engines import IsolationChoice


class PluginLoader:
    """Loads plugins on one backend with one set of limits.

    What is not given as an argument comes from the configuration: see
    ``sen_host.config``.

    Args:
        backend: name or class of a backend, or "auto".
        binding: name of one of its bindings.
        isolation: "none", "process" or "auto".
        limits: all limits. ``wall_clock_seconds`` needs a backend that can
            interrupt a guest; a worker process always can be.
        accept: names of exceptions of the accepted profile (docs/profile.md) that a
            plugin may use as well; the backend must be named.
        config: a configuration to use instead of the one that is found.

    Raises:
        ConfigError: the configuration or an argument is wrong.
        BackendUnavailable, BackendConflict: the backend cannot be used.
        LimitNotEnforceable: the backend has no wall clock, or not so much stack.
    """

    def __init__(
        self,
        backend: str | type[Backend] | None = None,
        *,
        binding: str | None = None,
        isolation: IsolationChoice | None = None,
        limits: Limits | None = None,
        accept: Collection[str] | None = None,
        config: Config | None = None,
    ) -> None:
        if config is None:
            from sen_host.config import Config

            config = Config.load()
        named = backend if isinstance(backend, str) else None
        config = config.with_arguments(
            backend=named,
            binding=binding,
            isolation=isolation,
            limits=limits,
            accept=accept,
        )
        if backend is None or named:
            config.check_accept()
        self.config = config
        try:
            self._backend = open_backend(
                config.backend if backend is None or named else backend,
                binding=config.binding,
                isolation=config.isolation,
            )
        except UnknownBackend as error:
            raise config.blame(error) from None
        self.limits = config.limits
        if self.limits.wall_clock_seconds is not None and not self.binding.has(
            Capability.WALL_CLOCK
        ):
            raise self._not_enforceable(
                "wall_clock_seconds",
                "set isolation to 'process': a worker process can always be stopped",
            )
        most = self.binding.stack_bytes
        if most is not None and self.limits.stack_bytes > most:
            raise self._not_enforceable(
                "stack_bytes", f"it has a stack of {most:,} bytes: set no more, or use another one"
            )
        log.debug("plugins run on %s (%s)", self.backend, self.binding.engine)

    @property
    def backend(self) -> str:
        """The name of the backend in use."""
        return self._backend.name

    @property
    def binding(self) -> Binding:
        """The binding of the backend in use."""
        return self._backend.binding

    def _not_enforceable(self, limit: str, hint: str) -> LimitNotEnforceable:
        origin = self.config.origins.get(f"limits.{limit}")
        return LimitNotEnforceable(
            limit,
            backend=f"{self.backend} ({self.binding.name})",
            hint=hint,
            source=None if origin is None else str(origin),
        )

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
        check_profile(parsed, self.config.accept)
        self._backend.validate(data)
        validated = perf_counter()
        check_plugin(parsed)
        instrumented = rewrite(parsed, self.limits, self.binding)
        rewritten = perf_counter()
        module = self._backend.compile(instrumented.wasm, self.limits)
        compiled = perf_counter()
        try:
            plugin = Plugin(
                module,
                parsed,
                backend=self._backend.name,
                binding=self._backend.binding,
                limits=self.limits,
                has_start=instrumented.has_start,
                path=path,
            )
        except SenHostError as error:
            close_quietly(module, error)
            raise
        log.debug(
            "loaded %s: validated in %.1f ms, rewritten in %.1f ms, compiled in %.1f ms,"
            " manifest in %.1f ms",
            path or f"{len(data):,} bytes",
            (validated - started) * 1e3,
            (rewritten - validated) * 1e3,
            (compiled - rewritten) * 1e3,
            (perf_counter() - compiled) * 1e3,
        )
        return plugin


def rewrite(module: ParsedModule, limits: Limits, binding: Binding) -> Instrumented:
    """Write limits into a module that the backend has validated.

    Raises:
        As ``wasm.instrument.instrument``; ModuleCompilation also for invalid code
        that a backend without VALIDATION has let through, as far as it is noticed.
    """
    memory_bytes = limits.memory_bytes or MAX_PAGES * PAGE_BYTES
    try:
        return instrument(module, memory_bytes=memory_bytes, table_elements=limits.table_elements)
    except (LookupError, AssertionError) as error:
        if binding.has(Capability.VALIDATION):
            raise
        raise ModuleCompilation from error


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
