"""Faults in what is made of a trap."""

from __future__ import annotations

import os
import resource
import signal
import threading
from collections.abc import Mapping
from dataclasses import replace

from sen_host import backend as contract
from sen_host.backend import Binding, Capability, FuncType, Lack, Trap
from sen_host.errors import EngineFault, TrapKind
from tests.broken.base import PlainBackend, PlainInstance, PlainModule

UNREACHABLE = TrapKind.UNREACHABLE
MEMORY = TrapKind.MEMORY_OUT_OF_BOUNDS
TABLE = TrapKind.TABLE_OUT_OF_BOUNDS
DIVISION = TrapKind.INTEGER_DIVIDE_BY_ZERO
OVERFLOW = TrapKind.INTEGER_OVERFLOW
CONVERSION = TrapKind.INVALID_CONVERSION_TO_INTEGER
ELEMENT = TrapKind.UNINITIALIZED_ELEMENT
MISMATCH = TrapKind.INDIRECT_CALL_TYPE_MISMATCH
UNKNOWN = TrapKind.UNKNOWN


class TrapInstance(PlainInstance):
    """Does something else when the guest traps."""

    def call(self, name: str, type: FuncType, *arguments: int) -> int | None:
        try:
            return super().call(name, type, *arguments)
        except Trap as trap:
            return self.trapped(trap)

    def trapped(self, trap: Trap) -> int | None:
        """What to do in its place: return something, or raise."""
        raise NotImplementedError


def renaming(kinds: Mapping[TrapKind, TrapKind]) -> type[PlainInstance]:
    """Instances that report kinds of traps as others."""

    class Renaming(TrapInstance):
        def trapped(self, trap: Trap) -> int | None:
            raise Trap(kinds.get(trap.kind, trap.kind), trap.detail) from trap

    return Renaming


def told(expected: TrapKind, seen: TrapKind) -> str:
    """How the suite says that one kind was seen in place of another."""
    return f"^raises.trap: expected '{expected}', seen '{seen}'$"


class MemoryAndTableSwapped(PlainBackend):
    """Accesses out of the bounds of a memory and of a table are taken for each other."""

    area, says = "trap", told(TABLE, MEMORY)
    Instance = renaming({MEMORY: TABLE, TABLE: MEMORY})


class DivisionAndOverflowSwapped(PlainBackend):
    """Division by zero and the overflow of a quotient are taken for each other."""

    area, says = "trap", told(OVERFLOW, DIVISION)
    Instance = renaming({DIVISION: OVERFLOW, OVERFLOW: DIVISION})


class ElementAndMismatchSwapped(PlainBackend):
    """Elements that are not there and those of another type are taken for each other."""

    area, says = "trap", told(ELEMENT, MISMATCH)
    Instance = renaming({ELEMENT: MISMATCH, MISMATCH: ELEMENT})


class ConversionIsOverflow(PlainBackend):
    """What is no number at all is merged with what is too large."""

    area, says = "trap", told(CONVERSION, OVERFLOW)
    Instance = renaming({CONVERSION: OVERFLOW})


class TableIsElement(PlainBackend):
    """A call beyond the table is merged with one of an element that is not there."""

    area, says = "trap", told(TABLE, ELEMENT)
    Instance = renaming({TABLE: ELEMENT})


class IndirectCallsUnknown(PlainBackend):
    """Two kinds are merged into none, which the binding does not declare."""

    area, says = "trap", told(MISMATCH, UNKNOWN)
    Instance = renaming({ELEMENT: UNKNOWN, MISMATCH: UNKNOWN})


class UnreachableUnknown(PlainBackend):
    """``unreachable`` is not known as such, so nor are exhausted fuel and stack."""

    area, says = "trap", told(UNREACHABLE, UNKNOWN)
    Instance = renaming({UNREACHABLE: UNKNOWN})


class DeclaredLackCoversMore(PlainBackend):
    """It declares that it knows no kinds of traps; but it takes them for others."""

    area, says = "trap", r"it lacks trap-kinds .*; that does not explain every fault$"
    Instance = renaming({MEMORY: TABLE, DIVISION: OVERFLOW})

    @classmethod
    def bindings(cls) -> tuple[Binding, ...]:
        lack = Lack(Capability.TRAP_KINDS, "not possible", "the engine has no words for them")
        return tuple(replace(binding, lacks=(lack,)) for binding in super().bindings())


class TrapSwallowed(PlainBackend):
    """A function that traps seems to return zero."""

    area, says = "trap", r"^outcome: expected .*'raises'"

    class Instance(TrapInstance):
        def trapped(self, trap: Trap) -> int | None:
            return 0


class TrapIsTheEnginesFault(PlainBackend):
    """A trap is reported as a failure of the engine."""

    area, says = "trap", r"^raises.error: expected 'FunctionCall', seen 'EngineFault'$"

    class Instance(TrapInstance):
        def trapped(self, trap: Trap) -> int | None:
            raise EngineFault("the engine failed", detail=trap.detail)


class ForeignException(PlainBackend):
    """An exception of the engine gets out."""

    area, says = "trap", r"^outcome: .* seen 'RuntimeError: "

    class Instance(TrapInstance):
        def trapped(self, trap: Trap) -> int | None:
            raise RuntimeError(f"wasm error: {trap.detail}")


class TrapEndsTheProcess(PlainBackend):
    """The process ends when a guest traps."""

    area, says = "trap", r"^the process that played it died with exit code 7$"

    class Instance(TrapInstance):
        def trapped(self, trap: Trap) -> int | None:
            os._exit(7)


class TrapKillsTheProcess(PlainBackend):
    """A signal that nobody handles takes the process down when a guest traps."""

    area, says = "trap", rf"^the process that played it died with signal {signal.SIGSEGV:d}"

    class Instance(TrapInstance):
        def trapped(self, trap: Trap) -> int | None:
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            os.kill(os.getpid(), signal.SIGSEGV)
            raise trap


class TrapHangs(PlainBackend):
    """A call that traps never comes back."""

    area, says = "trap", r"^there was no end to it within 2 s$"
    seconds = 2

    class Instance(TrapInstance):
        def trapped(self, trap: Trap) -> int | None:
            threading.Event().wait()
            raise trap


class SegmentTrapIsTheEnginesFault(PlainBackend):
    """A segment out of bounds is reported as a failure of the engine."""

    area, says = "memory", r"^raises.error: expected 'Instantiation', seen 'EngineFault'$"

    class Module(PlainModule):
        def instantiate(self) -> contract.Instance:
            try:
                return super().instantiate()
            except Trap as trap:
                raise EngineFault("the engine failed", detail=trap.detail) from trap
