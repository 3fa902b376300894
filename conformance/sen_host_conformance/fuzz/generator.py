"""Modules at random, full of what decides fuel, stack and traps."""

from __future__ import annotations

from random import Random

from sen_host.backend import FuncType
from sen_host.wasm.leb128 import encode_unsigned
from sen_host.wasm.writer import TYPE_CODES, limits, sized, vector
from sen_host_conformance.fuzz.body import Body
from sen_host_conformance.fuzz.encoding import END, Parts, body, const, default, op
from sen_host_conformance.fuzz.operands import Surroundings

_NOTHING = FuncType((), ())
_Weighted = tuple[tuple[int, float], ...]

_SIZES = ((5, 3), (20, 4), (60, 3), (200, 1))
_LOCALS = ((3, 12), (10, 4), (60, 2), (600, 1), (9_000, 0.3))
_PARAMS = ((0, 4), (1, 6), (2, 4), (4, 2), (12, 0.5), (60, 0.2))
_RESULTS = ((0, 4), (1, 8), (2, 2), (5, 0.5))


def generate(random: Random) -> bytes:
    """A valid module of the accepted profile; it imports nothing."""
    return _Generator(random).module()


class _Generator:
    def __init__(self, random: Random) -> None:
        self.random = random
        self.floats = random.random() < 0.4
        self.numbers = ["i32", "i32", "i32", "i64", "i64"]
        self.numbers += ["f32", "f64"] * self.floats

    def module(self) -> bytes:
        random = self.random
        parts = Parts()
        functions = [self.function_type() for _ in range(1 + random.randrange(7))]
        starts = random.random() < 0.2
        if starts:
            functions.append(_NOTHING)
            parts.start = len(functions) - 1
        parts.types = list(dict.fromkeys([_NOTHING, *functions, self.small_type()]))
        around = Surroundings(
            types=parts.types,
            functions=functions,
            globals=[],
            tables=[],
            table_sizes=[],
            elements=[],
            element_types=[],
            data=[],
            floats=self.floats,
        )
        self.globals(parts, around)
        self.memory(parts)
        self.tables(parts, around)
        self.elements(parts, around)
        self.data(parts, around)
        for index, type in enumerate(functions):
            parts.functions.append(around.type_indices[type])
            parts.bodies.append(self.function(around, index))
        return parts.binary()

    def chosen(self, weighted: _Weighted) -> int:
        values = [value for value, _ in weighted]
        return self.random.choices(values, [weight for _, weight in weighted])[0]

    def types(self, weighted: _Weighted) -> tuple[str, ...]:
        return tuple(self.random.choice(self.numbers) for _ in range(self.chosen(weighted)))

    def function_type(self) -> FuncType:
        params = self.types(_PARAMS)
        if params and self.random.random() < 0.5:
            params = ("i32", *params[1:])  # the form that recursion goes down by
        return FuncType(params, self.types(_RESULTS))

    def small_type(self) -> FuncType:
        few = ((0, 1), (1, 2), (2, 1))
        return FuncType(self.types(few), self.types(few))

    def function(self, around: Surroundings, index: int) -> bytes:
        count = self.chosen(_LOCALS)
        kinds = [*dict.fromkeys(self.numbers), "funcref"]
        locals = list(around.functions[index].params)
        for type in sorted(self.random.choice(kinds) for _ in range(self.random.randrange(5))):
            locals += [type] * (1 + self.random.randrange(1 + count // 2))
        size = self.random.randrange(1, 2 * self.chosen(_SIZES))
        return body(*Body(self.random, around, index, locals, size).write())

    def globals(self, parts: Parts, around: Surroundings) -> None:
        for _ in range(self.random.randrange(5)):
            type = self.random.choice([*self.numbers, "funcref"])
            mutable = self.random.random() < 0.8
            start = default(type)
            if type in ("i32", "i64"):
                start = const(type, self.random.randrange(10))
            parts.globals.append(TYPE_CODES[type] + bytes((mutable,)) + start + END)
            around.globals.append((type, mutable))

    def memory(self, parts: Parts) -> None:
        minimum = 1 if self.random.random() < 0.9 else self.random.choice((0, 2, 3))
        more = self.random.choice((0, 1, 2, 8))
        maximum = None if self.random.random() < 0.2 else minimum + more
        parts.memories.append(limits(minimum, maximum))

    def tables(self, parts: Parts, around: Surroundings) -> None:
        for _ in range(self.random.choice((0, 1, 1, 1, 2, 3))):
            type = "externref" if self.random.random() < 0.15 else "funcref"
            size = self.random.choice((0, 1, 4, 10, 40))
            parts.tables.append(TYPE_CODES[type] + limits(size, size + self.random.randrange(30)))
            around.tables.append(type)
            around.table_sizes.append(size)

    def elements(self, parts: Parts, around: Surroundings) -> None:
        """Active, passive and declared segments, of both forms; and all functions declared."""
        count = len(around.functions)
        tables = [i for i, type in enumerate(around.tables) if type == "funcref"]

        def add(flags: int, head: bytes, functions: list[int]) -> None:
            if flags & 4:
                items = vector(op("ref.func", function) + END for function in functions)
            else:
                items = vector(map(encode_unsigned, functions))
            parts.elements.append(encode_unsigned(flags) + head + items)
            around.elements.append(len(functions))
            around.element_types.append("funcref")

        def some(length: int) -> list[int]:
            return [self.random.randrange(count) for _ in range(length)]

        for table in tables:
            size = around.table_sizes[table]
            length = self.random.randrange(size + 1)
            beyond = self.random.random() < 0.01
            offset = const("i32", size if beyond else self.random.randrange(size - length + 1))
            kind = b"\x70" if self.random.random() < 0.3 else b"\x00"
            flags = 6 if kind == b"\x70" else 2
            add(flags, encode_unsigned(table) + offset + END + kind, some(length + beyond))
        if tables and self.random.random() < 0.6:
            add(1, b"\x00", some(self.random.randrange(12)))
        if tables and self.random.random() < 0.3:
            add(5, b"\x70", some(self.random.randrange(12)))
        add(3, b"\x00", list(range(count)))

    def data(self, parts: Parts, around: Surroundings) -> None:
        for _ in range(self.random.randrange(3)):
            content = self.random.getrandbits(8 * 40).to_bytes(40, "little")
            content = content[: self.random.choice((0, 1, 7, 40))]
            if self.random.random() < 0.5:
                head = b"\x01"
            else:
                # Seldom beyond the memory: then the instance cannot be made.
                far = self.random.random() < 0.01
                head = b"\x00" + const("i32", 1 << 30 if far else self.random.randrange(200)) + END
            parts.data.append(head + sized(content))
            around.data.append(len(content))
