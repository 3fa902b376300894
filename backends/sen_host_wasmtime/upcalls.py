"""Calls from a guest up to the host, for the binding ``c-api``.

:mod:`sen_host_wasmtime.glue` puts functions in place of those that a module imports.
They write what they are called with into a memory of the host, and call one function
that takes nothing and returns nothing:

     0  u32  number of the import
     8  u64  its result, from the host
    16  u64  each argument

A callback of ctypes that ends with an exception returns whatever lies on the stack, which
the engine would take for a trap. And a signal handler may raise as soon as a Python function
is entered, before its ``try``. So it is a generator that the engine calls: that goes on
within its ``try``.
"""

from __future__ import annotations

import ctypes
from collections.abc import Generator
from ctypes import byref, c_void_p
from struct import Struct

from sen_host.backend import RESERVED
from sen_host_wasmtime import capi

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sen_host.backend import HostFunction

UPCALL = (RESERVED + "host", "upcall")
"""Module and name of what is imported instead."""

UPCALLS = RESERVED + "upcalls"
"""Export: the memory."""

PAGES = 1
RESULT_AT = 8
ARGUMENTS_AT = 16

_number = Struct("<I")
_result = Struct("<Q")
_TRAP = b"ended by the host"

# The engine passes more, in registers that are not looked at.
_Callback = ctypes.CFUNCTYPE(c_void_p, c_void_p)


class UpCalls:
    """The host functions of one store. What they hold must be closed with it.

    Attributes:
        raised: what a host function raised, until somebody takes it; or None.
        extern: what to hand over as the one import.
    """

    def __init__(self, api: capi.CApi, context: int, imports: Sequence[HostFunction]) -> None:
        """Make the function; before the instance is made."""
        self.raised: list[BaseException | None] = [None]
        self.extern = capi.Extern(kind=capi.EXTERN_FUNC)
        self._api = api
        self._buffer: list[memoryview] = []
        self._ended = [False]
        self._trap: int = api.wasmtime_trap_new(_TRAP, len(_TRAP))
        self._answers = _answers(imports, self._buffer, self.raised, self._ended, self._trap)
        next(self._answers)
        self._callback = _Callback(self._answers.send)
        params, results = capi.ByteVector(), capi.ByteVector()  # both are empty, of any type
        type = api.wasm_functype_new(byref(params), byref(results))
        api.wasmtime_func_new_unchecked(
            context, type, self._callback, None, None, byref(self.extern.of.function)
        )
        api.wasm_functype_delete(type)

    def connect(self, base: int) -> None:
        """Say where the memory is; before a guest runs. It never moves."""
        size = PAGES << 16
        self._buffer.append(memoryview((ctypes.c_char * size).from_address(base)).cast("B"))

    def close(self) -> None:
        self._answers.close()
        for view in self._buffer:
            view.release()
        if not self._ended[0]:
            self._ended[0] = True
            self._api.wasm_trap_delete(self._trap)


def _answers(
    imports: Sequence[HostFunction],
    buffer: list[memoryview],
    raised: list[BaseException | None],
    ended: list[bool],
    trap: int,
) -> Generator[int | None, object, None]:
    """Each time it is sent something, does what the guest asks for.

    Yields None if the guest goes on, and the trap otherwise.
    """
    called = [(item.call, Struct(f"<{len(item.type.params)}Q").unpack_from) for item in imports]
    try:
        while True:
            yield None
            memory = buffer[0]
            call, unpack = called[_number.unpack_from(memory)[0]]
            result = call(*unpack(memory, ARGUMENTS_AT))
            if result is not None:
                _result.pack_into(memory, RESULT_AT, result)
    except GeneratorExit:
        return
    except BaseException as error:
        # No call and no jump, at which another signal might be handled.
        raised[0] = error
        ended[0] = True
        yield trap
