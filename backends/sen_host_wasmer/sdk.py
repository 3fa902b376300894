"""The binding ``sdk``: Wasmer 7 through ``wasmer-sdk``.

It runs in a worker process that ends with ``os._exit``: guests cannot be
stopped, and the interpreter may abort on an ordinary exit. A plugin runs as a
command with a shim attached, see :mod:`sen_host_wasmer.shim`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import Struct
from typing import NoReturn

from sen_host.backend import (
    ALLOC,
    DEALLOC,
    FUEL,
    STACK,
    Backend,
    Binding,
    CompositeInstance,
    Exchanged,
    FuncType,
    HostFunction,
    Instance,
    Module,
    Trap,
)
from sen_host.errors import EngineFault, FunctionNotFound, ModuleCompilation
from sen_host.limits import Limits
from sen_host.wasm.reader import parse
from sen_host_wasmer.driver import Command, Engine, Process, SdkError
from sen_host_wasmer.protocol import (
    PAGE_BYTES,
    REPLY_BYTES,
    Operation,
    Reply,
    Status,
    parse_reply,
    request,
)
from sen_host_wasmer.shim import Shim, attach
from sen_host_wasmer.traps import callee, first_line, parse_trap
from sen_host_wasmer.validation import COMPILATION, compilation_reason, poison

_MASKS = {"i32": 0xFFFF_FFFF, "i64": 0xFFFF_FFFF_FFFF_FFFF}

_INSTANTIATION = "Failed to create the instance - "
_EXECUTION = "command execution failed: "


class SdkBackend(Backend):
    """Wasmer 7 in the worker process that this code runs in."""

    name = "wasmer"

    def __init__(self, binding: Binding) -> None:
        super().__init__(binding)
        self._engine = Engine()

    @classmethod
    def bindings(cls) -> tuple[Binding, ...]:
        from sen_host_wasmer.bindings import sdk_binding

        return (sdk_binding(),)

    def validate(self, wasm: bytes) -> None:
        poisoned = poison(parse(wasm))
        command = self._load(poisoned.wasm)
        try:
            command.spawn()
        except SdkError as error:
            fault = poisoned.fault(error.text)
            if fault is not None:
                raise fault from error
            return
        finally:
            command.close()
        raise EngineFault("Wasmer accepted a module that was made invalid")

    def compile(self, wasm: bytes, limits: Limits) -> Module:  # noqa: ARG002 - it has none of its own
        shim = attach(parse(wasm))
        command = self._load(shim.wasm)
        try:
            return SdkModule(command, shim)
        except BaseException:
            command.close()
            raise

    def _load(self, wasm: bytes) -> Command:
        try:
            return self._engine.load(wasm)
        except SdkError as error:
            raise EngineFault("Wasmer failed", detail=first_line(error.text)) from error


class SdkModule(Module):
    """A command with a shim. The engine compiles it with the first guest."""

    def __init__(self, command: Command, shim: Shim) -> None:
        """Compile it.

        Raises:
            ModuleCompilation: the module is invalid.
        """
        self._command = command
        self._shim = shim
        self._first: Process | Trap | None
        try:
            self._first = self._spawn()
        except Trap as trap:
            self._first = trap

    def _spawn(self) -> Process:
        try:
            return self._command.spawn()
        except SdkError as error:
            failure = _spawn_failure(error)
        raise failure

    def instantiate(self) -> Instance:
        return self.instantiate_with(())

    def instantiate_with(self, imports: Sequence[HostFunction]) -> Instance:
        process, self._first = self._first, None
        if isinstance(process, Trap):
            raise process
        return SdkInstance(process or self._spawn(), self._shim, imports)

    def close(self) -> None:
        if isinstance(self._first, Process):
            self._first.end()
        self._command.close()


class SdkInstance(CompositeInstance):
    """A guest that serves requests. A trap ends it."""

    def __init__(self, process: Process, shim: Shim, imports: Sequence[HostFunction]) -> None:
        """Wait until it runs."""
        self._process = process
        self._imports = [
            (item.call, Struct(f"<{len(item.type.params)}Q").unpack) for item in imports
        ]
        self._shim = shim
        self._pages = 0
        # The number of the function that a guest was in when it told of its end.
        self._called: int | None = None
        self._functions: dict[str, Callable[..., int | None]] = {}
        # Set for the next call, and told after it.
        self._globals: dict[str, int | None] = {FUEL: 0, STACK: 0}
        ready = self._take()
        if ready.status != Status.READY:
            raise EngineFault(f"the guest greeted with status {ready.status}")

    def function(self, name: str, type: FuncType) -> Callable[..., int | None]:
        found = self._functions.get(name)
        if found is None:
            number = self._number(name)
            mask = _MASKS[type.results[0]] if type.results else None

            def call(*arguments: int) -> int | None:
                if len(arguments) != count:
                    raise TypeError(f"{name} takes {count} arguments, not {len(arguments)}")
                asked = request(
                    Operation.CALL,
                    number,
                    arguments,
                    fuel=self._globals[FUEL] or 0,
                    stack=self._globals[STACK] or 0,
                )
                self._forget_globals()
                reply = self._ask(asked)
                while reply.status == Status.UPCALL:
                    reply = self._serve(reply)
                self._note_globals(reply)
                return None if mask is None else reply.result & mask

            count = len(type.params)
            found = self._functions[name] = call
        return found

    def memory_size(self) -> int:
        # Only a call can grow the memory, and each reply tells its size.
        return self._pages * PAGE_BYTES

    def read(self, offset: int, length: int) -> bytes:
        reply = self._ask(request(Operation.READ, arguments=(offset, length)))
        return self._data(reply)

    def write(self, offset: int, data: bytes) -> None:
        self._ask(request(Operation.WRITE, arguments=(offset,), payload=data))

    def get_global(self, name: str) -> int | None:
        return self._globals[name]

    def set_global(self, name: str, value: int) -> None:
        self._globals[name] = value

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
        if self._imports:
            # What the guest is told while it calls up would come behind the payload.
            return None
        if seconds is not None:
            raise NotImplementedError("the binding lacks a wall clock")
        if payload is not None and len(prefix) > 1:
            raise NotImplementedError("at most one argument stands in front of a payload")
        asked = request(
            Operation.EXCHANGE,
            self._number(function),
            prefix,
            alloc=self._number(ALLOC),
            dealloc=self._number(DEALLOC),
            payload=payload,
            result_bytes=result_bytes,
            fuel=fuel,
            stack=stack,
        )
        self._forget_globals()
        self._called = None
        try:
            reply = self._reply(self._process.ask(asked, REPLY_BYTES))
            data = self._data(reply) if reply.status == Status.OK else None
        except EOFError:
            self._fail(function, allocates=payload is not None)
        memory_bytes = self.memory_size()
        if reply.status == Status.NOT_CALLED:
            return Exchanged(reply.pointer, None, memory_bytes, None, reply.fuel)
        free_trap = None
        self._forget_globals()
        try:
            self._note_globals(self._take())
        except Trap as trap:
            trap.function = DEALLOC
            free_trap = trap
        return Exchanged(reply.pointer, reply.result, memory_bytes, data, reply.fuel, free_trap)

    def close(self) -> None:
        self._functions.clear()
        self._process.end()

    def _number(self, name: str) -> int:
        number = self._shim.functions.get(name)
        if number is None:
            raise FunctionNotFound(name)
        return number

    def _ask(self, asked: bytes) -> Reply:
        try:
            reply = self._reply(self._process.ask(asked, REPLY_BYTES))
        except EOFError:
            self._fail()
        if reply.status == Status.REFUSED:
            raise EngineFault("the guest refused an access that is out of bounds of its memory")
        return reply

    def _serve(self, reply: Reply) -> Reply:
        """Do what the guest calls up for; its next reply."""
        call, unpack = self._imports[reply.result]
        try:
            result = call(*unpack(self._data(reply)))
        except BaseException as error:
            raised = error
        else:
            return self._ask(request(Operation.RETURN, arguments=(result or 0,)))
        try:
            self._ask(request(Operation.STOP))
        except Trap as trap:
            if not isinstance(raised, Trap):
                raise raised from trap
            raised.fuel_left, raised.stack_left = trap.fuel_left, trap.stack_left
            raise raised from None
        finally:
            # Its traceback holds this frame, which holds the instance.
            del raised
        raise EngineFault("the guest went on although it was stopped")

    def _take(self) -> Reply:
        """A reply that comes without a request."""
        try:
            return self._reply(self._process.read(REPLY_BYTES))
        except EOFError:
            self._fail()

    def _reply(self, head: bytes) -> Reply:
        reply = parse_reply(head)
        if reply.status == Status.EXHAUSTED:
            self._note_globals(reply)
            self._called = reply.pointer
            raise EOFError
        self._pages = reply.pages
        return reply

    def _note_globals(self, reply: Reply) -> None:
        self._globals = {FUEL: reply.fuel, STACK: reply.stack}

    def _forget_globals(self) -> None:
        """A guest that traps takes them along, unless it tells them first."""
        self._globals = {FUEL: None, STACK: None}

    def _data(self, reply: Reply) -> bytes:
        return self._process.read(reply.length) if reply.length else b""

    def _fail(self, function: str | None = None, *, allocates: bool = False) -> NoReturn:
        """Raise what ended the guest, in ``function`` or, if it ``allocates``, before that."""
        try:
            self._process.wait()
        except SdkError as error:
            trap = parse_trap(error.text.removeprefix(_EXECUTION))
            if trap is None:
                raise EngineFault("Wasmer failed", detail=first_line(error.text)) from error
            in_alloc = allocates and self._was_in(ALLOC, error.text)
            trap.function = ALLOC if in_alloc else function
            trap.fuel_left, trap.stack_left = self._globals[FUEL], self._globals[STACK]
            raise trap from error
        raise EngineFault("the guest ended without a trap")

    def _was_in(self, function: str, text: str) -> bool:
        """Whether a guest that ended with that text was in that function of an exchange."""
        if self._called is not None:
            return self._called == self._shim.functions[function]
        return callee(text, self._shim.caller) == self._shim.indices[function]


def _spawn_failure(error: SdkError) -> Exception:
    """What it means that a command could not be started."""
    _, found, text = error.text.partition(_INSTANTIATION)
    trap = parse_trap(text) if found else None
    failure: Exception
    if trap is not None:
        failure = trap
    elif COMPILATION in error.text:
        failure = ModuleCompilation(detail=compilation_reason(error.text))
    else:
        failure = EngineFault("Wasmer failed", detail=first_line(error.text))
    failure.__cause__ = error
    return failure
