"""Wasmer's texts for traps, and what they mean."""

from __future__ import annotations

import re

from sen_host.backend import Trap
from sen_host.errors import TrapKind

_KINDS = {
    "unreachable": TrapKind.UNREACHABLE,
    "out of bounds memory access": TrapKind.MEMORY_OUT_OF_BOUNDS,
    "undefined element: out of bounds table access": TrapKind.TABLE_OUT_OF_BOUNDS,
    "out of bounds table access": TrapKind.TABLE_OUT_OF_BOUNDS,
    "integer divide by zero": TrapKind.INTEGER_DIVIDE_BY_ZERO,
    "integer overflow": TrapKind.INTEGER_OVERFLOW,
    "invalid conversion to integer": TrapKind.INVALID_CONVERSION_TO_INTEGER,
    "uninitialized element": TrapKind.UNINITIALIZED_ELEMENT,
    "indirect call type mismatch": TrapKind.INDIRECT_CALL_TYPE_MISMATCH,
    "call stack exhausted": TrapKind.STACK_OVERFLOW,
}
_MARK = "RuntimeError: "
_LINE_CHARACTERS = 400


def first_line(text: str) -> str:
    """The first line, cut to a length that can be shown.

    The text of a stack overflow lists every frame and may be megabytes long,
    so the rest is not even looked at.
    """
    return text[:_LINE_CHARACTERS].partition("\n")[0].rstrip()


def callee(text: str, caller: int) -> int | None:
    """The index of the function that the outermost one of index ``caller`` had called.

    None if the frames do not tell. A frame's line ends with ``[index]:0xoffset)``; names
    in front of that are the plugin's, so nothing else is believed.
    """
    called = text.rfind("\n", 0, max(text.rfind(f"[{caller}]:0x"), 0))
    line = text[text.rfind("\n", 0, max(called, 0)) + 1 : max(called, 0)]
    frame = re.search(r"\[(\d+)\]:0x[0-9a-f]+\)$", line[-_LINE_CHARACTERS:])
    return int(frame[1]) if frame else None


def parse_trap(text: str) -> Trap | None:
    """The trap that a text of Wasmer tells of; None if it tells of something else.

    A trap's text is ``RuntimeError: <message>``, then lines with frames.
    """
    line = first_line(text)
    if not line.startswith(_MARK):
        return None
    message = line[len(_MARK) :]
    return Trap(_KINDS.get(message, TrapKind.UNKNOWN), message)
