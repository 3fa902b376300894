"""The bindings that are here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sen_host.backend import Backend
from sen_host_wasmer import WasmerBackend
from sen_host_wasmtime import WasmtimeBackend
from tests.backends.wasmer_scenarios import BINDINGS, Run, need, start_child


@pytest.fixture(scope="module", params=list(BINDINGS))
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    name = request.param
    need(name)
    if BINDINGS[name].isolation == "process":
        run, stop = start_child(name, tmp_path_factory.mktemp("child"))
        yield run
        assert stop() == 0
    else:
        backend = WasmerBackend(BINDINGS[name])
        yield lambda scenario, *arguments: scenario(backend, *arguments)


@pytest.fixture(scope="module", params=["wasmtime", "native", "sdk"])
def exchanging(request: pytest.FixtureRequest) -> Run:
    """A binding whose instances make an exchange in one crossing."""
    if request.param == "sdk":
        return request.getfixturevalue("sdk")  # type: ignore[no-any-return]
    backend: Backend
    if request.param == "native":
        need("native")
        backend = WasmerBackend(BINDINGS["native"])
    else:
        backend = WasmtimeBackend(WasmtimeBackend.bindings()[0])
    return lambda scenario, *arguments: scenario(backend, *arguments)


@pytest.fixture(scope="module")
def sdk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    need("sdk")
    run, stop = start_child("sdk", tmp_path_factory.mktemp("child"))
    yield run
    assert stop() == 0
