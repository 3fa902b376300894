"""How deep a guest may call, on every engine alike, and before the native stack ends."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import pytest
import wasmtime

from sen_host.backend import FUEL, STACK
from sen_host.wasm.frames import FRAME_BYTES, THUNK_BYTES
from tests.threads import in_thread
from tests.wasm.metered import (
    ENGINES,
    PLENTY,
    STACK_BYTES,
    Runner,
    has_wasmer,
    instrumented,
    on_wasmer,
    on_wasmtime,
)
from tests.wasm.support import (
    is_valid,
)


def recursion(head: str, body: str, *, extra: str = "") -> str:
    """A module whose export "run" recurs without end, and counts its calls."""
    return f"""(module
      (global $depth (export "depth") (mut i64) (i64.const 0))
      (func $f {head}
        (global.set $depth (i64.add (global.get $depth) (i64.const 1)))
        {body})
      (func (export "run") {{run}}) {extra})"""


def _values_that_operators_leave(text: Text, lines: Lines) -> dict[str, str]:
    """What is the same at each turn of a loop, so that a compiler keeps it across the call.

    It need not be a result of an operator: the address of a global or of an
    element of a table, and the type of an indirect call, are values as well.
    """

    def loop(code: str) -> str:
        return f"(loop $again call $f {code} (br $again))"

    def known(locals: int) -> str:
        return lines(locals, "(local.set {n} (i32.load offset={n}8 (i32.const 0)))")

    memory = "(memory 4) (global $g (mut i32) (i32.const 0))"
    triples = [(n % 10, n // 10 % 10, n // 100 % 10) for n in range(1_000)]
    selects = " ".join(
        f"(global.set $g (select (local.get {a}) (local.get {b}) (local.get {c})))"
        for a, b, c in triples
    )
    types = [
        " ".join(("i32", "i64")[n >> bit & 1] for bit in range(n.bit_length()))
        for n in range(1, 500)
    ]
    arguments = [
        type.replace("i32", "(local.get 0)").replace("i64", "(local.get $long)") for type in types
    ]
    pairs = [(table, local) for table in range(20) for local in range(20)]
    elements = {
        kind: (
            "(local " + "i32 " * 20 + ")",
            known(20) + loop(" ".join(code.format(table=t, local=n) for t, n in pairs)),
            memory + f"(table 10 10 {kind})" * 20,
        )
        for kind, code in (
            ("funcref", "(drop (table.get {table} (local.get {local})))"),
            ("externref", "(table.set {table} (local.get {local}) (ref.null extern))"),
        )
    }
    found = {
        "selects": text(
            "(local " + "i32 " * 10 + ")", known(10) + loop(selects), "call $f", memory
        ),
        "globals": text(
            "(local i32)",
            loop(lines(1_000, "(global.set $g{n} (local.get 0))")),
            "call $f",
            lines(1_000, "(global $g{n} (mut i32) (i32.const 0))"),
        ),
        "references in globals": text(
            "",
            loop(lines(500, "(global.set $r (global.get $g{n}))")),
            "call $f",
            lines(500, "(global $g{n} externref (ref.null extern))")
            + "(global $r (mut externref) (ref.null extern))",
        ),
        "types of indirect calls": text(
            "(local i32) (local $long i64)",
            loop(
                " ".join(
                    f"(call_indirect (type $t{n}) {given} (local.get 0))"
                    for n, given in enumerate(arguments)
                )
            ),
            "call $f",
            " ".join(f"(type $t{n} (func (param {type})))" for n, type in enumerate(types))
            + "(table 10 10 funcref)",
        ),
        "far loads": text(
            "(local " + "i32 " * 10 + ")",
            known(10)
            + loop(
                " ".join(
                    f"(drop (i64.load offset={0x7FFF_FF00 + n} (local.get {n % 10})))"
                    for n in range(500)
                )
            ),
            "call $f",
            memory,
        ),
    }
    for kind, (head, code, extra) in elements.items():
        found[f"elements of {kind}"] = text(head, code, "call $f", extra)
    return found


def _signatures(text: Text) -> dict[str, str]:
    """Parameters and results, which take a place where they are made and where they arrive."""
    found = {}
    for type, zero in (("i64", "i64.const 1"), ("f32", "f32.const 1"), ("v128", _VECTOR)):
        for count in (8, 9, 64, 128):
            values = " ".join([type] * count)
            found[f"{count} results of {type}"] = text(
                f"(result {values})", "call $f", "call $f " + "drop " * count
            )
        half = " ".join([type] * 64)
        arguments = " ".join(f"(local.get {(n * 7 + 3) % 64})" for n in range(64))
        found[f"64 parameters and results of {type}"] = text(
            f"(param {half}) (result {half})",
            arguments + " call $f " + " ".join(f"(local.set {n})" for n in range(64)) + arguments,
            f"({zero})" * 64 + "call $f " + "drop " * 64,
        )
    return found


_VECTOR = "v128.const i64x2 1 1"

Lines = Callable[[int, str], str]
Text = Callable[..., str]


def _adversaries() -> dict[str, str]:
    def text(head: str, body: str, run: str, extra: str = "") -> str:
        return recursion(head, body, extra=extra).replace("{run}", run)

    def lines(count: int, line: str) -> str:
        return " ".join(line.format(n=n) for n in range(count))

    # Values that a compiler has to keep alive across the call.
    def live(type: str, count: int) -> str:
        constants = lines(count, f"{type}.load offset={{n}}8 (i32.const 0)")
        return constants + " call $f " + lines(count, f"{type}.store offset=8 (i32.const 0)")

    def kept(type: str, count: int) -> str:
        load = f"(local.set {{n}} ({type}.load offset={{n}}8 (i32.const 0)))"
        store = f"({type}.store offset={{n}}8 (i32.const 0) (local.get {{n}}))"
        return lines(count, load) + " call $f " + lines(count, store)

    def pushed(type: str, count: int) -> str:
        load = f"({type}.load offset={{n}}8 (i32.const 0))"
        add = f"{type}.add " * (count - 1)
        zero = f"(local.set 0 ({type}.const 0))"
        return f"{lines(count, load)} call $f {add} local.set 0 {zero}"

    memory = "(memory 4)"
    found = {
        "nothing": text("", "call $f", "call $f"),
        "tail": text("(result i32)", "call $f i32.const 1 i32.add", "call $f drop"),
    }
    for type in ("i32", "i64", "f32", "f64"):
        for count in (10, 300, 3_000):
            locals_ = f"(local {' '.join([type] * count)})"
            found[f"{count:,} locals of {type}"] = text(
                locals_, kept(type, count), "call $f", memory
            )
        found[f"400 operands of {type}"] = text(
            f"(local {type})", pushed(type, 400), "call $f", memory
        )
        params = " ".join([type] * 300)
        found[f"300 parameters of {type}"] = text(
            f"(param {params})",
            lines(300, "local.get {n}")
            + " call $f "
            + lines(300, f"({type}.store offset={{n}}8 (i32.const 0) (local.get {{n}}))"),
            lines(300, f"{type}.const {{n}}") + " call $f",
            memory,
        )
        results = " ".join([type] * 200)
        found[f"200 results of {type}"] = text(
            f"(result {results})", "call $f", "call $f " + "drop " * 200
        )
        constants = lines(500, f"({type}.store offset={{n}}8 (i32.const 0) ({type}.const {{n}}7))")
        found[f"500 constants of {type}"] = text(
            "", f"{constants} call $f {constants}", "call $f", memory
        )
    found["1,000 vectors"] = text(
        f"(local {'v128 ' * 1_000})",
        lines(1_000, "(local.set {n} (v128.load offset={n}8 (i32.const 0)))")
        + " call $f "
        + lines(1_000, "(v128.store offset={n}8 (i32.const 0) (local.get {n}))"),
        "call $f",
        memory,
    )
    found["mutual"] = text(
        "", "call $g", "call $f", "(func $g (local i64 i64 f64) call $h) (func $h call $f)"
    )
    found["indirect"] = text(
        "", "i32.const 0 call_indirect", "call $f", "(table funcref (elem $f))"
    )
    found["indirect, large"] = text(
        f"(local {'i64 ' * 3_000})",
        kept("i64", 3_000).replace("call $f", "i32.const 0 call_indirect"),
        "call $f",
        "(memory 4) (table funcref (elem $f))",
    )
    found.update(_values_that_operators_leave(text, lines))
    found.update(_signatures(text))
    # A leaf whose frame is not counted, below the last call that fits.
    found["leaves"] = text(
        "",
        "call $leaf call $f",
        "call $f",
        f"{memory} (func $leaf (local {'f64 ' * 100}) {kept('f64', 100).replace('call $f', '')})",
    )
    # Nearly as large as a leaf may be without being counted.
    found["large leaves"] = text(
        "",
        "call $leaf call $f",
        "call $f",
        f"{memory} (func $leaf (local {'i64 ' * 60}) {kept('i64', 60)})".replace("call $f", ""),
    )
    # Two that are not counted together, below the last call that fits.
    leaf = f"(local {'i64 ' * 28})" + kept("i64", 28)
    chain = (
        f"(func $a {leaf.replace('call $f', '')}) (func $b {leaf.replace('call $f', 'call $a')})"
    )
    found["a chain of leaves"] = text("", "call $b call $f", "call $f").replace(
        "(module", f"(module {memory} {chain}", 1
    )
    assert instrumented(found["a chain of leaves"]).frames[:2] == (0, 0)

    def with_more_locals(count: int) -> str:
        return text(f"(local {'i64 ' * (100 + count)})", kept("i64", 100), "call $f", memory)

    frame = instrumented(with_more_locals(0)).frames[0]
    most = (THUNK_BYTES - frame) // 8
    found["the largest frame without a thunk"] = with_more_locals(most)
    found["the smallest frame with a thunk"] = with_more_locals(most + 1)
    found["work of the engine"] = text(
        "",
        """(memory.fill (i32.const 0) (i32.const 1) (i32.const 1000))
        (memory.copy (i32.const 9) (i32.const 0) (i32.const 1000))
        (drop (memory.grow (i32.const 0))) (drop (table.grow (ref.null func) (i32.const 0)))
        (table.fill (i32.const 0) (ref.func $f) (i32.const 2))
        (drop (f64.nearest (f64.const 2.5)))
        call $f""",
        "call $f",
        f"{memory} (table 4 8 funcref) (elem declare func $f)",
    )
    found["a large cycle"] = text(
        "",
        "call $c0",
        "call $f",
        " ".join(
            f"(func $c{n} (local {'i64 ' * n * 3} {'f64 ' * (n % 3)}) call $c{n + 1})"
            for n in range(60)
        )
        + "(func $c60 call $f)",
    )
    found["mixed frames"] = text(
        "",
        """(call_indirect (i32.rem_u (i32.wrap_i64 (global.get $depth)) (i32.const 4)))""",
        "call $f",
        f"""{memory} (table funcref (elem $f $wide $far $deep))
        (func $wide (local {"v128 " * 100}) call $f)
        (func $far (local {"i64 " * 2_000}) {kept("i64", 2_000)})
        (func $deep {"i32.const 1 " * 300} call $f {"drop " * 300})""",
    )
    return found


ADVERSARIES = _adversaries()
# The native frame is the closest to the one that is counted, or work is done below it.
HARDEST = (
    "1,000 vectors",
    "selects",
    "globals",
    "references in globals",
    "types of indirect calls",
    "far loads",
    "elements of externref",
    "128 results of v128",
    "leaves",
    "large leaves",
    "the largest frame without a thunk",
    "the smallest frame with a thunk",
    "work of the engine",
    "a large cycle",
    "mixed frames",
)


@cache
def engine(native_bytes: int) -> wasmtime.Engine:
    config = wasmtime.Config()
    config.max_wasm_stack = native_bytes
    return wasmtime.Engine(config)


def end_of_recursion(data: bytes, stack: int, native_bytes: int) -> tuple[int, int, int]:
    """What "run" paid, what it left of the stack, and how deep it came, on Wasmtime."""
    store = wasmtime.Store(engine(native_bytes))
    module = wasmtime.Module(store.engine, data)
    exports: Any = wasmtime.Instance(store, module, []).exports(store)
    exports[FUEL].set_value(store, wasmtime.Val.i64(PLENTY))
    exports[STACK].set_value(store, wasmtime.Val.i64(stack))
    with pytest.raises(wasmtime.Trap) as caught:
        exports["run"](store)
    assert caught.value.trap_code is wasmtime.TrapCode.UNREACHABLE
    left: int = exports[STACK].value(store)
    assert left < 0
    paid: int = PLENTY - exports[FUEL].value(store)
    depth: int = exports["depth"].value(store)
    return paid, left, depth


class TestStack:
    @pytest.mark.parametrize("name", ADVERSARIES)
    def test_endless_recursion_ends_before_the_native_stack_does(self, name: str) -> None:
        result = instrumented(ADVERSARIES[name])
        assert is_valid(result.wasm)
        ran = on_wasmtime(result.wasm, "run", read=("depth",))
        assert ran.outcome == "stack"
        (depth,) = ran.read
        # Those that stand in front of it are not counted.
        frame = next(filter(None, result.frames))
        assert 0 < depth * frame <= STACK_BYTES
        if len(result.frames) == 2:
            # What "run" takes comes first; then as many calls as fit.
            assert depth == (STACK_BYTES - result.frames[1]) // frame

    @pytest.mark.skipif(not has_wasmer(), reason="wasmer 1.1 needs CPython 3.10 or earlier")
    @pytest.mark.parametrize("name", ADVERSARIES)
    def test_the_depth_is_that_of_the_other_engine(self, name: str) -> None:
        data = instrumented(ADVERSARIES[name]).wasm
        ran = in_thread(
            lambda: on_wasmer(data, "run", read=("depth",)), stack_bytes=(1 << 20) + (256 << 10)
        )
        assert ran == on_wasmtime(data, "run", read=("depth",))

    @pytest.mark.parametrize("kib", [128, 512, 1024, 2048])
    def test_it_does_so_with_any_stack(self, kib: int) -> None:
        """The limit is 64 KiB less than the native stack."""
        stack = (kib - 64) << 10
        for name in HARDEST:
            data = instrumented(ADVERSARIES[name]).wasm
            ended = end_of_recursion(data, stack, kib << 10)
            if has_wasmer():
                run = partial(on_wasmer, data, "run", stack=stack, read=("depth",))
                ran = in_thread(run, stack_bytes=(kib + 256) << 10)
                assert (ran.outcome, ran.paid, ran.stack_left, *ran.read) == ("stack", *ended), name

    @pytest.mark.parametrize("run", ENGINES)
    def test_depth_follows_from_the_stack_that_is_given(self, run: Runner) -> None:
        result = instrumented(ADVERSARIES["nothing"])
        frame, first = result.frames
        for calls in (0, 1, 2, 100):
            stack = first + calls * frame
            assert run(result.wasm, "run", stack=stack, read=("depth",)).read == (calls,)
            assert run(result.wasm, "run", stack=stack - 1, read=("depth",)).read == (
                max(0, calls - 1),
            )

    @pytest.mark.parametrize("run", ENGINES)
    def test_fuel_is_what_was_entered(self, run: Runner) -> None:
        """Entry, get, const, add, set, call: the frame that does not fit pays nothing."""
        ran = run(instrumented(ADVERSARIES["nothing"]).wasm, "run", read=("depth",))
        assert ran.paid == 2 + 6 * ran.read[0]
        assert run(instrumented(ADVERSARIES["nothing"]).wasm, "run", budget=100).outcome == "fuel"

    @pytest.mark.parametrize("run", ENGINES)
    def test_returns_give_the_stack_back(self, run: Runner) -> None:
        text = """(module (func $f (param i32)
            (if (local.get 0) (then (call $f (i32.sub (local.get 0) (i32.const 1))))))
          (func (export "run") (local i32) i32.const 200 local.set 0
            loop i32.const 50 call $f
            local.get 0 i32.const 1 i32.sub local.tee 0 br_if 0 end))"""
        result = instrumented(text)
        enough = result.frames[1] + 51 * result.frames[0]
        assert run(result.wasm, "run", stack=enough).outcome == "ok"
        assert run(result.wasm, "run", stack=enough - 1).outcome == "stack"

    @pytest.mark.parametrize("run", ENGINES)
    def test_large_frames_are_checked_in_front(self, run: Runner) -> None:
        text = f"""(module (func $f (export "f") (param i64 f64) (result f64 i64)
            (local {"i64 " * 2_000}) local.get 1 local.get 0)
          (func (export "run") (result f64 i64) i64.const 3 f64.const 2.5 call $f))"""
        result = instrumented(text)
        assert result.frames[0] > THUNK_BYTES
        ran = run(result.wasm, "run")
        assert (ran.outcome, ran.results, ran.paid) == ("ok", (2.5, 3), 4 + 3)
        assert run(result.wasm, "f", 3, 2.5).results == (2.5, 3)
        assert run(result.wasm, "f", 3, 2.5, stack=result.frames[0]).outcome == "ok"
        ran = run(result.wasm, "f", 3, 2.5, stack=result.frames[0] - 1)
        assert (ran.outcome, ran.stack_left, ran.paid) == ("stack", -1, 0)

    @pytest.mark.parametrize(
        ("code", "width", "slots"),
        [
            ("", 8, 0),
            ("(local i32 i64)", 8, 2),
            ("(local f32)", 16, 1),
            ("i32.const 1 i32.const 2 i32.add drop", 8, 3 * 2 + 3),
            ("i32.const 1 if (result i64 i64) unreachable else"
             " i64.const 1 i64.const 2 end drop drop", 8, 3 * 2 + 3),
            ("i32.const 1 if (result i64 i64) i64.const 1 i64.const 2 else"
             " i64.const 1 i64.const 2 end drop drop", 8, 3 * 2 + 5),
        ],
    )  # fmt: skip
    def test_a_frame_is_counted_by_locals_height_and_work(
        self, code: str, width: int, slots: int
    ) -> None:
        """Each local is a slot, each operand three, each constant or arithmetic one."""
        result = instrumented(f"(module (func $f {code} call $f))")
        assert result.frames == (FRAME_BYTES + width * slots,)
