"""Plugins in directories, each loaded when it is run; their manifests come from an index."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from sen_host.click import index
from sen_host.discovery import Failure, scan
from sen_host.errors import CommandConflict, CommandNotFound, PluginFileError
from sen_host.registry.names import check_spec

if TYPE_CHECKING:
    from types import TracebackType

    from sen_host.messages import Error, PluginManifest, Success
    from sen_host.registry import PluginRegistry


class LazyRegistry:
    """What a PluginRegistry offers to commands, without loading what is not run.

    The manifests of files that have not changed (by device, inode, size and times) come
    from an index in the user's cache directory. Only new or changed files are loaded to
    ask for theirs. The directories are looked at once, at the first question.

    Args:
        application: for whom; each has an index of its own.
        directories: where the plugins are.
        make: makes the registry that runs them, at the first need.
        index_directory: where the index is; by default in the user's cache directory,
            None for no index.
    """

    def __init__(
        self,
        application: str,
        directories: Iterable[str | os.PathLike[str]],
        *,
        make: Callable[[], PluginRegistry] | None = None,
        index_directory: str | None = "",
    ) -> None:
        self.application = application
        self.directories = tuple(os.path.abspath(path) for path in directories)
        self._make = make
        self._index_directory = (
            index.default_directory() if index_directory == "" else index_directory
        )
        self._registry: PluginRegistry | None = None
        self._known: dict[str, tuple[str, PluginManifest]] | None = None
        self._failures: tuple[Failure, ...] = ()
        self._lock = threading.RLock()

    def commands(self) -> tuple[str, ...]:
        """The names of all commands, sorted."""
        return tuple(sorted(self._plugins()))

    def manifest(self, name: str) -> PluginManifest:
        """The manifest of the plugin that has a command.

        Raises:
            CommandNotFound
        """
        return self._find(name)[1]

    def source(self, name: str) -> str:
        """The file of a command's plugin.

        Raises:
            CommandNotFound
        """
        return self._find(name)[0]

    def failures(self) -> tuple[Failure, ...]:
        """Files that are no commands, and directories that cannot be read, and why."""
        self._plugins()
        return self._failures

    def run(self, name: str, args: Sequence[str] = ()) -> Success | Error:
        """Load the plugin that has a command, and run it to its end.

        Raises:
            CommandNotFound
            Others as ``PluginRegistry.load`` and ``PluginRegistry.run``.
        """
        path = self._find(name)[0]
        with self._lock:
            registry = self.registry()
            if name not in registry and registry.load(path) != name:
                raise CommandNotFound(name, hint=f"{path!a} was changed, and has another name now")
        return registry.run(name, args)

    def registry(self) -> PluginRegistry:
        """The registry that runs the plugins."""
        with self._lock:
            if self._registry is None:
                if self._make is None:
                    from sen_host.registry import PluginRegistry

                    self._registry = PluginRegistry()
                else:
                    self._registry = self._make()
            return self._registry

    def refresh(self) -> None:
        """Look at the directories anew at the next question."""
        with self._lock:
            self._known = None

    def close(self) -> None:
        """Unload what was loaded. May be called more than once."""
        with self._lock:
            if self._registry is not None:
                self._registry.close()

    def __enter__(self) -> LazyRegistry:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _find(self, name: str) -> tuple[str, PluginManifest]:
        found = self._plugins().get(name)
        if found is None:
            raise CommandNotFound(name)
        return found

    def _plugins(self) -> dict[str, tuple[str, PluginManifest]]:
        with self._lock:
            if self._known is None:
                self._known = self._look()
            return self._known

    def _present(self) -> list[str]:
        # An application's default directories need not exist.
        return [path for path in self.directories if os.path.lexists(path)]

    def _look(self) -> dict[str, tuple[str, PluginManifest]]:
        before = index.read(self._index_directory, self.application)
        manifests: index.Manifests = {}
        known: dict[str, tuple[str, PluginManifest]] = {}

        def take(path: str) -> str:
            manifests[path] = self._manifest_of(path, before)
            manifest = manifests[path][1]
            check_spec(manifest.command)
            name = manifest.command.name
            if name in known:
                raise CommandConflict(name, path=path, holder=known[name][0])
            known[name] = path, manifest
            return name

        found = scan(self._present(), take)
        if manifests != before:
            index.write(self._index_directory, self.application, manifests)
        self._failures = found.failures
        return known

    def _manifest_of(
        self, path: str, before: index.Manifests
    ) -> tuple[index.State, PluginManifest]:
        # The state first: if the file changes meanwhile, it is asked again the next time.
        try:
            state = index.state_of(path)
        except OSError as error:
            raise PluginFileError(
                f"the plugin file {path!r} cannot be read", path=path, detail=error.strerror
            ) from error
        kept = before.get(path)
        if kept is not None and kept[0] == state:
            return kept
        registry = self.registry()
        return state, registry.manifest(registry.load(path))
