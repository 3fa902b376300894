"""What all tests share: the ways to run a plugin on this interpreter."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from itertools import count

import pytest
from hypothesis import settings

from sen_host_conformance.hosts import Host, available_hosts

_FOUND = available_hosts()
_SAME_IN_WORKER = {
    Host("wasmtime", "public", "process"): Host("wasmtime", "c-api", "process"),
}

HOSTS = tuple(host for host in _FOUND if _SAME_IN_WORKER.get(host) not in _FOUND)
"""A worker adds the same to both bindings of one engine, and takes its time to start."""

# A slow machine is no failure, and a failure is the same on every run.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")


_caches = tempfile.mkdtemp(prefix="sen-host-tests-")
_numbers = count()


def pytest_configure() -> None:
    """Let Ctrl-C work in the processes of tests, also where the shell has switched it off."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_setup() -> None:
    """Give each test a compile cache of its own, and the processes that it starts."""
    os.environ["XDG_CACHE_HOME"] = os.path.join(_caches, str(next(_numbers)))


def pytest_unconfigure() -> None:
    shutil.rmtree(_caches, ignore_errors=True)


@pytest.fixture(params=HOSTS, ids=str)
def host(request: pytest.FixtureRequest) -> Host:
    """Each way to run a plugin on this interpreter, one after the other."""
    chosen: Host = request.param
    return chosen
