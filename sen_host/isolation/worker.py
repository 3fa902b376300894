"""The worker process: one engine, one module, one thread that makes all engine calls.

It is started by :mod:`sen_host.isolation.connection` and serves the protocol of
:mod:`sen_host.isolation.frames` until its host is gone. It always leaves with
``os._exit``, because engines are known to abort in the interpreter's shutdown.
"""

from __future__ import annotations

import _thread
import os
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any, NoReturn

from sen_host.backend import (
    Backend,
    Binding,
    Capability,
    CompositeInstance,
    FuncType,
    HostFunction,
    Instance,
    Lack,
    Module,
    Trap,
)
from sen_host.errors import (
    BackendUnavailable,
    EngineCreation,
    EngineFault,
    SenHostError,
    TrapKind,
)
from sen_host.isolation import frames
from sen_host.limits import Limits

_STDERR_BYTES = 64 * 1024
_STDERR_TAIL_BYTES = 4 * 1024


def main(requests: int, replies: int, lifeline: int) -> NoReturn:
    """Serve until the host hangs up; the arguments are file descriptors."""
    status = 1
    try:
        for fd in (requests, replies, lifeline):
            os.set_inheritable(fd, False)
        Lifeline(lifeline)
        _serve(requests, replies)
        status = 0
    except BaseException:
        # Fd 2 is a file of the host, which shows its end in the error.
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)


def _serve(requests: int, replies: int) -> None:
    def receive() -> tuple[Any, ...]:
        return frames.decode_request(frames.receive(requests, None))

    def send(reply: bytes) -> None:
        frame = memoryview(reply)
        while frame:
            frame = frame[os.write(replies, frame) :]
        _trim_stderr()

    def call_up(message: bytes) -> tuple[Any, ...]:
        send(message)
        try:
            return receive()
        except frames.HangUp:
            os._exit(0)  # The frames of a guest are in the way of an exception.

    server = Server(call_up)
    while server.running:
        try:
            request = receive()
        except frames.HangUp:
            return
        send(server.answer(request))


def _trim_stderr() -> None:
    """Keep the file behind fd 2 small; it is open for appending."""
    if os.lseek(2, 0, os.SEEK_CUR) > _STDERR_BYTES:
        size = os.fstat(2).st_size
        tail = os.pread(2, _STDERR_TAIL_BYTES, max(0, size - _STDERR_TAIL_BYTES))
        os.ftruncate(2, 0)
        os.write(2, tail)


class Lifeline:
    """Ends the worker when its host is gone.

    A thread waits for the hang-up. An engine may hold the interpreter's lock for
    as long as it compiles or a guest runs, and then no thread gets a turn: so
    the kernel, where it can, is told to kill the worker by itself.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        if sys.platform == "linux":
            self._arm()
        _thread.start_new_thread(self._watch, ())

    def _watch(self) -> None:
        os.read(self._fd, 1)
        os._exit(0)

    def _arm(self) -> None:
        """Let the kernel kill the worker at the hang-up."""
        import fcntl
        from signal import SIGKILL

        fcntl.fcntl(self._fd, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(self._fd, fcntl.F_SETSIG, SIGKILL)
        flags = fcntl.fcntl(self._fd, fcntl.F_GETFL)
        fcntl.fcntl(self._fd, fcntl.F_SETFL, flags | os.O_ASYNC)


class Server:
    """Answers requests on a backend, which the first of them names."""

    def __init__(self, call_up: Callable[[bytes], tuple[Any, ...]]) -> None:
        """``call_up`` sends what a guest wants, and returns the next request."""
        self.running = True
        self._call_up = call_up
        self._backend: Backend
        self._module: Module | None = None
        self._instances: dict[int, Instance] = {}
        self._last_instance = 0
        self._operations: dict[int, Callable[..., object]] = {
            frames.START: self._start,
            frames.VALIDATE: self._validate,
            frames.COMPILE: self._compile,
            frames.INSTANTIATE: self._instantiate,
            frames.CALL: self._call,
            frames.EXCHANGE: self._exchange,
            frames.MEMORY_SIZE: lambda key: self._instances[key].memory_size(),
            frames.READ: lambda key, offset, length: self._instances[key].read(offset, length),
            frames.WRITE: lambda key, offset, data: self._instances[key].write(offset, data),
            frames.SET_GLOBAL: lambda key, *item: self._instances[key].set_global(*item),
            frames.GET_GLOBAL: lambda key, name: self._instances[key].get_global(name),
            frames.SET_DEADLINE: lambda key, seconds: self._instances[key].set_deadline(seconds),
            frames.FREE: self._free,
            frames.END: self._end,
            frames.SERIALIZE: self._serialize,
            frames.DESERIALIZE: self._deserialize,
        }

    def answer(self, request: tuple[Any, ...]) -> bytes:
        """The frame that answers ``request``."""
        try:
            value = self._operations[request[0]](*request[1:])
            return frames.encode((frames.DONE, value))
        except Trap as trap:
            return frames.encode((frames.TRAP, *frames.encode_trap(trap)))
        except BaseException as error:  # native bindings raise theirs, e.g. for a panic
            return _encode_fault(error)

    def _start(self, protocol: int, target: str, fields: dict[str, Any]) -> int:
        if protocol == frames.PROTOCOL:
            lacks = tuple(
                Lack(Capability(capability), why, reason)
                for capability, why, reason in fields.pop("lacks")
            )
            binding = Binding(**fields, lacks=lacks)
            try:
                backend = _load(target)
            except BaseException as error:
                reason = f"{target!r} cannot be imported: {_describe(error)}"
                raise BackendUnavailable(binding.engine, reason, hint=binding.remedy) from error
            try:
                self._backend = backend(binding)
            except SenHostError:
                raise
            except BaseException as error:
                message = f"{binding.engine} could not be started"
                raise EngineCreation(message, detail=_describe(error)) from error
        return frames.PROTOCOL

    def _validate(self, wasm: bytes) -> None:
        self._backend.validate(wasm)

    def _compile(self, wasm: bytes, limits: dict[str, Any]) -> None:
        self._module = self._backend.compile(wasm, Limits(**limits))

    def _serialize(self, most_bytes: int) -> bytes | None:
        assert self._module is not None
        compiled = self._module.serialize()
        return None if compiled is None or len(compiled) > most_bytes else compiled

    def _deserialize(self, compiled: bytes, limits: dict[str, Any]) -> None:
        self._module = self._backend.deserialize(compiled, Limits(**limits))

    def _instantiate(
        self,
        unused: tuple[int, ...],
        imports: tuple[tuple[str, str, tuple[tuple[str, ...], tuple[str, ...]]], ...],
    ) -> int:
        self._free(unused)
        assert self._module is not None
        key = self._last_instance + 1
        if imports:
            functions = [
                HostFunction(module, name, FuncType(*type), partial(self._up, key, number))
                for number, (module, name, type) in enumerate(imports)
            ]
            instance = self._module.instantiate_with(functions)
        else:
            instance = self._module.instantiate()
        self._last_instance = key
        self._instances[key] = instance
        return key

    def _up(self, key: int, number: int, *arguments: int) -> int | None:
        """Have the host do what the guest calls."""
        memory_bytes = self._instances[key].memory_size()
        message = frames.encode((frames.UPCALL, key, number, arguments, memory_bytes))
        while True:
            operation, *values = request = self._call_up(message)
            if operation == frames.RETURN:
                result: int | None = values[0]
                return result
            if operation == frames.RAISE:
                raise Trap(TrapKind(values[0]), values[1])
            message = self.answer(request)

    def _call(
        self,
        key: int,
        name: str,
        params: tuple[str, ...],
        results: tuple[str, ...],
        arguments: tuple[int, ...],
    ) -> int | None:
        return self._instances[key].function(name, FuncType(params, results))(*arguments)

    def _exchange(
        self,
        key: int,
        function: str,
        prefix: tuple[int, ...],
        payload: bytes | None,
        result_bytes: int,
        fuel: int,
        stack: int,
        seconds: float | None,
    ) -> tuple[object, ...]:
        instance = self._instances[key]
        message = function, prefix, payload
        terms: dict[str, Any] = {
            "result_bytes": result_bytes,
            "fuel": fuel,
            "stack": stack,
            "seconds": seconds,
        }
        facts = None
        if isinstance(instance, CompositeInstance):
            facts = instance.exchange(*message, **terms)
        if facts is None:
            from sen_host import abi

            facts = abi.exchange(instance, *message, **terms)
        if facts.free_trap is None:
            return tuple(facts)
        return (*facts[:-1], frames.encode_trap(facts.free_trap))

    def _free(self, keys: tuple[int, ...]) -> None:
        for key in keys:
            self._instances.pop(key).close()

    def _end(self) -> None:
        self.running = False
        self._free(tuple(self._instances))
        if self._module is not None:
            self._module.close()


def _load(target: str) -> type[Backend]:
    module, _, path = target.partition(":")
    try:
        found: Any = import_module(module)
    except ModuleNotFoundError:
        # Some installations are reached only through import hooks, which the
        # site module sets up. It was left out because it is slow.
        import site

        site.main()
        found = import_module(module)
    for name in path.split("."):
        found = getattr(found, name)
    backend: type[Backend] = found
    return backend


# The module of faults is slow to import and seldom needed.


def _describe(error: BaseException) -> str:
    from sen_host.isolation.faults import describe

    return describe(error)


def _encode_fault(error: BaseException) -> bytes:
    from sen_host.isolation.faults import describe, encode_fault

    try:
        frame = frames.encode((frames.FAULT, *encode_fault(error)))
    except Exception:
        frame = b""
    if 0 < len(frame) <= frames.OVERHEAD_BYTES:
        return frame
    # An attribute that cannot cross, or too much of it.
    substitute = EngineFault("the engine failed", detail=describe(error))
    return frames.encode((frames.FAULT, *encode_fault(substitute)))
