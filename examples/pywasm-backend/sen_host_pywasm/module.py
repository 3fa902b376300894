"""Modules and instances: what sen-host asks of them, in terms of pywasm."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

from pywasm.core import ModuleDesc, ValInst

from sen_host.backend import FuncType, HostFunction, Instance, Module
from sen_host.errors import EngineFault
from sen_host.limits import Limits
from sen_host_pywasm.machine import Machine, Operator
from sen_host_pywasm.operators import replace_operators


class PywasmModule(Module):
    """A decoded module, with other code for what pywasm does wrong."""

    def __init__(self, description: ModuleDesc, limits: Limits) -> None:
        # pywasm takes 0 for no maximum. The host writes all maxima, unless its limit is off;
        # that of memories it always writes.
        if limits.table_elements is None:
            for table in description.tabl:
                table.limits.m = table.limits.m or 2**32 - 1
        self._description = description
        self._operators = replace_operators(description)
        self._seconds = limits.wall_clock_seconds

    def instantiate(self) -> PywasmInstance:
        return self.instantiate_with(())

    def instantiate_with(self, imports: Sequence[HostFunction]) -> PywasmInstance:
        # An instance empties the data segments that it has used, so each gets its own.
        description = copy.copy(self._description)
        description.data = copy.deepcopy(self._description.data)
        return PywasmInstance(description, self._operators, self._seconds, imports)


class PywasmInstance(Instance):
    """A machine of its own for each instance, so that instances share nothing."""

    def __init__(
        self,
        description: ModuleDesc,
        operators: Sequence[Operator],
        seconds: float | None,
        imports: Sequence[HostFunction],
    ) -> None:
        self._machine = Machine()
        if seconds is not None:
            self.set_deadline(seconds)
        with self._machine.guarded():
            given = [
                self._machine.host_function(description.type[item.desc], function)
                for item, function in zip(description.imps, imports, strict=True)
            ]
            instance = self._machine.instance(description, given)
            self._machine.add_operators(instance, operators)
        self._exports = {export.name: export.data.data for export in instance.exps}
        if "memory" not in self._exports:
            raise EngineFault("the module exports no memory")
        self._memory = self._machine.store.mems[self._exports["memory"]]

    def function(self, name: str, type: FuncType) -> Callable[..., int | None]:
        address, machine = self._exports[name], self._machine
        pack = [ValInst.from_u64 if kind == "i64" else ValInst.from_u32 for kind in type.params]
        unpack = [ValInst.into_u64 if kind == "i64" else ValInst.into_u32 for kind in type.results]

        def call(*arguments: int) -> int | None:
            values = [make(value) for make, value in zip(pack, arguments, strict=True)]
            with machine.guarded():
                results = machine.invocate(address, values)
            return unpack[0](results[0]) if results else None

        return call

    def memory_size(self) -> int:
        return len(self._memory.data)

    def read(self, offset: int, length: int) -> bytes:
        return bytes(self._memory.data[offset : offset + length])

    def write(self, offset: int, data: bytes) -> None:
        self._memory.data[offset : offset + len(data)] = data

    def get_global(self, name: str) -> int:
        value: int = self._machine.store.glob[self._exports[name]].data.into_i64()
        return value

    def set_global(self, name: str, value: int) -> None:
        self._machine.store.glob[self._exports[name]].data = ValInst.from_i64(value)

    def set_deadline(self, seconds: float) -> None:
        self._machine.stop_after(seconds)
