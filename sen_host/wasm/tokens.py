"""Split code into instructions at the speed of the regular-expression engine.

The expression is made from the operator table. It delimits instructions; it
does not judge them: that was done by whoever validated the module. What it does
not match, ``instructions`` refuses by name and offset.
"""

from __future__ import annotations

import re
from collections import defaultdict
from functools import cache

from sen_host.wasm.instructions import instructions
from sen_host.wasm.leb128 import decode_unsigned, encode_unsigned
from sen_host.wasm.operators import OPERATORS, Immediate

_LEB = rb"[\x80-\xff]{0,9}[\x00-\x7f]"
_BR_TABLE = 0x0E
_SHORT_TABLES = b"\x0e(?:%s)" % b"|".join(
    re.escape(encode_unsigned(count)) + rb"(?:%s){%d}" % (_LEB, count + 1) for count in range(256)
)
"""br_table with up to 256 labels; an expression cannot count by itself."""

_IMMEDIATES = {
    Immediate.NONE: b"",
    Immediate.BLOCK: _LEB,
    Immediate.LABEL: _LEB,
    Immediate.FUNCTION: _LEB,
    Immediate.TYPE_TABLE: _LEB * 2,
    Immediate.TYPES: rb"(?:\x01|\x81\x80{0,3}\x00).",
    Immediate.LOCAL: _LEB,
    Immediate.GLOBAL: _LEB,
    Immediate.TABLE: _LEB,
    Immediate.TABLE_TABLE: _LEB * 2,
    Immediate.ELEMENT_TABLE: _LEB * 2,
    Immediate.ELEMENT: _LEB,
    Immediate.DATA: _LEB,
    Immediate.DATA_MEMORY: _LEB * 2,
    Immediate.MEMORY: _LEB,
    Immediate.MEMORY_MEMORY: _LEB * 2,
    Immediate.ACCESS: _LEB * 2,
    Immediate.ACCESS_LANE: _LEB * 2 + b".",
    Immediate.LANE: b".",
    Immediate.LANES: b".{16}",
    Immediate.I32: _LEB,
    Immediate.I64: _LEB,
    Immediate.F32: b".{4}",
    Immediate.F64: b".{8}",
    Immediate.V128: b".{16}",
    Immediate.REFERENCE_TYPE: b".",
}


def _one_of(values: list[int]) -> bytes:
    return b"[" + b"".join(b"\\x%02x" % value for value in sorted(values)) + b"]"


def _sub_opcodes(values: list[int]) -> bytes:
    """All LEB128 forms, overlong ones included, of the sub-opcodes."""
    by_high: dict[int, list[int]] = defaultdict(list)
    for value in values:
        by_high[value >> 7].append(value & 0x7F)
    forms = []
    for high, lows in by_high.items():
        continued = _one_of([low | 0x80 for low in lows])
        if high == 0:
            forms += [_one_of(lows), continued + rb"\x80{0,3}\x00"]
        else:
            forms.append(continued + rb"(?:\x%02x|\x%02x\x80{0,2}\x00)" % (high, high | 0x80))
    return b"(?:" + b"|".join(forms) + b")"


def _expression() -> bytes:
    plain: dict[bytes, list[int]] = defaultdict(list)
    prefixed: dict[tuple[int, bytes], list[int]] = defaultdict(list)
    for code, operator in OPERATORS.items():
        if code == _BR_TABLE:
            continue
        immediate = _IMMEDIATES[operator.immediate]
        prefix, sub = divmod(code, 1 << 16)
        if prefix:
            prefixed[prefix, immediate].append(sub)
        else:
            plain[immediate].append(code)
    # Alternatives are tried in order, and most instructions are of three kinds.
    order = [_LEB, b"", _LEB * 2]
    order += [immediate for immediate in plain if immediate not in order]
    alternatives = [_one_of(plain[immediate]) + immediate for immediate in order]
    for (prefix, immediate), subs in prefixed.items():
        alternatives.append(b"\\x%02x" % prefix + _sub_opcodes(subs) + immediate)
    return b"|".join(alternatives)


_EXPRESSION = _expression() + b"|" + _SHORT_TABLES
_split = re.compile(_EXPRESSION, re.DOTALL).findall


@cache
def _run() -> re.Pattern[bytes]:
    """Instructions in a row; a repetition takes memory for each turn, so it is a bounded one."""
    return re.compile(b"(?:" + _EXPRESSION + b"){0,5000}", re.DOTALL)


def split(data: bytes, start: int, end: int) -> list[bytes]:
    """The instructions of ``data[start:end]``, each with its immediates.

    Raises:
        ModuleCompilation: an operator is not of WebAssembly 2.0, or malformed.
    """
    code = data[start:end]
    tokens: list[bytes] = _split(code)
    # What the expression cannot match is left out of the tokens.
    if sum(map(len, tokens)) == len(code):
        return tokens
    return _split_with_long_tables(code) or [
        data[offset:after] for offset, _, _, after in instructions(data, start, end)
    ]


def _split_with_long_tables(code: bytes) -> list[bytes] | None:
    """As ``split``; None if something but a br_table is not matched by the expression."""
    tokens: list[bytes] = []
    offset = 0
    run = _run().match
    try:
        while offset < len(code):
            matched = run(code, offset)
            assert matched is not None
            if matched[0]:
                tokens += _split(matched[0])
                offset = matched.end()
                continue
            if code[offset] != _BR_TABLE:
                return None
            start = offset
            count, offset = decode_unsigned(code, offset + 1)
            for _ in range(count + 1):
                while code[offset] >= 0x80:
                    offset += 1
                offset += 1
            tokens.append(code[start:offset])
    except (IndexError, ValueError):
        return None
    return tokens
