"""The accepted profile: what is refused, with its place; what is not; and what the engines say."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
import wasmtime
from hypothesis import given
from hypothesis import strategies as st

from sen_host.errors import ModuleCompilation
from sen_host.wasm.exceptions import (
    BOUNDS,
    EXPORTS,
    FEATURES,
    LABELS,
    SIGNATURE,
    TABLE_MAXIMUM,
    TABLE_MINIMUM,
)
from sen_host.wasm.instrument import instrument
from sen_host.wasm.leb128 import encode_unsigned
from sen_host.wasm.names import function_name
from sen_host.wasm.operators import OPERATORS, Operator
from sen_host.wasm.profile import check_profile
from sen_host.wasm.reader import parse
from tests.wasm.metered import has_wasmer
from tests.wasm.support import (
    ENGINE,
    every_section,
    function,
    is_valid,
    module,
    real_modules,
    said,
    section,
    vector,
    wat,
)

PAGE = Path(__file__).parents[2] / "docs" / "profile.md"
SIMD = sorted(
    (operator for operator in OPERATORS.values() if operator.proposal == "SIMD"),
    key=lambda operator: operator.code,
)

needs_wasmer = pytest.mark.skipif(
    not has_wasmer(), reason="wasmer 1.1 is not here; it needs CPython 3.10 or earlier"
)


def refusal(data: bytes, accept: frozenset[str] = frozenset()) -> ModuleCompilation:
    with pytest.raises(ModuleCompilation) as caught:
        check_profile(parse(data), accept)
    said(caught.value)
    return caught.value


def is_accepted(data: bytes, accept: frozenset[str] = frozenset()) -> bool:
    try:
        check_profile(parse(data), accept)
    except ModuleCompilation:
        return False
    return True


def compiles_on_wasmtime(data: bytes) -> bool:
    try:
        wasmtime.Module(ENGINE, data)
    except wasmtime.WasmtimeError:
        return False
    return True


def compiles_on_wasmer(data: bytes) -> bool:
    import wasmer
    import wasmer_compiler_cranelift

    store = wasmer.Store(wasmer.engine.Universal(wasmer_compiler_cranelift.Compiler))
    try:
        wasmer.Module(store, data)
    except RuntimeError:
        return False
    return True


# One valid module for each name, and what its refusal has to tell.
REFUSED = {
    "simd": (
        "(module (func (drop (i32.const 0)))"
        " (func $count i64.const 1 i64x2.splat i8x16.popcnt drop))",
        r"the module uses i64x2\.splat of the SIMD proposal, which not every engine runs right,"
        r" at offset 0x[0-9a-f]+, in function 1 \('count'\)",
    ),
    "externref-elements": (
        "(module (elem externref (ref.null extern)))",
        r"an element segment of externref of the reference types proposal",
    ),
    "global-elements": (
        '(module (import "a" "b" (global funcref)) (elem funcref (global.get 0)))',
        r"global\.get in an element segment of the reference types proposal",
    ),
    "dead-br-table": (
        "(module (func) (func block (result i32) block (result i64)"
        " unreachable br_table 0 1 end drop i32.const 0 end drop))",
        r"a br_table whose targets have different types of the reference types proposal"
        r".* in function 1$",
    ),
}


@pytest.mark.parametrize("name", FEATURES)
def test_a_refusal_tells_what_where_and_how_to_go_on(name: str) -> None:
    text, message = REFUSED[name]
    data = wat(text)
    assert is_valid(data)
    error = refusal(data)
    assert re.search(message, error.message), error.message
    assert FEATURES[name].remedy in (error.hint or "")
    assert f"accept {name!r}" in (error.hint or "")


@pytest.mark.parametrize("name", FEATURES)
def test_a_refusal_is_lifted_by_its_name_alone(name: str) -> None:
    data = wat(REFUSED[name][0])
    check_profile(parse(data), frozenset({name}))
    assert not is_accepted(data, frozenset(FEATURES) - {name})
    assert is_valid(instrument(parse(data)).wasm)


@needs_wasmer
@pytest.mark.parametrize("name", FEATURES)
def test_wasmer_2_lacks_what_is_refused(name: str) -> None:
    assert not compiles_on_wasmer(wat(REFUSED[name][0]))


def test_the_offset_is_that_of_the_operator() -> None:
    data = wat("(module (func nop nop i32.const 64765 i8x16.splat drop))")
    offset = refusal(data).offset
    assert offset is not None
    assert data[offset : offset + 2] == b"\xfd\x0f"


# --- SIMD ----------------------------------------------------------------------


@cache
def simd_module(operator: Operator) -> bytes:
    gets = " ".join(f"local.get {index}" for index in range(len(operator.params)))
    lanes = {"LANE": "1", "ACCESS_LANE": "0", "LANES": "0 " * 16, "V128": "i64x2 0 0"}
    return wat(
        f"(module (memory 1) (func (param {' '.join(operator.params)}) {gets} {operator.name}"
        f" {lanes.get(operator.immediate.name, '')} {'drop ' * len(operator.results)}))"
    )


@pytest.mark.parametrize("operator", SIMD, ids=lambda operator: str(operator.name))
def test_every_operator_of_simd_is_refused(operator: Operator) -> None:
    assert not is_accepted(simd_module(operator))
    check_profile(parse(simd_module(operator)), frozenset({"simd"}))


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("(module (func (param i32 v128)))", "v128 in function type 0"),
        ("(module (type (func)) (type (func (result v128))))", "v128 in function type 1"),
        ("(module (func (local i32 v128)))", "v128 in a local"),
        ("(module (global i32 (i32.const 0)) (global v128 (v128.const i64x2 0 0)))",
         "v128 in global 1"),
        ("(module (func (drop (v128.const i64x2 0 0))))", "v128.const"),
    ],
)  # fmt: skip
def test_its_type_is_refused_wherever_it_stands(text: str, where: str) -> None:
    data = wat(text)
    assert is_valid(data)
    error = refusal(data)
    assert f"the module uses {where} of the SIMD proposal" in error.message
    assert error.offset is not None
    assert 8 < error.offset < len(data)
    check_profile(parse(data), frozenset({"simd"}))


@needs_wasmer
def test_wasmer_2_lacks_27_operators_of_simd() -> None:
    lacking = [
        operator.name
        for operator in SIMD
        if not compiles_on_wasmer(instrument(parse(simd_module(operator))).wasm)
    ]
    assert len(lacking) == 27
    assert "i8x16.popcnt" in lacking


@pytest.mark.parametrize("overlong", [b"\x62", b"\xe2\x00", b"\xe2\x80\x80\x80\x00"])
def test_a_sub_opcode_is_read_in_every_form(overlong: bytes) -> None:
    data = function(b"\x00\x00\xfd" + overlong + b"\x1a\x0b")
    assert is_valid(data)
    assert "i8x16.popcnt" in refusal(data).message


def test_bytes_that_only_look_like_an_operator_are_none() -> None:
    # 0xfd 0x62 as part of a constant, 0x0e as an index, 0x3f 0x80 likewise.
    data = wat(
        "(module (func (local i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)"
        " i32.const 0x627d drop f32.const nan:0x6262fd drop local.get 14 drop"
        " i64.const 0x407f drop i32.const 16319 drop))"
    )
    assert b"\xfd\x62" in data
    check_profile(parse(data))


# --- br_table --------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        "block (result i32) block (result i32) unreachable br_table 0 1 end end drop",
        "block block loop i32.const 0 br_table 0 1 2 3 end end end",
        "i32.const 5 loop (param i32) block (param i32) (result i32) i32.const 0"
        " br_table 1 1 end drop end",
        "block (result i32 i64) i32.const 0 i64.const 0 i32.const 0 br_table 0 0 end drop drop",
        "i32.const 1 if (result i32) i32.const 1 i32.const 0 br_table 0 0 else i32.const 2 end"
        " i32.const 0 br_table 0 0",
    ],
)
def test_targets_of_one_type_are_accepted(body: str) -> None:
    result = "(result i32)" if body.endswith("br_table 0 0") else ""
    data = wat(f"(module (func {result} {body}))")
    assert is_valid(data)
    check_profile(parse(data))


@pytest.mark.parametrize(
    "body",
    [
        "block (result f32) unreachable br_table 0 1 end drop i32.const 0",
        "block (result i64) unreachable br_table 0 0 0 1 0 end drop i32.const 0",
        "block (result f32) i32.const 0 br 1 i32.const 0 br_table 0 1 end drop i32.const 0",
        "i32.const 5 loop (param i32) drop block (result i64) unreachable br_table 0 1 end drop"
        " end i32.const 0",
        "block (result i32 i64) block (result i32 f64) unreachable i32.const 0 br_table 0 1 end"
        " drop drop i32.const 0 i64.const 0 end drop",
    ],
)
def test_targets_of_several_types_are_refused(body: str) -> None:
    data = wat(f"(module (func (result i32) {body}))")
    assert is_valid(data)
    assert "br_table whose targets have different types" in refusal(data).message


@given(st.integers(0, 9), st.integers(0, 9), st.integers(1, 4))
def test_long_labels_are_read_as_short_ones(first: int, second: int, length: int) -> None:
    def label(depth: int) -> bytes:
        return bytes((depth | 0x80,)) + b"\x80" * (length - 1) + b"\x00"

    # Ten blocks, of which those at an even depth give an i32 and the others an i64.
    opening = b"".join(b"\x02" + (b"\x7e", b"\x7f")[depth % 2] for depth in range(9, -1, -1))
    closing = b"".join(b"\x0b\x1a" + (b"\x41\x00", b"\x42\x00")[depth % 2] for depth in range(10))
    dispatch = b"\x00\x0e\x01" + label(first) + label(second)
    data = function(b"\x00" + opening + dispatch + closing + b"\x1a\x0b")
    assert is_accepted(data) == (first % 2 == second % 2)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"\x00\x0e\x00" + b"\x80" * 5 + b"\x00", "integer"),
        (b"\x02" + b"\x80" * 5 + b"\x00\x41\x00\x0e\x00\x00\x0b", "integer"),
    ],
)
def test_a_malformed_label_or_type_is_told(body: bytes, message: str) -> None:
    error = refusal(function(b"\x00" + body + b"\x0b"))
    assert "malformed" in error.message
    assert message in error.message


@pytest.mark.parametrize(
    "body",
    [
        b"\x41\x00\x0e\x00\x09",  # no such label
        b"\x02\x09\x41\x00\x0e\x00\x00\x0b",  # no such type
        b"\x0b\x0b\x0b\x41\x00\x0e\x00\x00",  # too many ends
        b"\x02\x40\x41\x00\x0e\x00\x00",  # too few
    ],
)
def test_what_the_validator_tells_is_left_to_it(body: bytes) -> None:
    data = function(b"\x00" + body + b"\x0b")
    check_profile(parse(data))
    assert not is_valid(data)


def test_an_index_of_several_bytes_is_of_a_later_proposal() -> None:
    def with_code(code: bytes) -> bytes:
        body = b"\x00" + code + b"\x0b"
        return module(
            section(1, b"\x01\x60\0\0"),
            section(3, b"\x01\0"),
            section(5, b"\x01\0\x01"),
            section(10, vector([bytes((len(body),)) + body])),
        )

    data = with_code(b"\x3f\x80\x00\x1a")
    assert not compiles_on_wasmtime(data)
    error = refusal(data)
    assert "memory.size with a memory index of 2 bytes of the multi-memory" in error.message
    assert "memory.grow" in refusal(with_code(b"\x41\x00\x40\x80\x80\x00\x1a")).message
    check_profile(parse(with_code(b"\x3f\x00\x1a")))
    # The same bytes within a constant.
    check_profile(parse(with_code(b"\x42\xbf\x3f\x1a\x43\x3f\x80\x40\x80\x1a")))


# --- bounds ------------------------------------------------------------------------


def with_types(params: int, results: int) -> bytes:
    type = b"\x60" + encode_unsigned(params) + b"\x7e" * params
    return module(
        section(1, vector([b"\x60\0\0", type + encode_unsigned(results) + b"\x7e" * results]))
    )


def with_labels(count: int) -> bytes:
    return function(b"\x00\x41\x00\x0e" + encode_unsigned(count) + bytes(count + 1) + b"\x0b")


def with_table(minimum: int, maximum: int | None = None) -> bytes:
    limits = encode_unsigned(minimum) + (b"" if maximum is None else encode_unsigned(maximum))
    return module(
        section(4, vector([b"\x70\0\0", b"\x70" + bytes((maximum is not None,)) + limits]))
    )


def with_exports(functions: int, globals: int) -> bytes:
    """Each function has 127 parameters, so it counts 128."""
    names = [encode_unsigned(len(str(i))) + str(i).encode() for i in range(functions + globals)]
    exports = [name + b"\0\0" for name in names[:functions]]
    exports += [name + b"\x03\0" for name in names[functions:]]
    return module(
        section(1, vector([b"\x60\x7f" + b"\x7f" * 127 + b"\0"])),
        section(3, b"\x01\0"),
        section(6, vector([b"\x7f\0\x41\0\x0b"])),
        section(7, vector(exports)),
        section(10, vector([b"\x02\0\x0b"])),
    )


WITHIN = {
    SIGNATURE: [with_types(128, 0), with_types(0, 128), with_types(64, 64)],
    LABELS: [with_labels(65_520)],
    TABLE_MINIMUM: [with_table(10_000_000)],
    TABLE_MAXIMUM: [with_table(0, 1 << 27)],
    EXPORTS: [with_exports(773, 28)],
}
BEYOND = {
    SIGNATURE: [with_types(129, 0), with_types(0, 129), with_types(64, 65)],
    LABELS: [with_labels(65_521), with_labels(1_000_000)],
    TABLE_MINIMUM: [with_table(10_000_001)],
    TABLE_MAXIMUM: [with_table(0, (1 << 27) + 1)],
    EXPORTS: [with_exports(774, 0), with_exports(773, 29)],
}


@pytest.mark.parametrize("bound", BOUNDS, ids=lambda bound: str(bound.what))
def test_what_is_within_a_bound_compiles(bound: object) -> None:
    for data in WITHIN[bound]:  # type: ignore[index]
        check_profile(parse(data))
        metered = instrument(parse(data)).wasm
        assert compiles_on_wasmtime(metered)
        assert not has_wasmer() or compiles_on_wasmer(metered)


@pytest.mark.parametrize("bound", BOUNDS, ids=lambda bound: str(bound.what))
def test_what_is_beyond_a_bound_is_refused(bound: object) -> None:
    for data in BEYOND[bound]:  # type: ignore[index]
        error = refusal(data)
        assert f"at most {bound.most:,} are accepted" in error.message  # type: ignore[attr-defined]
        assert error.hint == bound.remedy  # type: ignore[attr-defined]
        assert not is_accepted(data, frozenset(FEATURES))


def test_the_offset_of_a_large_type_is_its_own() -> None:
    data = with_types(129, 0)
    offset = refusal(data).offset
    assert offset is not None
    assert data[offset : offset + 4] == b"\x60\x81\x01\x7e"


# --- whole modules -------------------------------------------------------------------


@pytest.mark.parametrize("name", real_modules())
def test_plugins_are_accepted(name: str) -> None:
    data = real_modules()[name]
    beyond = {"externref-elements", "simd"} if data == every_section() else set()
    accept = frozenset(beyond)
    check_profile(parse(data), accept)


def test_what_every_engine_runs_is_accepted() -> None:
    # Exports of any type: a host calls none but those of the ABI.
    data = wat("""
    (module
      (func (export "v") (param f64 externref funcref) (result f64 i32)
        local.get 0 i32.const 1)
      (global (export "g") (mut f32) (f32.const 0))
      (global (export "x") externref (ref.null extern))
      (global (export "f") funcref (ref.func $f))
      (table (export "t") 1 externref) (table 1 10 funcref)
      (func $f (param $p f64) (local externref)
        local.get $p i32.const 1 if (param f64) (result f64) end drop
        ref.func $f ref.func $f i32.const 1 select (result funcref) drop
        ref.func $f drop i32.const 0 table.get 0 drop)
      (elem declare func $f))
    """)
    check_profile(parse(data))
    metered = instrument(parse(data)).wasm
    assert compiles_on_wasmtime(metered)
    assert not has_wasmer() or compiles_on_wasmer(metered)


@pytest.mark.parametrize(
    ("code", "proposal"),
    [
        (b"\x12\x00", "tail calls"),
        (b"\xfd\x80\x02", "relaxed SIMD"),
        (b"\x06\x40\x0b", "exception handling"),
    ],
)
def test_a_later_proposal_is_told_with_the_function(code: bytes, proposal: str) -> None:
    message = refusal(function(b"\x00" + code + b"\x0b")).message
    assert f"of the {proposal} proposal" in message
    assert message.endswith("in function 0")


def test_a_constant_expression_of_a_later_proposal_is_told() -> None:
    data = wat("(module (global i32 (i32.const 1)) (global i32 (global.get 0)))")
    message = refusal(data).message
    assert "global.get 0, which is not imported, of the garbage collection proposal" in message


# --- names -----------------------------------------------------------------------------


def test_names_of_functions() -> None:
    parsed = parse(wat('(module (import "a" "b" (func $in)) (func) (func $own))'))
    assert [function_name(parsed, index) for index in range(4)] == ["in", None, "own", None]


@given(st.binary(max_size=30))
def test_a_name_section_may_hold_anything(content: bytes) -> None:
    parsed = parse(module(section(0, b"\x04name" + content)))
    name = function_name(parsed, 0)
    assert name is None or name.encode() in content


# --- the page --------------------------------------------------------------------------


def test_the_page_has_what_the_profile_has() -> None:
    page = PAGE.read_text()
    rows = dict(re.findall(r"^\| `([a-z0-9-]+)` \| (.*) \|$", page, re.MULTILINE))
    assert rows == {
        feature.name: " | ".join(
            (feature.what, feature.proposal, ", ".join(feature.engines), feature.remedy)
        )
        for feature in FEATURES.values()
    }
    for bound in BOUNDS:
        assert f"| {bound.what} | {bound.most:,} | {bound.reason} |" in page


def test_the_page_has_every_proposal_of_the_operators() -> None:
    page = PAGE.read_text()
    accepted = page.partition("## What is refused")[0]
    for proposal in {operator.proposal for operator in OPERATORS.values()} - {"mvp"}:
        assert f"| {proposal} |" in accepted
