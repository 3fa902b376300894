"""A cursor over one MessagePack message, on top of msgpack's streaming unpacker.

The decoder asks for the kind of the next value *before* it reads it, because
the wire's rules depend on things that a finished Python object no longer
shows: text or bytes, a signed or an unsigned integer, a key given twice.
Values that nobody asked for are skipped without being built, so a hostile
message cannot make the host allocate more than its typed values need.
"""

from __future__ import annotations

from msgpack import OutOfData, StackError, Unpacker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal, TypeVar

    Kind = Literal[
        "nil", "bool", "uint", "int", "float", "str", "bin", "array", "map", "ext", "reserved"
    ]
    """The kind of a MessagePack value. ``uint`` and ``int`` tell the encodings
    apart, not the values: 1 may be written either way."""

    _T = TypeVar("_T")

MAX_DEPTH = 128
"""Deepest nesting of the typed containers of a message: maps and arrays that
hold fields or elements. It allows 63 levels of subcommands, 62 if the
deepest has arguments. Values under unknown keys are not typed; msgpack itself
stops at 1,024 levels in them."""

MAX_ELEMENTS = 1 << 20
"""Most map entries and array elements that the typed containers of one message
may declare, all together. It bounds the time and the memory of a decode."""

IDENTIFIERS = frozenset({"str", "bin", "uint"})
"""The kinds that can name a field or a variant: by text or by index."""

_SCALARS = frozenset({"nil", "bool", "uint", "int", "str", "bin"})

_DESCRIPTIONS: dict[Kind, str] = {
    "nil": "nil",
    "bool": "a bool",
    "uint": "an integer",
    "int": "a signed integer",
    "float": "a float",
    "str": "a text",
    "bin": "bytes",
    "array": "an array",
    "map": "a map",
    "ext": "an extension value",
    "reserved": "the byte 0xc1, which MessagePack reserves",
}

_CUT_OFF = "the message is cut off"

# The markers 0x00 to 0xff in runs of one kind.
_RUNS: tuple[tuple[Kind, int], ...] = (
    *(("uint", 0x80), ("map", 0x10), ("array", 0x10), ("str", 0x20)),
    *(("nil", 1), ("reserved", 1), ("bool", 2), ("bin", 3), ("ext", 3), ("float", 2)),
    *(("uint", 4), ("int", 4), ("ext", 5), ("str", 3), ("array", 2), ("map", 2)),
    ("int", 0x20),
)
_KIND_OF_MARKER = tuple(kind for kind, count in _RUNS for _ in range(count))


class Fault(Exception):
    """What is wrong with a message, and where; the codec makes the public error of it.

    ``steps`` leads to the fault from the inside out: each shape on the way
    adds its own step while the exception passes.
    """

    def __init__(self, reason: str, *, hint: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint
        self.steps: list[str] = []

    def within(self, step: str) -> Fault:
        self.steps.append(step)
        return self

    @property
    def path(self) -> str:
        return "".join(reversed(self.steps)).removeprefix(".")


def mismatch(expected: str, kind: Kind, *, hint: str | None = None) -> Fault:
    """The fault of a value that is of another kind than the wire asks for."""
    if kind == "nil" and hint is None:
        hint = "nil stands only for an absent optional value; leave the field out instead"
    return Fault(f"expected {expected}, got {_DESCRIPTIONS[kind]}", hint=hint)


class Reader:
    """Reads one message from front to back. Every method may raise Fault."""

    __slots__ = ("_data", "_depth", "_elements", "_size", "_tell", "_unpack", "_unpacker")

    def __init__(self, data: bytes) -> None:
        if not data:
            raise Fault("the message is empty")
        self._data = data
        self._size = len(data)
        self._unpacker = Unpacker(raw=True, max_buffer_size=len(data))
        self._unpacker.feed(data)
        self._tell: Callable[[], int] = self._unpacker.tell
        self._unpack: Callable[[], Any] = self._unpacker.unpack
        self._depth = 0
        self._elements = 0

    def kind(self) -> Kind:
        """The kind of the next value, which stays unread."""
        try:
            return _KIND_OF_MARKER[self._data[self._tell()]]
        except IndexError:
            raise Fault(_CUT_OFF) from None

    def scalar(self) -> tuple[Kind, Any]:
        """Kind and value of the next value, if it is nil, a bool, an integer,
        a text or bytes; text and bytes both come as bytes. Anything else stays
        unread, with None for its value.
        """
        try:
            kind = _KIND_OF_MARKER[self._data[self._tell()]]
            return kind, self._unpack() if kind in _SCALARS else None
        except (IndexError, OutOfData, ValueError):
            # ValueError: msgpack without its C extension compares a declared
            # length with the whole buffer before it looks at what is there.
            raise Fault(_CUT_OFF) from None

    def skip(self) -> None:
        """Pass over the next value, whatever it is."""
        self._read(self._unpacker.skip)

    def enter_array(self) -> int:
        """The number of elements of the array that follows; leave() ends it."""
        return self._enter(self._read(self._unpacker.read_array_header))

    def enter_map(self) -> int:
        """The number of entries of the map that follows; leave() ends it."""
        return self._enter(self._read(self._unpacker.read_map_header))

    def leave(self) -> None:
        self._depth -= 1

    def _enter(self, length: int) -> int:
        left = self._size - self._tell()
        if length > left:
            raise Fault(f"declares {length:,} elements, but the message ends after {left:,} bytes")
        self._elements += length
        if self._elements > MAX_ELEMENTS:
            raise Fault(f"the message has more than {MAX_ELEMENTS:,} elements")
        self._depth += 1
        # An empty one is where nesting ends. Whether it is written or left out must not
        # matter, or what was decoded could not be encoded.
        if length and self._depth > MAX_DEPTH:
            raise Fault(f"nested deeper than {MAX_DEPTH} levels")
        return length

    def _read(self, operation: Callable[[], _T]) -> _T:
        try:
            return operation()
        except OutOfData:
            raise Fault(_CUT_OFF) from None
        except StackError:
            raise Fault("an unknown value in it is nested too deeply") from None
        except ValueError as error:
            raise Fault(f"not valid MessagePack ({error})") from None


class Writer:
    """The choices of one encoding: the form of structs, and how deep it may go."""

    __slots__ = ("_depth", "named")

    def __init__(self, *, named: bool) -> None:
        self.named = named
        self._depth = 0

    def enter(self, length: int) -> None:
        self._depth += 1
        if length and self._depth > MAX_DEPTH:
            raise Fault(f"nested deeper than {MAX_DEPTH} levels")

    def leave(self) -> None:
        self._depth -= 1
