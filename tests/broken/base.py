"""Backends that wrap Wasmtime and change nothing: the faults are planted in them.

A fault is a subclass that overrides a method of one of the nested classes. It says by
which area of the suite it must be caught, and with which words. The suite runs such
classes in processes of its own, so these files import no pytest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from sen_host import backend as contract
from sen_host.abi import FUNCTIONS, enter, fits
from sen_host.backend import (
    ALLOC,
    DEALLOC,
    FUEL,
    Backend,
    Binding,
    CompositeInstance,
    Exchanged,
    FuncType,
    HostFunction,
    Trap,
)
from sen_host.limits import Limits
from sen_host_wasmtime import WasmtimeBackend


class Wrapped(contract.Instance):
    """An instance of another backend, as it is."""

    def __init__(self, inner: contract.Instance) -> None:
        self.inner = inner

    def function(self, name: str, type: FuncType) -> Callable[..., int | None]:
        return self.inner.function(name, type)

    def memory_size(self) -> int:
        return self.inner.memory_size()

    def read(self, offset: int, length: int) -> bytes:
        return self.inner.read(offset, length)

    def write(self, offset: int, data: bytes) -> None:
        self.inner.write(offset, data)

    def get_global(self, name: str) -> int | None:
        return self.inner.get_global(name)

    def set_global(self, name: str, value: int) -> None:
        self.inner.set_global(name, value)

    def set_deadline(self, seconds: float) -> None:
        self.inner.set_deadline(seconds)

    def close(self) -> None:
        self.inner.close()


class PlainInstance(Wrapped):
    """An instance of Wasmtime, wrapped."""

    def __init__(self, module: PlainModule, inner: contract.Instance) -> None:
        super().__init__(inner)
        self.module = module

    def function(self, name: str, type: FuncType) -> Callable[..., int | None]:
        return lambda *arguments: self.call(name, type, *arguments)

    def call(self, name: str, type: FuncType, *arguments: int) -> int | None:
        """A call of a function, all at once."""
        return self.inner.function(name, type)(*arguments)


class PlainModule(contract.Module):
    """A module of Wasmtime, wrapped."""

    def __init__(self, backend: PlainBackend, inner: contract.Module) -> None:
        self.backend = backend
        self.inner = inner

    def instantiate(self) -> contract.Instance:
        return self.wrap(self.inner.instantiate())

    def instantiate_with(self, imports: Sequence[HostFunction]) -> contract.Instance:
        return self.wrap(self.inner.instantiate_with(imports))

    def wrap(self, inner: contract.Instance) -> PlainInstance:
        """An instance of the class that the backend is to have."""
        return self.backend.Instance(self, inner)

    def close(self) -> None:
        self.inner.close()


class PlainBackend(Backend):
    """Wasmtime, wrapped. It must pass everything.

    Attributes:
        area: of the suite, by which the fault must be caught.
        says: a regular expression; a line that the suite reports must match it.
        seconds: how long a case may take, for faults that hang.
    """

    name = "plain"
    area: ClassVar[str]
    says: ClassVar[str]
    seconds: ClassVar[float] = 60
    Module: ClassVar[type[PlainModule]] = PlainModule
    Instance: ClassVar[type[PlainInstance]] = PlainInstance

    def __init__(self, binding: Binding) -> None:
        super().__init__(binding)
        self.inner = WasmtimeBackend(binding)

    @classmethod
    def bindings(cls) -> tuple[Binding, ...]:
        return WasmtimeBackend.bindings()[:1]  # one is enough for each fault

    def validate(self, wasm: bytes) -> None:
        self.inner.validate(wasm)

    def compile(self, wasm: bytes, limits: Limits) -> contract.Module:
        return self.Module(self, self.inner.compile(wasm, limits))


class PlainComposite(PlainInstance, CompositeInstance):
    """An instance that makes whole exchanges, in steps that can be overridden."""

    budget: int
    stack: int

    def exchange(
        self,
        function: str,
        prefix: tuple[int, ...],
        payload: bytes | None,
        *,
        result_bytes: int,
        fuel: int,
        stack: int,
        seconds: float | None,
    ) -> Exchanged:
        self.budget, self.stack = fuel, stack
        if seconds is not None:
            self.set_deadline(seconds)
        pointer = 0
        arguments = prefix
        if payload is not None:
            pointer = self.enter(ALLOC, len(payload))
            memory_bytes = self.memory_size()
            if not self.fits(pointer, len(payload), memory_bytes):
                return Exchanged(pointer, None, memory_bytes, None, self.get_global(FUEL))
            self.write(pointer, payload)
            arguments = (*prefix, pointer, len(payload))
        packed = self.enter(function, *arguments)
        fuel_left = self.get_global(FUEL)
        memory_bytes = self.memory_size()
        data = self.take(packed, memory_bytes, result_bytes)
        free_trap = None
        try:
            self.free(pointer, payload, packed, memory_bytes)
        except Trap as trap:
            free_trap = trap
        return self.report(Exchanged(pointer, packed, memory_bytes, data, fuel_left, free_trap))

    def report(self, facts: Exchanged) -> Exchanged:
        """What the host is told of an exchange that went through."""
        return facts

    def enter(self, name: str, *arguments: int) -> int:
        """Call a function of the ABI with a budget and a stack of its own."""
        type = FUNCTIONS[name]
        return enter(self, name, type, arguments, fuel=self.budget, stack=self.stack) or 0

    def fits(self, pointer: int, length: int, memory_bytes: int) -> bool:
        """Whether a buffer lies in the memory."""
        return fits(pointer, length, memory_bytes)

    def take(self, packed: int, memory_bytes: int, result_bytes: int) -> bytes | None:
        """The message, if it may be read."""
        pointer, length = packed >> 32, packed & 0xFFFF_FFFF
        if length > result_bytes or not self.fits(pointer, length, memory_bytes):
            return None
        return self.read(pointer, length)

    def free(self, pointer: int, payload: bytes | None, packed: int, memory_bytes: int) -> None:
        """Free the payload, then the message."""
        if payload is not None:
            self.enter(DEALLOC, pointer, len(payload))
        self.free_message(packed, memory_bytes)

    def free_message(self, packed: int, memory_bytes: int) -> None:
        """Free the message, if there is something to free."""
        pointer, length = packed >> 32, packed & 0xFFFF_FFFF
        if length and self.fits(pointer, length, memory_bytes):
            self.enter(DEALLOC, pointer, length)


class PlainCompositeBackend(PlainBackend):
    """Wasmtime, wrapped, with whole exchanges. It must pass everything as well."""

    Instance = PlainComposite
