"""The cache as the loader and the command line use it. Nothing here raises for what is on disk."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple, TypeVar

from sen_host.cache import directory as disk
from sen_host.cache import entry
from sen_host.cache.directory import File, Foreign
from sen_host.cache.entry import Damaged, Description
from sen_host.cache.settings import CacheSettings, default_directory
from sen_host.errors import EnvironmentFault

TOUCH_SECONDS = 300.0
"""A use is noted if the last one that was noted is so long ago: a read need not be a write."""

CLOCK_SECONDS = 3600.0
"""A file may be as much younger than the clock says now: clocks of file servers differ."""

T = TypeVar("T")

_log = logging.getLogger("sen_host")
_warned: set[str] = set()


class Entry(NamedTuple):
    """An entry that is there, as ``CompileCache.entries`` lists it.

    ``description`` is None if it is damaged.
    """

    file: File
    description: Description | None


class Removed(NamedTuple):
    """How many files were removed, and their bytes."""

    files: int
    bytes: int


_NOTHING = Removed(0, 0)

# Of a file, whatever is wrong with it.
_UNUSABLE = (Damaged, Foreign, OSError, MemoryError)


class CompileCache:
    """The compiled modules of one directory.

    Attributes:
        path: the directory, whether it exists or not; None if the user has none.
        max_bytes: what all entries together may have.
    """

    def __init__(self, settings: CacheSettings) -> None:
        path = settings.directory or default_directory()
        # A slash at its end would make the system follow a link.
        self.path = None if path is None else os.path.normpath(path)
        self.max_bytes = settings.max_bytes

    def get(self, key: str) -> tuple[Description, bytes] | None:
        """The entry of a key and its data, if it is there and intact."""
        return self._in_directory(lambda directory: self._get(directory, key), None)

    def put(self, description: Description, data: bytes) -> None:
        """Keep an entry, and remove others if there are too many bytes now."""
        front = entry.encode(description, data)
        size = len(front) + len(data)
        if size > min(self.max_bytes, entry.MOST_BYTES):
            _log.debug("not kept in the compile cache: its %s bytes are too many", f"{size:,}")
            return

        def put(directory: int) -> None:
            disk.write_file(directory, disk.name_of(description.key), front, data)
            self._evict(directory)

        self._in_directory(put, None, create=True)

    def drop(self, key: str, reason: object) -> None:
        """Remove an entry that an engine refused."""
        self._in_directory(lambda directory: self._drop(directory, disk.name_of(key), reason), None)

    def entries(self) -> list[Entry]:
        """All entries, the one used last first."""

        def entries(directory: int) -> list[Entry]:
            found = _entries(directory)
            found.sort(key=lambda file: (-file.used, file.name))
            return [Entry(file, _describe(directory, file)) for file in found]

        return self._in_directory(entries, [])

    def clear(self) -> Removed:
        """Remove all that the cache has written, and nothing else."""
        return self._in_directory(
            lambda directory: _remove(directory, disk.files(directory)), _NOTHING
        )

    def prune(self) -> Removed:
        """Remove what is damaged or left over, and the least recently used above the bound."""

        def prune(directory: int) -> Removed:
            damaged = [file for file in _entries(directory) if not _is_intact(directory, file)]
            removed, evicted = _remove(directory, damaged), self._evict(directory)
            return Removed(removed.files + evicted.files, removed.bytes + evicted.bytes)

        return self._in_directory(prune, _NOTHING)

    def check(self) -> str:
        """Its directory, if it can be used, or can be created.

        Raises:
            EnvironmentFault: it cannot be used, with the reason and the remedy.
        """
        if self.path is None:
            raise EnvironmentFault(
                "there is no compile cache: the user has no home directory",
                hint="set cache.directory",
            )
        what = f"the compile cache {self.path} is not used"
        try:
            with disk.opened(self.path):
                return self.path
        except FileNotFoundError:
            return self.path
        except disk.Unsafe as unsafe:
            raise EnvironmentFault(f"{what}: {unsafe}", hint=unsafe.remedy) from None
        except OSError as error:
            raise EnvironmentFault(what, detail=error.strerror) from error

    def _get(self, directory: int, key: str) -> tuple[Description, bytes] | None:
        name = disk.name_of(key)
        try:
            with disk.opened_file(directory, name) as file:
                found = entry.read(file, key)
                _note_use(file)
                return found
        except FileNotFoundError:
            return None
        except _UNUSABLE as error:
            self._drop(directory, name, error)
            return None

    def _evict(self, directory: int) -> Removed:
        now = time.time()
        found = disk.files(directory)
        leaving = [file for file in found if disk.is_stale(file, now)]
        entries = [file for file in found if file.writer is None]
        entries.sort(key=lambda file: (_last_use(file, now), file.name))
        excess = sum(file.size for file in entries) - self.max_bytes
        for file in entries:
            if excess <= 0:
                break
            leaving.append(file)
            excess -= file.size
        removed = _remove(directory, leaving)
        if removed.files:
            _log.debug("removed %d files from the compile cache", removed.files)
        return removed

    def _drop(self, directory: int, name: str, reason: object) -> None:
        _log.debug("dropped %s from the compile cache: %s", name, reason)
        disk.remove_file(directory, name)

    def _in_directory(self, action: Callable[[int], T], otherwise: T, *, create: bool = False) -> T:
        """What ``action`` returns for the open directory; ``otherwise`` if that fails."""
        if self.path is None:
            _log.debug("no compile cache: the user has no home directory")
            return otherwise
        try:
            with disk.opened(self.path, create=create) as directory:
                return action(directory)
        except disk.Unsafe as unsafe:
            if self.path not in _warned:
                _warned.add(self.path)
                _log.warning(
                    "the compile cache %s is not used: %s (remedy: %s)",
                    self.path,
                    unsafe,
                    unsafe.remedy,
                )
        except OSError as error:
            # Before the first entry is written there is no directory.
            if create or not isinstance(error, FileNotFoundError):
                reason = error.strerror or error
                _log.debug("the compile cache %s cannot be used: %s", self.path, reason)
        return otherwise


def _entries(directory: int) -> list[File]:
    return [file for file in disk.files(directory) if file.writer is None]


def _describe(directory: int, file: File) -> Description | None:
    try:
        with disk.opened_file(directory, file.name) as opened:
            return entry.describe(opened)
    except _UNUSABLE:
        return None


def _is_intact(directory: int, file: File) -> bool:
    try:
        with disk.opened_file(directory, file.name) as opened:
            entry.read(opened, file.key)
    except _UNUSABLE:
        return False
    return True


def _remove(directory: int, files: list[File]) -> Removed:
    gone = [file for file in files if disk.remove_file(directory, file.name)]
    return Removed(len(gone), sum(file.size for file in gone))


def _note_use(file: int) -> None:
    if not 0 <= time.time() - os.fstat(file).st_mtime < TOUCH_SECONDS:
        with suppress(OSError):  # on a disk that is read-only, nothing is evicted either
            os.utime(file)


def _last_use(file: File, now: float) -> float:
    """When it was used; long ago if it says that it will be, because the clock was wrong."""
    return file.used if file.used < now + CLOCK_SECONDS else 0.0
