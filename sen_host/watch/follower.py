"""What there is to do when directories have changed. It has no thread and no clock."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Literal

from sen_host.discovery import Failure, find_plugins
from sen_host.errors import CommandConflict, PluginFileError, SenHostError
from sen_host.records import record
from sen_host.registry.files import state_of

if TYPE_CHECKING:
    from sen_host.registry import PluginRegistry
    from sen_host.registry.intake import Change

State = tuple[int, ...]


@record(frozen=True, slots=True)
class WatchEvent:
    """What a watcher did.

    Attributes:
        kind: "loaded", "reloaded", "unloaded" or "failed"; or "mended" if a file that
            failed has now what serves still.
        path: the file, or the directory that cannot be read.
        command: the name of the command; None if it failed.
        error: why it failed, else None. What served before serves on.
    """

    kind: Literal["loaded", "reloaded", "unloaded", "failed", "mended"]
    path: str
    command: str | None = None
    error: SenHostError | None = None


class Follower:
    """Brings a registry up to date with directories, one step after the other."""

    def __init__(
        self,
        registry: PluginRegistry,
        directories: Iterable[str],
        *,
        settle_seconds: float,
        depth: int,
        tell: Callable[[WatchEvent], None],
    ) -> None:
        """``tell`` is called with each event; the rest as for HotReloadWatcher."""
        self._registry = registry
        self._directories = tuple(directories)
        self._settle = settle_seconds
        self._depth = depth
        self._tell = tell
        self._handled: dict[str, State] = {}
        self._changing: dict[str, tuple[State | None, float]] = {}
        self._conflicts: dict[str, str] = {}
        self._failing: dict[str, str] = {}
        self._broken: set[str] = set()

    def skip_existing(self) -> None:
        """Take what is there now for handled."""
        self._handled = self._look()

    def load_existing(self, now: float) -> None:
        """Load what is there, except for what was written just now: that has to settle."""
        wall_clock = time.time()
        for path, state in self._look().items():
            *_, modified, changed = state
            age = wall_clock - max(modified, changed) / 1e9
            self._changing[path] = state, now - max(0.0, age)
        self.step(now)

    def step(self, now: float) -> float | None:
        """Look, and do what has settled.

        Args:
            now: seconds, by a clock that never goes back.

        Returns:
            When something will have settled; None if nothing is changing.
        """
        found = self._look()
        for path in self._handled.keys() | self._changing.keys() | found.keys():
            state = found.get(path)
            if state == self._handled.get(path):
                self._changing.pop(path, None)
            elif path not in self._changing or self._changing[path][0] != state:
                self._changing[path] = state, now
        settled = [path for path, (_, since) in self._changing.items() if self._by(since) <= now]
        # What has gone comes last: its command may have moved to another file.
        for path in sorted(settled, key=lambda path: (path not in found, path)):
            state, _ = self._changing.pop(path)
            if state is None:
                self._gone(path)
            else:
                self._handled[path] = state
                self._came(path)
        return min((self._by(since) for _, since in self._changing.values()), default=None)

    def _by(self, since: float) -> float:
        return since + self._settle

    def _look(self) -> dict[str, State]:
        candidates = find_plugins(self._directories, depth=self._depth)
        self._tell_failures(candidates.failures)
        found = {path: state for path in candidates.files if (state := state_of(path))}
        for path, _ in candidates.failures:
            if not _is_gone(path):
                # It cannot be read now: that does not mean that its plugins are gone.
                inside = os.path.join(path, "")
                for file, state in self._handled.items():
                    if file == path or file.startswith(inside):
                        found.setdefault(file, state)
        return found

    def _tell_failures(self, failures: Iterable[Failure]) -> None:
        """Tell what fails now and did not, or not so, when we looked before."""
        before, self._failing = self._failing, {}
        for path, error in failures:
            self._failing[path] = str(error)
            if before.get(path) != str(error):
                self._tell(WatchEvent("failed", path, error=error))

    def _came(self, path: str) -> None:
        try:
            change = self._refresh(path)
        except SenHostError as error:
            if isinstance(error, PluginFileError) and _is_gone(path):
                return  # it went while it was read: that is seen at the next look
            if isinstance(error, CommandConflict):
                self._conflicts[path] = error.command
            self._broken.add(path)
            self._tell(WatchEvent("failed", path, error=error))
            return
        self._conflicts.pop(path, None)
        if change.kind != "unchanged":
            self._tell(WatchEvent(change.kind, path, change.command))
            self._settle_conflicts()
        elif path in self._broken:
            self._tell(WatchEvent("mended", path, change.command))
        self._broken.discard(path)

    def _refresh(self, path: str) -> Change:
        try:
            return self._registry.refresh(path)
        except CommandConflict as error:
            if error.holder is None or not _is_gone(error.holder):
                raise
        # The file was renamed, and its plugin is to serve until the same one has its place.
        return self._registry.refresh(path, replace=True)

    def _gone(self, path: str) -> None:
        self._handled.pop(path, None)
        self._conflicts.pop(path, None)
        self._broken.discard(path)
        command = self._registry.unload(path)
        if command is not None:
            self._tell(WatchEvent("unloaded", path, command))
            self._settle_conflicts()

    def _settle_conflicts(self) -> None:
        """Load those whose command was that of another file, if it is free now."""
        for path, command in sorted(self._conflicts.items()):
            if path in self._conflicts and command not in self._registry:
                self._came(path)


def _is_gone(path: str) -> bool:
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return not stat.S_ISDIR(mode) and not stat.S_ISREG(mode)
