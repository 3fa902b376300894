"""A process that plays cases on one host, so that whatever happens to it is survived."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from time import perf_counter, sleep
from types import TracebackType

from sen_host_conformance.case import Case
from sen_host_conformance.hosts import Host
from sen_host_conformance.player import FAILED, Played, Player

_TAIL_BYTES = 2_000
_SECONDS_BETWEEN_LOOKS = 0.5

_BOOTSTRAP = """\
import sys
sys.path[:] = sys.argv[2:]
from sen_host_conformance.worker import serve
serve(int(sys.argv[1]))
"""


class Worker:
    """Plays cases in a process of its own; a new one after each that was lost."""

    def __init__(self, host: Host, *, seconds: float) -> None:
        """``seconds``: a case that takes longer has failed."""
        self._host = host
        self._seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None

    def play(self, case: Case) -> Played:
        """Play a case; a crash or a hang is a failure of it."""
        started = perf_counter()
        if self._process is None:
            self._start()
        try:
            self._connection.send(case)
            if not self._connection.poll(self._seconds):
                self.close()
                return _lost(f"there was no end to it within {self._seconds:g} s", started)
            played = self._connection.recv()
        except (EOFError, OSError):
            return _lost(self._buried(), started)
        assert isinstance(played, Played)
        return played

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            self._connection.close()
            process.kill()
            process.wait()
            self._errors.close()

    def kill(self) -> None:
        """End the process while another thread may wait for it."""
        process = self._process
        if process is not None:
            process.kill()

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _start(self) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        ours, theirs = Pipe()
        with theirs:
            self._connection = ours
            self._process = subprocess.Popen(
                [sys.executable, "-c", _BOOTSTRAP, str(theirs.fileno()), *sys.path],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=self._errors,
                stderr=self._errors,
            )
        self._connection.send(self._host)

    def _buried(self) -> str:
        assert self._process is not None
        code = self._process.wait()
        self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, self._errors.tell() - _TAIL_BYTES))
        said = self._errors.read().decode(errors="replace").strip()
        self.close()
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return f"the process that played it died with {how}" + (f": {said}" if said else "")


def serve(fd: int) -> None:
    """Play what comes through a connection, until it is closed."""
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    with Connection(fd) as connection:
        player = Player(connection.recv())
        while True:
            try:
                case = connection.recv()
            except EOFError:
                player.close()
                return
            connection.send(player.play(case))


def _end_with(parent: int) -> None:
    """End this process, even in the middle of a case, when the one that asked is gone."""
    while os.getppid() == parent:
        sleep(_SECONDS_BETWEEN_LOOKS)
    os._exit(1)


def _lost(why: str, started: float) -> Played:
    return Played(FAILED, why, (), (), perf_counter() - started, 0)
