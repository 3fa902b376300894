"""Turn a plugin into a WASI command that serves requests.

``wasmer-sdk`` cannot call exports; it runs commands. So the plugin gets a
``_start`` that reads requests from stdin and answers on stdout, see
:mod:`sen_host_wasmer.protocol`.

The shim keeps its buffers in a second memory of its own. Wasmer's WASI works
on the first memory that a module exports, and the plugin's memory is not
exported any more, so no request touches a byte of it but those that were asked
for. The plugin's functions stay exported under numbers: an exported function
may be named by ``ref.func``, and none is mistaken for a WASI entry point.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sen_host.backend import EXHAUSTED, FUEL, STACK, FuncType
from sen_host.errors import ModuleCompilation
from sen_host.wasm.extend import ImportedFunction, Indices, NewFunction, extend
from sen_host.wasm.reader import Export, Limits, ParsedModule
from sen_host_wasmer.assembler import (
    UNREACHABLE,
    Memory,
    block,
    br,
    br_if,
    call,
    copy_between,
    drop,
    function,
    get,
    global_get,
    global_set,
    i32,
    i32_add,
    i32_and,
    i32_eqz,
    i32_le_u,
    i32_lt_u,
    i32_or,
    i32_sub,
    i32_wrap_i64,
    i64,
    i64_add,
    i64_extend_i32_u,
    i64_le_u,
    i64_lt_s,
    i64_shl,
    i64_shr_u,
    if_,
    loop,
    return_,
    select,
    set_,
    switch,
)
from sen_host_wasmer.protocol import PAGE_BYTES, REPLY_BYTES, REQUEST_BYTES, Status

STDIN, STDOUT, STDERR = 0, 1, 2

# The shim's memory: an I/O vector and a count, a request with a buffer for its
# payload directly behind, a reply with a buffer for its data directly behind.
_BUFFER_BYTES = 1 << 20
_VECTOR = 0
_COUNT = 8
_REQUEST = 64
_PAYLOAD = _REQUEST + REQUEST_BYTES
_REPLY = _PAYLOAD + _BUFFER_BYTES
_DATA = _REPLY + REPLY_BYTES
_PAGES = (_DATA + _BUFFER_BYTES) // PAGE_BYTES + 1

_WASI = "wasi_snapshot_preview1"
_IO_TYPE = FuncType(("i32", "i32", "i32", "i32"), ("i32",))
_IMPORTS = (
    ImportedFunction(_WASI, "fd_read", _IO_TYPE),
    ImportedFunction(_WASI, "fd_write", _IO_TYPE),
)
_FD_READ, _FD_WRITE = range(len(_IMPORTS))

_MAX_PARAMS = 3
_INTEGERS = frozenset({"i32", "i64"})


@dataclass(frozen=True)
class Shim:
    """A plugin as a command.

    Attributes:
        wasm: the command's binary.
        functions: number by which the shim calls each exported function; only
            those that take and return integers.
    """

    wasm: bytes
    functions: Mapping[str, int]


def attach(module: ParsedModule) -> Shim:
    """Attach the shim to a plugin.

    Raises:
        ModuleCompilation: the code is malformed, or the plugin has no memory
            of the name ``memory``.
    """
    memory = next((e.index for e in module.exports if (e.name, e.kind) == ("memory", "memory")), -1)
    if memory < 0:
        raise ModuleCompilation("the module exports no memory of the name 'memory'")
    counters = {e.name: e.index for e in module.exports if e.kind == "global"}
    exported = [e for e in module.exports if e.kind == "function"]
    callees: list[tuple[int, FuncType]] = []
    numbers: dict[str, int] = {}
    for export in exported:
        type = module.type_of(export)
        assert isinstance(type, FuncType)
        if _is_callable(type):
            numbers[export.name] = len(callees)
            callees.append((export.index, type))

    def functions(indices: Indices) -> list[NewFunction]:
        shifted = [(index + indices.shift, type) for index, type in callees]
        guest, own = Memory(memory), Memory(indices.memories)
        return _functions(indices.functions, guest, own, counters, shifted)

    def exports(indices: Indices) -> list[Export]:
        main = indices.functions + _NAMES.index("serve")
        renamed = [
            Export(str(number), "function", export.index + indices.shift)
            for number, export in enumerate(exported)
        ]
        own = Export("memory", "memory", indices.memories)
        return [own, Export("_start", "function", main), *renamed]

    def bodies(indices: Indices) -> dict[int, bytes]:
        report = function((), call(indices.functions + _NAMES.index("report")))
        return {export.index: report for export in exported if export.name == EXHAUSTED}

    wasm = extend(
        module,
        imports=_IMPORTS,
        memories=[Limits(_PAGES, _PAGES)],
        functions=functions,
        exports=exports,
        bodies=bodies,
    )
    return Shim(wasm, numbers)


def _is_callable(type: FuncType) -> bool:
    return (
        len(type.params) <= _MAX_PARAMS
        and len(type.results) <= 1
        and _INTEGERS.issuperset(type.params + type.results)
    )


_NAMES = (
    *("read", "write", "fits", "receive", "send", "reply", "report"),
    *("call", "enter", "enter_within", "exchange", "serve"),
)
"""The shim's functions, in the order of their indices."""


def _functions(
    first: int,
    guest: Memory,
    own: Memory,
    counters: Mapping[str, int],
    callees: list[tuple[int, FuncType]],
) -> list[NewFunction]:
    builder = _Builder(first, guest, own, counters)
    return [
        builder.read(),
        builder.write(),
        builder.fits(),
        builder.receive(),
        builder.send(),
        builder.reply(),
        builder.report(),
        builder.call(callees),
        builder.enter(),
        builder.enter_within(),
        builder.exchange(),
        builder.serve(),
    ]


def _new(params: str, results: str, body: bytes) -> NewFunction:
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


class _Builder:
    """Builds the shim's functions. Locals are named at the head of each."""

    def __init__(self, first: int, guest: Memory, own: Memory, counters: Mapping[str, int]) -> None:
        self._guest = guest
        self._own = own
        self._counters = counters
        self._index = {name: first + number for number, name in enumerate(_NAMES)}

    def _call(self, name: str, *arguments: bytes) -> bytes:
        return call(self._index[name], *arguments)

    def _request_u32(self, offset: int) -> bytes:
        return self._own.load_i32(_REQUEST + offset)

    def _request_u64(self, offset: int) -> bytes:
        return self._own.load_i64(_REQUEST + offset)

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
                call(_FD_READ, i32(STDIN), i32(_VECTOR), i32(1), i32(_COUNT)),
                return_(i32(0)),
            ),
            self._own.load_i32(_COUNT),
        )
        return _new("i32 i32", "i32", body)

    def write(self) -> NewFunction:
        """(file, address, length): write all of it."""
        file, address, length, count = range(4)
        body = function(
            ("i32",),
            loop(
                self._set_vector(get(address), get(length)),
                if_(call(_FD_WRITE, get(file), i32(_VECTOR), i32(1), i32(_COUNT)), UNREACHABLE),
                set_(count, self._own.load_i32(_COUNT)),
                if_(i32_eqz(get(count)), UNREACHABLE),
                set_(address, i32_add(get(address), get(count))),
                set_(length, i32_sub(get(length), get(count))),
                br_if(0, get(length)),
            ),
        )
        return _new("i32 i32 i32", "", body)

    def fits(self) -> NewFunction:
        """(pointer, length) -> whether that range lies in the guest's memory."""
        pointer, length = range(2)
        end = i64_add(i64_extend_i32_u(get(pointer)), i64_extend_i32_u(get(length)))
        size = i64_shl(i64_extend_i32_u(self._guest.pages()), i64(16))
        return _new("i32 i32", "i32", function((), i64_le_u(end, size)))

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
        return _new("i32 i32 i32 i32", "", body)

    def send(self) -> NewFunction:
        """(pointer, length): send the head of the reply and guest memory behind it."""
        pointer, length, chunk, head = range(4)
        body = function(
            ("i32", "i32"),
            set_(head, i32(REPLY_BYTES)),
            loop(
                set_(chunk, self._at_most_buffer(get(length))),
                _copy(self._own, i32(_DATA), self._guest, get(pointer), get(chunk)),
                self._call(
                    "write",
                    i32(STDOUT),
                    i32_sub(i32(_DATA), get(head)),
                    i32_add(get(head), get(chunk)),
                ),
                set_(head, i32(0)),
                set_(pointer, i32_add(get(pointer), get(chunk))),
                set_(length, i32_sub(get(length), get(chunk))),
                br_if(0, get(length)),
            ),
        )
        return _new("i32 i32", "", body)

    @staticmethod
    def _at_most_buffer(length: bytes) -> bytes:
        limit = i32(_BUFFER_BYTES)
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
        return _new("i32 i64 i32 i32 i32", "", body)

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

    def report(self) -> NewFunction:
        """Tell the host what is left, because the guest is about to trap."""
        return _new("", "", function((), self._reply(Status.EXHAUSTED)))

    def call(self, callees: list[tuple[int, FuncType]]) -> NewFunction:
        """(number, three arguments) -> result: call a function of the plugin."""
        number = 0
        cases = []
        for index, type in callees:
            arguments = [
                i32_wrap_i64(get(position)) if param == "i32" else get(position)
                for position, param in enumerate(type.params, 1)
            ]
            called = call(index, *arguments)
            if not type.results:
                cases.append(called + return_(i64(0)))
            elif type.results == ("i32",):
                cases.append(return_(i64_extend_i32_u(called)))
            else:
                cases.append(return_(called))
        body = function((), switch(get(number), cases, UNREACHABLE), UNREACHABLE)
        return _new("i32 i64 i64 i64", "i64", body)

    def enter(self) -> NewFunction:
        """As ``call``, with the fuel and the stack of the request."""
        body = function(
            (),
            self._set_counter(FUEL, self._request_u64(56)),
            self._set_counter(STACK, self._request_u64(64)),
            self._call("call", *map(get, range(4))),
        )
        return _new("i32 i64 i64 i64", "i64", body)

    def enter_within(self) -> NewFunction:
        """As ``enter``; ends the guest if the function has overdrawn its fuel."""
        result = 4
        body = function(
            ("i64",),
            set_(result, self._call("enter", *map(get, range(4)))),
            if_(i64_lt_s(self._counter(FUEL), i64(0)), self._call("report") + UNREACHABLE),
            get(result),
        )
        return _new("i32 i64 i64 i64", "i64", body)

    def exchange(self) -> NewFunction:
        """(buffered): a whole exchange of messages, as ``sen_host.abi.exchange`` makes it."""
        buffered, payload, length, a, b, c, packed, pointer, size, inside = range(10)
        has_payload = self._request_u32(52)
        wide_payload = i64_extend_i32_u(get(payload))
        wide_length = i64_extend_i32_u(get(length))

        def non_null(address: int, bytes: int) -> bytes:
            return i32_or(i32_eqz(i32_eqz(get(address))), i32_eqz(get(bytes)))

        def fits(address: int, bytes: int) -> bytes:
            return i32_and(self._call("fits", get(address), get(bytes)), non_null(address, bytes))

        def free(address: int, bytes: int) -> bytes:
            arguments = [i64_extend_i32_u(get(local)) for local in (address, bytes)]
            return drop(self._call("enter_within", self._request_u32(36), *arguments, i64(0)))

        allocate = self._call("enter_within", self._request_u32(32), wide_length, i64(0), i64(0))
        body = function(
            ("i32", "i32", "i64", "i64", "i64", "i64", "i32", "i32", "i32"),
            set_(length, self._request_u32(40)),
            set_(a, self._request_u64(8)),
            set_(b, self._request_u64(16)),
            set_(c, self._request_u64(24)),
            if_(
                has_payload,
                set_(payload, i32_wrap_i64(allocate))
                + self._call("write", i32(STDERR), i32(_COUNT), i32(1))
                + if_(
                    i32_eqz(fits(payload, length)),
                    self._call("receive", i32(0), get(length), get(buffered), i32(0))
                    + self._reply(Status.NOT_CALLED, payload=get(payload))
                    + return_(),
                )
                + self._call("receive", get(payload), get(length), get(buffered), i32(1))
                + if_(
                    self._request_u32(44),
                    set_(b, wide_payload) + set_(c, wide_length),
                    set_(a, wide_payload) + set_(b, wide_length),
                ),
            ),
            set_(packed, self._call("enter_within", self._request_u32(4), get(a), get(b), get(c))),
            set_(pointer, i32_wrap_i64(i64_shr_u(get(packed), i64(32)))),
            set_(size, i32_wrap_i64(get(packed))),
            set_(inside, fits(pointer, size)),
            if_(
                i32_and(get(inside), i32_le_u(get(size), self._request_u32(48))),
                self._reply(
                    Status.OK,
                    result=get(packed),
                    payload=get(payload),
                    pointer=get(pointer),
                    length=get(size),
                ),
                self._reply(Status.WITHHELD, result=get(packed), payload=get(payload)),
            ),
            if_(has_payload, free(payload, length)),
            if_(i32_and(get(inside), i32_eqz(i32_eqz(get(size)))), free(pointer, size)),
            self._reply(Status.DONE),
        )
        return _new("i32", "", body)

    def serve(self) -> NewFunction:
        """The command's entry point: serve requests until stdin ends."""
        have, count = range(2)
        offset, length = i32_wrap_i64(self._request_u64(8)), i32_wrap_i64(self._request_u64(16))
        payload_length = self._request_u32(40)
        buffered = i32_sub(get(have), i32(REQUEST_BYTES))
        called = self._call(
            "enter",
            self._request_u32(4),
            self._request_u64(8),
            self._request_u64(16),
            self._request_u64(24),
        )
        cases = [
            self._reply(Status.OK, result=called),
            if_(
                self._call("fits", offset, length),
                self._reply(Status.OK, pointer=offset, length=length),
                self._reply(Status.REFUSED),
            ),
            if_(
                self._call("fits", offset, payload_length),
                self._call("receive", offset, payload_length, buffered, i32(1))
                + self._reply(Status.OK),
                self._call("receive", i32(0), payload_length, buffered, i32(0))
                + self._reply(Status.REFUSED),
            ),
            self._call("exchange", buffered),
        ]
        body = function(
            ("i32", "i32"),
            self._reply(Status.READY),
            loop(
                set_(have, i32(0)),
                loop(
                    set_(
                        count,
                        self._call(
                            "read",
                            i32_add(i32(_REQUEST), get(have)),
                            i32_sub(i32(REQUEST_BYTES + _BUFFER_BYTES), get(have)),
                        ),
                    ),
                    if_(i32_eqz(get(count)), return_()),
                    set_(have, i32_add(get(have), get(count))),
                    br_if(0, i32_lt_u(get(have), i32(REQUEST_BYTES))),
                ),
                switch(self._request_u32(0), cases, UNREACHABLE),
                br(0),
            ),
        )
        return _new("", "", body)
