"""The protocol between the host and a worker process.

Two pipes carry it, one each way. Every message is a frame: its length as four
bytes, little endian, and one MessagePack array of that length.

    host to worker   [operation, argument, ...]
    worker to host   [DONE, value] | [FAULT, class, attributes]
                     | [TRAP, kind, detail, function, fuel_left, stack_left]
                     | [UPCALL, instance, import, arguments, memory size]

An UPCALL stands in for the reply to a CALL or an EXCHANGE: the guest calls a function
of the host. The host then asks for RETURN or RAISE, before that perhaps for READ or
WRITE, and what it gets for RETURN or RAISE is the reply, or the next UPCALL.

The rules:

1. The host asks, the worker answers: one request, one reply, in turn. So no
   side ever writes while the other one does, and nothing can deadlock.
2. The worker trusts the host. The host does not trust the worker, which may
   have been taken over by a guest: a reply is capped before it is read, its
   containers are capped while it is decoded, and each value in it is checked
   (``replies``, ``faults``). A reply that breaks a rule ends the worker.
3. A host that stops in the middle of a turn, for whatever reason, ends the
   worker. There is no way back into step.
4. A third pipe, the lifeline, carries nothing. Its writing end is held by the
   host alone, so it hangs up when the host is gone, however it went.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final

import msgpack

from sen_host.backend import Trap

PROTOCOL: Final = 4

# Operations, with their arguments and the value of their reply.
START: Final = 0  # protocol, target, binding -> protocol
VALIDATE: Final = 1  # wasm -> nil
COMPILE: Final = 2  # wasm, limits -> nil; replaces the module
INSTANTIATE: Final = 3  # instances to free first, imported functions -> the new one
CALL: Final = 4  # instance, name, parameter types, result types, arguments -> result
EXCHANGE: Final = 5  # instance, then as CompositeInstance.exchange -> six facts
MEMORY_SIZE: Final = 6  # instance -> bytes
READ: Final = 7  # instance, offset, length -> data
WRITE: Final = 8  # instance, offset, data -> nil
SET_GLOBAL: Final = 9  # instance, name, value -> nil
GET_GLOBAL: Final = 10  # instance, name -> value or nil
SET_DEADLINE: Final = 11  # instance, seconds -> nil
FREE: Final = 12  # instances -> nil
END: Final = 13  # -> nil, then the worker exits
SERIALIZE: Final = 14  # most bytes -> the compiled module, or nil if there are none or more
DESERIALIZE: Final = 15  # compiled module, limits -> nil; replaces the module
RETURN: Final = 16  # result -> reply to what the guest was called by
RAISE: Final = 17  # kind and text of a trap -> reply to what the guest was called by

DONE: Final = 0
TRAP: Final = 1
FAULT: Final = 2
UPCALL: Final = 3

OVERHEAD_BYTES: Final = 64 * 1024
"""The cap on a reply, beside the data that was asked for."""

_HEADER_BYTES = 4
_CHUNK_BYTES = 64 * 1024


class Malformed(Exception):
    """A frame breaks the rules."""


class HangUp(Exception):
    """The other side closed its end."""


def encode(message: object) -> bytes:
    """``message`` as a frame."""
    body: bytes
    try:
        body = msgpack.packb(message)
    except UnicodeEncodeError:  # text from the operating system with bytes that are no text
        body = msgpack.packb(message, unicode_errors="backslashreplace")
    return len(body).to_bytes(_HEADER_BYTES, "little") + body


def receive(fd: int, limit: int | None, wait: Callable[[], object] | None = None) -> memoryview:
    """Read one frame; its body.

    Args:
        limit: the longest body that is accepted; None trusts the sender.
        wait: called before each read, returns when there is something to read.

    Raises:
        HangUp: the other side closed its end.
        Malformed: the frame is too long, or something follows it.
    """
    if wait is not None:
        wait()
    data: bytes | bytearray = _read(fd)
    while len(data) < _HEADER_BYTES:
        if wait is not None:
            wait()
        data += _read(fd)
    length = int.from_bytes(data[:_HEADER_BYTES], "little")
    if limit is not None and length > limit:
        raise Malformed(f"a frame of {length:,} bytes, at most {limit:,} were expected")
    missing = _HEADER_BYTES + length - len(data)
    if missing < 0:
        raise Malformed("a frame is followed by more")
    if missing > 0:
        data = _read_rest(fd, data, missing, wait)
    return memoryview(data)[_HEADER_BYTES:]


def _read(fd: int) -> bytes:
    data = os.read(fd, _CHUNK_BYTES)
    if not data:
        raise HangUp
    return data


def _read_rest(
    fd: int, start: bytes | bytearray, missing: int, wait: Callable[[], object] | None
) -> bytearray:
    frame = bytearray(len(start) + missing)
    frame[: len(start)] = start
    rest = memoryview(frame)[len(start) :]
    while rest:
        if wait is not None:
            wait()
        count = os.readv(fd, [rest])
        if count == 0:
            raise HangUp
        rest = rest[count:]
    return frame


def decode_request(body: memoryview) -> tuple[Any, ...]:
    """The request in a frame's body; trusted."""
    request: tuple[Any, ...] = msgpack.unpackb(body, use_list=False)
    return request


def encode_trap(trap: Trap) -> tuple[object, ...]:
    """What follows the tag in the reply for a trap."""
    return trap.kind.value, clip(trap.detail), trap.function, trap.fuel_left, trap.stack_left


def clip(text: str | None, length: int = 4096) -> str | None:
    """``text``, shortened to ``length`` characters."""
    return text if text is None or len(text) <= length else text[: length - 3] + "..."
