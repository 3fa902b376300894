"""Which binding of Wasmtime serves with which version of its package, and why."""

from __future__ import annotations

import gc
import logging
import sys
import threading
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import pytest
import wasmtime

from sen_host import Limits, Plugin, PluginLoader, open_backend
from sen_host.config import Config
from sen_host.errors import BackendUnavailable, EngineCreation, FunctionCall, TrapKind
from sen_host.messages import Success
from sen_host_conformance.hosts import Host
from sen_host_wasmtime import WasmtimeBackend
from sen_host_wasmtime.bindings import FIRST_MAJOR, LAST_MAJOR, PROVEN_FOR_C_API
from tests.host_functions import FINE, Offered, importing, load
from tests.wat import Wat

DIVIDING = Wat(execute="(drop (i32.div_u (i32.const 1) (i32.const 0))) unreachable").wasm()


def install(monkeypatch: pytest.MonkeyPatch, release: str | None) -> None:
    """Let the package seem to be of another version, or absent."""
    monkeypatch.setattr("sen_host_wasmtime.bindings.version", lambda _: release)


def loader(binding: str | None = "public", limits: Limits | None = None) -> PluginLoader:
    return PluginLoader("wasmtime", binding=binding, limits=limits, config=Config.defaults())


def test_the_fast_binding_is_preferred_where_it_is_proven(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="sen_host")
    c_api, public = WasmtimeBackend.bindings()
    assert (c_api.name, c_api.available) == ("c-api", True)
    assert (public.name, public.available) == ("public", True)
    installed = version("wasmtime")
    assert c_api.engine == public.engine == f"Wasmtime {installed}"
    assert installed in PROVEN_FOR_C_API
    assert open_backend("wasmtime").binding == c_api
    assert not caplog.messages


@pytest.mark.parametrize("release", ["45.0.0", "49.0.0", "50.0.0", "50.0.2", "50.1.0"])
def test_another_version_is_reached_the_safe_way(
    release: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="sen_host")
    install(monkeypatch, release)
    why = f"this fast way is proven with wasmtime 50.0.1 only, {release} is installed"
    with loader(binding=None).load(Wat().wasm()) as plugin:
        assert plugin.binding.name == "public"
        assert plugin.binding.engine == f"Wasmtime {release}"
        assert plugin.execute() == Success("fine")
    assert f"wasmtime runs through public, not through c-api: {why}" in caplog.messages
    with pytest.raises(BackendUnavailable, match=why) as caught:
        open_backend("wasmtime", binding="c-api")
    assert caught.value.hint == "pip install 'wasmtime==50.0.1'"


@pytest.mark.parametrize("release", ["44.0.0", "51.0.0", "500.0.1", "nightly"])
def test_a_version_that_nothing_is_known_of_is_refused(
    release: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, release)
    with pytest.raises(BackendUnavailable) as caught:
        open_backend("wasmtime")
    assert (
        f"c-api, public: wasmtime {release} is installed, this release works with 45 to 50"
        in str(caught.value)
    )
    assert caught.value.hint == "pip install 'sen-host[wasmtime]'"


def test_without_the_package_the_remedy_is_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, None)
    with pytest.raises(BackendUnavailable, match="the package wasmtime is not installed") as caught:
        open_backend("wasmtime")
    assert caught.value.hint == "pip install 'sen-host[wasmtime]'"
    assert {binding.engine for binding in WasmtimeBackend.bindings()} == {"Wasmtime"}


def test_a_package_that_cannot_be_imported_is_an_error_of_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, public = WasmtimeBackend.bindings()
    monkeypatch.delitem(sys.modules, "sen_host_wasmtime.public", raising=False)
    monkeypatch.setitem(sys.modules, "wasmtime", None)
    with pytest.raises(BackendUnavailable, match="the package wasmtime cannot be imported"):
        WasmtimeBackend(public)


def test_a_setting_that_the_package_lacks_is_not_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(wasmtime.Config, "wasm_gc")
    # No other test has an engine for this stack.
    limits = Limits(stack_bytes=(1 << 20) - 2 * 65_536)
    with pytest.raises(EngineCreation, match="has no setting 'wasm_gc'"):
        loader(limits=limits).load(Wat().wasm())


def test_a_trap_that_the_package_does_not_know_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def trap_code(trap: wasmtime.Trap) -> wasmtime.TrapCode:
        return wasmtime.TrapCode(250)

    monkeypatch.setattr(wasmtime.Trap, "trap_code", property(trap_code))
    with loader().load(DIVIDING) as plugin, pytest.raises(FunctionCall) as caught:
        plugin.execute()
    assert caught.value.trap is TrapKind.UNKNOWN
    assert caught.value.detail == "integer divide by zero"


def test_nothing_of_the_package_outlives_a_trap() -> None:
    def alive() -> int:
        kinds = (wasmtime.Store, wasmtime.Trap)
        return sum(isinstance(found, kinds) for found in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        before = alive()
        with loader().load(DIVIDING) as plugin:
            for _ in range(3):
                with suppress(FunctionCall):
                    plugin.execute()
                    pytest.fail("it did not trap")
            assert alive() == before, "the instance of a trap is discarded"
    finally:
        gc.enable()


def test_the_extra_installs_what_the_bindings_work_with() -> None:
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert f'"wasmtime>={FIRST_MAJOR}.0.0,<{LAST_MAJOR + 1}"' in project


# --- the guest's own thread -----------------------------------------------------


def calling() -> Plugin:
    """A plugin that calls up, with the binding whose guests then have a thread of their own."""
    offered = Offered(note=("", lambda _: None))
    wasm = importing("note: ->", execute=f"(call $note) {FINE}")
    return load(Host("wasmtime", "public", "none"), offered, wasm)


def test_an_interrupt_while_the_thread_starts_does_not_start_it_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wait = threading.Event.wait
    interrupts = [KeyboardInterrupt()]

    def interrupted(self: threading.Event, timeout: float | None = None) -> bool:
        if interrupts:
            raise interrupts.pop()
        return wait(self, timeout)

    failures: list[object] = []
    with calling() as plugin:
        monkeypatch.setattr(sys, "unraisablehook", lambda about: failures.append(about.exc_value))
        monkeypatch.setattr(threading.Event, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            plugin.execute()
        monkeypatch.undo()
        assert failures == []
        assert plugin.execute() == Success("fine")


def test_without_a_thread_to_be_had_the_guest_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_more(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with calling() as plugin:
        monkeypatch.setattr(threading.Thread, "start", no_more)
        with pytest.raises(RuntimeError, match="new thread"):
            plugin.execute()
        monkeypatch.undo()
        assert plugin.execute() == Success("fine")
