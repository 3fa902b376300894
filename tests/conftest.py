"""What all tests share: the ways to run a plugin on this interpreter."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator

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


@pytest.fixture(scope="session", autouse=True)
def _no_cache_of_the_user() -> Iterator[None]:
    """A compile cache for this run alone, for the processes that tests start, too."""
    before = os.environ.get("XDG_CACHE_HOME")
    folder = os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="sen-host-tests-")
    yield
    if before is None:
        del os.environ["XDG_CACHE_HOME"]
    else:
        os.environ["XDG_CACHE_HOME"] = before
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=HOSTS, ids=str)
def host(request: pytest.FixtureRequest) -> Host:
    """Each way to run a plugin on this interpreter, one after the other."""
    chosen: Host = request.param
    return chosen
