"""Finding a place below a directory, so that nothing leads out of it.

A path is followed one name at a time. Each directory on the way is opened relative to
the one before and must be no symbolic link; the text of a link is read and followed
here, never by the system. ``..`` goes back to a directory that is still open. So it does
not matter what others rename or replace in the meantime: every step starts from a
directory that was reached from the first one by going down.
"""

from __future__ import annotations

import errno
import os

from sen_host.records import NamedTuple
from sen_host.wasi.errno import Errno, WasiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Final

    from sen_host.wasi.scope import Access

MAX_LINKS: Final = 40
"""How many symbolic links one path may go through, as in Linux."""

MAX_DEPTH: Final = 128
"""How many directories below the first a path may lead: each stays open until its end."""

DIRECTORY: Final = (
    getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
)
"""How directories are opened: to start from, not to read."""


class Start(NamedTuple):
    """Where a path starts.

    Attributes:
        fd: an open directory.
        parts: the names that led to it from the granted directory.
        access: what may be seen below the granted directory.
    """

    fd: int
    parts: tuple[bytes, ...]
    access: Access


class Place:
    """Where a path leads: a name in an open directory, whether there is such an entry or not.

    Attributes:
        fd: the directory.
        name: one name, or ``.`` for the directory itself.
        parts: the names that lead there from the granted directory, without links.
        directory: whether the path asks for a directory, by a slash at its end.
    """

    def __init__(
        self, fd: int, name: bytes, parts: tuple[bytes, ...], directory: bool, opened: list[int]
    ) -> None:
        self.fd = fd
        self.name = name
        self.parts = parts
        self.directory = directory
        self._opened = opened

    def __enter__(self) -> Place:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _close(self._opened)


def find(start: Start, path: bytes, *, follow: bool, spend: Callable[[int], None]) -> Place:
    """The place that a path leads to from an open directory.

    Args:
        path: a relative path.
        follow: whether a symbolic link at its end is followed.
        spend: is told of each step.

    Raises:
        WasiError: PERM if it leads out of the directory or to what may not be seen,
            LOOP, NAMETOOLONG, NOENT for the empty path.
        OSError: the system's own reasons.
    """
    if not path:
        raise WasiError(Errno.NOENT)
    opened: list[int] = []
    try:
        return _find(start, path, follow, spend, opened)
    except BaseException:
        _close(opened)
        raise


def _find(
    start: Start, path: bytes, follow: bool, spend: Callable[[int], None], opened: list[int]
) -> Place:
    rest, directory = _names(path)
    rest.reverse()
    parts = list(start.parts)
    links = 0
    while rest:
        spend(1)
        name = rest.pop()
        if name == b"..":
            if not opened:
                raise WasiError(Errno.PERM)
            os.close(opened.pop())
            parts.pop()
            continue
        here = opened[-1] if opened else start.fd
        there = (*parts, name)
        if not start.access.sees(there):
            raise WasiError(Errno.PERM)
        if rest:
            fd = _enter(start.access, here, name)
        elif follow or directory:
            fd = None
        else:
            return Place(here, name, there, directory, opened)
        if fd is not None:
            opened.append(fd)
            parts.append(name)
            if len(opened) > MAX_DEPTH:
                raise WasiError(Errno.NAMETOOLONG)
            continue
        target = _link(here, name)
        if target is None:
            if rest:
                raise WasiError(Errno.NOTDIR)
            return Place(here, name, there, directory, opened)
        links += 1
        if links > MAX_LINKS:
            raise WasiError(Errno.LOOP)
        names, wanted = _names(target)
        directory = directory or (wanted and not rest)
        rest += reversed(names)
    return Place(opened[-1] if opened else start.fd, b".", tuple(parts), True, opened)


def _names(path: bytes) -> tuple[list[bytes], bool]:
    """The names in a path, and whether it asks for a directory."""
    if path.startswith(b"/"):
        raise WasiError(Errno.PERM)
    names = [name for name in path.split(b"/") if name not in (b"", b".")]
    return names, path.endswith((b"/", b"/."))


def _enter(access: Access, here: int, name: bytes) -> int | None:
    """A directory, opened; None if it is something else."""
    if not access.deep:
        raise WasiError(Errno.PERM)
    try:
        return os.open(name, DIRECTORY, dir_fd=here)
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ELOOP):
            return None
        raise


def _link(here: int, name: bytes) -> bytes | None:
    """The text of a symbolic link; None if it is something else, or nothing."""
    try:
        return os.readlink(name, dir_fd=here)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOENT):
            return None
        raise


def _close(opened: list[int]) -> None:
    while opened:
        os.close(opened.pop())
