"""Function bodies at random, directed by types: whatever is asked for is valid code.

What is emitted leans towards what decides fuel, stack and traps: branches of
every form, loops that end, calls up and down, bulk operations, and traps in
places where work has been done before. All choices come from one generator of
random numbers, so that the same seed gives the same code everywhere.

A NaN may have any payload, so floats are made canonical before their bits are
looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from sen_host.backend import FuncType
from sen_host.wasm.leb128 import encode_signed
from sen_host.wasm.writer import TYPE_CODES
from sen_host_conformance.fuzz.encoding import EMPTY, END, const, op
from sen_host_conformance.fuzz.expressions import Expressions
from sen_host_conformance.fuzz.operands import STORES, Surroundings

MAX_DEPTH = 5


class Body(Expressions):
    """Writes the body of one function."""

    def __init__(
        self, random: Random, module: Surroundings, index: int, locals: Sequence[str], size: int
    ) -> None:
        super().__init__(random, module, index, locals, size)
        self.labels: list[tuple[str, ...]] = [self.type.results]
        self.loops: list[bool] = [False]
        statements: list[tuple[int, Callable[[int], None]]] = [
            (6, self._set_local),
            (3, self._set_global),
            (6, self._store),
            (3, self._drop),
            (4, self._construct),
            (4, self._counted_loop),
            (3, self._branch_if),
            (2, self._branch_table),
            (4, self._call),
            (2, self._call_indirect),
            (3, self._descend),
            (3, self._bulk_memory),
            (3, self._bulk_table),
            (3, self._guarded_trap),
            (1, self._guarded_leave),
            (1, self._tower),
            (1, self._pile),
            (1, self._drop_segment),
            (1, lambda _: self._emit(op("nop"))),
        ]
        self._weights = [weight for weight, _ in statements]
        self._statements = [statement for _, statement in statements]

    def write(self) -> tuple[list[tuple[int, str]], bytes]:
        """The locals that are not parameters, as (count, type), and the code with its end."""
        self._arm(self.type, MAX_DEPTH, most=8)
        self._emit(END)
        declarations: list[tuple[int, str]] = []
        for type in self.locals[len(self.type.params) :]:
            if declarations and declarations[-1][1] == type:
                declarations[-1] = (declarations[-1][0] + 1, type)
            else:
                declarations.append((1, type))
        return declarations, b"".join(self.out)

    def _statement(self, depth: int) -> None:
        self.random.choices(self._statements, self._weights)[0](depth)

    def _any_type(self) -> str:
        return self.random.choice(self.value_types)

    def _set_local(self, depth: int) -> None:
        type = self._any_type() if self._chance(0.9) else "funcref"
        local = self._local_of(type)
        self.expression(type, depth)
        self._emit(op("drop") if local is None else op("local.set", local))

    def _set_global(self, depth: int) -> None:
        types = sorted({type for type, mutable in self.module.globals if mutable})
        if not types:
            return
        type = self.random.choice(types)
        self.expression(type, depth)
        self._emit(op("global.set", self.random.choice(self._globals(type, mutable=True))))

    def _store(self, depth: int) -> None:
        operator = self.random.choice(STORES)
        type = operator.params[1]
        if type not in self.value_types:
            return
        self._address(depth)
        self.expression(type, depth)
        self._canonical(type)
        self._emit(self._access(operator.name))

    def _drop(self, depth: int) -> None:
        self.expression(self._any_type(), depth)
        self._emit(op("drop"))

    def _construct(self, depth: int) -> None:
        if depth <= 0:
            return
        small = [t for t in self.module.types if len(t.params) <= 4 and len(t.results) <= 4]
        plain = FuncType((), ())
        type = self.random.choice(small) if small and self._chance(0.5) else plain
        self._build(type, depth)
        self._drop_all(type.results)

    def _build(self, type: FuncType, depth: int) -> None:
        """A block, loop or if of that type, with its parameters."""
        kind = self.random.choices(("block", "if", "loop"), (5, 5, 1))[0]
        for param in type.params:
            self.expression(param, depth - 1)
        if kind == "if":
            self.expression("i32", depth - 1)
        self._emit(op(kind) + self._block_type(type))
        self._open(type.params if kind == "loop" else type.results, loop=kind == "loop")
        self._arm(type, depth - 1)
        if kind == "if" and (type.params != type.results or self._chance(0.6)):
            self._emit(op("else"))
            self._arm(type, depth - 1)
        self._close()
        self._emit(END)

    def _block_type(self, type: FuncType) -> bytes:
        if type == ((), ()):
            return EMPTY
        if not type.params and len(type.results) == 1:
            return TYPE_CODES[type.results[0]]
        return encode_signed(self.module.type_indices[type])

    def _arm(self, type: FuncType, depth: int, most: int = 3) -> None:
        """The inside of a construct, whose parameters are on the stack."""
        if len(self.labels) > 1:
            self._take(type.params)
        for _ in range(self._below(most + 1)):
            if self.size <= 0:
                break
            self._statement(depth)
        if self._chance(0.06):
            self._leave(depth)
            self._dead_code(depth)
            return
        for result in type.results:
            self.expression(result, depth)

    def _take(self, types: Sequence[str]) -> None:
        for type in reversed(types):
            local = self._local_of(type)
            self._emit(op("drop") if local is None else op("local.set", local))

    def _counted_loop(self, depth: int) -> None:
        counter = self._scratch("i32")
        turns = self.random.choices((2, 7, 40, 3_000, 200_000), (6, 5, 3, 1, 1))[0]
        get = op("local.get", counter)
        self._emit(const("i32", turns), op("local.set", counter), op("loop") + EMPTY)
        self._open(loop=True)
        inner = depth - 1 if turns < 100 else 0
        for _ in range(self._below(3)):
            if self.size > 0 and depth > 0:
                self._statement(inner)
        self._close()
        self._emit(get, const("i32", 1), op("i32.sub"), op("local.tee", counter))
        self._emit(op("br_if", 0), END)

    def _open(self, takes: tuple[str, ...] = (), *, loop: bool = False) -> None:
        """A label of which a branch takes these types."""
        self.labels.append(takes)
        self.loops.append(loop)

    def _close(self) -> None:
        self.labels.pop()
        self.loops.pop()

    def _label(self) -> int:
        """A label; those of loops, to which code may go back for ever, are rare."""
        depths = list(range(len(self.labels)))
        weights = [0.15 if loop else 1.0 for loop in reversed(self.loops)]
        return self.random.choices(depths, weights)[0]

    def _label_types(self, depth: int) -> tuple[str, ...]:
        return self.labels[-1 - depth]

    def _branch_if(self, depth: int) -> None:
        label = self._label()
        types = self._label_types(label)
        for type in types:
            self.expression(type, depth - 1)
        self._condition(depth)
        self._emit(op("br_if", label))
        self._drop_all(types)

    def _condition(self, depth: int) -> None:
        """Mostly false, so that code behind it is reached."""
        self.expression("i32", depth - 1)
        if self._chance(0.8):
            mask = self.random.choice((3, 7, 0xFF))
            self._emit(const("i32", mask), op("i32.and"), op("i32.eqz"))

    def _branch_table(self, depth: int) -> None:
        self._emit(op("block") + EMPTY)
        self._open()
        self._jump_by_table(depth)
        self._dead_code(depth)
        self._close()
        self._emit(END)

    def _jump_by_table(self, depth: int) -> None:
        target = self._label()
        types = self._label_types(target)
        fitting = [
            label
            for label in range(len(self.labels))
            if self._label_types(label) == types and (not self.loops[-1 - label] or label == target)
        ]
        count = self.random.choices((0, 1, 2, 5, 20, 127, 128, 300), (2, 4, 4, 4, 2, 1, 1, 1))[0]
        labels = [self.random.choice(fitting) for _ in range(count)]
        for type in types:
            self.expression(type, depth - 1)
        self.expression("i32", depth - 1)
        if count and self._chance(0.8):
            self._emit(const("i32", count + 1), op("i32.rem_u"))
        self._emit(op("br_table", count, *labels, target))

    def _leave(self, depth: int) -> None:
        """Code that never comes to its end."""
        pick = self._below(10)
        if pick < 4:
            label = self._label()
            for type in self._label_types(label):
                self.expression(type, depth - 1)
            self._emit(op("br", label))
        elif pick < 6:
            for type in self.type.results:
                self.expression(type, depth - 1)
            self._emit(op("return"))
        elif pick < 7:
            self._jump_by_table(depth)
        elif pick == 7 and self._chance(0.3):
            self._emit(op("loop") + EMPTY)
            if self._chance(0.5):
                self._set_global(1)
            self._emit(op("br", 0), END, op("unreachable"))
        else:
            self._trap(depth)
            self._emit(op("unreachable"))

    def _dead_code(self, depth: int) -> None:
        """Code behind a jump: of any type, on a stack that gives whatever is taken from it."""
        pick = self._below(6)
        if pick == 0:
            self._emit(op("i32.add"), op("drop"))
        elif pick == 1:
            self._emit(op("call", self._below(len(self.module.functions))))
            self._emit(op("unreachable"))
        elif pick == 2:
            self._emit(op("block") + EMPTY, op("br", 0), END, op("unreachable"))
        elif pick == 3:
            self._emit(op("memory.grow", 0), op("if") + EMPTY, op("else"), END)
            self._emit(op("unreachable"))
        elif pick == 4:
            self._statement(min(depth, 1))
            self._emit(op("unreachable"))

    def _guarded_leave(self, depth: int) -> None:
        self._condition(depth)
        self._emit(op("if") + EMPTY)
        self._open()
        self._leave(depth - 1)
        self._close()
        self._emit(END)

    def _guarded_trap(self, depth: int) -> None:
        if self._chance(0.1):
            self._trap(depth)
            return
        self._condition(depth)
        self._emit(op("if") + EMPTY)
        arms = self._below(3)
        if arms < 2:
            self._trap(depth)
        if arms:
            self._emit(op("else"))
            self._open()
            self._statement(min(depth, 1) - 1)
            self._close()
        self._emit(END)

    def _call(self, depth: int) -> None:
        functions = self._mostly_lower(list(range(len(self.module.functions))))
        if not functions:
            return
        function = self.random.choice(functions)
        self._call_function(function, depth)
        self._drop_all(self.module.functions[function].results)

    def _call_indirect(self, depth: int) -> None:
        tables = [i for i, type in enumerate(self.module.tables) if type == "funcref"]
        if not tables:
            return
        table = self.random.choice(tables)
        # A function's own type is likely in the table, any other type seldom.
        if self._chance(0.8):
            type = self.random.choice(self.module.functions)
        else:
            type = self.random.choice(self.module.types)
        for param in type.params:
            self.expression(param, depth - 2)
        self._index_into(table, depth)
        self._emit(op("call_indirect", self.module.type_indices[type], table))
        self._drop_all(type.results)

    def _descend(self, depth: int) -> None:  # noqa: ARG002 - one form for all
        """Recursion, to this function or another, until its first argument is 0."""
        if self.type.params[:1] != ("i32",):
            return
        partners = [i for i, t in enumerate(self.module.functions) if t.params[:1] == ("i32",)]
        function = self.index if self._chance(0.5) else self.random.choice(partners)
        type = self.module.functions[function]
        smaller = (const("i32", 1), op("i32.sub"))
        if self._chance(0.3):
            smaller = (const("i32", 1), op("i32.shr_u"))
        self._emit(op("local.get", 0), const("i32", 0), op("i32.gt_s"), op("if") + EMPTY)
        self._emit(op("local.get", 0), *smaller)
        for param in type.params[1:]:
            self._leaf(param)
        self._emit(op("call", function))
        self._drop_all(type.results)
        self._emit(END)

    def _tower(self, depth: int) -> None:
        """Blocks within blocks, and a branch out of them, by table or not."""
        height = self.random.choice((3, 10, 130, 400))
        self._emit((op("block") + EMPTY) * height)
        for _ in range(height):
            self._open()
        self.expression("i32", min(depth, 1))
        if self._chance(0.5):
            self._emit(op("br_if", self._below(height)))
        else:
            labels = [self._below(height) for _ in range(self.random.choice((2, 10, 200)))]
            self._emit(op("br_table", len(labels), *labels, self._below(height)))
        for _ in range(height):
            self._close()
            self._emit(END)
            if self._chance(0.1) and self.size > 0:
                self._drop(1)

    def _pile(self, depth: int) -> None:
        """Many operands at once."""
        height = self.random.choice((5, 40, 200, 1_500))
        type = self.random.choice(self.value_types)
        for _ in range(height):
            self._leaf(type)
        if self._chance(0.3):
            self._statement(min(depth, 1) - 1)
        for _ in range(height - 1):
            self._emit(op(f"{type}.add"))
        self._emit(op("drop"))
