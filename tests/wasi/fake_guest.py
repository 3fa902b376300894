"""A guest that is only a memory, and calls the WASI functions as a compiled one would."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from sen_host.host_functions import MemoryRange
from sen_host.messages import Capabilities, PathPattern
from sen_host.wasi import Wasi
from sen_host.wasi.descriptors import Descriptor, Directory, File
from sen_host.wasi.errno import Errno
from sen_host.wasi.functions import TYPES, WasiFunctions
from sen_host.wasi.layout import DIRENT, FILESTAT, FOLLOW, MODULE, OpenFlags, Rights

READ, WRITE = Rights.FD_READ, Rights.FD_WRITE
CREATE, TRUNCATE, EXCLUSIVE = OpenFlags.CREAT, OpenFlags.TRUNC, OpenFlags.EXCL
DIRECTORY = OpenFlags.DIRECTORY

PAGE = 65_536
T = TypeVar("T")
P = ParamSpec("P")


class FakeMemory:
    """A linear memory that refuses what is out of its bounds, and says so."""

    def __init__(self, size: int = 4 * PAGE) -> None:
        self.data = bytearray(size)

    def size(self) -> int:
        return len(self.data)

    def _check(self, offset: int, length: int) -> None:
        if not 0 <= offset <= offset + length <= len(self.data):
            raise MemoryRange(offset, length, len(self.data))

    def read(self, offset: int, length: int) -> bytes:
        self._check(offset, length)
        return bytes(self.data[offset : offset + length])

    def write(self, offset: int, data: bytes) -> None:
        self._check(offset, len(data))
        self.data[offset : offset + len(data)] = data


class Failed(Exception):
    """A function returned this error number."""

    def __init__(self, number: int) -> None:
        super().__init__(Errno(number))
        self.errno = Errno(number)


def outcome(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | Errno:
    """What some work gives, or the error number that it fails with."""
    try:
        return work(*args, **kwargs)
    except Failed as failed:
        return failed.errno


class FakeGuest:
    """One guest entry. The first half of the memory is for what it passes, the second for results.

    Its methods raise Failed.
    """

    def __init__(
        self,
        wasi: Wasi,
        granted: Capabilities | None = None,
        *,
        function: str = "plugin_execute",
        args: tuple[str, ...] = (),
    ) -> None:
        self.functions: WasiFunctions = wasi()
        if granted is not None:
            self.functions.granted = granted
        self.memory = FakeMemory()
        self.result = len(self.memory.data) // 2
        self._passed = 8
        self.functions.begin(function, args)

    def end(self) -> None:
        self.functions.close()

    def functions_fd(self, fd: int) -> int:
        """The system's descriptor behind the guest's: to ask the system where it leads."""
        context = self.functions._context
        assert context is not None
        descriptor = context.table.get(fd, Descriptor)
        assert isinstance(descriptor, (File, Directory))
        return descriptor.fd

    def errno(self, name: str, *arguments: int) -> Errno:
        """What a function returns."""
        params = TYPES[MODULE, name].params
        assert len(arguments) == len(params)
        for value, param in zip(arguments, params, strict=True):
            assert 0 <= value < 2 ** int(param[1:])
        number = self.functions.call(MODULE, name, self.memory, arguments)
        assert number is not None
        return Errno(number)

    def call(self, name: str, *arguments: int) -> None:
        number = self.errno(name, *arguments)
        if number:
            raise Failed(number)

    def put(self, data: bytes) -> int:
        """Where the bytes now stand in the memory."""
        place = self._passed
        self.memory.write(place, data)
        self._passed = 8 if place > PAGE else place + len(data) + 8
        return place

    def path(self, path: str | bytes) -> tuple[int, int]:
        data = path.encode() if isinstance(path, str) else path
        return self.put(data), len(data)

    def u32(self, offset: int | None = None) -> int:
        return int.from_bytes(self.memory.read(offset or self.result, 4), "little")

    def u64(self, offset: int | None = None) -> int:
        return int.from_bytes(self.memory.read(offset or self.result, 8), "little")

    def open(
        self,
        path: str | bytes,
        rights: int = READ,
        *,
        fd: int = 3,
        oflags: int = 0,
        fdflags: int = 0,
        follow: bool = True,
    ) -> int:
        lookup = FOLLOW if follow else 0
        place = self.path(path)
        self.call("path_open", fd, lookup, *place, oflags, rights, 0, fdflags, self.result)
        return self.u32()

    def vector(self, offset: int, length: int) -> int:
        return self.put(offset.to_bytes(4, "little") + length.to_bytes(4, "little"))

    def read(self, fd: int, length: int = 1_000) -> bytes:
        vector = self.vector(self.result + 8, length)
        self.call("fd_read", fd, vector, 1, self.result)
        return self.memory.read(self.result + 8, self.u32())

    def write(self, fd: int, data: bytes) -> int:
        vector = self.vector(self.put(data), len(data))
        self.call("fd_write", fd, vector, 1, self.result)
        return self.u32()

    def content(self, path: str | bytes, *, fd: int = 3) -> bytes:
        """What a file has."""
        opened = self.open(path, fd=fd)
        data = self.read(opened, PAGE)
        self.call("fd_close", opened)
        return data

    def create(self, path: str, data: bytes, *, fd: int = 3) -> None:
        opened = self.open(path, WRITE, fd=fd, oflags=CREATE | TRUNCATE)
        assert self.write(opened, data) == len(data)
        self.call("fd_close", opened)

    def stat(self, path: str, *, fd: int = 3, follow: bool = True) -> tuple[int, ...]:
        """dev, ino, type, links, size, atim, mtim, ctim."""
        self.call("path_filestat_get", fd, int(follow), *self.path(path), self.result)
        return FILESTAT.unpack(self.memory.read(self.result, FILESTAT.size))

    def names(self, fd: int = 3, *, buffer: int = PAGE) -> list[str]:
        """The names in a directory, read with a buffer of that size."""
        found: list[str] = []
        cookie = 0
        while True:
            self.call("fd_readdir", fd, self.result + 8, buffer, cookie, self.result)
            used = self.u32()
            data = self.memory.read(self.result + 8, used)
            while len(data) >= DIRENT.size:
                following, _inode, length, _type = DIRENT.unpack_from(data)
                name = data[DIRENT.size : DIRENT.size + length]
                if len(name) < length:
                    break
                found.append(name.decode())
                cookie = following
                data = data[DIRENT.size + length :]
            if used < buffer:
                return found

    def preopened(self) -> list[str]:
        """The names of the granted directories."""
        found: list[str] = []
        while self.errno("fd_prestat_get", 3 + len(found), self.result) is Errno.SUCCESS:
            length = self.u32(self.result + 4)
            self.call("fd_prestat_dir_name", 3 + len(found), self.result, length)
            found.append(self.memory.read(self.result, length).decode())
        return found


def patterns(*paths: str, recursive: bool = True) -> tuple[PathPattern, ...]:
    return tuple(PathPattern(path, recursive) for path in paths)


def reading(*paths: str, recursive: bool = True) -> Capabilities:
    return Capabilities(fs_read=patterns(*paths, recursive=recursive))


def writing(*paths: str, recursive: bool = True) -> Capabilities:
    return Capabilities(fs_write=patterns(*paths, recursive=recursive))


def at(directory: Path) -> Wasi:
    """Settings whose working directory is that one."""
    return Wasi(working_directory=str(directory))
