"""Events in a file: one line of JSON each, rotated by size.

Each line is one write to a file that is opened for appending. So several processes may
share a file, and one that is killed loses nothing that it has recorded. A line that was
cut off, by a disk that is full or a machine that fell, is ended by whoever writes next.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from itertools import count
from time import monotonic

from sen_host import log
from sen_host.audit.events import AuditEvent, from_dict
from sen_host.audit.sinks import AuditSink
from sen_host.errors import AuditError
from sen_host.forks import reset_after_fork
from sen_host.records import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 16 << 20
KEPT_FILES = 4
LEAST_BYTES = 1_024
LONGEST_LINE = 64 * 1024
"""In bytes. An event that would be longer is cut more than others are."""

_CUT = {"most_characters": 100, "most_items": 16}
_LONGEST_READ = 1 << 20

_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_LOCK_SECONDS = 0.2
_PAUSE_SECONDS = 5
"""After a rotation that did not work, so that not every event waits for it."""


class FileAuditSink(AuditSink):
    """Writes events to a file, and starts a new one when it is full.

    What cannot be written is counted in ``lost``, and the host goes on; the first time,
    and when it works again, the log is told. The next event is tried anew.

    Args:
        path: the file. It and its directory are made if they are not there, for the user alone.
            It must not be a link, nor another user's.
        max_bytes: a file that would grow beyond it becomes ``path.1``, at least 1,024.
        kept_files: how many of these older ones are kept, ``path.1`` the latest; at least 1.
        sync: whether each event is on the disk before ``record`` returns.
        strict: whether an event that cannot be written is an error.

    Attributes:
        lost: how many events could not be written.

    Raises:
        AuditError: ``strict``, and the file cannot be opened.
        ValueError: ``max_bytes`` or ``kept_files`` is out of range.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        max_bytes: int = MAX_BYTES,
        kept_files: int = KEPT_FILES,
        sync: bool = False,
        strict: bool = False,
    ) -> None:
        if max_bytes < LEAST_BYTES:
            raise ValueError(f"max_bytes is {max_bytes}; it must be at least {LEAST_BYTES:,}")
        if kept_files < 1:
            raise ValueError(f"kept_files is {kept_files}; it must be at least 1")
        self.path = os.path.abspath(path)
        self.lost = 0
        self._max_bytes = max_bytes
        self._kept_files = kept_files
        self._sync = sync
        self._strict = strict
        self._failing = False
        self._no_rotation_before = 0.0
        self._file: int | None = None
        self.after_fork()
        reset_after_fork(self)
        if strict:
            with self._lock:
                try:
                    self._open()
                except OSError as error:
                    raise self._error(error) from error

    def record(self, event: AuditEvent) -> None:
        line = line_of(event)
        # Reentrant, for a signal handler that records while this thread does.
        with self._lock:
            try:
                self._write(line)
            except OSError as error:
                self._close()
                self.lost += 1
                if self._strict:
                    raise self._error(error) from error
                if not self._failing:
                    self._failing = True
                    log.warning("the audit file %s cannot be written: %s", self.path, error)
            else:
                if self._failing:
                    self._failing = False
                    log.warning(
                        "the audit file %s can be written again; %d events were lost so far",
                        self.path,
                        self.lost,
                    )

    def close(self) -> None:
        with self._lock:
            self._close()

    def after_fork(self) -> None:
        """In a fork of the process: another thread may have held the lock."""
        self._lock = threading.RLock()

    def _write(self, line: bytes) -> None:
        file = self._file
        if file is None or not self._is_current(file):
            file = self._open()
        size = os.fstat(file).st_size
        if size and size + len(line) > self._max_bytes:
            file = self._rotate(file)
            size = os.fstat(file).st_size
        if size and os.pread(file, 1, size - 1) != b"\n":
            # What was cut off is ended. If another process is only just writing it, that
            # makes an empty line, which readers pass over.
            line = b"\n" + line
        written = os.write(file, line)
        if written < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if self._sync:
            os.fsync(file)

    def _is_current(self, file: int) -> bool:
        """Whether the file still has its name: it may have been rotated or removed."""
        try:
            named = os.stat(self.path, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return os.path.samestat(named, os.fstat(file))

    def _open(self) -> int:
        self._close()
        os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
        file = os.open(self.path, _FLAGS, 0o600)
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                raise OSError(errno.EINVAL, "it is not a regular file")
            if status.st_uid != os.geteuid():
                raise OSError(errno.EPERM, "it is another user's")
            if status.st_mode & 0o077:
                os.fchmod(file, 0o600)
        except OSError:
            os.close(file)
            raise
        self._file = file
        return file

    def _rotate(self, file: int) -> int:
        """Start a new file, if no other process has just done so; the file to write to."""
        if monotonic() < self._no_rotation_before:
            return file
        from filelock import FileLock, Timeout

        try:
            with FileLock(f"{self.path}.lock", timeout=_LOCK_SECONDS, mode=0o600):
                if self._is_current(file):
                    for number in range(self._kept_files - 1, 0, -1):
                        _rename(f"{self.path}.{number}", f"{self.path}.{number + 1}")
                    _rename(self.path, f"{self.path}.1")
        except (Timeout, OSError) as error:
            # Better a file that is too long than a host that waits, or an event that is lost.
            self._no_rotation_before = monotonic() + _PAUSE_SECONDS
            log.debug("the audit file %s cannot be rotated: %s", self.path, error)
            return file
        return self._open()

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _error(self, error: OSError) -> AuditError:
        return AuditError(self.path, detail=error.strerror or str(error))


class BrokenLine(NamedTuple):
    """A line of an audit file that is no event.

    Attributes:
        number: of the line, from 1.
        reason: what is wrong with it.
    """

    number: int
    reason: str


def read_events(path: str | os.PathLike[str]) -> Iterator[AuditEvent | BrokenLine]:
    """The events of one file, in order; a last line without an end is passed over.

    Raises:
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        for number in count(1):
            line = file.readline(_LONGEST_READ)
            if not line:
                return
            if line.endswith(b"\n"):
                if line != b"\n":
                    yield _event_of(number, line)
                continue
            while line and not line.endswith(b"\n"):
                line = file.readline(_LONGEST_READ)
            if line:
                yield BrokenLine(number, "it is too long")


def _event_of(number: int, line: bytes) -> AuditEvent | BrokenLine:
    import json

    try:
        fields = json.loads(line)
        if not isinstance(fields, dict):
            raise ValueError("it is no object")
        return from_dict(fields)
    except (ValueError, RecursionError) as error:
        return BrokenLine(number, str(error))


def line_of(event: AuditEvent) -> bytes:
    """An event as a line of JSON, in ASCII: nothing in it can look like another line."""
    line = _json(event.to_dict())
    return line if len(line) <= LONGEST_LINE else _json(event.to_dict(**_CUT))


def _json(fields: dict[str, object]) -> bytes:
    import json

    return json.dumps(fields, separators=(",", ":")).encode("ascii") + b"\n"


def _rename(old: str, new: str) -> None:
    try:
        os.replace(old, new)
    except FileNotFoundError:
        return  # there are not so many yet
