"""Functions with a body in place of imported ones, which all call one and the same function.

What a stub is called with, it writes into a memory of the host: each argument as an
i64, an i32 without its sign, one behind the other. So an engine's way to the host need
not convert anything, and needs one callback only, whatever a module imports.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sen_host.backend import FuncType
from sen_host.wasm.assembler import (
    Memory,
    drop,
    function,
    get,
    i32_wrap_i64,
    i64_extend_i32_u,
)

ARGUMENT_BYTES = 8


def stubs(
    types: Sequence[FuncType], own: Memory, arguments_at: int, up: Callable[[int], bytes]
) -> list[bytes]:
    """The bodies of stubs for functions of these types, all of integers.

    Args:
        own: the memory that takes the arguments.
        arguments_at: where they are written.
        up: makes the code that calls the host for the function of that number in
            ``types``; it leaves the result, an i64, on the stack.
    """
    return [_stub(type, own, arguments_at, up(number)) for number, type in enumerate(types)]


def _stub(type: FuncType, own: Memory, at: int, called: bytes) -> bytes:
    stores = (
        own.store_i64(
            at + ARGUMENT_BYTES * index,
            i64_extend_i32_u(get(index)) if kind == "i32" else get(index),
        )
        for index, kind in enumerate(type.params)
    )
    if not type.results:
        result = drop(called)
    else:
        result = i32_wrap_i64(called) if type.results == ("i32",) else called
    return function((), *stores, result)
