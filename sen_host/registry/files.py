"""Plugin files that others may be writing, moving and removing."""

from __future__ import annotations

import os

from sen_host.errors import PluginFileError
from sen_host.plugin_file import read_plugin_file

_READS = 3


def normal(path: str | os.PathLike[str]) -> str:
    """One name for a file, also when the file is gone."""
    folder, name = os.path.split(os.path.abspath(path))
    try:
        return os.path.join(os.path.realpath(folder), name)
    except ValueError:  # a NUL in the path: there is no such file
        return os.path.join(folder, name)


def read_steady(path: str, limit_bytes: int) -> bytes:
    """The bytes of a plugin file that did not change while they were read.

    Raises:
        PluginFileError: it changed each time; others as ``read_plugin_file``.
    """
    for _ in range(_READS):
        before = state_of(path)
        data = read_plugin_file(path, limit_bytes)
        if state_of(path) == before:
            return data
    raise PluginFileError(
        f"the plugin file {path!r} changes while it is read",
        path=path,
        hint="load it again when it is written",
    )


def state_of(path: str) -> tuple[int, ...] | None:
    """What changes when a file is written or replaced; None if it cannot be seen."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
