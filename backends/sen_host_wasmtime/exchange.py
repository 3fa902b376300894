"""An exchange of messages in one call into Wasmtime.

Each call from Python into the engine costs more than most guests take for their
work. So :mod:`sen_host_wasmtime.glue` adds to a plugin a function that does what
``sen_host.abi.exchange`` does, with the same calls in the same order and the same
checks, and a second memory through which it talks to the host:

    request, from the host                 reply
     0  u32  function: its place in CALLED  40  u32  stage
     4  u32  length of the payload          44  u32  pages of the guest's memory
     8  u32  1 if there is a payload        48  i64  what the function returned
    12  u32  argument in front of it        56  i64  fuel that was left then
    16  i64  fuel for each call             64  u32  pointer to the payload
    24  i64  stack for each call            68  u32  1 if the result lies in the memory
    32  u32  longest result                128  the payload, then the result

The stage is written before each step, so that it tells where a trap came from. The
function returns at once where fuel is overdrawn: so a return at one of the first four
stages means that.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from ctypes import byref, c_size_t, c_uint64, c_void_p
from enum import IntEnum
from functools import partial
from struct import Struct

from sen_host.backend import (
    ALLOC,
    DEALLOC,
    EXECUTE,
    FUEL,
    MANIFEST,
    RESERVED,
    RESUME,
    STACK,
    CompositeInstance,
    Exchanged,
    HostFunction,
    Trap,
)
from sen_host.errors import TrapKind
from sen_host.limits import PAGE_BYTES, Limits
from sen_host.thread_stack import check_thread_stack
from sen_host_wasmtime import capi
from sen_host_wasmtime.backend import BUFFER_BYTES, WasmtimeInstance, fail
from sen_host_wasmtime.engine import Engine

EXCHANGE = RESERVED + "exchange"
"""Export: the function that does a whole exchange."""

FINISH = RESERVED + "finish"
"""Export: the function that does the rest of one that stopped at LARGE."""

BUFFER = RESERVED + "buffer"
"""Export: the memory through which both are told what to do."""

CALLED = (MANIFEST, EXECUTE, RESUME)
"""The functions of the ABI that return messages; the last is optional."""

DATA_AT = 128
CAPACITY = BUFFER_BYTES - DATA_AT
"""A longer payload is handed over call by call; a longer result takes two calls."""


class Stage(IntEnum):
    """How far an exchange came.

    UNFIT: the allocation returned what does not fit the memory. LARGE: the result is
    longer than the buffer; the host reads it, and calls FINISH.
    """

    ALLOCATE = 0
    CALL = 1
    FREE_PAYLOAD = 2
    FREE_RESULT = 3
    DONE = 4
    UNFIT = 5
    LARGE = 6


_ALLOCATE, _CALL, _DONE, _UNFIT, _LARGE = (
    int(stage) for stage in (Stage.ALLOCATE, Stage.CALL, Stage.DONE, Stage.UNFIT, Stage.LARGE)
)

_pack_request = Struct("<IIIIqqIII").pack_into
_unpack_reply = Struct("<IIQqII").unpack_from
_REPLY_AT = 40
_NUMBERS = {name: number for number, name in enumerate(CALLED)}
_new = tuple.__new__
_U32 = 0xFFFF_FFFF


class ExchangingInstance(WasmtimeInstance, CompositeInstance):
    """An instance, which makes exchanges in one call if its module has the functions for it."""

    def __init__(
        self,
        engine: Engine,
        module: int,
        limits: Limits,
        imports: Sequence[HostFunction] = (),
    ) -> None:
        super().__init__(engine, module, limits, imports)
        self._bytes: memoryview | None = None
        buffer = self._find(BUFFER, capi.EXTERN_MEMORY)
        if buffer is None:
            return
        base = self._api.wasmtime_memory_data(self._context, byref(buffer.of.memory))
        # It never grows, so it never moves.
        self._buffer = (ctypes.c_char * BUFFER_BYTES).from_address(base)
        self._bytes = memoryview(self._buffer).cast("B")
        self._no_values = c_uint64()
        self._exchange_function = self._function_without_values(EXCHANGE)
        self._finish_function = self._function_without_values(FINISH)

    def exchange(
        self,
        function: str,
        prefix: tuple[int, ...],
        payload: bytes | None,
        *,
        result_bytes: int,
        fuel: int,
        stack: int,
        seconds: float | None,
    ) -> Exchanged | None:
        buffer = self._bytes
        length = 0 if payload is None else len(payload)
        if buffer is None or length > CAPACITY:
            return None
        if seconds is not None:
            self.set_deadline(seconds)
        _pack_request(
            buffer,
            0,
            _NUMBERS[function],
            length,
            payload is not None,
            prefix[0] if prefix else 0,
            fuel,
            stack,
            result_bytes if result_bytes < _U32 else _U32,
            0,
            _ALLOCATE,  # for a trap that comes before the function has set it
        )
        if payload is not None:
            buffer[DATA_AT : DATA_AT + length] = payload
        check_thread_stack(self._stack_bytes)
        error = self._exchange_function()
        fault = self._fault(error) if error or self._trap else None
        stage, pages, packed, left, pointer, inside = _unpack_reply(buffer, _REPLY_AT)
        data = None
        if stage != _DONE:
            if stage <= _CALL:
                allocating = stage == _ALLOCATE and payload is not None
                raise self._stopped(fault, ALLOC if allocating else function)
            if stage == _UNFIT:
                return Exchanged(pointer, None, pages * PAGE_BYTES, None, left)
            if stage == _LARGE:
                data = self.read(packed >> 32, packed & _U32)
                error = self._finish_function()
                fault = self._fault(error) if error or self._trap else None
                stage = _unpack_reply(buffer, _REPLY_AT)[0]
        size = packed & _U32
        if data is None and inside and size <= result_bytes:
            # An array of c_char gives bytes, and does so more quickly than the view.
            data = self._buffer[DATA_AT : DATA_AT + size]  # type: ignore[assignment]
        free_trap = None if stage == _DONE else self._stopped(fault, DEALLOC)
        # Half as dear as to call the class.
        return _new(
            Exchanged,
            (pointer if length else 0, packed, pages * PAGE_BYTES, data, left, free_trap),
        )

    def close(self) -> None:
        if self._bytes is not None:
            self._bytes.release()
            del self._buffer
        super().close()

    def _function_without_values(self, name: str) -> Callable[[], int | None]:
        """An exported function that takes and returns nothing, as a C call of the engine."""
        function = self._export(name, capi.EXTERN_FUNC).of.function
        return partial(
            self._api.wasmtime_func_call_unchecked,
            c_void_p(self._context),
            byref(function),
            byref(self._no_values),
            c_size_t(0),
            byref(self._trap),
        )

    def _fault(self, error: int | None) -> Trap:
        """The trap that one of the added functions left behind; any other failure is raised."""
        try:
            fail(self._api, self._trap, error, self._raised)
        except Trap as trap:
            return trap

    def _stopped(self, trap: Trap | None, function: str) -> Trap:
        """What ended an exchange in ``function``: a trap, or that its fuel is overdrawn."""
        if trap is None:
            trap = Trap(TrapKind.OUT_OF_FUEL)
        else:
            trap.stack_left = self.get_global(STACK)
        trap.function = function
        trap.fuel_left = self.get_global(FUEL)
        return trap
