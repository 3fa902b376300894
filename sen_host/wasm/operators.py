"""Every operator of WebAssembly 2.0: encoding, immediates, types (section 5.4), and its cost.

This table is the single source for whoever reads code, meters it or writes
about it. An operator is keyed by its code: the opcode byte, or ``prefix << 16 |
sub-opcode`` for those behind the prefixes 0xfc and 0xfd.

Stack types are written as in the specification, with ``t`` for a type that
depends on the context and ``...`` where the operator's immediates decide.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

PREFIX_MISC = 0xFC
PREFIX_SIMD = 0xFD


class Immediate(Enum):
    """What follows an opcode in the code."""

    NONE = "nothing"
    BLOCK = "block type (s33)"
    LABEL = "label index"
    LABELS = "vector of label indices and a default label"
    FUNCTION = "function index"
    TYPE_TABLE = "type index, table index"
    TYPES = "vector of value types"
    LOCAL = "local index"
    GLOBAL = "global index"
    TABLE = "table index"
    TABLE_TABLE = "table index, table index"
    ELEMENT_TABLE = "element index, table index"
    ELEMENT = "element index"
    DATA = "data index"
    DATA_MEMORY = "data index, memory index"
    MEMORY = "memory index"
    MEMORY_MEMORY = "memory index, memory index"
    ACCESS = "alignment, offset"
    ACCESS_LANE = "alignment, offset, lane"
    LANE = "lane"
    LANES = "16 lanes"
    I32 = "s32"
    I64 = "s64"
    F32 = "4 bytes"
    F64 = "8 bytes"
    V128 = "16 bytes"
    REFERENCE_TYPE = "reference type"


class Operator(NamedTuple):
    """An operator.

    Attributes:
        code: opcode, or prefix << 16 | sub-opcode.
        proposal: the proposal that brought it; "mvp" for version 1.
        params, results: stack types, the top last.
        cost: fuel, 0 or 1, as in Wasmtime.
        unit: "byte", "element" or "page" if it costs one more for each of what
            the count on top of the stack says; "" if it does not.
        traps: whether it may trap by itself.
    """

    code: int
    name: str
    immediate: Immediate
    proposal: str
    params: tuple[str, ...]
    results: tuple[str, ...]
    cost: int
    unit: str
    traps: bool


I = Immediate  # noqa: E741 - a table is read by its columns


def _operator(
    code: int, name: str, stack: str, immediate: Immediate = I.NONE, proposal: str = "mvp"
) -> Operator:
    params, _, results = stack.partition("->")
    return Operator(
        code,
        name,
        immediate,
        proposal,
        tuple(params.split()),
        tuple(results.split()),
        cost=int(name not in _FREE),
        unit=_UNITS.get(name, ""),
        traps=_may_trap(name, immediate),
    )


_FREE = frozenset("nop drop block loop unreachable return else end".split())
_UNITS = {
    "memory.grow": "page",
    **dict.fromkeys(("memory.init", "memory.copy", "memory.fill"), "byte"),
    **dict.fromkeys(("table.init", "table.copy", "table.fill", "table.grow"), "element"),
}
_TRAPPING = frozenset(
    "unreachable call_indirect table.get table.set"
    " memory.init memory.copy memory.fill table.init table.copy table.fill".split()
)
_TRAPPING_ARITHMETIC = re.compile(r"i(32|64)\.(div|rem|trunc_f)")


def _may_trap(name: str, immediate: Immediate) -> bool:
    return (
        name in _TRAPPING
        or immediate in (Immediate.ACCESS, Immediate.ACCESS_LANE)
        or _TRAPPING_ARITHMETIC.match(name) is not None
    )


def _control() -> Iterator[Operator]:
    yield _operator(0x00, "unreachable", "->")
    yield _operator(0x01, "nop", "->")
    yield _operator(0x02, "block", "... ->", I.BLOCK)
    yield _operator(0x03, "loop", "... ->", I.BLOCK)
    yield _operator(0x04, "if", "... i32 ->", I.BLOCK)
    yield _operator(0x05, "else", "... ->")
    yield _operator(0x0B, "end", "->")
    yield _operator(0x0C, "br", "... ->", I.LABEL)
    yield _operator(0x0D, "br_if", "... i32 -> ...", I.LABEL)
    yield _operator(0x0E, "br_table", "... i32 ->", I.LABELS)
    yield _operator(0x0F, "return", "... ->")
    yield _operator(0x10, "call", "... -> ...", I.FUNCTION)
    yield _operator(0x11, "call_indirect", "... i32 -> ...", I.TYPE_TABLE)
    yield _operator(0x1A, "drop", "t ->")
    yield _operator(0x1B, "select", "t t i32 -> t")
    yield _operator(0x1C, "select", "t t i32 -> t", I.TYPES, "reference types")


def _variables_and_tables() -> Iterator[Operator]:
    yield _operator(0x20, "local.get", "-> t", I.LOCAL)
    yield _operator(0x21, "local.set", "t ->", I.LOCAL)
    yield _operator(0x22, "local.tee", "t -> t", I.LOCAL)
    yield _operator(0x23, "global.get", "-> t", I.GLOBAL)
    yield _operator(0x24, "global.set", "t ->", I.GLOBAL)
    reference = "reference types"
    yield _operator(0x25, "table.get", "i32 -> t", I.TABLE, reference)
    yield _operator(0x26, "table.set", "i32 t ->", I.TABLE, reference)
    yield _operator(0xD0, "ref.null", "-> t", I.REFERENCE_TYPE, reference)
    yield _operator(0xD1, "ref.is_null", "t -> i32", I.NONE, reference)
    yield _operator(0xD2, "ref.func", "-> funcref", I.FUNCTION, reference)


_LOADS = """
i32.load i64.load f32.load f64.load i32.load8_s i32.load8_u i32.load16_s i32.load16_u
i64.load8_s i64.load8_u i64.load16_s i64.load16_u i64.load32_s i64.load32_u
"""
_STORES = """
i32.store i64.store f32.store f64.store i32.store8 i32.store16 i64.store8 i64.store16 i64.store32
"""


def _memory() -> Iterator[Operator]:
    for code, name in enumerate(_LOADS.split(), 0x28):
        yield _operator(code, name, f"i32 -> {name[:3]}", I.ACCESS)
    for code, name in enumerate(_STORES.split(), 0x36):
        yield _operator(code, name, f"i32 {name[:3]} ->", I.ACCESS)
    yield _operator(0x3F, "memory.size", "-> i32", I.MEMORY)
    yield _operator(0x40, "memory.grow", "i32 -> i32", I.MEMORY)


_INTEGER_COMPARISONS = "eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u".split()
_FLOAT_COMPARISONS = "eq ne lt gt le ge".split()
_INTEGER_UNARY = "clz ctz popcnt".split()
_INTEGER_BINARY = "add sub mul div_s div_u rem_s rem_u and or xor shl shr_s shr_u rotl rotr".split()
_FLOAT_UNARY = "abs neg ceil floor trunc nearest sqrt".split()
_FLOAT_BINARY = "add sub mul div min max copysign".split()
_CONVERSIONS = """
i32.wrap_i64 i32.trunc_f32_s i32.trunc_f32_u i32.trunc_f64_s i32.trunc_f64_u
i64.extend_i32_s i64.extend_i32_u i64.trunc_f32_s i64.trunc_f32_u i64.trunc_f64_s i64.trunc_f64_u
f32.convert_i32_s f32.convert_i32_u f32.convert_i64_s f32.convert_i64_u f32.demote_f64
f64.convert_i32_s f64.convert_i32_u f64.convert_i64_s f64.convert_i64_u f64.promote_f32
i32.reinterpret_f32 i64.reinterpret_f64 f32.reinterpret_i32 f64.reinterpret_i64
"""


def _conversion(code: int, name: str, proposal: str = "mvp") -> Operator:
    to, _, how = name.partition(".")
    source = next(part for part in how.split("_") if part in ("i32", "i64", "f32", "f64"))
    return _operator(code, name, f"{source} -> {to}", I.NONE, proposal)


def _numeric() -> Iterator[Operator]:
    yield _operator(0x41, "i32.const", "-> i32", I.I32)
    yield _operator(0x42, "i64.const", "-> i64", I.I64)
    yield _operator(0x43, "f32.const", "-> f32", I.F32)
    yield _operator(0x44, "f64.const", "-> f64", I.F64)
    code = 0x45
    for type in ("i32", "i64"):
        yield _operator(code, f"{type}.eqz", f"{type} -> i32")
        for position, name in enumerate(_INTEGER_COMPARISONS, code + 1):
            yield _operator(position, f"{type}.{name}", f"{type} {type} -> i32")
        code += 11
    for type in ("f32", "f64"):
        for position, name in enumerate(_FLOAT_COMPARISONS, code):
            yield _operator(position, f"{type}.{name}", f"{type} {type} -> i32")
        code += 6
    for type in ("i32", "i64", "f32", "f64"):
        unary = _INTEGER_UNARY if type[0] == "i" else _FLOAT_UNARY
        binary = _INTEGER_BINARY if type[0] == "i" else _FLOAT_BINARY
        for name in unary:
            yield _operator(code, f"{type}.{name}", f"{type} -> {type}")
            code += 1
        for name in binary:
            yield _operator(code, f"{type}.{name}", f"{type} {type} -> {type}")
            code += 1
    for name in _CONVERSIONS.split():
        yield _conversion(code, name)
        code += 1
    for name in "i32.extend8_s i32.extend16_s i64.extend8_s i64.extend16_s i64.extend32_s".split():
        type = name[:3]
        yield _operator(code, name, f"{type} -> {type}", I.NONE, "sign extension")
        code += 1


def _misc() -> Iterator[Operator]:
    prefix = PREFIX_MISC << 16
    code = prefix
    for to in ("i32", "i64"):
        for source in ("f32", "f64"):
            for sign in "su":
                yield _conversion(
                    code, f"{to}.trunc_sat_{source}_{sign}", "saturating float-to-int"
                )
                code += 1
    bulk, reference = "bulk memory", "reference types"
    yield _operator(prefix | 8, "memory.init", "i32 i32 i32 ->", I.DATA_MEMORY, bulk)
    yield _operator(prefix | 9, "data.drop", "->", I.DATA, bulk)
    yield _operator(prefix | 10, "memory.copy", "i32 i32 i32 ->", I.MEMORY_MEMORY, bulk)
    yield _operator(prefix | 11, "memory.fill", "i32 i32 i32 ->", I.MEMORY, bulk)
    yield _operator(prefix | 12, "table.init", "i32 i32 i32 ->", I.ELEMENT_TABLE, bulk)
    yield _operator(prefix | 13, "elem.drop", "->", I.ELEMENT, bulk)
    yield _operator(prefix | 14, "table.copy", "i32 i32 i32 ->", I.TABLE_TABLE, bulk)
    yield _operator(prefix | 15, "table.grow", "t i32 -> i32", I.TABLE, reference)
    yield _operator(prefix | 16, "table.size", "-> i32", I.TABLE, reference)
    yield _operator(prefix | 17, "table.fill", "i32 t i32 ->", I.TABLE, reference)


_SHAPES = ("i8x16", "i16x8", "i32x4", "i64x2", "f32x4", "f64x2")
_LANE_TYPES = {
    "i8x16": "i32",
    "i16x8": "i32",
    "i32x4": "i32",
    "i64x2": "i64",
    "f32x4": "f32",
    "f64x2": "f64",
}

# First sub-opcode of a run, then names; "-" marks a sub-opcode that is not assigned.
_SIMD_UNARY = """
94 f32x4.demote_f64x2_zero f64x2.promote_low_f32x4
96 i8x16.abs i8x16.neg i8x16.popcnt
103 f32x4.ceil f32x4.floor f32x4.trunc f32x4.nearest
116 f64x2.ceil f64x2.floor
122 f64x2.trunc
124 i16x8.extadd_pairwise_i8x16_s i16x8.extadd_pairwise_i8x16_u
126 i32x4.extadd_pairwise_i16x8_s i32x4.extadd_pairwise_i16x8_u
128 i16x8.abs i16x8.neg
135 i16x8.extend_low_i8x16_s i16x8.extend_high_i8x16_s
137 i16x8.extend_low_i8x16_u i16x8.extend_high_i8x16_u
148 f64x2.nearest
160 i32x4.abs i32x4.neg
167 i32x4.extend_low_i16x8_s i32x4.extend_high_i16x8_s
169 i32x4.extend_low_i16x8_u i32x4.extend_high_i16x8_u
192 i64x2.abs i64x2.neg
199 i64x2.extend_low_i32x4_s i64x2.extend_high_i32x4_s
201 i64x2.extend_low_i32x4_u i64x2.extend_high_i32x4_u
224 f32x4.abs f32x4.neg - f32x4.sqrt
236 f64x2.abs f64x2.neg - f64x2.sqrt
248 i32x4.trunc_sat_f32x4_s i32x4.trunc_sat_f32x4_u
250 f32x4.convert_i32x4_s f32x4.convert_i32x4_u
252 i32x4.trunc_sat_f64x2_s_zero i32x4.trunc_sat_f64x2_u_zero
254 f64x2.convert_low_i32x4_s f64x2.convert_low_i32x4_u
"""
_SIMD_BINARY = """
14 i8x16.swizzle
101 i8x16.narrow_i16x8_s i8x16.narrow_i16x8_u
110 i8x16.add i8x16.add_sat_s i8x16.add_sat_u i8x16.sub i8x16.sub_sat_s i8x16.sub_sat_u
118 i8x16.min_s i8x16.min_u i8x16.max_s i8x16.max_u
123 i8x16.avgr_u
130 i16x8.q15mulr_sat_s
133 i16x8.narrow_i32x4_s i16x8.narrow_i32x4_u
142 i16x8.add i16x8.add_sat_s i16x8.add_sat_u i16x8.sub i16x8.sub_sat_s i16x8.sub_sat_u
149 i16x8.mul i16x8.min_s i16x8.min_u i16x8.max_s i16x8.max_u - i16x8.avgr_u
156 i16x8.extmul_low_i8x16_s i16x8.extmul_high_i8x16_s
158 i16x8.extmul_low_i8x16_u i16x8.extmul_high_i8x16_u
174 i32x4.add
177 i32x4.sub
181 i32x4.mul i32x4.min_s i32x4.min_u i32x4.max_s i32x4.max_u i32x4.dot_i16x8_s
188 i32x4.extmul_low_i16x8_s i32x4.extmul_high_i16x8_s
190 i32x4.extmul_low_i16x8_u i32x4.extmul_high_i16x8_u
206 i64x2.add
209 i64x2.sub
213 i64x2.mul i64x2.eq i64x2.ne i64x2.lt_s i64x2.gt_s i64x2.le_s i64x2.ge_s
220 i64x2.extmul_low_i32x4_s i64x2.extmul_high_i32x4_s
222 i64x2.extmul_low_i32x4_u i64x2.extmul_high_i32x4_u
228 f32x4.add f32x4.sub f32x4.mul f32x4.div f32x4.min f32x4.max f32x4.pmin f32x4.pmax
240 f64x2.add f64x2.sub f64x2.mul f64x2.div f64x2.min f64x2.max f64x2.pmin f64x2.pmax
"""


def _runs(text: str) -> Iterator[tuple[int, str]]:
    for line in text.strip().splitlines():
        first, *names = line.split()
        for code, name in enumerate(names, int(first)):
            if name != "-":
                yield code, name


def _simd() -> Iterator[Operator]:
    def simd(code: int, name: str, stack: str, immediate: Immediate = I.NONE) -> Operator:
        return _operator(PREFIX_SIMD << 16 | code, name, stack, immediate, "SIMD")

    loads = "load load8x8_s load8x8_u load16x4_s load16x4_u load32x2_s load32x2_u"
    splats = "load8_splat load16_splat load32_splat load64_splat"
    for code, name in enumerate(f"{loads} {splats}".split()):
        yield simd(code, f"v128.{name}", "i32 -> v128", I.ACCESS)
    yield simd(11, "v128.store", "i32 v128 ->", I.ACCESS)
    yield simd(12, "v128.const", "-> v128", I.V128)
    yield simd(13, "i8x16.shuffle", "v128 v128 -> v128", I.LANES)
    for code, shape in enumerate(_SHAPES, 15):
        yield simd(code, f"{shape}.splat", f"{_LANE_TYPES[shape]} -> v128")
    code = 21
    for shape in _SHAPES:
        signs = ("_s", "_u") if shape in ("i8x16", "i16x8") else ("",)
        lane = _LANE_TYPES[shape]
        for sign in signs:
            yield simd(code, f"{shape}.extract_lane{sign}", f"v128 -> {lane}", I.LANE)
            code += 1
        yield simd(code, f"{shape}.replace_lane", f"v128 {lane} -> v128", I.LANE)
        code += 1
    for shape in ("i8x16", "i16x8", "i32x4", "f32x4", "f64x2"):
        for name in _INTEGER_COMPARISONS if shape[0] == "i" else _FLOAT_COMPARISONS:
            yield simd(code, f"{shape}.{name}", "v128 v128 -> v128")
            code += 1
    yield simd(77, "v128.not", "v128 -> v128")
    for code, name in enumerate("and andnot or xor".split(), 78):
        yield simd(code, f"v128.{name}", "v128 v128 -> v128")
    yield simd(82, "v128.bitselect", "v128 v128 v128 -> v128")
    yield simd(83, "v128.any_true", "v128 -> i32")
    for position, bits in enumerate((8, 16, 32, 64)):
        load, store = f"v128.load{bits}_lane", f"v128.store{bits}_lane"
        yield simd(84 + position, load, "i32 v128 -> v128", I.ACCESS_LANE)
        yield simd(88 + position, store, "i32 v128 ->", I.ACCESS_LANE)
    yield simd(92, "v128.load32_zero", "i32 -> v128", I.ACCESS)
    yield simd(93, "v128.load64_zero", "i32 -> v128", I.ACCESS)
    for code, shape in ((99, "i8x16"), (131, "i16x8"), (163, "i32x4"), (195, "i64x2")):
        yield simd(code, f"{shape}.all_true", "v128 -> i32")
        yield simd(code + 1, f"{shape}.bitmask", "v128 -> i32")
    for code, shape in ((107, "i8x16"), (139, "i16x8"), (171, "i32x4"), (203, "i64x2")):
        for position, name in enumerate("shl shr_s shr_u".split(), code):
            yield simd(position, f"{shape}.{name}", "v128 i32 -> v128")
    for code, name in _runs(_SIMD_UNARY):
        yield simd(code, name, "v128 -> v128")
    for code, name in _runs(_SIMD_BINARY):
        yield simd(code, name, "v128 v128 -> v128")


def _table() -> dict[int, Operator]:
    table: dict[int, Operator] = {}
    for group in (_control, _variables_and_tables, _memory, _numeric, _misc, _simd):
        for operator in group():
            assert operator.code not in table, operator
            table[operator.code] = operator
    return dict(sorted(table.items()))


OPERATORS: dict[int, Operator] = _table()
"""All operators of WebAssembly 2.0 by code, in the order of their codes."""


_LATER_OPCODES = {
    **dict.fromkeys((0x06, 0x07, 0x08, 0x09, 0x0A, 0x18, 0x19, 0x1F), "exception handling"),
    **dict.fromkeys((0x12, 0x13), "tail calls"),
    **dict.fromkeys((0x14, 0x15, 0xD4, 0xD5, 0xD6), "typed function references"),
    **dict.fromkeys((0xD3, 0xFB), "garbage collection"),
    **dict.fromkeys(range(0xE0, 0xE7), "stack switching"),
    0xFE: "threads",
}
_LATER_MISC = {18: "memory control", **dict.fromkeys((19, 20, 21, 22), "wide arithmetic")}


def later_proposal(code: int) -> str | None:
    """The proposal after WebAssembly 2.0 that brought an operator; None if unknown."""
    prefix, sub = divmod(code, 1 << 16)
    if prefix == PREFIX_SIMD:
        return "relaxed SIMD" if 0x100 <= sub <= 0x113 else None
    if prefix == PREFIX_MISC:
        return _LATER_MISC.get(sub)
    return _LATER_OPCODES.get(prefix or code)
