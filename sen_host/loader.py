"""From a file or bytes to a plugin that is ready to be called."""

from __future__ import annotations

import os
from time import perf_counter
from weakref import WeakValueDictionary

from sen_host import log
from sen_host.backend import Backend, Binding, Capability, Module
from sen_host.engines import open_backend
from sen_host.errors import (
    LimitNotEnforceable,
    ModuleCompilation,
    PluginFileError,
    SenHostError,
    UnknownBackend,
)
from sen_host.limits import Limits
from sen_host.loaded import LoadedModule, Terms
from sen_host.plugin import Plugin, leave_quietly
from sen_host.plugin_file import read_plugin_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from sen_host.backend import FuncType
    from sen_host.cache.entry import Description
    from sen_host.cache.modules import KeptModules
    from sen_host.config import Config
    from sen_host.engines import IsolationChoice
    from sen_host.host_functions import HostFunctions
    from sen_host.preparation import Prepared


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
        cache: whether compiled modules are kept on disk (docs/cache.md).
        host_functions: called for each instance of a plugin that imports functions,
            makes the object that has them (docs/host-functions.md). None offers none.
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
        cache: bool | None = None,
        host_functions: Callable[[], HostFunctions] | None = None,
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
            cache=cache,
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
        self._terms = Terms(
            backend if isinstance(backend, type) else self.backend,
            self.binding.name,
            self.binding.isolation,
            self.limits,
            config.accept,
            host_functions,
        )
        self._kept: KeptModules | None = None
        # What is open now, to be shared by who loads the same. In a worker process each
        # plugin keeps one of its own, and so it does where modules belong to a thread.
        self._open: WeakValueDictionary[tuple[bytes, str | None], LoadedModule] | None = None
        if self.binding.isolation == "none" and self.binding.has(Capability.ANY_THREAD):
            self._open = WeakValueDictionary()
        log.debug("plugins run on %s (%s)", self.backend, self.binding.engine)

    @property
    def backend(self) -> str:
        """The name of the backend in use."""
        return self._backend.name

    @property
    def binding(self) -> Binding:
        """The binding of the backend in use."""
        return self._backend.binding

    def offers(self) -> Mapping[tuple[str, str], FuncType]:
        """The types of the functions that plugins may import, by module and name."""
        types = self._offered()
        return {} if types is None else types()

    def _not_enforceable(self, limit: str, hint: str) -> LimitNotEnforceable:
        origin = self.config.origins.get(f"limits.{limit}")
        return LimitNotEnforceable(
            limit,
            backend=f"{self.backend} ({self.binding.name})",
            hint=hint,
            source=None if origin is None else str(origin),
        )

    def load(
        self,
        source: str | os.PathLike[str] | bytes | bytearray | memoryview,
        *,
        path: str | None = None,
    ) -> Plugin:
        """Load a plugin from a file, or from the bytes of a binary module.

        Args:
            source: the file's path, or the bytes.
            path: where the bytes were read from, for ``Plugin.path`` and for errors.

        Raises:
            PluginFileError: the file cannot be read, or is too large.
            ModuleCompilation: it is not a valid WebAssembly module.
            FunctionNotFound, SignatureMismatch: an export of the ABI is missing.
            Instantiation: an import is not granted (ImportNotGranted), the memory is too
                large, or the start function trapped.
            ApiVersionMismatch: it speaks another API version.
            Others as ``Plugin.execute``.
        """
        try:
            if isinstance(source, (bytes, bytearray, memoryview)):
                return self._load(bytes(source), path)
            path = os.fspath(source)
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
        known = None if self._open is None else self._open.get((data, path))
        if known is not None and known.join():
            return self._plugin_of(known)
        kept = self._kept_modules()
        found = None if kept is None else kept.load(data)
        if found is not None:
            module, about = found
            plugin = self._plugin(module, data, path, about)
            log.debug(
                "loaded %s from the compile cache in %.1f ms",
                path or f"{len(data):,} bytes",
                (perf_counter() - started) * 1e3,
            )
            return plugin
        from sen_host.preparation import prepare

        prepared = prepare(data, self._backend, self.limits, self.config.accept, self._offered())
        checked = perf_counter()
        module = self._backend.compile(prepared.wasm, self.limits)
        compiled_at = perf_counter()
        # Before a guest runs, which might get out of its sandbox.
        compiled = None if kept is None else kept.serialize(module)
        plugin = self._plugin(module, data, path, prepared)
        log.debug(
            "loaded %s: checked and rewritten in %.1f ms, compiled in %.1f ms, manifest in %.1f ms",
            path or f"{len(data):,} bytes",
            (checked - started) * 1e3,
            (compiled_at - checked) * 1e3,
            (perf_counter() - compiled_at) * 1e3,
        )
        if kept is not None:
            kept.keep(
                data,
                rewritten=prepared.wasm,
                compiled=compiled,
                has_start=prepared.has_start,
                has_resume=prepared.has_resume,
                imports=prepared.imports,
                plugin=plugin.manifest.command.name,
            )
        return plugin

    def _plugin(
        self, module: Module, data: bytes, path: str | None, about: Prepared | Description
    ) -> Plugin:
        loaded = LoadedModule(
            module,
            data,
            self._terms,
            backend=self.backend,
            binding=self.binding,
            has_start=about.has_start,
            has_resume=about.has_resume,
            imports=about.imports,
            path=path,
            restore=_restore,
        )
        plugin = self._plugin_of(loaded)
        if self._open is not None:
            self._open[data, path] = loaded
        return plugin

    def _plugin_of(self, loaded: LoadedModule) -> Plugin:
        """A plugin, whose module is left again if it does not get as far as its manifest."""
        try:
            return Plugin(loaded)
        except BaseException as error:
            leave_quietly(loaded, error)
            raise

    def _offered(self) -> Callable[[], Mapping[tuple[str, str], FuncType]] | None:
        """Tells the functions that a plugin may import; None if none are offered."""
        make = self._terms.host_functions
        if make is None:
            return None

        def types() -> Mapping[tuple[str, str], FuncType]:
            functions = make()
            try:
                return functions.types
            finally:
                functions.close()

        return types

    def _kept_modules(self) -> KeptModules | None:
        """The compile cache, opened by the first load."""
        if self._kept is None and self.config.cache.enabled:
            from sen_host.cache.modules import open_cache

            config = self.config
            self._kept = open_cache(self._backend, self.limits, config.accept, config.cache)
        return self._kept


def _restore(wasm: bytes, terms: Terms, path: str | None) -> Plugin:
    """A plugin that another process has sent."""
    from sen_host.received import received

    def load() -> Plugin:
        loader = PluginLoader(
            terms.backend,
            binding=terms.binding,
            isolation=terms.isolation,
            limits=terms.limits,
            accept=terms.accept,
            host_functions=terms.host_functions,
        )
        return loader.load(wasm)

    plugin = received.plugin(wasm, terms, load)
    plugin.path = path
    return plugin
