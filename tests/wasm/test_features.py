"""The features that a module uses, against validation with just these features."""

from __future__ import annotations

import subprocess

import pytest

from sen_host.errors import ModuleCompilation
from sen_host.wasm.features import features_used
from sen_host.wasm.reader import parse
from sen_host.wasm.segments import Mode, data_segments, element_segments
from tests.wasm.support import (
    every_section,
    function,
    generated_module,
    is_valid,
    module,
    real_modules,
    said,
    section,
    wasm_tools,
    wat,
)

ALL = {
    "bulk memory": "bulk-memory",
    "multi-value": "multi-value",
    "mutable globals": "mutable-global",
    "reference types": "reference-types",
    "saturating float-to-int": "saturating-float-to-int",
    "sign extension": "sign-extension",
    "SIMD": "simd",
}


@pytest.mark.parametrize(
    ("text", "used"),
    [
        ("(module)", ()),
        ('(module (memory (export "m") 1) (func (param i32) (result i64) i64.const 1))', ()),
        ("(module (global (mut i32) (i32.const 0)))", ()),
        ("(module (type (func (result i32 i32))))", ("multi-value",)),
        ("(module (func i32.const 1 block (param i32) drop end))", ("multi-value",)),
        ('(module (import "a" "b" (global (mut i32))))', ("mutable globals",)),
        ('(module (global (export "b") (mut i32) (i32.const 0)))', ("mutable globals",)),
        ("(module (func f32.const 1 i32.trunc_sat_f32_s drop))", ("saturating float-to-int",)),
        ("(module (func i32.const 1 i32.extend8_s drop))", ("sign extension",)),
        ("(module (func (param externref)))", ("reference types",)),
        ("(module (func (local funcref)))", ("reference types",)),
        ("(module (func block (result externref) unreachable end drop))", ("reference types",)),
        ("(module (func unreachable select (result v128) drop))", ("reference types", "SIMD")),
        ("(module (table 1 externref))", ("reference types",)),
        ('(module (import "a" "b" (global externref)))', ("reference types",)),
        ('(module (import "a" "b" (table 1 funcref)) (table 1 funcref))', ("reference types",)),
        ("(module (global funcref (ref.null func)))", ("reference types",)),
        ("(module (func (local v128)))", ("SIMD",)),
        ("(module (type (func (param v128))))", ("SIMD",)),
        ("(module (func v128.const i64x2 0 0 drop))", ("SIMD",)),
        ("(module (global v128 (v128.const i64x2 0 0)))", ("SIMD",)),
        ("(module (memory 1) (func (memory.fill " + "(i32.const 0)" * 3 + ")))", ("bulk memory",)),
        ('(module (memory 1) (data "x"))', ("bulk memory",)),
        ("(module (func) (elem func 0))", ("bulk memory",)),
        ("(module (table 1 funcref) (func) (elem (i32.const 0) 0))", ()),
        ("(module (table 1 funcref) (func i32.const 0 call_indirect))", ()),
    ],
)
def test_one_feature_at_a_time(text: str, used: tuple[str, ...]) -> None:
    assert features_used(parse(wat(text))) == used


def test_a_long_table_index_needs_reference_types() -> None:
    start = module(section(1, b"\x01\x60\0\0"), section(3, b"\x01\0"), section(4, b"\x01\x70\0\0"))
    for table, used in ((b"\0", ()), (b"\x80\x80\x80\x80\0", ("reference types",))):
        body = b"\0\x41\0\x11\0" + table + b"\x0b"
        data = start + section(10, b"\x01" + bytes((len(body),)) + body)
        assert is_valid(data)
        assert features_used(parse(data)) == used


def test_a_module_of_all_there_is_in_order() -> None:
    assert features_used(parse(every_section())) == (
        "bulk memory",
        "multi-value",
        "mutable globals",
        "reference types",
        "SIMD",
    )


def validates(data: bytes, features: set[str]) -> bool:
    chosen = ",".join(["mvp", "-mutable-global", *(ALL[name] for name in sorted(features))])
    run = subprocess.run(
        [wasm_tools(), "validate", f"--features={chosen}", "-"], input=data, capture_output=True
    )
    return run.returncode == 0


def check(data: bytes) -> set[str]:
    """The features are enough, and none is too many."""
    parsed = parse(data)
    used = set(features_used(parsed))
    assert validates(data, used)
    needed = set(used)
    # wasm-tools takes these forms without bulk memory, which brought them.
    if any(segment.named_memory for segment in data_segments(parsed)) or any(
        segment.mode is Mode.ACTIVE and (segment.table is not None or segment.expressions)
        for segment in element_segments(parsed)
    ):
        needed.remove("bulk memory")
    for feature in needed:
        assert not validates(data, used - {feature}), feature
    return used


@pytest.mark.parametrize("block", range(2))
def test_generated_modules_validate_with_just_these_features(block: int) -> None:
    seen: set[str] = set()
    for seed in range(1_000 + block * 60, 1_060 + block * 60):
        seen |= check(generated_module(seed))
    assert seen == set(ALL)


@pytest.mark.parametrize("name", real_modules())
def test_real_modules_validate_with_just_these_features(name: str) -> None:
    check(real_modules()[name])


def test_segments() -> None:
    parsed = parse(every_section())
    elements = list(element_segments(parsed))
    assert [(item.mode, item.table, item.element, item.length) for item in elements] == [
        (Mode.ACTIVE, None, "funcref", 1),
        (Mode.PASSIVE, None, "funcref", 2),
        (Mode.ACTIVE, 0, "funcref", 1),
        (Mode.DECLARATIVE, None, "funcref", 1),
        (Mode.ACTIVE, None, "funcref", 2),
        (Mode.PASSIVE, None, "externref", 1),
        (Mode.ACTIVE, 1, "externref", 1),
        (Mode.DECLARATIVE, None, "funcref", 1),
    ]
    assert [item.expressions for item in elements] == [False] * 4 + [True] * 4
    datas = list(data_segments(parsed))
    assert [item.mode for item in datas] == [Mode.ACTIVE, Mode.PASSIVE]
    assert [parsed.data[slice(*item.content)] for item in datas] == [b"hello", b"passive"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (section(9, b"\x01\x08"), "unknown form 8 of an element segment"),
        (section(9, b"\x01\x01\x01\x00"), "0x01 is not a kind of element"),
        (section(9, b"\x01\x05\x63\x70\x00"), "of the typed function references proposal"),
        (section(9, b"\x01\x01\x00\x05\x00"), "5 elements do not fit"),
        (section(9, b"\x01\x00\x41\x00"), "has no end"),
        (section(9, b"\x00\x00"), "section 9 is longer than its content"),
        (section(11, b"\x01\x03"), "unknown form 3 of a data segment"),
        (section(11, b"\x01\x02\x01\x41\x00\x0b\x00"), "memory 1 of the multi-memory proposal"),
        (section(11, b"\x01\x01\x05a"), "unexpected end"),
        (section(11, b"\x00\x00"), "section 11 is longer than its content"),
        (section(7, b"\x01\x01x\x03\x05"), "names global 5, which does not exist"),
        (function(b"\x05\x0b")[8:], "5 local declarations do not fit"),
        (function(b"\x00\x12\x00\x0b")[8:], "of the tail calls proposal"),
    ],
)
def test_malformed_modules(data: bytes, message: str) -> None:
    with pytest.raises(ModuleCompilation) as caught:
        features_used(parse(module(data)))
    assert message in caught.value.message
    if caught.value.offset is not None:
        said(caught.value)
