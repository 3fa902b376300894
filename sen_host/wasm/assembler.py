"""WebAssembly code as Python expressions: as much of it as hosts add to modules.

Every helper returns the bytes of operators, operands first, so that nested
calls read like folded WebAssembly text::

    if_(i32_eqz(get(n)), return_(i32(0)))
"""

from __future__ import annotations

from sen_host.wasm.leb128 import encode_signed, encode_unsigned

_BLOCK = b"\x02\x40"
_LOOP = b"\x03\x40"
_IF = b"\x04\x40"
_END = b"\x0b"
_VALUE_TYPES = {"i32": b"\x7f", "i64": b"\x7e"}


def function(locals: tuple[str, ...], *code: bytes) -> bytes:
    """A function body. Locals are numbered behind the parameters."""
    declared = b"".join(b"\x01" + _VALUE_TYPES[type] for type in locals)
    return encode_unsigned(len(locals)) + declared + b"".join(code) + _END


def i32(value: int) -> bytes:
    return b"\x41" + encode_signed(value)


def i64(value: int) -> bytes:
    return b"\x42" + encode_signed(value)


def get(local: int) -> bytes:
    return b"\x20" + encode_unsigned(local)


def set_(local: int, value: bytes) -> bytes:
    return value + b"\x21" + encode_unsigned(local)


def global_get(index: int) -> bytes:
    return b"\x23" + encode_unsigned(index)


def global_set(index: int, value: bytes) -> bytes:
    return value + b"\x24" + encode_unsigned(index)


def call(index: int, *arguments: bytes) -> bytes:
    return b"".join(arguments) + b"\x10" + encode_unsigned(index)


def drop(value: bytes) -> bytes:
    return value + b"\x1a"


def return_(value: bytes = b"") -> bytes:
    return value + b"\x0f"


def br(depth: int) -> bytes:
    return b"\x0c" + encode_unsigned(depth)


def br_if(depth: int, condition: bytes) -> bytes:
    return condition + b"\x0d" + encode_unsigned(depth)


def br_table(selector: bytes, labels: list[int], default: int) -> bytes:
    targets = b"".join(map(encode_unsigned, labels))
    return selector + b"\x0e" + encode_unsigned(len(labels)) + targets + encode_unsigned(default)


def block(*code: bytes) -> bytes:
    return _BLOCK + b"".join(code) + _END


def loop(*code: bytes) -> bytes:
    return _LOOP + b"".join(code) + _END


def if_(condition: bytes, then: bytes, otherwise: bytes = b"") -> bytes:
    alternative = b"\x05" + otherwise if otherwise else b""
    return condition + _IF + then + alternative + _END


def select(condition: bytes, yes: bytes, no: bytes) -> bytes:
    return yes + no + condition + b"\x1b"


def switch(selector: bytes, cases: list[bytes], default: bytes) -> bytes:
    """Run the case of that number, and no other."""
    count = len(cases)
    parts = [_BLOCK * (count + 2), br_table(selector, list(range(count)), count), _END]
    for position, case in enumerate(cases):
        parts += [case, br(count - position), _END]
    return b"".join((*parts, default, _END))


UNREACHABLE = b"\x00"
I32_WRAP_I64 = b"\xa7"
I64_EXTEND_I32_U = b"\xad"


def i32_eqz(value: bytes) -> bytes:
    return value + b"\x45"


def i32_lt_u(left: bytes, right: bytes) -> bytes:
    return left + right + b"\x49"


def i32_le_u(left: bytes, right: bytes) -> bytes:
    return left + right + b"\x4d"


def i32_add(left: bytes, right: bytes) -> bytes:
    return left + right + b"\x6a"


def i32_sub(left: bytes, right: bytes) -> bytes:
    return left + right + b"\x6b"


def i32_and(left: bytes, right: bytes) -> bytes:
    return left + right + b"\x71"


def i32_or(left: bytes, right: bytes) -> bytes:
    return left + right + b"\x72"


def i64_le_u(left: bytes, right: bytes) -> bytes:
    return left + right + b"\x58"


def i64_lt_s(left: bytes, right: bytes) -> bytes:
    return left + right + b"\x53"


def i64_add(left: bytes, right: bytes) -> bytes:
    return left + right + b"\x7c"


def i64_shl(left: bytes, right: bytes) -> bytes:
    return left + right + b"\x86"


def i64_shr_u(left: bytes, right: bytes) -> bytes:
    return left + right + b"\x88"


def i32_wrap_i64(value: bytes) -> bytes:
    return value + I32_WRAP_I64


def i64_extend_i32_u(value: bytes) -> bytes:
    return value + I64_EXTEND_I32_U


def memory_pages() -> bytes:
    """``memory.size`` of the first memory."""
    return b"\x3f\x00"


class Memory:
    """Operators on the memory with that index (multi-memory proposal)."""

    def __init__(self, index: int) -> None:
        self.index = index

    def _access(self, opcode: bytes, alignment: int, offset: int) -> bytes:
        with_index = alignment | 0x40
        return opcode + bytes((with_index,)) + encode_unsigned(self.index) + encode_unsigned(offset)

    def load_i32(self, address: int) -> bytes:
        return i32(0) + self._access(b"\x28", 2, address)

    def load_i64(self, address: int) -> bytes:
        return i32(0) + self._access(b"\x29", 3, address)

    def store_i32(self, address: int, value: bytes) -> bytes:
        return i32(0) + value + self._access(b"\x36", 2, address)

    def store_i64(self, address: int, value: bytes) -> bytes:
        return i32(0) + value + self._access(b"\x37", 3, address)

    def load_byte(self, address: bytes) -> bytes:
        return address + self._access(b"\x2d", 0, 0)

    def store_byte(self, address: bytes, value: bytes) -> bytes:
        return address + value + self._access(b"\x3a", 0, 0)

    def pages(self) -> bytes:
        return b"\x3f" + encode_unsigned(self.index)


def copy_between(to: Memory, target: bytes, source: Memory, start: bytes, length: bytes) -> bytes:
    """``memory.copy`` of ``length`` bytes from one memory to another."""
    indices = encode_unsigned(to.index) + encode_unsigned(source.index)
    return target + start + length + b"\xfc\x0a" + indices
