"""A compiled module with what the host knows of it: what plugins of one module share."""

from __future__ import annotations

import threading

from sen_host.backend import Backend, Binding, Module
from sen_host.forks import reset_after_fork
from sen_host.limits import Limits
from sen_host.records import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sen_host.backend import Import, Isolation
    from sen_host.host_functions import HostFunctions
    from sen_host.wasm.reader import ParsedModule


class Terms(NamedTuple):
    """What a module is loaded with, as arguments of ``PluginLoader``.

    Attributes:
        backend: the backend's name, or its class if that was given.
        binding: the name of its binding.
        isolation: "none" or "process".
        limits: the limits that are written into the module.
        accept: the accepted exceptions of the profile.
        host_functions: makes the functions that its plugins may import; None for none.
    """

    backend: str | type[Backend]
    binding: str
    isolation: Isolation
    limits: Limits
    accept: frozenset[str]
    host_functions: Callable[[], HostFunctions] | None = None


class LoadedModule:
    """A module that was checked, rewritten and compiled. The last plugin that leaves closes it.

    Attributes:
        module: the compiled module.
        wasm: the module as its author built it.
        terms: what it was loaded with.
        backend: the backend's name.
        binding: the backend's binding.
        has_start: whether the host has to call a start function.
        has_resume: whether it exports ``plugin_resume``.
        imports: the functions that it imports.
        path: where it was loaded from; None if from bytes.
        restore: makes a plugin of ``wasm``, ``terms`` and ``path`` in another process.
    """

    def __init__(
        self,
        module: Module,
        wasm: bytes,
        terms: Terms,
        *,
        backend: str,
        binding: Binding,
        has_start: bool,
        has_resume: bool,
        imports: tuple[Import, ...],
        path: str | None,
        restore: Callable[[bytes, Terms, str | None], object],
    ) -> None:
        self.module = module
        self.wasm = wasm
        self.terms = terms
        self.backend = backend
        self.binding = binding
        self.has_start = has_start
        self.has_resume = has_resume
        self.imports = imports
        self.path = path
        self.restore = restore
        self._parsed: ParsedModule | None = None
        self._sha256: str | None = None
        self._users = 1
        self._lock = threading.Lock()
        reset_after_fork(self)

    @property
    def parsed(self) -> ParsedModule:
        """The structure of its binary, read when it is asked for."""
        if self._parsed is None:
            from sen_host.wasm.reader import parse

            self._parsed = parse(self.wasm)
        return self._parsed

    @property
    def sha256(self) -> str:
        """SHA-256 of ``wasm`` as 64 hexadecimal digits, computed when it is asked for."""
        if self._sha256 is None:
            from hashlib import sha256

            self._sha256 = sha256(self.wasm).hexdigest()
        return self._sha256

    def shared(self) -> LoadedModule:
        """This module, for one more plugin of one that is open."""
        joined = self.join()
        assert joined
        return self

    def join(self) -> bool:
        """Count one more plugin; False if the last one has left, and the module is closed."""
        with self._lock:
            self._users += self._users > 0
            return self._users > 0

    def separate(self) -> LoadedModule:
        """The module for one more plugin that runs at the same time as others."""
        module = self.module.separate()
        if module is self.module:
            return self.shared()
        return LoadedModule(
            module,
            self.wasm,
            self.terms,
            backend=self.backend,
            binding=self.binding,
            has_start=self.has_start,
            has_resume=self.has_resume,
            imports=self.imports,
            path=self.path,
            restore=self.restore,
        )

    def leave(self) -> None:
        """Close the module, if no other plugin uses it."""
        with self._lock:
            self._users -= 1
            last = self._users == 0
        if last:
            self.module.close()

    def after_fork(self) -> None:
        """In a fork of the process: another thread may have held the lock."""
        self._lock = threading.Lock()
