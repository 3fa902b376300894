"""What the host and the shim in the guest say to each other.

The host writes one request at a time to the guest's stdin: a head of 72 bytes,
then the payload, if any. The guest answers on stdout with a head of 40 bytes,
then data, if any. Integers are little-endian and unsigned, but for the i64.

    request                                reply
     0  u32  operation                      0  u32  status
     4  u32  function                       4  u32  pages of the guest's memory
     8  u64  first argument                 8  u64  result of the function
    16  u64  second argument               16  u32  pointer to the payload
    24  u64  third argument                20  u32  length of the data that follow
    32  u32  function that allocates       24  i64  fuel left
    36  u32  function that frees           32  i64  stack left
    40  u32  length of the payload
    44  u32  number of prefix arguments
    48  u32  longest result to send
    52  u32  1 if there is a payload
    56  i64  fuel for each call
    64  i64  stack for each call

The guest greets with a READY reply. The operations:

* CALL the function with its arguments. One reply.
* READ: the first argument is an offset, the second a length. One reply with
  the data, or REFUSED if they are out of bounds.
* WRITE the payload to the offset in the first argument. One reply.
* EXCHANGE: allocate for the payload, write it, call the function with the
  prefix arguments, the pointer and the length, reply with the message, free
  both, and reply DONE.

In the middle of a CALL the guest may call a function of the host. Then a reply UPCALL
comes, with the number of the import as its result and the arguments as its data, each
an i64. READ and WRITE are served as ever, until

* RETURN, whose first argument is the result: the guest goes on, there is no reply; or
* STOP: the guest traps, with the reply EXHAUSTED.

Where a module imports functions there must be no EXCHANGE: its payload would be in the way.

Functions are numbered as :class:`sen_host_wasmer.shim.Shim` lists them. A trap
ends the guest. Where it is by ``unreachable``, which is also how exhausted fuel
and stack end, a reply EXHAUSTED comes first, with the number of the function in place
of a pointer; else there is none, and what was left is lost. A function of an EXCHANGE
that returns with its fuel overdrawn ends in that way as well. End of file on stdin ends
the guest too.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import NamedTuple

PAGE_BYTES = 65_536

REQUEST = struct.Struct("<IIQQQIIIIIIqq")
_REPLY = struct.Struct("<IIQIIqq")

REQUEST_BYTES = REQUEST.size
REPLY_BYTES = _REPLY.size

assert (REQUEST_BYTES, REPLY_BYTES) == (72, 40)


class Operation(IntEnum):
    CALL = 0
    READ = 1
    WRITE = 2
    EXCHANGE = 3
    RETURN = 4
    STOP = 5


class Status(IntEnum):
    """What a reply says.

    READY: the guest runs. OK: done. REFUSED: out of bounds. NOT_CALLED: what
    the allocation returned does not fit the memory. WITHHELD: the message is
    out of bounds or too long. DONE: payload and message were freed. EXHAUSTED:
    the guest traps next. UPCALL: it calls a function of the host.
    """

    READY = 0
    OK = 1
    REFUSED = 2
    NOT_CALLED = 3
    WITHHELD = 4
    DONE = 5
    EXHAUSTED = 6
    UPCALL = 7


class Reply(NamedTuple):
    status: int
    pages: int
    result: int
    pointer: int
    length: int
    fuel: int
    stack: int


def request(
    operation: Operation,
    function: int = 0,
    arguments: tuple[int, ...] = (),
    *,
    alloc: int = 0,
    dealloc: int = 0,
    payload: bytes | None = None,
    result_bytes: int = 0,
    fuel: int = 0,
    stack: int = 0,
) -> bytes:
    """A request with its payload. At most three arguments."""
    first, second, third = (*arguments, 0, 0, 0)[:3]
    head = REQUEST.pack(
        operation,
        function,
        first,
        second,
        third,
        alloc,
        dealloc,
        0 if payload is None else len(payload),
        len(arguments),
        result_bytes,
        payload is not None,
        fuel,
        stack,
    )
    return head if payload is None else head + payload


def parse_reply(head: bytes) -> Reply:
    return Reply._make(_REPLY.unpack(head))
