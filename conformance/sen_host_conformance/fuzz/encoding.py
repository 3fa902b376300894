"""Write modules of WebAssembly 2.0: instructions by name, and modules from their parts."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

from sen_host.backend import FuncType
from sen_host.wasm.leb128 import encode_signed, encode_unsigned
from sen_host.wasm.operators import OPERATORS
from sen_host.wasm.reader import MAGIC, VERSION, SectionId
from sen_host.wasm.writer import TYPE_CODES, function_type, section, sized, vector

END = b"\x0b"
EMPTY = b"\x40"
"""The block type of a block that takes and gives nothing."""


def _opcode(code: int) -> bytes:
    prefix, sub = divmod(code, 1 << 16)
    return bytes((prefix,)) + encode_unsigned(sub) if prefix else bytes((code,))


# The name "select" stands for two operators; the later one has its types written out.
_OPCODES = {operator.name: _opcode(operator.code) for operator in OPERATORS.values()}
_OPCODES["select"] = b"\x1b"
TYPED_SELECT = b"\x1c\x01"


def op(name: str, *immediates: int) -> bytes:
    """An instruction; immediates are unsigned integers."""
    return _OPCODES[name] + b"".join(map(encode_unsigned, immediates))


def const(type: str, value: int) -> bytes:
    """A constant of a number type, floats by their bits."""
    if type == "i32":
        return b"\x41" + encode_signed((value & 0xFFFF_FFFF ^ 1 << 31) - (1 << 31))
    if type == "i64":
        return b"\x42" + encode_signed((value & (1 << 64) - 1 ^ 1 << 63) - (1 << 63))
    if type == "f32":
        return b"\x43" + struct.pack("<I", value & 0xFFFF_FFFF)
    return b"\x44" + struct.pack("<Q", value & (1 << 64) - 1)


def default(type: str) -> bytes:
    """The instruction for zero, or for null."""
    if type in ("funcref", "externref"):
        return op("ref.null") + TYPE_CODES[type]
    return const(type, 0)


def body(declarations: Iterable[tuple[int, str]], code: bytes) -> bytes:
    """A function body from its locals, as (count, type), and its code with the last end."""
    locals = vector(encode_unsigned(count) + TYPE_CODES[type] for count, type in declarations)
    return locals + code


@dataclass
class Parts:
    """The parts of a module, encoded item by item, except for types."""

    types: list[FuncType] = field(default_factory=list)
    functions: list[int] = field(default_factory=list)
    tables: list[bytes] = field(default_factory=list)
    memories: list[bytes] = field(default_factory=list)
    globals: list[bytes] = field(default_factory=list)
    exports: list[bytes] = field(default_factory=list)
    start: int | None = None
    elements: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    data: list[bytes] = field(default_factory=list)

    def binary(self) -> bytes:
        return b"".join(
            (
                MAGIC,
                VERSION,
                section(SectionId.TYPE, vector(map(function_type, self.types))),
                section(SectionId.FUNCTION, vector(map(encode_unsigned, self.functions))),
                section(SectionId.TABLE, vector(self.tables)),
                section(SectionId.MEMORY, vector(self.memories)),
                section(SectionId.GLOBAL, vector(self.globals)),
                section(SectionId.EXPORT, vector(self.exports)),
                b""
                if self.start is None
                else section(SectionId.START, encode_unsigned(self.start)),
                section(SectionId.ELEMENT, vector(self.elements)),
                section(SectionId.DATA_COUNT, encode_unsigned(len(self.data))),
                section(SectionId.CODE, vector(map(sized, self.bodies))),
                section(SectionId.DATA, vector(self.data)),
            )
        )
