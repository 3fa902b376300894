"""Which plugin has which command, and came from which file."""

from __future__ import annotations

import os
import threading

from sen_host.errors import CommandConflict, CommandNotFound, PluginClosed
from sen_host.forks import reset_after_fork
from sen_host.registry.files import normal
from sen_host.registry.names import MAX_LENGTH, SEPARATOR, below, words_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sen_host.registry.entry import Entry


class CommandTable:
    """The entries of a registry. Readers take no lock; what leaves is retired."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._paths: dict[str, Entry] = {}
        self._closed = False
        self.after_fork()
        reset_after_fork(self)

    def __len__(self) -> int:
        return len(self._entries)

    def entries(self) -> dict[str, Entry]:
        """All entries by their commands, sorted, as they are now."""
        return dict(sorted(self._entries.copy().items()))

    def look_up(self, name: str) -> tuple[Entry, list[str]] | None:
        """The entry of a command, and what of the name is a subcommand of it."""
        entry = self._entries.get(name)
        if entry is not None:
            return entry, []
        words = words_of(name)
        for count in range(len(words), 0, -1):
            entry = self._entries.get(SEPARATOR.join(words[:count]))
            if entry is not None:
                rest = words[count:]
                known = below(entry.first.manifest.command, rest)
                return (entry, rest) if known == rest else None
        return None

    def find(self, name: str) -> tuple[Entry, list[str]]:
        """As ``look_up``.

        Raises:
            CommandNotFound, PluginClosed
        """
        found = self.look_up(name)
        if found is not None:
            return found
        self.check_open()
        from difflib import get_close_matches

        near = get_close_matches(name[:MAX_LENGTH], self._entries.copy(), 1)
        raise CommandNotFound(name, hint=f"did you mean {near[0]!r}?" if near else None)

    def hold(self, name: str) -> tuple[Entry, list[str]]:
        """As ``find``, with a hold of the entry that is to be released."""
        while True:
            found = self.find(name)
            if found[0].hold():
                return found
            # It was replaced, and closed, since it was looked up.

    def registered(self, name_or_path: str | os.PathLike[str]) -> Entry | None:
        """The entry that has the whole name, or else came from the file."""
        if isinstance(name_or_path, str) and (entry := self._entries.get(name_or_path)):
            return entry
        return self._paths.get(normal(name_or_path))

    def registered_from(self, file: str) -> Entry | None:
        """The entry that came from a file, by its normal name."""
        return self._paths.get(file)

    def put(self, entry: Entry, *, replace: bool) -> None:
        """Let an entry serve its command, in place of what came from its file before.

        Args:
            replace: whether it may take the command of a plugin from another file.

        Raises:
            CommandConflict, PluginClosed
        """
        with self._lock:
            self.check_open()
            before = None if entry.path is None else self._paths.get(entry.path)
            holder = self._entries.get(entry.command)
            if holder is not None and holder.first is entry.first:
                return
            if holder is not None and holder is not before and not replace:
                raise CommandConflict(
                    entry.command, path=entry.first.path, holder=holder.first.path
                )
            leaving = {old for old in (before, holder) if old is not None}
            # The new one first: a look-up in between finds one of them.
            self._entries[entry.command] = entry
            if entry.path is not None:
                self._paths[entry.path] = entry
            for old in leaving:
                self._remove(old)
        for old in leaving:
            old.retire()

    def take(self, name_or_path: str | os.PathLike[str]) -> Entry | None:
        """Remove the entry that ``registered`` finds, and retire it."""
        with self._lock:
            entry = self.registered(name_or_path)
            if entry is not None:
                self._remove(entry)
        if entry is not None:
            entry.retire()
        return entry

    def close(self) -> list[Entry]:
        """Retire all entries, and take no more."""
        with self._lock:
            self._closed = True
            leaving = list(self._entries.values())
            self._entries.clear()
            self._paths.clear()
        for entry in leaving:
            entry.retire()
        return leaving

    def check_open(self) -> None:
        """Raise PluginClosed if it was closed."""
        if self._closed:
            raise PluginClosed("the registry is closed")

    def after_fork(self) -> None:
        """In a fork of the process: another thread may have held the lock."""
        self._lock = threading.RLock()

    def _remove(self, entry: Entry) -> None:
        # Another one may have its place already.
        if self._entries.get(entry.command) is entry:
            del self._entries[entry.command]
        if entry.path is not None and self._paths.get(entry.path) is entry:
            del self._paths[entry.path]
