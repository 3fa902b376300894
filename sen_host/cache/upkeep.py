"""What is done to the whole cache: listing, clearing, pruning, eviction.

All functions take an open directory. A cached load has no need of this file.
"""

from __future__ import annotations

import os
import re
import time
from typing import NamedTuple

from sen_host import log
from sen_host.cache import directory as disk
from sen_host.cache import entry
from sen_host.cache.entry import Description

STALE_SECONDS = 3600.0
"""A temporary file of that age is left over, whoever wrote it."""

CLOCK_SECONDS = 3600.0
"""A file may be as much younger than the clock says now: clocks of file servers differ."""

_ENTRY = re.compile(r"[0-9a-f]{64}\.mod")
_TEMPORARY = re.compile(r"tmp-([0-9]{1,9})-[0-9a-f]{16}")


class File(NamedTuple):
    """A file of the cache.

    Attributes:
        name: its name in the directory.
        size: in bytes.
        used: when it was written or used, in seconds since the epoch.
        writer: the process that writes it if it is a temporary file, else None.
    """

    name: str
    size: int
    used: float
    writer: int | None

    @property
    def key(self) -> str:
        """The key of the entry."""
        return self.name.partition(".")[0]


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


NOTHING = Removed(0, 0)


def entries(directory: int) -> list[Entry]:
    """All entries, the one used last first."""
    found = _entries(directory)
    found.sort(key=lambda file: (-file.used, file.name))
    return [Entry(file, _describe(directory, file)) for file in found]


def clear(directory: int) -> Removed:
    """Remove all that the cache has written, and nothing else."""
    return _remove(directory, _files(directory))


def prune(directory: int, max_bytes: int) -> Removed:
    """Remove what is damaged, and what ``evict`` does."""
    damaged = [file for file in _entries(directory) if not _is_intact(directory, file)]
    removed, evicted = _remove(directory, damaged), evict(directory, max_bytes)
    return Removed(removed.files + evicted.files, removed.bytes + evicted.bytes)


def evict(directory: int, max_bytes: int) -> Removed:
    """Remove what killed processes left, and the least recently used above ``max_bytes``."""
    now = time.time()
    found = _files(directory)
    leaving = [file for file in found if _is_stale(file, now)]
    kept = [file for file in found if file.writer is None]
    kept.sort(key=lambda file: (_last_use(file, now), file.name))
    excess = sum(file.size for file in kept) - max_bytes
    for file in kept:
        if excess <= 0:
            break
        leaving.append(file)
        excess -= file.size
    removed = _remove(directory, leaving)
    if removed.files:
        log.debug("removed %d files from the compile cache", removed.files)
    return removed


def _entries(directory: int) -> list[File]:
    return [file for file in _files(directory) if file.writer is None]


def _files(directory: int) -> list[File]:
    """The cache's own files. What else is there is not looked at."""
    found = []
    with os.scandir(directory) as items:
        for item in items:
            temporary = _TEMPORARY.fullmatch(item.name)
            if temporary is None and not _ENTRY.fullmatch(item.name):
                continue
            try:
                status = item.stat(follow_symlinks=False)
            except OSError:  # removed meanwhile
                continue
            writer = None if temporary is None else int(temporary[1])
            found.append(File(item.name, status.st_size, status.st_mtime, writer))
    return found


def _is_stale(file: File, now: float) -> bool:
    """Whether a temporary file is left over from a process that has ended."""
    if file.writer is None:
        return False
    if not now - STALE_SECONDS < file.used < now + STALE_SECONDS:
        return True
    try:
        os.kill(file.writer, 0)
    except ProcessLookupError:
        return True
    except OSError:  # it is another user's, so the number was given out again
        return True
    return False


def _last_use(file: File, now: float) -> float:
    """When it was used; long ago if it says that it will be, because the clock was wrong."""
    return file.used if file.used < now + CLOCK_SECONDS else 0.0


def _describe(directory: int, file: File) -> Description | None:
    try:
        with disk.opened_file(directory, file.name) as opened:
            return entry.describe(opened)
    except entry.UNUSABLE:
        return None


def _is_intact(directory: int, file: File) -> bool:
    try:
        with disk.opened_file(directory, file.name) as opened:
            entry.read(opened, file.key)
    except entry.UNUSABLE:
        return False
    return True


def _remove(directory: int, files: list[File]) -> Removed:
    gone = [file for file in files if disk.remove_file(directory, file.name)]
    return Removed(len(gone), sum(file.size for file in gone))
