"""Between a guest and the functions of the host that it imports, on any engine."""

from __future__ import annotations

from functools import partial
from time import monotonic

from sen_host.abi import INSTANTIATION, Guest, instantiation_fault
from sen_host.backend import Binding, FuncType, HostFunction, Import, Instance, Module, Trap
from sen_host.errors import (
    FunctionCall,
    Instantiation,
    PluginFault,
    SenHostError,
    TrapKind,
)
from sen_host.host_functions import GuestExit, HostFunctions, MemoryRange
from sen_host.imports import check_imports
from sen_host.limits import Limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeVar

    T = TypeVar("T")

_BITS = {"i32": 32, "i64": 64}


class HostCalls:
    """The host functions of one instance, as its engine calls them.

    Attributes:
        imports: one for each import of the module.
        failure: what a host function raised, which has ended the guest.
    """

    def __init__(self, functions: HostFunctions, imports: Sequence[Import]) -> None:
        self.functions = functions
        self.failure: BaseException | None = None
        self._memory = _Memory()
        self._deadline: float | None = None
        made: dict[tuple[str, str], Callable[..., int | None]] = {}
        for item in imports:
            if (item.module, item.name) not in made:
                made[item.module, item.name] = self._callable(item)
        self.imports = tuple(HostFunction(*item, made[item.module, item.name]) for item in imports)

    def _callable(self, item: Import) -> Callable[..., int | None]:
        functions, memory = self.functions, self._memory
        module, name, type = item
        bits = _BITS[type.results[0]] if type.results else 0
        low, high, mask = -(1 << bits >> 1), 1 << bits, (1 << bits) - 1

        def call(*arguments: int) -> int | None:
            if self.failure is None:  # an engine that goes on with an ended guest
                try:
                    memory.known_bytes = None
                    result = functions.call(module, name, memory, arguments)
                    if bits:
                        if not isinstance(result, int) or not low <= result < high:
                            raise _wrong_result(item, result)
                        result &= mask
                    elif result is not None:
                        raise _wrong_result(item, result)
                except BaseException as error:
                    self.failure = error
                else:
                    if self._deadline is None or monotonic() < self._deadline:
                        return result
                    raise Trap(TrapKind.INTERRUPTED)
            ended = isinstance(self.failure, GuestExit)
            raise Trap(
                TrapKind.EXIT if ended else TrapKind.UNKNOWN, f"ended by {module[:80]}.{name[:80]}"
            )

        return call

    def bind(self, instance: Instance) -> None:
        """Give the functions the memory of the instance that calls them."""
        self._memory.instance = instance

    def enter(self, seconds: float | None) -> None:
        """An entry of the guest begins, with that much time."""
        self.failure = None
        self._deadline = None if seconds is None else monotonic() + seconds

    def close(self) -> None:
        """The instance is gone."""
        self._memory.instance = None
        self.functions.close()


def _wrong_result(item: Import, result: object) -> TypeError:
    return TypeError(
        f"the host function {item.module}.{item.name} returned {result!r:.80}, its type is"
        f" {item.type}"
    )


def _exited(fault: BaseException, function: str, code: int) -> PluginFault:
    """The error for a guest that a host function has ended."""
    if function == INSTANTIATION:
        return Instantiation(
            f"the plugin exited with code {code} while it was instantiated", trap=TrapKind.EXIT
        )
    if isinstance(fault, FunctionCall):
        function = fault.function
    return FunctionCall(function, TrapKind.EXIT, exit_code=code)


class _Memory:
    """The memory of an instance, with its bounds. It does not grow within a call."""

    def __init__(self) -> None:
        self.instance: Instance | None = None
        self.known_bytes: int | None = None

    def size(self) -> int:
        if self.known_bytes is None:
            self.known_bytes = self._instance().memory_size()
        return self.known_bytes

    def read(self, offset: int, length: int) -> bytes:
        self._check(offset, length)
        return self._instance().read(offset, length)

    def write(self, offset: int, data: bytes) -> None:
        self._check(offset, len(data))
        self._instance().write(offset, data)

    def _check(self, offset: int, length: int) -> None:
        memory_bytes = self.size()
        if offset < 0 or length < 0 or offset + length > memory_bytes:
            raise MemoryRange(offset, length, memory_bytes)

    def _instance(self) -> Instance:
        if self.instance is None:
            raise RuntimeError("the guest is gone")
        return self.instance


def serve(
    module: Module,
    imports: Sequence[Import],
    make: Callable[[], HostFunctions] | None,
    binding: Binding,
    limits: Limits,
    *,
    has_resume: bool,
) -> ServedGuest:
    """A fresh instance of a module that imports functions, with functions of its own.

    Args:
        make: makes them; None if none are offered.

    Raises:
        ImportNotGranted: they are not what the module imports.
        Instantiation: a segment is out of bounds.
        Others as ``make``.
    """
    if make is None:
        check_imports(imports, None, binding)
    assert make is not None
    functions = make()
    try:
        check_imports(imports, functions.types, binding)
        calls = HostCalls(functions, imports)
        try:
            instance = module.instantiate_with(calls.imports)
        except Trap as trap:
            raise instantiation_fault(trap, limits) from trap
        return ServedGuest(instance, limits, has_resume=has_resume, calls=calls)
    except BaseException:
        functions.close()
        raise


class ServedGuest(Guest):
    """A guest that imports functions of the host."""

    def __init__(
        self, instance: Instance, limits: Limits, *, has_resume: bool, calls: HostCalls
    ) -> None:
        super().__init__(instance, limits, has_resume=has_resume)
        self._calls = calls
        self._seconds = limits.wall_clock_seconds
        calls.bind(instance)
        self.args: Sequence[str] = ()
        """The arguments of the next ``plugin_execute``, as the functions are told."""

    @property
    def functions(self) -> HostFunctions:
        """What it imports."""
        return self._calls.functions

    def start(self) -> None:
        self._served(INSTANTIATION, (), super().start)

    def call(
        self,
        function: str,
        type: FuncType,
        arguments: Sequence[int] = (),
        *,
        fuel: int | None = None,
        stack: int | None = None,
    ) -> int | None:
        enter = partial(super().call, function, type, arguments, fuel=fuel, stack=stack)
        return self._served(function, (), enter)

    def exchange(self, function: str, prefix: tuple[int, ...], payload: bytes | None) -> bytes:
        args, self.args = self.args, ()
        enter = partial(super().exchange, function, prefix, payload)
        return self._served(function, args, enter)

    def _served(self, function: str, args: Sequence[str], enter: Callable[[], T]) -> T:
        """Enter the guest. Where a host function ended it, that is what is raised."""
        calls = self._calls
        calls.enter(self._seconds)
        result: T
        fault: SenHostError | None = None
        try:
            calls.functions.begin(function, args)
            try:
                result = enter()
            except SenHostError as error:
                fault = error
            finally:
                calls.functions.end()
        except BaseException:
            self.alive = False
            raise
        failure = calls.failure
        try:
            if failure is not None:
                self.alive = False
                if not isinstance(failure, GuestExit):
                    raise failure
                if fault is not None:
                    raise _exited(fault, function, failure.code) from failure
            elif fault is not None:
                raise fault
            return result
        finally:
            # Their tracebacks hold this frame, which holds the instance.
            calls.failure = None
            del failure, fault

    def close(self) -> None:
        try:
            super().close()
        finally:
            self._calls.close()
