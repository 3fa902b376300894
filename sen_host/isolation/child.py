"""A worker as an operating-system process: its start, its pipes, its end."""

from __future__ import annotations

import fcntl
import math
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from functools import partial

from sen_host.isolation import frames

_HANG_UP_SECONDS = 1.0
_REAP_SECONDS = 5.0
_STDERR_TAIL_BYTES = 4 * 1024

# The worker's life hangs on its host's alone: what a terminal or a service
# manager sends to the whole group is for the host to handle.
_GROUP_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}

# The search path is set before anything is imported, so that the worker finds
# what this process finds. The site module is left out, because it is slow;
# where the path alone is not enough, it sets up the import hooks.
_BOOTSTRAP = """\
import sys
sys.path[:] = sys.argv[4:]
try:
    from sen_host.isolation.worker import main
except ModuleNotFoundError:
    import site
    site.main()
    from sen_host.isolation.worker import main
fds = [int(fd) for fd in sys.argv[1:4]]
del sys.argv[1:]
main(*fds)
"""


class OutOfTime(Exception):
    """There was no progress before the deadline."""


class Child:
    """A worker process and this process's ends of its pipes.

    Only ``kill`` may be called while another thread uses it. Deadlines are
    times of ``time.monotonic``, or None.
    """

    def __init__(self) -> None:
        """Start the process.

        Raises:
            OSError: the operating system refused.
        """
        self._host_pid = os.getpid()
        self._fds: list[int] = []
        theirs: list[int] = []
        try:
            requests, self._writer = _pipe()
            # This process keeps the worker's end of the requests as well: so a
            # write to a worker that is gone raises no SIGPIPE, which would end
            # a program that has given that signal its default action.
            self._fds += (requests, self._writer)
            self._reader, replies = _pipe()
            self._fds.append(self._reader)
            theirs.append(replies)
            their_lifeline, lifeline = _pipe()
            self._fds.append(lifeline)
            theirs.append(their_lifeline)
            self._stderr = _stderr_file()
            self._fds.append(self._stderr)
            os.set_blocking(self._writer, False)
            self._popen = self._spawn(requests, replies, their_lifeline)
        except BaseException:
            self._close()
            raise
        finally:
            for fd in theirs:
                os.close(fd)
        self._readable = select.poll()
        self._readable.register(self._reader, select.POLLIN)
        self._writable = select.poll()
        self._writable.register(self._writer, select.POLLOUT)
        self._writable.register(self._reader, select.POLLIN)

    def _spawn(self, *fds: int) -> subprocess.Popen[bytes]:
        path = [os.path.abspath(entry) for entry in sys.path if isinstance(entry, str)]
        command = [sys.executable, *_flags(), "-c", _BOOTSTRAP, *map(str, fds), *path]
        # The child inherits the mask, so there is no moment at which it could
        # be hit, and no default action of it is in the way.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _GROUP_SIGNALS)
        try:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._stderr,
                pass_fds=fds,
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    @property
    def pid(self) -> int:
        return self._popen.pid

    def is_running(self) -> bool:
        """Whether the process exists; reaps it if it has ended."""
        return self._popen.poll() is None

    def send(self, frame: bytes, deadline: float | None) -> None:
        """Write a frame.

        Raises:
            OutOfTime, HangUp, Malformed: it was not read in time, or not at all.
        """
        rest = memoryview(frame)
        while True:
            with suppress(BlockingIOError):  # the pipe is full
                rest = rest[os.write(self._writer, rest) :]
            if not rest:
                return
            for fd, event in self._wait(self._writable, deadline):
                if fd == self._reader:
                    if event & select.POLLIN:
                        raise frames.Malformed("a reply to half a request")
                    raise frames.HangUp

    def receive(self, limit: int, deadline: float | None) -> memoryview:
        """Read a frame of at most ``limit`` bytes.

        Raises:
            OutOfTime, HangUp, Malformed: there was none.
        """
        wait = None if deadline is None else partial(self._wait, self._readable, deadline)
        return frames.receive(self._reader, limit, wait)

    def _wait(self, poll: select.poll, deadline: float | None) -> list[tuple[int, int]]:
        left = None if deadline is None else max(0, deadline - time.monotonic())
        events = poll.poll(None if left is None else math.ceil(left * 1000))
        if not events:
            raise OutOfTime
        return events

    def exit_code(self) -> int | None:
        """How the process ended, after a hang-up; None if it had to be killed."""
        try:
            return self._popen.wait(_HANG_UP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            return None

    def stderr_tail(self) -> str | None:
        """The last of what the process printed, at most 4 KiB; None if there is nothing."""
        size = os.fstat(self._stderr).st_size
        tail = os.pread(self._stderr, _STDERR_TAIL_BYTES, max(0, size - _STDERR_TAIL_BYTES))
        return tail.decode("utf-8", "replace").strip() or None

    def kill(self) -> None:
        """Kill the process and wait for its end."""
        self._popen.kill()
        try:
            self._popen.wait(_REAP_SECONDS)
        except subprocess.TimeoutExpired:
            # It hangs in the kernel. Popen reaps it later, once it is let go.
            return

    def release(self) -> None:
        """Kill the process and close the pipes; can be repeated."""
        if os.getpid() != self._host_pid:
            return
        self.kill()
        self._close()

    def forget(self) -> None:
        """In a fork of the host: let go of the worker, which is not this process's."""
        self._close()
        self._popen.returncode = 0

    def _close(self) -> None:
        with suppress(IndexError):  # another thread may be at it as well
            while True:
                os.close(self._fds.pop())


def _flags() -> list[str]:
    """The interpreter's own flags that decide what is found and how it is compiled."""
    flags = ["-S"]
    if sys.flags.isolated:
        flags.append("-I")
    elif sys.flags.ignore_environment:
        flags.append("-E")
    if sys.flags.no_user_site:
        flags.append("-s")
    if sys.flags.utf8_mode:
        flags += ("-X", "utf8")
    if sys.flags.optimize:
        flags.append("-" + "O" * sys.flags.optimize)
    if sys.dont_write_bytecode:
        flags.append("-B")
    return flags


def _pipe() -> tuple[int, int]:
    """A pipe whose ends are above the standard streams, which the child replaces."""
    reader, writer = os.pipe()
    return _above_streams(reader), _above_streams(writer)


def _above_streams(fd: int) -> int:
    if fd > 2:
        return fd
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
    finally:
        os.close(fd)


def _stderr_file() -> int:
    """A file without a name, open for appending."""
    if hasattr(os, "memfd_create"):
        fd = _above_streams(os.memfd_create("sen-host-worker-stderr"))
    else:
        with tempfile.TemporaryFile(buffering=0) as file:
            fd = fcntl.fcntl(file.fileno(), fcntl.F_DUPFD_CLOEXEC, 3)
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_APPEND)
    return fd
