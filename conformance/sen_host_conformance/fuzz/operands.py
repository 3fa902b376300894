"""What code at random is made of: operators by type, constants, locals, what a module offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from sen_host.backend import FuncType
from sen_host.wasm.operators import OPERATORS, Immediate, Operator
from sen_host_conformance.fuzz.encoding import const, default, op

VALUE_TYPES = {"i32", "i64", "f32", "f64"}

CANONICAL_NAN = {"f32": 0x7FC0_0000, "f64": 0x7FF8_0000_0000_0000}

_INTERESTING = {
    "i32": (0, 1, 2, 3, 7, 16, 100, 255, 0xFFFF, 0x1_0000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF),
    "i64": (0, 1, 2, 63, 1 << 31, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, (1 << 64) - 2),
    "f32": (0, 0x8000_0000, 0x3F80_0000, 0xBF80_0000, 0x7F80_0000, 0x4F00_0000, 0x7FC0_0000, 1),
    "f64": (0, 1 << 63, 0x3FF0 << 48, 0xBFF0 << 48, 0x7FF0 << 48, 0x41E0 << 48, 0x7FF8 << 48, 1),
}


def _plain_operators() -> dict[str, list[Operator]]:
    """Operators without immediates, by their result."""
    found: dict[str, list[Operator]] = {type: [] for type in VALUE_TYPES}
    for operator in OPERATORS.values():
        if (
            operator.immediate is Immediate.NONE
            and len(operator.results) == 1
            and {*operator.params, *operator.results} <= VALUE_TYPES
        ):
            found[operator.results[0]].append(operator)
    return found


def _accesses() -> tuple[dict[str, list[Operator]], list[Operator]]:
    loads: dict[str, list[Operator]] = {type: [] for type in VALUE_TYPES}
    stores = []
    for operator in OPERATORS.values():
        if operator.immediate is Immediate.ACCESS and operator.proposal != "SIMD":
            if operator.results:
                loads[operator.results[0]].append(operator)
            else:
                stores.append(operator)
    return loads, stores


PLAIN = _plain_operators()
"""Operators that need nothing but operands, by the type of their result."""

LOADS, STORES = _accesses()


def canonical(type: str, local: int) -> bytes:
    """Code that makes a float canonical if it is a NaN; a local of its type is needed."""
    get = op("local.get", local)
    nan = const(type, CANONICAL_NAN[type])
    return op("local.tee", local) + nan + get + get + op(f"{type}.eq") + op("select")


def natural_alignment(name: str) -> int:
    """The exponent of the most that an access of that name may be aligned to."""
    for mark, exponent in (("8", 0), ("16", 1), ("32", 2)):
        if mark in name.partition(".")[2]:
            return exponent
    return {"i32": 2, "f32": 2, "i64": 3, "f64": 3}[name.partition(".")[0]]


@dataclass
class Surroundings:
    """What code may name.

    Attributes:
        globals: (type, mutable).
        tables: element types.
        elements, data: number of items or bytes of each segment.
        element_types: the type of each element segment.
        floats: whether such code is wanted.
    """

    types: list[FuncType]
    functions: list[FuncType]
    globals: list[tuple[str, bool]]
    tables: list[str]
    table_sizes: list[int]
    elements: list[int]
    element_types: list[str]
    data: list[int]
    floats: bool
    type_indices: dict[FuncType, int] = field(init=False)

    def __post_init__(self) -> None:
        self.type_indices = {type: index for index, type in reversed(list(enumerate(self.types)))}


class Operands(ABC):
    """Code under construction, and its simplest operands.

    Args:
        size: about how many instructions it shall have.
        locals: types of the locals, parameters first.
    """

    def __init__(
        self, random: Random, module: Surroundings, index: int, locals: Sequence[str], size: int
    ) -> None:
        self.random = random
        self.module = module
        self.index = index
        self.type = module.functions[index]
        self.locals = list(locals)
        self.size = size
        self.out: list[bytes] = []
        self._counters: set[int] = set()
        self.value_types = ["i32", "i32", "i32", "i64", "i64"] + ["f32", "f64"] * module.floats

    @abstractmethod
    def expression(self, type: str, depth: int) -> None:
        """Code that pushes one value."""

    def _emit(self, *code: bytes) -> None:
        self.out.extend(code)
        self.size -= 1

    def _chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def _below(self, limit: int) -> int:
        return self.random.randrange(limit)

    def _local_of(self, type: str) -> int | None:
        found = [
            index
            for index, its in enumerate(self.locals[:200])
            if its == type and index not in self._counters
        ]
        return self.random.choice(found) if found else None

    def _new_local(self, type: str) -> int:
        self.locals.append(type)
        return len(self.locals) - 1

    def _scratch(self, type: str) -> int:
        """A local that code may use for a moment."""
        index = self._new_local(type)
        self._counters.add(index)
        return index

    def _leaf(self, type: str) -> None:
        pick = self._below(4)
        if pick < 2 and (local := self._local_of(type)) is not None:
            self._emit(op("local.get", local))
        elif pick == 2 and (globals := self._globals(type)):
            self._emit(op("global.get", self.random.choice(globals)))
        elif type == "funcref" and self._chance(0.6):
            self._emit(op("ref.func", self._below(len(self.module.functions))))
        elif type in VALUE_TYPES:
            self._emit(const(type, self._constant(type)))
        else:
            self._emit(default(type))

    def _constant(self, type: str) -> int:
        if type in ("i32", "i64") and self._chance(0.4):
            return self._below(64)
        if self._chance(0.7):
            return self.random.choice(_INTERESTING[type])
        bits = {"i32": 32, "i64": 64, "f32": 32, "f64": 64}[type]
        value = self.random.getrandbits(bits)
        if type in CANONICAL_NAN and value & CANONICAL_NAN[type] == CANONICAL_NAN[type]:
            return CANONICAL_NAN[type]
        return value

    def _canonical(self, type: str) -> None:
        if type in CANONICAL_NAN:
            self._emit(canonical(type, self._scratch(type)))

    def _globals(self, type: str, *, mutable: bool = False) -> list[int]:
        return [
            index
            for index, (its, may) in enumerate(self.module.globals)
            if its == type and (may or not mutable)
        ]

    def _drop_all(self, types: Sequence[str]) -> None:
        self._emit(op("drop") * len(types))
