"""The host's checks of what a worker replies; see rule 2 in ``frames``.

Each function returns the value in the type that the backend contract asks for,
or raises Malformed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgpack

from sen_host.abi import fits
from sen_host.backend import COUNTER_MAX, Exchanged, HostFunction, Trap
from sen_host.errors import TrapKind
from sen_host.isolation.frames import Malformed

_CONTAINER_ITEMS = 1024
_U32 = 2**32 - 1
_U64 = 2**64 - 1
_MEMORY_BYTES = 2**32


def decode(body: memoryview) -> tuple[Any, ...]:
    """The reply in a frame's body: a tuple that is not empty.

    Raises:
        Malformed: it is not one MessagePack array, or contains what no reply has.
    """
    try:
        # Without these caps each nested header could make room for as many
        # items as the frame has bytes.
        reply = msgpack.unpackb(
            body,
            use_list=False,
            max_array_len=_CONTAINER_ITEMS,
            max_map_len=_CONTAINER_ITEMS,
            max_ext_len=0,
        )
    except Exception as error:
        raise Malformed(f"a reply that is not valid MessagePack: {error}") from error
    if type(reply) is not tuple or not reply:
        raise Malformed("a reply that is not an array")
    return reply


def trap(items: object) -> Trap:
    """The inverse of ``frames.encode_trap``.

    Raises:
        Malformed: the items are not those of a trap.
    """
    if type(items) is not tuple or len(items) != 5:
        raise Malformed("a trap without its five items")
    kind, detail, function, fuel_left, stack_left = items
    for text in (detail, function):
        if text is not None and type(text) is not str:
            raise Malformed("a trap with a text that is none")
    try:
        known = TrapKind(kind)
    except ValueError:
        raise Malformed("a trap of an unknown kind") from None
    return Trap(
        known,
        detail,
        function=function,
        fuel_left=counter(fuel_left),
        stack_left=counter(stack_left),
    )


def nothing(value: object) -> None:
    """Check that ``value`` is nil."""
    if value is not None:
        raise Malformed("a value where there should be none")


def unsigned(value: object, high: int = _U64) -> int:
    """Check that ``value`` is an integer, 0 .. ``high``."""
    if type(value) is not int or not 0 <= value <= high:
        raise Malformed(f"a value that is not an integer from 0 to {high:,}")
    return value


def memory_size(value: object) -> int:
    """Check the size of a linear memory, in bytes."""
    return unsigned(value, _MEMORY_BYTES)


def result(value: object, types: tuple[str, ...]) -> int | None:
    """Check the result of a function with these result types, at most one."""
    if not types:
        nothing(value)
        return None
    return unsigned(value, _U32 if types[0] == "i32" else _U64)


def upcall(
    items: tuple[Any, ...], key: int, imports: Sequence[HostFunction]
) -> tuple[HostFunction, tuple[int, ...], int]:
    """Check a call of a host function: which one, its arguments, and the size of the memory.

    Args:
        items: what follows the tag.
        key: the instance that was called.
        imports: what it imports.
    """
    if len(items) != 4 or items[0] != key:
        raise Malformed("a call of a host function that is none")
    _, number, arguments, memory_bytes = items
    if not imports:
        raise Malformed("a call of a host function by a guest that imports none")
    called = imports[unsigned(number, len(imports) - 1)]
    params = called.type.params
    if type(arguments) is not tuple or len(arguments) != len(params):
        raise Malformed("a call of a host function with the wrong number of arguments")
    for value, kind in zip(arguments, params, strict=True):
        unsigned(value, _U32 if kind == "i32" else _U64)
    return called, arguments, memory_size(memory_bytes)


def counter(value: object) -> int | None:
    """Check the value of a global, a signed 64-bit integer, or nil."""
    if value is None or (type(value) is int and -COUNTER_MAX - 1 <= value <= COUNTER_MAX):
        return value
    raise Malformed("a global that is not a signed 64-bit integer")


def data(value: object, length: int) -> bytes:
    """Check that ``value`` is bytes, exactly ``length``."""
    if type(value) is not bytes or len(value) != length:
        raise Malformed(f"a value that is not {length:,} bytes")
    return value


def serialized(value: object) -> bytes | None:
    """Check that ``value`` is bytes, or nil; how many, the cap on the reply has said."""
    if value is None or type(value) is bytes:
        return value
    raise Malformed("a compiled module that is not bytes")


def exchanged(value: object, payload_bytes: int | None, result_bytes: int) -> Exchanged:
    """Check the six facts of an exchange, also against each other.

    Args:
        payload_bytes: length of the payload that was sent, None for no payload.
        result_bytes: a longer message must not have been sent.
    """
    if type(value) is not tuple or len(value) != 6:
        raise Malformed("an exchange without its six facts")
    pointer, packed, memory_bytes, message, fuel_left, free_trap = value
    unsigned(pointer, _U32)
    memory_size(memory_bytes)
    unsigned(fuel_left, COUNTER_MAX)
    wanted = None
    if packed is None:
        if payload_bytes is None or fits(pointer, payload_bytes, memory_bytes):
            raise Malformed("an exchange that stopped without cause")
    else:
        start, length = unsigned(packed) >> 32, packed & _U32
        if fits(start, length, memory_bytes) and length <= result_bytes:
            wanted = length
    if wanted is None:
        nothing(message)
    else:
        data(message, wanted)
    freed = None if free_trap is None else trap(free_trap)
    return Exchanged(pointer, packed, memory_bytes, message, fuel_left, freed)
