"""The calls that a module is put through, chosen from its number and from what is seen."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from random import Random

from sen_host.backend import START, FuncType
from sen_host.errors import TrapKind
from sen_host_conformance.fuzz.arena import (
    COMPLETED,
    STACK_BYTES,
    START_TYPE,
    Arena,
    Call,
    Difference,
    LeftOut,
    Outcome,
)
from sen_host_conformance.fuzz.exposure import STATE, Target

SMALL_BUDGETS = 200
"""Budgets up to this one are tried one by one."""

FIRST_BUDGET = 10_000
LARGE_BUDGET = 300_000
MAX_CALLS = 1_500
"""Of one module."""

_SAMPLES = 12
_STATE_BUDGET = 1 << 40
_INTERESTING = {
    "i32": (0, 1, 2, 3, 5, 20, 1_000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 0x7FC0_0000),
    "i64": (0, 1, 2, 40, 1 << 31, (1 << 32) - 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1),
}
_SMALL_STACKS = (0, 100, 250, 1_000, 5_000, 40_000)


@dataclass
class Exercised:
    """What a module was put through.

    Attributes:
        outcomes: how many calls came to each kind of end.
        unknown_fuel: after how many of them a backend could not tell the fuel.
        left_out: who could not take the module, and why; None if all could.
        difference: the difference that ended it; None if there is none.
        history: the calls since all instances were fresh; the last one differed.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    unknown_fuel: Counter[str] = field(default_factory=Counter)
    left_out: tuple[str, str] | None = None
    difference: Difference | None = None
    history: list[Call] = field(default_factory=list)

    @property
    def calls(self) -> int:
        return sum(self.outcomes.values())


def exercise(arena: Arena, target: Target, random: Random, *, most: int = MAX_CALLS) -> Exercised:
    """Put a module through its calls, up to the first difference.

    Args:
        most: about how many calls; what belongs together is not cut off.
    """
    done = Exercised()
    before = {side.name: side.unknown for side in arena.sides}
    try:
        arena.enter(target.wasm)
        _Exercise(arena, target, random, done, most).run()
    except LeftOut as error:
        done.left_out = error.who, error.reason
    except Difference as difference:
        done.difference = difference
    done.unknown_fuel.update({side.name: side.unknown - before[side.name] for side in arena.sides})
    return done


class _Exercise:
    def __init__(
        self, arena: Arena, target: Target, random: Random, done: Exercised, most: int
    ) -> None:
        self.arena = arena
        self.functions = target.functions
        self.random = random
        self.done = done
        self.most = most

    def run(self) -> None:
        if not self.fresh():
            return
        names = [name for name in self.functions if name != STATE]
        self.random.shuffle(names)
        if self.arena.has_start:
            names.insert(0, START)
        for turn in range(3):
            for name in names:
                if self.done.calls >= self.most:
                    return
                self.turn(name, turn)

    def fresh(self) -> bool:
        """New instances on all sides; False if none can be made."""
        self.done.history.clear()
        end = self.arena.start_over()
        if end != COMPLETED:
            self.done.outcomes[f"instantiation: {end}"] += 1
        return end == COMPLETED

    def call(self, name: str, arguments: tuple[int, ...], fuel: int, stack: int) -> Outcome:
        if self.arena.lost:
            self.fresh()
        call = Call(name, arguments, fuel, stack)
        self.done.history.append(call)
        outcome = self.arena.call(call, self.type_of(name))
        self.done.outcomes[outcome.kind] += 1
        return outcome

    def type_of(self, name: str) -> FuncType:
        return START_TYPE if name == START else self.functions[name]

    def turn(self, name: str, turn: int) -> None:
        """One set of arguments, and budgets around what they cost."""
        random = self.random
        type = self.type_of(name)
        arguments = tuple(self.argument(param) for param in type.params)
        stack = STACK_BYTES if random.random() < 0.8 else random.choice(_SMALL_STACKS)
        first = self.call(name, arguments, FIRST_BUDGET, stack)
        used = FIRST_BUDGET if first.used is None else first.used
        if turn == 0:
            self.one_by_one(name, arguments, stack)
        else:
            top = min(used + 2, SMALL_BUDGETS)
            for fuel in sorted(random.sample(range(top + 1), min(_SAMPLES, top + 1))):
                self.call(name, arguments, fuel, stack)
        if first.kind == TrapKind.OUT_OF_FUEL:
            if turn == 0 or random.random() < 0.3:
                self.call(name, arguments, LARGE_BUDGET, stack)
        elif used > SMALL_BUDGETS:
            for fuel in (used - 1, used, used + 1):
                self.call(name, arguments, fuel, stack)
        if STATE in self.functions:
            self.call(STATE, (), _STATE_BUDGET, STACK_BYTES)

    def one_by_one(self, name: str, arguments: tuple[int, ...], stack: int) -> None:
        """Each small budget, until three were more than was needed."""
        enough = 0
        for fuel in range(SMALL_BUDGETS + 1):
            outcome = self.call(name, arguments, fuel, stack)
            enough = 0 if outcome.kind == TrapKind.OUT_OF_FUEL else enough + 1
            if enough == 3 or self.done.calls >= self.most:
                return

    def argument(self, type: str) -> int:
        bits = 32 if type == "i32" else 64
        pick = self.random.random()
        if pick < 0.3:
            return self.random.randrange(10)
        if pick < 0.8:
            return self.random.choice(_INTERESTING[type])
        return self.random.getrandbits(bits)
