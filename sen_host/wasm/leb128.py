"""LEB128 integers (WebAssembly 2.0, section 5.2.2)."""

from __future__ import annotations


def encode_unsigned(value: int) -> bytes:
    """The shortest unsigned LEB128 form of ``value`` >= 0."""
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def encode_signed(value: int) -> bytes:
    """The shortest signed LEB128 form of ``value``."""
    out = bytearray()
    while True:
        byte = value & 0x7F
        value >>= 7
        if (value == 0 and not byte & 0x40) or (value == -1 and byte & 0x40):
            out.append(byte)
            return bytes(out)
        out.append(byte | 0x80)


def decode_unsigned(data: bytes, offset: int, bits: int = 32) -> tuple[int, int]:
    """Read an unsigned integer; every legal form, overlong ones included.

    Args:
        bits: width of the integer, above 7.

    Returns:
        The value, 0 .. 2**bits - 1, and the offset behind it.

    Raises:
        IndexError: the data ends within the integer.
        ValueError: the integer is too long or too large.
    """
    byte = data[offset]
    if byte < 0x80:
        return byte, offset + 1
    value = byte & 0x7F
    shift = 7
    while True:
        offset += 1
        byte = data[offset]
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
        if shift >= bits:
            raise ValueError("integer representation too long")
    if value >> bits:
        raise ValueError("integer too large")
    return value, offset + 1


def decode_signed(data: bytes, offset: int, bits: int = 32) -> tuple[int, int]:
    """Read a signed integer; every legal form, overlong ones included.

    Args:
        bits: width of the integer, above 7.

    Returns:
        The value, -2**(bits-1) .. 2**(bits-1) - 1, and the offset behind it.

    Raises:
        IndexError: the data ends within the integer.
        ValueError: the integer is too long or too large.
    """
    value = shift = 0
    while True:
        byte = data[offset]
        offset += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
        if shift >= bits:
            raise ValueError("integer representation too long")
    if byte & 0x40:
        value -= 1 << shift
    if not -(1 << bits - 1) <= value < 1 << bits - 1:
        raise ValueError("integer too large")
    return value, offset
