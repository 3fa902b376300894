"""pywasm's machine, with deeper calls, a clock, and traps in sen-host's terms."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from pywasm import core, opcode

from sen_host.backend import HostFunction, Trap
from sen_host.errors import EngineFault, TrapKind

_BITS = {"i32": 32, "i64": 64}


class Operator(NamedTuple):
    """What is done in place of an operator; called with the machine and the immediates."""

    run: Callable[..., None]
    immediates: Sequence[int]


# pywasm traps by whatever exception Python has for it. The operator tells which trap it was.
_TRAPS: tuple[tuple[str, type[Exception], TrapKind], ...] = (
    ("unreachable", AssertionError, TrapKind.UNREACHABLE),
    (".load", AssertionError, TrapKind.MEMORY_OUT_OF_BOUNDS),
    (".store", AssertionError, TrapKind.MEMORY_OUT_OF_BOUNDS),
    ("memory.", AssertionError, TrapKind.MEMORY_OUT_OF_BOUNDS),
    ("table.", AssertionError, TrapKind.TABLE_OUT_OF_BOUNDS),
    ("table.", IndexError, TrapKind.TABLE_OUT_OF_BOUNDS),
    (".div_", ZeroDivisionError, TrapKind.INTEGER_DIVIDE_BY_ZERO),
    (".rem_", ZeroDivisionError, TrapKind.INTEGER_DIVIDE_BY_ZERO),
    (".div_s", AssertionError, TrapKind.INTEGER_OVERFLOW),
    (".trunc_", OverflowError, TrapKind.INTEGER_OVERFLOW),
    (".trunc_", ValueError, TrapKind.INVALID_CONVERSION_TO_INTEGER),
)


class Machine(core.Machine):  # type: ignore[misc]
    """Runs one instance."""

    def __init__(self) -> None:
        super().__init__()
        self._deadline = math.inf

    def stop_after(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Start with an empty stack; what goes wrong is a trap, or the engine's fault."""
        self.stack = core.Stack()
        try:
            yield
        except Trap:
            raise
        except Exception as error:
            name = self._operator()
            for part, exception, kind in _TRAPS:
                if part in name and isinstance(error, exception):
                    raise Trap(kind, str(error) or None) from error
            cause = f"{type(error).__name__}: {error}, at {name or 'no operator'}"
            raise EngineFault("pywasm failed", detail=cause) from error

    def _operator(self) -> str:
        """The name of the operator that ran last."""
        if not self.stack.label:
            return ""
        label = self.stack.label[-1]
        return str(opcode.name[label.instr[label.index - 1].opcode])

    def add_operators(self, instance: core.ModuleInst, operators: Sequence[Operator]) -> None:
        """Add functions behind those of the instance, which work on the machine's stack."""
        nothing = core.FuncType([], [])
        for operator in operators:

            def code(*_: object, operator: Operator = operator) -> list[object]:
                operator.run(self, *operator.immediates)
                return []

            address = self.store.allocate_func_host(core.FuncHost(nothing, code))
            instance.func.append(address)

    def host_function(self, type: core.FuncType, function: HostFunction) -> core.Extern:
        """A function of the host, to be imported."""
        masks = [(1 << _BITS[kind]) - 1 for kind in function.type.params]

        def code(_: object, values: list[int]) -> list[int]:
            result = function.call(*(value & mask for value, mask in zip(values, masks)))  # noqa: B905
            if result is None:
                return []
            bits = _BITS[function.type.results[0]]
            return [result - (1 << bits) if result >> (bits - 1) else result]

        return core.Extern(0x00, self.store.allocate_func_host(core.FuncHost(type, code)))

    def invocate(self, addr: int, args: list[core.ValInst]) -> list[core.ValInst]:
        """As pywasm does it, also for a function that the module imports and exports."""
        function = self.store.func[addr]
        if not isinstance(function, core.FuncHost):
            found: list[core.ValInst] = super().invocate(addr, args)
            return found
        self.stack.value += args
        super().evaluate_call(addr)
        results, self.stack.value[:] = self.stack.value[:], []
        return results

    @property
    def module(self) -> core.ModuleInst:
        """The instance whose code runs."""
        return self.stack.frame[-1].module

    def evaluate_call(self, addr: int) -> None:
        """As pywasm does it, without its limit of 1,024 frames: the host limits the stack."""
        self._check_clock()
        function = self.store.func[addr]
        if isinstance(function, core.FuncHost):
            super().evaluate_call(addr)
            return
        stack = self.stack
        bottom = len(stack.value) - len(function.type.args)
        values = stack.value[bottom:]
        del stack.value[bottom:]
        for local in function.code.locals:
            values += [core.ValInst.zero(local.type) for _ in range(local.n)]
        results = len(function.type.rets)
        body = function.code.expr.data
        depth = len(stack.frame)
        stack.frame.append(
            core.Frame(function.module, core.LocalsInst(values), results, len(stack.label), bottom)
        )
        stack.label.append(core.Label(results, depth, bottom, 3, body, 0))

    def evaluate_br(self, l: int) -> None:  # noqa: E741 - as pywasm calls it
        # Code without end comes by here or by a call again and again.
        self._check_clock()
        super().evaluate_br(l)

    def _check_clock(self) -> None:
        if time.monotonic() > self._deadline:
            raise Trap(TrapKind.INTERRUPTED)
