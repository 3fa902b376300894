"""The functions of the shim that serves requests, see :mod:`sen_host_wasmer.shim`."""

from __future__ import annotations

from collections.abc import Mapping

from sen_host.backend import FUEL, STACK, FuncType
from sen_host.wasm.assembler import (
    UNREACHABLE,
    Memory,
    br,
    br_if,
    call,
    drop,
    function,
    get,
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
    i64_extend_i32_u,
    i64_lt_s,
    i64_shr_u,
    if_,
    loop,
    return_,
    set_,
    switch,
)
from sen_host.wasm.extend import NewFunction
from sen_host_wasmer.protocol import REQUEST_BYTES, Status
from sen_host_wasmer.shim_io import BUFFER_BYTES, CALLED, REQUEST, IoBuilder, new

NAMES = (
    *("read", "write", "fits", "receive", "send", "reply", "report"),
    *("call", "enter", "enter_within", "exchange", "requests", "upcall", "serve"),
)
"""The shim's functions, in the order of their indices."""


def functions(
    first: int,
    guest: Memory,
    own: Memory,
    counters: Mapping[str, int],
    callees: list[tuple[int, FuncType]],
) -> list[NewFunction]:
    """The functions, in the order of NAMES.

    Args:
        first: the index of the first of them.
        guest: the memory of the plugin.
        own: the memory of the shim, of PAGES pages.
        counters: indices of the globals FUEL and STACK, if the plugin has them.
        callees: index and type of each function that the host may call, by its number.
    """
    indices = {name: first + number for number, name in enumerate(NAMES)}
    builder = _Builder(indices, guest, own, counters)
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
        builder.requests(),
        builder.upcall(),
        builder.serve(),
    ]


class _Builder(IoBuilder):
    """Builds all of them. Locals are named at the head of each."""

    def report(self) -> NewFunction:
        """Tell the host what is left, because the guest is about to trap."""
        called = self._own.load_i32(CALLED)
        return new("", "", function((), self._reply(Status.EXHAUSTED, payload=called)))

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
        return new("i32 i64 i64 i64", "i64", body)

    def enter(self) -> NewFunction:
        """As ``call``, with the fuel and the stack of the request."""
        body = function(
            (),
            self._own.store_i32(CALLED, get(0)),
            self._set_counter(FUEL, self._request_u64(56)),
            self._set_counter(STACK, self._request_u64(64)),
            self._call("call", *map(get, range(4))),
        )
        return new("i32 i64 i64 i64", "i64", body)

    def enter_within(self) -> NewFunction:
        """As ``enter``; ends the guest if the function has overdrawn its fuel."""
        result = 4
        body = function(
            ("i64",),
            set_(result, self._call("enter", *map(get, range(4)))),
            if_(i64_lt_s(self._counter(FUEL), i64(0)), self._call("report") + UNREACHABLE),
            get(result),
        )
        return new("i32 i64 i64 i64", "i64", body)

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
        return new("i32", "", body)

    def serve(self) -> NewFunction:
        """The command's entry point: serve requests until stdin ends."""
        return new("", "", function((), self._reply(Status.READY), drop(self._call("requests"))))

    def requests(self) -> NewFunction:
        """-> result: serve requests until one RETURNs a result, or stdin ends."""
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
            return_(self._request_u64(8)),
            self._call("report") + UNREACHABLE,
        ]
        body = function(
            ("i32", "i32"),
            loop(
                set_(have, i32(0)),
                loop(
                    set_(
                        count,
                        self._call(
                            "read",
                            i32_add(i32(REQUEST), get(have)),
                            i32_sub(i32(REQUEST_BYTES + BUFFER_BYTES), get(have)),
                        ),
                    ),
                    if_(i32_eqz(get(count)), return_(i64(0))),
                    set_(have, i32_add(get(have), get(count))),
                    br_if(0, i32_lt_u(get(have), i32(REQUEST_BYTES))),
                ),
                switch(self._request_u32(0), cases, UNREACHABLE),
                br(0),
            ),
            UNREACHABLE,
        )
        return new("", "i64", body)
