"""The binding ``native``: the package ``wasmer``, in process.

It has no interrupt, and holds the interpreter's lock during a call. Its objects
work only in the thread that made them; in any other they raise a
``PanicException``, which is a BaseException. They may be freed in any thread,
except for the buffer of a memory: so none is kept.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from importlib import import_module
from os.path import dirname
from typing import Any

from sen_host.backend import Backend, Binding, FuncType, HostFunction, Instance, Module
from sen_host.errors import (
    BackendUnavailable,
    EngineCreation,
    EngineFault,
    FunctionNotFound,
    ModuleCompilation,
)
from sen_host.limits import Limits
from sen_host.thread_stack import HOST_BYTES, check_thread_stack
from sen_host.wasm.reader import check_header
from sen_host_wasmer.traps import first_line, parse_trap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sen_host_wasmer.native_imports import Raised, UpCalls

_MASKS = {"i32": 0xFFFF_FFFF, "i64": 0xFFFF_FFFF_FFFF_FFFF}

_WRITABLE = 0x200  # PyBUF_WRITE of CPython's buffer protocol
_memory_view_at = ctypes.PYFUNCTYPE(
    ctypes.py_object, ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int
)(("PyMemoryView_FromMemory", ctypes.pythonapi))

_HERE = dirname(__file__)

_KEPT_CHARACTERS = 4096
"""Of an engine's text; an exception with a longer one is not chained."""


class NativeBackend(Backend):
    """Wasmer with the Cranelift compiler."""

    name = "wasmer"

    def __init__(self, binding: Binding) -> None:
        super().__init__(binding)
        try:
            self._wasmer: Any = import_module("wasmer")
            self._compiler = import_module("wasmer_compiler_cranelift").Compiler
        except ImportError as error:
            raise BackendUnavailable(self.name, str(error)) from error

    @classmethod
    def bindings(cls) -> tuple[Binding, ...]:
        from sen_host_wasmer.bindings import native_binding

        return (native_binding(),)

    def _store(self) -> Any:
        try:
            return _checked(
                self._wasmer.Store, _checked(self._wasmer.engine.Universal, self._compiler)
            )
        except EngineFault as error:
            raise EngineCreation("Wasmer did not start", detail=error.detail) from error

    def validate(self, wasm: bytes) -> None:
        check_header(wasm)
        store = self._store()
        if not _checked(self._wasmer.Module.validate, store, wasm):
            # Only the compiler tells what is wrong.
            self._compile(store, wasm)
            raise ModuleCompilation

    def compile(self, wasm: bytes, limits: Limits) -> Module:
        check_header(wasm)
        # A store for each module: compiling many modules in one store leaks.
        from sen_host_wasmer.native_glue import attach

        store = self._store()
        module = self._compile(store, attach(wasm))
        return NativeModule(self._wasmer, store, module, limits.stack_bytes)

    def deserialize(self, compiled: bytes, limits: Limits) -> Module:
        store = self._store()
        module = _checked(self._wasmer.Module.deserialize, store, compiled)
        return NativeModule(self._wasmer, store, module, limits.stack_bytes)

    def _compile(self, store: Any, wasm: bytes) -> Any:
        try:
            return _checked(self._wasmer.Module, store, wasm)
        except EngineFault as error:
            # Also for a panic: the compiler has some for what it cannot do, such
            # as functions of very many parameters.
            cause = error.__cause__
            detail = error.detail if cause is None else first_line(str(cause))
            raise ModuleCompilation(detail=detail) from cause


class NativeModule(Module):
    def __init__(self, wasmer: Any, store: Any, module: Any, stack_bytes: int) -> None:
        self._wasmer = wasmer
        self._store = store
        self._module = module
        self._stack_bytes = stack_bytes

    def instantiate(self) -> Instance:
        from sen_host_wasmer.native_exchange import ExchangingInstance

        instance = _checked(self._wasmer.Instance, self._module)
        return ExchangingInstance(instance, self._stack_bytes)

    def instantiate_with(self, imports: Sequence[HostFunction]) -> Instance:
        from sen_host_wasmer.native_exchange import ExchangingInstance
        from sen_host_wasmer.native_imports import UpCalls

        up = UpCalls(self._wasmer, self._store, imports)
        instance = _checked(self._wasmer.Instance, self._module, up.given)
        # Host functions run where the guest's stack ends.
        return ExchangingInstance(instance, self._stack_bytes + HOST_BYTES, up)

    def serialize(self) -> bytes:
        data: bytes = _checked(self._module.serialize)
        return data

    def close(self) -> None:
        self._module = self._store = None


class NativeInstance(Instance):
    def __init__(self, instance: Any, stack_bytes: int, up: UpCalls | None = None) -> None:
        self._exports = instance.exports
        self._stack_bytes = stack_bytes
        self._memory = Memory(_checked(getattr, self._exports, "memory"))
        self._raised: Raised = [None]
        if up is not None:
            self._raised = up.raised
            up.memory = self._memory
        self._functions: dict[str, Callable[..., int | None]] = {}
        self._globals: dict[str, Any] = {}

    def function(self, name: str, type: FuncType) -> Callable[..., int | None]:
        found = self._functions.get(name)
        if found is None:
            found = self._functions[name] = _callable(
                name, self._export(name), type, self._memory, self._stack_bytes, self._raised
            )
        return found

    def _export(self, name: str) -> Any:
        found = self._find(name)
        if found is None:
            raise FunctionNotFound(name)
        return found

    def _find(self, name: str) -> Any:
        """The export of that name; None if there is none."""
        try:
            return getattr(self._exports, name)
        except LookupError:
            return None

    def memory_size(self) -> int:
        return self._memory.view().nbytes

    def read(self, offset: int, length: int) -> bytes:
        return bytes(self._memory.view()[offset : offset + length])

    def write(self, offset: int, data: bytes) -> None:
        self._memory.view()[offset : offset + len(data)] = data

    def get_global(self, name: str) -> int:
        return int(self._global(name).value)

    def set_global(self, name: str, value: int) -> None:
        self._global(name).value = value

    def _global(self, name: str) -> Any:
        found = self._globals.get(name)
        if found is None:
            found = self._globals[name] = self._export(name)
        return found

    def close(self) -> None:
        self._functions.clear()
        self._globals.clear()
        del self._exports, self._memory


class Memory:
    """A memory and its bytes, as they were ``known`` last and as they are in ``view()``."""

    def __init__(self, memory: Any) -> None:
        self._memory = memory
        self.known: memoryview = _checked(_view_of, memory)
        self.may_have_grown = False

    def view(self) -> memoryview:
        # The memory moves only when it grows, and grows only in a call.
        if self.may_have_grown:
            self.may_have_grown = False
            if _checked(getattr, self._memory, "data_size") != self.known.nbytes:
                self.renewed()
        return self.known

    def renewed(self) -> memoryview:
        """Its bytes, where it is known to have grown."""
        self.known = _checked(_view_of, self._memory)
        return self.known


def _callable(
    name: str,
    raw: Callable[..., Any],
    type: FuncType,
    memory: Memory,
    stack_bytes: int,
    raised: Raised,
) -> Callable[..., int | None]:
    """``raw`` with results unsigned, errors ours, and arguments counted."""
    count = len(type.params)
    mask = _MASKS[type.results[0]] if type.results else None

    def call(*arguments: int) -> int | None:
        if len(arguments) != count:  # Wasmer ignores what is too much.
            raise TypeError(f"{name} takes {count} arguments, not {len(arguments)}")
        check_thread_stack(stack_bytes)
        memory.may_have_grown = True
        try:
            result = raw(*arguments)
        except BaseException as error:
            failure = failure_of(error, raised)
        else:
            return None if mask is None else result & mask
        try:
            raise failure
        finally:
            # Its traceback holds this frame, which holds the instance.
            del failure

    return call


def _view_of(memory: Any) -> memoryview:
    """The present bytes of a memory; valid while it lives and does not grow."""
    # Wasmer's buffer panics if it is freed in another thread, and in 2.1 it is
    # empty for a memory of exactly 4 GiB. Its address is right, though.
    address = ctypes.addressof((ctypes.c_char * 0).from_buffer(memory.buffer))
    view: memoryview = _memory_view_at(address, memory.data_size, _WRITABLE)
    return view


def _checked(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call the engine; its exceptions become ours."""
    try:
        return function(*arguments)
    except BaseException as error:
        failure = failure_of(error)
    # Raised out here, so that a long text is not kept alive as the context.
    try:
        raise failure
    finally:
        del failure


def failure_of(error: BaseException, raised: Raised | None = None) -> BaseException:
    """What to raise instead of an exception that came out of a call of the engine.

    ``raised`` holds what a host function raised meanwhile.
    """
    if raised is not None and raised[0] is not None:
        instead, raised[0] = raised[0], None
        return instead
    if not _is_of_engine(error):
        return error
    text = str(error.args[0]) if error.args else ""
    failure: Exception | None = parse_trap(text)
    if failure is None:
        failure = EngineFault("Wasmer failed", detail=f"{type(error).__name__}: {first_line(text)}")
    if len(text) <= _KEPT_CHARACTERS:
        failure.__cause__ = error
    return failure


def _is_of_engine(error: BaseException) -> bool:
    """Whether the engine raised it, not a signal handler that ran meanwhile."""
    if type(error) is not RuntimeError and type(error).__name__ != "PanicException":
        return False
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    # Native code has no frames, a handler has one.
    return traceback is not None and dirname(traceback.tb_frame.f_code.co_filename) == _HERE
