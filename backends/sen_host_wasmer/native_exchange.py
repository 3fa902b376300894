"""An exchange of messages in three calls into Wasmer, for the binding ``native``.

Each call from Python, and each access to a global, costs more than most guests take
for their work. :mod:`sen_host_wasmer.native_glue` adds to a plugin:

    BEGIN(n)            -> pointer | pages of the memory << 32; -1 if fuel is overdrawn
    CALLS[f](...)       -> what the function f returned, fuel left, size of the memory
    END(p, n, q, m)     -> 1 if fuel is overdrawn, else 0

BEGIN allocates for a payload of n bytes; END frees n bytes at p and m bytes at q, each
if there are any. Before the guest's own functions run, FUEL and STACK are set to what
the host has put into the globals BUDGETS. Between the calls the host writes the payload
and reads the result, and makes the checks that ``sen_host.abi.exchange`` makes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sen_host.backend import (
    ALLOC,
    DEALLOC,
    EXECUTE,
    FUEL,
    MANIFEST,
    RESERVED,
    RESUME,
    STACK,
    CompositeInstance,
    Exchanged,
    Trap,
)
from sen_host.errors import TrapKind
from sen_host.thread_stack import check_thread_stack
from sen_host_wasmer.native import NativeInstance, failure_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sen_host_wasmer.native_imports import UpCalls

BEGIN = RESERVED + "begin"
END = RESERVED + "end"
CALLS = {name: RESERVED + name for name in (MANIFEST, EXECUTE, RESUME)}
BUDGETS = (RESERVED + "fuel-budget", RESERVED + "stack-budget")

_U32 = 0xFFFF_FFFF
_U64 = 0xFFFF_FFFF_FFFF_FFFF
_new = tuple.__new__


class ExchangingInstance(NativeInstance, CompositeInstance):
    """An instance, which uses the functions if its module has them."""

    def __init__(self, instance: Any, stack_bytes: int, up: UpCalls | None = None) -> None:
        super().__init__(instance, stack_bytes, up)
        self._begin = self._find(BEGIN)
        self._end = self._find(END)
        self._calls: dict[str, Callable[..., list[int]]] = {}
        self._budgets = 0, 0

    def close(self) -> None:
        del self._begin, self._end, self._calls
        super().close()

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
    ) -> Exchanged | None:
        if self._begin is None:
            return None
        if seconds is not None:
            self.set_deadline(seconds)
        check_thread_stack(self._stack_bytes)
        if self._budgets != (fuel, stack):
            self._set_budgets(fuel, stack)
        memory = self._memory
        memory.may_have_grown = True  # for whoever looks at it next
        pointer = length = 0
        packed = data = None
        running = function
        try:
            if payload is not None:
                running, length = ALLOC, len(payload)
                begun = self._begin(length)
                if begun < 0:
                    raise Trap(TrapKind.OUT_OF_FUEL)
                pointer = begun & _U32
                end = pointer + length
                view = memory.known
                if view.nbytes >> 16 != begun >> 32:
                    view = memory.renewed()
                if not pointer or end > view.nbytes:
                    left = self.get_global(FUEL)
                    return Exchanged(pointer, None, view.nbytes, None, left)
                view[pointer:end] = payload
                running = function
                prefix = (*prefix, pointer, length)
            call = self._calls.get(function) or self._prepare(function)
            packed, fuel_left, memory_bytes = call(*prefix)
            if fuel_left < 0:
                raise Trap(TrapKind.OUT_OF_FUEL)
            packed &= _U64
            start, size = packed >> 32, packed & _U32
            if start + size > memory_bytes or (size and not start):
                size = 0
            elif size <= result_bytes:
                view = memory.known
                if view.nbytes != memory_bytes:
                    view = memory.renewed()
                data = view[start : start + size].tobytes()
            running = DEALLOC
            if self._end(pointer, length, start, size):
                raise Trap(TrapKind.OUT_OF_FUEL)
        except BaseException as error:
            failure = self._stopped(error, running)
            if running == DEALLOC and isinstance(failure, Trap):
                return Exchanged(pointer, packed, memory_bytes, data, fuel_left, failure)
        else:
            # Half as dear as to call the class.
            return _new(Exchanged, (pointer, packed, memory_bytes, data, fuel_left, None))
        try:
            raise failure
        finally:
            # Its traceback holds this frame, which holds the instance.
            del failure

    def _stopped(self, error: BaseException, function: str) -> BaseException:
        """What ended an exchange in ``function``: a trap, if the guest is the cause."""
        trap = error if isinstance(error, Trap) else failure_of(error, self._raised)
        if isinstance(trap, Trap):
            trap.function = function
            trap.fuel_left, trap.stack_left = self.get_global(FUEL), self.get_global(STACK)
        return trap

    def _prepare(self, function: str) -> Callable[..., list[int]]:
        found: Callable[..., list[int]] = self._export(CALLS[function])
        self._calls[function] = found
        return found

    def _set_budgets(self, fuel: int, stack: int) -> None:
        for name, value in zip(BUDGETS, (fuel, stack), strict=True):
            self.set_global(name, value)
        self._budgets = fuel, stack
