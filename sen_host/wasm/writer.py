"""Write parts of a binary module (WebAssembly 2.0, chapter 5)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sen_host.backend import FuncType
from sen_host.wasm.cursor import FUNCTION_TYPE_FORM, VALUE_TYPES
from sen_host.wasm.leb128 import decode_unsigned, encode_unsigned
from sen_host.wasm.module import EXTERN_KINDS

TYPE_CODES = {name: bytes((code,)) for code, name in VALUE_TYPES.items()}
"""Value types by name."""

MUTABLE_I64_ZERO = b"\x7e\x01\x42\x00\x0b"
"""A mutable global of type i64 that starts at zero."""


def vector(items: Iterable[bytes]) -> bytes:
    """A vector of encoded items."""
    listed = list(items)
    return encode_unsigned(len(listed)) + b"".join(listed)


def longer(content: bytes, items: Sequence[bytes]) -> bytes:
    """A vector with more items at its end."""
    count, start = decode_unsigned(content, 0)
    return encode_unsigned(count + len(items)) + content[start:] + b"".join(items)


def sized(content: bytes) -> bytes:
    """A vector of bytes: their number, then the bytes."""
    return encode_unsigned(len(content)) + content


def section(id: int, content: bytes) -> bytes:
    """A section."""
    return bytes((id,)) + sized(content)


def name(text: str) -> bytes:
    """A name."""
    return sized(text.encode())


def function_type(type: FuncType) -> bytes:
    """A function type."""
    params, results = (vector(TYPE_CODES[name] for name in names) for names in type)
    return bytes((FUNCTION_TYPE_FORM,)) + params + results


def limits(minimum: int, maximum: int | None) -> bytes:
    """Limits of a memory, in pages, or a table, in elements."""
    if maximum is None:
        return b"\x00" + encode_unsigned(minimum)
    return b"\x01" + encode_unsigned(minimum) + encode_unsigned(maximum)


def export(text: str, kind: str, index: int) -> bytes:
    """An export; ``kind`` is one of EXTERN_KINDS."""
    return name(text) + bytes((EXTERN_KINDS.index(kind),)) + encode_unsigned(index)
