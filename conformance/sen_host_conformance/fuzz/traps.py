"""Code that traps, in all ways that there are."""

from __future__ import annotations

from collections.abc import Callable

from sen_host_conformance.fuzz.bulk import Bulk
from sen_host_conformance.fuzz.encoding import const, op
from sen_host_conformance.fuzz.operands import CANONICAL_NAN


class Traps(Bulk):
    """Writes traps."""

    def _trap(self, depth: int) -> None:
        """Code that traps, in one of all ways; it may leave nothing on the stack."""
        traps: list[Callable[[], None]] = [
            lambda: self._emit(op("unreachable")),
            lambda: self._emit(op("unreachable")),
            self._division,
            self._overflow,
            self._far_access,
            self._far_bulk,
        ]
        if self.module.floats:
            traps.append(self._bad_conversion)
        if self.module.tables:
            traps += [self._far_element, self._far_table_bulk]
        if "funcref" in self.module.tables:
            traps.append(lambda: self._bad_indirect(depth))
        self.random.choice(traps)()

    def _division(self) -> None:
        type = self.random.choice(("i32", "i64"))
        name = self.random.choice(("div_s", "div_u", "rem_s", "rem_u"))
        self._leaf(type)
        self._emit(const(type, 0), op(f"{type}.{name}"), op("drop"))

    def _overflow(self) -> None:
        type, lowest = self.random.choice((("i32", 1 << 31), ("i64", 1 << 63)))
        self._emit(const(type, lowest), const(type, -1), op(f"{type}.div_s"), op("drop"))

    def _bad_conversion(self) -> None:
        source = self.random.choice(("f32", "f64"))
        nan = CANONICAL_NAN[source]
        huge = {"f32": 0x7149_F2CA, "f64": 0x46293E5939A08CEA}[source]
        name = self.random.choice(("i32", "i64")) + f".trunc_{source}_" + self.random.choice("su")
        self._emit(const(source, self.random.choice((nan, huge))), op(name), op("drop"))

    def _far_access(self) -> None:
        if self._chance(0.5):
            self._emit(const("i32", 0xFFFF_FFFF), op("i32.load", 0, self._below(9)), op("drop"))
        else:
            self._emit(const("i32", -8), const("i64", 7), op("i64.store", 3, 0xFFFF_FFFF))

    def _far_bulk(self) -> None:
        name = self.random.choice(("memory.fill", "memory.copy"))
        far = const("i32", self.random.choice((0xFFFF_FFF0, 0x7FFF_FFFF)))
        operands = [far, const("i32", 0), const("i32", self.random.choice((0, 1, 17)))]
        self._emit(*operands, op(name, *([0] if name == "memory.fill" else [0, 0])))

    def _far_element(self) -> None:
        table = self._below(len(self.module.tables))
        self._emit(const("i32", 0xFFFF_FFFF))
        if self._chance(0.5):
            self._emit(op("table.get", table), op("drop"))
        else:
            self._leaf(self.module.tables[table])
            self._emit(op("table.set", table))

    def _far_table_bulk(self) -> None:
        table = self._below(len(self.module.tables))
        self._emit(const("i32", 0xFFFF_FF00))
        if self._chance(0.5):
            self._leaf(self.module.tables[table])
            self._emit(const("i32", self._below(3)), op("table.fill", table))
        else:
            self._emit(const("i32", 0), const("i32", self._below(3)))
            self._emit(op("table.copy", table, table))

    def _bad_indirect(self, depth: int) -> None:
        """A call through a null, beyond the table, or at another type."""
        table = self.module.tables.index("funcref")
        type = self.random.choice(self.module.types)
        for param in type.params:
            self._leaf(param)
        if self._chance(0.4):
            self._emit(const("i32", 0xFFFF_FFFF))
        else:
            self._index_into(table, depth)
        self._emit(op("call_indirect", self.module.type_indices[type], table))
        self._drop_all(type.results)
