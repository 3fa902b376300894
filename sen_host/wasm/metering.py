"""Meter fuel and limit the call stack by code in the module itself.

Two mutable i64 globals are added. The host sets both before it enters a guest:

* FUEL: what is left of the budget. A stretch of code that is entered at its
  start and left at its end is paid as a whole before it runs: its cost is taken
  from FUEL, of which each function keeps a copy in a local.
* STACK: bytes that are left for a callee. A function takes its own cost from it,
  into a local, and stores the rest before each call it makes.

Whether one of them fell below zero is looked at when a function is entered, at
each turn of a loop, and before bulk operations work. Then the function
``exhausted`` is called, which does nothing, and the guest traps. A call whose
last stretch overdrew comes to its end, but with FUEL below zero: the host takes
that for out of fuel as well. So a call completes if and only if its total cost
is within the budget.

A stretch ends at a branch, at the target of one, at a call, before a bulk
operation, and before ``unreachable``. It costs as many as it has operators, but
for those in FREE; a function costs one more when it is entered, and bulk
operations one more for each byte, element or page.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import itemgetter

from sen_host.backend import FuncType
from sen_host.errors import ModuleCompilation
from sen_host.wasm.instructions import MAX_LOCALS, read_locals
from sen_host.wasm.leb128 import decode_signed, decode_unsigned, encode_signed, encode_unsigned
from sen_host.wasm.operators import OPERATORS, PREFIX_MISC, PREFIX_SIMD, Immediate, Operator
from sen_host.wasm.tokens import split

FREE = frozenset("nop drop block loop unreachable return else end".split())
"""Operators that cost nothing; all others cost one. As in Wasmtime."""

BULK = frozenset(
    "memory.grow memory.fill memory.copy memory.init"
    " table.grow table.fill table.copy table.init".split()
)
"""Operators that cost one more for each unit of the count on top of the stack."""

FRAME_BYTES = 96
"""What the smallest native frame is taken for."""

LEAF_BYTES = 4096
"""Frames of functions that call nothing are not counted up to this size."""

THUNK_BYTES = 8192
"""A function with a larger frame is checked before that frame is made."""

_END, _BR_IF, _BLOCK, _CALL, _BR, _IF, _LOOP = 0x0B, 0x0D, 0x02, 0x10, 0x0C, 0x04, 0x03
_ELSE, _RETURN, _UNREACHABLE, _BR_TABLE, _CALL_INDIRECT = 0x05, 0x0F, 0x00, 0x0E, 0x11
_MEMORY_GROW = 0x40

_TRAP = b"\x00"
_SUBTRACT = b"\x7d"
_BELOW_ZERO = b"\x42\x00\x53"
_OR = b"\x84"

# In the string of a function's opcodes, operators behind a prefix stand as
# bytes that no operator of WebAssembly 2.0 has, by what they do to the stack.
_PUSHES = {1: 0xF1, 0: 0xF0, -1: 0xF2, -2: 0xF3}
_DROPS = 0xF4
"""data.drop and elem.drop"""
_BULK_CODE = 0xF5
_TABLE_SIZE = 0xF6


_CONTROLS = bytes(
    (
        _END,
        _BR_IF,
        _BLOCK,
        _CALL,
        _BR,
        _IF,
        _LOOP,
        _ELSE,
        _RETURN,
        _UNREACHABLE,
        _BR_TABLE,
        _CALL_INDIRECT,
        _MEMORY_GROW,
        _BULK_CODE,
    )
)
"""All that may end a stretch."""
_TO_END = bytes.maketrans(_CONTROLS, bytes((_END,)) * len(_CONTROLS))
_LAST_OPENING = _IF  # block, loop, if: 2, 3, 4

_first = itemgetter(0)
_prefixes = re.compile(b"[\xfc\xfd]").finditer


def _is_work(operator: Operator) -> bool:
    """Whether a compiler may keep the result alive for long: constants, loads, arithmetic."""
    return (
        operator.proposal == "SIMD"
        or operator.immediate
        in (
            Immediate.ACCESS,
            Immediate.I32,
            Immediate.I64,
            Immediate.F32,
            Immediate.F64,
        )
        or 0x45 <= operator.code <= 0xC4
    )


def _delta(operator: Operator) -> int:
    return len(operator.results) - len(operator.params)


_PLAIN = {code: operator for code, operator in OPERATORS.items() if code <= 0xFF}
_FREE = bytes(code for code, operator in _PLAIN.items() if operator.name in FREE)
_NO_WORK = bytes(code for code, operator in _PLAIN.items() if not _is_work(operator)) + bytes(
    (_DROPS, _BULK_CODE, _TABLE_SIZE)
)
_FLOATS = bytes(
    code
    for code, operator in _PLAIN.items()
    if {"f32", "f64"}.intersection(operator.params + operator.results)
) + bytes(_PUSHES.values())
_NOT_FLOATS = bytes(set(range(256)).difference(_FLOATS))
_DELTAS = [_delta(_PLAIN[code]) if code in _PLAIN else 0 for code in range(256)]
for _change, _code in _PUSHES.items():
    _DELTAS[_code] = _change
_DELTAS[_TABLE_SIZE] = 1
_FLOAT_TYPES = frozenset({"f32", "f64", "v128"})


@dataclass(frozen=True)
class Indices:
    """What injected code names: two globals and a function."""

    fuel: int
    stack: int
    exhausted: int


class Meter:
    """Meters the functions of one module."""

    def __init__(
        self, types: Sequence[FuncType], functions: Sequence[int], indices: Indices
    ) -> None:
        """``functions`` holds the type index of each function, imported ones first."""
        self._types = types
        self._functions = functions
        self._type_effects = [(len(type.params), len(type.results)) for type in types]
        self._deltas = [given - taken for taken, given in self._type_effects]
        self._stretches = _Stretches()
        self._codes: dict[int, _Injected] = {}
        self._indices = indices

    def function(self, data: bytes, start: int, end: int, type: FuncType) -> tuple[bytes, int]:
        """Meter the body ``data[start:end]`` of a function.

        Returns:
            The new body, and the bytes of stack that it takes; 0 for a leaf
            that is not counted.

        Raises:
            ModuleCompilation: an operator is not known, or there are too many
                locals for the ones that metering needs.
        """
        declarations, code = read_locals(data, start, end)
        params = len(type.params)
        count = params + sum(count for count, _ in declarations)
        if count + 3 > MAX_LOCALS:  # engines count parameters as well
            raise ModuleCompilation(
                f"a function has {count - params:,} locals, at most"
                f" {MAX_LOCALS - 3 - params:,} can be metered",
                offset=start,
            )
        tokens = split(data, code, end)
        opcodes = bytearray(map(_first, tokens))
        for match in _prefixes(bytes(opcodes)):
            opcodes[match.start()] = _code_of(tokens[match.start()])
        injected = self._codes.get(count)
        if injected is None:
            injected = self._codes[count] = _Injected(count, self._indices)
        peak, calls = self._meter(tokens, opcodes, injected)
        wide = bool(opcodes.translate(None, _NOT_FLOATS)) or any(
            kind in _FLOAT_TYPES for kind in (*type.params, *(kind for _, kind in declarations))
        )
        work = len(opcodes.translate(None, _NO_WORK))
        frame = FRAME_BYTES + (16 if wide else 8) * (count + 3 * peak + work)
        counted = calls or frame > LEAF_BYTES
        groups, groups_end = decode_unsigned(data, start)
        head = (
            encode_unsigned(groups + 2)
            + data[groups_end:code]
            + b"\x02\x7e\x01\x7f"
            + tokens.pop()
            + (injected.enter(frame) if counted else injected.check)
        )
        return head + b"".join(tokens), frame if counted else 0

    def thunk(self, params: int, frame: int, function: int) -> bytes:
        """A body that looks whether a frame fits before it calls ``function``."""
        stack = b"\x23" + encode_unsigned(self._indices.stack)
        report = b"\x10" + encode_unsigned(self._indices.exhausted)
        too_large = stack + b"\x42" + encode_signed(frame) + b"\x53"
        stop = b"\x42\x7f\x24" + encode_unsigned(self._indices.stack) + report + _TRAP
        arguments = b"".join(b"\x20" + encode_unsigned(index) for index in range(params))
        call = b"\x10" + encode_unsigned(function)
        return b"\x00" + too_large + b"\x04\x40" + stop + b"\x0b" + arguments + call + b"\x0b"

    def _meter(
        self, tokens: list[bytes], opcodes: bytearray, injected: _Injected
    ) -> tuple[int, bool]:
        """Put charges and checks into ``tokens``, and at its end the charge of the entry.

        This runs for each instruction that ends a stretch, so it is one loop
        without calls, as far as possible.

        Returns:
            The greatest height of the operand stack, and whether there is a call.
        """
        stretches, deltas, functions = self._stretches, self._deltas, self._functions
        charge, reload, turn = injected.charge, injected.reload, injected.turn
        store_stack = injected.store_stack
        height = peak = dead = 0
        calls = False
        # The stretch that is open: its cost so far, the token behind which its
        # charge goes, and the form of that charge.
        cost, opened, pay = 1, len(tokens), reload
        tokens.append(b"")
        # For each construct: height behind it, height at its start, whether it is
        # a loop; and whether a branch goes to its label.
        constructs: list[tuple[int, int, bool]] = []
        targets = [False]
        position = -1
        parts = opcodes.translate(_TO_END).split(b"\x0b")
        parts.pop()  # what is behind the last end
        for part in parts:
            position += len(part) + 1
            code = opcodes[position]
            if dead:  # the number of constructs that end before code is live again
                if _BLOCK <= code <= _LAST_OPENING:
                    dead += 1
                elif code == _END:
                    dead -= 1
                    if not dead and constructs:
                        height = constructs.pop()[0]
                        targets.pop()
                        cost, opened, pay = 0, position, charge
                elif code == _ELSE and dead == 1:
                    dead = 0
                    height = constructs[-1][1]
                    cost, opened, pay = 0, position, charge
                continue
            if part:
                paid, delta, most = stretches[bytes(part)]
                cost += paid
                if height + most > peak:
                    peak = height + most
                height += delta
            if code == _END:
                if not constructs:
                    tokens[opened] += pay[cost]
                    break
                height, _, loop = constructs.pop()
                if targets.pop() and not loop:
                    tokens[opened] += pay[cost]
                    cost, opened, pay = 0, position, charge
            elif _BR <= code <= _BR_IF:
                token = tokens[position]
                depth = token[1] if len(token) == 2 else decode_unsigned(token, 1)[0]
                targets[-1 - depth] = True
                tokens[opened] += pay[cost + 1]
                if code == _BR_IF:
                    height -= 1
                    cost, opened, pay = 0, position, charge
                else:
                    dead = 1
            elif code <= _LAST_OPENING and code:
                token = tokens[position]
                if token == b"\x02\x40":
                    constructs.append((height, height, False))
                    targets.append(False)
                    continue
                params, results = self._block_effect(token)
                if code == _IF:
                    height -= 1
                    cost += 1
                below = height - params
                constructs.append((below + results, height, code == _LOOP))
                targets.append(code == _IF)
                if code != _BLOCK:
                    tokens[opened] += pay[cost]
                    cost, opened, pay = 0, position, turn if code == _LOOP else charge
            elif _CALL <= code <= _CALL_INDIRECT:
                calls = True
                token = tokens[position]
                index = token[1] if token[1] < 0x80 else decode_unsigned(token, 1)[0]
                if code == _CALL:
                    height += deltas[functions[index]]
                else:
                    height += deltas[index] - 1
                if height > peak:
                    peak = height
                tokens[opened] += pay[cost + 1]
                tokens[position] = store_stack + token
                cost, opened, pay = 0, position, reload
            elif code == _ELSE:
                tokens[opened] += pay[cost]
                height = constructs[-1][1]
                cost, opened, pay = 0, position, charge
            elif code == _RETURN:
                tokens[opened] += pay[cost]
                dead = 1
            elif code == _UNREACHABLE:
                tokens[opened] += pay[cost]
                tokens[position] = injected.report + tokens[position]
                dead = 1
            elif code == _BR_TABLE:
                token = tokens[position]
                for depth in _labels(token):
                    targets[-1 - depth] = True
                tokens[opened] += pay[cost + 1]
                dead = 1
            else:  # memory.grow and what costs by the count on top of the stack
                tokens[opened] += pay[cost + 1]
                height += _bulk_delta(tokens[position])
                tokens[position] = injected.pay_count + tokens[position]
                cost, opened, pay = 0, position, charge
        return peak, calls

    def _block_effect(self, token: bytes) -> tuple[int, int]:
        code = token[1]
        if len(token) == 2 and code >= 0x40:
            return 0, int(code != 0x40)
        index, _ = decode_signed(token, 1, 33)
        if index < 0:
            return 0, int(index != -64)
        return self._type_effects[index]


class _Injected:
    """The code that is injected into functions with so many locals."""

    def __init__(self, count: int, indices: Indices) -> None:
        fuel, stack = encode_unsigned(indices.fuel), encode_unsigned(indices.stack)
        left, room, units = map(encode_unsigned, (count, count + 1, count + 2))
        self._get_fuel = get_fuel = b"\x20" + left
        load_fuel = b"\x23" + fuel
        keep_fuel = b"\x22" + left + b"\x24" + fuel
        self._load_stack = b"\x23" + stack
        self._tee_stack = b"\x22" + room
        self.store_stack = b"\x20" + room + b"\x24" + stack
        self.report = b"\x10" + encode_unsigned(indices.exhausted)
        stop = b"\x04\x40" + self.report + _TRAP + b"\x0b"
        self.check = self._get_fuel + _BELOW_ZERO + stop
        self.pay_count = (
            b"\x22" + units + self._get_fuel + b"\x20" + units + b"\xad" + _SUBTRACT
            + keep_fuel + self.check
        )  # fmt: skip
        self.charge = _Charges(get_fuel, keep_fuel, b"", b"")
        """Take a cost from the fuel."""
        self.turn = _Charges(get_fuel, keep_fuel, b"", self.check)
        """The same at the start of a loop, and look at what is left."""
        self.reload = _Charges(load_fuel, keep_fuel, load_fuel + b"\x21" + left, b"")
        """Read the fuel anew, and take a cost from it."""

    def enter(self, frame: int) -> bytes:
        """Take a frame from the stack, and look at fuel and stack."""
        stack = self._load_stack + b"\x42" + encode_signed(frame) + _SUBTRACT + self._tee_stack
        stop = b"\x04\x40" + self.store_stack + self.report + _TRAP + b"\x0b"
        return stack + self._get_fuel + _OR + _BELOW_ZERO + stop


class _Charges(dict[int, bytes]):
    """The code that takes a cost from the fuel, by cost."""

    def __init__(self, read: bytes, keep: bytes, nothing: bytes, check: bytes) -> None:
        super().__init__({0: nothing + check})
        self._read = read + b"\x42"
        self._keep = _SUBTRACT + keep + check

    def __missing__(self, cost: int) -> bytes:
        code = self[cost] = self._read + encode_signed(cost) + self._keep
        return code


class _Stretches(dict[bytes, tuple[int, int, int]]):
    """Cost of a stretch of opcodes, the height it adds, and the most within it."""

    def __missing__(self, opcodes: bytes) -> tuple[int, int, int]:
        heights = list(accumulate(map(_DELTAS.__getitem__, opcodes)))
        cost = len(opcodes.translate(None, _FREE))
        found = self[opcodes] = cost, heights[-1], max(0, *heights)
        return found


def _labels(table: bytes) -> set[int]:
    """The labels of a br_table."""
    count, offset = decode_unsigned(table, 1)
    if len(table) == offset + count + 1:  # a byte for each
        return set(table[offset:])
    labels = set()
    for _ in range(count + 1):
        label, offset = decode_unsigned(table, offset)
        labels.add(label)
    return labels


def _code_of(token: bytes) -> int:
    """An opcode of one byte for any instruction."""
    first = token[0]
    if first == PREFIX_SIMD:
        operator = OPERATORS[first << 16 | decode_unsigned(token, 1)[0]]
        return _PUSHES[len(operator.results) - len(operator.params)]
    if first == PREFIX_MISC:
        operator = OPERATORS[first << 16 | decode_unsigned(token, 1)[0]]
        if operator.name in BULK:
            return _BULK_CODE
        if operator.name == "table.size":
            return _TABLE_SIZE
        return _DROPS if operator.name.endswith(".drop") else _PUSHES[0]
    return first


def _bulk_delta(token: bytes) -> int:
    code = token[0]
    if code == PREFIX_MISC:
        code = code << 16 | decode_unsigned(token, 1)[0]
    return _delta(OPERATORS[code])
