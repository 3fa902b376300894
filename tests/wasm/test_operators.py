"""The table of operators, against what Wasmtime assembles and validates.

For each operator a function is written whose parameters and results are the
stack types of the table. If it assembles, validates, and the walk over its code
finds just that operator, then name, code, immediates and types are right.
"""

from __future__ import annotations

from collections import Counter

import pytest
import wasmtime

from sen_host.errors import ModuleCompilation
from sen_host.wasm.instructions import instructions, read_locals
from sen_host.wasm.operators import OPERATORS, Immediate, Operator
from sen_host.wasm.reader import parse
from tests.wasm.support import ENGINE, function, is_valid, said, wat

CONTEXT = """
(module
  (type $unary (func (param i32) (result i32)))
  (memory 1) (data "") (data "")
  (table 1 funcref) (table $t1 1 funcref) (table $t2 1 funcref)
  (elem func) (elem func $f)
  (global i32 (i32.const 0)) (global $g (mut i64) (i64.const 0))
  (func $f) (func $one (param i32) (result i32) local.get 0)
  (func {signature} (local $l i64) {code}))
"""

# Text of the immediates, chosen so that a wrong length would derail the walk.
IMMEDIATES = {
    Immediate.NONE: "",
    Immediate.FUNCTION: "$f",
    Immediate.TYPES: "(result f64)",
    Immediate.LOCAL: "$l",
    Immediate.GLOBAL: "$g",
    Immediate.TABLE: "$t1",
    Immediate.TABLE_TABLE: "$t1 $t2",
    Immediate.ELEMENT_TABLE: "$t2 1",
    Immediate.ELEMENT: "1",
    Immediate.DATA: "1",
    Immediate.DATA_MEMORY: "1",
    Immediate.MEMORY: "",
    Immediate.MEMORY_MEMORY: "",
    Immediate.ACCESS: "offset=300",
    Immediate.ACCESS_LANE: "offset=300 1",
    Immediate.LANE: "1",
    Immediate.LANES: " ".join(map(str, range(16, 32))),
    Immediate.I32: "-123456",
    Immediate.I64: "-12345678901234",
    Immediate.F32: "0x1.010101p+1",
    Immediate.F64: "0x1.0101010101010p+1",
    Immediate.V128: "i8x16 " + " ".join(map(str, range(16))),
    Immediate.REFERENCE_TYPE: "func",
}

# What "t" stands for.
POLYMORPHIC = {
    "drop": "f32",
    "select": "i64",
    "local.get": "i64",
    "local.set": "i64",
    "local.tee": "i64",
    "global.get": "i64",
    "global.set": "i64",
}

# Operators whose types their immediates or surroundings decide: signature and code.
IN_CONTEXT = {
    "block": ("(param i32) (result i32)", "local.get 0 block (type $unary) end"),
    "loop": ("(param i32) (result i32)", "local.get 0 loop (type $unary) end"),
    "if": ("", "i32.const 1 if end"),
    "else": ("(result i64)", "i32.const 1 if (result i64) i64.const 1 else i64.const 2 end"),
    "end": ("", "block end"),
    "br": ("(result i32)", "i32.const 1 br 0"),
    "br_if": ("(result i32)", "i32.const 1 i32.const 2 br_if 0"),
    "br_table": ("", "i32.const 1 br_table" + " 0" * 300),
    "return": ("(result i32)", "i32.const 1 return"),
    "call": ("(param i32) (result i32)", "local.get 0 call $one"),
    "call_indirect": (
        "(param i32) (result i32)",
        "local.get 0 i32.const 1 call_indirect $t1 (type $unary)",
    ),
}


def immediates(operator: Operator) -> str:
    if operator.name == "select":
        return "(result i64)" if operator.immediate is Immediate.TYPES else ""
    return IMMEDIATES[operator.immediate]


def with_its_types(operator: Operator) -> tuple[str, str]:
    t = POLYMORPHIC.get(operator.name, "funcref")
    params = [t if type == "t" else type for type in operator.params]
    results = [t if type == "t" else type for type in operator.results]
    signature = "".join(f"(param {type})" for type in params)
    signature += "".join(f"(result {type})" for type in results)
    code = "".join(f"local.get {index} " for index in range(len(params)))
    return signature, f"{code} {operator.name} {immediates(operator)}"


@pytest.mark.parametrize(
    "operator", OPERATORS.values(), ids=lambda operator: f"{operator.code:#x} {operator.name}"
)
def test_code_immediates_and_types(operator: Operator) -> None:
    signature, code = IN_CONTEXT.get(operator.name) or with_its_types(operator)
    data = wat(CONTEXT.format(signature=signature, code=code))
    assert is_valid(data)
    module = parse(data)
    start, end = module.function_bodies[-1]
    start = read_locals(data, start, end)[1]
    walked = [found for _, found, _, _ in instructions(data, start, end)]
    expected = [word for word in code.split() if word in NAMES]
    assert [found.name for found in walked] == [*expected, "end"]
    assert operator in walked


NAMES = {operator.name for operator in OPERATORS.values()}


def test_the_code_is_the_key() -> None:
    assert all(code == operator.code for code, operator in OPERATORS.items())
    assert list(OPERATORS) == sorted(OPERATORS)


def test_the_numbers_of_operators_are_those_of_the_specification() -> None:
    assert Counter(operator.proposal for operator in OPERATORS.values()) == {
        "mvp": 172,
        "sign extension": 5,
        "saturating float-to-int": 8,
        "bulk memory": 7,
        "reference types": 9,
        "SIMD": 236,
    }


def other_codes() -> list[bytes]:
    """Every opcode, and sub-opcodes up to 511, that the table does not have."""
    one_byte = [bytes((code,)) for code in set(range(256)) - {0xFB, 0xFC, 0xFD, 0xFE, *OPERATORS}]
    prefixed = [
        bytes((prefix, sub & 0x7F | 0x80, sub >> 7))
        for prefix in (0xFC, 0xFD)
        for sub in range(512)
        if prefix << 16 | sub not in OPERATORS
    ]
    return one_byte + prefixed


def test_what_is_called_unknown_is_unknown_to_wasmtime_too() -> None:
    unknown = 0
    for code in other_codes():
        with pytest.raises(ModuleCompilation) as caught:
            list(instructions(code + b"\x0b", 0, len(code) + 1))
        if "unknown operator" in said(caught.value):
            unknown += 1
            with pytest.raises(wasmtime.WasmtimeError, match=r"illegal opcode|subopcode"):
                wasmtime.Module.validate(ENGINE, function(b"\0" + code + b"\x0b"))
    assert unknown > 500


@pytest.mark.parametrize(
    ("code", "name", "proposal"),
    [
        (b"\x06\x40", "0x06", "exception handling"),  # try
        (b"\x08\x00", "0x08", "exception handling"),  # throw
        (b"\x0a", "0x0a", "exception handling"),  # throw_ref
        (b"\x1f\x40\x00", "0x1f", "exception handling"),  # try_table
        (b"\x12\x00", "0x12", "tail calls"),  # return_call
        (b"\x13\x00\x00", "0x13", "tail calls"),  # return_call_indirect
        (b"\x14\x00", "0x14", "typed function references"),  # call_ref
        (b"\xd4", "0xd4", "typed function references"),  # ref.as_non_null
        (b"\xd3", "0xd3", "garbage collection"),  # ref.eq
        (b"\xfb\x1c", "0xfb 0x1c", "garbage collection"),  # ref.i31
        (b"\xe0\x00", "0xe0", "stack switching"),  # cont.new
        (b"\xe6\x00\x00", "0xe6", "stack switching"),  # switch
        (b"\xfc\x12\x00", "0xfc 0x12", "memory control"),  # memory.discard
        (b"\xfc\x13", "0xfc 0x13", "wide arithmetic"),  # i64.add128
        (b"\xfc\x16", "0xfc 0x16", "wide arithmetic"),  # i64.mul_wide_u
        (b"\xfd\x80\x02", "0xfd 0x100", "relaxed SIMD"),  # i8x16.relaxed_swizzle
        (b"\xfd\x93\x02", "0xfd 0x113", "relaxed SIMD"),  # the last one
        (b"\xfe\x03\x00", "0xfe 0x03", "threads"),  # atomic.fence
    ],
)
def test_later_operators_are_refused_with_their_proposal(
    code: bytes, name: str, proposal: str
) -> None:
    with pytest.raises(ModuleCompilation) as caught:
        list(instructions(b"\x01" + code + b"\x0b", 0, len(code) + 2))
    assert said(caught.value) == (
        f"the module uses an operator ({name}) of the {proposal} proposal at offset 0x1"
    )
    assert caught.value.hint is not None


def test_a_sub_opcode_cannot_reach_into_its_prefix() -> None:
    # 0xfc << 16 | 0x1000a would be 0xfd << 16 | 10, which is v128.load64_splat.
    code = b"\xfc\x8a\x80\x04\x00\x00"
    with pytest.raises(ModuleCompilation, match="unknown operator 0xfc 0x1000a"):
        list(instructions(code, 0, len(code)))


def test_what_costs_nothing_and_what_costs_by_the_unit() -> None:
    free = {operator.name for operator in OPERATORS.values() if operator.cost == 0}
    assert free == set("nop drop block loop unreachable return else end".split())
    units = {operator.name: operator.unit for operator in OPERATORS.values() if operator.unit}
    assert units == {
        "memory.grow": "page",
        "memory.init": "byte",
        "memory.copy": "byte",
        "memory.fill": "byte",
        "table.grow": "element",
        "table.init": "element",
        "table.copy": "element",
        "table.fill": "element",
    }


@pytest.mark.parametrize(
    ("name", "traps"),
    [
        ("unreachable", True),
        ("i32.div_s", True),
        ("i64.rem_u", True),
        ("i32.trunc_f64_u", True),
        ("i32.trunc_sat_f64_u", False),
        ("f32.div", False),
        ("f64.trunc", False),
        ("i64.load8_s", True),
        ("f32.store", True),
        ("v128.load8_lane", True),
        ("v128.load64_zero", True),
        ("memory.copy", True),
        ("memory.grow", False),
        ("table.get", True),
        ("table.grow", False),
        ("data.drop", False),
        ("call_indirect", True),
        ("call", False),
        ("i32.add", False),
    ],
)
def test_what_may_trap_by_itself(name: str, traps: bool) -> None:
    (operator,) = [operator for operator in OPERATORS.values() if operator.name == name]
    assert operator.traps is traps
