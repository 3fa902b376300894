"""Manifests of plugin files, kept from one start of an application to the next.

The index is a file of the user's cache directory, private and written at once. One that
is damaged, or of another version, is as good as none.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Mapping

import msgpack

from sen_host import __version__, log
from sen_host.cache.directory import Foreign, Unsafe, opened, opened_file, write_file
from sen_host.errors import Deserialization
from sen_host.messages import PluginManifest, decode, encode
from sen_host.user_dirs import user_directory

State = tuple[int, ...]
Manifests = dict[str, tuple[State, PluginManifest]]

_MAGIC = f"sen-host manifests 1 {__version__}\n".encode()
_LONGEST = 64 << 20


def default_directory() -> str | None:
    """Where indexes are, e.g. ``~/.cache/sen-host/manifests``; None without a home."""
    base = user_directory("cache")
    return None if base is None else os.path.join(base, "manifests")


def state_of(path: str) -> State:
    """What tells one version of a file from another.

    Raises:
        OSError
    """
    status = os.stat(path)
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def read(directory: str | None, application: str) -> Manifests:
    """The manifests by their files, with the files' states; empty if there is no good index."""
    if directory is None:
        return {}
    try:
        with opened(directory) as folder, opened_file(folder, _name(application)) as file:
            if os.fstat(file).st_size > _LONGEST:
                return {}
            with os.fdopen(os.dup(file), "rb") as stream:
                data = stream.read()
        return _parsed(data)
    except FileNotFoundError:
        return {}
    except (OSError, Unsafe, Foreign, ValueError, Deserialization) as error:
        log.debug("the index of manifests is not used: %s", error)
        return {}


def write(
    directory: str | None, application: str, manifests: Mapping[str, tuple[State, PluginManifest]]
) -> None:
    """Keep the manifests. If that is not possible, they are read from the plugins again."""
    if directory is None:
        return
    rows = [
        [os.fsencode(path), state, encode(manifest)]
        for path, (state, manifest) in manifests.items()
    ]
    body: bytes = msgpack.packb(rows)
    try:
        with opened(directory, create=True) as folder:
            write_file(
                folder, _name(application), _MAGIC, zlib.crc32(body).to_bytes(4, "big"), body
            )
    except (OSError, Unsafe) as error:
        log.debug("the index of manifests is not kept: %s", error)


def _name(application: str) -> str:
    safe = re.sub(r"[^A-Za-z0-9_-]", "_", application)[:60]
    return f"{safe}-{zlib.crc32(application.encode('utf-8', 'surrogateescape')):08x}.idx"


def _parsed(data: bytes) -> Manifests:
    head = len(_MAGIC) + 4
    body = data[head:]
    if not data.startswith(_MAGIC) or zlib.crc32(body) != int.from_bytes(
        data[len(_MAGIC) : head], "big"
    ):
        raise ValueError("it is damaged, or of another version")
    found: Manifests = {}
    try:
        for path, state, manifest in msgpack.unpackb(body):
            found[os.fsdecode(path)] = tuple(state), decode(PluginManifest, manifest)
    except (TypeError, msgpack.UnpackException) as error:
        raise ValueError("it is not an index") from error
    return found
