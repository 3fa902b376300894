"""Functions on names below granted directories: ``path_*``, except for ``path_open``."""

from __future__ import annotations

import os
import stat

from sen_host.wasi.beneath import Place, find
from sen_host.wasi.descriptors import Directory
from sen_host.wasi.errno import Errno, WasiError
from sen_host.wasi.layout import FOLLOW, filestat
from sen_host.wasi.times import times_to_set

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sen_host.wasi.context import Context
    from sen_host.wasi.memory import Memory


def path_filestat_get(
    context: Context, memory: Memory, fd: int, lookup: int, path: int, length: int, result: int
) -> None:
    """Write what the system knows of a file."""
    base, name = _asked(context, memory, fd, path, length, lookup)
    with _find(context, base, name, lookup) as place:
        status = _stat(place)
    memory.write(result, filestat(status))


def path_filestat_set_times(
    context: Context,
    memory: Memory,
    fd: int,
    lookup: int,
    path: int,
    length: int,
    accessed: int,
    modified: int,
    flags: int,
) -> None:
    """Set the times of a file or directory."""
    base, name = _asked(context, memory, fd, path, length, lookup)
    with _find(context, base, name, lookup) as place:
        _check_writes(base, place)
        times = times_to_set(context, _stat(place), accessed, modified, flags)
        os.utime(place.name, ns=times, dir_fd=place.fd, follow_symlinks=False)


def path_create_directory(
    context: Context, memory: Memory, fd: int, path: int, length: int
) -> None:
    """Make a directory."""
    base, name = _asked(context, memory, fd, path, length)
    with _find(context, base, name) as place:
        _check_deep(base)
        os.mkdir(place.name, dir_fd=place.fd)


def path_remove_directory(
    context: Context, memory: Memory, fd: int, path: int, length: int
) -> None:
    """Remove an empty directory."""
    base, name = _asked(context, memory, fd, path, length)
    with _find(context, base, name) as place:
        _check_deep(base)
        os.rmdir(place.name, dir_fd=place.fd)


def path_unlink_file(context: Context, memory: Memory, fd: int, path: int, length: int) -> None:
    """Remove a name that is no directory's."""
    base, name = _asked(context, memory, fd, path, length)
    with _find(context, base, name) as place:
        _check_writes(base, place)
        if place.directory:
            raise WasiError(Errno.ISDIR if stat.S_ISDIR(_stat(place).st_mode) else Errno.NOTDIR)
        os.unlink(place.name, dir_fd=place.fd)


def path_rename(
    context: Context,
    memory: Memory,
    fd: int,
    path: int,
    length: int,
    new_fd: int,
    new_path: int,
    new_length: int,
) -> None:
    """Give a file or directory another name, perhaps in another granted directory."""
    base, name = _asked(context, memory, fd, path, length)
    new_base, new_name = _asked(context, memory, new_fd, new_path, new_length)
    with _find(context, base, name) as source, _find(context, new_base, new_name) as target:
        _check_writes(base, source)
        _check_writes(new_base, target)
        if stat.S_ISDIR(_stat(source).st_mode):
            _check_deep(base)
            _check_deep(new_base)
        elif target.directory:
            raise WasiError(Errno.NOTDIR)
        os.rename(source.name, target.name, src_dir_fd=source.fd, dst_dir_fd=target.fd)


def path_link(
    context: Context,
    memory: Memory,
    fd: int,
    lookup: int,
    path: int,
    length: int,
    new_fd: int,
    new_path: int,
    new_length: int,
) -> None:
    """Give a file a second name. What may only be read cannot get one that may be written."""
    if lookup & FOLLOW:
        raise WasiError(Errno.INVAL)
    base, name = _asked(context, memory, fd, path, length, lookup)
    new_base, new_name = _asked(context, memory, new_fd, new_path, new_length)
    with _find(context, base, name) as source, _find(context, new_base, new_name) as target:
        _check_writes(base, source)
        _check_writes(new_base, target)
        if target.directory:
            raise WasiError(Errno.NOENT)
        _stat(source)
        os.link(
            source.name,
            target.name,
            src_dir_fd=source.fd,
            dst_dir_fd=target.fd,
            follow_symlinks=False,
        )


def path_symlink(
    context: Context, memory: Memory, text: int, text_length: int, fd: int, path: int, length: int
) -> None:
    """Make a symbolic link that leads down from where it stands.

    Guests could not follow one out of the granted directory, but programs of the user
    would. A link without ``..`` leads to no place outside, wherever it is moved.
    """
    target = memory.text(text, text_length, most=context.limits.path_bytes).encode()
    base, name = _asked(context, memory, fd, path, length)
    with _find(context, base, name) as place:
        _check_writes(base, place)
        if place.directory:
            raise WasiError(Errno.NOENT)
        if target.startswith(b"/") or b".." in target.split(b"/"):
            raise WasiError(Errno.PERM)
        os.symlink(target, place.name, dir_fd=place.fd)


def path_readlink(
    context: Context,
    memory: Memory,
    fd: int,
    path: int,
    length: int,
    buffer: int,
    buffer_length: int,
    result: int,
) -> None:
    """Write the text of a symbolic link, cut to the buffer. That of an absolute one is kept."""
    base, name = _asked(context, memory, fd, path, length)
    memory.check(buffer, buffer_length)
    memory.check(result, 4)
    with _find(context, base, name) as place:
        target = os.readlink(place.name, dir_fd=place.fd)
    if target.startswith(b"/"):
        raise WasiError(Errno.PERM)
    memory.write(buffer, target[:buffer_length])
    memory.write_u32(result, min(len(target), buffer_length))


def _asked(
    context: Context, memory: Memory, fd: int, path: int, length: int, lookup: int = 0
) -> tuple[Directory, bytes]:
    """The directory that a path starts from, and the path."""
    base = context.table.get(fd, Directory)
    if lookup & ~FOLLOW:
        raise WasiError(Errno.INVAL)
    return base, memory.text(path, length, most=context.limits.path_bytes).encode()


def _find(context: Context, base: Directory, name: bytes, lookup: int = 0) -> Place:
    return find(base.start, name, follow=bool(lookup & FOLLOW), spend=context.spend)


def _stat(place: Place) -> os.stat_result:
    status = os.stat(place.name, dir_fd=place.fd, follow_symlinks=False)
    if place.directory and not stat.S_ISDIR(status.st_mode):
        raise WasiError(Errno.NOTDIR)
    return status


def _check_writes(base: Directory, place: Place) -> None:
    if not base.access.writes(place.parts):
        raise WasiError(Errno.PERM)


def _check_deep(base: Directory) -> None:
    """Directories are altered only where all below may be written."""
    if not base.access.write.deep:
        raise WasiError(Errno.PERM)
