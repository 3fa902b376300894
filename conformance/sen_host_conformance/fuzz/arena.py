"""One module on several backends: make the same calls on all, and tell where they differ.

The rewritten module is the same everywhere, so everything that can be seen must
be: how a call ends, its result, the fuel that it used and left, the stack that a
stack overflow left, and the memory. What a backend cannot know any more, because
a trap has ended the guest, is None and equal to anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from sen_host.backend import (
    FUEL,
    STACK,
    Backend,
    FuncType,
    Instance,
    Module,
    Trap,
)
from sen_host.errors import EngineFault, ModuleCompilation, PluginFault, TrapKind
from sen_host.limits import MIB, Limits
from sen_host.wasm.instrument import instrument
from sen_host.wasm.profile import check_profile
from sen_host.wasm.reader import parse

COMPLETED = "completed"
NATIVE_OVERFLOW = "native stack overflow"
FAULT = "engine fault"

LIMITS = Limits(memory_bytes=MIB, table_elements=10_000)
"""A memory this small can be compared as a whole after each call."""

STACK_BYTES = LIMITS.stack_bytes - 64 * 1024
"""What the host gives to a guest by default."""

START_TYPE = FuncType((), ())

_FAILURES = (NATIVE_OVERFLOW, FAULT)
"""Ends that no backend may come to, not even all of them."""


class Call(NamedTuple):
    """A call; ``fuel`` is 0 .. 2**63 - 1, ``stack`` the bytes that the guest may use."""

    function: str
    arguments: tuple[int, ...]
    fuel: int
    stack: int


class Outcome(NamedTuple):
    """What a call came to on one backend, by the rules of the host.

    Attributes:
        kind: COMPLETED, the text of a trap's kind, or one of _FAILURES.
        result: None if there is none.
        used, left: fuel.
        stack: bytes left, after a stack overflow alone.
        memory_bytes: the memory's size.
        detail: the engine's text where it failed.
    """

    kind: str
    result: int | None = None
    used: int | None = None
    left: int | None = None
    stack: int | None = None
    memory_bytes: int | None = None
    detail: str | None = None


class Difference(Exception):
    """Backends differ, or one failed.

    Attributes:
        field: in what: a name of Outcome's, "memory", "validation",
            "compilation" or "instantiation".
        seen: by backend.
    """

    def __init__(self, field: str, seen: dict[str, str]) -> None:
        super().__init__(field, seen)
        self.field = field
        self.seen = seen

    def __str__(self) -> str:
        seen = "; ".join(f"{name}: {what}" for name, what in self.seen.items())
        return f"{self.field} differs: {seen}"


class LeftOut(Exception):
    """The module cannot serve: it is refused, whatever the backend."""

    def __init__(self, who: str, reason: str) -> None:
        super().__init__(who, reason)
        self.who = who
        self.reason = reason


class Side:
    """A backend with the module and the instance that are in use.

    Attributes:
        lost: whether the instance is gone, so that there has to be a fresh one.
        unknown: after how many calls the backend could not tell the fuel.
    """

    def __init__(self, name: str, backend: Backend) -> None:
        self.name = name
        self.backend = backend
        self.trap_ends_guest = backend.binding.isolation == "process"
        self.lost = False
        self.unknown = 0
        self._module: Module | None = None
        self._instance: Instance | None = None
        self._functions: dict[str, Callable[..., int | None]] = {}

    def invalid(self, wasm: bytes) -> str | None:
        """None, or why the backend takes a module for invalid."""
        try:
            self.backend.validate(wasm)
        except ModuleCompilation as error:
            return str(error)
        return None

    def refusal(self, wasm: bytes) -> str | None:
        """Compile a module; None, or why the backend refuses it."""
        self.close()
        try:
            self._module = self.backend.compile(wasm, LIMITS)
        except ModuleCompilation as error:
            return str(error)
        return None

    def instantiate(self) -> str:
        """A fresh instance; COMPLETED, or the kind of the trap."""
        self._drop_instance()
        assert self._module is not None
        self.lost = False
        try:
            self._instance = self._module.instantiate()
        except Trap as trap:
            return str(trap.kind)
        return COMPLETED

    def call(self, call: Call, type: FuncType) -> Outcome:
        instance = self._instance
        assert instance is not None
        function = self._functions.get(call.function)
        if function is None:
            function = self._functions[call.function] = instance.function(call.function, type)
        instance.set_global(FUEL, call.fuel)
        instance.set_global(STACK, call.stack)
        trap: TrapKind | None = None
        result = None
        try:
            result = function(*call.arguments)
        except Trap as error:
            trap = error.kind
            self.lost = self.trap_ends_guest
        except EngineFault as error:
            self.lost = True
            return Outcome(FAULT, detail=str(error))
        fuel, stack = instance.get_global(FUEL), instance.get_global(STACK)
        if fuel is None or stack is None:
            self.unknown += 1
            # After a return, and after a trap of the module's own, they must be known.
            ours = trap is None or trap is TrapKind.UNREACHABLE
            kind = FAULT if ours or not self.lost else str(trap)
            return Outcome(kind, memory_bytes=self._memory_bytes())
        return judge(call, trap, result, fuel, stack)._replace(memory_bytes=self._memory_bytes())

    def _memory_bytes(self) -> int | None:
        return None if self.lost or self._instance is None else self._instance.memory_size()

    def memory(self) -> bytes | None:
        """A copy of the whole memory; None if it is gone."""
        if self.lost or self._instance is None:
            return None
        return self._instance.read(0, self._instance.memory_size())

    def _drop_instance(self) -> None:
        self._functions.clear()
        if self._instance is not None:
            self._instance.close()
            self._instance = None

    def close(self) -> None:
        self._drop_instance()
        if self._module is not None:
            self._module.close()
            self._module = None


def judge(call: Call, trap: TrapKind | None, result: int | None, fuel: int, stack: int) -> Outcome:
    """What the host makes of a call.

    Args:
        trap: None if it returned.
        fuel, stack: the globals after it.
    """
    if fuel < 0 and trap in (None, TrapKind.UNREACHABLE):
        return Outcome(str(TrapKind.OUT_OF_FUEL), None, call.fuel, 0)
    left = max(fuel, 0)
    used = call.fuel - left
    if trap is None:
        return Outcome(COMPLETED, result, used, left)
    if trap is TrapKind.UNREACHABLE and stack < 0:
        return Outcome(str(TrapKind.STACK_OVERFLOW), None, used, left, stack)
    kind = NATIVE_OVERFLOW if trap is TrapKind.STACK_OVERFLOW else str(trap)
    return Outcome(kind, None, used, left)


class Arena:
    """Several backends that run the same module.

    Close it at the end; until then it takes one module after the other.
    """

    def __init__(self, backends: dict[str, Backend]) -> None:
        self.sides = [Side(name, backend) for name, backend in backends.items()]
        self.has_start = False

    def enter(self, wasm: bytes) -> None:
        """Rewrite a module, and compile it on every backend.

        Raises:
            LeftOut: the profile, the host or every backend refuses it.
            Difference: some backends refuse it, or any refuses what the host has
                made of it.
        """
        try:
            parsed = parse(wasm)
            check_profile(parsed)
        except ModuleCompilation as error:
            raise LeftOut("the profile", str(error)) from error
        invalid = [side.invalid(wasm) for side in self.sides]
        if all(invalid):
            raise LeftOut("every backend", str(invalid[0]))
        if any(invalid):
            raise Difference("validation", self._by_name(invalid))
        try:
            instrumented = instrument(
                parsed, memory_bytes=LIMITS.memory_bytes, table_elements=LIMITS.table_elements
            )
        except PluginFault as error:
            raise LeftOut("the host", str(error)) from error
        self.has_start = instrumented.has_start
        refusals = [side.refusal(instrumented.wasm) for side in self.sides]
        if any(refusals):
            raise Difference("compilation", self._by_name(refusals))

    def _by_name(self, refusals: Sequence[str | None]) -> dict[str, str]:
        named = zip(self.sides, refusals, strict=True)
        return {side.name: refusal or "accepted" for side, refusal in named}

    def start_over(self) -> str:
        """Fresh instances on all sides: COMPLETED, or the kind of the trap that all met.

        Raises:
            Difference
        """
        kinds = {side.name: side.instantiate() for side in self.sides}
        if len({*kinds.values()}) > 1:
            raise Difference("instantiation", kinds)
        return next(iter(kinds.values()))

    def call(self, call: Call, type: FuncType) -> Outcome:
        """Make a call on every side.

        Returns:
            What all sides saw; what no side knows is None.

        Raises:
            Difference
        """
        outcomes = [side.call(call, type) for side in self.sides]
        first = outcomes[0]
        if first.kind in _FAILURES or any(outcome != first for outcome in outcomes):
            first = self._common(outcomes)
        memory = None
        for side in self.sides:
            seen = side.memory()
            if seen is None:
                continue
            if memory is None:
                memory = seen
            elif memory != seen:
                raise Difference("memory", self._memories())
        return first

    @property
    def lost(self) -> bool:
        """Whether some side has no instance any more, so that all have to start over."""
        return any(side.lost for side in self.sides)

    def _common(self, outcomes: Sequence[Outcome]) -> Outcome:
        merged = outcomes[0]
        for field, values in zip(Outcome._fields, zip(*outcomes, strict=True), strict=True):
            known = {value for value in values if value is not None}
            failed = field == "kind" and known & {*_FAILURES}
            if len(known) > 1 or failed:
                seen = {
                    side.name: _shown(outcome)
                    for side, outcome in zip(self.sides, outcomes, strict=True)
                }
                raise Difference(field, seen)
            if known:
                merged = merged._replace(**{field: known.pop()})
        return merged

    def _memories(self) -> dict[str, str]:
        contents = {side.name: side.memory() for side in self.sides}
        known = [content for content in contents.values() if content is not None]
        at = next(i for i, bytes_ in enumerate(zip(*known, strict=True)) if len({*bytes_}) > 1)
        return {
            name: "unknown" if content is None else f"{content[at : at + 16].hex()} at {at:#x}"
            for name, content in contents.items()
        }

    def close(self) -> None:
        for side in self.sides:
            side.close()


def _shown(outcome: Outcome) -> str:
    fields = zip(Outcome._fields[1:], outcome[1:], strict=True)
    rest = [f"{name} {value}" for name, value in fields if value is not None]
    return ", ".join((outcome.kind, *rest))
