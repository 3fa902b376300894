"""What Wasmtime says when something fails, in the words of the contract."""

from __future__ import annotations

from sen_host.errors import ModuleCompilation, TrapKind

# wasmtime/trap.h
_KINDS = {
    0: TrapKind.STACK_OVERFLOW,
    1: TrapKind.MEMORY_OUT_OF_BOUNDS,
    3: TrapKind.TABLE_OUT_OF_BOUNDS,
    4: TrapKind.UNINITIALIZED_ELEMENT,
    5: TrapKind.INDIRECT_CALL_TYPE_MISMATCH,
    6: TrapKind.INTEGER_OVERFLOW,
    7: TrapKind.INTEGER_DIVIDE_BY_ZERO,
    8: TrapKind.INVALID_CONVERSION_TO_INTEGER,
    9: TrapKind.UNREACHABLE,
    10: TrapKind.INTERRUPTED,
    11: TrapKind.OUT_OF_FUEL,
}


def trap_kind(code: int | None) -> TrapKind:
    """The kind of a trap with this code; None stands for a trap that has none."""
    return TrapKind.UNKNOWN if code is None else _KINDS.get(code, TrapKind.UNKNOWN)


def invalid(text: str) -> ModuleCompilation:
    """The error for a module that Wasmtime refuses with this text."""
    return ModuleCompilation(detail=cause(text))


def cause(text: str) -> str:
    """The innermost cause of a chain as Wasmtime prints it."""
    last = text.strip().rpartition("\n")[2].strip()
    number, colon, rest = last.partition(": ")
    return (rest if colon and number.isdecimal() else last).removeprefix("wasm trap: ")
