"""``path_open``: a file or directory below a granted one becomes a descriptor."""

from __future__ import annotations

import os
import stat
from functools import cache

from sen_host.wasi.beneath import DIRECTORY, Place, find
from sen_host.wasi.descriptors import Descriptor, Directory, File
from sen_host.wasi.errno import Errno, WasiError
from sen_host.wasi.layout import FOLLOW, FdFlags, OpenFlags, Rights

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sen_host.wasi.context import Context
    from sen_host.wasi.memory import Memory

# As integers: the complement of a flag has no bits but those of other flags.
_OPEN_FLAGS = int(OpenFlags.CREAT | OpenFlags.DIRECTORY | OpenFlags.EXCL | OpenFlags.TRUNC)
_FD_FLAGS = int(FdFlags.APPEND | FdFlags.DSYNC | FdFlags.NONBLOCK | FdFlags.RSYNC | FdFlags.SYNC)
_SYSTEM_FLAGS = {
    FdFlags.APPEND: os.O_APPEND,
    FdFlags.DSYNC: os.O_DSYNC,
    FdFlags.RSYNC: os.O_RSYNC,
    FdFlags.SYNC: os.O_SYNC,
}

# Never waits for the other end of a pipe, never follows a link, never takes a terminal.
_SAFELY = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_MODE = 0o666


def path_open(
    context: Context,
    memory: Memory,
    fd: int,
    lookup: int,
    path: int,
    length: int,
    oflags: int,
    rights: int,
    _inheriting: int,
    fdflags: int,
    result: int,
) -> None:
    """Open a file or directory, and write its descriptor's number.

    A file is opened for what ``rights`` ask, reading or writing; only what is granted
    is given. Pipes, devices and sockets are not opened.
    """
    base = context.table.get(fd, Directory)
    memory.check(result, 4)
    name = memory.text(path, length, most=context.limits.path_bytes).encode()
    if oflags & ~_OPEN_FLAGS or fdflags & ~_FD_FLAGS or lookup & ~FOLLOW:
        raise WasiError(Errno.INVAL)
    if oflags & OpenFlags.CREAT and oflags & OpenFlags.DIRECTORY:
        raise WasiError(Errno.INVAL)
    context.table.check_room()
    follow = bool(lookup & FOLLOW) and not oflags & OpenFlags.EXCL
    with find(base.start, name, follow=follow, spend=context.spend) as place:
        directory = place.directory or bool(oflags & OpenFlags.DIRECTORY)
        opened = _open(base, place, directory, oflags, Rights(rights & 0xFFF_FFFF), fdflags)
    memory.write_u32(result, context.table.add(opened))


def _open(
    base: Directory, place: Place, directory: bool, oflags: int, rights: Rights, fdflags: int
) -> Descriptor:
    try:
        mode = os.stat(place.name, dir_fd=place.fd, follow_symlinks=False).st_mode
    except FileNotFoundError:
        if directory or not oflags & OpenFlags.CREAT:
            raise
        mode = stat.S_IFREG
    else:
        if oflags & OpenFlags.CREAT and oflags & OpenFlags.EXCL:
            raise WasiError(Errno.EXIST)
    if stat.S_ISDIR(mode):
        return _open_directory(base, place, oflags, rights)
    if stat.S_ISLNK(mode):
        raise WasiError(Errno.NOTDIR if directory else Errno.LOOP)
    if directory:
        raise WasiError(Errno.NOTDIR)
    if not stat.S_ISREG(mode):
        # Opening alone may already do something to a device.
        raise WasiError(Errno.PERM)
    return _open_file(base, place, oflags, rights, fdflags)


def _open_directory(base: Directory, place: Place, oflags: int, rights: Rights) -> Directory:
    if rights & Rights.FD_WRITE or oflags & (OpenFlags.CREAT | OpenFlags.TRUNC):
        raise WasiError(Errno.ISDIR)
    if place.parts and not base.access.deep:
        raise WasiError(Errno.PERM)
    opened = os.open(place.name, DIRECTORY, dir_fd=place.fd)
    return Directory(opened, place.parts, base.access)


def _open_file(base: Directory, place: Place, oflags: int, rights: Rights, fdflags: int) -> File:
    readable, writable = bool(rights & Rights.FD_READ), bool(rights & Rights.FD_WRITE)
    truncated = bool(oflags & OpenFlags.TRUNC)
    if truncated and not writable:
        raise WasiError(Errno.INVAL)
    if (writable or oflags & OpenFlags.CREAT) and not base.access.writes(place.parts):
        raise WasiError(Errno.PERM)
    flags = os.O_RDONLY if not writable else os.O_RDWR if readable else os.O_WRONLY
    if oflags & OpenFlags.CREAT:
        flags |= os.O_CREAT | (os.O_EXCL if oflags & OpenFlags.EXCL else 0)
    for ours, systems in _SYSTEM_FLAGS.items():
        if fdflags & ours:
            flags |= systems
    opened = os.open(place.name, flags | _SAFELY, _MODE, dir_fd=place.fd)
    try:
        # What is there now need not be what was there before.
        status = os.fstat(opened)
        if not stat.S_ISREG(status.st_mode) or status.st_dev == _device_of_processes():
            raise WasiError(Errno.PERM)
        if truncated:
            os.ftruncate(opened, 0)
    except BaseException:
        os.close(opened)
        raise
    return File(opened, readable=readable, writable=writable, flags=fdflags)


@cache
def _device_of_processes() -> int | None:
    """That of ``/proc``, whose files are the memory and the environment of processes: ours too."""
    try:
        return os.stat("/proc/self").st_dev
    except OSError:
        return None  # this system has none
