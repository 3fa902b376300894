"""Make a failing module and its calls smaller while the backends still differ.

Everything is tried that is simple: fewer calls, smaller numbers, no segments,
empty functions, less code. What is not valid any more is no candidate, so the
trials need not know the types of what they remove.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from time import monotonic

from sen_host.backend import START
from sen_host.wasm.instructions import read_locals
from sen_host.wasm.leb128 import encode_unsigned
from sen_host.wasm.module import SECTION_ORDER
from sen_host.wasm.reader import MAGIC, VERSION, ParsedModule, SectionId, parse
from sen_host.wasm.tokens import split
from sen_host.wasm.writer import export, section, sized, vector
from sen_host_conformance.fuzz.arena import STACK_BYTES, Arena, Call, LeftOut
from sen_host_conformance.fuzz.case import difference
from sen_host_conformance.fuzz.encoding import END, const, default, op

_NO_LOCALS = b"\x00"
_OPENING = range(0x02, 0x05)
_FILLINGS: tuple[bytes, ...] = (
    b"",
    op("drop"),
    const("i32", 0),
    const("i64", 0),
    const("f32", 0),
    const("f64", 0),
)
"""What may stand in place of code that is removed."""

_SMALL = 4
"""Stretches of up to so many instructions are tried at every place."""

Calls = tuple[Call, ...]


@dataclass(frozen=True)
class _Draft:
    """A module in pieces: sections by id, and functions as locals and instructions."""

    sections: dict[int, bytes]
    functions: tuple[tuple[bytes, tuple[bytes, ...]], ...]

    @classmethod
    def of(cls, wasm: bytes) -> _Draft:
        module = parse(wasm)
        functions = []
        for start, end in module.function_bodies:
            code = read_locals(wasm, start, end)[1]
            functions.append((wasm[start:code], tuple(split(wasm, code, end))))
        sections = {item.id: wasm[item.content : item.end] for item in module.sections if item.id}
        return cls(sections, tuple(functions))

    def binary(self) -> bytes:
        code = vector(sized(locals + b"".join(tokens)) for locals, tokens in self.functions)
        contents = {**self.sections, int(SectionId.CODE): code}
        written = (section(id, contents[id]) for id in SECTION_ORDER if id in contents)
        return MAGIC + VERSION + b"".join(written)

    def without(self, id: SectionId) -> _Draft:
        return replace(self, sections={k: v for k, v in self.sections.items() if k != id})

    def with_section(self, id: SectionId, content: bytes) -> _Draft:
        return replace(self, sections={**self.sections, int(id): content})

    def with_tokens(self, index: int, tokens: Sequence[bytes]) -> _Draft:
        return self.with_function(index, self.functions[index][0], tokens)

    def with_function(self, index: int, locals: bytes, tokens: Sequence[bytes]) -> _Draft:
        functions = list(self.functions)
        functions[index] = locals, tuple(tokens)
        return replace(self, functions=tuple(functions))


def shrink(
    arena: Arena, wasm: bytes, calls: Sequence[Call], *, seconds: float = 60
) -> tuple[bytes, Calls]:
    """A smaller module and fewer calls that differ in the same field.

    Args:
        seconds: time after which no more is tried.

    Raises:
        ValueError: the backends do not differ on these calls.
    """
    found = difference(arena, wasm, calls)
    if found is None:
        raise ValueError("the backends do not differ on these calls")
    shrinker = _Shrinker(arena, wasm, tuple(calls), found.field, monotonic() + seconds)
    shrinker.run()
    return shrinker.draft.binary(), shrinker.calls


class _Shrinker:
    def __init__(
        self, arena: Arena, wasm: bytes, calls: Calls, field: str, deadline: float
    ) -> None:
        self.arena = arena
        self.field = field
        self.deadline = deadline
        self.calls = calls
        self.draft = _Draft.of(wasm)

    def run(self) -> None:
        self.fewer_calls()
        self.no_exports()
        while monotonic() < self.deadline:
            before = self.draft, self.calls
            self.smaller_module()
            for index in range(len(self.draft.functions)):
                self.less_code(index)
            self.fewer_calls()
            self.smaller_calls()
            if before == (self.draft, self.calls):
                return

    def accept(self, draft: _Draft, calls: Calls | None = None) -> bool:
        """Go on with these if they differ as well."""
        calls = self.calls if calls is None else calls
        if monotonic() > self.deadline or (draft, calls) == (self.draft, self.calls):
            return False
        try:
            found = difference(self.arena, draft.binary(), calls)
        except LeftOut:
            return False
        if found is None or found.field != self.field:
            return False
        self.draft, self.calls = draft, calls
        return True

    # --- calls -----------------------------------------------------------

    def fewer_calls(self) -> None:
        if self.accept(self.draft, self.calls[-1:]):
            return
        size = len(self.calls) // 2
        while size:
            start = 0
            while start < len(self.calls) - 1:
                end = min(start + size, len(self.calls) - 1)
                if not self.accept(self.draft, self.calls[:start] + self.calls[end:]):
                    start = end
            size //= 2

    def smaller_calls(self) -> None:
        for index, call in enumerate(self.calls):
            self._number(index, lambda call, _: call._replace(stack=STACK_BYTES), (0,))
            self._number(index, lambda call, fuel: call._replace(fuel=fuel), _lower(call.fuel))
            for position, argument in enumerate(call.arguments):

                def put(call: Call, value: int, at: int = position) -> Call:
                    values = (*call.arguments[:at], value, *call.arguments[at + 1 :])
                    return call._replace(arguments=values)

                self._number(index, put, _lower(argument))

    def _number(
        self, index: int, put: Callable[[Call, int], Call], candidates: Sequence[int]
    ) -> None:
        for value in candidates:
            call = put(self.calls[index], value)
            if self.accept(self.draft, (*self.calls[:index], call, *self.calls[index + 1 :])):
                return

    # --- the module ------------------------------------------------------

    def no_exports(self) -> None:
        """Leave the memory and what is called."""
        module = parse(self.draft.binary())
        names = {call.function for call in self.calls}
        kept = [
            export(item.name, item.kind, item.index)
            for item in module.exports
            if item.kind == "memory" or item.name in names
        ]
        self.accept(self.draft.with_section(SectionId.EXPORT, vector(kept)))

    def smaller_module(self) -> None:
        self.no_exports()
        for id in (SectionId.START, SectionId.ELEMENT, SectionId.GLOBAL, SectionId.TABLE):
            if id in self.draft.sections and not (id == SectionId.START and self._starts()):
                self.accept(self.draft.without(id))
        self.accept(self.draft.without(SectionId.DATA).without(SectionId.DATA_COUNT))
        module = parse(self.draft.binary())
        for index, type in enumerate(module.functions):
            results = [default(name) for name in module.types[type].results]
            for tokens in ([op("unreachable"), END], [*results, END]):
                if len(tokens) < len(self.draft.functions[index][1]) and self.accept(
                    self.draft.with_function(index, _NO_LOCALS, tokens)
                ):
                    break
        while len(self.draft.functions) > 1 and self.accept(self._without_last(module)):
            module = parse(self.draft.binary())

    def _starts(self) -> bool:
        return any(call.function == START for call in self.calls)

    def _without_last(self, module: ParsedModule) -> _Draft:
        """A last function that nothing names can go."""
        types = vector(map(encode_unsigned, module.functions[:-1]))
        draft = replace(self.draft, functions=self.draft.functions[:-1])
        return draft.with_section(SectionId.FUNCTION, types)

    def less_code(self, index: int) -> None:
        self.accept(self.draft.with_function(index, _NO_LOCALS, self.draft.functions[index][1]))
        size = len(self.draft.functions[index][1]) // 2
        while size:
            start = 0
            while start < len(self.draft.functions[index][1]) - 1:
                if monotonic() > self.deadline:
                    return
                if not self._less_at(index, start, size):
                    start += size if size > _SMALL else 1
            size = size // 2 if size > _SMALL else size - 1

    def _less_at(self, index: int, start: int, size: int) -> bool:
        tokens = self.draft.functions[index][1]
        end = min(start + size, len(tokens) - 1)
        for filling in _FILLINGS:
            if len(filling) and end - start <= 1 and tokens[start] in _FILLINGS:
                break
            middle = (filling,) if filling else ()
            if self.accept(self.draft.with_tokens(index, tokens[:start] + middle + tokens[end:])):
                return True
        if size == 1 and tokens[start][0] in _OPENING:
            return any(
                self.accept(self.draft.with_tokens(index, shorter))
                for shorter in _without_construct(tokens, start)
            )
        return False


def _lower(value: int) -> list[int]:
    """Smaller numbers, the smallest first."""
    found = {0, 1, 2, value // 16, value // 2, value - value // 8, value - 1}
    return sorted(number for number in found if 0 <= number < value)


def _without_construct(tokens: Sequence[bytes], start: int) -> Iterator[tuple[bytes, ...]]:
    """The tokens without a construct, with one of its arms, and with its inside."""
    depth = 0
    otherwise = None
    for position in range(start, len(tokens)):
        opcode = tokens[position][0]
        if opcode in _OPENING:
            depth += 1
        elif opcode == op("else")[0] and depth == 1:
            otherwise = position
        elif opcode == END[0]:
            depth -= 1
            if depth == 0:
                break
    before, inside, after = tokens[:start], tokens[start + 1 : position], tokens[position + 1 :]
    fillings: list[tuple[bytes, ...]] = [()] + [(filling,) for filling in _FILLINGS[1:]]
    for filling in fillings:
        yield (*before, *filling, *after)
    if otherwise is not None:
        split_at = otherwise - start - 1
        yield (*before, op("drop"), *inside[:split_at], *after)
        yield (*before, op("drop"), *inside[split_at + 1 :], *after)
    else:
        yield (*before, *inside, *after)
        yield (*before, op("drop"), *inside, *after)


def instruction_count(wasm: bytes) -> int:
    """How many instructions the functions of a module have, the last ends left out."""
    return sum(len(tokens) - 1 for _, tokens in _Draft.of(wasm).functions)
