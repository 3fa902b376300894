"""The cache as the loader and the command line use it. Nothing here raises for what is on disk."""

from __future__ import annotations

import os
import time

from sen_host import log
from sen_host.cache import directory as disk
from sen_host.cache import entry
from sen_host.cache.entry import Description
from sen_host.cache.settings import CacheSettings, default_directory
from sen_host.errors import EnvironmentFault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from sen_host.cache.upkeep import Entry, Removed

    T = TypeVar("T")

TOUCH_SECONDS = 300.0
"""A use is noted if the last one that was noted is so long ago: a read need not be a write."""

_warned: set[str] = set()


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
            log.debug("not kept in the compile cache: its %s bytes are too many", f"{size:,}")
            return

        from sen_host.cache.upkeep import evict

        def put(directory: int) -> None:
            disk.write_file(directory, disk.name_of(description.key), front, data)
            evict(directory, self.max_bytes)

        self._in_directory(put, None, create=True)

    def drop(self, key: str, reason: object) -> None:
        """Remove an entry that an engine refused."""
        self._in_directory(lambda directory: self._drop(directory, disk.name_of(key), reason), None)

    def entries(self) -> list[Entry]:
        """All entries, the one used last first."""
        from sen_host.cache.upkeep import entries

        return self._in_directory(entries, [])

    def clear(self) -> Removed:
        """Remove all that the cache has written, and nothing else."""
        from sen_host.cache.upkeep import NOTHING, clear

        return self._in_directory(clear, NOTHING)

    def prune(self) -> Removed:
        """Remove what is damaged or left over, and the least recently used above the bound."""
        from sen_host.cache.upkeep import NOTHING, prune

        return self._in_directory(lambda directory: prune(directory, self.max_bytes), NOTHING)

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
        except entry.UNUSABLE as error:
            self._drop(directory, name, error)
            return None

    def _drop(self, directory: int, name: str, reason: object) -> None:
        log.debug("dropped %s from the compile cache: %s", name, reason)
        disk.remove_file(directory, name)

    def _in_directory(self, action: Callable[[int], T], otherwise: T, *, create: bool = False) -> T:
        """What ``action`` returns for the open directory; ``otherwise`` if that fails."""
        if self.path is None:
            log.debug("no compile cache: the user has no home directory")
            return otherwise
        try:
            with disk.opened(self.path, create=create) as directory:
                return action(directory)
        except disk.Unsafe as unsafe:
            if self.path not in _warned:
                _warned.add(self.path)
                log.warning(
                    "the compile cache %s is not used: %s (remedy: %s)",
                    self.path,
                    unsafe,
                    unsafe.remedy,
                )
        except OSError as error:
            # Before the first entry is written there is no directory.
            if create or not isinstance(error, FileNotFoundError):
                reason = error.strerror or error
                log.debug("the compile cache %s cannot be used: %s", self.path, reason)
        return otherwise


def _note_use(file: int) -> None:
    if 0 <= time.time() - os.fstat(file).st_mtime < TOUCH_SECONDS:
        return
    try:
        os.utime(file)
    except OSError:
        return  # on a disk that is read-only, nothing is evicted either
