"""Meter fuel and limit the call stack by code in the module itself.

Two mutable i64 globals are added. The host sets both before it enters a guest:

* FUEL: what is left of the budget. Each function keeps a copy of it in a local, and
  takes from that what its code costs. The copy is stored before calls, bulk
  operations and ``unreachable``, and when the function returns.
* STACK: bytes that are left for a callee. A function takes its own cost from it,
  into a local, and stores the rest before each call it makes.

Whether one of them fell below zero is looked at when a function is entered, at each turn
of a loop, before bulk operations work, and before a function of the host may be called.
Then the function ``exhausted`` is called, which does nothing, and the guest traps. A call
whose last stretch overdrew comes to its end, but with FUEL below zero: the host takes
that for out of fuel as well. So a call completes if and only if its total cost is within
the budget.

Code is paid in stretches, each as a whole where it starts: with a function, a loop, an
arm of an ``if``, or behind a ``br_if``. At a construct a stretch is interrupted. If no
branch from within leaves that construct for one around it, then its end is certain to
be reached, and the stretch goes on behind it; if one does, another stretch starts
there. Calls and bulk operations end nothing.

Nor does a ``br_if`` forward, if there is no look between the start of the stretch and
it: what follows is paid as if it were not taken, and when it is, it gives back what
the stretch has paid for between it and the end that it goes to. Those are most often
rare exits, so the way that is often taken pays once. What is paid but not certain to
be executed must not be seen by a look; that is why a look comes before the charge of
the stretch that starts at the same place, and why none may lie between.

A stretch costs what its operators cost by the operator table; a function costs one
more when it is entered, and bulk operations one more for each byte, element or page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

from sen_host.backend import FuncType
from sen_host.errors import ModuleCompilation
from sen_host.wasm.frames import LEAF_BYTES, extra_height, frame_bytes
from sen_host.wasm.immediates import block_type, table_labels
from sen_host.wasm.injected import ADDED_LOCALS, LOCALS, Indices, Injected, thunk
from sen_host.wasm.instructions import MAX_LOCALS, read_locals
from sen_host.wasm.leb128 import decode_unsigned, encode_signed, encode_unsigned
from sen_host.wasm.opcodes import (
    BULK,
    DROPS,
    PLAIN,
    PUSHES,
    TABLE_SIZE,
    bulk_delta,
    delta,
    opcodes_of,
)
from sen_host.wasm.tokens import split
from sen_host.wasm.writer import TYPE_CODES

__all__ = ["Indices", "Meter"]

_END, _BR_IF, _BLOCK, _CALL, _BR, _IF, _LOOP = 0x0B, 0x0D, 0x02, 0x10, 0x0C, 0x04, 0x03
_ELSE, _RETURN, _UNREACHABLE, _BR_TABLE, _CALL_INDIRECT = 0x05, 0x0F, 0x00, 0x0E, 0x11
_MEMORY_GROW = 0x40
_LAST_OPENING = _IF  # block, loop, if: 2, 3, 4
_EMPTY_BLOCK = b"\x02\x40"

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
        BULK,
    )
)
"""All that may end a stretch."""

# What is known of a construct that is open, in an integer: whether a branch goes
# to its label, whether it is a loop, whether it has results, whether a branch to its
# end gives something back, and above these bits the height behind it.
_TARGET, _IS_LOOP, _HAS_RESULTS, _IS_OWED, _HEIGHT = 1, 2, 4, 8, 4
_END_IS_TARGET = _TARGET | _IS_LOOP
"""These bits are _TARGET alone if a branch goes to the end, not to the start of a loop."""


def _effect(cost: int, delta: int) -> int:
    """What an operator does, as a byte: its cost, and how it changes the height of the stack."""
    return 16 * (1 + cost) + delta


def _effects() -> bytes:
    effects = bytearray(256)
    for code, operator in PLAIN.items():
        effects[code] = _effect(operator.cost, delta(operator))
    for change, code in PUSHES.items():
        effects[code] = _effect(1, change)
    effects[DROPS] = _effect(1, 0)
    effects[TABLE_SIZE] = _effect(1, 1)
    for code in _CONTROLS:
        effects[code] = _STRETCH_ENDS
    return bytes(effects)


_STRETCH_ENDS = 0
_EFFECTS = _effects()
_DELTAS = [(effect + 8) % 16 - 8 for effect in range(256)]


class Meter:
    """Meters the functions of one module."""

    def __init__(
        self,
        types: Sequence[FuncType],
        functions: Sequence[int],
        indices: Indices,
        *,
        imported: int = 0,
    ) -> None:
        """``functions`` holds the type index of each function, the imported ones first.

        For each type with several results, there must be one with these results alone.
        """
        known = {type: index for index, type in enumerate(types)}
        self._block_types = {
            type.results: _encode_block_type(type.results, known) for type in types
        }
        deltas = [len(type.results) - len(type.params) for type in types]
        self._extra = [extra_height(type) for type in types]
        self._call = _Calls(deltas, self._extra, functions).__getitem__
        self._stretch = _Stretches().__getitem__
        self._label = _Labels().__getitem__
        self._block = _Blocks(types).__getitem__
        self._injected: dict[int, Injected] = {}
        self._indices = indices
        # The functions whose frames are not counted, and how deep their calls go.
        self._depths: dict[int, int] = {}
        # Callees below this may be the host's; that of an indirect call is -1.
        self._host_below = imported or -1

    def function(
        self, index: int, data: bytes, start: int, end: int, type: FuncType
    ) -> tuple[bytes, int]:
        """Meter the body ``data[start:end]`` of a function; those in front of it come first.

        Returns:
            The new body, and the bytes of stack that it takes; 0 if they are
            not counted.

        Raises:
            ModuleCompilation: an operator is not known, or there are too many
                locals for the ones that metering needs.
        """
        declarations, code = read_locals(data, start, end)
        params = len(type.params)
        count = params + sum(count for count, _ in declarations)
        if count + ADDED_LOCALS > MAX_LOCALS:  # engines count parameters as well
            raise ModuleCompilation(
                f"a function has {count - params:,} locals, at most"
                f" {MAX_LOCALS - ADDED_LOCALS - params:,} can be metered",
                offset=start,
            )
        tokens = split(data, code, end)
        opcodes = opcodes_of(tokens)
        injected = self._injected.get(count)
        if injected is None:
            if len(self._injected) > _REMEMBERED_COUNTS:
                self._injected.clear()
            injected = self._injected[count] = Injected(count, self._indices)
        peak, depth, stores = self._meter(tokens, opcodes, injected, bool(type.results))
        frame = frame_bytes(opcodes, type, declarations, peak)
        counted = depth is None or frame + depth > LEAF_BYTES
        if not counted:
            assert depth is not None
            self._depths[index] = frame + depth
        groups, groups_end = decode_unsigned(data, start)
        head = (
            encode_unsigned(groups + 2)
            + data[groups_end:code]
            + LOCALS
            + injected.open(self._block_types[type.results])
            + injected.load_fuel
            + (injected.enter(frame) if counted else injected.check(0))
            + tokens.pop()
        )
        tokens.insert(0, head)
        tokens[-1] = injected.close_storing if stores else injected.close
        return b"".join(tokens), frame if counted else 0

    def thunk(self, params: int, frame: int, function: int) -> bytes:
        """A body that looks whether a frame fits before it calls ``function``."""
        return thunk(params, frame, function, self._indices)

    def _meter(
        self, tokens: list[bytes], opcodes: bytes, injected: Injected, has_results: bool
    ) -> tuple[int, int | None, bool]:
        """Put charges and checks into ``tokens``, and at its end the charge of the entry.

        This runs for each instruction that may end a stretch, so it is one loop
        without calls, as far as possible.

        Returns:
            The greatest height of the operand stack; how deep calls go beyond
            this function, in bytes, or None if that is not certain; and whether
            the fuel must be stored when it returns.
        """
        # A subscript of these dicts would be slower than their method.
        stretch, label_of = self._stretch, self._label
        block, call = self._block, self._call
        store_stack, load_fuel = injected.store_stack, injected.load_fuel
        give_back = injected.give_back
        height = peak = dead = 0
        depths, host_below = self._depths, self._host_below
        deepest: int | None = 0
        # The stretches, by the token behind which each starts; that of the entry, which
        # is before all others, is the last in the list. The cost of the current one is in
        # its own variable.
        entry = current = -1
        tokens.append(b"")
        costs: dict[int, int] = {}
        cost = 1
        loops: list[tuple[int, int]] = []  # the token, and how many constructs are open
        constructs = [_HAS_RESULTS if has_results else 0]  # the function itself
        # For each of the others: the stretch that it interrupts, and what ``lowest``
        # was around it. That is the outermost construct for which a branch from
        # within the innermost one leaves.
        around: list[tuple[int, int]] = []
        lowest = 0
        # Height at the start of each if that is open, by the number of constructs.
        ifs: dict[int, int] = {}
        # The latest token with a look; what leaves the function or looks at FUEL from
        # elsewhere; the branches that give back, by the construct that they go to.
        looked = -1
        leaving: list[int] = []
        owed: dict[int, list[_Owed]] = {}
        giving: list[int] = []
        position = -1
        parts = opcodes.translate(_EFFECTS).split(bytes((_STRETCH_ENDS,)))
        parts.pop()  # what is behind the last end
        last = parts.pop()
        for part in parts:
            position += len(part) + 1
            code = opcodes[position]
            if dead:  # the number of constructs that end before code may be live again
                if code == _END:
                    dead -= 1
                    if dead:
                        continue
                    construct = constructs.pop()
                    if construct & _IS_OWED:
                        giving += _settle(owed.pop(len(constructs)), costs, tokens, give_back)
                    interrupted, outer = around.pop()
                    if construct & _END_IS_TARGET != _TARGET:
                        dead = 1
                    elif lowest < len(constructs):
                        current, cost = position, 0
                    else:
                        current, cost = interrupted, costs[interrupted]
                    height = construct >> _HEIGHT
                    lowest = min(lowest, outer)
                elif _BLOCK <= code <= _LAST_OPENING:
                    dead += 1
                elif code == _ELSE and dead == 1:
                    dead = 0
                    height = ifs[len(constructs)]
                    current, cost = position, 0
                continue
            if part:
                paid, delta, most = stretch(part)
                cost += paid
                if height + most > peak:
                    peak = height + most
                height += delta
            if code == _END:
                construct = constructs.pop()
                if construct & _IS_OWED:
                    costs[current] = cost
                    giving += _settle(owed.pop(len(constructs)), costs, tokens, give_back)
                interrupted, outer = around.pop()
                if lowest == len(constructs):
                    if interrupted != current:
                        costs[current] = cost
                        current, cost = interrupted, costs[interrupted]
                elif construct & _END_IS_TARGET == _TARGET:
                    costs[current] = cost
                    current, cost = position, 0
                if outer < lowest:
                    lowest = outer
            elif code == _BR_IF:
                label = label_of(tokens[position])
                target = len(constructs) + label
                if target < lowest:
                    lowest = target
                cost += 1
                if looked > current or constructs[target] & (_IS_LOOP | _HAS_RESULTS):
                    constructs[target] |= _TARGET
                    costs[current] = cost
                    current, cost = position, 0
                else:
                    constructs[target] |= _TARGET | _IS_OWED
                    if target in owed:
                        owed[target].append((position, current, cost, -1 - label))
                    else:
                        owed[target] = [(position, current, cost, -1 - label)]
                height -= 1
            elif _BLOCK <= code <= _LAST_OPENING:
                token = tokens[position]
                around.append((current, lowest))
                lowest = len(constructs)
                if token == _EMPTY_BLOCK:
                    constructs.append(height << _HEIGHT)
                    continue
                params, results = block(token)
                if results:
                    kind = height - params + results << _HEIGHT | _HAS_RESULTS
                else:
                    kind = height - params << _HEIGHT
                if code == _BLOCK:
                    constructs.append(kind)
                    continue
                if code == _LOOP:
                    constructs.append(kind | _IS_LOOP)
                    loops.append((position, len(constructs) - 1))
                    costs[current] = cost
                    current, cost = position, 0
                    looked = position
                    continue
                height -= 1
                ifs[len(constructs) + 1] = height
                constructs.append(kind - (1 << _HEIGHT) | _TARGET)
                costs[current] = cost + 1
                current, cost = position, 0
            elif code in (_CALL, _CALL_INDIRECT):
                token = tokens[position]
                delta, extra, callee = call(token)
                height += delta
                if height + extra > peak:
                    peak = height + extra
                cost += 1
                looked = position
                leaving.append(position)
                if callee in depths:
                    tokens[position] = token + load_fuel
                    if deepest is not None and depths[callee] > deepest:
                        deepest = depths[callee]
                else:
                    tokens[position] = store_stack + token + load_fuel
                    if callee < host_below:
                        # What the host does is not undone.
                        check = injected.check(len(constructs) - 1)
                        tokens[position] = check + tokens[position]
                    deepest = None
            elif code == _BR:
                label = label_of(tokens[position])
                constructs[label] |= _TARGET
                if len(constructs) + label < lowest:
                    lowest = len(constructs) + label
                costs[current] = cost + 1
                dead = 1
            elif code == _ELSE:
                costs[current] = cost
                current, cost = position, 0
                height = ifs[len(constructs)]
            elif code == _BR_TABLE:
                for label in table_labels(tokens[position])[1]:
                    constructs[-1 - label] |= _TARGET
                    lowest = min(lowest, len(constructs) - 1 - label)
                costs[current] = cost + 1
                dead = 1
            elif code == _RETURN:
                lowest = 0
                costs[current] = cost
                leaving.append(position)
                dead = 1
            elif code == _UNREACHABLE:
                costs[current] = cost
                tokens[position] = injected.report + tokens[position]
                leaving.append(position)
                dead = 1
            else:  # memory.grow and what costs by the count on top of the stack
                cost += 1
                looked = position
                height += bulk_delta(tokens[position])
                check = injected.check(len(constructs) - 1)
                tokens[position] = injected.count + check + tokens[position]
        if not dead:
            if last:
                paid, _, most = stretch(last)
                cost += paid
                peak = max(peak, height + most)
            costs[current] = cost
        if owed:
            giving += _settle(owed.pop(0), costs, tokens, give_back)
        tokens[entry] = injected.pay(costs.pop(entry))
        check_at = injected.check
        for start, depth in loops:
            tokens[start] += check_at(depth)
        charge = injected.charge
        first = min(giving, default=len(opcodes))
        for start, cost in costs.items():
            if cost:
                tokens[start] += charge(cost)
                if start < first:
                    first = start
        # What was paid at the entry has been stored there.
        store_fuel = injected.store_fuel
        for position in leaving:
            if position > first:
                tokens[position] = store_fuel + tokens[position]
        return peak, deepest, first < len(opcodes)


_Owed = tuple[int, int, int, int]
"""A br_if that is owed: the token, its stretch, what that cost so far, and its label."""


def _settle(
    owed: Iterable[_Owed],
    costs: Mapping[int, int],
    tokens: list[bytes],
    give_back: Callable[[tuple[int, int]], bytes],
) -> Iterator[int]:
    """Have branches to an end give back what their stretches cost since; the tokens that do."""
    for position, start, cost, label in owed:
        since = costs[start] - cost
        if since:
            tokens[position] = give_back((since, label))
            yield position


def _encode_block_type(results: tuple[str, ...], types: Mapping[FuncType, int]) -> bytes:
    """A block type without parameters."""
    if not results:
        return b"\x40"
    if len(results) == 1:
        return TYPE_CODES[results[0]]
    return encode_signed(types[FuncType((), results)])


_REMEMBERED = 1 << 16
_REMEMBERED_COUNTS = 256
"""So many results are kept: a hostile module has as many different ones as it likes."""


class _Stretches(dict[bytes, tuple[int, int, int]]):
    """Cost of a stretch of effects, the height it adds, and the most within it."""

    def __missing__(self, effects: bytes) -> tuple[int, int, int]:
        heights = list(accumulate(map(_DELTAS.__getitem__, effects)))
        delta = heights[-1]
        found = (sum(effects) - delta) // 16 - len(effects), delta, max(0, max(heights))
        if len(self) < _REMEMBERED:
            self[effects] = found
        return found


class _Labels(dict[bytes, int]):
    """The place of a label's construct, counted from the end, by br and br_if."""

    def __missing__(self, token: bytes) -> int:
        found = -1 - decode_unsigned(token, 1)[0]
        if len(self) < _REMEMBERED:
            self[token] = found
        return found


class _Blocks(dict[bytes, tuple[int, int]]):
    """How many parameters and results a construct has."""

    def __init__(self, types: Sequence[FuncType]) -> None:
        super().__init__()
        self._types = types

    def __missing__(self, token: bytes) -> tuple[int, int]:
        type = block_type(token, self._types)
        found = len(type.params), len(type.results)
        if len(self) < _REMEMBERED:
            self[token] = found
        return found


class _Calls(dict[bytes, tuple[int, int, int]]):
    """How a call changes the height of the stack, its extra height, and whom it calls.

    That is -1 for call_indirect.
    """

    def __init__(
        self, deltas: Sequence[int], extras: Sequence[int], functions: Sequence[int]
    ) -> None:
        super().__init__()
        self._deltas = deltas
        self._extras = extras
        self._functions = functions

    def __missing__(self, token: bytes) -> tuple[int, int, int]:
        index, _ = decode_unsigned(token, 1)
        if token[0] == _CALL:
            type = self._functions[index]
            found = self._deltas[type], self._extras[type], index
        else:
            found = self._deltas[index] - 1, self._extras[index], -1
        if len(self) < _REMEMBERED:
            self[token] = found
        return found
