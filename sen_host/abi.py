"""The plugin ABI: the rules by which host and guest exchange messages.

A message crosses as a pointer and a length into the guest's linear memory.
A guest function returns both packed into one i64, ``pointer << 32 | length``,
both unsigned 32-bit. One exchange is always the same sequence of calls:

    plugin_alloc(n)              where the payload of n bytes may stand
    (the host writes the payload)
    FUNCTION(..., pointer, n)    returns the packed message
    (the host copies the message)
    plugin_dealloc(pointer, n)   frees the payload
    plugin_dealloc(message)      frees the message

Every pair is checked against the size of the memory at that moment before a
byte moves. A pointer of zero for a buffer that is not empty is a fault.

Before each call of a guest function the host sets two globals of the module, the
fuel and the stack that the call may use; code in the module counts them down and
ends in ``unreachable`` when one of them falls below zero.

Nothing here knows an engine: :func:`exchange` gathers facts through the
contract of :mod:`sen_host.backend`, :class:`Guest` judges them.
"""

from __future__ import annotations

from sen_host import log
from sen_host.backend import (
    ALLOC,
    COUNTER_MAX,
    DEALLOC,
    FUEL,
    STACK,
    START,
    CompositeInstance,
    Exchanged,
    FuncType,
    Instance,
    Trap,
)
from sen_host.backend import EXECUTE as EXECUTE
from sen_host.backend import FUNCTIONS as FUNCTIONS
from sen_host.backend import MANIFEST as MANIFEST
from sen_host.backend import RESUME as RESUME
from sen_host.errors import (
    EffectsNotSupported,
    EngineFault,
    FuelExhausted,
    FunctionCall,
    FunctionNotFound,
    Instantiation,
    MemoryAccess,
    PluginFault,
    ResultTooLarge,
    Serialization,
    SignatureMismatch,
    TrapKind,
    WallClockExceeded,
)
from sen_host.limits import Limits
from sen_host.records import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import NoReturn

MEMORY = "memory"

INSTANTIATION = "instantiation"
"""What errors name in place of a function when the start function ran."""

NATIVE_STACK_BYTES = 64 * 1024
"""What the host keeps of the stack for the engine's own frames."""

_U32 = 0xFFFF_FFFF
_U64 = 0xFFFF_FFFF_FFFF_FFFF


def pack(pointer: int, length: int) -> int:
    """``pointer << 32 | length``, 0 .. 2**64 - 1.

    Raises:
        ValueError: pointer or length is not an unsigned 32-bit integer.
    """
    if not (0 <= pointer <= _U32 and 0 <= length <= _U32):
        raise ValueError(f"pointer {pointer} and length {length} must be 0 .. 2**32 - 1")
    return pointer << 32 | length


def unpack(packed: int) -> tuple[int, int]:
    """Pointer and length of a packed i64, given as signed or unsigned integer.

    Raises:
        ValueError: ``packed`` does not fit 64 bits.
    """
    if not -(2**63) <= packed < 2**64:
        raise ValueError(f"{packed} does not fit 64 bits")
    return packed >> 32 & _U32, packed & _U32


def fits(pointer: int, length: int, memory_bytes: int) -> bool:
    """Whether the buffer lies in the memory and is not at address zero (unless empty)."""
    return pointer + length <= memory_bytes and (pointer != 0 or length == 0)


def check_exports(
    functions: Mapping[str, FuncType], memories: frozenset[str] | set[str], other: Mapping[str, str]
) -> None:
    """Check that a module exports what the ABI asks for, with the right types.

    Args:
        functions: exported functions by name.
        memories: names of exported memories.
        other: names of exports that are neither, with their kind.

    Raises:
        FunctionNotFound: an export is missing.
        SignatureMismatch: an export is of another kind or type.
    """
    for fault in export_faults(functions, memories, other):
        raise fault


def export_faults(
    functions: Mapping[str, FuncType], memories: frozenset[str] | set[str], other: Mapping[str, str]
) -> Iterator[FunctionNotFound]:
    """All that ``check_exports`` would raise, one after the other."""
    if MEMORY not in memories:
        kind = "a function" if MEMORY in functions else other.get(MEMORY)
        if kind is not None:
            yield SignatureMismatch(MEMORY, expected="a memory", actual=kind)
        else:
            yield FunctionNotFound(
                MEMORY, "the plugin does not export its memory as 'memory'", hint=_NOT_A_PLUGIN
            )
    for name, expected in FUNCTIONS.items():
        actual = functions.get(name)
        if actual == expected:
            continue
        if actual is not None:
            yield SignatureMismatch(name, expected=str(expected), actual=str(actual))
        elif name in memories or name in other:
            kind = "a memory" if name in memories else other[name]
            yield SignatureMismatch(name, expected=f"a function {expected}", actual=kind)
        elif name != RESUME:
            yield FunctionNotFound(name, hint=_NOT_A_PLUGIN)


_START_TYPE = FuncType((), ())

_NOT_A_PLUGIN = "is this a sen-rs plugin? `sen-host inspect` lists what a module exports"


def enter(
    instance: Instance,
    name: str,
    type: FuncType,
    arguments: Sequence[int] = (),
    *,
    fuel: int,
    stack: int,
) -> int | None:
    """Call an export with that much fuel and stack, each 0 .. COUNTER_MAX.

    Raises:
        Trap: the function trapped, or returned with its fuel overdrawn.
        EngineFault: it returned, but the globals cannot be read.
    """
    instance.set_global(FUEL, fuel)
    instance.set_global(STACK, stack)
    try:
        result = instance.function(name, type)(*arguments)
    except Trap as trap:
        trap.function = name
        trap.fuel_left, trap.stack_left = instance.get_global(FUEL), instance.get_global(STACK)
        raise
    left = instance.get_global(FUEL)
    if left is None:
        raise EngineFault(f"the engine lost its globals although {name!r} returned")
    if left < 0:
        raise Trap(TrapKind.OUT_OF_FUEL, function=name, fuel_left=left)
    return result


def exchange(
    instance: Instance,
    function: str,
    prefix: tuple[int, ...],
    payload: bytes | None,
    *,
    result_bytes: int,
    fuel: int,
    stack: int,
    seconds: float | None,
) -> Exchanged:
    """One exchange, call by call; see ``CompositeInstance.exchange`` for the terms."""
    if seconds is not None:
        instance.set_deadline(seconds)

    def call(name: str, *arguments: int) -> int:
        return enter(instance, name, FUNCTIONS[name], arguments, fuel=fuel, stack=stack) or 0

    pointer = 0
    arguments = prefix
    if payload is not None:
        pointer = call(ALLOC, len(payload))
        memory_bytes = instance.memory_size()
        if not fits(pointer, len(payload), memory_bytes):
            return Exchanged(pointer, None, memory_bytes, None, instance.get_global(FUEL))
        instance.write(pointer, payload)
        arguments = (*prefix, pointer, len(payload))

    packed = call(function, *arguments)
    if not 0 <= packed <= _U64:
        raise EngineFault(f"the engine gave {packed} as the result of {function!r}, not an i64")
    fuel_left = instance.get_global(FUEL)
    memory_bytes = instance.memory_size()
    result_pointer, length = packed >> 32, packed & _U32
    in_bounds = fits(result_pointer, length, memory_bytes)
    data = None
    if in_bounds and length <= result_bytes:
        data = instance.read(result_pointer, length)

    free_trap = None
    try:
        if payload is not None:
            call(DEALLOC, pointer, len(payload))
        if in_bounds and length:
            call(DEALLOC, result_pointer, length)
    except Trap as trap:
        free_trap = trap
    return Exchanged(pointer, packed, memory_bytes, data, fuel_left, free_trap)


class Guest:
    """One instance, spoken to through the ABI in bytes.

    Not safe for concurrent use. After a trap, out of fuel or a timeout
    ``alive`` is False and the instance must be replaced.

    Attributes:
        alive: whether the instance may be called again.
        memory_bytes: size of the linear memory after the latest exchange.
        fuel_used: of the function called last; None if the engine lost it.
        fuel_left: of its budget; None also if there was none.
    """

    def __init__(self, instance: Instance, limits: Limits, *, has_resume: bool) -> None:
        self._instance = instance
        self._limits = limits
        self._has_resume = has_resume
        self._fuel = _counter(limits.fuel)
        self._stack = limits.stack_bytes - NATIVE_STACK_BYTES
        self._at_once = instance.exchange if isinstance(instance, CompositeInstance) else None
        self.alive = True
        self.memory_bytes = instance.memory_size()
        self.fuel_left: int | None = None
        self.fuel_used: int | None = None

    @property
    def instance(self) -> Instance:
        """The instance, as the backend made it."""
        return self._instance

    def start(self) -> None:
        """Call the start function.

        Raises:
            Instantiation: it trapped.
            FuelExhausted, WallClockExceeded
        """
        try:
            self._enter(START, _START_TYPE, (), self._limits, self._stack)
        except Trap as trap:
            raise instantiation_fault(trap, self._limits) from trap

    def call(
        self,
        function: str,
        type: FuncType,
        arguments: Sequence[int] = (),
        *,
        fuel: int | None = None,
        stack: int | None = None,
    ) -> int | None:
        """Call an export that is no part of the ABI, under the same limits.

        Args:
            arguments: unsigned, as many as ``type`` has parameters.
            fuel: another budget than that of the limits, 0 .. 2**64 - 1.
            stack: another size of the stack, in bytes that the guest alone may use,
                0 .. COUNTER_MAX; what the engine has must suffice for it.

        Returns:
            Its result, unsigned; None if it has none.

        Raises:
            FunctionCall, FuelExhausted, WallClockExceeded
        """
        limits = self._limits if fuel is None else replace(self._limits, fuel=fuel)
        try:
            return self._enter(
                function, type, arguments, limits, self._stack if stack is None else stack
            )
        except Trap as trap:
            raise fault_of(trap, function, limits) from trap

    def manifest(self) -> bytes:
        """The bytes that ``plugin_manifest`` returns."""
        return self.exchange(MANIFEST, (), None)

    def execute(self, arguments: bytes) -> bytes:
        """Hand encoded arguments to ``plugin_execute``; the bytes that it returns."""
        return self.exchange(EXECUTE, (), arguments)

    def resume(self, effect_id: int, result: bytes) -> bytes:
        """Hand an encoded effect result to ``plugin_resume``; the bytes that it returns.

        Args:
            effect_id: the effect's id, 0 .. 2**32 - 1.

        Raises:
            EffectsNotSupported: the plugin does not export ``plugin_resume``.
        """
        return self.exchange(RESUME, (effect_id,), result)

    def close(self) -> None:
        """Free the instance."""
        self.alive = False
        self._instance.close()

    def _enter(
        self,
        function: str,
        type: FuncType,
        arguments: Sequence[int],
        limits: Limits,
        stack: int,
    ) -> int | None:
        self.fuel_left = self.fuel_used = None
        try:
            if limits.wall_clock_seconds is not None:
                self._instance.set_deadline(limits.wall_clock_seconds)
            fuel = _counter(limits.fuel)
            result = enter(self._instance, function, type, arguments, fuel=fuel, stack=stack)
        except Trap as trap:
            self.alive = False
            self._note_trap(trap, limits.fuel)
            raise
        except BaseException:
            self.alive = False
            raise
        self._note_fuel(self._instance.get_global(FUEL), limits.fuel)
        self.memory_bytes = self._instance.memory_size()
        return result

    def exchange(self, function: str, prefix: tuple[int, ...], payload: bytes | None) -> bytes:
        """Hand a payload to a function of the ABI; the bytes that it returns.

        Args:
            function: MANIFEST, EXECUTE or RESUME.
            prefix: the effect's id for RESUME, else nothing.
            payload: at least one byte; None for MANIFEST.

        Raises:
            As ``manifest``, ``execute`` and ``resume``.
        """
        if prefix:
            self._check_resume(*prefix)
        limits = self._limits
        result_bytes = limits.result_bytes
        self.fuel_left = self.fuel_used = None
        try:
            facts = None
            if self._at_once is not None:
                facts = self._at_once(
                    function,
                    prefix,
                    payload,
                    result_bytes=result_bytes,
                    fuel=self._fuel,
                    stack=self._stack,
                    seconds=limits.wall_clock_seconds,
                )
            if facts is None:
                facts = exchange(
                    self._instance,
                    function,
                    prefix,
                    payload,
                    result_bytes=result_bytes,
                    fuel=self._fuel,
                    stack=self._stack,
                    seconds=limits.wall_clock_seconds,
                )
        except Trap as trap:
            self.alive = False
            self._note_trap(trap, limits.fuel)
            raise fault_of(trap, trap.function or function, limits) from trap
        except BaseException:
            # An engine that failed, or an interrupt in the middle of a
            # sequence, leaves the instance in a state that nobody knows.
            self.alive = False
            raise
        _, packed, memory_bytes, data, fuel_left, free_trap = facts
        if fuel_left is not None:
            self.fuel_used = used = self._fuel - fuel_left
            if limits.fuel is not None:
                self.fuel_left = limits.fuel - used
        self.memory_bytes = memory_bytes
        if free_trap is not None:
            self.alive = False
            log.warning(
                "%s failed after %s: %s; the instance is replaced",
                DEALLOC,
                function,
                kind_of(free_trap),
            )
        if packed is None:
            _raise_memory_access(ALLOC, facts.pointer, len(payload or b""), memory_bytes)
        pointer, length = packed >> 32, packed & _U32
        # As ``fits``, whose call would cost more.
        if pointer + length > memory_bytes or (length and not pointer):
            _raise_memory_access(function, pointer, length, memory_bytes)
        if length > result_bytes:
            raise ResultTooLarge(function, length=length, limit_bytes=result_bytes)
        assert data is not None
        return data

    def _check_resume(self, effect_id: int) -> None:
        if not self._has_resume:
            raise EffectsNotSupported(f"the plugin does not export {RESUME!r}")
        if not 0 <= effect_id <= _U32:
            raise Serialization(f"effect id {effect_id} is not in 0 .. 2**32 - 1")

    def _note_fuel(self, left: int | None, budget: int | None) -> None:
        if left is None:
            return
        self.fuel_used = _counter(budget) - left
        if budget is not None:
            self.fuel_left = budget - self.fuel_used

    def _note_trap(self, trap: Trap, budget: int | None) -> None:
        # What was overdrawn is not owed: no more than the budget was used.
        if trap.fuel_left is not None:
            self._note_fuel(max(trap.fuel_left, 0), budget)


def _counter(fuel: int | None) -> int:
    """What FUEL is set to for a budget."""
    return COUNTER_MAX if fuel is None else min(fuel, COUNTER_MAX)


def _raise_memory_access(function: str, pointer: int, length: int, memory_bytes: int) -> NoReturn:
    if pointer == 0:
        what = f"a zero pointer for {length:,} bytes"
        if function == ALLOC:
            what += " (out of memory?)"
    else:
        what = f"{length:,} bytes at {pointer:#x}, outside its memory of {memory_bytes:,} bytes"
    raise MemoryAccess(
        f"{function!r} returned {what}", pointer=pointer, length=length, memory_bytes=memory_bytes
    )


def kind_of(trap: Trap) -> TrapKind:
    """What the trap means: ``unreachable`` is also how exhausted fuel and stack end."""
    if trap.kind is TrapKind.UNREACHABLE:
        if trap.fuel_left is not None and trap.fuel_left < 0:
            return TrapKind.OUT_OF_FUEL
        if trap.stack_left is not None and trap.stack_left < 0:
            return TrapKind.STACK_OVERFLOW
    return trap.kind


def fault_of(trap: Trap, function: str, limits: Limits) -> PluginFault:
    """The error that users see for a trap in an exported function."""
    kind = kind_of(trap)
    return _limit_fault(kind, function, limits) or FunctionCall(
        function, kind, detail=_news(trap, kind)
    )


def instantiation_fault(trap: Trap, limits: Limits) -> PluginFault:
    """The error that users see for a trap in the start function or a segment."""
    kind = kind_of(trap)
    return _limit_fault(kind, INSTANTIATION, limits) or Instantiation(
        f"the plugin trapped while it was instantiated: {kind}",
        trap=kind,
        detail=_news(trap, kind),
    )


def _limit_fault(kind: TrapKind, function: str, limits: Limits) -> PluginFault | None:
    if kind is TrapKind.OUT_OF_FUEL:
        return FuelExhausted(function, budget=limits.fuel)
    if kind is TrapKind.INTERRUPTED:
        return WallClockExceeded(function, seconds=limits.wall_clock_seconds or 0)
    return None


def _news(trap: Trap, kind: TrapKind) -> str | None:
    """The engine's text, if it says more than the kind does."""
    return None if kind is not trap.kind or trap.detail == kind.value else trap.detail
