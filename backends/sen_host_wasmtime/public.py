"""The binding ``public``: the package ``wasmtime``, as it offers itself to everybody.

It converts each argument anew, so an exchange of messages takes many times as long as
through ``c-api``. In return it relies on nothing that another version may change.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import wasmtime

from sen_host.backend import (
    Backend,
    Binding,
    FuncType,
    HostFunction,
    Instance,
    Module,
    Trap,
)
from sen_host.errors import EngineCreation, EngineFault
from sen_host.limits import Limits
from sen_host.thread_stack import HOST_BYTES, check_thread_stack
from sen_host_wasmtime.bindings import find_bindings
from sen_host_wasmtime.clock import EpochClock
from sen_host_wasmtime.configuration import Settings, engine_of, settings_for, switches
from sen_host_wasmtime.traps import cause, invalid, trap_kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sen_host_wasmtime.public_imports import UpCalls

T = TypeVar("T")

_MASKS = {"i32": 0xFFFF_FFFF, "i64": 0xFFFF_FFFF_FFFF_FFFF}


class _Owned:
    """Frees what it owns, except when the interpreter ends: half of the package is gone then."""

    def __del__(self, ending: Callable[[], bool] = sys.is_finalizing) -> None:
        if not ending():
            self.close()

    def close(self) -> None:
        super().close()  # type: ignore[misc]


class _Engine(_Owned, wasmtime.Engine):
    pass


class _Module(_Owned, wasmtime.Module):
    pass


class _Store(_Owned, wasmtime.Store):
    pass


class PublicBackend(Backend):
    """Wasmtime in process. Its own limits on stack, memory and tables stand behind the host's."""

    name = "wasmtime"

    @classmethod
    def bindings(cls) -> tuple[Binding, ...]:
        return find_bindings()[1:]

    def validate(self, wasm: bytes) -> None:
        engine = engine_of(Engine, settings_for(Limits()))
        try:
            wasmtime.Module.validate(engine.engine, wasm)
        except wasmtime.WasmtimeError as error:
            raise invalid(str(error)) from None

    def compile(self, wasm: bytes, limits: Limits) -> PublicModule:
        from sen_host_wasmtime.public_imports import attach

        engine = engine_of(Engine, settings_for(limits))
        try:
            module = _Module(engine.engine, attach(wasm))
        except wasmtime.WasmtimeError as error:
            raise invalid(str(error)) from None
        return PublicModule(engine, module, limits)

    def deserialize(self, compiled: bytes, limits: Limits) -> PublicModule:
        engine = engine_of(Engine, settings_for(limits))
        try:
            module = _Module.deserialize(engine.engine, compiled)
        except wasmtime.WasmtimeError as error:
            raise EngineFault(
                "Wasmtime refused a compiled module", detail=cause(str(error))
            ) from None
        return PublicModule(engine, module, limits)


class Engine:
    """An engine of the package and the clock of its epoch."""

    def __init__(self, settings: Settings, parallel: bool) -> None:
        config = wasmtime.Config()
        chosen: dict[str, Any] = switches(settings, parallel=parallel)
        chosen["max_wasm_stack"] = settings.stack_bytes
        for name, value in chosen.items():
            # What the package does not know would become an attribute without effect.
            if not hasattr(wasmtime.Config, name):
                raise EngineCreation(
                    f"the installed wasmtime package has no setting {name!r}",
                    hint="pip install 'sen-host[wasmtime]'",
                )
            setattr(config, name, value)
        self.engine = _Engine(config)
        self.ticks = EpochClock(self.engine.increment_epoch).ticks


class PublicModule(Module):
    def __init__(self, engine: Engine, module: wasmtime.Module, limits: Limits) -> None:
        self._engine = engine
        self._module = module
        self._limits = limits

    def instantiate(self) -> PublicInstance:
        return PublicInstance(self._engine, self._module, self._limits)

    def instantiate_with(self, imports: Sequence[HostFunction]) -> PublicInstance:
        return PublicInstance(self._engine, self._module, self._limits, imports)

    def serialize(self) -> bytes:
        try:
            return bytes(self._module.serialize())
        except wasmtime.WasmtimeError as error:
            raise EngineFault(
                "Wasmtime could not serialize a module", detail=cause(str(error))
            ) from None

    def close(self) -> None:
        self._module.close()


class PublicInstance(Instance):
    """A store with the one instance that lives in it."""

    def __init__(
        self,
        engine: Engine,
        module: wasmtime.Module,
        limits: Limits,
        imports: Sequence[HostFunction] = (),
    ) -> None:
        # Host functions run where the guest's stack ends.
        self._stack_bytes = limits.stack_bytes + (HOST_BYTES if imports else 0)
        check_thread_stack(self._stack_bytes)
        self._engine = engine
        self._functions: dict[str, Callable[..., int | None]] = {}
        self._store = store = _Store(engine.engine)
        bytes_limit, elements_limit = (
            -1 if limit is None else limit for limit in (limits.memory_bytes, limits.table_elements)
        )
        store.set_limits(memory_size=bytes_limit, table_elements=elements_limit, instances=1)
        if limits.wall_clock_seconds is not None:
            self.set_deadline(limits.wall_clock_seconds)
        self._up: UpCalls | None = None
        given = []
        if imports:
            from sen_host_wasmtime.public_imports import STOP, UpCalls

            self._up = up = UpCalls(imports)
            up.stop = partial(self.set_global, STOP, 1)
            for number, item in enumerate(imports):
                params, results = (
                    [getattr(wasmtime.ValType, kind)() for kind in kinds] for kinds in item.type
                )
                type = wasmtime.FuncType(params, results)
                given.append(wasmtime.Func(store, type, up.function(number)))
        instance = _checked(wasmtime.Instance, store, module, given)
        self._exports = instance.exports(store)
        self._memory = self._export("memory", wasmtime.Memory)

    def function(self, name: str, type: FuncType) -> Callable[..., int | None]:
        known = self._functions.get(name)
        if known is None:
            known = self._functions[name] = self._prepare(name, type)
        return known

    def memory_size(self) -> int:
        return self._memory.data_len(self._store)

    def read(self, offset: int, length: int) -> bytes:
        return bytes(self._memory.read(self._store, offset, offset + length))

    def write(self, offset: int, data: bytes) -> None:
        if data:  # The package refuses to write nothing at the end of a memory.
            self._memory.write(self._store, data, offset)

    def get_global(self, name: str) -> int:
        value: int = self._export(name, wasmtime.Global).value(self._store)
        return value

    def set_global(self, name: str, value: int) -> None:
        found = self._export(name, wasmtime.Global)
        # Without its type, the package looks for that of the value, for twice the time.
        _checked(found.set_value, self._store, wasmtime.Val.i64(value))

    def set_deadline(self, seconds: float) -> None:
        self._store.set_epoch_deadline(self._engine.ticks(seconds))

    def close(self) -> None:
        self._functions.clear()
        if self._up is not None:
            del self._up.stop
        self._store.close()

    def _export(self, name: str, kind: type[T]) -> T:
        found = self._exports.get(name)
        if not isinstance(found, kind):
            raise EngineFault(f"Wasmtime does not find the export {name!r}")
        return found

    def _prepare(self, name: str, type: FuncType) -> Callable[..., int | None]:
        """A callable that takes and returns unsigned integers, and raises our errors."""
        for value_type in (*type.params, *type.results):
            if value_type not in _MASKS:
                raise EngineFault(f"{name!r} takes or returns {value_type}, not an integer")
        function = self._export(name, wasmtime.Func)
        count = len(type.params)
        mask = _MASKS[type.results[0]] if type.results else None
        # The instance holds the callable, so the callable must not hold the instance.
        store, stack_bytes, up = self._store, self._stack_bytes, self._up

        def enter(*values: int) -> Any:
            check_thread_stack(stack_bytes)
            return _checked(function, store, *values)

        def invoke(*values: int) -> int | None:
            if len(values) != count:
                raise TypeError(f"{name!r} takes {count} arguments, {len(values)} were given")
            result = enter(*values) if up is None else up.run(partial(enter, *values))
            if mask is None:
                return None
            first: int = result[0] if isinstance(result, list) else result
            return first & mask

        return invoke


def _checked(function: Callable[..., T], *arguments: Any) -> T:
    """Call the package; its exceptions become ours."""
    try:
        return function(*arguments)
    except (wasmtime.Trap, wasmtime.WasmtimeError) as error:
        failure = _failure(error)
    # Raised out here, so that the package's exception is not kept as the context.
    try:
        raise failure
    finally:
        # Its traceback holds this frame, which holds the store.
        del failure


def _failure(error: wasmtime.Trap | wasmtime.WasmtimeError) -> Trap | EngineFault:
    # A frame of the package holds the trap, and the trap would hold that frame.
    error.__traceback__ = None
    if not isinstance(error, wasmtime.Trap):
        return EngineFault("Wasmtime failed", detail=str(error).partition("\n")[0])
    try:
        code = error.trap_code
    except ValueError:  # a code that the package does not know
        code = None
    return Trap(trap_kind(None if code is None else code.value), cause(error.message))
