"""Faults in the two counters: fuel and stack."""

from __future__ import annotations

from sen_host import backend as contract
from sen_host.backend import COUNTER_MAX, FUEL, STACK, FuncType, Trap
from sen_host.limits import Limits
from tests.broken.base import PlainBackend, PlainInstance


class FuelReadOneTooHigh(PlainBackend):
    """One unit more seems to be left than is."""

    area, says = "fuel", r"^fuel_used: "

    class Instance(PlainInstance):
        def get_global(self, name: str) -> int | None:
            value = self.inner.get_global(name)
            return value + 1 if name == FUEL and value is not None else value


class FuelReadOneTooLow(PlainBackend):
    """One unit less seems to be left than is, so nothing can use the last one."""

    area, says = "fuel", r"^outcome: .* seen .*'FuelExhausted'"

    class Instance(PlainInstance):
        def get_global(self, name: str) -> int | None:
            value = self.inner.get_global(name)
            return value - 1 if name == FUEL and value is not None else value


class FuelOneTooMuch(PlainBackend):
    """A call may use one unit more than its budget; what is read hides it."""

    area, says = "fuel", r"^outcome: expected .*'FuelExhausted'.* seen {'returns'"

    class Instance(PlainInstance):
        def set_global(self, name: str, value: int) -> None:
            self.inner.set_global(name, value + (name == FUEL and value < COUNTER_MAX))

        def get_global(self, name: str) -> int | None:
            value = self.inner.get_global(name)
            return value - 1 if name == FUEL and value else value


class FuelNotRefilled(PlainBackend):
    """All calls of an instance live on the budget of the first."""

    area, says = "fuel", r"^fuel_used: "

    class Instance(PlainInstance):
        filled = False

        def set_global(self, name: str, value: int) -> None:
            if name != FUEL or not self.filled:
                self.inner.set_global(name, value)
            self.filled |= name == FUEL


class FuelOf32Bits(PlainBackend):
    """Budgets lose what is above 32 bits."""

    area, says = "fuel", r"^fuel_used: expected \d+, seen \d{18,}$"

    class Instance(PlainInstance):
        def set_global(self, name: str, value: int) -> None:
            self.inner.set_global(name, value & 0xFFFF_FFFF if name == FUEL else value)


class FuelReadUnsigned(PlainBackend):
    """A counter below zero is read as a large number, so nobody runs out of fuel."""

    area, says = "fuel", r"^outcome: expected .*'FuelExhausted'.* seen {'returns'"

    class Instance(PlainInstance):
        def get_global(self, name: str) -> int | None:
            value = self.inner.get_global(name)
            return None if value is None else value % 2**64


class FuelReadClamped(PlainBackend):
    """A counter below zero is read as zero: out of fuel looks like ``unreachable``."""

    area, says = "fuel", r"^raises.error: expected 'FuelExhausted', seen 'FunctionCall'"

    class Instance(PlainInstance):
        def get_global(self, name: str) -> int | None:
            value = self.inner.get_global(name)
            return max(value, 0) if name == FUEL and value is not None else value


class FuelReadBeforeTheCall(PlainBackend):
    """What was set is read, not what the guest left."""

    area, says = "fuel", r"^fuel_used: expected \d+, seen 0$"

    class Instance(PlainInstance):
        fuel = 0

        def set_global(self, name: str, value: int) -> None:
            self.inner.set_global(name, value)
            if name == FUEL:
                self.fuel = value

        def get_global(self, name: str) -> int | None:
            return self.fuel if name == FUEL else self.inner.get_global(name)


class FuelFlickers(PlainBackend):
    """Every third reading is off by one, as if it were not the same on each run."""

    area, says = "fuel", r"^fuel_used: "

    class Instance(PlainInstance):
        readings = 0

        def get_global(self, name: str) -> int | None:
            value = self.inner.get_global(name)
            if name != FUEL or value is None:
                return value
            self.readings += 1
            return value - (self.readings % 3 == 0)


class CountersLostAfterTrap(PlainBackend):
    """The globals are gone with a guest that trapped, which the binding does not declare."""

    area, says = "trap", r"^fuel_used: expected \d+, seen nothing known$"

    class Instance(PlainInstance):
        trapped = False

        def call(self, name: str, type: FuncType, *arguments: int) -> int | None:
            try:
                return super().call(name, type, *arguments)
            except Trap:
                self.trapped = True
                raise

        def get_global(self, name: str) -> int | None:
            return None if self.trapped else self.inner.get_global(name)


class StackNotSetAnew(PlainBackend):
    """An instance keeps the stack that its first call was given."""

    area, says = "stack", r"^(outcome|fuel_used): "

    class Instance(PlainInstance):
        filled = False

        def set_global(self, name: str, value: int) -> None:
            if name != STACK or not self.filled:
                self.inner.set_global(name, value)
            self.filled |= name == STACK


class StackUnlimited(PlainBackend):
    """The limit of the stack is not set; the engine's own speaks in its place."""

    area, says = "stack", r"^(outcome|fuel_used): "

    class Instance(PlainInstance):
        def set_global(self, name: str, value: int) -> None:
            self.inner.set_global(name, COUNTER_MAX if name == STACK else value)


class StackOneTooMuch(PlainBackend):
    """The guest gets one byte more of the stack than it should."""

    area, says = "stack", r"^outcome: expected .*'call stack exhausted'.* seen {'returns'"

    class Instance(PlainInstance):
        def set_global(self, name: str, value: int) -> None:
            self.inner.set_global(name, value + (name == STACK))


class StackReadClamped(PlainBackend):
    """A counter below zero is read as zero: an overflow looks like ``unreachable``."""

    area = "stack"
    says = r"^raises.trap: expected 'call stack exhausted', seen 'unreachable'"

    class Instance(PlainInstance):
        def get_global(self, name: str) -> int | None:
            value = self.inner.get_global(name)
            return max(value, 0) if name == STACK and value is not None else value


class EngineStackTooSmall(PlainBackend):
    """The engine's own limit of the stack is below the host's, and speaks first."""

    area = "stack"
    says = r"^outcome: expected {'returns'.* seen .*'call stack exhausted'"

    def compile(self, wasm: bytes, limits: Limits) -> contract.Module:
        less = Limits(
            memory_bytes=limits.memory_bytes,
            table_elements=limits.table_elements,
            stack_bytes=128 * 1024,
            wall_clock_seconds=limits.wall_clock_seconds,
        )
        return super().compile(wasm, less)
