"""The objects and exceptions of the native binding of Wasmer."""

from __future__ import annotations

import gc
import signal
import threading
import weakref
from collections.abc import Iterator
from contextlib import suppress

import pytest

from sen_host.backend import Trap
from sen_host.errors import EngineFault, ModuleCompilation
from sen_host.limits import Limits
from sen_host_wasmer import WasmerBackend
from tests.backends.wasmer_scenarios import BINDINGS, MEMORY, NOTHING, compiled, fresh, need, wat
from tests.threads import failure_in_thread


@pytest.fixture
def native() -> WasmerBackend:
    need("native")
    return WasmerBackend(BINDINGS["native"])


@pytest.fixture
def no_cyclic_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_cyclic_collection")
@pytest.mark.parametrize("close", [True, False])
@pytest.mark.parametrize("code", ["unreachable", ""])
def test_an_instance_is_freed_with_its_last_reference(
    native: WasmerBackend, code: str, close: bool
) -> None:
    module = compiled(native, f'(module {MEMORY} (func (export "f") {code}))')
    instance = module.instantiate()
    function = instance.function("f", NOTHING)
    with suppress(Trap):
        function()
    freed: list[weakref.ref[object]] = [weakref.ref(instance), weakref.ref(function)]
    if close:
        instance.close()
    del instance, function
    assert [reference() for reference in freed] == [None, None]


def test_an_instance_may_be_freed_in_another_thread(
    native: WasmerBackend, capfd: pytest.CaptureFixture[str]
) -> None:
    text = f'(module {MEMORY} (func (export "f") unreachable))'
    held: list[object] = [fresh(native, text), fresh(native, text).function("f", NOTHING)]
    instance = fresh(native, text)
    instance.write(0, b"x")
    try:
        instance.function("f", NOTHING)()
    except Trap as trap:
        held.append(trap)
    del instance
    thread = threading.Thread(target=held.clear)
    thread.start()
    thread.join()
    assert not held
    assert capfd.readouterr().err == ""
    assert fresh(native, text).read(0, 1) == b"\0"


def test_a_panic_of_the_native_package_is_an_engine_fault(
    capfd: pytest.CaptureFixture[str],
) -> None:
    need("native")
    backend = WasmerBackend(BINDINGS["native"])
    function = fresh(backend, f'(module {MEMORY} (func (export "f")))').function("f", NOTHING)
    assert isinstance(failure_in_thread(function), EngineFault)
    assert "unsendable" in capfd.readouterr().err


SLOW = """(func (export "f") (local $i i32)
    (loop $l (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1)))
        (i32.const 200000000)))))"""


@pytest.mark.parametrize("kind", [TimeoutError, RuntimeError, OSError, RecursionError])
def test_what_a_signal_handler_raises_goes_through(
    native: WasmerBackend, kind: type[Exception]
) -> None:
    function = fresh(native, f"(module {MEMORY} {SLOW})").function("f", NOTHING)

    def handler(*_: object) -> None:
        raise kind("RuntimeError: unreachable")

    previous = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    try:
        with pytest.raises(kind) as caught:
            function()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert type(caught.value) is kind


def test_what_the_compiler_cannot_do_is_the_modules_fault(native: WasmerBackend) -> None:
    wasm = wat(f'(module {MEMORY} (func (export "f") (param {"i32 " * 600})))')
    native.validate(wasm)
    with pytest.raises(ModuleCompilation) as caught:
        native.compile(wasm, Limits())
    assert "trampoline" in str(caught.value.detail)
