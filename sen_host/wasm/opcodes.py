"""A function's opcodes as a string of bytes, one for each instruction."""

from __future__ import annotations

import re
from collections.abc import Sequence
from operator import itemgetter

from sen_host.wasm.leb128 import decode_unsigned
from sen_host.wasm.operators import OPERATORS, PREFIX_MISC, PREFIX_SIMD, Operator

# Operators behind a prefix stand as bytes that no operator of WebAssembly 2.0 has,
# by what they do to the stack.
PUSHES = {1: 0xF1, 0: 0xF0, -1: 0xF2, -2: 0xF3}
DROPS = 0xF4
"""data.drop and elem.drop"""
BULK = 0xF5
TABLE_SIZE = 0xF6

PLAIN = {code: operator for code, operator in OPERATORS.items() if code <= 0xFF}
"""The operators that are not behind a prefix."""

_first = itemgetter(0)
_prefixes = re.compile(b"[\xfc\xfd]").finditer


def delta(operator: Operator) -> int:
    """How an operator changes the height of the stack."""
    return len(operator.results) - len(operator.params)


def _prefixed_code(operator: Operator) -> int:
    if operator.unit:
        return BULK
    if operator.name == "table.size":
        return TABLE_SIZE
    return DROPS if operator.name.endswith(".drop") else PUSHES[delta(operator)]


_PREFIXED = {code: _prefixed_code(operator) for code, operator in OPERATORS.items() if code > 0xFF}


def opcodes_of(tokens: Sequence[bytes]) -> bytes:
    """The opcodes of instructions as ``tokens.split`` finds them."""
    opcodes = bytes(map(_first, tokens))
    if PREFIX_MISC not in opcodes and PREFIX_SIMD not in opcodes:
        return opcodes
    codes = bytearray(opcodes)
    for match in _prefixes(opcodes):
        token = tokens[match.start()]
        sub = token[1] if token[1] < 0x80 else decode_unsigned(token, 1)[0]
        codes[match.start()] = _PREFIXED[token[0] << 16 | sub]
    return bytes(codes)


def bulk_delta(token: bytes) -> int:
    """How memory.grow or a bulk operation changes the height of the stack."""
    code = token[0]
    if code == PREFIX_MISC:
        code = code << 16 | decode_unsigned(token, 1)[0]
    return delta(OPERATORS[code])
