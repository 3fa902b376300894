"""How many bytes of native stack a function is taken to need.

Engines differ, and tell nobody. The measure was made so that it is above what
compilers were found to use, whatever a function is made of.
"""

from __future__ import annotations

from collections.abc import Iterable

from sen_host.backend import FuncType
from sen_host.wasm.opcodes import PLAIN, PUSHES, TABLE_SIZE
from sen_host.wasm.operators import Immediate, Operator

FRAME_BYTES = 96
"""What the smallest frame is taken for."""

LEAF_BYTES = 4096
"""Frames are not counted where it is certain that calls go no deeper than this."""

THUNK_BYTES = 8192
"""A function with a larger frame is checked before that frame is made."""

_WORKING = frozenset((Immediate.ACCESS, Immediate.I32, Immediate.I64, Immediate.F32, Immediate.F64))


def _weight(operator: Operator) -> int:
    """How many values a compiler may keep alive for long because of the operator.

    Among them are what it has computed on the way: the address of an element
    or a global, the type of an indirect call.
    """
    if operator.name in ("call_indirect", "table.get", "table.set"):
        return 3
    if operator.name in ("global.get", "global.set") or operator.immediate in (
        Immediate.TYPES,
        Immediate.ACCESS,
    ):
        return 2
    if (
        operator.proposal == "SIMD"
        or operator.immediate in _WORKING
        or (
            operator.name in ("select", "memory.size", "ref.is_null", "ref.null", "ref.func")
            or 0x45 <= operator.code <= 0xC4
        )
    ):
        return 1
    return 0


_WORKING_CODES = (*PUSHES.values(), TABLE_SIZE)
_BELOW = [
    bytes(
        code
        for code in range(256)
        if (_weight(PLAIN[code]) if code in PLAIN else int(code in _WORKING_CODES)) < weight
    )
    for weight in (1, 2, 3)
]
"""Opcodes of less weight than 1, 2, 3."""
_FLOATS = bytes(
    code
    for code, operator in PLAIN.items()
    if {"f32", "f64"}.intersection(operator.params + operator.results)
) + bytes(PUSHES.values())
_NOT_FLOATS = bytes(set(range(256)).difference(_FLOATS))
_FLOAT_TYPES = frozenset({"f32", "f64", "v128"})
_IN_REGISTERS = 8


def frame_bytes(
    opcodes: bytes, type: FuncType, locals: Iterable[tuple[int, str]], peak: int
) -> int:
    """The frame of a function.

    Args:
        opcodes: as ``opcodes_of`` makes them, dead code included.
        locals: groups of locals, each a count and a type; without parameters.
        peak: the greatest height of the operand stack.
    """
    groups = list(locals)
    count = len(type.params) + sum(count for count, _ in groups)
    wide = bool(opcodes.translate(None, _NOT_FLOATS)) or any(
        kind in _FLOAT_TYPES for kind in (*type.params, *(kind for _, kind in groups))
    )
    work = sum(len(opcodes.translate(None, below)) for below in _BELOW)
    height = max(peak, extra_height(type))
    return FRAME_BYTES + (16 if wide else 8) * (count + 3 * height + work)


def extra_height(type: FuncType) -> int:
    """What many parameters and results take besides: they are handed over in memory."""
    values = type.params + type.results
    if len(values) <= _IN_REGISTERS:
        return 0
    return sum(3 if value in _FLOAT_TYPES else 2 for value in values)
