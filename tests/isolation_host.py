"""Ways to drive the rogue engine in a worker, from a test or from a program of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Sequence

from sen_host.abi import EXECUTE
from sen_host.backend import Binding, Exchanged, FuncType, Instance
from sen_host.isolation import ProcessBackend
from sen_host.isolation.process import ProcessInstance, ProcessModule
from sen_host.limits import MIB, Limits
from tests.isolation_engine import BINDING, TARGET

PATIENCE_SECONDS = 20.0

_PRELUDE = """
import os, signal, sys, threading, time
from sen_host.errors import *
from sen_host.backend import Trap
from tests.isolation_host import *
"""


def backend(
    target: str = TARGET, *, binding: Binding = BINDING, start_seconds: float = 30
) -> ProcessBackend:
    return ProcessBackend(target, "rogue", binding, start_seconds=start_seconds)


def compiled(wasm: bytes = b"a module", limits: Limits | None = None) -> ProcessModule:
    return backend().compile(wasm, limits or Limits(fuel=100))


def run(instance: Instance, name: str, *arguments: int, result: str | None = "i64") -> int | None:
    """Call an export of the rogue engine."""
    type = FuncType(("i64",) * len(arguments), () if result is None else (result,))
    return instance.function(name, type)(*arguments)


def pid_of(instance: Instance) -> int:
    """The worker's process id."""
    pid = run(instance, "pid")
    assert pid is not None
    return pid


def execute(
    instance: ProcessInstance, payload: bytes = b"alive", seconds: float | None = None
) -> Exchanged:
    return instance.exchange(
        EXECUTE,
        (),
        payload,
        result_bytes=16 * MIB,
        fuel=100,
        stack=1000,
        seconds=seconds,
    )


def exists(pid: int) -> bool:
    """Whether there is a process of that id, be it a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def eventually(condition: Callable[[], bool]) -> bool:
    """Whether the condition comes true before patience is lost."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def start_host(
    code: str,
    *,
    path: Sequence[str] = (),
    flags: Sequence[str] = (),
    start_new_session: bool = False,
) -> subprocess.Popen[str]:
    """Run ``code`` as a host program, which has all names of this module."""
    everywhere = [*path, *sys.path]
    return subprocess.Popen(
        [
            sys.executable,
            *flags,
            "-c",
            f"import sys; sys.path[:] = {everywhere!r}\n" + _PRELUDE + textwrap.dedent(code),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(everywhere)},
        start_new_session=start_new_session,
    )


def run_host(code: str, *, path: Sequence[str] = (), flags: Sequence[str] = ()) -> str:
    """What a host program prints; it must succeed and say nothing on stderr."""
    with start_host(code, path=path, flags=flags) as host:
        try:
            out, err = host.communicate(timeout=60)
        finally:
            host.kill()
    assert (host.returncode, err) == (0, "")
    return out
