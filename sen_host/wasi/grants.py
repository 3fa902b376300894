"""From what a plugin was granted to what its functions work on."""

from __future__ import annotations

import errno
import os

from sen_host.errors import GrantNotUsable
from sen_host.permissions import environment
from sen_host.records import NamedTuple
from sen_host.wasi.beneath import DIRECTORY, Place, Start, find
from sen_host.wasi.errno import WasiError
from sen_host.wasi.scope import Access, Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import NoReturn

    from sen_host.messages import Capabilities, PathPattern

_EVERYTHING = Access(Scope(deep=True))


class Preopened(NamedTuple):
    """A granted directory, or the directory of granted files, as the guest gets it."""

    name: str
    fd: int
    access: Access


class _Target(NamedTuple):
    """Where one pattern points: a directory, opened; one file in it if ``file`` is set."""

    name: str
    fd: int
    file: bytes | None


def open_granted(granted: Capabilities, working_directory: str | None) -> list[Preopened]:
    """Open what was granted of the file system, in the order of the patterns.

    A pattern that is no directory stands for a file: the guest gets its directory, in
    which it sees nothing else. Patterns of one directory come to one.

    Raises:
        GrantNotUsable: a pattern leads out of the working directory, or what it names
            cannot be opened. If it just is not there, the guest will find that out.
    """
    opened: dict[str, Preopened] = {}
    try:
        for pattern in granted.fs_read:
            _add(opened, pattern, working_directory, writing=False)
        for pattern in granted.fs_write:
            _add(opened, pattern, working_directory, writing=True)
    except BaseException:
        for preopened in opened.values():
            os.close(preopened.fd)
        raise
    return list(opened.values())


def _add(
    opened: dict[str, Preopened], pattern: PathPattern, working_directory: str | None, writing: bool
) -> None:
    try:
        target = _open(pattern.pattern, working_directory)
    except WasiError:
        _refuse(pattern, "it leads out of the working directory")
    except OSError as error:
        _refuse(pattern, error.strerror or str(error))
    except ValueError:
        _refuse(pattern, "it has a NUL")
    if target is None:
        return
    if target.file is None:
        scope = Scope(deep=pattern.recursive, flat=True)
    else:
        scope = Scope(names=frozenset({target.file}))
    known = opened.get(target.name)
    if known is not None:
        os.close(target.fd)
    fd, (read, write) = (target.fd, Access()) if known is None else known[1:]
    access = Access(read, write | scope) if writing else Access(read | scope, write)
    opened[target.name] = Preopened(target.name, fd, access)


def _open(pattern: str, working_directory: str | None) -> _Target | None:
    """Open a pattern's directory; None if it is not there."""
    if not pattern:
        return None
    bare = pattern.rstrip("/") or "/"
    parent, _, last = bare.rpartition("/")
    above = parent or ("/" if bare.startswith("/") else ".")
    try:
        return _Target(bare, _open_directory(bare, working_directory), None)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise
    if last in ("", ".", "..", "~"):
        return None
    try:
        return _Target(above, _open_directory(above, working_directory), last.encode())
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise
        return None


def _open_directory(path: str, working_directory: str | None) -> int:
    """Open a directory; a relative path must not lead out of the working directory."""
    expanded = os.path.expanduser(path) if path == "~" or path.startswith("~/") else path
    follow = DIRECTORY & ~os.O_NOFOLLOW
    if os.path.isabs(expanded):
        return os.open(expanded.encode(), follow)
    root = os.open(working_directory or ".", follow)
    try:
        with find(Start(root, (), _EVERYTHING), expanded.encode(), follow=True, spend=_free) as at:
            return _reopen(at)
    finally:
        os.close(root)


def _reopen(place: Place) -> int:
    return os.open(place.name, DIRECTORY, dir_fd=place.fd)


def _free(_steps: int) -> None:
    """The host's own steps are not counted."""


def _refuse(pattern: PathPattern, reason: str) -> NoReturn:
    raise GrantNotUsable(pattern.pattern, reason)


def select_environment(patterns: Iterable[str], environ: Mapping[str, str]) -> list[bytes]:
    """``NAME=value`` of the variables that patterns admit, sorted by name.

    A variable that is not UTF-8, which a guest could not take for text, is left out.
    """
    patterns = tuple(patterns)
    found = []
    for name, value in environ.items():
        if any(environment.admits(pattern, name) for pattern in patterns):
            try:
                variable = f"{name}={value}".encode()
            except UnicodeEncodeError:
                continue
            if b"\0" not in variable:
                found.append((name.encode(), variable))
    return [variable for _, variable in sorted(found)]
