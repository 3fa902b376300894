"""How bytes come into the shim and go out of it, see :mod:`sen_host_wasmer.shim`."""

from __future__ import annotations

from collections.abc import Mapping

from sen_host.backend import FUEL, STACK, FuncType
from sen_host.wasm.assembler import (
    UNREACHABLE,
    Memory,
    block,
    br,
    br_if,
    call,
    copy_between,
    function,
    get,
    global_get,
    global_set,
    i32,
    i32_add,
    i32_eqz,
    i32_lt_u,
    i32_sub,
    i64,
    i64_add,
    i64_extend_i32_u,
    i64_le_u,
    i64_shl,
    if_,
    loop,
    return_,
    select,
    set_,
)
from sen_host.wasm.extend import ImportedFunction, NewFunction
from sen_host_wasmer.protocol import PAGE_BYTES, REPLY_BYTES, REQUEST_BYTES, Status

STDIN, STDOUT = 0, 1

# The shim's memory: an I/O vector and a count, which function was called last, a request
# with a buffer for its payload directly behind, a reply with a buffer for its data
# directly behind.
BUFFER_BYTES = 1 << 20
_VECTOR = 0
COUNT = 8
CALLED = 16
REQUEST = 64
_PAYLOAD = REQUEST + REQUEST_BYTES
_REPLY = _PAYLOAD + BUFFER_BYTES
DATA = _REPLY + REPLY_BYTES
"""Where arguments of the host's functions are written: behind the reply that tells of them."""
PAGES = (DATA + BUFFER_BYTES) // PAGE_BYTES + 1

_WASI = "wasi_snapshot_preview1"
_IO_TYPE = FuncType(("i32", "i32", "i32", "i32"), ("i32",))
IMPORTS = (
    ImportedFunction(_WASI, "fd_read", _IO_TYPE),
    ImportedFunction(_WASI, "fd_write", _IO_TYPE),
)
_FD_READ, _FD_WRITE = range(len(IMPORTS))


def new(params: str, results: str, body: bytes) -> NewFunction:
    return NewFunction(FuncType(tuple(params.split()), tuple(results.split())), body)


def _copy(to: Memory, target: bytes, source: Memory, start: bytes, length: bytes) -> bytes:
    """Copy bytes from one memory to another.

    The last one goes by itself, because ``memory.copy`` of Wasmer 7 traps on a
    range that ends at 4 GiB exactly, even if the memory is that large.
    """
    last = i32_sub(length, i32(1))
    return if_(
        length,
        copy_between(to, target, source, start, last)
        + to.store_byte(i32_add(target, last), source.load_byte(i32_add(start, last))),
    )


class IoBuilder:
    """Builds these functions. Locals are named at the head of each."""

    def __init__(
        self, indices: Mapping[str, int], guest: Memory, own: Memory, counters: Mapping[str, int]
    ) -> None:
        """``indices`` holds those of the shim's functions, ``counters`` those of FUEL and STACK."""
        self._indices = indices
        self._guest = guest
        self._own = own
        self._counters = counters

    def _call(self, name: str, *arguments: bytes) -> bytes:
        return call(self._indices[name], *arguments)

    def _request_u32(self, offset: int) -> bytes:
        return self._own.load_i32(REQUEST + offset)

    def _request_u64(self, offset: int) -> bytes:
        return self._own.load_i64(REQUEST + offset)

    def _counter(self, name: str) -> bytes:
        return global_get(self._counters[name]) if name in self._counters else i64(0)

    def _set_counter(self, name: str, value: bytes) -> bytes:
        return global_set(self._counters[name], value) if name in self._counters else b""

    def _set_vector(self, address: bytes, length: bytes) -> bytes:
        return self._own.store_i32(_VECTOR, address) + self._own.store_i32(_VECTOR + 4, length)

    def read(self) -> NewFunction:
        """(address, length) -> bytes read from stdin; 0 at its end."""
        address, length = range(2)
        body = function(
            (),
            self._set_vector(get(address), get(length)),
            if_(
                call(_FD_READ, i32(STDIN), i32(_VECTOR), i32(1), i32(COUNT)),
                return_(i32(0)),
            ),
            self._own.load_i32(COUNT),
        )
        return new("i32 i32", "i32", body)

    def write(self) -> NewFunction:
        """(address, length): write all of it to stdout."""
        address, length, count = range(3)
        body = function(
            ("i32",),
            loop(
                self._set_vector(get(address), get(length)),
                if_(call(_FD_WRITE, i32(STDOUT), i32(_VECTOR), i32(1), i32(COUNT)), UNREACHABLE),
                set_(count, self._own.load_i32(COUNT)),
                if_(i32_eqz(get(count)), UNREACHABLE),
                set_(address, i32_add(get(address), get(count))),
                set_(length, i32_sub(get(length), get(count))),
                br_if(0, get(length)),
            ),
        )
        return new("i32 i32", "", body)

    def fits(self) -> NewFunction:
        """(pointer, length) -> whether that range lies in the guest's memory."""
        pointer, length = range(2)
        end = i64_add(i64_extend_i32_u(get(pointer)), i64_extend_i32_u(get(length)))
        size = i64_shl(i64_extend_i32_u(self._guest.pages()), i64(16))
        return new("i32 i32", "i32", function((), i64_le_u(end, size)))

    def receive(self) -> NewFunction:
        """(pointer, length, buffered, keep): take a payload from the request.

        ``buffered`` bytes of it have been read with the head. Without ``keep``
        the payload is read and thrown away.
        """
        pointer, length, buffered, keep = range(4)
        body = function(
            (),
            block(
                loop(
                    if_(
                        get(keep),
                        _copy(self._guest, get(pointer), self._own, i32(_PAYLOAD), get(buffered)),
                    ),
                    set_(pointer, i32_add(get(pointer), get(buffered))),
                    set_(length, i32_sub(get(length), get(buffered))),
                    br_if(1, i32_eqz(get(length))),
                    set_(
                        buffered,
                        self._call("read", i32(_PAYLOAD), self._at_most_buffer(get(length))),
                    ),
                    if_(i32_eqz(get(buffered)), UNREACHABLE),
                    br(0),
                )
            ),
        )
        return new("i32 i32 i32 i32", "", body)

    def send(self) -> NewFunction:
        """(pointer, length): send the head of the reply and guest memory behind it."""
        pointer, length, chunk, head = range(4)
        body = function(
            ("i32", "i32"),
            set_(head, i32(REPLY_BYTES)),
            loop(
                set_(chunk, self._at_most_buffer(get(length))),
                _copy(self._own, i32(DATA), self._guest, get(pointer), get(chunk)),
                self._call(
                    "write",
                    i32_sub(i32(DATA), get(head)),
                    i32_add(get(head), get(chunk)),
                ),
                set_(head, i32(0)),
                set_(pointer, i32_add(get(pointer), get(chunk))),
                set_(length, i32_sub(get(length), get(chunk))),
                br_if(0, get(length)),
            ),
        )
        return new("i32 i32", "", body)

    @staticmethod
    def _at_most_buffer(length: bytes) -> bytes:
        limit = i32(BUFFER_BYTES)
        return select(i32_lt_u(length, limit), length, limit)

    def reply(self) -> NewFunction:
        """(status, result, payload pointer, data pointer, data length)."""
        status, result, payload, pointer, length = range(5)
        body = function(
            (),
            self._own.store_i32(_REPLY, get(status)),
            self._own.store_i32(_REPLY + 4, self._guest.pages()),
            self._own.store_i64(_REPLY + 8, get(result)),
            self._own.store_i32(_REPLY + 16, get(payload)),
            self._own.store_i32(_REPLY + 20, get(length)),
            self._own.store_i64(_REPLY + 24, self._counter(FUEL)),
            self._own.store_i64(_REPLY + 32, self._counter(STACK)),
            self._call("send", get(pointer), get(length)),
        )
        return new("i32 i64 i32 i32 i32", "", body)

    def upcall(self) -> NewFunction:
        """(number, bytes of arguments) -> result: have the host do what was imported."""
        number, length = range(2)
        body = function(
            (),
            self._own.store_i32(_REPLY, i32(Status.UPCALL)),
            self._own.store_i32(_REPLY + 4, self._guest.pages()),
            self._own.store_i64(_REPLY + 8, i64_extend_i32_u(get(number))),
            self._own.store_i32(_REPLY + 20, get(length)),
            self._call("write", i32(_REPLY), i32_add(get(length), i32(REPLY_BYTES))),
            self._call("requests"),
        )
        return new("i32 i32", "i64", body)

    def _reply(
        self,
        status: Status,
        *,
        result: bytes = i64(0),
        payload: bytes = i32(0),
        pointer: bytes = i32(0),
        length: bytes = i32(0),
    ) -> bytes:
        return self._call("reply", i32(status), result, payload, pointer, length)
