"""Each operator costs what docs/fuel.md says, and counts for the stack as it says."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

import pytest
import wasmtime

from sen_host.abi import enter
from sen_host.backend import FUEL, FuncType, Trap
from sen_host.engines import open_backend
from sen_host.limits import Limits
from sen_host.wasm.frames import LEAF_BYTES
from sen_host.wasm.instrument import Instrumented, instrument
from sen_host.wasm.operators import OPERATORS, Immediate, Operator
from sen_host.wasm.reader import parse
from tests.fuel_page import (
    COSTS,
    ENTRY,
    OTHERS,
    STACK,
    TEXT,
    WEIGHTS,
    cost_of,
    number,
    stated,
    weight_of,
)


def test_the_costs_are_those_of_the_operator_table() -> None:
    known = {operator.name: (operator.cost, operator.unit) for operator in OPERATORS.values()}
    assert COSTS.keys() < known.keys()
    assert known == {name: COSTS.get(name, OTHERS) for name in known}
    assert len(OPERATORS) == number(re.findall(r"every other of the ([\d,]+) operators", TEXT)[0])


WIDE = {"f32", "f64", "v128"}
IMMEDIATES = {
    **dict.fromkeys((Immediate.NONE, Immediate.ACCESS, Immediate.MEMORY), ""),
    **dict.fromkeys((Immediate.I32, Immediate.I64, Immediate.F32, Immediate.F64), "0"),
    **dict.fromkeys((Immediate.LANE, Immediate.ACCESS_LANE), "0"),
    Immediate.LANES: "0 " * 16,
    Immediate.V128: "i64x2 0 0",
    Immediate.REFERENCE_TYPE: "func",
    Immediate.TYPES: "(result i32)",
    Immediate.LOCAL: "$i32",
    Immediate.GLOBAL: "$g",
    Immediate.TABLE: "$t",
    Immediate.TABLE_TABLE: "$t $t",
    Immediate.ELEMENT_TABLE: "$t $e",
    Immediate.ELEMENT: "$e",
    Immediate.DATA: "$d",
    Immediate.DATA_MEMORY: "$d",
    Immediate.MEMORY_MEMORY: "",
    Immediate.FUNCTION: "$nothing",
}
CONTROL = {
    "unreachable": "unreachable",
    "nop": "nop",
    "block": "block end",
    "loop": "loop end",
    "if": "local.get $i32 if end",
    "else": "local.get $i32 if else end",
    "end": "block end",
    "br": "block br 0 end",
    "br_if": "block local.get $i32 br_if 0 end",
    "br_table": "block local.get $i32 br_table 0 0 end",
    "return": "return",
    "call": "call $nothing",
    "call_indirect": "local.get $i32 call_indirect $t",
}
COUNT = 3


class Sample(NamedTuple):
    """A function with one operator, for which it has what it needs in locals."""

    operator: Operator
    operands: tuple[str, ...]
    code: str

    @classmethod
    def of(cls, operator: Operator) -> Sample:
        if operator.name in CONTROL:
            return cls(operator, (), CONTROL[operator.name])
        t = "funcref" if operator.name.startswith(("table.", "ref.")) else "i32"
        operands = tuple(t if type == "t" else type for type in operator.params)
        names = [f"${type}" for type in operands]
        if operator.unit:
            names[-1] = "$count"
        pushes = " ".join(f"local.get {name}" for name in names)
        drops = "drop " * len(operator.results)
        return cls(
            operator, operands, f"{pushes} {operator.name} {IMMEDIATES[operator.immediate]} {drops}"
        )

    @property
    def locals(self) -> list[str]:
        return sorted({"i32", *self.operands})

    def text(self, name: str) -> str:
        declared = " ".join(f"(local ${type} {type})" for type in self.locals)
        return f'(func (export "{name}") (param $count i32) {declared} call $nothing {self.code})'

    @property
    def fuel(self) -> int:
        cost, unit = cost_of(f"call {self.code}")
        entries = 2 + (self.operator.name in ("call", "call_indirect"))
        return entries * ENTRY + cost + (COUNT if unit else 0)

    @property
    def frame(self) -> int:
        """By the page's formula."""
        operator = self.operator
        height = max(self.code.count("local.get"), self.code.count(" drop"))
        types = {*operator.params, *operator.results, *self.locals}
        wide, narrow = stated(r"\*width\* is (\d+) if .* vectors; else (\d+)\.")
        width = wide if types & WIDE else narrow
        return 96 + width * (1 + len(self.locals) + 3 * height + weight_of(operator))


SAMPLES = [Sample.of(operator) for operator in OPERATORS.values()]


def frames(code: str, extra: str = "") -> tuple[int, ...]:
    text = f"(module {extra} (func (param i32) {code}) (func $nothing))"
    return instrument(parse(bytes(wasmtime.wat2wasm(text)))).frames


def test_which_frames_count() -> None:
    assert frames("call $nothing") == (96 + 8 * 1, 0)
    code = "call $nothing return i32.const 1 f32.const 2 drop drop"
    assert frames(code)[0] == 96 + 16 * (1 + 2)
    largest = (LEAF_BYTES - 96 - 8) // 8
    for locals, frame in ((largest, 0), (largest + 1, LEAF_BYTES + 8)):
        assert frames(f"(local {'i32 ' * locals})") == (frame, 0)


def test_functions_whose_calls_go_no_deeper_than_a_leaf_do_not_count() -> None:
    def chain(*locals: int) -> tuple[int, ...]:
        functions = [
            f"(func (local {'i64 ' * count}) {f'call {index - 1}' if index else ''})"
            for index, count in enumerate(locals)
        ]
        text = f"(module {' '.join(functions)} (func (call {len(locals)})) (func))"
        return instrument(parse(bytes(wasmtime.wat2wasm(text)))).frames

    # Frames of 96 + 8 * locals: 1,096, 2,096 and 904 bytes make 4,096 together.
    # The last but one calls what stands behind it.
    assert chain(125, 250, 101) == (0, 0, 0, 96, 0)
    assert chain(125, 250, 102) == (0, 0, 912, 96, 0)
    assert chain(125, 250, 102, 0) == (0, 0, 912, 96, 96, 0)


@pytest.mark.parametrize(
    ("params", "results", "extra"),
    [
        ("i32 " * 8, "", 0),
        ("", "i32 " * 8, 0),
        ("i64 " * 9, "", 9 * 2),
        ("", "i32 " * 9, 9 * 2),
        ("i32 " * 5, "funcref " * 4, 9 * 2),
        ("i32 " * 5 + "f32 f64 v128 ", "f32 ", 5 * 2 + 4 * 3),
    ],
)
def test_what_many_parameters_and_results_add(params: str, results: str, extra: int) -> None:
    """To the height behind a call, and to the least height of a function."""
    most, narrow, wide = stated(
        r"more than (\d+) parameters and results in all counts (\d+), or (\d+) if it is a float"
    )
    types = (params + results).split()
    assert extra == (len(types) > most) * sum(wide if t in WIDE else narrow for t in types)
    type = f"(type $many (func (param {params}) (result {results})))"
    given, taken = len(params.split()), len(results.split())
    zeros = [f"{t}.const {'i64x2 0 0' * (t == 'v128') or '0'}" for t in params.split()]
    width = 16 if {"f32", "f64", "v128"} & set(params.split()) else 8
    for call, on_top, weight in (
        ("call $callee", 0, 0),
        ("i32.const 0 call_indirect (type $many)", 1, 1 + WEIGHTS["call_indirect"]),
    ):
        code = f"i32.const 7 {' '.join(zeros)} {call} {'drop ' * taken} drop"
        height = 1 + max(given + on_top, taken + extra)
        callee = f"{type} (table 1 funcref) (func $callee (type $many) call $nothing unreachable)"
        called, calling, _ = frames(code, callee)
        assert called == 96 + width * (given + 3 * extra)
        assert calling == 96 + width * (1 + 3 * height + 1 + given + weight)


@cache
def samples() -> Instrumented:
    functions = " ".join(sample.text(str(index)) for index, sample in enumerate(SAMPLES))
    text = f"""(module (memory (export "memory") 1 9) (data $d "abc") (table $t 9 20 funcref)
      (elem (table $t) (i32.const 0) func $nothing) (elem $e func $nothing $nothing $nothing)
      (global $g (mut i32) (i32.const 0)) {functions} (func $nothing))"""
    return instrument(parse(bytes(wasmtime.wat2wasm(text))))


def test_the_cost_of_every_operator() -> None:
    module = open_backend("wasmtime").compile(samples().wasm, Limits())
    instance = module.instantiate()
    type = FuncType(("i32",), ())
    for index, sample in enumerate(SAMPLES):
        try:
            enter(instance, str(index), type, (COUNT,), fuel=1_000, stack=STACK)
            left = instance.get_global(FUEL)
        except Trap as trap:
            assert sample.operator.traps
            left = trap.fuel_left
        assert left == 1_000 - sample.fuel, sample


def test_the_frame_of_every_operator() -> None:
    *frames, _ = samples().frames
    for sample, frame in zip(SAMPLES, frames, strict=True):
        assert frame == sample.frame, sample
