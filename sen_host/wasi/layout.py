"""Numbers and structures of WASI preview 1, as they stand in the guest's memory.

Everything is little-endian, at offsets that the witx files of the standard give.
"""

from __future__ import annotations

import os
import stat
from enum import IntEnum, IntFlag
from struct import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

MODULE: Final = "wasi_snapshot_preview1"

MAX_OFFSET: Final = 2**63 - 1
"""The largest offset in a file: above it, a number is negative to the system."""

MAX_VECTORS: Final = 1024
"""How many buffers one read or write may name, as in POSIX."""


class FileType(IntEnum):
    """What a descriptor or a name stands for."""

    UNKNOWN = 0
    BLOCK_DEVICE = 1
    CHARACTER_DEVICE = 2
    DIRECTORY = 3
    REGULAR_FILE = 4
    SOCKET_STREAM = 6
    SYMBOLIC_LINK = 7


class Rights(IntFlag):
    """What may be done with a descriptor."""

    FD_DATASYNC = 1 << 0
    FD_READ = 1 << 1
    FD_SEEK = 1 << 2
    FD_FDSTAT_SET_FLAGS = 1 << 3
    FD_SYNC = 1 << 4
    FD_TELL = 1 << 5
    FD_WRITE = 1 << 6
    FD_ADVISE = 1 << 7
    FD_ALLOCATE = 1 << 8
    PATH_CREATE_DIRECTORY = 1 << 9
    PATH_CREATE_FILE = 1 << 10
    PATH_LINK_SOURCE = 1 << 11
    PATH_LINK_TARGET = 1 << 12
    PATH_OPEN = 1 << 13
    FD_READDIR = 1 << 14
    PATH_READLINK = 1 << 15
    PATH_RENAME_SOURCE = 1 << 16
    PATH_RENAME_TARGET = 1 << 17
    PATH_FILESTAT_GET = 1 << 18
    PATH_FILESTAT_SET_SIZE = 1 << 19
    PATH_FILESTAT_SET_TIMES = 1 << 20
    FD_FILESTAT_GET = 1 << 21
    FD_FILESTAT_SET_SIZE = 1 << 22
    FD_FILESTAT_SET_TIMES = 1 << 23
    PATH_SYMLINK = 1 << 24
    PATH_REMOVE_DIRECTORY = 1 << 25
    PATH_UNLINK_FILE = 1 << 26
    POLL_FD_READWRITE = 1 << 27


class FdFlags(IntFlag):
    """How a descriptor reads and writes."""

    APPEND = 1
    DSYNC = 2
    NONBLOCK = 4
    RSYNC = 8
    SYNC = 16


class OpenFlags(IntFlag):
    """How ``path_open`` opens."""

    CREAT = 1
    DIRECTORY = 2
    EXCL = 4
    TRUNC = 8


class TimeFlags(IntFlag):
    """Which times are set, and whether to the present."""

    ATIM = 1
    ATIM_NOW = 2
    MTIM = 4
    MTIM_NOW = 8


FOLLOW: Final = 1
"""The only lookup flag: a symbolic link at the end of a path is followed."""

VECTOR: Final = Struct("<II")
PRESTAT: Final = Struct("<B3xI")
FDSTAT: Final = Struct("<BxHxxxxQQ")
FILESTAT: Final = Struct("<QQB7xQQQQQ")
DIRENT: Final = Struct("<QQIB3x")
SUBSCRIPTION: Final = Struct("<QB7x32s")
CLOCK_SUBSCRIPTION: Final = Struct("<I4xQQH6x")
EVENT: Final = Struct("<QHB5xQH6x")

_TYPES = {
    stat.S_IFBLK: FileType.BLOCK_DEVICE,
    stat.S_IFCHR: FileType.CHARACTER_DEVICE,
    stat.S_IFDIR: FileType.DIRECTORY,
    stat.S_IFREG: FileType.REGULAR_FILE,
    stat.S_IFLNK: FileType.SYMBOLIC_LINK,
    stat.S_IFSOCK: FileType.SOCKET_STREAM,
}


def file_type(mode: int) -> FileType:
    """The type that an ``st_mode`` tells."""
    return _TYPES.get(stat.S_IFMT(mode), FileType.UNKNOWN)


def filestat(status: os.stat_result) -> bytes:
    """``filestat`` of what the system knows; times out of range become the nearest."""
    times = (status.st_atime_ns, status.st_mtime_ns, status.st_ctime_ns)
    return FILESTAT.pack(
        status.st_dev & 0xFFFF_FFFF_FFFF_FFFF,
        status.st_ino,
        file_type(status.st_mode),
        status.st_nlink,
        status.st_size,
        *(min(max(0, time), 0xFFFF_FFFF_FFFF_FFFF) for time in times),
    )
