"""Plugins that are loaded several times from the same bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from sen_host import Limits, PluginLoader
from sen_host.backend import Module
from sen_host.errors import FuelExhausted
from sen_host.messages import Success
from sen_host_conformance.hosts import Host
from sen_host_wasmtime import WasmtimeBackend
from tests.guests import COUNTING
from tests.wat import Wat


class CountingBackend(WasmtimeBackend):
    """Wasmtime, which counts what it compiles and what is closed of it."""

    compiled = closed = 0

    def compile(self, wasm: bytes, limits: Limits) -> Module:
        module = super().compile(wasm, limits)
        close = module.close

        def count() -> None:
            type(self).closed += 1
            close()

        type(self).compiled += 1
        module.close = count  # type: ignore[method-assign]
        return module


@pytest.fixture(autouse=True)
def fresh_counts() -> None:
    CountingBackend.compiled = CountingBackend.closed = 0


def test_each_has_a_memory_and_a_life_of_its_own(host: Host) -> None:
    loader = host.loader()
    first, second = loader.load(COUNTING), loader.load(COUNTING)
    assert first.execute() == Success("finf")
    assert first.execute() != Success("finf")
    first.close()
    with second:
        assert second.execute() == Success("finf")


def test_what_is_open_is_compiled_once_and_closed_by_the_last() -> None:
    loader = PluginLoader(CountingBackend, cache=False)
    first, second = loader.load(COUNTING), loader.load(COUNTING)
    assert CountingBackend.compiled == 1
    first.close()
    assert CountingBackend.closed == 0
    second.close()
    assert CountingBackend.closed == 1
    loader.load(COUNTING).close()
    assert (CountingBackend.compiled, CountingBackend.closed) == (2, 2)


def test_a_plugin_knows_the_file_that_it_came_from(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("one.wasm", "other.wasm")]
    loader = PluginLoader(CountingBackend, cache=False)
    for path in paths:
        path.write_bytes(COUNTING)
    plugins = [*map(loader.load, paths), loader.load(COUNTING)]
    assert [plugin.path for plugin in plugins] == [*map(str, paths), None]
    for plugin in plugins:
        plugin.close()
    assert CountingBackend.closed == CountingBackend.compiled


def test_a_plugin_that_does_not_get_as_far_as_its_manifest_leaves_nothing_open() -> None:
    loader = PluginLoader(CountingBackend, cache=False, limits=Limits(fuel=1000))
    for _ in range(2):
        with pytest.raises(FuelExhausted):
            loader.load(Wat(manifest="(loop $again (br $again)) unreachable").wasm())
    assert (CountingBackend.compiled, CountingBackend.closed) == (2, 2)
