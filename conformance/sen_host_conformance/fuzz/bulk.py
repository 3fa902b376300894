"""Code that works on memory and tables."""

from __future__ import annotations

from sen_host_conformance.fuzz.encoding import const, op
from sen_host_conformance.fuzz.operands import Operands, natural_alignment


class Bulk(Operands):
    """Writes accesses and bulk operations, most of them within bounds."""

    def _address(self, depth: int) -> None:
        if self._chance(0.9):
            self.expression("i32", depth - 1)
            self._emit(const("i32", self.random.choice((0xFF, 0xFFF, 0x7FFF))), op("i32.and"))
        elif self._chance(0.5):
            self._emit(const("i32", 65_536 - self._below(20)))
        else:
            self.expression("i32", depth - 1)

    def _access(self, name: str) -> bytes:
        alignment = self._below(natural_alignment(name) + 1)
        offset = self._below(100) if self._chance(0.9) else self._constant("i32")
        return op(name, alignment, offset)

    def _index_into(self, table: int, depth: int) -> None:
        size = self.module.table_sizes[table]
        if size and self._chance(0.93):
            self.expression("i32", depth - 1)
            self._emit(const("i32", size), op("i32.rem_u"))
        else:
            self._emit(const("i32", self.random.choice((size, size + 1, 0xFFFF_FFFF))))

    def _count(self, depth: int) -> None:
        """How many bytes or elements; mostly few."""
        if self._chance(0.5):
            self._emit(const("i32", self.random.choice((0, 1, 2, 8, 33, 64))))
        elif self._chance(0.85):
            self.expression("i32", depth - 1)
            self._emit(const("i32", 0x7F), op("i32.and"))
        else:
            self._emit(const("i32", self._constant("i32")))

    def _bulk_memory(self, depth: int) -> None:
        self._address(depth)
        pick = self._below(3)
        if pick == 0:
            self.expression("i32", depth - 1)
            self._count(depth)
            self._emit(op("memory.fill", 0))
        elif pick == 1 or not self.module.data:
            self._address(depth)
            self._count(depth)
            self._emit(op("memory.copy", 0, 0))
        else:
            segment = self._below(len(self.module.data))
            self._emit(*self._range_of(self.module.data[segment]))
            self._emit(op("memory.init", segment, 0))

    def _range_of(self, length: int) -> tuple[bytes, bytes]:
        """An offset and a count, mostly within a segment of that length."""
        start = self._below(length + 1)
        count = self._below(length - start + 1) if self._chance(0.9) else length + 1
        return const("i32", start), const("i32", count)

    def _bulk_table(self, depth: int) -> None:
        if not self.module.tables:
            return
        table = self._below(len(self.module.tables))
        type = self.module.tables[table]
        size = self.module.table_sizes[table]
        segments = [i for i, its in enumerate(self.module.element_types) if its == type]
        pick = self._below(5)
        if pick == 0:
            self._index_into(table, depth)
            self._leaf(type)
            self._emit(op("table.set", table))
        elif pick == 1:
            self._emit(self._range_of(size)[0])
            self._leaf(type)
            self._emit(self._range_of(size // 2)[1], op("table.fill", table))
        elif pick == 2 or (pick == 4 and not segments):
            others = [i for i, its in enumerate(self.module.tables) if its == type]
            other = self.random.choice(others)
            self._emit(self._range_of(size // 2)[0], *self._range_of(size // 2))
            self._emit(op("table.copy", table, other))
        elif pick == 3:
            self._leaf(type)
            self._count(depth)
            self._emit(op("table.grow", table), op("drop"))
        else:
            segment = self.random.choice(segments)
            self._emit(self._range_of(size // 2)[0])
            self._emit(*self._range_of(self.module.elements[segment]))
            self._emit(op("table.init", segment, table))

    def _drop_segment(self, depth: int) -> None:  # noqa: ARG002 - one form for all
        if self.module.data and self._chance(0.5):
            self._emit(op("data.drop", self._below(len(self.module.data))))
        elif self.module.elements:
            self._emit(op("elem.drop", self._below(len(self.module.elements))))
