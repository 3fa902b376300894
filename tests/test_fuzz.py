"""The differential fuzzer: what it makes, how it runs, and that it finds what is there."""

from __future__ import annotations

import hashlib
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

import sen_host_conformance.fuzz
from sen_host.backend import FUEL, Backend, Binding, Module
from sen_host.engines import backends, open_backend
from sen_host.errors import ConfigError
from sen_host.limits import Limits
from sen_host.wasm.instructions import read_locals
from sen_host.wasm.leb128 import encode_unsigned
from sen_host.wasm.operators import OPERATORS
from sen_host.wasm.profile import check_profile
from sen_host.wasm.reader import SectionId, parse
from sen_host.wasm.tokens import split
from sen_host.wasm.writer import sized, vector
from sen_host_conformance.fuzz import Case, Settings, Summary, find_wasm_tools, open_backends, run
from sen_host_conformance.fuzz.arena import (
    STACK_BYTES,
    Arena,
    Call,
    Difference,
    LeftOut,
)
from sen_host_conformance.fuzz.campaign import run_module
from sen_host_conformance.fuzz.case import Found, replay
from sen_host_conformance.fuzz.command import main
from sen_host_conformance.fuzz.encoding import op
from sen_host_conformance.fuzz.exercise import exercise
from sen_host_conformance.fuzz.exposure import STATE, expose
from sen_host_conformance.fuzz.shrink import instruction_count, shrink
from sen_host_conformance.fuzz.sources import make
from sen_host_conformance.hosts import find_hosts
from sen_host_conformance.player import PASSED, play
from sen_host_conformance.reader import read_cases
from tests.wasm.support import wat, with_section

POPCNT = op("i32.popcnt")
CASES = sorted((Path(sen_host_conformance.fuzz.__file__).parent / "cases").glob("*.json"))


def in_process() -> dict[str, Backend]:
    """Every backend that runs in this process."""
    return {
        info.name: open_backend(info.name, isolation="none")
        for info in backends()
        if any(binding.available and binding.isolation == "none" for binding in info.bindings)
    }


@pytest.fixture
def arena() -> Iterator[Arena]:
    arena = Arena(in_process())
    yield arena
    arena.close()


class Crooked(Backend):
    """Wasmtime, but each i32.popcnt takes one more from the fuel, behind the module's back."""

    name = "crooked"

    def __init__(self, binding: Binding) -> None:
        super().__init__(binding)
        self._honest = open_backend("wasmtime", isolation="none")

    @classmethod
    def bindings(cls) -> tuple[Binding, ...]:
        return (Binding(name="in-process", engine="Crooked 1.0"),)

    def validate(self, wasm: bytes) -> None:
        self._honest.validate(wasm)

    def compile(self, wasm: bytes, limits: Limits) -> Module:
        return self._honest.compile(_overcharged(wasm), limits)


class Crashing(Crooked):
    """It ends its process where it should compile."""

    def compile(self, wasm: bytes, limits: Limits) -> Module:
        import os

        os._exit(3)


def _overcharged(wasm: bytes) -> bytes:
    """The rewritten module, in which popcnt takes one more from the fuel and its copy."""
    module = parse(wasm)
    (fuel,) = (encode_unsigned(item.index) for item in module.exports if item.name == FUEL)
    bodies = []
    for type, (start, end) in zip(module.functions, module.function_bodies, strict=True):
        declarations, code = read_locals(wasm, start, end)
        count = len(module.types[type].params) + sum(count for count, _ in declarations)
        copy = encode_unsigned(max(0, count - 3))
        take_one = b"\x20" + copy + b"\x42\x01\x7d\x22" + copy + b"\x24" + fuel
        tokens = (
            token + take_one if token == POPCNT else token for token in split(wasm, code, end)
        )
        bodies.append(sized(wasm[start:code] + b"".join(tokens)))
    section = module.section(SectionId.CODE)
    assert section is not None
    return with_section(module, section, vector(bodies))


def crooked_arena() -> Arena:
    return Arena(
        {"wasmtime": open_backend("wasmtime", isolation="none"), "crooked": open_backend(Crooked)}
    )


@pytest.fixture
def install_crooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the backends of this file, as an installed package would."""
    info = tmp_path / "crooks-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: crooks\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[sen_host.backends]\n"
        "crooked = tests.test_fuzz:Crooked\n"
        "crashing = tests.test_fuzz:Crashing\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))


# --- the modules ---------------------------------------------------------------


def test_a_seed_and_a_number_make_the_same_module_on_every_version_of_python() -> None:
    digest = hashlib.sha256()
    for number in range(20):
        made = make(0, number, None)
        digest.update(made.target.wasm + made.random.randbytes(8))
    # It changes with the generator. Then a number names another module than before.
    assert digest.hexdigest()[:16] == "7199fb96879b7e65"


def test_all_modules_of_the_own_generator_are_valid_and_on_every_engine() -> None:
    honest = open_backend("wasmtime", isolation="none")
    for number in range(80):
        wasm = make(1, number, None).target.wasm
        check_profile(parse(wasm))
        honest.validate(wasm)


RARE = """
memory.init memory.copy memory.fill memory.grow data.drop elem.drop
table.init table.copy table.fill table.grow table.get table.set table.size
br_table br_if br return call_indirect unreachable loop if select
i32.div_s i64.rem_u i32.load8_s i64.store32 i32.trunc_f64_u i64.trunc_sat_f32_s
ref.func ref.is_null
""".split()


def test_the_own_generator_reaches_what_decides_fuel_and_traps() -> None:
    names = {operator.code: operator.name for operator in OPERATORS.values()}
    seen = Counter[str]()
    starts = nesting = locals = 0
    for number in range(150):
        module = parse(make(2, number, None).target.wasm)
        starts += module.start is not None
        for start, end in module.function_bodies:
            declarations, code = read_locals(module.data, start, end)
            locals = max(locals, sum(count for count, _ in declarations))
            depth = 0
            for token in split(module.data, code, end):
                code_of = token[0] if token[0] < 0xFC else token[0] << 16 | token[1] & 0x7F
                seen[names.get(code_of, "")] += 1
                depth += (token[0] in (2, 3, 4)) - (token[0] == 0x0B)
                nesting = max(nesting, depth)
    assert [name for name in RARE if not seen[name]] == []
    assert starts > 10
    assert nesting > 100
    assert locals > 1_000


def test_functions_of_any_type_are_called_with_integers(arena: Arena) -> None:
    target = expose(
        wat(
            """
            (module
              (memory 1)
              (global $count (mut i32) (i32.const 0))
              (func (param i32) (result i64) local.get 0 i64.extend_i32_s)
              (func (param f64 i32) (result f32 i32 f64)
                (global.set $count (i32.add (global.get $count) (i32.const 1)))
                f32.const nan:0x200000 local.get 1 local.get 0)
              (func (param f64 i32) (result f32 i32 f64) f32.const -nan local.get 1 local.get 0)
              (func (param f32 externref i32 i32 i64) (result externref i64)
                ref.null extern local.get 4))
            """
        )
    )
    assert target.functions == {
        "f0": (("i32",), ("i64",)),
        "f1": (("i64", "i32"), ("i64",)),
        "f2": (("i64", "i32"), ("i64",)),
        "f3": (("i32", "i32", "i32"), ("i64",)),
        "state": ((), ("i64",)),
    }

    def call(name: str, *arguments: int) -> int | None:
        return replay(arena, target.wasm, [Call(name, arguments, 1_000, STACK_BYTES)])[0].result

    assert call("f0", 0xFFFF_FFFF) == 0xFFFF_FFFF_FFFF_FFFF
    assert call("f1", 5, 6) == call("f2", 5, 6)  # any NaN is the same
    assert len({call("f1", 5, 6), call("f1", 6, 5), call("f1", 5, 7)}) == 3
    assert call("f3", 1, 2, 3) != call("f3", 4, 2, 3)  # the first argument serves again
    steps = [(STATE, ()), ("f0", (0,)), (STATE, ()), ("f1", (0, 0)), (STATE, ())]
    before, _, same, _, other = replay(
        arena, target.wasm, [Call(name, values, 1_000, STACK_BYTES) for name, values in steps]
    )
    assert before.result == same.result != other.result


# --- runs ----------------------------------------------------------------------


def test_a_short_run_over_all_backends_in_this_process(arena: Arena) -> None:
    summary = Summary(())
    settings = Settings(seed=10, calls=150, wasm_tools=find_wasm_tools())
    for number in range(40):
        summary.add(run_module(arena, settings, number))
    assert summary.failures == [], str(summary)
    assert summary.left_out == {}
    assert summary.modules == 40
    assert summary.calls > 5_000
    assert set(summary.outcomes) >= {
        "completed",
        "out of fuel",
        "call stack exhausted",
        "out of bounds memory access",
        "out of bounds table access",
        "integer divide by zero",
        "uninitialized element",
    }


@pytest.mark.skipif(sys.version_info < (3, 11), reason="there, Wasmer runs in this process")
def test_a_backend_whose_guest_ends_with_a_trap_is_compared_as_far_as_it_tells() -> None:
    arena = Arena({name: open_backend(name) for name in ("wasmtime", "wasmer")})
    try:
        made = make(7, 4, None)
        done = exercise(arena, made.target, made.random, most=30)
    finally:
        arena.close()
    assert done.difference is None
    assert done.left_out is None
    assert done.outcomes["out of fuel"] > 5


def test_processes_come_to_what_one_does(tmp_path: Path) -> None:
    settings = Settings(seed=3, first=5, modules=3, calls=30, cases=tmp_path)
    told: list[int] = []
    summary = run(settings, jobs=2, progress=lambda summary: told.append(summary.modules))
    assert summary.failures == []
    assert summary.modules == told[-1] == 3
    arena = Arena(open_backends(()))
    alone = Summary(())
    for number in (5, 6, 7):
        alone.add(run_module(arena, settings, number))
    arena.close()
    assert summary.outcomes == alone.outcomes


# --- a planted fault -------------------------------------------------------------


class Planted(NamedTuple):
    """The first module of a seed on which the crooked backend is found out."""

    number: int
    wasm: bytes
    calls: list[Call]
    found: Difference


@pytest.fixture(scope="module")
def planted() -> Planted:
    arena = crooked_arena()
    try:
        for number in range(200):
            made = make(14, number, None)
            done = exercise(arena, made.target, made.random, most=200)
            if done.difference is not None:
                return Planted(number, made.target.wasm, done.history, done.difference)
    finally:
        arena.close()
    raise AssertionError("the fault was not found")


def test_a_planted_fault_is_found(planted: Planted) -> None:
    assert planted.found.field == "used"
    assert POPCNT in planted.wasm


COUNTING = """
(module
  (memory 1 2)
  (global $sum (mut i64) (i64.const 3))
  (table 2 funcref) (elem (i32.const 0) $bits $mix)
  (func $mix (param i32 i64) (result i64)
    (global.set $sum (i64.add (global.get $sum) (local.get 1)))
    (i64.xor (global.get $sum) (i64.extend_i32_u (local.get 0))))
  (func $bits (param i32) (result i32) (local i32)
    (loop $again
      (local.set 1 (i32.add (local.get 1) (i32.popcnt (local.get 0))))
      (i32.store (i32.const 8) (local.get 1))
      (br_if $again (local.tee 0 (i32.shr_u (local.get 0) (i32.const 1)))))
    (local.get 1))
  (func (param i32 i32) (result i32)
    (if (result i32) (i32.lt_u (local.get 0) (i32.const 100))
      (then (call $bits (local.get 1)))
      (else (i32.wrap_i64 (call $mix (local.get 0) (i64.const 5)))))))
"""


def test_a_difference_is_shrunk_to_its_core() -> None:
    arena = crooked_arena()
    target = expose(wat(COUNTING))
    calls = [
        Call("f0", (1, 2), 100, STACK_BYTES),
        Call("f2", (200, 3), 1_000, STACK_BYTES),
        Call("f2", (7, 1000), 1_000, STACK_BYTES),
    ]
    try:
        smaller, fewer = shrink(arena, target.wasm, calls, seconds=300)
    finally:
        arena.close()
    code = [
        token
        for start, end in parse(smaller).function_bodies
        for token in split(smaller, read_locals(smaller, start, end)[1], end)
    ]
    assert code.count(POPCNT) == 1
    assert instruction_count(smaller) <= 8 < instruction_count(target.wasm)
    assert len(fewer) == 1
    assert fewer[0].fuel <= 8


def test_a_shrunk_case_is_written_and_replayed(
    tmp_path: Path, install_crooks: None, capsys: pytest.CaptureFixture[str]
) -> None:
    module = expose(wat("(module (memory 1) (func (result i32) i32.const 3 i32.popcnt))")).wasm
    path = tmp_path / "popcnt.json"
    case = Case(module, (Call("f0", (), 9, STACK_BYTES),), Found("command", "used", {"a": "b"}))
    case.write(path, find_wasm_tools())
    assert Case.read(path) == case
    assert path.with_suffix(".wat").exists() == (find_wasm_tools() is not None)
    pair = ["--backend", "wasmtime", "--backend", "crooked"]
    assert main(["--replay", str(path), *pair]) == 1
    assert "used differs: wasmtime: completed, result 2, used 3" in capsys.readouterr().out
    path.write_text("{}")
    assert main(["--replay", str(path), *pair]) == 2
    assert "is not a case" in capsys.readouterr().err


def test_the_command_tells_how_to_try_a_difference_again(
    tmp_path: Path, install_crooks: None, planted: Planted, capsys: pytest.CaptureFixture[str]
) -> None:
    pair = ["--backend", "wasmtime", "--backend", "crooked"]
    number = str(planted.number)
    again = ["--seed", "14", "--first", number, "--modules", "1", *pair, "--own-only"]
    assert main([*again, "--cases", str(tmp_path / "cases")]) == 1
    told = capsys.readouterr().out
    assert "differences  1" in told
    assert " ".join(["python -m sen_host_conformance.fuzz", *again]) in told
    case = tmp_path / "cases" / f"14-{number}.json"
    assert f"--replay {case}" in told
    assert main(["--replay", str(case), *pair]) == 1
    assert main(["--replay", str(case), "--backend", "wasmtime", "--backend", "wasmer"]) == 0
    assert "the backends agree" in capsys.readouterr().out
    suite_case = tmp_path / "cases" / "cases" / "fuzz" / f"14-{number}.toml"
    assert f"to keep: {suite_case}" in told
    (read,) = read_cases(suite_case.parent.parent)
    honest, crooked = (play(read, host) for host in find_hosts(["wasmtime-c-api", "crooked"]))
    assert honest.verdict == PASSED
    assert {fault.field for fault in crooked.faults} == {"fuel_used"}


def test_an_engine_that_takes_the_process_along_is_a_failure_of_that_module(
    tmp_path: Path, install_crooks: None
) -> None:
    settings = Settings(modules=2, backends=("wasmtime", "crashing"), cases=tmp_path)
    summary = run(settings, jobs=1, progress=lambda _: None)
    assert [failure.number for failure in summary.failures] == [0, 1]
    assert summary.failures[0].what == "the process ended with code 3"


def test_one_backend_is_nothing_to_compare() -> None:
    with pytest.raises(ConfigError, match="nothing to compare: wasmtime"):
        run(Settings(backends=("wasmtime",)), jobs=1, progress=lambda _: None)


def test_shrinking_needs_a_difference(arena: Arena) -> None:
    with pytest.raises(ValueError, match="do not differ"):
        shrink(
            arena, expose(wat("(module (memory 1) (func))")).wasm, [Call("f0", (), 9, STACK_BYTES)]
        )


# --- the cases that were found ---------------------------------------------------


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_backends_agree_on_what_they_once_differed_on(path: Path, arena: Arena) -> None:
    case = Case.read(path)
    known = case.reasons(side.backend.binding.engine for side in arena.sides)
    if case.refused is not None:
        with pytest.raises(LeftOut) as caught:
            replay(arena, case.wasm, case.calls)
        assert caught.value.who == "the profile"
        check_profile(parse(case.wasm), frozenset({case.refused}))
    elif known:
        with pytest.raises(Difference):
            replay(arena, case.wasm, case.calls)
    else:
        assert replay(arena, case.wasm, case.calls)


def test_calls_are_chosen_by_the_number_alone(arena: Arena) -> None:
    made = make(5, 3, None)
    first = exercise(arena, made.target, made.random, most=100)
    again = make(5, 3, None)
    second = exercise(arena, again.target, again.random, most=100)
    assert first.history == second.history
    assert first.outcomes == second.outcomes
    assert exercise(arena, again.target, Random(1), most=100).history != first.history
