"""Modules that attack the meter.

Each goes the way of a plugin: read, checked against the profile, validated by
an engine, instrumented, compiled and run. It is refused, or runs like any other.
"""

from __future__ import annotations

import pytest

from sen_host.backend import EXHAUSTED, FUEL, RESERVED, STACK, START
from sen_host.errors import ModuleCompilation
from sen_host.wasm.instrument import Instrumented, instrument
from sen_host.wasm.leb128 import encode_signed, encode_unsigned
from sen_host.wasm.profile import check_profile
from sen_host.wasm.reader import parse
from tests.wasm.metered import (
    ENGINES,
    Runner,
    has_wasmer,
    on_wasmer,
    on_wasmtime,
    valid_on_wasmer,
)
from tests.wasm.support import function, is_valid, module, padded, section, vector, wat

END = b"\x0b"
NOTHING = b"\x60\0\0"


def admit(data: bytes) -> Instrumented:
    """What the loader does with the bytes of a plugin.

    Raises:
        ModuleCompilation: it is refused.
    """
    parsed = parse(data)
    # SIMD as well, which has the most operators.
    check_profile(parsed, frozenset({"simd"}))
    valid = is_valid(data)
    if has_wasmer():
        assert valid_on_wasmer(data) == valid
    if not valid:
        raise ModuleCompilation("the engine refuses it")
    result = instrument(parsed)
    assert is_valid(result.wasm)
    return result


def admit_text(text: str) -> bytes:
    return admit(wat(text)).wasm


def exports(*items: tuple[str, int, int]) -> bytes:
    """An export section of (name, kind, index)."""
    return section(
        7,
        vector(
            encode_unsigned(len(name.encode())) + name.encode() + bytes((kind, index))
            for name, kind, index in items
        ),
    )


def run_and_more(code: bytes, *, locals: bytes = b"\0", before: bytes = b"") -> bytes:
    """A module of one function, "run", which has ``code``.

    It has one type, one function, one global and one table.
    """
    body = locals + code + END
    return module(
        section(1, vector([NOTHING])),
        section(3, vector([b"\0"])),
        section(4, vector([b"\x70\x00\x04"])),
        section(6, vector([b"\x7e\x01\x42\x07\x0b"])),
        exports(("run", 0, 0)),
        before,
        section(10, vector([encode_unsigned(len(body)) + body])),
    )


PAST_THE_END = {
    "reads the fuel": run_and_more(b"\x23\x01\x1a"),
    "sets the fuel": run_and_more(b"\x42\x7f\x24\x01"),
    "sets the stack": run_and_more(b"\x42\x7f\x24\x02"),
    "sets the fuel, overlong": run_and_more(b"\x42\x7f\x24\x81\x80\x80\x80\x00"),
    "sets the fuel in dead code": run_and_more(b"\x00\x42\x7f\x24\x01"),
    "reads the copy of the fuel": run_and_more(b"\x20\x00\x1a"),
    "sets the copy of the fuel": run_and_more(b"\x42\x7f\x21\x00"),
    "sets what is left of the stack": run_and_more(b"\x42\x7f\x22\x01\x1a"),
    "sets the count of a bulk operator": run_and_more(b"\x41\x00\x21\x02"),
    "calls what reports": run_and_more(b"\x10\x01"),
    "takes a reference to what reports": run_and_more(b"\xd2\x01\x1a"),
    "has a block of the added type": run_and_more(b"\x02\x01\x0b"),
    "calls by the added type": run_and_more(b"\x41\x00\x11\x01\x00"),
    "exports the fuel": module(section(6, vector([b"\x7e\x01\x42\x07\x0b"])), exports(("g", 3, 1))),
    "exports what reports": module(exports(("f", 0, 0))),
    "exports it, overlong": module(section(7, b"\x01\x01f\x00\x80\x80\x00")),
    "starts with what reports": module(section(8, b"\x00")),
    "has an element that reports": run_and_more(
        b"", before=section(9, b"\x01\x00\x41\x00\x0b\x01\x01")
    ),
    "has an element that reports, by expression": run_and_more(
        b"", before=section(9, b"\x01\x05\x70\x01\xd2\x01\x0b")
    ),
    "declares what reports": run_and_more(b"", before=section(9, b"\x01\x03\x00\x01\x01")),
    "starts a global with the fuel": module(section(6, vector([b"\x7e\x00\x23\x01\x0b"]))),
    "starts a global with what reports": module(
        section(6, vector([b"\x70\x00\xd2\x00\x0b"])),
    ),
    "branches past the function": run_and_more(b"\x0c\x01"),
    "drops what is not there": run_and_more(b"\x1a"),
    "has a second end": run_and_more(b"\x0b\x0b"),
    "has no end": function(b"\x00\x02\x40\x0b"),
}


class TestNaming:
    """What is injected has indices that the original module does not have."""

    @pytest.mark.parametrize("name", PAST_THE_END)
    def test_what_is_injected_cannot_be_named(self, name: str) -> None:
        with pytest.raises(ModuleCompilation):
            admit(PAST_THE_END[name])

    def test_it_could_be_without_validation(self) -> None:
        """Why the original is validated: rewritten, these are valid modules."""
        for name in ("sets the fuel", "sets the copy of the fuel", "exports the fuel"):
            assert is_valid(instrument(parse(PAST_THE_END[name])).wasm)

    @pytest.mark.parametrize("name", [FUEL, STACK, START, EXHAUSTED, RESERVED, FUEL + "\0"])
    @pytest.mark.parametrize("kind", ["func", "global", "memory", "table"])
    def test_exports_of_any_kind_with_reserved_names_are_refused(
        self, name: str, kind: str
    ) -> None:
        items = (
            "(func $func) (global $global i32 (i32.const 0))"
            " (memory $memory 1) (table $table 1 funcref)"
        )
        text = f'(module {items} (export "{name}" ({kind} ${kind})))'
        with pytest.raises(ModuleCompilation, match="reserved"):
            admit(wat(text.replace("\0", "\\00")))

    @pytest.mark.parametrize(
        "name",
        [
            "\ufeff" + FUEL,  # a byte order mark is a character like any other
            "\0" + FUEL,
            "sen\u2010host:fuel",  # a hyphen of another kind
            "\uff53en-host:fuel",
            "s\u0435n-host:fuel",
            "sen-host:".upper() + "fuel",
            "sen-host\0:fuel",
        ],
    )
    def test_names_that_look_alike_are_other_names(self, name: str) -> None:
        data = module(
            section(1, vector([NOTHING])),
            section(3, vector([b"\0"])),
            section(6, vector([b"\x7e\x01\x42\x07\x0b"])),
            exports((name, 3, 0), ("run", 0, 0)),
            section(10, b"\x01\x02\x00\x0b"),
        )
        ran = on_wasmtime(admit(data).wasm, "run", budget=5, read=(name,))
        assert (ran.outcome, ran.paid, ran.read) == ("ok", 1, (7,))

    @pytest.mark.parametrize(
        "name", [b"\x81\x80\x80\x80\x00\xf3", b"\x02\xc1\xb3", b"\x03\xed\xa0\x80"]
    )
    def test_names_that_are_not_text_are_refused(self, name: bytes) -> None:
        with pytest.raises(ModuleCompilation, match="UTF-8"):
            admit(module(section(7, b"\x01" + name + b"\x00\x00")))

    def test_imports_may_have_any_name(self) -> None:
        """They are what the host grants, by other rules; none is one of ours."""
        text = f"""(module (import "{RESERVED}" "{FUEL}" (global $g (mut i64)))
          (import "{FUEL}" "{STACK}" (func $f))
          (func (export "run") (global.set $g (i64.const -1)) (call $f)))"""
        after = parse(admit_text(text))
        assert [item.name for item in after.imports] == [FUEL, STACK]
        assert {item.name: item.index for item in after.exports}[FUEL] == 1

    def test_a_name_section_may_name_what_is_not_there(self) -> None:
        functions = b"\x01" + encode_unsigned(9) + b"\x02\x00\x02me\x01\x02it"
        data = run_and_more(b"") + section(0, b"\x04name" + functions)
        assert on_wasmtime(admit(data).wasm, "run").outcome == "ok"

    def test_a_table_that_changes_names_only_the_modules_own_functions(self) -> None:
        """Recursion by a table that the guest, and its exports, change as it runs."""
        text = """(module (table $t (export "t") 2 8 funcref) (elem declare func $a $b)
          (global $n (export "n") (mut i32) (i32.const 0))
          (func $a (global.set $n (i32.add (global.get $n) (i32.const 1)))
            (table.set $t (i32.const 0) (ref.func $b)) (call_indirect (i32.const 0)))
          (func $b (table.set $t (i32.const 0) (ref.func $a))
            (drop (table.grow $t (ref.func $b) (i32.const 1)))
            (call_indirect (i32.const 0)))
          (func (export "run") (call $a)))"""
        data = admit_text(text)
        ran = on_wasmtime(data, "run", read=("n",))
        assert ran.outcome == "stack"
        assert ran.read[0] > 1_000
        if has_wasmer():
            assert on_wasmer(data, "run", read=("n",)) == ran


class TestOverflow:
    """Neither counter can pass below what it can hold, and so come back above zero.

    FUEL starts at 2**63 - 1 at most, is only ever taken from, and is looked at
    when a function is entered. Below zero, what is left of the functions that
    run is all that it still pays for: less than 2**23 operators in each, and
    STACK has room for less than 2**24 of them. A bulk operator takes less than
    2**32 and is looked at at once. So it ends above -(2**48).
    """

    @pytest.mark.parametrize("run", ENGINES)
    def test_the_largest_counts_again_and_again(self, run: Runner) -> None:
        """As many as it takes to use up 2**40."""
        text = """(module (memory 1) (func (export "run")
          (loop (drop (memory.grow (i32.const -1))) (br 0))))"""
        data = admit_text(text)
        ran = run(data, "run", budget=2**40)
        assert ran.outcome == "fuel"
        assert 0 < ran.paid - 2**40 <= 2**32
        for budget in (0, 1, 2**31, 2**32, 2**33):
            assert run(data, "run", budget=budget).outcome == "fuel"

    @pytest.mark.parametrize("run", ENGINES)
    @pytest.mark.parametrize(
        "operator",
        ["memory.fill", "memory.copy", "memory.init 0", "table.copy", "table.init 0"],
    )
    def test_counts_that_are_out_of_bounds(self, operator: str, run: Runner) -> None:
        text = f"""(module (memory 1) (table 1 funcref) (data "x") (elem func 0)
          (func (export "run")
            (loop ({operator} (i32.const 0) (i32.const 0) (i32.const -1)) (br 0))))"""
        data = admit_text(text)
        assert run(data, "run", budget=2**32 + 10).outcome == "trap"
        ran = run(data, "run", budget=2**32)
        assert ran.outcome == "fuel"
        assert 2**32 < ran.paid < 2**32 + 10

    @pytest.mark.parametrize("run", ENGINES)
    def test_the_greatest_budget(self, run: Runner) -> None:
        data = admit_text(
            """(module (memory 1) (func (export "run")
            (drop (memory.grow (i32.const -1))) (drop (memory.grow (i32.const -1)))))"""
        )
        ran = run(data, "run", budget=2**63 - 1, stack=2**63 - 1)
        assert (ran.outcome, ran.paid) == ("ok", 1 + 2 * (2 + 2**32 - 1))

    @pytest.mark.parametrize("run", ENGINES)
    def test_code_behind_a_recursion_pays_below_zero(self, run: Runner) -> None:
        """Each of the callers runs on to its end, or is stopped; none gets fuel back."""
        text = f"""(module (func $f (param i32)
            (if (local.get 0) (then (call $f (i32.sub (local.get 0) (i32.const 1)))))
            {"(block (br_if 0 (local.get 0)))" * 1_000})
          (func (export "run") (call $f (i32.const 50))))"""
        data = admit_text(text)
        whole = run(data, "run")
        assert whole.outcome == "ok"
        for budget in (0, 100, 400, 1_000, whole.paid // 2, whole.paid - 1):
            ran = run(data, "run", budget=budget)
            assert ran.outcome == "fuel"
            assert budget < ran.paid <= whole.paid

    @pytest.mark.parametrize("run", ENGINES)
    @pytest.mark.parametrize("stack", [0, 1, 95, 2**62])
    def test_frames_that_exceed_the_stack_by_far(self, stack: int, run: Runner) -> None:
        text = f"""(module (func (export "run") (local {"v128 " * 40_000}) (call 0)))"""
        data = admit_text(text)
        if stack == 2**62:
            ran = run(data, "run", budget=100, stack=stack)
            assert ran.outcome == "fuel"
        else:
            ran = run(data, "run", stack=stack)
            assert (ran.outcome, ran.paid, ran.stack_left) == ("stack", 0, -1)


ENDLESS = {
    "start calls itself": "(func $f (call $f)) (start $f) (func (export \"run\"))",
    "the start function is exported": """(func $f (export "f") (export "run")
        (loop (br 0))) (start $f)""",
    "br_table to the function": """(func $f (export "run")
        (block (block (br_table 0 1 2 2 (i32.const 7)))) (call $f))
        (func $g (loop (call $f) (br 0))) (start $g)""",
    "return in a loop": """(func $f (loop (return)))
        (func (export "run") (loop (call $f) (br 0)))""",
    "a loop in each arm": """(func (export "run") (loop (if (i32.const 1)
        (then (loop (br 2))) (else (loop (br 2))))))""",
    "a loop that is left and entered": """(func (export "run") (loop $out (block $in
        (loop (br_if $in (i32.const 1)) (br 0))) (br $out)))""",
    "a loop with values": """(func (export "run") i32.const 1 i64.const 2
        (loop (param i32 i64) (br 0 (i32.const 3) (i64.const 4))) unreachable)""",
    "a loop behind dead code": """(func (export "run") (block (br 0) (loop (br 0)))
        (loop (block (br 1)) unreachable))""",
    "br_table in a loop": """(func (export "run") (loop (loop
        (br_table 0 1 0 1 (i32.const 1)))))""",
    "two functions by turns": """(func $a (call $b)) (func $b (call $a))
        (func (export "run") (call $a))""",
    "leaves only": """(func $a (param i32) (result i32) (local.get 0))
        (func (export "run") (loop (drop (call $a (i32.const 1))) (br 0)))""",
    "growing a table by nothing": """(table 0 funcref) (func (export "run")
        (loop (drop (table.grow (ref.null func) (i32.const 0))) (br 0)))""",
}  # fmt: skip


class TestEscapes:
    """Ways around a check: all of these run for ever, and are stopped."""

    @pytest.mark.parametrize("name", ENDLESS)
    def test_endless_runs_end(self, name: str) -> None:
        data = admit_text(f"(module {ENDLESS[name]})")
        ran = on_wasmtime(data, "run", budget=50_000)
        assert ran.outcome in ("fuel", "stack")
        if has_wasmer():
            assert on_wasmer(data, "run", budget=50_000) == ran

    @pytest.mark.parametrize("run", ENGINES)
    def test_the_start_function_may_be_called_again(self, run: Runner) -> None:
        text = """(module (global $n (export "n") (mut i32) (i32.const 0)) (start $s)
          (func $s (export "s") (global.set $n (i32.add (global.get $n) (i32.const 1))))
          (func (export "run") (call $s)))"""
        data = admit_text(text)
        first = run(data, "run", read=("n",))
        assert (first.read, first.paid) == ((2,), 5 + 1 + 1 + 5)
        assert run(data, "s", read=("n",)).paid == 5 + 5
        assert run(data, START, read=("n",)).read == (2,)

    @pytest.mark.parametrize("run", ENGINES)
    def test_what_reports_may_be_called_by_the_host_alone(self, run: Runner) -> None:
        data = admit_text('(module (table (export "t") 1 funcref) (func (export "run")))')
        assert run(data, EXHAUSTED, budget=0, stack=0).paid == 0


DEAD = [
    "unreachable",
    "(br 0)",
    "return",
    "(br_table 0 0 (i32.const 0))",
    "(if (local.get 0) (then (br 1)) (else return)) unreachable",
]

IN_DEAD_CODE = [
    "memory.fill memory.copy",
    "drop drop i32.add drop i64.mul drop",
    "(memory.init 0) (data.drop 0) (table.init 0) (elem.drop 0)",
    "(table.copy) (table.fill 0) (table.grow 0) drop",
    "call $g call_indirect (type $g)",
    "(block (loop (if (local.get 0) (then nop) (else (br 2)))))",
    "(if (result i32) (then unreachable) (else i32.const 1)) drop",
    "br_table 0 0 0",
    "(block (result i64) unreachable) drop",
    "select drop (select (result f64)) drop",
    "i32.trunc_sat_f64_u drop v128.not i8x16.bitmask drop",
    "(loop (br 0)) unreachable return",
    "(loop (param i32) br_if 1 unreachable) memory.grow",
    "global.set 0 local.tee 0 drop",
]


class TestDeadCode:
    @pytest.mark.parametrize("code", IN_DEAD_CODE)
    @pytest.mark.parametrize("ending", DEAD)
    def test_it_is_kept_and_costs_nothing(self, ending: str, code: str) -> None:
        text = f"""(module (type $g (func (param i32 i64) (result i32)))
          (memory 1) (data "x") (table 1 funcref) (elem func $g) (global (mut i32) (i32.const 0))
          (func $g (type $g) i32.const 1)
          (func (export "run") (param i32) (block {ending} {code} unreachable) i32.const 1 drop)
          (func (export "same") (param i32) (block {ending} unreachable) i32.const 1 drop))"""
        data = admit_text(text)
        ran = on_wasmtime(data, "run", 3, budget=500)
        assert ran == on_wasmtime(data, "same", 3, budget=500)
        assert ran.outcome == ("trap" if ending == "unreachable" else "ok")
        if has_wasmer():
            assert on_wasmer(data, "run", 3, budget=500) == ran

    @pytest.mark.parametrize(
        "code",
        [b"\x06\x40", b"\xfb\x00", b"\xfe\x10\x02\x00", b"\xff", b"\x12\x00", b"\xfc\x99\x01"],
    )
    def test_unknown_operators_are_refused_there_too(self, code: bytes) -> None:
        with pytest.raises(ModuleCompilation, match="operator"):
            admit(run_and_more(b"\x00" + code))


# Opcodes, with what follows them: unsigned integers (u), signed ones (s), block
# types (b), and memories (m), of which version 2.0 says that they are a zero byte.
OVERLONG = [
    (b"\x02", "b1"), (b"\x0b", ""),
    (b"\x03", "b1"), (b"\x0b", ""),
    (b"\x41", "s0"), (b"\x04", "b1"), (b"\x0b", ""),
    (b"\x02", "b1"), (b"\x0c", "u0"), (b"\x0b", ""),
    (b"\x02", "b1"), (b"\x41", "s1"), (b"\x0d", "u0"), (b"\x0b", ""),
    (b"\x02", "b1"), (b"\x41", "s1"), (b"\x0e", "u2 u0 u0 u0"), (b"\x0b", ""),
    (b"\x10", "u1"), (b"\x41", "s0"), (b"\x11", "u1 u0"),
    (b"\x20", "u0"), (b"\x22", "u1"), (b"\x21", "u0"),
    (b"\x23", "u0"), (b"\x24", "u0"),
    (b"\x41", "s0"), (b"\x25", "u0"), (b"\x1a", ""),
    (b"\x41", "s0"), (b"\xd2", "u1"), (b"\x26", "u0"),
    (b"\x41", "s8"), (b"\x28", "u2 u4"), (b"\x1a", ""),
    (b"\x41", "s8"), (b"\x42", "s-5"), (b"\x37", "u3 u4"),
    (b"\x41", "s0"), (b"\x40\0", ""), (b"\x1a", ""), (b"\x3f\0", ""), (b"\x1a", ""),
    (b"\x41", "s1"), (b"\x41", "s2"), (b"\x41", "s3"), (b"\xfc", "u11 m"),
    (b"\x41", "s1"), (b"\x41", "s2"), (b"\x41", "s3"), (b"\xfc", "u10 m m"),
    (b"\x41", "s1"), (b"\x41", "s0"), (b"\x41", "s1"), (b"\xfc", "u8 u0 m"),
    (b"\xfc", "u9 u0"), (b"\xfc", "u13 u0"),
    (b"\x41", "s0"), (b"\x41", "s0"), (b"\x41", "s1"), (b"\xfc", "u12 u1 u0"),
    (b"\x41", "s0"), (b"\x41", "s0"), (b"\x41", "s1"), (b"\xfc", "u14 u0 u0"),
    (b"\x41", "s0"), (b"\xd0\x70", ""), (b"\x41", "s1"), (b"\xfc", "u17 u0"),
    (b"\xd0\x70", ""), (b"\x41", "s1"), (b"\xfc", "u15 u0"), (b"\x1a", ""),
    (b"\xfc", "u16 u0"), (b"\x1a", ""),
    (b"\x43\0\0\x80\x3f", ""), (b"\xfc", "u0"), (b"\x1a", ""),
    (b"\x41", "s8"), (b"\xfd", "u0 u4 u0"), (b"\xfd", "u77"), (b"\xfd", "u227"), (b"\x1a", ""),
    (b"\x42", "s9223372036854775807"), (b"\x1a", ""),
    (b"\x41", "s-2147483648"), (b"\x1a", ""),
]  # fmt: skip


class TestOverlong:
    """Integers longer than they need be, wherever WebAssembly allows it."""

    def module(self, length: int) -> bytes:
        """A module whose integers take ``length`` bytes, or as many as they may."""

        def u(value: int) -> bytes:
            return padded(encode_unsigned(value), length)

        def sized(content: bytes) -> bytes:
            return u(len(content)) + content

        def integer(form: str) -> bytes:
            if form == "m":
                return b"\0"
            value = int(form[1:])
            if form[0] == "u":
                return u(value)
            shortest = encode_signed(value)
            # A block type is a signed integer of 33 bits.
            most = 5 if form[0] == "b" or -(2**31) <= value < 2**31 else 10
            return padded(shortest, min(length, most), signed=True)

        code = b"".join(
            opcode + b"".join(map(integer, forms.split())) for opcode, forms in OVERLONG
        )
        body = u(2) + u(2) + b"\x7f" + u(0) + b"\x7b" + code + END
        types = [b"\x60" + u(1) + b"\x7f" + u(1) + b"\x7f", b"\x60" + u(0) + u(0)]

        def part(id: int, items: list[bytes]) -> bytes:
            return bytes((id,)) + sized(u(len(items)) + b"".join(items))

        return module(
            part(1, types),
            part(3, [u(1), u(1)]),
            part(4, [b"\x70\x01" + u(4) + u(9)]),
            part(5, [b"\x01" + u(1) + u(2)]),
            part(6, [b"\x7f\x01\x41" + padded(b"\x07", length, signed=True) + END]),
            part(7, [sized(b"run") + b"\0" + u(0), sized(b"memory") + b"\x02" + u(0)]),
            part(
                9,
                [
                    u(0) + b"\x41" + padded(b"\0", length, signed=True) + END + u(1) + u(1),
                    u(1) + b"\0" + u(1) + u(1),
                ],
            ),
            bytes((12,)) + sized(u(1)),
            part(10, [sized(body), sized(u(0) + END)]),
            part(11, [u(1) + sized(b"xyz")]),
        )

    @pytest.mark.parametrize("run", ENGINES)
    def test_they_mean_the_same(self, run: Runner) -> None:
        short = admit(self.module(1))
        ran = run(short.wasm, "run")
        assert ran.outcome == "ok"
        for length in (2, 3, 4, 5):
            long = admit(self.module(length))
            assert long.frames == short.frames
            assert run(long.wasm, "run") == ran
            for budget in (0, 10, 20, 40, ran.paid - 1, ran.paid):
                assert run(long.wasm, "run", budget=budget) == run(short.wasm, "run", budget=budget)

    def test_longer_ones_are_refused(self) -> None:
        with pytest.raises(ModuleCompilation):
            admit(self.module(6))
