"""Functions on open descriptors: ``fd_*``."""

from __future__ import annotations

import fcntl
import os

from sen_host.wasi.context import TRANSFER_BYTES
from sen_host.wasi.descriptors import Descriptor, Directory, File, InputStream, OutputStream
from sen_host.wasi.errno import Errno, WasiError
from sen_host.wasi.layout import (
    FDSTAT,
    FILESTAT,
    MAX_OFFSET,
    PRESTAT,
    FdFlags,
    filestat,
)
from sen_host.wasi.times import times_to_set

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sen_host.wasi.context import Context
    from sen_host.wasi.memory import Memory

_WHENCE = (os.SEEK_SET, os.SEEK_CUR, os.SEEK_END)
_SYNC_STEPS = 1_000
"""Waiting for a disk takes longer than anything else."""

_LAST_ADVICE = 5


def fd_advise(
    context: Context, _memory: Memory, fd: int, offset: int, length: int, advice: int
) -> None:
    """Take note of nothing: advice changes no result."""
    context.table.get(fd, File)
    if advice > _LAST_ADVICE or offset > MAX_OFFSET or length > MAX_OFFSET:
        raise WasiError(Errno.INVAL)


def fd_allocate(context: Context, _memory: Memory, fd: int, _offset: int, _length: int) -> None:
    """Refused, as in other hosts: not every file system can do it."""
    context.table.get(fd, File)
    raise WasiError(Errno.NOTSUP)


def fd_close(context: Context, _memory: Memory, fd: int) -> None:
    """Close a descriptor."""
    context.table.close(fd)


def fd_renumber(context: Context, _memory: Memory, source: int, target: int) -> None:
    """Give a descriptor the number of another."""
    context.table.renumber(source, target)


def fd_datasync(context: Context, _memory: Memory, fd: int) -> None:
    """Wait until the content is on the disk."""
    _sync(context, fd, os.fdatasync)


def fd_sync(context: Context, _memory: Memory, fd: int) -> None:
    """Wait until content and times are on the disk."""
    _sync(context, fd, os.fsync)


def _sync(context: Context, fd: int, sync: Callable[[int], None]) -> None:
    file = context.table.get(fd, File)
    context.spend(_SYNC_STEPS)
    sync(file.fd)


def fd_fdstat_get(context: Context, memory: Memory, fd: int, result: int) -> None:
    """Write type, flags and rights of a descriptor."""
    found = context.table.get(fd, Descriptor)
    memory.write(result, FDSTAT.pack(found.type, found.flags, found.rights, found.inheriting))


def fd_fdstat_set_flags(context: Context, _memory: Memory, fd: int, flags: int) -> None:
    """Switch appending on or off. Nothing ever blocks, so NONBLOCK is taken as well."""
    found = context.table.get(fd, Descriptor)
    if flags & ~int(FdFlags.APPEND | FdFlags.NONBLOCK):
        raise WasiError(Errno.NOTSUP)
    if isinstance(found, File):
        present = fcntl.fcntl(found.fd, fcntl.F_GETFL) & ~os.O_APPEND
        added = os.O_APPEND if flags & FdFlags.APPEND else 0
        fcntl.fcntl(found.fd, fcntl.F_SETFL, present | added)
    found.flags = flags


def fd_fdstat_set_rights(
    context: Context, _memory: Memory, fd: int, _rights: int, _inheriting: int
) -> None:
    """Refused, as in other hosts: rights follow from the grants."""
    context.table.get(fd, Descriptor)
    raise WasiError(Errno.NOTSUP)


def fd_filestat_get(context: Context, memory: Memory, fd: int, result: int) -> None:
    """Write what the system knows of a file; of a stream, its type."""
    found = context.table.get(fd, Descriptor)
    if isinstance(found, (File, Directory)):
        data = filestat(os.stat(found.fd))
    else:
        data = FILESTAT.pack(0, 0, found.type, 0, 0, 0, 0, 0)
    memory.write(result, data)


def fd_filestat_set_size(context: Context, _memory: Memory, fd: int, size: int) -> None:
    """Cut a file, or let it grow."""
    file = _writable(context, fd)
    if size > MAX_OFFSET:
        raise WasiError(Errno.INVAL)
    grown = max(0, size - os.stat(file.fd).st_size)
    context.check_written(grown)
    os.ftruncate(file.fd, size)
    context.spend_written(grown)


def fd_filestat_set_times(
    context: Context, _memory: Memory, fd: int, accessed: int, modified: int, flags: int
) -> None:
    """Set the times of a file or directory."""
    found = context.table.get(fd, Descriptor)
    if isinstance(found, Directory):
        if not found.access.writes(found.parts):
            raise WasiError(Errno.PERM)
        status = os.stat(found.fd)
        times = times_to_set(context, status, accessed, modified, flags)
        os.utime(b".", ns=times, dir_fd=found.fd)
    else:
        file = _writable(context, fd)
        times = times_to_set(context, os.stat(file.fd), accessed, modified, flags)
        os.utime(file.fd, ns=times)


def fd_prestat_get(context: Context, memory: Memory, fd: int, result: int) -> None:
    """Write the length of a granted directory's name."""
    memory.write(result, PRESTAT.pack(0, len(_granted_name(context, fd))))


def fd_prestat_dir_name(
    context: Context, memory: Memory, fd: int, buffer: int, length: int
) -> None:
    """Write the name of a granted directory."""
    name = _granted_name(context, fd)
    if length < len(name):
        raise WasiError(Errno.NAMETOOLONG)
    memory.write(buffer, name)


def _granted_name(context: Context, fd: int) -> bytes:
    name = context.table.get(fd, Directory).name
    if name is None:
        raise WasiError(Errno.BADF)
    return name


def fd_seek(
    context: Context, memory: Memory, fd: int, offset: int, whence: int, result: int
) -> None:
    """Move the position in a file."""
    file = _seekable(context, fd)
    if whence >= len(_WHENCE):
        raise WasiError(Errno.INVAL)
    memory.check(result, 8)
    signed = offset - 2**64 if offset > MAX_OFFSET else offset
    memory.write_u64(result, os.lseek(file.fd, signed, _WHENCE[whence]))


def fd_tell(context: Context, memory: Memory, fd: int, result: int) -> None:
    """Write the position in a file."""
    memory.write_u64(result, os.lseek(_seekable(context, fd).fd, 0, os.SEEK_CUR))


def fd_read(
    context: Context, memory: Memory, fd: int, vectors: int, count: int, result: int
) -> None:
    """Read from the position on."""
    found = context.table.get(fd, Descriptor)
    memory.check(result, 4)
    buffers = memory.vectors(vectors, count, most=TRANSFER_BYTES)
    length = sum(length for _, length in buffers)
    if isinstance(found, InputStream):
        data = found.stream.read(length)
    else:
        data = os.read(_readable(context, fd).fd, length)
    context.spend_bytes(len(data))
    memory.scatter(buffers, data)
    memory.write_u32(result, len(data))


def fd_pread(
    context: Context, memory: Memory, fd: int, vectors: int, count: int, offset: int, result: int
) -> None:
    """Read from an offset on; the position stays."""
    _seekable(context, fd)
    file = _readable(context, fd)
    memory.check(result, 4)
    buffers = memory.vectors(vectors, count, most=TRANSFER_BYTES)
    if offset > MAX_OFFSET:
        raise WasiError(Errno.INVAL)
    data = os.pread(file.fd, sum(length for _, length in buffers), offset)
    context.spend_bytes(len(data))
    memory.scatter(buffers, data)
    memory.write_u32(result, len(data))


def fd_write(
    context: Context, memory: Memory, fd: int, vectors: int, count: int, result: int
) -> None:
    """Write at the position, or at the end if appending."""
    found = context.table.get(fd, Descriptor)
    memory.check(result, 4)
    buffers = memory.vectors(vectors, count, most=TRANSFER_BYTES)
    if isinstance(found, OutputStream):
        data = memory.gather(buffers)
        context.spend_bytes(len(data))
        context.spend_output(len(data))
        found.stream.write(data)
        memory.write_u32(result, len(data))
        return
    file = _writable(context, fd)
    size = os.stat(file.fd).st_size
    start = size if file.flags & FdFlags.APPEND else os.lseek(file.fd, 0, os.SEEK_CUR)
    written = _write(context, memory, file, buffers, start, size, None)
    memory.write_u32(result, written)


def fd_pwrite(
    context: Context, memory: Memory, fd: int, vectors: int, count: int, offset: int, result: int
) -> None:
    """Write at an offset; the position stays. Refused for a file that is appended to."""
    _seekable(context, fd)
    file = _writable(context, fd)
    memory.check(result, 4)
    buffers = memory.vectors(vectors, count, most=TRANSFER_BYTES)
    if offset > MAX_OFFSET - TRANSFER_BYTES:
        raise WasiError(Errno.INVAL)
    if file.flags & FdFlags.APPEND:
        raise WasiError(Errno.NOTSUP)
    size = os.stat(file.fd).st_size
    memory.write_u32(result, _write(context, memory, file, buffers, offset, size, offset))


def _write(
    context: Context,
    memory: Memory,
    file: File,
    buffers: list[tuple[int, int]],
    start: int,
    size: int,
    offset: int | None,
) -> int:
    """Write buffers to a file of ``size`` bytes; a gap that this makes counts as written."""
    data = memory.gather(buffers)
    context.spend_bytes(len(data))
    if file.synchronous:
        context.spend(_SYNC_STEPS)
    cost = max(len(data), start + len(data) - size) if data else 0
    context.check_written(cost)
    written = os.write(file.fd, data) if offset is None else os.pwrite(file.fd, data, offset)
    context.spend_written(cost)
    return written


def _seekable(context: Context, fd: int) -> File:
    found = context.table.get(fd, Descriptor)
    if isinstance(found, (InputStream, OutputStream)):
        raise WasiError(Errno.SPIPE)
    return context.table.get(fd, File)


def _readable(context: Context, fd: int) -> File:
    file = context.table.get(fd, File)
    if not file.readable:
        raise WasiError(Errno.BADF)
    return file


def _writable(context: Context, fd: int) -> File:
    file = context.table.get(fd, File)
    if not file.writable:
        raise WasiError(Errno.BADF)
    return file
