"""Both bindings of the Wasmer backend keep the contract of ``sen_host.backend``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sen_host.backend import Backend, FuncType, Trap
from sen_host.errors import EngineFault, FunctionNotFound, ModuleCompilation, TrapKind
from sen_host.limits import Limits
from sen_host_wasmer import WasmerBackend
from tests.backends.wasmer_scenarios import (
    MEMORY,
    NOTHING,
    PAGE,
    Run,
    call,
    compiled,
    fresh,
    need,
    start_child,
    wat,
)

# --- calls --------------------------------------------------------------------

I32, I64 = 2**32 - 1, 2**64 - 1


@pytest.mark.parametrize(
    ("text", "type", "arguments", "result"),
    [
        ('(func (export "f"))', NOTHING, (), None),
        ('(func (export "f") (param i32))', FuncType(("i32",), ()), (I32,), None),
        (
            '(func (export "f") (param i32) (result i32) local.get 0)',
            FuncType(("i32",), ("i32",)),
            (I32,),
            I32,
        ),
        (
            '(func (export "f") (param i64) (result i64) local.get 0)',
            FuncType(("i64",), ("i64",)),
            (I64,),
            I64,
        ),
        (
            '(func (export "f") (param i32) (result i64) (i64.extend_i32_u (local.get 0)))',
            FuncType(("i32",), ("i64",)),
            (I32,),
            I32,
        ),
        (
            '(func (export "f") (param i32 i64 i32) (result i64) (i64.sub (local.get 1)'
            " (i64.extend_i32_u (i32.sub (local.get 0) (local.get 2)))))",
            FuncType(("i32", "i64", "i32"), ("i64",)),
            (7, 1, 4),
            I64 - 1,
        ),
    ],
)
def test_integers_cross_unsigned(
    run: Run, text: str, type: FuncType, arguments: tuple[int, ...], result: int | None
) -> None:
    assert run(call, text, type, *arguments) == result


def missing_export(backend: Backend) -> None:
    fresh(backend, f"(module {MEMORY})").function("f", NOTHING)


def test_a_missing_export_is_named(run: Run) -> None:
    with pytest.raises(FunctionNotFound, match="'f'"):
        run(missing_export)


def test_a_wrong_number_of_arguments_is_refused(run: Run) -> None:
    with pytest.raises(TypeError, match="0 arguments, not 1"):
        run(call, '(func (export "f"))', NOTHING, 1)


# --- traps --------------------------------------------------------------------

TABLE = "(table 2 funcref) (elem (i32.const 0) $one) (func $one (param i32))"
TRAPS = [
    ("unreachable", TrapKind.UNREACHABLE),
    ("(drop (i32.load (i32.const 65533)))", TrapKind.MEMORY_OUT_OF_BOUNDS),
    ("(i64.store (i32.const -1) (i64.const 1))", TrapKind.MEMORY_OUT_OF_BOUNDS),
    (
        "(memory.fill (i32.const 65535) (i32.const 1) (i32.const 2))",
        TrapKind.MEMORY_OUT_OF_BOUNDS,
    ),
    ("(call_indirect (i32.const 2))", TrapKind.TABLE_OUT_OF_BOUNDS),
    ("(drop (table.get (i32.const 2)))", TrapKind.TABLE_OUT_OF_BOUNDS),
    (
        "(table.copy (i32.const 1) (i32.const 0) (i32.const 2))",
        TrapKind.TABLE_OUT_OF_BOUNDS,
    ),
    (
        "(drop (i32.div_u (i32.const 1) (global.get $zero)))",
        TrapKind.INTEGER_DIVIDE_BY_ZERO,
    ),
    (
        "(drop (i32.div_s (i32.const 0x80000000) (i32.sub (global.get $zero) (i32.const 1))))",
        TrapKind.INTEGER_OVERFLOW,
    ),
    ("(drop (i32.trunc_f64_s (f64.const 1e10)))", TrapKind.INTEGER_OVERFLOW),
    ("(drop (i32.trunc_f32_u (f32.const nan)))", TrapKind.INVALID_CONVERSION_TO_INTEGER),
    ("(call_indirect (i32.const 1))", TrapKind.UNINITIALIZED_ELEMENT),
    ("(call_indirect (i32.const 0))", TrapKind.INDIRECT_CALL_TYPE_MISMATCH),
    ("(call $f)", TrapKind.STACK_OVERFLOW),
]


def trap_of(backend: Backend, code: str, again: bool) -> Trap:
    module = compiled(
        backend,
        f"""(module {MEMORY} {TABLE} (global $zero (mut i32) (i32.const 0))
            (func $f (export "f") {code})
            (func (export "g") (result i32) (i32.const 7)))""",
    )
    with pytest.raises(Trap) as caught:
        module.instantiate().function("f", NOTHING)()
    if again:
        instance = module.instantiate()
        assert instance.function("g", FuncType((), ("i32",)))() == 7
        instance.close()
    module.close()
    return caught.value


@pytest.mark.parametrize(("code", "kind"), TRAPS, ids=[code for code, _ in TRAPS])
def test_each_trap_has_its_kind(run: Run, code: str, kind: TrapKind) -> None:
    trap = run(trap_of, code, False)
    assert trap.kind is kind
    assert trap.detail == ("undefined element: " if kind in trap.detail != kind else "") + kind


def test_a_module_can_be_instantiated_again_after_a_trap(run: Run) -> None:
    assert run(trap_of, "unreachable", True).kind is TrapKind.UNREACHABLE


def call_the_dead(backend: Backend) -> str:
    module = compiled(backend, f'(module {MEMORY} (func (export "f") unreachable))')
    function = module.instantiate().function("f", NOTHING)
    for _ in range(2):
        with pytest.raises(Trap):
            function()
    with pytest.raises((Trap, EngineFault)) as caught:
        function()
    return type(caught.value).__name__


def test_calling_an_instance_that_trapped_fails_again(run: Run) -> None:
    assert run(call_the_dead) == "Trap"


def overflow_again(backend: Backend) -> int:
    trap = trap_of(backend, "(call $f)", True)
    size = 0
    chain: BaseException | None = trap
    while chain is not None:
        size += sum(len(str(argument)) for argument in chain.args)
        chain = chain.__cause__ or chain.__context__
    return size


def test_the_text_of_a_stack_overflow_is_not_kept(run: Run) -> None:
    assert run(overflow_again) < 10_000


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (f'(module {MEMORY} (data (i32.const 65535) "ab"))', TrapKind.MEMORY_OUT_OF_BOUNDS),
        (
            f"(module {MEMORY} (table 1 funcref) (func $f) (elem (i32.const 1) $f))",
            TrapKind.TABLE_OUT_OF_BOUNDS,
        ),
    ],
)
def test_instantiation_traps(run: Run, text: str, kind: TrapKind) -> None:
    with pytest.raises(Trap) as caught:
        run(fresh, text)
    assert caught.value.kind is kind


# --- memory -------------------------------------------------------------------


def edges(backend: Backend) -> list[bytes | int]:
    instance = fresh(
        backend,
        """(module (memory (export "memory") 2 40)
            (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))""",
    )
    size = instance.memory_size()
    instance.write(0, b"first")
    instance.write(size - 4, b"last")
    instance.write(size, b"")
    seen: list[bytes | int] = [
        size,
        instance.read(0, 6),
        instance.read(size - 5, 5),
        instance.read(size, 0),
        instance.read(7, 0),
    ]
    old = instance.function("grow", FuncType(("i32",), ("i32",)))(38)
    assert old is not None
    seen += [old, instance.memory_size()]
    large = bytes(range(256)) * (37 * PAGE // 256)
    instance.write(2 * PAGE + 1, large)
    seen.append(instance.read(2 * PAGE, len(large) + 2) == b"\0" + large + b"\0")
    seen.append(instance.read(size - 5, 5))
    return seen


def test_memory_can_be_read_and_written_up_to_its_edges(run: Run) -> None:
    assert run(edges) == [
        2 * PAGE,
        b"first\0",
        b"\0last",
        b"",
        b"",
        2,
        40 * PAGE,
        True,
        b"\0last",
    ]


def largest_memory(backend: Backend) -> tuple[int, bytes]:
    instance = fresh(backend, '(module (memory (export "memory") 65536))')
    instance.write(2**32 - 3, b"end")
    result = instance.memory_size(), instance.read(2**32 - 4, 4)
    instance.close()
    return result


def test_four_gibibytes_of_memory(run: Run) -> None:
    assert run(largest_memory) == (2**32, b"\0end")


def empty_memory(backend: Backend) -> tuple[int, bytes, int | None]:
    instance = fresh(
        backend,
        """(module (memory (export "memory") 0)
            (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))""",
    )
    before = instance.memory_size()
    grown = instance.function("grow", FuncType(("i32",), ("i32",)))(1)
    instance.write(PAGE - 1, b"x")
    return before, instance.read(PAGE - 2, 2), grown


def test_a_memory_may_start_without_a_page(run: Run) -> None:
    assert run(empty_memory) == (0, b"\0x", 0)


def two_instances(backend: Backend) -> tuple[bytes, bytes]:
    module = compiled(backend, f"(module {MEMORY})")
    one, other = module.instantiate(), module.instantiate()
    one.write(0, b"one")
    other.write(0, b"two")
    answer = one.read(0, 3), other.read(0, 3)
    one.close()
    other.close()
    module.close()
    return answer


def test_instances_do_not_share_memory(run: Run) -> None:
    assert run(two_instances) == (b"one", b"two")


# --- validation ---------------------------------------------------------------

INVALID = {
    "type error in the first function": "(func (drop (i32.eqz (i64.const 1)))) (func)",
    "type error in the last function": "(func) (func (result i32) (i64.const 1))",
    "function index out of range": "(func (call 1))",
    "function index behind what a rewriter adds": "(func (call 5))",
    "type index out of range": "(func (call_indirect (type 3) (i32.const 0))) (table 1 funcref)",
    "local index out of range": "(func (drop (local.get 0)))",
    "global index out of range": "(func (drop (global.get 0)))",
    "memory index out of range": "(func (drop (memory.size 1)))",
    "label out of range": "(func (br 1))",
    "ref.func of what is not declared": '(func (export "f")) (func (drop (ref.func 1)))',
    "start function out of range": "(func) (start 1)",
    "element out of range": "(table 1 funcref) (elem (i32.const 0) 1) (func)",
    "data segment out of range": "(func (data.drop 0))",
}


def validate(backend: Backend, wasm: bytes) -> None:
    backend.validate(wasm)


def compile_only(backend: Backend, wasm: bytes) -> None:
    backend.compile(wasm, Limits())


@pytest.mark.parametrize("fault", INVALID)
def test_invalid_modules_are_refused(run: Run, fault: str) -> None:
    wasm = wat(f"(module {MEMORY} {INVALID[fault]})")
    for check in (validate, compile_only):
        if "start" in fault and check is compile_only:
            continue  # A module that is compiled has none.
        with pytest.raises(ModuleCompilation) as caught:
            run(check, wasm)
        assert "RuntimeError" not in str(caught.value)


@pytest.mark.parametrize(
    "wasm", [b"", b"(module)", b"\0asm\x01\0\0", b"\0asm\x0d\0\x01\0", b"\0asm\x01\0\0\0\x01"]
)
def test_what_is_not_a_module_is_refused(run: Run, wasm: bytes) -> None:
    for check in (validate, compile_only):
        with pytest.raises(ModuleCompilation):
            run(check, wasm)


def test_the_offset_of_an_invalid_operator_is_the_original_one(run: Run) -> None:
    wasm = wat(f'(module {MEMORY} (func (export "f")) (func (drop (i32.eqz (i64.const 77)))))')
    with pytest.raises(ModuleCompilation) as caught:
        run(validate, wasm)
    offset = wasm.index(b"\x42\xcd\x00\x45") + 3
    assert f"{offset:#x}" in str(caught.value) or str(offset) in str(caught.value)


# --- the host is left as it was -----------------------------------------------


def without_proc(backend: Backend) -> tuple[bytes, bytes]:
    import sen_host_wasmer.driver

    sen_host_wasmer.driver._OPEN_FILES = "/nowhere"
    return two_instances(WasmerBackend(backend.binding))


@pytest.mark.parametrize("scenario", [two_instances, without_proc])
def test_the_sdk_leaves_no_file_behind(
    tmp_path: Path, scenario: Callable[[Backend], object]
) -> None:
    need("sdk")
    run, stop = start_child("sdk", tmp_path)
    assert run(scenario) == (b"one", b"two")
    assert list(tmp_path.iterdir()) == []
    assert stop() == 0
    assert list(tmp_path.iterdir()) == []


# --- exports ------------------------------------------------------------------


def last_of_many(backend: Backend, count: int) -> int | None:
    functions = (f'(func (export "f{n}") (result i32) (i32.const {n}))' for n in range(count))
    instance = fresh(backend, f"(module {MEMORY} {' '.join(functions)})")
    return instance.function(f"f{count - 1}", FuncType((), ("i32",)))()


def test_a_module_may_export_thousands_of_functions(run: Run) -> None:
    assert run(last_of_many, 5_000) == 4_999


def foreign_exports(backend: Backend) -> int | None:
    text = f"""(module {MEMORY} (global (export "_start") i32 (i32.const 0))
        (func $i (export "_initialize") unreachable)
        (func (export "") (param f32 f64) (result v128) (v128.const i64x2 0 0))
        (func $f (export "f") (export "again") (result i32) (i32.const 7)))"""
    return fresh(backend, text).function("again", FuncType((), ("i32",)))()


def test_other_exports_are_no_entry_points(run: Run) -> None:
    assert run(foreign_exports) == 7


def test_an_export_may_be_named_like_an_entry_point(run: Run) -> None:
    exports = ('(global (export "_start") i32 (i32.const 0))', '(export "\\00start" (global 0))')
    wasm = wat(f"(module {MEMORY} {' '.join(exports)} (func))")
    run(validate, wasm)
