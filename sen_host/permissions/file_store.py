"""Grants in a file: one per application, in the user's config directory.

The file is JSON with a version. It is replaced as a whole, so that a reader needs no lock
and finds either the old content or the new one, also after a crash; writers take turns by
a lock file beside it. What cannot be understood is never written over.
"""

from __future__ import annotations

import os
import re

from sen_host.errors import (
    ConfigError,
    PermissionStoreCorrupt,
    PermissionStoreError,
    PermissionStoreLocked,
)
from sen_host.permissions.grant import StoredGrant, grant_as_json, grant_from_json
from sen_host.permissions.store import PermissionStore
from sen_host.user_dirs import user_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Grants = dict[tuple[str, tuple[str, ...]], StoredGrant]

FORMAT = "sen-host permissions"
VERSION = 1
MOST_BYTES = 16 << 20
"""A larger file is refused."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")
_REMEDY = "repair it, or move it away and grant anew; it was left as it is"


def checked_application(name: str) -> str:
    """The name of an application, if a file can be named after it.

    Raises:
        ConfigError: it is not 1 to 100 of ASCII letters, digits, ``.``, ``_`` and ``-``,
            beginning with a letter or digit.
    """
    if not _NAME.match(name):
        raise ConfigError(
            f"{name[:100]!r} is not the name of an application",
            key="application",
            hint="use ASCII letters, digits, `.`, `_` and `-`",
        )
    return name


def default_directory() -> str:
    """Where the files of all applications are, e.g. ``~/.config/sen-host/permissions``.

    Raises:
        PermissionStoreError: the user has no home.
    """
    directory = user_directory("config")
    if directory is None:
        raise PermissionStoreError(
            "there is no directory for grants: the user has no home",
            path=None,
            hint="set HOME or XDG_CONFIG_HOME to an absolute path",
        )
    return os.path.join(directory, "permissions")


def applications() -> tuple[str, ...]:
    """The applications that have a file in the default directory, sorted.

    Raises:
        PermissionStoreError: the directory cannot be read.
    """
    directory = default_directory()
    try:
        names = [os.path.splitext(name) for name in os.listdir(directory)]
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise PermissionStoreError(
            "the grants cannot be listed", path=directory, detail=error.strerror
        ) from error
    return tuple(sorted(name for name, ending in names if ending == ".json" and _NAME.match(name)))


class FilePermissionStore(PermissionStore):
    """The grants of an application in a file, by default in the user's config directory.

    Args:
        application: whose grants they are; see ``checked_application``.
        path: the file; its directory is made when the first grant is written.
        lock_seconds: how long to wait for another writer.

    Raises:
        ConfigError: the name is not usable.
        PermissionStoreError: no path was given and the user has no home.
    """

    def __init__(
        self,
        application: str,
        path: str | os.PathLike[str] | None = None,
        *,
        lock_seconds: float = 10.0,
    ) -> None:
        self.application = checked_application(application)
        if path is None:
            path = os.path.join(default_directory(), f"{application}.json")
        # Links are followed once: a file that is a link is replaced where it really is.
        self.path = os.path.realpath(path)
        self._lock_seconds = lock_seconds

    def grants(self) -> tuple[StoredGrant, ...]:
        return tuple(grant for _, grant in sorted(self._read().items()))

    def put(self, grant: StoredGrant) -> None:
        def add(grants: Grants) -> int:
            grants[grant.plugin, grant.command] = grant
            return 1

        self._change(add)

    def remove(self, plugin: str, command: tuple[str, ...] | None = None) -> int:
        def drop(grants: Grants) -> int:
            gone = [key for key in grants if key[0] == plugin and command in (None, key[1])]
            for key in gone:
                del grants[key]
            return len(gone)

        # Nothing is made, not even a lock, where there is nothing to revoke.
        return self._change(drop) if self._read() else 0

    def clear(self) -> int:
        def drop_all(grants: Grants) -> int:
            count = len(grants)
            grants.clear()
            return count

        return self._change(drop_all) if self._read() else 0

    def _change(self, change: Callable[[Grants], int]) -> int:
        from filelock import FileLock, Timeout

        lock = FileLock(f"{self.path}.lock", timeout=self._lock_seconds, mode=0o600)
        try:
            os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
            with lock:
                grants = self._read()
                changed = change(grants)
                if changed:
                    self._write(grants)
        except Timeout as error:
            raise PermissionStoreLocked(
                f"another process has held the lock for {self._lock_seconds:g} s",
                path=self.path,
                hint=f"look who uses {self.path}.lock; the lock ends with that process",
            ) from error
        except OSError as error:
            raise PermissionStoreError(
                "the grants cannot be written, they are as before",
                path=self.path,
                detail=error.strerror or str(error),
                hint="check the directory, its permissions and the free space",
            ) from error
        return changed

    def _write(self, grants: Grants) -> None:
        """Replace the file. An error leaves the old one."""
        import json
        from contextlib import suppress
        from tempfile import mkstemp

        content = {
            "format": FORMAT,
            "version": VERSION,
            "application": self.application,
            "grants": [grant_as_json(grant) for _, grant in sorted(grants.items())],
        }
        # ASCII, so that text of plugins is harmless wherever the file is shown.
        data = json.dumps(content, indent=2).encode("ascii") + b"\n"
        if len(data) > MOST_BYTES:
            raise PermissionStoreError(
                f"the grants would have more than {MOST_BYTES:,} bytes, they are as before",
                path=self.path,
                hint="revoke some of them, with `sen-host permissions revoke`",
            )
        directory, name = os.path.split(self.path)
        descriptor, temporary = mkstemp(prefix=f".{name}.", suffix=".tmp", dir=directory)
        try:
            with open(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(descriptor)
            os.replace(temporary, self.path)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
        _sync_directory(directory)

    def _read(self) -> Grants:
        import json

        data = self._bytes()
        if data is None:
            return {}
        try:
            content = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise self._corrupt(f"it is not JSON: {error}") from error
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise self._corrupt("it is no file of grants")
        version = content.get("version")
        if type(version) is int and version > VERSION:
            raise PermissionStoreCorrupt(
                f"it is of version {version}, this sen-host knows version {VERSION}",
                path=self.path,
                hint="upgrade sen-host; the file was left as it is",
            )
        try:
            return self._grants(content)
        except ValueError as error:
            raise self._corrupt(str(error)) from error

    def _grants(self, content: dict[str, Any]) -> Grants:
        version = content.get("version")
        if type(version) is not int or version != VERSION:
            raise ValueError("its version makes no sense")
        if content.get("application") != self.application:
            raise ValueError(f"it is not that of the application {self.application!r}")
        listed = content.get("grants")
        if not isinstance(listed, list) or len(content) != 4:
            raise ValueError("it must have format, version, application and a list of grants")
        grants: Grants = {}
        for number, value in enumerate(listed):
            try:
                grant = grant_from_json(value)
            except ValueError as error:
                raise ValueError(f"grants[{number}]: {error}") from error
            if (grant.plugin, grant.command) in grants:
                raise ValueError(f"grants[{number}]: there is another one for {grant.plugin!r}")
            grants[grant.plugin, grant.command] = grant
        return grants

    def _bytes(self) -> bytes | None:
        """The file's content; None if there is no file."""
        import stat

        try:
            # A pipe in its place must not keep us waiting.
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            with open(descriptor, "rb") as file:
                about = os.fstat(descriptor)
                if not stat.S_ISREG(about.st_mode):
                    raise self._corrupt("it is not a regular file")
                if about.st_mode & stat.S_IWOTH:
                    raise PermissionStoreError(
                        "everybody can write to it, so its grants mean nothing",
                        path=self.path,
                        hint=f"look through it, then `chmod 600 {self.path}`",
                    )
                data = file.read(MOST_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise PermissionStoreError(
                "the grants cannot be read",
                path=self.path,
                detail=error.strerror or str(error),
                hint="check the file and its permissions",
            ) from error
        if len(data) > MOST_BYTES:
            raise self._corrupt(f"it is larger than {MOST_BYTES:,} bytes")
        return data

    def _corrupt(self, reason: str) -> PermissionStoreCorrupt:
        from sen_host.permissions.words import shown

        return PermissionStoreCorrupt(
            f"the grants cannot be understood: {shown(reason, 300)}", path=self.path, hint=_REMEDY
        )


def _sync_directory(directory: str) -> None:
    """Have the new name on the disk, where the system can do that."""
    from contextlib import suppress

    # The file itself is safe by now; some network file systems refuse this.
    with suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
