"""How plugins come into a registry: from their files, or from the caller."""

from __future__ import annotations

import os
import threading
from time import perf_counter

from sen_host import log
from sen_host.backend import Capability
from sen_host.errors import ConfigError, InvalidCommandName, SenHostError, WrongThread
from sen_host.forks import reset_after_fork
from sen_host.plugin import Plugin
from sen_host.pool import PluginPool
from sen_host.records import NamedTuple
from sen_host.registry.entry import Entry
from sen_host.registry.files import normal, read_steady
from sen_host.registry.home import ConfinedPlugin, HomeThread
from sen_host.registry.names import SEPARATOR, check_name, check_spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from sen_host.audit import Audit
    from sen_host.loader import PluginLoader
    from sen_host.registry.table import CommandTable

_STRIPES = 64


class Change(NamedTuple):
    """What became of a plugin file.

    Attributes:
        kind: "loaded", "reloaded", or "unchanged" if its plugin served already.
        command: the name of its command.
    """

    kind: Literal["loaded", "reloaded", "unchanged"]
    command: str


class Intake:
    """Loads and checks plugins, and puts them into a table."""

    def __init__(
        self,
        table: CommandTable,
        loader: PluginLoader | None,
        *,
        instances: int,
        audit: Audit | None,
    ) -> None:
        if not isinstance(instances, int) or isinstance(instances, bool) or instances < 1:
            raise ConfigError(f"instances is {instances!r}; it must be a whole number above 0")
        self.instances = instances
        self._table = table
        self._loader = loader
        self._audit = audit
        self._home = HomeThread()
        self.after_fork()
        reset_after_fork(self)

    def file(
        self,
        path: str | os.PathLike[str],
        *,
        prefix: str | None,
        replace: bool,
        unless_same: bool = False,
    ) -> Change:
        """Load a file; ``unless_same``: unless what is in it serves already."""
        named = os.fspath(path)
        try:
            return self._file(named, prefix=prefix, replace=replace, unless_same=unless_same)
        except SenHostError as error:
            if self._audit is not None:
                self._audit.plugin("load-failed", "", path=named, reason=str(error))
            raise

    def _file(self, named: str, *, prefix: str | None, replace: bool, unless_same: bool) -> Change:
        started = perf_counter()
        file = normal(named)
        # Of two that load one file at once, the one that reads it later is to remain.
        with self._stripes[hash(file) % _STRIPES]:
            self._table.check_open()
            before = self._table.registered_from(file)
            loader = self._the_loader()
            data = read_steady(named, loader.limits.module_bytes)
            if unless_same and before is not None and before.first.sha256 == _sha256(data):
                return Change("unchanged", before.command)
            plugin: Plugin | ConfinedPlugin
            if loader.binding.has(Capability.ANY_THREAD):
                plugin = loader.load(data, path=named)
            else:
                plugin = ConfinedPlugin(self._home, lambda: loader.load(data, path=named))
            try:
                command = self.put(plugin, file, prefix=prefix, replace=replace)
            except BaseException:
                plugin.close()
                raise
        kind: Literal["loaded", "reloaded"] = "loaded" if before is None else "reloaded"
        self._tell(kind, command, plugin, perf_counter() - started)
        return Change(kind, command)

    def take_over(
        self, plugin: Plugin, file: str | None, *, prefix: str | None, replace: bool
    ) -> str:
        """Put a plugin of the caller's into the table; ``file`` as for ``put``."""
        command = self.put(plugin, file, prefix=prefix, replace=replace)
        self._tell("loaded", command, plugin, None)
        return command

    def _tell(
        self,
        kind: Literal["loaded", "reloaded"],
        command: str,
        plugin: Plugin | ConfinedPlugin,
        seconds: float | None,
    ) -> None:
        if self._audit is not None:
            self._audit.plugin(
                kind, command, path=plugin.path, sha256=plugin.sha256, seconds=seconds
            )

    def put(
        self,
        plugin: Plugin | ConfinedPlugin,
        file: str | None,
        *,
        prefix: str | None,
        replace: bool,
    ) -> str:
        """Put a plugin into the table; ``file`` is the normal name of the one it came from."""
        spec = plugin.manifest.command
        try:
            check_spec(spec)
        except InvalidCommandName as error:
            error.plugin = plugin.path
            raise
        command = spec.name if prefix is None else _prefixed(prefix, spec.name)
        pool: Plugin | ConfinedPlugin | PluginPool = plugin
        if self.instances > 1:
            pool = PluginPool(_of_any_thread(plugin), self.instances)
        entry = Entry(command, pool, first=plugin, path=file, prefix=prefix)
        self._table.put(entry, replace=replace)
        log.debug("registered the command %s from %s", command, plugin.path or "bytes")
        return command

    def close(self) -> None:
        """Let the home thread end with its last plugin."""
        self._home.close()

    def after_fork(self) -> None:
        """In a fork of the process: another thread may have held a lock."""
        # Reentrant: a signal handler that reloads must not wait for itself.
        self._stripes = [threading.RLock() for _ in range(_STRIPES)]

    def _the_loader(self) -> PluginLoader:
        if self._loader is None:
            from sen_host.loader import PluginLoader

            self._loader = PluginLoader()
        return self._loader


def _sha256(data: bytes) -> str:
    from hashlib import sha256

    return sha256(data).hexdigest()


def _prefixed(prefix: str, name: str) -> str:
    command = f"{prefix}{SEPARATOR}{name}"
    try:
        check_name(command)
    except InvalidCommandName as error:
        raise ConfigError(
            f"{prefix[:80]!a} cannot be a prefix of {name!a}: {error.reason}"
        ) from None
    return command


def _of_any_thread(plugin: Plugin | ConfinedPlugin) -> Plugin:
    if isinstance(plugin, ConfinedPlugin):
        raise WrongThread(
            f"the binding {plugin.binding.name!r} of {plugin.backend} can use a plugin in one"
            " thread only, so it cannot have several instances",
            hint="use isolation='process'",
        )
    return plugin
