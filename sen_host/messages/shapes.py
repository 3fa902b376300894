"""The shapes of values on the wire: how each is read and written.

A shape does both directions, side by side, and knows nothing of the message
it is part of. What it accepts is what the Rust decoder accepts (serde with
rmp-serde), which is not the same for every kind of value:

* a text may come as bytes, a single character may not;
* a struct is a map by field name or index, or an array by position, in which
  a missing tail takes the defaults; unknown keys are passed over;
* an enum is a map of one entry ``{variant: payload}``; a variant without a
  payload may stand alone, as a name or an index;
* names may be text or bytes, indices must be encoded as unsigned integers;
* nil is only good for an optional value.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from sen_host.messages.reader import IDENTIFIERS, Fault, Reader, Writer, mismatch
from sen_host.records import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Final, TypeVar

    _S = TypeVar("_S", bound=Sequence[Any])

_new = object.__new__

_SHIFT_HINT = "in array form a field left out shifts those behind it; send structs as maps"

MISSING: Final = object()
"""Stands for "no default": the field is required."""


class Shape(ABC):
    """One kind of value on the wire."""

    @abstractmethod
    def decode(self, reader: Reader) -> Any:
        """Read the next value. Raises Fault."""

    @abstractmethod
    def encode(self, value: Any, writer: Writer) -> Any:
        """The value as msgpack packs it. Raises Fault."""


class Text(Shape):
    """A str: UTF-8 on the wire, as text or as bytes."""

    def decode(self, reader: Reader) -> str:
        kind, value = reader.scalar()
        if kind == "str" or kind == "bin":
            return _utf8(value)
        hint = None
        if kind == "nil":
            hint = "nil stands only for an absent optional value; send an empty text instead"
        raise mismatch("a text", kind, hint=hint)

    def encode(self, value: Any, writer: Writer) -> str:  # noqa: ARG002
        if not isinstance(value, str):
            raise _wrong_type("a str", value)
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError as error:
                raise Fault(
                    f"the text has a lone surrogate at position {error.start},"
                    " which UTF-8 cannot hold"
                ) from None
        return value


class Char(Shape):
    """A str of one Unicode scalar value. Bytes will not do on the wire."""

    def decode(self, reader: Reader) -> str:
        kind, value = reader.scalar()
        if kind != "str":
            raise mismatch("one character, as a text", kind)
        text = _utf8(value)
        if len(text) != 1:
            raise Fault(f"expected one character, got {len(text):,}")
        return text

    def encode(self, value: Any, writer: Writer) -> str:
        text = TEXT.encode(value, writer)
        if len(text) != 1:
            raise Fault(f"expected one character, got {len(text):,}")
        return text


class Flag(Shape):
    """A bool."""

    def decode(self, reader: Reader) -> bool:
        kind, value = reader.scalar()
        if kind != "bool":
            raise mismatch("a bool", kind)
        flag: bool = value
        return flag

    def encode(self, value: Any, writer: Writer) -> bool:  # noqa: ARG002
        if not isinstance(value, bool):
            raise _wrong_type("a bool", value)
        return value


class Unsigned(Shape):
    """An int of so many bits, in any integer encoding."""

    def __init__(self, bits: int) -> None:
        self._high = 2**bits - 1
        self._expected = f"an integer from 0 to {self._high:,}"

    def decode(self, reader: Reader) -> int:
        kind, value = reader.scalar()
        if kind != "uint" and kind != "int":
            raise mismatch(self._expected, kind)
        return self._in_range(value)

    def encode(self, value: Any, writer: Writer) -> int:  # noqa: ARG002
        if not isinstance(value, int) or isinstance(value, bool):
            raise _wrong_type(self._expected, value)
        return self._in_range(value)

    def _in_range(self, value: int) -> int:
        if 0 <= value <= self._high:
            return value
        # Python refuses to print integers of thousands of digits.
        got = f"{value:,}" if value.bit_length() <= 128 else f"one of {value.bit_length():,} bits"
        raise Fault(f"expected {self._expected}, got {got}")


class Option(Shape):
    """A value or nil."""

    def __init__(self, inner: Shape) -> None:
        self._inner = inner

    def decode(self, reader: Reader) -> Any:
        if reader.kind() == "nil":
            return reader.scalar()[1]
        return self._inner.decode(reader)

    def encode(self, value: Any, writer: Writer) -> Any:
        return None if value is None else self._inner.encode(value, writer)


class ListOf(Shape):
    """A tuple of values of one shape; an array on the wire."""

    def __init__(self, element: Shape) -> None:
        self._element = element

    def decode(self, reader: Reader) -> tuple[Any, ...]:
        kind = reader.kind()
        if kind != "array":
            hint = None
            if kind == "map" and isinstance(self._element, Pair):
                hint = "send a list of [name, value] pairs"
            raise mismatch("an array", kind, hint=hint)
        length = reader.enter_array()
        values = []
        decode = self._element.decode
        try:
            for _ in range(length):
                values.append(decode(reader))  # noqa: PERF401 - its length names the fault
        except Fault as fault:
            raise fault.within(f"[{len(values)}]") from None
        reader.leave()
        return tuple(values)

    def encode(self, value: Any, writer: Writer) -> list[Any]:
        if not isinstance(value, (tuple, list)):
            raise _wrong_type("a tuple or list", value)
        writer.enter(len(value))
        encoded: list[Any] = []
        try:
            for element in value:
                encoded.append(self._element.encode(element, writer))  # noqa: PERF401
        except Fault as fault:
            raise fault.within(f"[{len(encoded)}]") from None
        writer.leave()
        return encoded


class Pair(ListOf):
    """A tuple of two str; an array of exactly two on the wire."""

    def __init__(self) -> None:
        super().__init__(TEXT)

    def decode(self, reader: Reader) -> tuple[Any, ...]:
        return self._checked(super().decode(reader))

    def encode(self, value: Any, writer: Writer) -> list[Any]:
        return self._checked(super().encode(value, writer))

    def _checked(self, pair: _S) -> _S:
        if len(pair) != 2:
            raise Fault(f"expected two texts, got {len(pair):,}")
        return pair


@record(frozen=True, slots=True)
class Field:
    """One field of a struct.

    ``default`` is MISSING if the field is required. With ``omit_default`` the
    encoder leaves the field out where it has its default (an empty list
    counts as one); in array form that shifts the fields behind it, which is
    what the SDKs do too.
    """

    name: str
    shape: Shape
    default: object = MISSING
    omit_default: bool = False

    def is_omitted(self, value: object) -> bool:
        if not self.omit_default:
            return False
        return not value if isinstance(value, (tuple, list)) else value == self.default


class Struct(Shape):
    """A record; a map by field name or an array by position on the wire.

    ``text_hint`` is the hint for a sender that sends a bare text instead. The
    fields are filled in after construction, because structs can nest themselves.
    """

    def __init__(self, type_: type[Any], *, text_hint: str | None = None) -> None:
        self._type = type_
        self._setters = [vars(type_)[name].__set__ for name in type_.__match_args__]
        self._text_hint = text_hint
        self._fields: tuple[Field, ...] = ()
        self._index: dict[bytes | int, int] = {}

    def fill(self, fields: Sequence[Field]) -> None:
        self._fields = tuple(fields)
        for index, field in enumerate(fields):
            self._index[field.name.encode()] = self._index[index] = index

    def decode(self, reader: Reader) -> Any:
        kind = reader.kind()
        if kind == "map":
            values = self._decode_map(reader)
        elif kind == "array":
            values = self._decode_array(reader)
        else:
            names = ", ".join(field.name for field in self._fields)
            hint = self._text_hint if kind == "str" else None
            raise mismatch(f"a map or an array of {{{names}}}", kind, hint=hint)
        for index, value in enumerate(values):
            if value is MISSING:
                field = self._fields[index]
                if field.default is MISSING:
                    raise Fault("is missing").within(f".{field.name}")
                values[index] = field.default
        reader.leave()
        # What the constructor does, without looking at how it was called.
        made = _new(self._type)
        for set_field, value in zip(self._setters, values):  # noqa: B905 - hot
            set_field(made, value)
        return made

    def _decode_map(self, reader: Reader) -> list[Any]:
        values: list[Any] = [MISSING] * len(self._fields)
        for _ in range(reader.enter_map()):
            kind, key = reader.scalar()
            if kind not in IDENTIFIERS:
                raise mismatch("a field name as key", kind, hint="name the fields by text")
            index = self._index.get(key)
            if index is None:
                reader.skip()
                continue
            field = self._fields[index]
            if values[index] is not MISSING:
                raise Fault("is given twice").within(f".{field.name}")
            try:
                values[index] = field.shape.decode(reader)
            except Fault as fault:
                raise fault.within(f".{field.name}") from None
        return values

    def _decode_array(self, reader: Reader) -> list[Any]:
        length = reader.enter_array()
        if length > len(self._fields):
            raise Fault(f"expected at most {len(self._fields)} elements, got {length:,}")
        values: list[Any] = [MISSING] * len(self._fields)
        for index in range(length):
            field = self._fields[index]
            try:
                values[index] = field.shape.decode(reader)
            except Fault as fault:
                if any(other.omit_default for other in self._fields[: index + 1]):
                    fault.hint = fault.hint or _SHIFT_HINT
                raise fault.within(f".{field.name}") from None
        return values

    def encode(self, value: Any, writer: Writer) -> dict[str, Any] | list[Any]:
        if not isinstance(value, self._type):
            raise _wrong_type(self._type.__name__, value)
        writer.enter(len(self._fields))
        encoded: dict[str, Any] = {}
        for field in self._fields:
            part = getattr(value, field.name)
            if field.is_omitted(part):
                continue
            try:
                encoded[field.name] = field.shape.encode(part, writer)
            except Fault as fault:
                raise fault.within(f".{field.name}") from None
        writer.leave()
        return encoded if writer.named else list(encoded.values())


class Newtype(Shape):
    """A record with one field, which alone is on the wire."""

    def __init__(self, type_: Callable[[Any], Any], field: str, inner: Shape) -> None:
        self._type = type_
        self._field = field
        self._inner = inner

    def decode(self, reader: Reader) -> Any:
        return self._type(self._inner.decode(reader))

    def encode(self, value: Any, writer: Writer) -> Any:
        return self._inner.encode(getattr(value, self._field), writer)


@record(frozen=True, slots=True)
class Variant:
    """One variant of an enum: ``type_`` with a payload, or ``unit``, a value without."""

    tag: str
    type_: type[Any]
    payload: Shape | None = None
    unit: object = None

    def owns(self, value: object) -> bool:
        return value == self.unit if self.payload is None else isinstance(value, self.type_)


class Enumeration(Shape):
    """One of several variants."""

    def __init__(self, name: str, variants: Sequence[Variant]) -> None:
        self._name = name
        self._variants = tuple(variants)
        self._lookup: dict[bytes | int, Variant] = {}
        for index, variant in enumerate(variants):
            self._lookup[variant.tag.encode()] = self._lookup[index] = variant

    def decode(self, reader: Reader) -> Any:
        kind, key = reader.scalar()
        if kind in IDENTIFIERS:
            variant = self._variant(key)
            if variant.payload is None:
                return variant.unit
            raise Fault(
                f"{variant.tag!r} stands alone, without its payload",
                hint=f"send a map of one entry, {{{variant.tag!r}: payload}}",
            )
        if kind != "map":
            raise mismatch(f"a map of one entry {{variant: payload}} ({self._tags()})", kind)
        length = reader.enter_map()
        if length != 1:
            raise Fault(f"expected a map of one entry {{variant: payload}}, got {length:,} entries")
        kind, key = reader.scalar()
        if kind not in IDENTIFIERS:
            raise mismatch(f"a variant as key ({self._tags()})", kind)
        variant = self._variant(key)
        try:
            value = self._payload(variant, reader)
        except Fault as fault:
            raise fault.within(f".{variant.tag}") from None
        reader.leave()
        return value

    def _payload(self, variant: Variant, reader: Reader) -> Any:
        if variant.payload is not None:
            return variant.payload.decode(reader)
        kind, _ = reader.scalar()
        if kind != "nil":
            raise mismatch("nil, as the variant has no payload", kind)
        return variant.unit

    def _variant(self, key: bytes | int) -> Variant:
        variant = self._lookup.get(key)
        if variant is not None:
            return variant
        if isinstance(key, int):
            raise Fault(f"there is no variant number {key:,}; there are {self._tags()}")
        name = key.decode(errors="backslashreplace")
        hint = None
        for variant in self._variants:
            if variant.tag.lower() == name.lower():
                hint = f"names are case-sensitive: send {variant.tag!r}"
        shown = name if len(name) <= 40 else f"{name[:40]}..."
        raise Fault(f"unknown variant {shown!r}; there are {self._tags()}", hint=hint)

    def _tags(self) -> str:
        return ", ".join(variant.tag for variant in self._variants)

    def encode(self, value: Any, writer: Writer) -> Any:
        for variant in self._variants:
            if variant.owns(value):
                break
        else:
            raise _wrong_type(f"a variant of {self._name}", value)
        if variant.payload is None:
            return variant.tag
        try:
            return {variant.tag: variant.payload.encode(value, writer)}
        except Fault as fault:
            raise fault.within(f".{variant.tag}") from None


def _utf8(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise Fault(f"the text is not valid UTF-8 at byte {error.start:,}") from None


def _wrong_type(expected: str, value: object) -> Fault:
    return Fault(f"expected {expected}, got {type(value).__name__}")


TEXT = Text()
