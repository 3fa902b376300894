"""``fd_readdir``: listing a directory."""

from __future__ import annotations

import os

from sen_host.wasi.descriptors import Directory
from sen_host.wasi.errno import Errno, WasiError
from sen_host.wasi.layout import DIRENT, FileType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sen_host.wasi.context import Context
    from sen_host.wasi.memory import Memory

    Entry = tuple[bytes, int, FileType]


def fd_readdir(
    context: Context,
    memory: Memory,
    fd: int,
    buffer: int,
    length: int,
    cookie: int,
    result: int,
) -> None:
    """Write the entries from ``cookie`` on, sorted by name, as many as have room.

    The listing is made when the guest starts at cookie 0, so that it stays the same
    until its end. The last entry may be cut: then the guest asks again from there.
    """
    directory = context.table.get(fd, Directory)
    memory.check(result, 4)
    memory.check(buffer, length)
    if directory.entries is None or cookie == 0:
        directory.entries = _entries(context, directory)
    data = bytearray()
    entries = directory.entries
    for index in range(cookie, len(entries)):
        name, inode, kind = entries[index]
        data += DIRENT.pack(index + 1, inode, len(name), kind) + name
        if len(data) >= length:
            break
    context.spend_bytes(len(data))
    written = bytes(data[:length])
    memory.write(buffer, written)
    memory.write_u32(result, len(written))


def _entries(context: Context, directory: Directory) -> list[Entry]:
    """What is in a directory, after itself and the one above it."""
    if not directory.access.sees(directory.parts):
        raise WasiError(Errno.PERM)
    own = os.stat(directory.fd).st_ino
    # The number of the directory above would tell of what is outside of the grant.
    head = [(b".", own, FileType.DIRECTORY), (b"..", own, FileType.DIRECTORY)]
    found: list[Entry] = []
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    fd = os.open(b".", flags, dir_fd=directory.fd)
    try:
        with os.scandir(fd) as listing:
            for entry in listing:
                context.spend(1)
                if len(found) == context.limits.directory_entries:
                    raise WasiError(Errno.DQUOT)
                name = _name(entry)
                if name is not None:
                    found.append((name, entry.inode(), _kind(entry)))
    finally:
        os.close(fd)
    return head + sorted(found)


def _kind(entry: os.DirEntry[str]) -> FileType:
    if entry.is_symlink():
        return FileType.SYMBOLIC_LINK
    if entry.is_dir(follow_symlinks=False):
        return FileType.DIRECTORY
    is_file = entry.is_file(follow_symlinks=False)
    return FileType.REGULAR_FILE if is_file else FileType.UNKNOWN


def _name(entry: os.DirEntry[str]) -> bytes | None:
    """An entry's name; None if it is not UTF-8, so that no guest could use it."""
    name = os.fsencode(entry.name)
    try:
        name.decode()
    except UnicodeDecodeError:
        return None
    return name
