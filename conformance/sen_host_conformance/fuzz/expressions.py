"""Code that pushes a value of a type."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

from sen_host.backend import FuncType
from sen_host.wasm.writer import TYPE_CODES
from sen_host_conformance.fuzz.encoding import TYPED_SELECT, const, op
from sen_host_conformance.fuzz.operands import LOADS, PLAIN, VALUE_TYPES
from sen_host_conformance.fuzz.traps import Traps

_DIVISIONS = ("div_", "rem_")
_LOOKS_AT_BITS = ("reinterpret", "copysign")


class Expressions(Traps):
    """Writes expressions."""

    @abstractmethod
    def _build(self, type: FuncType, depth: int) -> None:
        """A block, loop or if of that type, with its parameters."""

    def expression(self, type: str, depth: int) -> None:
        """Code that pushes one value."""
        if depth <= 0 or self.size <= 0 or type not in VALUE_TYPES:
            self._leaf(type)
            return
        kinds: list[Callable[[str, int], None]] = [
            lambda type, _: self._leaf(type),
            self._operator,
            self._load,
            self._select,
            self._tee,
            self._block_of,
            self._call_of,
            self._size_of,
        ]
        self.random.choices(kinds, (3, 8, 2, 1, 2, 2, 2, 1))[0](type, depth)

    def _operator(self, type: str, depth: int) -> None:
        while True:
            operator = self.random.choice(PLAIN[type])
            if {"f32", "f64"} & {*operator.params} and not self.module.floats:
                continue
            if "trunc_f" in operator.name and not self._chance(0.2):
                continue
            break
        for param in operator.params:
            self.expression(param, depth - 1)
            if any(mark in operator.name for mark in _LOOKS_AT_BITS):
                self._canonical(param)
        if any(mark in operator.name for mark in _DIVISIONS) and self._chance(0.8):
            self._emit(const(type, 1), op(f"{type}.or"))
        self._emit(op(operator.name))

    def _load(self, type: str, depth: int) -> None:
        operator = self.random.choice(LOADS[type])
        self._address(depth)
        self._emit(self._access(operator.name))

    def _select(self, type: str, depth: int) -> None:
        self.expression(type, depth - 1)
        self.expression(type, depth - 1)
        self.expression("i32", depth - 1)
        self._emit(op("select") if self._chance(0.7) else TYPED_SELECT + TYPE_CODES[type])

    def _tee(self, type: str, depth: int) -> None:
        self.expression(type, depth - 1)
        local = self._local_of(type)
        if local is not None:
            self._emit(op("local.tee", local))

    def _block_of(self, type: str, depth: int) -> None:
        self._build(FuncType((), (type,)), depth)

    def _call_of(self, type: str, depth: int) -> None:
        found = [i for i, its in enumerate(self.module.functions) if its.results == (type,)]
        found = self._mostly_lower(found)
        if found:
            self._call_function(self.random.choice(found), depth)
        else:
            self._operator(type, depth)

    def _size_of(self, type: str, depth: int) -> None:
        if type != "i32":
            self._operator(type, depth)
            return
        table = self._below(len(self.module.tables)) if self.module.tables else None
        pick = self._below(5)
        if pick == 0:
            self._emit(op("memory.size", 0))
        elif pick == 1:
            self._emit(const("i32", self.random.choice((0, 0, 1, 1, 2, 5, 65_535, 0xFFFF_FFFF))))
            self._emit(op("memory.grow", 0))
        elif table is None:
            self._leaf(type)
        elif pick == 2:
            self._emit(op("table.size", table))
        elif pick == 3:
            self._leaf(self.module.tables[table])
            self._emit(const("i32", self.random.choice((0, 1, 2, 5, 1000, 0xFFFF_FFFF))))
            self._emit(op("table.grow", table))
        else:
            self._index_into(table, depth)
            self._emit(op("table.get", table), op("ref.is_null"))

    def _mostly_lower(self, functions: list[int]) -> list[int]:
        """Calls go to earlier functions, so that most of them come to an end."""
        lower = [index for index in functions if index < self.index]
        return functions if self._chance(0.1) else lower

    def _call_function(self, function: int, depth: int) -> None:
        for type in self.module.functions[function].params:
            self.expression(type, depth - 2)
        self._emit(op("call", function))
