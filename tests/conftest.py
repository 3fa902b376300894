"""What all tests share: the ways to run a plugin on this interpreter."""

from __future__ import annotations

import pytest
from hypothesis import settings

from sen_host_conformance.hosts import Host, available_hosts

HOSTS = available_hosts()

# A slow machine is no failure, and a failure is the same on every run.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")


@pytest.fixture(params=HOSTS, ids=str)
def host(request: pytest.FixtureRequest) -> Host:
    """Each way to run a plugin on this interpreter, one after the other."""
    chosen: Host = request.param
    return chosen
