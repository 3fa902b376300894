"""Any backend, run in worker processes: the backend contract over a connection."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from threading import Lock
from typing import Any, TypeVar

from sen_host.backend import (
    Backend,
    Binding,
    Capability,
    CompositeInstance,
    Exchanged,
    FuncType,
    HostFunction,
    Module,
    Trap,
)
from sen_host.errors import BackendUnavailable, TrapKind, WallClockExceeded, WorkerDied
from sen_host.forks import reset_after_fork
from sen_host.isolation import frames, replies
from sen_host.isolation.connection import Connection, Overrun, Serve
from sen_host.limits import MIB, Limits

T = TypeVar("T")

START_SECONDS = 30.0
"""How long the start of a worker may take, the import of its engine included."""

BACKSTOP_SECONDS = 1.0
"""How long after an engine's own deadline the worker is killed."""

VALIDATION_SECONDS = 60.0
"""How long a worker may take to validate a module, which has no limits yet."""

SERIALIZED_BYTES = 512 * MIB
"""A compiled module that has more stays in its worker."""


class ProcessBackend(Backend):
    """Runs another backend so that each compiled module has a worker process of its own.

    It can interrupt any guest, whether the other backend can or not: the worker
    is killed, and with it all instances of that module. Its ``binding`` is the
    other one's, with ``isolation`` "process".

    The next ``instantiate`` after a kill or a crash starts a new worker, and
    gives it the module, without further notice. All methods may raise
    WorkerDied, EngineCreation and BackendUnavailable.
    """

    def __init__(
        self, target: str, name: str, binding: Binding, *, start_seconds: float = START_SECONDS
    ) -> None:
        """Wrap a backend; starts nothing yet.

        Args:
            target: where its class is, as ``module:Class``. It is not imported
                into this process.
            name: the backend's name.
            binding: the binding to run it with.
            start_seconds: how long the start of a worker may take.

        Raises:
            BackendUnavailable: a worker cannot import the class.
        """
        super().__init__(binding.in_worker())
        self._inner = binding
        self.name = name  # type: ignore[misc]  # there are as many as there are others
        if target.startswith("__main__:") or "<locals>" in target:
            raise BackendUnavailable(
                name,
                f"a worker process cannot import {target!r}",
                hint="define the class at the top of a module that is not the program itself",
            )
        self._target = target
        self._start_seconds = start_seconds
        self.has_deadline = binding.has(Capability.WALL_CLOCK)
        """Whether the engine stops guests by itself; then the kill is only the backstop."""
        # A worker that has validated a module is kept for its compilation.
        self._spare: deque[Connection] = deque(maxlen=1)

    @property
    def home(self) -> str:
        return self._target

    @classmethod
    def bindings(cls) -> tuple[Binding, ...]:
        """None of its own: it runs the bindings of others."""
        return ()

    def validate(self, wasm: bytes) -> None:
        worker = self.worker()
        try:
            worker.request((frames.VALIDATE, wasm), replies.nothing, seconds=VALIDATION_SECONDS)
        finally:
            self._spare.append(worker)

    def compile(self, wasm: bytes, limits: Limits) -> ProcessModule:
        """Compile in a worker, within ``limits.wall_clock_seconds``.

        Raises:
            ModuleCompilation: the module is invalid.
            WallClockExceeded: the worker was killed while it compiled.
        """
        return self._module((frames.COMPILE, wasm), limits)

    def deserialize(self, compiled: bytes, limits: Limits) -> ProcessModule:
        """Deserialize in a worker; a new worker will do the same again.

        Raises:
            EngineFault: the engine refused.
            WallClockExceeded: the worker was killed while it was at it.
        """
        return self._module((frames.DESERIALIZE, compiled), limits)

    def _module(self, source: tuple[int, bytes], limits: Limits) -> ProcessModule:
        worker = self.worker()
        module = ProcessModule(self, source, limits)
        try:
            module.load_in(worker)
        except BaseException:
            self._spare.append(worker)
            raise
        return module

    def worker(self) -> Connection:
        """A worker that holds no module yet."""
        with suppress(IndexError):
            worker = self._spare.pop()
            if worker.is_alive():
                return worker
        return Connection(self._target, self._inner, start_seconds=self._start_seconds)


class ProcessModule(Module):
    """A module in a worker, or in the next one; ``instantiate`` is safe in any thread."""

    def __init__(self, backend: ProcessBackend, source: tuple[int, bytes], limits: Limits) -> None:
        """``source`` is the operation that gives a worker the module, and its bytes."""
        self._backend = backend
        self._source = source
        self._limits = limits
        self._lock = Lock()
        self._worker: Connection | None = None
        self._loading: Connection | None = None
        self._unused: deque[int] = deque()
        self._closed = False
        reset_after_fork(self)

    def load_in(self, worker: Connection) -> None:
        """Compile or deserialize the module in ``worker`` and use that from now on.

        Raises:
            ModuleCompilation, EngineFault: the engine refused it.
            WallClockExceeded: the worker was killed because it took too long.
            WorkerDied: the module was closed meanwhile, or the worker is gone.
        """
        limits, seconds = self._limits, self._limits.wall_clock_seconds
        if not self._backend.has_deadline:
            limits = replace(limits, wall_clock_seconds=None)
        message = *self._source, asdict(limits)
        # close() may run at any point of this, in another thread or in a signal
        # handler. It notes that first and looks for workers then; here the
        # worker is shown first and the note looked for then. So one sees the other.
        self._loading = worker
        try:
            if self._closed:
                worker.end()
                raise self._was_ended()
            worker.request(message, replies.nothing, seconds=seconds)
            self._worker, self._unused = worker, deque()
        except Overrun as overrun:
            assert seconds is not None
            raise WallClockExceeded("compilation", seconds=seconds) from overrun
        finally:
            self._loading = None

    def instantiate(self) -> ProcessInstance:
        return self.instantiate_with(())

    def instantiate_with(self, imports: Sequence[HostFunction]) -> ProcessInstance:
        with self._lock:
            if self._closed:
                raise self._was_ended()
            if self._worker is None or not self._worker.is_alive():
                self.load_in(self._backend.worker())
            worker, unused = self._worker, self._unused
        assert worker is not None
        keys = _drain(unused)
        key = _run_guest(
            worker,
            (frames.INSTANTIATE, keys, [item[:3] for item in imports]),
            replies.unsigned,
            seconds=self._limits.wall_clock_seconds,
            has_deadline=self._backend.has_deadline,
        )
        return ProcessInstance(
            worker, key, unused, imports, has_deadline=self._backend.has_deadline
        )

    def serialize(self) -> bytes | None:
        with self._lock:
            worker = self._worker
        assert worker is not None
        return worker.request(
            (frames.SERIALIZE, SERIALIZED_BYTES), replies.serialized, data_bytes=SERIALIZED_BYTES
        )

    def separate(self) -> ProcessModule:
        """The module in another worker, which its first instance starts."""
        return ProcessModule(self._backend, self._source, self._limits)

    def close(self) -> None:
        """End the worker, and one that is just being started. Safe in any thread."""
        self._closed = True
        for worker in (self._loading, self._worker):
            if worker is not None:
                worker.end()

    def _was_ended(self) -> WorkerDied:
        engine = self._backend.binding.engine
        return WorkerDied(f"the worker process of {engine} was ended: the module is closed")

    def after_fork(self) -> None:
        """In a fork of the host: another thread may have held the lock."""
        self._lock = Lock()


class ProcessInstance(CompositeInstance):
    """An instance in a worker; each method is one round trip.

    Where a call ran over its time, the worker was killed: the call raises
    Trap (INTERRUPTED), and all other calls to that worker WorkerDied. An exchange
    has one reply, so a kill while it frees loses its result and counts against
    the function; only an engine with a deadline of its own reports a free_trap.
    """

    _closed = True

    def __init__(
        self,
        worker: Connection,
        key: int,
        unused: deque[int],
        imports: Sequence[HostFunction] = (),
        *,
        has_deadline: bool,
    ) -> None:
        """``unused`` takes the keys of instances to be freed in the worker."""
        self._imports = imports
        self._serve = self._do if imports else None
        self._called_with_bytes: int | None = None
        self._worker = worker
        self._key = key
        self._unused = unused
        self._has_deadline = has_deadline
        self._deadline: float | None = None
        self._killed = False
        self._closed = False

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
        inner_seconds = seconds if self._has_deadline else None
        return _run_guest(
            self._worker,
            (
                frames.EXCHANGE,
                self._key,
                function,
                prefix,
                payload,
                result_bytes,
                fuel,
                stack,
                inner_seconds,
            ),
            partial(
                replies.exchanged,
                payload_bytes=None if payload is None else len(payload),
                result_bytes=result_bytes,
            ),
            function=function,
            data_bytes=result_bytes,
            seconds=seconds,
            has_deadline=self._has_deadline,
            serve=self._serve,
        )

    def _do(self, items: tuple[Any, ...]) -> tuple[object, ...]:
        """Call a function of the host, for the guest."""
        called, arguments, self._called_with_bytes = replies.upcall(items, self._key, self._imports)
        try:
            return frames.RETURN, called.call(*arguments)
        except Trap as trap:
            return frames.RAISE, trap.kind.value, frames.clip(trap.detail)
        finally:
            self._called_with_bytes = None

    def function(self, name: str, type: FuncType) -> Callable[..., int | None]:
        return partial(self._call, name, type)

    def _call(self, name: str, type: FuncType, *arguments: int) -> int | None:
        seconds = None
        if self._deadline is not None:
            seconds = max(0.0, self._deadline - time.monotonic())
        try:
            return _run_guest(
                self._worker,
                (frames.CALL, self._key, name, type.params, type.results, arguments),
                partial(replies.result, types=type.results),
                function=name,
                seconds=seconds,
                has_deadline=self._has_deadline,
                serve=self._serve,
            )
        except Trap as trap:
            self._killed = isinstance(trap.__cause__, Overrun)
            raise

    def memory_size(self) -> int:
        if self._called_with_bytes is not None:
            return self._called_with_bytes
        return self._worker.request((frames.MEMORY_SIZE, self._key), replies.memory_size)

    def read(self, offset: int, length: int) -> bytes:
        message = frames.READ, self._key, offset, length
        check = partial(replies.data, length=length)
        if self._called_with_bytes is not None:
            return self._worker.request_within(message, check, data_bytes=length)
        return self._worker.request(message, check, data_bytes=length)

    def write(self, offset: int, data: bytes) -> None:
        message = frames.WRITE, self._key, offset, data
        if self._called_with_bytes is not None:
            self._worker.request_within(message, replies.nothing)
        else:
            self._worker.request(message, replies.nothing)

    def get_global(self, name: str) -> int | None:
        if self._killed:
            return None
        return self._worker.request((frames.GET_GLOBAL, self._key, name), replies.counter)

    def set_global(self, name: str, value: int) -> None:
        self._worker.request((frames.SET_GLOBAL, self._key, name, value), replies.nothing)

    def set_deadline(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        if self._has_deadline:
            self._worker.request((frames.SET_DEADLINE, self._key, seconds), replies.nothing)

    def close(self) -> None:
        self._closed = True
        self._unused.append(self._key)
        keys = _drain(self._unused)
        try:
            if not self._worker.try_request((frames.FREE, keys)):
                self._unused.extend(keys)
        except WorkerDied:
            return  # and all that it held is gone with it

    def __del__(self) -> None:
        # Only a note: this may run in the middle of a round trip.
        if not self._closed:
            self._unused.append(self._key)


def _run_guest(
    worker: Connection,
    message: tuple[object, ...],
    check: Callable[[Any], T],
    *,
    seconds: float | None,
    has_deadline: bool,
    function: str | None = None,
    data_bytes: int = 0,
    serve: Serve | None = None,
) -> T:
    if seconds is not None and has_deadline:
        seconds += BACKSTOP_SECONDS
    try:
        return worker.request(message, check, data_bytes=data_bytes, seconds=seconds, serve=serve)
    except Overrun as overrun:
        raise Trap(TrapKind.INTERRUPTED, function=function) from overrun


def _drain(keys: deque[int]) -> tuple[int, ...]:
    drained: list[int] = []
    with suppress(IndexError):
        while True:
            drained.append(keys.popleft())
    return tuple(drained)
