"""Guests to run a program in: of any backend, and of Wasmtime with its own meter."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from sen_host.abi import NATIVE_STACK_BYTES
from sen_host.backend import FUEL, STACK, Backend, FuncType
from sen_host.limits import Limits
from sen_host.wasm.instrument import instrument
from sen_host.wasm.reader import parse

LIMITS = Limits(fuel=None)
PLENTY = 1 << 60


class Guest(ABC):
    """An instance, and how its fuel is counted if it is."""

    @abstractmethod
    def function(self, name: str, type: FuncType) -> Callable[..., int | None]:
        """An export as a callable over unsigned integers."""

    @abstractmethod
    def read(self, offset: int, length: int) -> bytes:
        """A copy of some of its memory."""

    @abstractmethod
    def write(self, offset: int, data: bytes) -> None:
        """Write to its memory."""

    @abstractmethod
    def refill(self) -> None:
        """Give it plenty of fuel and stack."""

    @abstractmethod
    def fuel_used(self) -> int | None:
        """What it used since; None if that is not counted."""

    def call(self, name: str, type: FuncType, *arguments: int) -> int:
        """Call an export that is not timed."""
        self.refill()
        return self.function(name, type)(*arguments) or 0

    def close(self) -> None:  # noqa: B027 - not all have something to free
        """Free it."""


class BackendGuest(Guest):
    """A guest of a backend, as the host runs it or as its author built it."""

    def __init__(self, backend: Backend, wasm: bytes, *, metered: bool) -> None:
        if metered:
            wasm = instrument(
                parse(wasm),
                memory_bytes=LIMITS.memory_bytes,
                table_elements=LIMITS.table_elements,
            ).wasm
        self._metered = metered
        self._module = backend.compile(wasm, LIMITS)
        self._instance = self._module.instantiate()

    def function(self, name: str, type: FuncType) -> Callable[..., int | None]:
        return self._instance.function(name, type)

    def read(self, offset: int, length: int) -> bytes:
        return self._instance.read(offset, length)

    def write(self, offset: int, data: bytes) -> None:
        self._instance.write(offset, data)

    def refill(self) -> None:
        if self._metered:
            self._instance.set_global(FUEL, PLENTY)
            self._instance.set_global(STACK, LIMITS.stack_bytes - NATIVE_STACK_BYTES)

    def fuel_used(self) -> int | None:
        if not self._metered:
            return None
        left = self._instance.get_global(FUEL)
        assert left is not None
        return PLENTY - left

    def close(self) -> None:
        self._instance.close()
        self._module.close()


_MASKS = {"i32": 0xFFFF_FFFF, "i64": 0xFFFF_FFFF_FFFF_FFFF}


class OwnMeterGuest(Guest):
    """A guest of Wasmtime that counts fuel by itself. May raise ImportError."""

    def __init__(self, wasm: bytes) -> None:
        import wasmtime

        config = wasmtime.Config()
        config.consume_fuel = True
        config.max_wasm_stack = LIMITS.stack_bytes
        engine = wasmtime.Engine(config)
        self._store = wasmtime.Store(engine)
        self._store.set_fuel(PLENTY)
        instance = wasmtime.Instance(self._store, wasmtime.Module(engine, wasm), [])
        self._exports: Any = instance.exports(self._store)

    def function(self, name: str, type: FuncType) -> Callable[..., int | None]:
        function, store = self._exports[name], self._store

        def call(*arguments: int) -> int | None:
            result: int | None = function(store, *arguments)
            return None if result is None else result & _MASKS[type.results[0]]

        return call

    def read(self, offset: int, length: int) -> bytes:
        return bytes(self._exports["memory"].read(self._store, offset, offset + length))

    def write(self, offset: int, data: bytes) -> None:
        self._exports["memory"].write(self._store, data, offset)

    def refill(self) -> None:
        self._store.set_fuel(PLENTY)

    def fuel_used(self) -> int | None:
        return PLENTY - self._store.get_fuel()
