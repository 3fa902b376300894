"""Read primitive values of the binary format (WebAssembly 2.0, chapter 5), never past a range."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sen_host.errors import ModuleCompilation
from sen_host.wasm.leb128 import decode_unsigned

T = TypeVar("T")

VALUE_TYPES = {
    0x7F: "i32",
    0x7E: "i64",
    0x7D: "f32",
    0x7C: "f64",
    0x7B: "v128",
    0x70: "funcref",
    0x6F: "externref",
}
REFERENCE_TYPES = {0x70: "funcref", 0x6F: "externref"}
FUNCTION_TYPE_FORM = 0x60

MAX_NAME_BYTES = 100_000

_PROPOSALS_OF_TYPES = {
    **dict.fromkeys((0x4C, 0x4D), "custom descriptors"),
    **dict.fromkeys((0x4E, 0x4F, 0x50, 0x5E, 0x5F), "garbage collection"),
    **dict.fromkeys((0x5D, 0x68, 0x75), "stack switching"),
    **dict.fromkeys((0x63, 0x64), "typed function references"),
    0x65: "shared-everything threads",
    **dict.fromkeys((0x69, 0x74), "exception handling"),
    **dict.fromkeys((0x6A, 0x6B, 0x6C, 0x6D, 0x6E), "garbage collection"),
    **dict.fromkeys((0x71, 0x72, 0x73, 0x77, 0x78), "garbage collection"),
}


def malformed(message: str, offset: int) -> ModuleCompilation:
    """The error for bytes that no version of WebAssembly gives a meaning."""
    return ModuleCompilation(
        f"the module is malformed at offset {offset:#x}: {message}", offset=offset
    )


def unsupported(what: str, proposal: str, offset: int) -> ModuleCompilation:
    """The error for what only a proposal after WebAssembly 2.0 gives a meaning."""
    return ModuleCompilation(
        f"the module uses {what} of the {proposal} proposal at offset {offset:#x}",
        hint="build the plugin for WebAssembly 2.0, without that proposal",
        offset=offset,
    )


def unknown_type(what: str, code: int, offset: int) -> ModuleCompilation:
    """The error for a type's code that WebAssembly 2.0 does not allow where it stands."""
    proposal = _PROPOSALS_OF_TYPES.get(code)
    if proposal is not None:
        return unsupported(f"a type ({code:#04x})", proposal, offset)
    return malformed(f"{code:#04x} is not a {what}", offset)


class Cursor:
    """A position in the data that cannot pass the end of its range.

    Every method raises ModuleCompilation, with the offset, for what it cannot read.
    """

    __slots__ = ("data", "end", "offset")

    def __init__(self, data: bytes, offset: int, end: int) -> None:
        self.data = data
        self.offset = offset
        self.end = end

    def byte(self) -> int:
        offset = self.offset
        if offset >= self.end:
            raise malformed("unexpected end", offset)
        self.offset = offset + 1
        return self.data[offset]

    def u32(self) -> int:
        offset = self.offset
        if offset < self.end and self.data[offset] < 0x80:
            self.offset = offset + 1
            return self.data[offset]
        try:
            value, offset = decode_unsigned(self.data, offset)
        except IndexError:
            raise malformed("unexpected end", self.offset) from None
        except ValueError as error:
            raise malformed(str(error), self.offset) from None
        if offset > self.end:
            raise malformed("unexpected end", self.offset)
        self.offset = offset
        return value

    def skip(self, count: int) -> int:
        """Step over ``count`` bytes and return where they start."""
        start = self.offset
        if count > self.end - start:
            raise malformed("unexpected end", start)
        self.offset = start + count
        return start

    def sized(self) -> tuple[int, int]:
        """Step over a length and as many bytes, and return the range of the bytes."""
        length = self.u32()
        start = self.skip(length)
        return start, start + length

    def name(self) -> str:
        offset = self.offset
        start, end = self.sized()
        if end - start > MAX_NAME_BYTES:
            raise malformed(
                f"a name of {end - start:,} bytes, at most {MAX_NAME_BYTES:,} are read", offset
            )
        try:
            return self.data[start:end].decode()
        except UnicodeDecodeError:
            raise malformed("a name is not UTF-8", start) from None

    def count(self, what: str, at_most: int | None = None) -> int:
        """Read the length of a vector whose items take at least a byte each."""
        offset = self.offset
        count = self.u32()
        if at_most is not None and count > at_most:
            raise malformed(f"{count:,} {what}, at most {at_most:,} are read", offset)
        if count > self.end - self.offset:
            raise malformed(f"{count:,} {what} do not fit", offset)
        return count

    def vector(self, item: Callable[[], T], what: str, at_most: int) -> tuple[T, ...]:
        return tuple([item() for _ in range(self.count(what, at_most))])

    def value_types(self, what: str, at_most: int | None = None) -> tuple[str, ...]:
        """Read a vector of value types."""
        count = self.count(what, at_most)
        start = self.skip(count)
        codes = self.data[start : self.offset]
        try:
            return tuple([VALUE_TYPES[code] for code in codes])
        except KeyError:
            index = next(i for i, code in enumerate(codes) if code not in VALUE_TYPES)
            raise unknown_type("value type", codes[index], start + index) from None

    def value_type(self) -> str:
        offset = self.offset
        code = self.byte()
        if code not in VALUE_TYPES:
            raise unknown_type("value type", code, offset)
        return VALUE_TYPES[code]

    def reference_type(self) -> str:
        offset = self.offset
        code = self.byte()
        if code not in REFERENCE_TYPES:
            raise unknown_type("reference type", code, offset)
        return REFERENCE_TYPES[code]
