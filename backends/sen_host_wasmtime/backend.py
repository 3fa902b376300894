"""The binding ``c-api``: Wasmtime over the C API that its wheel ships."""

from __future__ import annotations

import ctypes
import weakref
from ctypes import byref, c_void_p

from sen_host.backend import Backend, Binding, FuncType, Instance, Module, Trap
from sen_host.errors import EngineFault
from sen_host.limits import PAGE_BYTES, Limits
from sen_host.records import record
from sen_host.thread_stack import HOST_BYTES, check_thread_stack
from sen_host_wasmtime import capi
from sen_host_wasmtime.bindings import find_bindings
from sen_host_wasmtime.configuration import settings_for
from sen_host_wasmtime.engine import Engine, engine_for
from sen_host_wasmtime.traps import cause, invalid, trap_kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, NoReturn

    from sen_host.backend import HostFunction
    from sen_host_wasmtime.upcalls import UpCalls

    Raised = list[BaseException | None]
    """What a host function raised, until it is taken."""

BUFFER_BYTES = 17 * PAGE_BYTES
"""The memory of ``exchange``; a store's limit holds for each of its memories."""

_LONGEST_STRING = 2**31 - 1
"""``ctypes.string_at`` takes a C int."""


class CApiBackend(Backend):
    """Wasmtime in process. Its own limits on stack, memory and tables stand behind the host's."""

    name = "wasmtime"

    @classmethod
    def bindings(cls) -> tuple[Binding, ...]:
        return find_bindings()[:1]

    def validate(self, wasm: bytes) -> None:
        engine = engine_for(settings_for(Limits()))
        error = engine.api.wasmtime_module_validate(engine.pointer, wasm, len(wasm))
        if error:
            raise invalid(engine.api.take_error(error))

    def compile(self, wasm: bytes, limits: Limits) -> WasmtimeModule:
        from sen_host_wasmtime.glue import attach

        engine = engine_for(settings_for(limits))
        extended = attach(wasm)
        pointer = c_void_p()
        error = engine.api.wasmtime_module_new(
            engine.pointer, extended, len(extended), byref(pointer)
        )
        if error:
            raise invalid(engine.api.take_error(error))
        assert pointer.value is not None
        return WasmtimeModule(engine, pointer.value, limits)

    def deserialize(self, compiled: bytes, limits: Limits) -> WasmtimeModule:
        engine = engine_for(settings_for(limits))
        pointer = c_void_p()
        error = engine.api.wasmtime_module_deserialize(
            engine.pointer, compiled, len(compiled), byref(pointer)
        )
        if error:
            detail = cause(engine.api.take_error(error))
            raise EngineFault("Wasmtime refused a compiled module", detail=detail)
        assert pointer.value is not None
        return WasmtimeModule(engine, pointer.value, limits)


class WasmtimeModule(Module):
    """A ``wasmtime_module_t``."""

    def __init__(self, engine: Engine, pointer: int, limits: Limits) -> None:
        self._engine = engine
        self._pointer = pointer
        self._limits = limits
        self._finalizer = _free_with(self, engine.api.wasmtime_module_delete, pointer)

    def instantiate(self) -> WasmtimeInstance:
        from sen_host_wasmtime.exchange import ExchangingInstance

        return ExchangingInstance(self._engine, self._pointer, self._limits)

    def instantiate_with(self, imports: Sequence[HostFunction]) -> WasmtimeInstance:
        from sen_host_wasmtime.exchange import ExchangingInstance

        return ExchangingInstance(self._engine, self._pointer, self._limits, imports)

    def serialize(self) -> bytes:
        api, vector = self._engine.api, capi.ByteVector()
        error = api.wasmtime_module_serialize(self._pointer, byref(vector))
        if error:
            detail = cause(api.take_error(error))
            raise EngineFault("Wasmtime could not serialize a module", detail=detail)
        return api.take_bytes(vector)

    def close(self) -> None:
        self._finalizer()


class WasmtimeInstance(Instance):
    """A store with the one instance that lives in it."""

    def __init__(
        self,
        engine: Engine,
        module: int,
        limits: Limits,
        imports: Sequence[HostFunction] = (),
    ) -> None:
        # Host functions run where the guest's stack ends.
        self._stack_bytes = limits.stack_bytes + (HOST_BYTES if imports else 0)
        check_thread_stack(self._stack_bytes)
        self._api = api = engine.api
        self._engine = engine
        self._functions: dict[str, Callable[..., int | None]] = {}
        store = api.wasmtime_store_new(engine.pointer, None, None)
        self._finalizer = _free_with(self, api.wasmtime_store_delete, store)
        self._context: int = api.wasmtime_store_context(store)
        bytes_limit, elements_limit = (
            -1 if limit is None else limit for limit in (limits.memory_bytes, limits.table_elements)
        )
        if bytes_limit >= 0:
            bytes_limit = max(bytes_limit, BUFFER_BYTES)
        api.wasmtime_store_limiter(store, bytes_limit, elements_limit, 1, -1, -1)
        if limits.wall_clock_seconds is not None:
            self.set_deadline(limits.wall_clock_seconds)
        self._trap = c_void_p()
        self._instance = capi.Instance()
        self._up: UpCalls | None = None
        self._raised: Raised = [None]
        given = None
        if imports:
            from sen_host_wasmtime.upcalls import UPCALLS, UpCalls

            self._up = up = UpCalls(api, self._context, imports)
            self._raised = up.raised
            given = byref(up.extern)
        error = api.wasmtime_instance_new(
            self._context,
            module,
            given,
            0 if given is None else 1,
            byref(self._instance),
            byref(self._trap),
        )
        if error or self._trap:
            if self._up is not None:
                self._up.close()
            fail(api, self._trap, error, self._raised)
        if self._up is not None:
            buffer = self._export(UPCALLS, capi.EXTERN_MEMORY).of.memory
            self._up.connect(api.wasmtime_memory_data(self._context, byref(buffer)))
        self._memory = self._export("memory", capi.EXTERN_MEMORY).of.memory
        self._memory_ref = byref(self._memory)
        self._globals: dict[str, _Global] = {}

    def function(self, name: str, type: FuncType) -> Callable[..., int | None]:
        known = self._functions.get(name)
        if known is None:
            known = self._functions[name] = self._prepare(name, type)
        return known

    def memory_size(self) -> int:
        return int(self._api.wasmtime_memory_data_size(self._context, self._memory_ref))

    def read(self, offset: int, length: int) -> bytes:
        base = self._api.wasmtime_memory_data(self._context, self._memory_ref)
        if length > _LONGEST_STRING:
            return (ctypes.c_char * length).from_address(base + offset).raw
        return ctypes.string_at(base + offset, length)

    def write(self, offset: int, data: bytes) -> None:
        base = self._api.wasmtime_memory_data(self._context, self._memory_ref)
        ctypes.memmove(base + offset, data, len(data))

    def get_global(self, name: str) -> int:
        found = self._globals.get(name) or self._global(name)
        self._api.wasmtime_global_get(self._context, found.reference, found.value)
        return found.slot.i64  # type: ignore[no-any-return]

    def set_global(self, name: str, value: int) -> None:
        found = self._globals.get(name) or self._global(name)
        found.slot.i64 = value
        error = self._api.wasmtime_global_set(self._context, found.reference, found.value)
        if error:
            raise EngineFault(
                f"Wasmtime did not set the global {name!r}", detail=self._api.take_error(error)
            )

    def set_deadline(self, seconds: float) -> None:
        ticks = self._engine.ticks(seconds)
        self._api.wasmtime_context_set_epoch_deadline(self._context, ticks)

    def close(self) -> None:
        self._functions.clear()
        if self._up is not None:
            self._up.close()
        self._finalizer()

    def _global(self, name: str) -> _Global:
        extern = self._export(name, capi.EXTERN_GLOBAL)
        value = capi.Value(kind=capi.VALUE_KINDS["i64"])
        found = _Global(byref(extern.of.global_), byref(value), value.of)
        self._globals[name] = found
        return found

    def _export(self, name: str, kind: int) -> capi.Extern:
        extern = self._find(name, kind)
        if extern is None:
            raise EngineFault(f"Wasmtime does not find the export {name!r}")
        return extern

    def _find(self, name: str, kind: int) -> capi.Extern | None:
        extern = capi.Extern()
        encoded = name.encode()
        found = self._api.wasmtime_instance_export_get(
            self._context, byref(self._instance), encoded, len(encoded), byref(extern)
        )
        return extern if found and extern.kind == kind else None

    def _prepare(self, name: str, type: FuncType) -> Callable[..., int | None]:
        """A callable over argument and result values that are laid out once."""
        for value_type in (*type.params, *type.results):
            if value_type not in capi.VALUE_KINDS:
                raise EngineFault(f"{name!r} takes or returns {value_type}, not an integer")
        function = self._export(name, capi.EXTERN_FUNC).of.function
        arguments = (capi.Value * len(type.params))()
        for argument, value_type in zip(arguments, type.params, strict=True):
            argument.kind = capi.VALUE_KINDS[value_type]
        results = (capi.Value * len(type.results))()
        slots = [argument.of for argument in arguments]
        count, result_count = len(slots), len(results)
        result = results[0].of if results else None
        wide_result = bool(results) and type.results[0] == "i64"
        call, context = self._api.wasmtime_func_call, self._context
        function_ref, trap, trap_ref = byref(function), self._trap, byref(self._trap)
        # The instance holds the callable, so the callable must not hold the instance.
        api, stack_bytes, raised = self._api, self._stack_bytes, self._raised

        def invoke(*values: int) -> int | None:
            check_thread_stack(stack_bytes)
            if len(values) != count:
                raise TypeError(f"{name!r} takes {count} arguments, {len(values)} were given")
            # A u64 slot serves i32 too: the machine is little-endian.
            for slot, value in zip(slots, values):  # noqa: B905 - checked above, and hot
                slot.u64 = value
            error = call(context, function_ref, arguments, count, results, result_count, trap_ref)
            if error or trap:
                fail(api, trap, error, raised)
            if result is None:
                return None
            return result.u64 if wide_result else result.u32  # type: ignore[no-any-return]

        return invoke


@record(frozen=True, slots=True)
class _Global:
    """References to a ``wasmtime_global_t`` and to a value to get or set, and its integer."""

    reference: Any
    value: Any
    slot: Any


def fail(api: capi.CApi, trap: c_void_p, error: int | None, raised: Raised) -> NoReturn:
    """Raise what a call left behind, or what a host function raised in it, and free it."""
    failure: BaseException
    if error:
        failure = EngineFault("Wasmtime failed", detail=api.take_error(error).partition("\n")[0])
    else:
        pointer, trap.value = trap.value, None
        assert pointer is not None
        code, text = api.take_trap(pointer)
        failure = Trap(trap_kind(code), cause(text))
    instead, raised[0] = raised[0], None
    try:
        raise instead or failure
    finally:
        del failure, instead


def _free_with(owner: object, free: Any, pointer: int) -> weakref.finalize[Any, Any]:
    finalizer = weakref.finalize(owner, free, pointer)
    finalizer.atexit = False
    return finalizer
