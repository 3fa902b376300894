"""Where the stretches of code begin and end that are paid as a whole (docs/fuel.md)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random
from typing import NamedTuple

import pytest
import wasmtime

from sen_host.wasm.instrument import instrument
from sen_host.wasm.reader import parse
from tests.fuel_page import ENTRY, cost_of
from tests.wasm.metered import (
    ENGINES,
    PLENTY,
    Runner,
    instrumented,
    on_wasmtime,
    wasmtime_engine,
)
from tests.wasm.support import wat

WORDS = {
    "YES": "i32.const 1",
    "NO": "i32.const 0",
    "ONE": "i32.const 1 drop",
    "TRAP": "i32.const 1 if unreachable end",
    "BLOCK-OF-I32": "block (result i32)",
    "DEAD": "i32.const 1 drop",
}

# What stands in brackets is paid when the only TRAP strikes.
STRETCHES = {
    "a function": "[ONE TRAP ONE]",
    # Loops: a turn is a stretch; what stands behind is paid in front.
    "in front of a loop": "[TRAP loop] ONE end [ONE]",
    "in a turn": "[ONE loop] [TRAP ONE] end [ONE]",
    "behind a loop": "[loop] [ONE] end [TRAP ONE]",
    "in front of turns": "[TRAP loop] ONE NO br_if 0 ONE end [ONE]",
    "in a turn, in front of its br_if": "[loop] [TRAP NO br_if 0] ONE end [ONE]",
    "in a turn, behind its br_if": "[loop] [NO br_if 0] [TRAP ONE] end [ONE]",
    "in front of a loop that br_if leaves": "[TRAP block loop] NO br_if 1 ONE end ONE end [ONE]",
    "in a loop that br_if leaves": "[block loop] [TRAP NO br_if 1 ONE end ONE end ONE]",
    "in front of a loop that br leaves": "[TRAP block loop] ONE br 1 DEAD end DEAD end [ONE]",
    "in front of a loop that return leaves": "[TRAP loop] YES if return end ONE end ONE",
    "in front of an endless loop": "[TRAP loop] ONE br 0 end DEAD",
    "in front of a loop in a loop": "[TRAP loop] ONE loop ONE end ONE end [ONE]",
    "in a loop in a loop": "[loop] [ONE loop] [TRAP ONE] end [ONE] end [ONE]",
    "a loop continued from a loop": "[loop] [TRAP loop] ONE NO br_if 1 ONE end ONE end [ONE]",
    "a loop continued from a block": "[loop] [TRAP block NO br_if 1] ONE end ONE end [ONE]",
    # An if: each arm is a stretch.
    "in front of an if": "[TRAP YES if] ONE end [ONE]",
    "in then": "[YES if] [TRAP ONE] end [ONE]",
    "in else": "[NO if] ONE else [TRAP ONE] end [ONE]",
    "behind an if": "[NO if] ONE end [TRAP ONE]",
    "in front of an if that leaves itself": "[TRAP NO if] YES br_if 0 ONE end [ONE]",
    "in front of an if with a return": "[TRAP NO if] ONE return DEAD end ONE",
    "in then, with a return": "[YES if] [TRAP ONE] return end ONE",
    "in then, with a return in else": "[YES if] [TRAP ONE] else ONE return end ONE",
    "in else, with a return in then": "[NO if] ONE return else [TRAP ONE] end ONE",
    "behind an if with a return": "[NO if] return end [TRAP ONE]",
    "behind an if/else with a return": "[NO if] return else [ONE] end [TRAP ONE]",
    "in front of an if that a branch leaves": "[TRAP block NO if] ONE br 1 end ONE end [ONE]",
    "in front of an if that traps": "[TRAP NO if] ONE unreachable DEAD end [ONE]",
    "in front of an if that returns or traps": "[TRAP NO if] return else unreachable end ONE",
    # A block has no start of its own; whether its end is certain decides.
    "in front of a block": "[TRAP block ONE end ONE]",
    "in a block": "[ONE block TRAP ONE end ONE]",
    "in front of a block that leaves itself": "[TRAP block NO br_if 0 ONE end ONE]",
    "in a block that leaves itself": "[block NO br_if 0 TRAP ONE end ONE]",
    "behind a block that leaves itself": "[block YES br_if 0] ONE end [TRAP ONE]",
    "behind a block that always leaves itself": "[block ONE br 0] DEAD [end TRAP ONE]",
    "in front of a block that leaves another": "[TRAP block block NO br_if 1 ONE end ONE end ONE]",
    "in a block that leaves another": "[block block NO br_if 1 TRAP ONE end ONE end ONE]",
    "in a block that leaves itself and another": (
        "[block block NO br_if 0 NO br_if 1 TRAP ONE] end ONE end [ONE]"
    ),
    "behind a block that leaves itself and another": (
        "[block block YES br_if 0] NO br_if 1 ONE end [TRAP ONE] end [ONE]"
    ),
    "in front of a block that leaves the function": "[TRAP block NO br_if 1 ONE end ONE]",
    "in front of blocks that leave the function": (
        "[TRAP block block NO br_if 2 ONE end ONE end ONE]"
    ),
    "in front of such blocks, with one in them that is certain": (
        "[TRAP block block NO br_if 2 block ONE br 0] DEAD [end ONE end ONE end ONE]"
    ),
    "in front of a block with a return": "[TRAP block NO br_if 0 ONE return] DEAD end ONE",
    "in a block with a return": "[block NO br_if 0 TRAP ONE return] end ONE",
    "behind a block with a return": "[block YES br_if 0] ONE return DEAD end [TRAP ONE]",
    "behind a block around one that leaves it": (
        "[block block YES br_if 1] ONE end ONE end [TRAP ONE]"
    ),
    # A br_if that is owed ends nothing, and gives back what it skips.
    "in front of a br_if": "[TRAP NO br_if 0 ONE]",
    "between two br_if": "[NO br_if 0 TRAP NO br_if 0 ONE]",
    "behind a br_if that is taken out of two": "[block block YES br_if 1] ONE end ONE end [TRAP]",
    "behind the second of two br_if": "[block NO br_if 0 ONE YES br_if 0] ONE end [TRAP ONE]",
    "behind a br_if over an arm": "[block YES br_if 0] ONE YES if ONE end ONE end [TRAP ONE]",
    "behind a br_if over a loop": "[block YES br_if 0] ONE loop ONE end ONE end [TRAP ONE]",
    "behind a br_if over growth": (
        "[block YES br_if 0] ONE NO memory.grow drop ONE end [TRAP ONE]"
    ),
    "behind a br_if out of a loop": "[block loop] [YES br_if 1] ONE end ONE end [TRAP ONE]",
    "behind a br_if in an arm": "[YES if] [YES br_if 0] ONE else ONE end [TRAP ONE]",
    "behind a br_if in an else": "[NO if] ONE else [YES br_if 0] ONE end [TRAP ONE]",
    # It is not owed behind a look, nor with results.
    "in front of a br_if behind a call": "[TRAP call $empty block NO br_if 0] ONE end [ONE]",
    "in front of a br_if behind call_indirect": (
        "[TRAP NO call_indirect block NO br_if 0] ONE end [ONE]"
    ),
    "in front of a br_if behind growth": (
        "[TRAP NO memory.grow drop block NO br_if 0] ONE end [ONE]"
    ),
    "in front of a br_if behind a dead call": (
        "[TRAP block br 0] call $empty end [block NO br_if 0 ONE end ONE]"
    ),
    "in front of a br_if behind a loop": "[TRAP loop] ONE end [block NO br_if 0] ONE end [ONE]",
    "in front of a br_if with a result": "[TRAP BLOCK-OF-I32 NO NO br_if 0] ONE end [drop ONE]",
    "behind a br_if behind a br_if behind a call": (
        "[call $empty block NO br_if 0] [block YES br_if 0] ONE end [TRAP ONE end] [ONE]"
    ),
    # br_table: the outermost of its labels decides, whichever is taken.
    "br_table to its block": "[block TRAP NO br_table 0 0] DEAD end [ONE]",
    "br_table to its block and another": "[block block TRAP NO br_table 0 1] end ONE end [ONE]",
    "br_table by default to another": "[block block TRAP NO br_table 0 0 1] end ONE end [ONE]",
    "br_table to another": "[block block TRAP NO br_table 1 1] DEAD end DEAD end [ONE]",
    "br_table to the function": "[block TRAP NO br_table 0 1] end ONE",
    "br_table to a loop": "[loop] [block TRAP NO br_table 0 1] DEAD end ONE end [ONE]",
    "behind a br_table": "[block block NO br_table 0 1] end [TRAP ONE] end [ONE]",
    # What follows br, br_table, return and unreachable is dead, up to an end that is reached.
    "br": "[block TRAP ONE br 0] DEAD end [ONE]",
    "br to an outer block": "[block block TRAP br 1] DEAD end DEAD end [ONE]",
    "return": "[TRAP ONE return] DEAD",
    "return in a block": "[block TRAP return] DEAD end DEAD",
    "return in a loop": "[loop] [TRAP return] end DEAD",
    "unreachable": "[TRAP ONE unreachable] DEAD",
    "unreachable in a block": "[block TRAP unreachable] DEAD end DEAD",
    "unreachable behind a br_if": "[TRAP block YES br_if 0] unreachable DEAD end [ONE]",
    "a branch that is dead": (
        "[block block YES br_if 0] return br 1 DEAD end [TRAP ONE] end [ONE]"
    ),
    "a branch that would leave, but is dead": "[TRAP block br 0] br 1 return DEAD end [ONE]",
    "constructs that are dead": (
        "[block TRAP br 0] block loop DEAD YES if br 3 else DEAD end br 1 end end end [ONE]"
    ),
    # Calls and bulk operations end nothing.
    "in front of a call": "[TRAP call $empty ONE]",
    "behind a call": "[call $empty TRAP call $empty ONE]",
    "behind call_indirect": "[NO call_indirect TRAP NO call_indirect ONE]",
    "in front of growth": "[TRAP NO memory.grow drop ONE]",
    "behind growth": "[NO memory.grow drop TRAP ref.null func NO table.grow drop ONE]",
    "between bulk operations": "[NO NO NO memory.fill TRAP NO NO NO memory.copy ONE]",
    "a call in an arm": "[NO if] ONE else [call $empty TRAP ONE] end [call $empty]",
    "a call in a turn": "[loop] [call $empty TRAP ONE NO br_if 0] ONE end [call $empty ONE]",
    # Mixtures.
    "in a loop with if, left by br_if": (
        "[block ONE loop] [ONE YES if] [TRAP ONE] else ONE end [ONE NO br_if 1 ONE end ONE end ONE]"
    ),
    "behind an if in a loop": (
        "[block ONE loop] [ONE YES if] [ONE] else ONE end [TRAP NO br_if 1 ONE end ONE end ONE]"
    ),
    "behind a loop in an if in a block": (
        "[block NO if] ONE br 1 else [loop] [NO br_if 0] [ONE] end [TRAP ONE] end ONE end [ONE]"
    ),
    "blocks in turn": (
        "[block NO br_if 0 ONE end TRAP ONE block NO br_if 0 ONE end ONE block NO br_if 1"
        " ONE end ONE]"
    ),
    "a switch": (
        "[block block block TRAP NO br_table 0 1 2] DEAD end ONE br 1 DEAD end ONE end [ONE]"
    ),
    "in the first case of a switch": (
        "[block block block NO br_table 0 1 2] DEAD end [TRAP ONE br 1] DEAD end ONE end [ONE]"
    ),
}

MODULE = """
(module (memory (export "memory") 1 9) (table 1 9 funcref) (elem (i32.const 0) $empty)
  (data $d "0123456789") (elem $e func $empty $empty $empty)
  (func $empty) (func $traps unreachable) (func $spends (local i32)
    i32.const 9 local.set 0 loop local.get 0 i32.const 1 i32.sub local.tee 0 br_if 0 end)
  (func (export "run") (local $n i32) {code}))"""


def in_module(code: str) -> bytes:
    words = (WORDS.get(word, word) for word in re.findall(r"[\w.$-]+", code))
    return instrumented(MODULE.format(code=" ".join(words))).wasm


def cost(code: str) -> int:
    return cost_of(" ".join(WORDS.get(word, word) for word in code.split()))[0]


@pytest.mark.parametrize("run", ENGINES)
@pytest.mark.parametrize("name", STRETCHES)
def test_what_is_paid_when_a_trap_strikes(name: str, run: Runner) -> None:
    code = STRETCHES[name]
    assert code.count("TRAP") == 1
    entries = 1 + code.partition("TRAP")[0].count("call")
    paid = entries * ENTRY + cost(" ".join(re.findall(r"\[(.*?)\]", code)))
    ran = run(in_module(code), "run")
    assert (ran.outcome, ran.paid) == ("trap", paid)


TURNS = """i32.const 3 local.set $n
    loop {} local.get $n YES i32.sub local.tee $n i32.const 6 local.get $n i32.div_u drop
    br_if 0 end ONE"""
"""It traps in the third turn. Two in front of the loop, one behind, eight in a turn."""

# Code, and what it has paid at its latest mark, besides the entry.
TRAPS = {
    "unreachable": ("unreachable", 0),
    "unreachable behind code": ("ONE unreachable ONE", 1),
    "unreachable in a function called": ("ONE call $traps ONE", 1 + 1 + ENTRY + 1),
    "unreachable in a turn": ("loop ONE unreachable end", 1),
    "an arithmetic trap": ("YES NO i32.div_s YES i32.add drop", 5),
    "call_indirect": ("i32.const 3 call_indirect ONE", 2 + 1),
    "memory.fill": ("i32.const 65530 YES i32.const 20 memory.fill ONE", 4 + 20 + 1),
    "table.fill": ("YES ref.null func i32.const 20 table.fill ONE", 4 + 20 + 1),
    "memory.init": ("i32.const 5 NO i32.const 20 memory.init $d ONE", 4 + 20 + 1),
    "memory.copy": ("i32.const 65530 NO i32.const 20 memory.copy ONE", 4 + 20 + 1),
    "table.init": ("NO NO i32.const 20 table.init $e ONE", 4 + 20 + 1),
    "table.copy": ("YES NO i32.const 20 table.copy ONE", 4 + 20 + 1),
    "a trap in the third turn": (TURNS.format(""), 2 + 1),
    "a trap behind turns": (
        "i32.const 3 local.set $n loop local.get $n YES i32.sub local.tee $n br_if 0 end"
        " YES NO i32.div_s drop",
        2 + 3,
    ),
    "a trap in the third turn, each with a call": (
        TURNS.format("call $empty"),
        2 + 3 * (8 + 1 + ENTRY) + 1,
    ),
    "a trap in the third turn, each with growth": (
        TURNS.format("NO memory.grow drop"),
        2 + 3 * (8 + 2) + 1,
    ),
    "a trap in a turn behind a call": ("call $empty " + TURNS.format(""), 1 + ENTRY + 2 + 1),
    "the second memory.fill": (
        "NO NO i32.const 5 memory.fill ONE i32.const 65530 NO i32.const 20 memory.fill ONE",
        4 + 5 + 1 + 4 + 20 + 1,
    ),
    "the first memory.fill": (
        "i32.const 65530 NO i32.const 20 memory.fill ONE NO NO i32.const 5 memory.fill ONE",
        4 + 20 + 1 + 4 + 1,
    ),
}


@pytest.mark.parametrize("run", ENGINES)
@pytest.mark.parametrize("name", TRAPS)
def test_what_is_paid_when_other_operators_trap(name: str, run: Runner) -> None:
    code, paid = TRAPS[name]
    ran = run(in_module(code), "run")
    assert (ran.outcome, ran.paid) == ("trap", ENTRY + paid)


@pytest.mark.parametrize("run", ENGINES)
def test_code_behind_a_call_counts_when_the_function_called_looks(run: Runner) -> None:
    """The loop in it looks at the budget, from which its caller has paid all."""
    behind = 100
    data = in_module(f"call $spends {'ONE ' * behind} TRAP")
    entered = ENTRY + 1 + behind + 2 + ENTRY + 2
    for budget, outcome in ((entered + 9 * 5 - 1, "fuel"), (entered + 9 * 5, "trap")):
        assert run(data, "run", budget=budget).outcome == outcome


# Random code with structure. Each condition is the next bit of the argument; it
# traps when a countdown, the other argument, comes to zero.
GENERATED = """
(module (memory 1 9) (table 3 3 funcref) (elem (i32.const 0) $bit $empty $other)
  (type $bit (func (result i32)))
  (global $bits (mut i64) (i64.const 0)) (global $countdown (mut i32) (i32.const 0))
  (func $empty)
  (func $tick
    (global.set $countdown (i32.sub (global.get $countdown) (i32.const 1)))
    (drop (i32.div_u (i32.const 1) (global.get $countdown))))
  (func $bit (result i32)
    (call $tick)
    (i32.and (i32.wrap_i64 (global.get $bits)) (i32.const 1))
    (global.set $bits (i64.shr_u (global.get $bits) (i64.const 1))))
  (func $other {other})
  (func (export "run") (param i64 i32)
    (global.set $bits (local.get 0)) (global.set $countdown (local.get 1)) {code}))
"""
BITS = (
    "call $bit",
    # Without a call, which a br_if is not owed behind.
    "global.get $bits i32.wrap_i64 i32.const 1 i32.and"
    " global.get $bits i64.const 1 i64.shr_u global.set $bits",
)
SIMPLE = (
    "i32.const 1 drop",
    "nop",
    "call $tick",
    "call $empty",
    "i32.const 1 call_indirect",
    "i32.const 0 call_indirect (type $bit) drop",
    "i32.const 0 i32.const 7 i32.const 0 memory.fill",
    "i32.const 0 memory.grow drop",
    # Labels with results, to which no br_if is owed.
    *(f"block (result i32) i32.const 7 {bit} br_if 0 i32.const 1 i32.add end drop" for bit in BITS),
    f"block i32.const 7 block (param i32) {BITS[1]} br_if 1 drop end i32.const 1 drop end",
    f"{BITS[1]} if (result i32) i32.const 1 {BITS[1]} br_if 0 else i32.const 2 end drop",
)
# How a construct begins, and how many arms it has.
CONSTRUCTS = (("block", 1), ("loop", 1), *((f"{bit} if", arms) for bit in BITS for arms in (1, 2)))
DEEPEST = 5


def structured(random: Random, within: int, more: Sequence[str]) -> str:
    """Code within so many constructs, of the operators above and those in ``more``."""

    def label() -> str:
        return str(random.randint(0, within))

    code = []
    for _ in range(random.randint(1, 4)):
        kind = random.random()
        if kind < 0.4 and within < DEEPEST:
            head, arms = random.choice(CONSTRUCTS)
            inner = " else ".join(structured(random, within + 1, more) for _ in range(arms))
            code.append(f"{head} {inner} end")
        elif kind < 0.6:
            code.append(f"{random.choice(BITS)} br_if {label()}")
        else:
            code.append(random.choice([*SIMPLE, *more]))
    if within and random.random() < 0.3:
        labels = " ".join(label() for _ in range(random.randint(1, 3)))
        leaving = (f"br {label()}", f"{BITS[0]} {BITS[1]} i32.add br_table {labels}", "return")
        code.append(random.choice([*leaving, *leaving, "unreachable"]))
        code += random.choices(SIMPLE, k=random.randint(0, 1))
    return " ".join(code)


class Own(NamedTuple):
    """How a call ended by Wasmtime's own meter."""

    outcome: str
    used: int


METERED = wasmtime_engine(consume_fuel=True)
BUDGET = 3_000
NEVER = -1


def by_wasmtimes_own_meter(module: wasmtime.Module, bits: int, countdown: int) -> Own:
    store = wasmtime.Store(METERED)
    store.set_fuel(BUDGET)
    run = wasmtime.Instance(store, module, []).exports(store)["run"]
    assert isinstance(run, wasmtime.Func)
    outcome = "ok"
    try:
        run(store, bits, countdown)
    except wasmtime.Trap as trap:
        outcome = "fuel" if trap.trap_code is wasmtime.TrapCode.OUT_OF_FUEL else "trap"
    return Own(outcome, BUDGET - store.get_fuel())


@pytest.mark.parametrize("seed", range(100))
def test_stretches_never_show_unless_something_traps(seed: int) -> None:
    random = Random(seed)
    other = structured(random, 0, ())
    code = structured(random, 0, ("call $other", "i32.const 2 call_indirect"))
    data = wat(GENERATED.format(code=code, other=other))
    module = wasmtime.Module(METERED, data)
    rewritten = instrument(parse(data)).wasm
    for countdown in (NEVER, NEVER, NEVER, NEVER, random.randint(1, 20)):
        bits = random.getrandbits(63)
        own = by_wasmtimes_own_meter(module, bits, countdown)
        budget = BUDGET - 1 if own.outcome == "fuel" else PLENTY
        ran = on_wasmtime(rewritten, "run", bits, countdown, budget=budget)
        assert ran.outcome == own.outcome
        if own.outcome == "ok":
            assert ran.paid == own.used
            for budget in (0, own.used // 2, own.used - 1, own.used):
                ran = on_wasmtime(rewritten, "run", bits, countdown, budget=budget)
                assert ran.outcome == ("ok" if budget == own.used else "fuel")
        else:
            # Wasmtime may not yet have counted what ran just before the trap.
            assert ran.paid >= own.used
