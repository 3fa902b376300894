"""Backends over Wasmtime, each with one planted fault, and a way to install them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest

from sen_host.backend import (
    FUEL,
    Backend,
    Binding,
    Capability,
    FuncType,
    Instance,
    Lack,
    Module,
    Trap,
)
from sen_host.distributions import EntryPoint
from sen_host.engines import open_backend
from sen_host.errors import EngineFault, ModuleCompilation, TrapKind
from sen_host.limits import Limits
from tests.broken.base import Wrapped


class Honest(Wrapped):
    """An instance of Wasmtime's, as it is."""

    def __init__(self, inner: Instance) -> None:
        super().__init__(inner)
        self.trapped = False

    def function(self, name: str, type: FuncType) -> Callable[..., int | None]:
        function = super().function(name, type)

        def call(*arguments: int) -> int | None:
            try:
                return function(*arguments)
            except Trap:
                self.trapped = True
                raise

        return call


class Overcharging(Honest):
    """Each call takes one more from the fuel."""

    def get_global(self, name: str) -> int | None:
        left = super().get_global(name)
        return left - 1 if name == FUEL and left is not None else left


class Oversized(Honest):
    """The memory looks one page larger than it is."""

    def memory_size(self) -> int:
        return super().memory_size() + 65_536


class Garbling(Honest):
    """A message loses a capital letter."""

    def read(self, offset: int, length: int) -> bytes:
        return super().read(offset, length).replace(b"Hi", b"hi")


class Misnaming(Honest):
    """A division by zero is called an overflow."""

    def function(self, name: str, type: FuncType) -> Callable[..., int | None]:
        function = super().function(name, type)

        def call(*arguments: int) -> int | None:
            try:
                return function(*arguments)
            except Trap as trap:
                if trap.kind is TrapKind.INTEGER_DIVIDE_BY_ZERO:
                    trap.kind = TrapKind.INTEGER_OVERFLOW
                raise

        return call


class Vague(Honest):
    """All traps but ``unreachable`` are one."""

    def function(self, name: str, type: FuncType) -> Callable[..., int | None]:
        function = super().function(name, type)

        def call(*arguments: int) -> int | None:
            try:
                return function(*arguments)
            except Trap as trap:
                if trap.kind is not TrapKind.UNREACHABLE:
                    trap.kind = TrapKind.UNKNOWN
                raise

        return call


class Forgetful(Honest):
    """The globals are gone after a trap."""

    def get_global(self, name: str) -> int | None:
        return None if self.trapped else super().get_global(name)


class Fickle(Honest):
    """Each instance takes more fuel than the one before."""

    _number = count()

    def __init__(self, inner: Instance) -> None:
        super().__init__(inner)
        self.more = next(self._number)

    def get_global(self, name: str) -> int | None:
        left = super().get_global(name)
        return left - self.more if name == FUEL and left is not None else left


class Failing(Honest):
    """It breaks when a command is run."""

    def function(self, name: str, type: FuncType) -> Callable[..., int | None]:
        if name == "plugin_execute":
            raise EngineFault("the engine fell over")
        return super().function(name, type)


class Crooked(Backend):
    """Wasmtime with instances of a class of this file, chosen before it is opened."""

    name = "crooked"
    instances: type[Honest] = Honest
    lacks: tuple[Lack, ...] = ()
    refuses = False
    """Whether it takes every module for invalid."""

    def __init__(self, binding: Binding) -> None:
        super().__init__(binding)
        self._honest = open_backend("wasmtime", isolation="none")

    @classmethod
    def bindings(cls) -> tuple[Binding, ...]:
        return (Binding(name="only", engine="Crooked 1.0", lacks=cls.lacks),)

    def validate(self, wasm: bytes) -> None:
        if self.refuses:
            raise ModuleCompilation(detail="no module is good enough")
        self._honest.validate(wasm)

    def compile(self, wasm: bytes, limits: Limits) -> Module:
        return CrookedModule(self._honest.compile(wasm, limits), self.instances)


class Absent(Backend):
    """A backend whose engine is not installed."""

    name = "absent"

    @classmethod
    def bindings(cls) -> tuple[Binding, ...]:
        return (
            Binding(
                name="only",
                engine="Absent",
                reason="the package absent is not installed",
                remedy="pip install absent",
            ),
        )

    def validate(self, wasm: bytes) -> None:
        raise NotImplementedError

    def compile(self, wasm: bytes, limits: Limits) -> Module:
        raise NotImplementedError


class CrookedModule(Module):
    def __init__(self, inner: Module, instances: type[Honest]) -> None:
        self._inner = inner
        self._instances = instances

    def instantiate(self) -> Instance:
        return self._instances(self._inner.instantiate())


Install = Callable[..., None]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Make Wasmtime and ``crooked`` the only backends that are installed."""

    def install(
        instances: type[Honest] = Honest, *lacks: Capability, refuses: bool = False
    ) -> None:
        declared = tuple(Lack(item, "never", "it is crooked") for item in lacks)
        monkeypatch.setattr(Crooked, "instances", instances)
        monkeypatch.setattr(Crooked, "lacks", declared)
        monkeypatch.setattr(Crooked, "refuses", refuses)
        only_backends(monkeypatch, wasmtime=WASMTIME, crooked=CROOKED)

    return install


WASMTIME = "sen_host_wasmtime:WasmtimeBackend"
CROOKED = f"{__name__}:{Crooked.__name__}"
ABSENT = f"{__name__}:{Absent.__name__}"


def only_backends(monkeypatch: pytest.MonkeyPatch, **targets: str) -> None:
    found = [EntryPoint(name, target) for name, target in targets.items()]
    monkeypatch.setattr("sen_host.engines.entry_points", lambda _: found)
