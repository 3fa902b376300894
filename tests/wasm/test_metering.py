"""What metering charges, where it stops a guest, and what it leaves alone."""

from __future__ import annotations

from typing import Any

import pytest
import wasmtime

from sen_host.abi import unpack
from sen_host.backend import FUEL, STACK, FuncType
from sen_host.messages import HttpResponse, encode, encode_args
from sen_host.wasm.instructions import instructions, read_locals
from sen_host.wasm.instrument import instrument
from sen_host.wasm.reader import parse
from tests.wasm.metered import (
    ENGINES,
    PLENTY,
    STACK_BYTES,
    Runner,
    instrumented,
    on_wasmtime,
    round_trips,
    wasmtime_engine,
)
from tests.wasm.support import (
    PLUGINS,
    generated_module,
    is_valid,
)

# A function "run" in a module that has what its code may name.
CONTEXT = """
(module
  (type $unary (func (param i32) (result i32)))
  (memory (export "memory") 1 3) (data $d "0123456789")
  (table $t (export "table") 10 20 funcref) (elem $e func $empty $empty $empty)
  (elem declare func $empty)
  (global $g (export "g") (mut i32) (i32.const 0))
  (func $empty)
  (func $one (result i32) i32.const 1)
  (func $count (param $n i32) (result i32)
    (if (result i32) (local.get $n)
      (then (call $count (i32.sub (local.get $n) (i32.const 1))))
      (else (i32.const 0))))
  (func (export "run") {signature} {code}))
"""

# Signature, code, fuel: 1 for the entry, 1 for each operator that is not free.
COSTS = [
    ("", "", 1),
    ("", "nop nop block nop end loop nop end", 1),
    ("", "i32.const 7 drop", 1 + 1),
    ("(result i32)", "i32.const 1 i32.const 2 i32.add", 1 + 3),
    ("(result i32)", "i32.const 1 return", 1 + 1),
    ("", "return i32.const 1 drop unreachable", 1),
    ("", "br 0 call $empty", 1 + 1),
    ("", "block br 0 i32.const 1 drop end i32.const 2 drop", 1 + 1 + 1),
    ("", "i32.const 1 br_if 0 i32.const 1 i32.const 1 drop drop", 1 + 2),
    ("", "i32.const 0 br_if 0 i32.const 1 i32.const 1 drop drop", 1 + 2 + 2),
    ("", "block i32.const 1 br_if 1 i32.const 1 drop end i32.const 1 drop", 1 + 2),
    ("", "i32.const 1 if i32.const 2 drop end i32.const 3 drop", 1 + 2 + 1 + 1),
    ("", "i32.const 0 if i32.const 2 drop end i32.const 3 drop", 1 + 2 + 1),
    ("", "i32.const 1 if nop else i32.const 2 drop end", 1 + 2),
    ("", "i32.const 0 if nop else i32.const 2 drop end", 1 + 2 + 1),
    ("", "i32.const 1 if return else i32.const 2 drop end i32.const 3 drop", 1 + 2),
    ("", "i32.const 0 br_table 0 0 0", 1 + 2),
    ("", "block block i32.const 1 br_table 0 1 2 end i32.const 5 drop end", 1 + 2),
    ("", "block block i32.const 0 br_table 0 1 2 end i32.const 5 drop end", 1 + 2 + 1),
    # Each turn: get, const, sub, tee, br_if.
    (
        "(local i32)",
        "i32.const 4 local.set 0 loop local.get 0 i32.const 1 i32.sub local.tee 0 br_if 0 end",
        1 + 2 + 4 * 5,
    ),
    # What stands behind a loop is paid once, when the loop is left.
    (
        "(local i32)",
        """i32.const 3 local.set 0
        loop local.get 0 i32.const 1 i32.sub local.tee 0 br_if 0 end
        i32.const 9 i32.const 9 drop drop""",
        1 + 2 + 3 * 5 + 2,
    ),
    # A loop with a parameter: const, sub, tee, local.get, br_if, and the drop is free.
    (
        "(local i32)",
        """i32.const 3 loop (type $unary) i32.const 1 i32.sub local.tee 0 local.get 0 local.get 0
        br_if 0 drop end drop""",
        1 + 1 + 3 * 6,
    ),
    ("", "call $empty", 1 + 1 + 1),
    ("(result i32)", "call $one call $one i32.add", 1 + 2 * (1 + 2) + 1),
    # Each of 5 calls: entry, get, if, get, const, sub, call; then entry, get, if, const.
    ("(result i32)", "i32.const 5 call $count", 1 + 2 + 5 * 7 + 4),
    (
        "",
        """i32.const 0 i32.const 0 i32.const 1 table.init $e
        i32.const 0 call_indirect""",
        1 + 4 + 1 + 2 + 1,
    ),
    ("", "memory.size drop", 1 + 1),
    ("", "i32.const 0 memory.grow drop", 1 + 2),
    ("", "i32.const 2 memory.grow drop", 1 + 2 + 2),
    ("(result i32)", "i32.const 100 memory.grow", 1 + 2 + 100),
    ("", "i32.const 0 i32.const 7 i32.const 0 memory.fill", 1 + 4),
    ("", "i32.const 0 i32.const 7 i32.const 50 memory.fill", 1 + 4 + 50),
    ("", "i32.const 0 i32.const 7 i32.const 60 memory.copy i32.const 1 drop", 1 + 4 + 60 + 1),
    ("", "i32.const 0 i32.const 2 i32.const 8 memory.init $d data.drop $d", 1 + 4 + 8 + 1),
    ("", "i32.const 0 i32.const 0 i32.const 3 table.init $e elem.drop $e", 1 + 4 + 3 + 1),
    ("", "i32.const 0 i32.const 1 i32.const 9 table.copy", 1 + 4 + 9),
    ("", "i32.const 0 ref.func $empty i32.const 10 table.fill $t", 1 + 4 + 10),
    (
        "(result i32)",
        "ref.null func i32.const 5 table.grow $t table.size $t i32.add",
        1 + 3 + 5 + 2,
    ),
    ("(result i32)", "ref.null func i32.const 50 table.grow $t", 1 + 3 + 50),
    (
        "(local i32)",
        """i32.const 3 local.set 0
        loop i32.const 0 i32.const 0 local.get 0 memory.fill
        call $empty local.get 0 i32.const 1 i32.sub local.tee 0 br_if 0 end""",
        1 + 2 + 3 * (4 + 2 + 5) + (3 + 2 + 1),
    ),
    ("", "v128.const i64x2 1 2 f64x2.neg drop f32.const 1 i32.trunc_sat_f32_s drop", 1 + 2 + 2),
]


def in_context(signature: str, code: str) -> bytes:
    return instrumented(CONTEXT.format(signature=signature, code=code)).wasm


class TestFuel:
    @pytest.mark.parametrize("run", ENGINES)
    @pytest.mark.parametrize(("signature", "code", "cost"), COSTS)
    def test_completes_if_and_only_if_its_cost_is_within_the_budget(
        self, signature: str, code: str, cost: int, run: Runner
    ) -> None:
        data = in_context(signature, code)
        for budget in range(cost + 3):
            ran = run(data, "run", budget=budget)
            assert ran.outcome == ("ok" if cost <= budget else "fuel"), budget
            if ran.outcome == "ok":
                assert ran.paid == cost

    @pytest.mark.parametrize("run", ENGINES)
    def test_bulk_operations_are_paid_before_they_work(self, run: Runner) -> None:
        code = """
        i32.const 1 i32.const 1 i32.const 1 memory.fill global.get $g drop
        i32.const 5 global.set $g
        i32.const 0 i32.const 7 i32.const 100 memory.fill
        i32.const 6 global.set $g"""
        paid_at_entry = 1 + 5 + 2 + 4 + 2
        data = in_context("", code)
        for spare, written in ((-1, 0), (0, 0), (1, 5), (100, 5), (101, 6)):
            ran = run(data, "run", budget=paid_at_entry + spare, read=("g",))
            assert (ran.outcome, ran.read) == ("ok" if spare == 101 else "fuel", (written,))

    @pytest.mark.parametrize("run", ENGINES)
    @pytest.mark.parametrize("count", [0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF])
    def test_counts_are_unsigned(self, count: int, run: Runner) -> None:
        data = in_context("(result i32)", f"i32.const {count} memory.grow")
        assert run(data, "run").paid == 1 + 2 + count
        assert run(data, "run", budget=2 + count).outcome == "fuel"

    @pytest.mark.parametrize("run", ENGINES)
    def test_a_start_function_pays_like_any_other(self, run: Runner) -> None:
        result = instrumented(
            """(module (global $g (export "g") (mut i32) (i32.const 0)) (start $s)
            (func $s i32.const 3 global.set $g)
            (func (export "run") (result i32) global.get $g))"""
        )
        assert result.has_start
        ran = run(result.wasm, "run", read=("g",))
        assert (ran.results, ran.paid) == ((3,), (1 + 2) + (1 + 1))
        assert run(result.wasm, "run", budget=2, read=("g",)).outcome == "fuel"

    @pytest.mark.parametrize("run", ENGINES)
    def test_endless_loops_end(self, run: Runner) -> None:
        for code in (
            "loop br 0 end",
            "loop loop br 1 end end",
            "loop i32.const 1 br_if 0 end",
            "loop i32.const 1 if br 1 end end",
            "loop i32.const 0 br_table 0 0 0 end",
            "loop block br 1 end end",
        ):
            assert run(in_context("", code), "run", budget=100_000).outcome == "fuel"


METERED = wasmtime_engine(consume_fuel=True)

NUMBERS = {"i32": 5, "i64": -3, "f32": 1.5, "f64": -2.5}


def own_meter(store: wasmtime.Store, call: Any, *arguments: float) -> tuple[Any, int] | None:
    """The result of a call and Wasmtime's own meter; None if it does not return."""
    store.set_fuel(1 << 20)
    try:
        result = call(store, *arguments)
    except wasmtime.Trap:
        return None
    return result, (1 << 20) - store.get_fuel()


class TestAgainstWasmtimesOwnMeter:
    @pytest.mark.parametrize("seed", range(100, 130))
    def test_generated_modules(self, seed: int) -> None:
        data = generated_module(seed)
        parsed = parse(data)
        if parsed.imports or parsed.start is not None or bulk_operators(data):
            assert is_valid(instrument(parsed).wasm)
            return
        rewritten = instrument(parsed).wasm
        for export in parsed.exports:
            type = parsed.type_of(export)
            if not isinstance(type, FuncType) or not NUMBERS.keys() >= set(sum(type, ())):
                continue
            arguments = [NUMBERS[kind] for kind in type.params]
            store = wasmtime.Store(METERED)
            store.set_fuel(1 << 20)
            try:
                instance = wasmtime.Instance(store, wasmtime.Module(METERED, data), [])
            except wasmtime.Trap:
                return
            own = own_meter(store, instance.exports(store)[export.name], *arguments)
            ran = on_wasmtime(rewritten, export.name, *arguments, budget=1 << 19)
            if own is not None and ran.outcome == "ok":
                assert ran.paid == own[1]

    @pytest.mark.parametrize("name", ["hello/hello", "greet/greet", "fetch/fetch"])
    def test_conversations_with_plugins(self, name: str) -> None:
        data = (PLUGINS / f"{name}.wasm").read_bytes()
        assert bulk_operators(data) == {"memory.grow"}
        own = Conversation(data)
        metered = Conversation(instrument(parse(data)).wasm)
        messages: list[tuple[str, tuple[int, ...], bytes | None]] = [("plugin_manifest", (), None)]
        messages += [
            ("plugin_execute", (), encode_args(arguments))
            for arguments in ([], ["Alice"], ["http://localhost", "--retry", "1"], ["x" * 70_000])
        ]
        if name == "fetch/fetch":
            busy = encode(HttpResponse(503, "busy"))
            messages.append(("plugin_resume", (1,), busy))
        for message in messages:
            assert metered.exchange(*message) == own.exchange(*message)
        assert len(own.fuel) > 10
        assert metered.fuel == own.fuel


class Conversation:
    """An instance, what it is told, and the fuel that each call took."""

    def __init__(self, data: bytes) -> None:
        self.store = wasmtime.Store(METERED)
        self.store.set_fuel(PLENTY)
        instance = wasmtime.Instance(self.store, wasmtime.Module(METERED, data), [])
        self.exports: Any = instance.exports(self.store)
        self.fuel: list[int] = []

    def call(self, name: str, *arguments: int) -> int:
        left = self.exports.get(FUEL)
        self.store.set_fuel(PLENTY)
        if left is not None:
            left.set_value(self.store, wasmtime.Val.i64(PLENTY))
            self.exports[STACK].set_value(self.store, wasmtime.Val.i64(STACK_BYTES))
        result: int = self.exports[name](self.store, *arguments)
        self.fuel.append(
            PLENTY - (self.store.get_fuel() if left is None else left.value(self.store))
        )
        return result

    def exchange(self, name: str, first: tuple[int, ...], payload: bytes | None) -> bytes:
        memory = self.exports["memory"]
        arguments = first
        if payload is not None:
            pointer = self.call("plugin_alloc", len(payload))
            memory.write(self.store, payload, pointer)
            arguments += (pointer, len(payload))
        result = self.call(name, *arguments)
        start, length = unpack(result)
        answer = bytes(memory.read(self.store, start, start + length))
        if payload is not None:
            self.call("plugin_dealloc", *arguments[-2:])
        self.call("plugin_dealloc", start, length)
        return answer


def bulk_operators(data: bytes) -> set[str]:
    return {
        operator.name
        for start, end in parse(data).function_bodies
        for _, operator, _, _ in instructions(data, read_locals(data, start, end)[1], end)
        if operator.unit
    }


# Code with unusual control flow, its result, and its fuel.
CONTROL = {
    "several results of a block": (
        "block (result i32 i64 i32) i32.const 1 i64.const 2 i32.const 3 end"
        " drop i32.wrap_i64 i32.add",
        3,
        1 + 3 + 2,
    ),
    "parameters and results of an if": (
        "i32.const 4 i32.const 5 i32.const 0"
        " if (param i32 i32) (result i32) i32.add else i32.sub end",
        -1,
        1 + 4 + 1,
    ),
    "parameters of a loop": (
        "i32.const 9 loop (param i32) (result i32)"
        " i32.const 2 i32.sub local.tee 0 local.get 0 i32.const 0 i32.gt_s br_if 0 end",
        -1,
        1 + 1 + 5 * 7,
    ),
    "branch with values out of nested blocks": (
        "block (result i32) block (result i64) i32.const 8 br 1 end i32.wrap_i64 end",
        8,
        1 + 2,
    ),
    "branch to the function": ("block loop i32.const 6 br 2 end end unreachable", 6, 1 + 2),
    "return in a loop": ("loop i32.const 3 return end unreachable", 3, 1 + 1),
    "nested dead code": (
        "i32.const 2 return block loop i32.const 1 if else block end end end br 0 end"
        " i32.const 1 if (result i32) i32.const 3 else unreachable end",
        2,
        1 + 1,
    ),
    "else after dead code": (
        "i32.const 0 if (result i32) i32.const 1 return else i32.const 7 end",
        7,
        1 + 2 + 1,
    ),
    "end after dead code of both": (
        "i32.const 1 if (result i32) i32.const 1 return else unreachable end",
        1,
        1 + 2 + 1,
    ),
    "if without else in dead code": ("i32.const 4 br 0 i32.const 1 if nop end", 4, 1 + 2),
    "br_table in dead code": (
        "block block i32.const 7 return br_table 0 1 0 end end unreachable",
        7,
        1 + 1,
    ),
    "bulk operations and calls in dead code": (
        "i32.const 7 return i32.const 0 i32.const 0 i32.const 0 memory.fill"
        " i32.const 1 memory.grow call $id drop",
        7,
        1 + 1,
    ),
    "br_table with values": (
        "block (result i32) block (result i32) i32.const 5 i32.const 1 br_table 0 1 0 end"
        " i32.const 10 i32.add end",
        5,
        1 + 3,
    ),
    "call_indirect": ("i32.const 9 i32.const 0 call_indirect (type $id)", 9, 1 + 3 + 1 + 1),
    "calls in a row": (
        "i32.const 9 call $id call $id block (param i32) (result i32) call $id end",
        9,
        1 + 4 + 3 * 2,
    ),
    "call before a loop": (
        "i32.const 1 call $id drop loop call $nothing end i32.const 3",
        3,
        1 + 2 + 2 + 1 + 1 + 1,
    ),
    "call at the end of an if": (
        "i32.const 1 if call $nothing else call $nothing end i32.const 2",
        2,
        1 + 2 + 1 + 1 + 1,
    ),
}


class TestControl:
    @pytest.mark.parametrize("run", ENGINES)
    @pytest.mark.parametrize("name", CONTROL)
    def test_results_and_fuel(self, name: str, run: Runner) -> None:
        code, result, cost = CONTROL[name]
        data = round_trips(f"""
        (module (type $id (func (param i32) (result i32))) (memory 1)
          (func $id (type $id) local.get 0) (func $nothing)
          (table funcref (elem $id))
          (func (export "run") (result i32) (local i32) {code}))""")
        for budget in range(cost + 3):
            ran = run(data, "run", budget=budget)
            assert ran.outcome == ("ok" if budget >= cost else "fuel"), budget
        assert (ran.results, ran.paid) == ((result,), cost)


class TestHostileCode:
    @pytest.mark.parametrize("name", ["fetch/fetch", "hello/hello"])
    def test_what_is_remembered_does_not_change_the_result(
        self, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Caches are bounded, so that code cannot make them grow; they only save time."""
        parsed = parse((PLUGINS / f"{name}.wasm").read_bytes())
        expected = instrument(parsed)
        monkeypatch.setattr("sen_host.wasm.metering._REMEMBERED", 3)
        monkeypatch.setattr("sen_host.wasm.metering._REMEMBERED_COUNTS", 1)
        assert instrument(parsed) == expected
