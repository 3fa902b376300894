"""Faults in the life of modules and instances, and in threads and time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from time import monotonic
from typing import ClassVar

from sen_host import backend as contract
from sen_host.abi import FUNCTIONS, MANIFEST, enter
from sen_host.backend import COUNTER_MAX, START, FuncType, Trap
from sen_host.errors import EngineFault, TrapKind, WrongThread
from sen_host.limits import MIB, Limits
from tests.broken.base import PlainBackend, PlainInstance, PlainModule
from tests.broken.traps import renaming


class InstanceUsedAgain(PlainBackend):
    """A module gives out the same instance again, also after a trap."""

    area, says = "lifecycle", r"^(result|returns|fuel_used): "

    class Module(PlainModule):
        only: contract.Instance | None = None

        def instantiate(self) -> contract.Instance:
            if self.only is None:
                self.only = self.inner.instantiate()
            return self.wrap(self.only)

    class Instance(PlainInstance):
        def close(self) -> None:
            """It is to be used again."""


class GlobalsUsedAgain(InstanceUsedAgain):
    """What a call has set, a fresh instance finds."""

    area, says = "globals", r"^returns: "


class ManifestAskedByEach(PlainBackend):
    """Each instance is asked for its manifest as soon as it is made."""

    area, says = "api-version", r"^(result|outcome|fuel_used): "

    class Instance(PlainInstance):
        def __init__(self, module: PlainModule, inner: contract.Instance) -> None:
            super().__init__(module, inner)
            enter(self, MANIFEST, FUNCTIONS[MANIFEST], fuel=COUNTER_MAX, stack=MIB)


class InstanceShared(PlainBackend):
    """Plugins of the same bytes share one instance."""

    area, says = "lifecycle", r"^instance \d+: "
    modules: ClassVar[dict[bytes, contract.Module]] = {}
    instances: ClassVar[dict[contract.Module, contract.Instance]] = {}

    def compile(self, wasm: bytes, limits: Limits) -> contract.Module:
        if wasm not in self.modules:
            self.modules[wasm] = self.inner.compile(wasm, limits)
        return self.Module(self, self.modules[wasm])

    class Module(PlainModule):
        def instantiate(self) -> contract.Instance:
            instances = InstanceShared.instances
            if self.inner not in instances:
                instances[self.inner] = self.inner.instantiate()
            return self.wrap(instances[self.inner])

        def close(self) -> None:
            """It is to be used again."""

    class Instance(PlainInstance):
        def close(self) -> None:
            """It is to be used again."""


class LatestInstanceIsRead(PlainBackend):
    """Messages are read from the memory of the instance that was made last."""

    area, says = "lifecycle", r"^instance \d+: |^(result|bytes|outcome): "
    latest: ClassVar[contract.Instance]

    class Module(PlainModule):
        def instantiate(self) -> contract.Instance:
            LatestInstanceIsRead.latest = self.inner.instantiate()
            return self.wrap(LatestInstanceIsRead.latest)

    class Instance(PlainInstance):
        def read(self, offset: int, length: int) -> bytes:
            return LatestInstanceIsRead.latest.read(offset, length)

        def close(self) -> None:
            """It may be the latest."""


class FunctionsOfTheFirstInstance(PlainBackend):
    """Functions are looked up once for a module, so later instances call the first."""

    # The engine may well abort, because the first instance is gone.
    area, says = "lifecycle", r"^(result|returns|bytes|outcome): |played it died with signal 6"

    class Module(PlainModule):
        functions: dict[str, Callable[..., int | None]]

        def instantiate(self) -> contract.Instance:
            if not hasattr(self, "functions"):
                self.functions = {}
            return super().instantiate()

    class Instance(PlainInstance):
        def function(self, name: str, type: FuncType) -> Callable[..., int | None]:
            module = self.module
            assert isinstance(module, FunctionsOfTheFirstInstance.Module)
            return module.functions.setdefault(name, self.inner.function(name, type))

        def close(self) -> None:
            """Its functions are to be used again."""


class MemoryNotZeroed(PlainBackend):
    """A new instance finds in its memory what the one before left there."""

    area, says = "lifecycle", r"^(bytes|returns|result): "

    class Module(PlainModule):
        left = b""

        def instantiate(self) -> contract.Instance:
            inner = self.inner.instantiate()
            size = min(inner.memory_size(), MIB)
            used = len(inner.read(0, size).rstrip(b"\0"))
            inner.write(used, self.left[used:size])
            return self.wrap(inner)

    class Instance(PlainInstance):
        def close(self) -> None:
            assert isinstance(self.module, MemoryNotZeroed.Module)
            self.module.left = self.inner.read(0, min(self.inner.memory_size(), MIB))
            super().close()


class DataNotInitialisedAnew(PlainBackend):
    """Only the first instance of a module finds its data segments in memory."""

    area, says = "lifecycle", r"^(bytes|returns|result|outcome): "

    class Module(PlainModule):
        instances = 0

        def instantiate(self) -> contract.Instance:
            inner = self.inner.instantiate()
            self.instances += 1
            if self.instances > 1:
                inner.write(0, bytes(inner.memory_size()))
            return self.wrap(inner)


class ModuleClosedTooEarly(PlainBackend):
    """A module is gone with its first instance."""

    area, says = "lifecycle", r"^outcome: .* seen .*'EngineFault'"

    class Module(PlainModule):
        closed = False

        def instantiate(self) -> contract.Instance:
            if self.closed:
                raise EngineFault("the module is closed")
            return super().instantiate()

    class Instance(PlainInstance):
        def close(self) -> None:
            super().close()
            assert isinstance(self.module, ModuleClosedTooEarly.Module)
            self.module.closed = True


class CompiledByLength(PlainBackend):
    """Modules of one length are taken for the same."""

    area, says = "lifecycle", r"^(result|returns|bytes): "
    modules: ClassVar[dict[tuple[int, Limits], contract.Module]] = {}

    def compile(self, wasm: bytes, limits: Limits) -> contract.Module:
        key = len(wasm), limits
        if key not in self.modules:
            self.modules[key] = self.inner.compile(wasm, limits)
        return self.Module(self, self.modules[key])

    class Module(PlainModule):
        def close(self) -> None:
            """It is to be used again."""


class StartNotCalled(PlainBackend):
    """The start function is left out."""

    area, says = "start", r"^(outcome|bytes|returns|result): "

    class Instance(PlainInstance):
        def call(self, name: str, type: FuncType, *arguments: int) -> int | None:
            return None if name == START else super().call(name, type, *arguments)


class StartCalledTwice(PlainBackend):
    """The start function is called by the engine as well."""

    area, says = "start", r"^(bytes|returns|result): "

    class Instance(PlainInstance):
        def call(self, name: str, type: FuncType, *arguments: int) -> int | None:
            if name == START:
                super().call(name, type, *arguments)
            return super().call(name, type, *arguments)


class OwnThreadOnly(PlainBackend):
    """An instance works only in the thread that made it, which the binding does not declare."""

    area, says = "threads", r"^outcome: .* seen .*'WrongThread'"

    class Instance(PlainInstance):
        thread: int | None = None

        def set_global(self, name: str, value: int) -> None:
            if self.thread is None:
                self.thread = threading.get_ident()
            if self.thread != threading.get_ident():
                raise WrongThread("the engine is bound to its thread")
            super().set_global(name, value)


class OneCallAtATime(PlainBackend):
    """A call is refused while another instance is in one."""

    area, says = "threads", r"EngineFault"

    class Instance(PlainInstance):
        busy = threading.Lock()

        def call(self, name: str, type: FuncType, *arguments: int) -> int | None:
            if not self.busy.acquire(blocking=False):
                raise EngineFault("another call is running")
            try:
                time.sleep(0.02)
                return super().call(name, type, *arguments)
            finally:
                self.busy.release()


class ResultOfAnotherThread(PlainBackend):
    """A thread that did not make the instance gets nothing back."""

    area, says = "threads", r"^(outcome|result|returns): "

    class Instance(PlainInstance):
        def __init__(self, module: PlainModule, inner: contract.Instance) -> None:
            super().__init__(module, inner)
            self.results = threading.local()
            self.results.there = True

        def call(self, name: str, type: FuncType, *arguments: int) -> int | None:
            result = super().call(name, type, *arguments)
            return result if hasattr(self.results, "there") or result is None else 0


class DeadlineIgnored(PlainBackend):
    """A guest is never stopped, although the binding does not lack a wall clock."""

    area, says = "wall-clock", r"^there was no end to it within 4 s$"
    seconds = 4

    def compile(self, wasm: bytes, limits: Limits) -> contract.Module:
        endless = Limits(
            memory_bytes=limits.memory_bytes,
            table_elements=limits.table_elements,
            stack_bytes=limits.stack_bytes,
        )
        return super().compile(wasm, endless)


class DeadlineNotSetAnew(PlainBackend):
    """The time runs from the first call on, for all calls of a plugin together."""

    area, says = "wall-clock", r"^outcome: .* seen .*'WallClockExceeded'"

    class Module(PlainModule):
        ends: float | None = None

    class Instance(PlainInstance):
        def set_deadline(self, seconds: float) -> None:
            assert isinstance(self.module, DeadlineNotSetAnew.Module)
            if self.module.ends is None:
                self.module.ends = monotonic() + seconds
            super().set_deadline(seconds)

        def call(self, name: str, type: FuncType, *arguments: int) -> int | None:
            assert isinstance(self.module, DeadlineNotSetAnew.Module)
            if self.module.ends is not None and monotonic() > self.module.ends:
                raise Trap(TrapKind.INTERRUPTED)
            return super().call(name, type, *arguments)


class InterruptIsUnknown(PlainBackend):
    """That a guest was stopped is a trap like others."""

    area, says = "wall-clock", r"^raises.error: expected 'WallClockExceeded', seen 'FunctionCall'$"
    Instance = renaming({TrapKind.INTERRUPTED: TrapKind.UNKNOWN})
