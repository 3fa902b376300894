"""The cache's directory: whose it is, and how a file in it is opened, written and removed.

Everything is done through an open directory, so that what was checked is what is
used, whatever its path comes to name. A parent directory that others may write to does
no harm: they could put another directory in its place, but not one that is ours.
"""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class Unsafe(Exception):
    """Others could have written what is here."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.remedy = remedy


class Foreign(Exception):
    """A file in the cache is none of the cache's own."""


class Open:
    """An open file or directory, for ``with``. (``contextlib`` costs a millisecond to import.)"""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __enter__(self) -> int:
        return self._descriptor

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._descriptor)


def name_of(key: str) -> str:
    """The file of an entry."""
    return f"{key}.mod"


def opened(path: str, *, create: bool = False) -> Open:
    """The directory, open.

    Raises:
        Unsafe: it is not private to the user.
        OSError: it does not exist and is not to be created, or cannot be opened.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        directory = os.open(path, flags)
    except FileNotFoundError:
        if not create:
            raise
        os.makedirs(path, mode=0o700, exist_ok=True)
        directory = os.open(path, flags)
    except OSError:
        if os.path.islink(path):
            raise Unsafe("it is a link", "set cache.directory to the directory itself") from None
        raise
    try:
        status = os.fstat(directory)
        if status.st_uid != os.geteuid():
            raise Unsafe(
                f"it belongs to user {status.st_uid}, this is user {os.geteuid()}",
                "set cache.directory to a directory of your own",
            )
        if status.st_mode & _OTHERS_WRITE:
            raise Unsafe("others can write to it", f"chmod 700 {path}, and remove what is in it")
    except BaseException:
        os.close(directory)
        raise
    return Open(directory)


def opened_file(directory: int, name: str) -> Open:
    """An entry, open for reading.

    Raises:
        Foreign: it is not a regular file of the user that only the user can write.
        OSError: it does not exist, is a link, or cannot be opened.
    """
    # Without O_NONBLOCK, a pipe that has no writer would block for ever.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    file = os.open(name, flags, dir_fd=directory)
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise Foreign("it is not a regular file")
        if status.st_uid != os.geteuid() or status.st_mode & _OTHERS_WRITE:
            raise Foreign("others could have written it")
    except BaseException:
        os.close(file)
        raise
    return Open(file)


def write_file(directory: int, name: str, *parts: bytes) -> None:
    """Write a file at once: there is the old one, or none, until there is all of the new.

    Raises:
        OSError: the disk is full, or cannot be written.
    """
    temporary = f"tmp-{os.getpid()}-{os.urandom(8).hex()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    file = os.open(temporary, flags, 0o600, dir_fd=directory)
    try:
        try:
            for part in parts:
                rest = memoryview(part)
                while rest:
                    rest = rest[os.write(file, rest) :]
        finally:
            os.close(file)
        os.replace(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        remove_file(directory, temporary)  # if it fails, there is an error to tell already
        raise


def remove_file(directory: int, name: str) -> bool:
    """Remove a file; whether it was there to be removed."""
    try:
        os.unlink(name, dir_fd=directory)
    except OSError:  # somebody else was quicker, or the disk is read-only
        return False
    return True
