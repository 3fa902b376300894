"""Hot reload: a registry that follows what is in directories.

What the system tells of changes (by ``watchfiles``) only wakes the watcher. What it does
comes from comparing what is in the directories with what it has handled before. So it
does not matter whether a file was written, renamed or replaced, how many events that
made, in which order they came, or whether some were lost.

A file is loaded when it has stayed as it is for the settling time, and read once. It is
unloaded when it has been gone for that time.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable, Iterable
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Literal

from sen_host import log
from sen_host.discovery import Failure, find_plugins
from sen_host.errors import CommandConflict, ConfigError, DependencyMissing, SenHostError
from sen_host.records import record
from sen_host.registry.files import state_of

if TYPE_CHECKING:
    from sen_host.registry import PluginRegistry

SETTLE_SECONDS = 0.2
LOOK_SECONDS = 1.0
"""At least so often the watcher looks by itself; less often if looking takes long."""

State = tuple[int, ...]


@record(frozen=True, slots=True)
class WatchEvent:
    """What a watcher did.

    Attributes:
        kind: "loaded", "reloaded", "unloaded" or "failed".
        path: the file, or the directory that could not be read.
        command: the name of the command; None if it failed.
        error: why it failed, else None. What served before serves on.
    """

    kind: Literal["loaded", "reloaded", "unloaded", "failed"]
    path: str
    command: str | None = None
    error: SenHostError | None = None


class Follower:
    """Brings a registry up to date with directories, step by step; has no thread or clock.

    Args:
        registry: what is kept up to date.
        directories: where plugins are.
        settle_seconds: how long a file has to stay as it is.
        depth: how many levels of directories below count as well.
        tell: is called with each event.
    """

    def __init__(
        self,
        registry: PluginRegistry,
        directories: tuple[str, ...],
        *,
        settle_seconds: float,
        depth: int,
        tell: Callable[[WatchEvent], None],
    ) -> None:
        self._registry = registry
        self._directories = directories
        self._settle = settle_seconds
        self._depth = depth
        self._tell = tell
        self._handled: dict[str, State] = {}
        self._pending: dict[str, tuple[State | None, float]] = {}
        self._waiting: set[str] = set()
        self._failing: dict[str, str] = {}

    def skip_existing(self) -> None:
        """Take what is there now for handled."""
        self._handled = self._look()

    def step(self, now: float) -> float | None:
        """Look, and do what has settled.

        Args:
            now: seconds, by a clock that never goes back.

        Returns:
            When to step again, if nothing happens before; None if nothing is pending.
        """
        found = self._look()
        for path in self._handled.keys() | found.keys():
            state = found.get(path)
            if state == self._handled.get(path):
                self._pending.pop(path, None)
            elif path not in self._pending or self._pending[path][0] != state:
                self._pending[path] = state, now
        due = [path for path, (_, since) in self._pending.items() if now - since >= self._settle]
        # What has gone last: its command may have moved to another file.
        for path in sorted(due, key=lambda path: (self._pending[path][0] is None, path)):
            state, _ = self._pending.pop(path)
            if state is None:
                self._gone(path)
            else:
                self._handled[path] = state
                self._came(path)
        if not self._pending:
            return None
        return min(since for _, since in self._pending.values()) + self._settle

    def _look(self) -> dict[str, State]:
        candidates = find_plugins(self._directories, depth=self._depth)
        self._tell_failures(candidates.failures)
        found = {path: state for path in candidates.files if (state := state_of(path))}
        for path, _ in candidates.failures:
            if os.path.lexists(path):
                # It cannot be read now: that does not mean that its plugins are gone.
                inside = os.path.join(path, "")
                for file, state in self._handled.items():
                    if file == path or file.startswith(inside):
                        found.setdefault(file, state)
        return found

    def _tell_failures(self, failures: Iterable[Failure]) -> None:
        now = {path: error for path, error in failures if os.path.lexists(path)}
        for path, error in now.items():
            if self._failing.get(path) != str(error):
                self._tell(WatchEvent("failed", path, error=error))
        self._failing = {path: str(error) for path, error in now.items()}

    def _came(self, path: str) -> None:
        try:
            change = self._refresh(path)
        except SenHostError as error:
            if isinstance(error, CommandConflict):
                self._waiting.add(path)
            self._tell(WatchEvent("failed", path, error=error))
            return
        self._waiting.discard(path)
        if change.kind != "unchanged":
            kind: Literal["loaded", "reloaded"] = "loaded" if change.kind == "loaded" else "reloaded"
            self._tell(WatchEvent(kind, path, change.command))
            self._retry_waiting()
