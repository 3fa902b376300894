"""The code that metering injects (see ``metering``)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from sen_host.wasm.leb128 import encode_signed, encode_unsigned

_UNREACHABLE = b"\x00"
_BLOCK, _IF, _BR_IF, _END, _RETURN = b"\x02", b"\x04\x40", b"\x0d", b"\x0b", b"\x0f"
_NO_RESULT = b"\x40"
_BR, _CALL = b"\x0c", b"\x10"
_LOCAL_GET, _LOCAL_SET, _LOCAL_TEE = b"\x20", b"\x21", b"\x22"
_GLOBAL_GET, _GLOBAL_SET = b"\x23", b"\x24"
_CONST = b"\x42"
_LESS, _SUBTRACT, _OR = b"\x53", b"\x7d", b"\x84"
_BELOW_ZERO = b"\x42\x00\x53"
_MINUS_ONE = b"\x42\x7f"
_EXTEND = b"\xad"

LOCALS = b"\x02\x7e\x01\x7f"
"""Declares the locals: copies of FUEL and STACK (i64), and a count (i32)."""

ADDED_LOCALS = 3


@dataclass(frozen=True)
class Indices:
    """What injected code names: two globals and a function."""

    fuel: int
    stack: int
    exhausted: int


class _Charges(dict[int, bytes]):
    """The code that takes a cost from the fuel, by cost; one below zero is given back."""

    def __init__(self, read: bytes, keep: bytes) -> None:
        super().__init__({0: b""})
        self._before = read + _CONST
        self._behind = _SUBTRACT + keep

    def __missing__(self, cost: int) -> bytes:
        code = self[cost] = self._before + _encode(cost) + self._behind
        return code


class _GivingBack(dict[tuple[int, int], bytes]):
    """``br_if`` that gives back a cost if it is taken, by that cost and its label."""

    def __init__(self, charge: Callable[[int], bytes]) -> None:
        super().__init__()
        self._charge = charge

    def __missing__(self, key: tuple[int, int]) -> bytes:
        cost, label = key
        code = _IF + self._charge(-cost) + _BR + encode_unsigned(label + 1) + _END
        self[key] = code
        return code


_encode = lru_cache(1024)(encode_signed)


class Injected:
    """The code that is injected into functions with so many locals.

    What happens when fuel or stack are exhausted stands once, behind the code of the
    function, so that a look at them is a branch that is not taken. For that the code
    stands in two blocks: the outer one ends before what stands behind, the inner one
    stands in for the function itself as the target of branches.

    Attributes:
        charge: takes a cost from the copy of the fuel.
        give_back: a ``br_if`` that adds a cost to the copy if it is taken, by cost and label.
        pay: takes a cost from the copy, and stores the rest.
        load_fuel: makes the copy.
        store_fuel: stores the copy.
        count: takes the i32 on top of the stack from the fuel, and stores the rest.
        close: ends the function.
        close_storing: the same, and stores the copy of the fuel.
        store_stack: says to a callee how much stack is left.
        report: calls ``exhausted``.
    """

    def __init__(self, locals: int, indices: Indices) -> None:
        fuel, stack = encode_unsigned(indices.fuel), encode_unsigned(indices.stack)
        left, room, count = map(encode_unsigned, range(locals, locals + ADDED_LOCALS))
        self.report = report = _CALL + encode_unsigned(indices.exhausted)
        get = _LOCAL_GET + left
        store = _LOCAL_TEE + left + _GLOBAL_SET + fuel
        self._check = get + _BELOW_ZERO + _BR_IF
        # A method of the dict, because a subscript of it would be slower.
        self.charge = _Charges(get, _LOCAL_SET + left).__getitem__
        self.give_back = _GivingBack(self.charge).__getitem__
        self.pay = _Charges(get, store).__getitem__
        self.load_fuel = _GLOBAL_GET + fuel + _LOCAL_SET + left
        self.store_fuel = get + _GLOBAL_SET + fuel
        self.count = _LOCAL_TEE + count + get + _LOCAL_GET + count + _EXTEND + _SUBTRACT + store
        self.store_stack = _LOCAL_GET + room + _GLOBAL_SET + stack
        self._load_stack = _GLOBAL_GET + stack + _CONST
        self._check_both = (
            _SUBTRACT + _LOCAL_TEE + room + get + _OR + _BELOW_ZERO + _BR_IF + encode_unsigned(1)
        )
        # If it is the fuel that is exhausted, nobody looks at the stack.
        mark = _MINUS_ONE + _GLOBAL_SET + stack
        exhausted = _END + self.store_fuel + mark + report + _UNREACHABLE + _END
        self.close = _END + _RETURN + exhausted
        self.close_storing = _END + self.store_fuel + _RETURN + exhausted

    def check(self, depth: int) -> bytes:
        """Look at the fuel that is left, within so many constructs of the function."""
        return self._check + encode_unsigned(depth + 1)

    def open(self, result: bytes) -> bytes:
        """Begin the function, with its result as a block type."""
        return _BLOCK + _NO_RESULT + _BLOCK + result

    def enter(self, frame: int) -> bytes:
        """Take a frame from the stack, and look at fuel and stack."""
        return self._load_stack + encode_signed(frame) + self._check_both


def thunk(params: int, frame: int, function: int, indices: Indices) -> bytes:
    """A body that looks whether a frame fits before it calls ``function``."""
    stack = encode_unsigned(indices.stack)
    too_large = _GLOBAL_GET + stack + _CONST + encode_signed(frame) + _LESS
    report = _CALL + encode_unsigned(indices.exhausted)
    stop = _MINUS_ONE + _GLOBAL_SET + stack + report + _UNREACHABLE
    arguments = b"".join(_LOCAL_GET + encode_unsigned(index) for index in range(params))
    call = _CALL + encode_unsigned(function)
    return b"\x00" + too_large + _IF + stop + _END + arguments + call + _END
