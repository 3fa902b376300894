"""Run instrumented modules on the engines that are here."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any, NamedTuple

import pytest
import wasmtime

from sen_host.backend import FUEL, STACK, START
from sen_host.wasm.instrument import Instrumented, instrument
from sen_host.wasm.reader import parse
from tests.wasm.support import LATER_FEATURES, is_valid, wat

NATIVE_STACK_BYTES = 1 << 20
STACK_BYTES = 960 << 10
PLENTY = 1 << 40


class NativeOverflow(AssertionError):
    """The native stack ended before the one that is metered."""


class Ran(NamedTuple):
    """How a call ended: "ok", "fuel", "stack" or "trap"; what it left behind.

    ``read`` holds the exported globals that were asked for.
    """

    outcome: str
    results: tuple[float, ...]
    paid: int
    stack_left: int
    read: tuple[float, ...]


def _outcome(trapped: bool, fuel: int, stack: int) -> str:
    if fuel < 0:
        return "fuel"
    if not trapped:
        return "ok"
    return "stack" if stack < 0 else "trap"


def _results(value: Any) -> tuple[float, ...]:
    if value is None:
        return ()
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


@cache
def instrumented(text: str) -> Instrumented:
    return instrument(parse(wat(text)))


def round_trips(text: str) -> bytes:
    """The module, instrumented, after a check that it is valid before and afterwards."""
    data = wat(text)
    assert is_valid(data)
    result = instrument(parse(data))
    assert is_valid(result.wasm), text
    return result.wasm


def wasmtime_engine(*, consume_fuel: bool = False) -> wasmtime.Engine:
    config = wasmtime.Config()
    for feature in LATER_FEATURES.split():
        setattr(config, f"wasm_{feature}", False)
    config.max_wasm_stack = NATIVE_STACK_BYTES
    config.consume_fuel = consume_fuel
    return wasmtime.Engine(config)


_ENGINE = wasmtime_engine()


@cache
def _wasmtime_module(data: bytes) -> wasmtime.Module:
    return wasmtime.Module(_ENGINE, data)


def on_wasmtime(
    data: bytes,
    name: str,
    *arguments: float,
    budget: int = PLENTY,
    stack: int = STACK_BYTES,
    read: tuple[str, ...] = (),
) -> Ran:
    """Call an export of a fresh instance; START first, if it is there."""
    store = wasmtime.Store(_ENGINE)
    exports = wasmtime.Instance(store, _wasmtime_module(data), []).exports(store)
    fuel_left, stack_left = exports[FUEL], exports[STACK]
    assert isinstance(fuel_left, wasmtime.Global)
    assert isinstance(stack_left, wasmtime.Global)
    fuel_left.set_value(store, wasmtime.Val.i64(budget))
    stack_left.set_value(store, wasmtime.Val.i64(stack))
    results: tuple[float, ...] = ()
    trapped = False
    try:
        if START in exports:
            exports[START](store)  # type: ignore[operator]
        results = _results(exports[name](store, *arguments))  # type: ignore[operator]
    except wasmtime.Trap as trap:
        if trap.trap_code is wasmtime.TrapCode.STACK_OVERFLOW:
            raise NativeOverflow from trap
        trapped = True
    left = fuel_left.value(store)
    room = stack_left.value(store)
    values = tuple(exports[key].value(store) for key in read)  # type: ignore[union-attr]
    return Ran(_outcome(trapped, left, room), results, budget - left, room, values)


def has_wasmer() -> bool:
    """Whether the old Wasmer package is here, which runs in this process."""
    return find_spec("wasmer") is not None and find_spec("wasmer_compiler_cranelift") is not None


class _OfThread(threading.local):
    """Wasmer's objects must stay in the thread that made them."""

    def __init__(self) -> None:
        self.modules: dict[bytes, Any] = {}


_of_thread = _OfThread()


def _wasmer_module(data: bytes) -> Any:
    import wasmer
    import wasmer_compiler_cranelift

    if data not in _of_thread.modules:
        engine = wasmer.engine.Universal(wasmer_compiler_cranelift.Compiler)
        _of_thread.modules[data] = wasmer.Module(wasmer.Store(engine), data)
    return _of_thread.modules[data]


def valid_on_wasmer(data: bytes) -> bool:
    import wasmer
    import wasmer_compiler_cranelift

    store = wasmer.Store(wasmer.engine.Universal(wasmer_compiler_cranelift.Compiler))
    return bool(wasmer.Module.validate(store, data))


def on_wasmer(
    data: bytes,
    name: str,
    *arguments: float,
    budget: int = PLENTY,
    stack: int = STACK_BYTES,
    read: tuple[str, ...] = (),
) -> Ran:
    """As ``on_wasmtime``."""
    import wasmer

    exports = dict(list(wasmer.Instance(_wasmer_module(data)).exports))
    exports[FUEL].value = budget
    exports[STACK].value = stack
    results: tuple[float, ...] = ()
    trapped = False
    try:
        if START in exports:
            exports[START]()
        results = _results(exports[name](*arguments))
    except RuntimeError as error:
        if "call stack exhausted" in str(error):
            raise NativeOverflow from error
        trapped = True
    left, room = exports[FUEL].value, exports[STACK].value
    values = tuple(exports[key].value for key in read)
    return Ran(_outcome(trapped, left, room), results, budget - left, room, values)


Runner = Callable[..., Ran]

ENGINES = [
    pytest.param(on_wasmtime, id="wasmtime"),
    pytest.param(
        on_wasmer,
        id="wasmer",
        marks=pytest.mark.skipif(
            not has_wasmer(), reason="wasmer 1.1 is not here; it needs CPython 3.10 or earlier"
        ),
    ),
]
