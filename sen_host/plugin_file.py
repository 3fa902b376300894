"""Reading a plugin's file without being harmed by it."""

from __future__ import annotations

import os
import stat

from sen_host.errors import PluginFileError


def read_plugin_file(path: str, limit_bytes: int) -> bytes:
    """The bytes of a plugin file.

    Raises:
        PluginFileError: it is missing, no regular file, unreadable, or larger
            than ``limit_bytes``.
    """
    try:
        # Without O_NONBLOCK, a pipe that has no writer would block for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if stat.S_ISDIR(status.st_mode):
                raise IsADirectoryError
            if not stat.S_ISREG(status.st_mode):
                raise PluginFileError(f"the plugin file {path!r} is not a regular file", path=path)
            if status.st_size > limit_bytes:
                raise _too_large(path, status.st_size, limit_bytes)
            # Room for the limit would take longer to get than the file to read.
            data = file.read(status.st_size + 1)
            if len(data) > status.st_size:  # it grows while it is read
                data += file.read(limit_bytes + 1 - len(data))
    except FileNotFoundError:
        raise PluginFileError(
            f"there is no plugin file {path!r}", path=path, hint="check the path"
        ) from None
    except IsADirectoryError:
        raise PluginFileError(
            f"the plugin file {path!r} is a directory", path=path, hint="name the .wasm file in it"
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise PluginFileError(
            f"the plugin file {path!r} cannot be read", path=path, detail=reason
        ) from error
    if len(data) > limit_bytes:
        raise _too_large(path, len(data), limit_bytes)
    return data


def _too_large(path: str, size: int, limit_bytes: int) -> PluginFileError:
    return PluginFileError(
        f"the plugin file {path!r} has {size:,} bytes, the limit is {limit_bytes:,} bytes",
        path=path,
        hint="raise limits.module_bytes if a module of this size is expected",
    )
