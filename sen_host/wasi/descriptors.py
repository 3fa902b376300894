"""What a guest's descriptors stand for, and their table."""

from __future__ import annotations

import os

from sen_host import log
from sen_host.wasi.beneath import Start
from sen_host.wasi.errno import Errno, WasiError
from sen_host.wasi.layout import FdFlags, FileType, Rights
from sen_host.wasi.scope import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    from sen_host.wasi.scope import Access, Parts
    from sen_host.wasi.streams import Input, Output

    _D = TypeVar("_D", bound="Descriptor")

_ANY = Rights.FD_FDSTAT_SET_FLAGS | Rights.FD_FILESTAT_GET | Rights.POLL_FD_READWRITE
_SEEK = Rights.FD_SEEK | Rights.FD_TELL | Rights.FD_ADVISE
_FILE_WRITE = (
    Rights.FD_DATASYNC
    | Rights.FD_SYNC
    | Rights.FD_WRITE
    | Rights.FD_FILESTAT_SET_SIZE
    | Rights.FD_FILESTAT_SET_TIMES
)
_PATH_READ = Rights.PATH_OPEN | Rights.FD_READDIR | Rights.PATH_READLINK | Rights.PATH_FILESTAT_GET
_PATH_WRITE = (
    Rights.PATH_CREATE_DIRECTORY
    | Rights.PATH_CREATE_FILE
    | Rights.PATH_LINK_SOURCE
    | Rights.PATH_LINK_TARGET
    | Rights.PATH_RENAME_SOURCE
    | Rights.PATH_RENAME_TARGET
    | Rights.PATH_FILESTAT_SET_SIZE
    | Rights.PATH_FILESTAT_SET_TIMES
    | Rights.FD_FILESTAT_SET_TIMES
    | Rights.PATH_SYMLINK
    | Rights.PATH_REMOVE_DIRECTORY
    | Rights.PATH_UNLINK_FILE
)

_SYNCHRONOUS = int(FdFlags.DSYNC | FdFlags.RSYNC | FdFlags.SYNC)


class Descriptor:
    """The root of all kinds."""

    type = FileType.UNKNOWN
    flags = 0

    @property
    def rights(self) -> Rights:
        """What may be done with it."""
        return _ANY

    @property
    def inheriting(self) -> Rights:
        """What may be done with what is opened through it."""
        return Rights(0)

    def close(self) -> None:
        """Give back what it holds of the system."""


class InputStream(Descriptor):
    """Standard input; never a terminal to the guest, so that it runs alike everywhere."""

    def __init__(self, stream: Input) -> None:
        self.stream = stream

    @property
    def rights(self) -> Rights:
        return _ANY | Rights.FD_READ


class OutputStream(Descriptor):
    """Standard output or standard error; never a terminal either."""

    def __init__(self, stream: Output) -> None:
        self.stream = stream

    @property
    def rights(self) -> Rights:
        return _ANY | Rights.FD_WRITE


class File(Descriptor):
    """A regular file."""

    type = FileType.REGULAR_FILE

    def __init__(self, fd: int, *, readable: bool, writable: bool, flags: int) -> None:
        self.fd = fd
        self.readable = readable
        self.writable = writable
        self.flags = flags
        # Also when the guest has switched them off: the system cannot.
        self.synchronous = bool(flags & _SYNCHRONOUS)

    @property
    def rights(self) -> Rights:
        rights = _ANY | _SEEK
        if self.readable:
            rights |= Rights.FD_READ
        if self.writable:
            rights |= _FILE_WRITE
        return rights

    def close(self) -> None:
        os.close(self.fd)


class Directory(Descriptor):
    """A directory; of a granted one, ``name`` is what the guest knows it by."""

    type = FileType.DIRECTORY

    def __init__(self, fd: int, parts: Parts, access: Access, name: bytes | None = None) -> None:
        self.fd = fd
        self.parts = parts
        self.access = access
        self.name = name
        self.entries: list[tuple[bytes, int, FileType]] | None = None
        """What a listing under way goes through."""

    @property
    def start(self) -> Start:
        """Where paths relative to it start."""
        return Start(self.fd, self.parts, self.access)

    @property
    def rights(self) -> Rights:
        rights = _ANY | _PATH_READ
        if self.access.write != Scope():
            rights |= _PATH_WRITE
        return rights

    @property
    def inheriting(self) -> Rights:
        rights = self.rights | _SEEK | Rights.FD_READ
        if rights & Rights.PATH_CREATE_FILE:
            rights |= _FILE_WRITE
        return rights

    def close(self) -> None:
        os.close(self.fd)


class Table:
    """Descriptors by number. A new one gets the lowest number that is free."""

    def __init__(self, most: int) -> None:
        self._open: dict[int, Descriptor] = {}
        self._most = most

    def check_room(self) -> None:
        """Raise MFILE if no further descriptor may be opened."""
        if len(self._open) >= self._most:
            raise WasiError(Errno.MFILE)

    def add(self, descriptor: Descriptor) -> int:
        """Its number. The caller has checked that there is room."""
        number = next(number for number in range(self._most + 1) if number not in self._open)
        self._open[number] = descriptor
        return number

    def get(self, number: int, kind: type[_D]) -> _D:
        """The descriptor of that number.

        Raises:
            WasiError: BADF if there is none, or one of another kind.
        """
        found = self._open.get(number)
        if not isinstance(found, kind):
            raise WasiError(Errno.BADF)
        return found

    def close(self, number: int) -> None:
        """Close one."""
        self.get(number, Descriptor)
        self._open.pop(number).close()

    def renumber(self, source: int, target: int) -> None:
        """Give a descriptor the number of another, which is closed."""
        self.get(source, Descriptor)
        self.get(target, Descriptor)
        if source != target:
            self._open.pop(target).close()
            self._open[target] = self._open.pop(source)

    def close_all(self) -> None:
        """Close all. The guest that could be told of a failure is gone."""
        while self._open:
            try:
                self._open.popitem()[1].close()
            except OSError as error:  # noqa: PERF203 - the others are to be closed as well
                log.warning("a file of a plugin could not be written to its end: %s", error)
