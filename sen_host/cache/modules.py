"""The modules that are kept for one backend with one set of limits."""

from __future__ import annotations

from sen_host import log
from sen_host.backend import Backend, Import, Module
from sen_host.cache.entry import Description
from sen_host.cache.key import Keys, NoCode
from sen_host.cache.settings import CacheSettings
from sen_host.cache.store import CompileCache
from sen_host.errors import EngineFault, ModuleCompilation, SenHostError, WorkerDied
from sen_host.limits import Limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sen_host.cache.entry import Kind

_NAME_CHARACTERS = 100


def open_cache(
    backend: Backend, limits: Limits, accept: frozenset[str], settings: CacheSettings
) -> KeptModules | None:
    """The cache for a backend; None if its modules cannot be kept."""
    try:
        keys = Keys(backend, limits, accept)
    except NoCode as error:
        log.debug("no compile cache: what the code of %s is cannot be told", error)
        return None
    return KeptModules(backend, limits, keys, CompileCache(settings))


class KeptModules:
    """Modules by key. Nothing here fails because of the cache."""

    def __init__(self, backend: Backend, limits: Limits, keys: Keys, cache: CompileCache) -> None:
        self._backend = backend
        self._limits = limits
        self._keys = keys
        self._cache = cache

    def load(self, wasm: bytes) -> tuple[Module, Description] | None:
        """The module of a plugin, ready to be instantiated; None if it has to be made.

        Args:
            wasm: the plugin as its author built it.

        Raises:
            WallClockExceeded, EngineCreation, BackendUnavailable: as if it were made.
        """
        key = self._keys.key(wasm)
        found = self._cache.get(key)
        if found is None:
            return None
        description, data = found
        make = (
            self._backend.deserialize if description.kind == "compiled" else self._backend.compile
        )
        try:
            return make(data, self._limits), description
        except (EngineFault, ModuleCompilation, WorkerDied, NotImplementedError) as error:
            self._cache.drop(key, error)
            return None

    def serialize(self, module: Module) -> bytes | None:
        """A module as bytes; None if its engine cannot do that, or fails at it."""
        try:
            return module.serialize()
        except SenHostError as error:
            log.debug("a module is kept as it was rewritten: %s", error)
            return None

    def keep(
        self,
        wasm: bytes,
        *,
        rewritten: bytes,
        compiled: bytes | None,
        has_start: bool,
        has_resume: bool,
        imports: tuple[Import, ...],
        plugin: str,
    ) -> None:
        """Keep a plugin that has been loaded: compiled if that is there, else rewritten."""
        kind: Kind = "rewritten" if compiled is None else "compiled"
        binding = self._backend.binding
        engine = f"{self._backend.name} ({binding.name}), {binding.engine}"
        if binding.isolation == "process":
            engine += ", in a worker"
        description = Description(
            key=self._keys.key(wasm),
            kind=kind,
            has_start=has_start,
            has_resume=has_resume,
            imports=imports,
            plugin=plugin[:_NAME_CHARACTERS],
            engine=engine[:_NAME_CHARACTERS],
            module_bytes=len(wasm),
        )
        self._cache.put(description, rewritten if compiled is None else compiled)
