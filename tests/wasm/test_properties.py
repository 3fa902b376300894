"""What holds for every module: of reading and writing, and of one that is rewritten."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import fields
from functools import cache

import pytest
import wasmtime
from hypothesis import given, settings
from hypothesis import strategies as st

from sen_host.backend import EXHAUSTED, FUEL, STACK, START
from sen_host.errors import MemoryLimitExceeded, TableLimitExceeded
from sen_host.limits import PAGE_BYTES
from sen_host.wasm.cursor import VALUE_TYPES
from sen_host.wasm.instructions import instructions, read_locals
from sen_host.wasm.instrument import instrument
from sen_host.wasm.leb128 import decode_signed, decode_unsigned, encode_signed, encode_unsigned
from sen_host.wasm.operators import Immediate
from sen_host.wasm.reader import ParsedModule, SectionId, parse
from tests.wasm.metered import has_wasmer, on_wasmer, on_wasmtime, valid_on_wasmer
from tests.wasm.support import (
    generated_module,
    is_valid,
    padded,
    real_modules,
    section,
    wat,
    with_section,
)

# Ranges of bytes, which move when something before them grows.
POSITIONS = {"data", "sections", "function_bodies", "initialisers"}

WHOLE = wat(
    """
    (module $whole
      (type $unary (func (param i32) (result i32)))
      (memory (export "memory") 1 3) (data $d "0123456789")
      (table $t (export "table") 200 300 funcref) (elem $e func $empty $run)
      (global $g (export "g") (mut i32) (i32.const 0))
      (func $empty)
      (func $run (export "run") (param i32) (result i32) (local i64 f32 v128)
        (block $out (loop $again
          (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
          (br_if $out (i32.eqz (local.get 0)))
          (block $a (block $b (block $c
            (br_table $a $b $c $a $b (i32.rem_u (local.get 0) (i32.const 6)))))
            (i64.store offset=300 (local.get 0) (i64.const -123456789012345)))
          (memory.fill (i32.const 7) (local.get 0) (local.get 0))
          (memory.init $d (i32.const 0) (i32.const 1) (i32.const 2))
          (table.init $e (i32.const 150) (i32.const 0) (i32.const 2))
          (call_indirect (i32.const 150)) (call $empty)
          (local.set 3 (f32x4.mul (v128.load offset=130 (local.get 0)) (v128.const i64x2 3 4)))
          (local.set 2 (f32x4.extract_lane 2 (local.get 3)))
          (local.set 1 (i64.trunc_sat_f32_s (local.get 2)))
          (global.set $g (i32.add (global.get $g) (i32.load8_u offset=8 (local.get 0))))
          (br $again)))
        (if (param i32) (result i32) (i32.const 128) (i32.eqz (local.get 0))
          (then (i32.add (i32.const -65)) (memory.grow (i32.const 1)) (i32.add))
          (else unreachable))))
    """
)

MODULES = {**real_modules(), "whole": WHOLE}


@cache
def generated(seed: int) -> bytes:
    return generated_module(seed)


def structure(module: ParsedModule) -> dict[str, object]:
    return {
        field.name: getattr(module, field.name)
        for field in fields(module)
        if field.name not in POSITIONS
    }


def contents(module: ParsedModule) -> list[tuple[int, bytes]]:
    return [(found.id, module.data[found.content : found.end]) for found in module.sections]


_UNSIGNED = {
    Immediate.LABEL: 1, Immediate.FUNCTION: 1, Immediate.TYPE_TABLE: 2, Immediate.LOCAL: 1,
    Immediate.GLOBAL: 1, Immediate.TABLE: 1, Immediate.TABLE_TABLE: 2, Immediate.ELEMENT_TABLE: 2,
    Immediate.ELEMENT: 1, Immediate.DATA: 1, Immediate.ACCESS: 2, Immediate.ACCESS_LANE: 2,
}  # fmt: skip
_SIGNED = {Immediate.I32: 32, Immediate.I64: 64}
_CODES = {name: code for code, name in VALUE_TYPES.items()}

Lengths = Callable[[int], int]
"""How many bytes to use for an integer that may have so many."""


def body(data: bytes, start: int, end: int, length: Lengths) -> bytes:
    """A function body with other lengths of its integers."""

    def unsigned(value: int) -> bytes:
        return padded(encode_unsigned(value), length(5))

    declarations, code = read_locals(data, start, end)
    parts = [unsigned(len(declarations))]
    for count, type in declarations:
        parts.append(unsigned(count) + bytes((_CODES[type],)))
    for offset, operator, immediates, after in instructions(data, code, end):
        if operator.code > 0xFF:
            parts.append(data[offset : offset + 1] + unsigned(operator.code & 0xFFFF))
        else:
            parts.append(data[offset:immediates])
        kind = operator.immediate
        count = _UNSIGNED.get(kind, 0)
        if kind is Immediate.LABELS:
            labels, immediates = decode_unsigned(data, immediates)
            parts.append(unsigned(labels))
            count = labels + 1
        for _ in range(count):
            value, immediates = decode_unsigned(data, immediates)
            parts.append(unsigned(value))
        bits = _SIGNED.get(kind, 0)
        if kind is Immediate.BLOCK and not 0x40 <= data[immediates] < 0x80:
            bits = 33
        if bits:
            value, immediates = decode_signed(data, immediates, bits)
            parts.append(padded(encode_signed(value), length(-(-bits // 7)), signed=True))
        parts.append(data[immediates:after])
    return b"".join(parts)


def lengthened(data: bytes, seed: int) -> bytes:
    """The module, with integers that take more bytes than they need, as chance has it."""
    chance = random.Random(seed)

    def length(most: int) -> int:
        return chance.randint(1, most)

    def unsigned(value: int) -> bytes:
        return padded(encode_unsigned(value), length(5))

    module = parse(data)
    parts = [data[:8]]
    for found in module.sections:
        content = data[found.content : found.end]
        if found.id == SectionId.CODE:
            bodies = [body(data, start, end, length) for start, end in module.function_bodies]
            content = unsigned(len(bodies)) + b"".join(
                unsigned(len(code)) + code for code in bodies
            )
        elif found.id not in (SectionId.CUSTOM, SectionId.START, SectionId.DATA_COUNT):
            count, items = decode_unsigned(data, found.content)
            content = unsigned(count) + data[items : found.end]
        parts.append(bytes((found.id,)) + unsigned(len(content)) + content)
    return b"".join(parts)


def shortest(module: ParsedModule) -> list[bytes]:
    """The function bodies, with each integer in its shortest form."""
    return [body(module.data, start, end, lambda _most: 1) for start, end in module.function_bodies]


class TestReadingAndWriting:
    @pytest.mark.parametrize("name", MODULES)
    def test_a_section_with_its_own_content_changes_nothing(self, name: str) -> None:
        module = parse(MODULES[name])
        for found in module.sections:
            content = module.data[found.content : found.end]
            again = parse(with_section(module, found, content))
            assert structure(again) == structure(module)
            assert contents(again) == contents(module)

    @settings(max_examples=25, deadline=None)
    @given(st.sampled_from(sorted(MODULES)), st.integers(0, 2**32))
    def test_longer_integers_change_nothing(self, name: str, seed: int) -> None:
        data = MODULES[name]
        if len(data) > 50_000:
            data = WHOLE
        longer = lengthened(data, seed)
        assert is_valid(longer)
        assert structure(parse(longer)) == structure(parse(data))
        assert shortest(parse(longer)) == shortest(parse(data))

    @pytest.mark.parametrize("seed", range(200, 225))
    def test_generated_modules(self, seed: int) -> None:
        data = generated(seed)
        module = parse(data)
        longer = lengthened(data, seed)
        assert is_valid(longer)
        assert structure(parse(longer)) == structure(module)
        for found in module.sections:
            content = data[found.content : found.end]
            assert structure(parse(with_section(module, found, content))) == structure(module)


class TestLimits:
    @given(st.integers(0, 6 * PAGE_BYTES), st.integers(0, 4), st.none() | st.integers(0, 6))
    def test_memory(self, limit: int, minimum: int, maximum: int | None) -> None:
        if maximum is not None:
            maximum += minimum
        size = f"{minimum} {'' if maximum is None else maximum}"
        data = wat(f'(module (memory (export "m") {size}) (data "x") (func))')
        module = parse(data)
        if minimum > limit // PAGE_BYTES:
            with pytest.raises(MemoryLimitExceeded):
                instrument(module, memory_bytes=limit)
            return
        limited = instrument(module, memory_bytes=limit).wasm
        assert is_valid(limited)
        after = parse(limited)
        assert after.memories[0].limits.minimum == minimum
        expected = limit // PAGE_BYTES
        assert after.memories[0].limits.maximum == (
            expected if maximum is None else min(maximum, expected)
        )
        unlimited = parse(instrument(module).wasm)
        assert {**structure(after), "memories": module.memories} == structure(unlimited)

    @given(
        st.integers(0, 300),
        st.lists(
            st.tuples(
                st.sampled_from(["funcref", "externref"]),
                st.integers(0, 50),
                st.none() | st.integers(0, 90),
            ),
            max_size=5,
        ),
    )
    def test_tables(self, limit: int, tables: list[tuple[str, int, int | None]]) -> None:
        text = "".join(
            f"(table {low} {'' if more is None else low + more} {kind})"
            for kind, low, more in tables
        )
        module = parse(wat(f"(module {text} (func))"))
        initial = sum(low for _, low, _ in tables)
        if initial > limit:
            with pytest.raises(TableLimitExceeded):
                instrument(module, table_elements=limit)
            return
        limited = instrument(module, table_elements=limit).wasm
        assert is_valid(limited)
        after = parse(limited)
        most = 0
        for (kind, low, more), table in zip(tables, after.tables, strict=True):
            assert (table.element, table.limits.minimum) == (kind, low)
            assert table.limits.maximum is not None
            assert low <= table.limits.maximum <= low + (limit if more is None else more)
            most += table.limits.maximum
        assert most <= limit
        unlimited = parse(instrument(module).wasm)
        assert {**structure(after), "tables": module.tables} == structure(unlimited)


class TestInstrumented:
    @pytest.mark.parametrize("seed", range(200, 225))
    def test_generated_modules_are_valid_on_every_engine(self, seed: int) -> None:
        data = generated(seed)
        longer = lengthened(data, seed)
        assert is_valid(longer)
        results = [instrument(parse(data)), instrument(parse(longer))]
        assert results[0].frames == results[1].frames
        for result in results:
            assert is_valid(result.wasm)
            if has_wasmer() and valid_on_wasmer(data):
                assert valid_on_wasmer(result.wasm)
        short, long = (parse(result.wasm) for result in results)
        assert structure(short) == structure(long)
        assert shortest(short) == shortest(long)

    @settings(max_examples=25, deadline=None)
    @given(st.integers(0, 2**32), st.integers(0, 900), st.integers(1, 12))
    def test_longer_integers_change_no_outcome(self, seed: int, budget: int, turns: int) -> None:
        plain = instrument(parse(WHOLE)).wasm
        longer = instrument(parse(lengthened(WHOLE, seed))).wasm
        for run in (on_wasmtime, on_wasmer) if has_wasmer() else (on_wasmtime,):
            expected = run(plain, "run", turns, budget=budget, read=("g",))
            assert run(longer, "run", turns, budget=budget, read=("g",)) == expected

    @settings(max_examples=25, deadline=None)
    @given(
        st.lists(st.sampled_from(["nop", "call", "call_indirect", "wide"]), min_size=1, max_size=8),
        st.lists(st.tuples(st.text(max_size=20), st.binary(max_size=30)), max_size=4),
        st.integers(0, 8),
    )
    def test_names_name_the_same_functions(
        self, kinds: list[str], notes: list[tuple[str, bytes]], place: int
    ) -> None:
        """As an engine tells them in the trace of a trap."""
        bodies = {
            "nop": "nop call ${next}",
            "call": "i32.const 1 drop call ${next}",
            "call_indirect": "i32.const {number} call_indirect",
            "wide": "(local " + "i64 " * 2_000 + ") call ${next}",
        }
        functions = "".join(
            f"(func $f{number} {bodies[kind].format(next=f'f{number + 1}', number=number + 1)})"
            for number, kind in enumerate(kinds)
        )
        names = " ".join(f"$f{number}" for number in range(len(kinds) + 1))
        text = f"""(module $named (table funcref (elem {names})) (start $first)
          (func $first) {functions} (func $f{len(kinds)} unreachable) (export "run" (func $f0)))"""
        data = wat(text)
        first = parse(data).sections[min(place, len(parse(data).sections) - 1)].start
        custom = b"".join(
            section(0, encode_unsigned(len(name.encode())) + name.encode() + content)
            for name, content in notes
            if name != "name"
        )
        data = data[:first] + custom + data[first:]
        rewritten = instrument(parse(data)).wasm
        assert parse(rewritten).custom_sections == parse(data).custom_sections
        last, *others = reversed([f"f{number}" for number in range(len(kinds) + 1)])
        assert trace(data) == [last, *others]
        # A large function has moved behind a small one, which has its name.
        assert [name for name in trace(rewritten) if name is not None] == [last, *others]

    @pytest.mark.parametrize("name", MODULES)
    def test_what_is_exported_is_what_was_and_what_is_ours(self, name: str) -> None:
        before, after = parse(MODULES[name]), parse(instrument(parse(MODULES[name])).wasm)
        added = {export.name for export in after.exports} - {item.name for item in before.exports}
        assert added == {FUEL, STACK, EXHAUSTED} | (set() if before.start is None else {START})


def trace(data: bytes) -> list[str | None]:
    """The names of the functions in the trace of the trap of "run", the innermost first."""
    store = wasmtime.Store(wasmtime.Engine())
    instance = wasmtime.Instance(store, wasmtime.Module(store.engine, data), [])
    exports = instance.exports(store)
    for name in (FUEL, STACK):
        if name in exports:
            exports[name].set_value(store, wasmtime.Val.i64(1 << 30))  # type: ignore[union-attr]
    with pytest.raises(wasmtime.Trap) as caught:
        exports["run"](store)  # type: ignore[operator]
    return [frame.func_name for frame in caught.value.frames]


def test_padding_keeps_the_value() -> None:
    for value in (0, 1, 63, 64, 127, 128, 2**31, 2**32 - 1):
        for length in range(1, 6):
            assert decode_unsigned(padded(encode_unsigned(value), length), 0)[0] == value
    for value in (0, 1, -1, 63, 64, -64, -65, 2**31 - 1, -(2**31)):
        for length in range(1, 6):
            form = padded(encode_signed(value), length, signed=True)
            assert decode_signed(form, 0) == (value, max(length, len(encode_signed(value))))
