"""Both bindings of the Wasmer backend keep the contract of ``sen_host.backend``.

A scenario is a function that takes the backend and returns plain values. The
binding ``native`` runs it here; ``sdk`` runs it in a child process that ends
with ``os._exit``, as the worker process of the host does.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
import traceback
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from sen_host import abi
from sen_host.backend import (
    Backend,
    CompositeInstance,
    Exchanged,
    FuncType,
    Instance,
    Module,
    Trap,
)
from sen_host.errors import EngineFault, FunctionNotFound, ModuleCompilation, SenHostError, TrapKind
from sen_host.limits import Limits
from sen_host.wasm.instrument import instrument
from sen_host.wasm.reader import parse
from sen_host_wasmer import WasmerBackend

PAGE = 65_536
NOTHING = FuncType((), ())
BINDINGS = {binding.name: binding for binding in WasmerBackend.bindings()}

Run = Callable[..., Any]


def wat(text: str) -> bytes:
    from wasmtime import wat2wasm

    return bytes(wat2wasm(text))


def serve(name: str, channel: Connection, cwd: str) -> None:
    """The child: run scenarios until None comes."""
    os.chdir(cwd)
    os.environ["TMPDIR"] = cwd
    # Wasmer prints each trap there.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    backend = WasmerBackend(BINDINGS[name])
    while (job := channel.recv()) is not None:
        scenario, arguments = job
        try:
            answer = (True, scenario(backend, *arguments))
        except BaseException as error:
            error.__traceback__, text = None, traceback.format_exc()
            answer = (False, (error, text))
        channel.send(answer)
    os._exit(0)


def start_child(name: str, cwd: Path) -> tuple[Run, Callable[[], int | None]]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=serve, args=(name, theirs, str(cwd)), daemon=True)
    child.start()
    theirs.close()

    def run(scenario: Callable[..., Any], *arguments: Any) -> Any:
        ours.send((scenario, arguments))
        done, value = ours.recv()
        if done:
            return value
        error, text = value
        if not isinstance(error, (SenHostError, Trap)):
            print(text)
        raise error

    def stop() -> int | None:
        ours.send(None)
        child.join(30)
        return child.exitcode

    return run, stop


def need(name: str) -> None:
    reason = BINDINGS[name].reason
    if reason is not None:
        pytest.skip(f"wasmer:{name} is not available here: {reason}")


@pytest.fixture(scope="module", params=list(BINDINGS))
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    name = request.param
    need(name)
    if BINDINGS[name].isolation == "process":
        run, stop = start_child(name, tmp_path_factory.mktemp("child"))
        yield run
        assert stop() == 0
    else:
        backend = WasmerBackend(BINDINGS[name])
        yield lambda scenario, *arguments: scenario(backend, *arguments)


# --- what a module of these tests looks like ----------------------------------

MEMORY = '(memory (export "memory") 1)'


def compiled(backend: Backend, text: str) -> Module:
    wasm = wat(text)
    backend.validate(wasm)
    return backend.compile(wasm, Limits())


def instrumented(backend: Backend, wasm: bytes) -> Module:
    backend.validate(wasm)
    return backend.compile(instrument(parse(wasm)).wasm, Limits())


def fresh(backend: Backend, text: str) -> Instance:
    return compiled(backend, text).instantiate()


def call(backend: Backend, text: str, type: FuncType, *arguments: int) -> int | None:
    module = compiled(backend, f"(module {MEMORY} {text})")
    instance = module.instantiate()
    result = instance.function("f", type)(*arguments)
    instance.close()
    module.close()
    return result


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


def other_thread(backend: Backend) -> str:
    function = fresh(backend, f'(module {MEMORY} (func (export "f")))').function("f", NOTHING)
    caught: list[BaseException] = []

    def attempt() -> None:
        try:
            function()
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    return type(caught[0]).__name__ if caught else ""


def test_a_panic_of_the_native_package_is_an_engine_fault(
    capfd: pytest.CaptureFixture[str],
) -> None:
    need("native")
    backend = WasmerBackend(BINDINGS["native"])
    assert other_thread(backend) == EngineFault.__name__
    assert "unsendable" in capfd.readouterr().err


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


# --- a whole exchange in one crossing -----------------------------------------

PLUGIN = """(module (memory (export "memory") {pages})
    (global $top (mut i32) (i32.const 1024))
    (global $calls (export "calls") (mut i32) (i32.const 0))
    (func $note (param i32)
        (i32.store8 (global.get $calls) (local.get 0))
        (global.set $calls (i32.add (global.get $calls) (i32.const 1))))
    (func (export "plugin_alloc") (param $n i32) (result i32) (local $at i32)
        (call $note (i32.const 1))
        (local.set $at (global.get $top))
        (global.set $top (i32.add (global.get $top) (local.get $n)))
        {alloc})
    (func (export "plugin_dealloc") (param $p i32) (param $n i32)
        (call $note (i32.const 2))
        (i32.store (i32.const 512) (local.get $p))
        (i32.store (i32.const 516) (local.get $n))
        {dealloc})
    (func $packed (param $p i32) (param $n i32) (result i64)
        (i64.or (i64.shl (i64.extend_i32_u (local.get $p)) (i64.const 32))
            (i64.extend_i32_u (local.get $n))))
    (func (export "plugin_manifest") (result i64) {manifest})
    (func $recurse (call $recurse))
    (func (export "plugin_execute") (param $p i32) (param $n i32) (result i64)
        (call $note (i32.const 3))
        {execute})
    (func (export "plugin_resume") (param $e i32) (param $p i32) (param $n i32) (result i64)
        (i32.store (local.get $p) (local.get $e))
        (call $packed (local.get $p) (local.get $n))))"""

ECHO = "(call $packed (local.get $p) (local.get $n))"
DEFAULTS = {
    "pages": "2",
    "alloc": "(local.get $at)",
    "dealloc": "",
    "manifest": "(call $packed (i32.const 512) (i32.const 16))",
    "execute": ECHO,
}

CASES: dict[str, dict[str, str]] = {
    "echo": {},
    "alloc returns zero": {"alloc": "(i32.const 0)"},
    "alloc returns the end of memory": {"alloc": "(i32.const 131072)"},
    "alloc returns what wraps around": {"alloc": "(i32.const -1)"},
    "alloc traps": {"alloc": "unreachable"},
    "alloc overflows the stack": {"alloc": "(call $recurse) (i32.const 8)"},
    "alloc grows the memory": {"alloc": "(drop (memory.grow (i32.const 3))) (i32.const 131072)"},
    "empty message": {"execute": "(i64.const 0)"},
    "empty message at an odd place": {"execute": "(call $packed (i32.const 77) (i32.const 0))"},
    "empty message beyond the end": {"execute": "(call $packed (i32.const -1) (i32.const 0))"},
    "zero pointer": {"execute": "(call $packed (i32.const 0) (i32.const 5))"},
    "message at the very end": {"execute": "(call $packed (i32.const 131067) (i32.const 5))"},
    "message beyond the end": {"execute": "(call $packed (i32.const 131068) (i32.const 5))"},
    "message that wraps around": {"execute": "(call $packed (i32.const -4) (i32.const -4))"},
    "message over the cap": {"execute": "(call $packed (i32.const 1) (i32.const 70001))"},
    "message at the cap": {"execute": "(call $packed (i32.const 1) (i32.const 70000))"},
    "execute grows the memory": {
        "execute": "(drop (memory.grow (i32.const 1)))"
        "(call $packed (i32.const 196600) (i32.const 8))"
    },
    "execute traps": {"execute": "unreachable"},
    "execute overflows the stack": {"execute": "(call $recurse) (i64.const 0)"},
    "dealloc traps": {"dealloc": "unreachable"},
    "dealloc overflows the stack": {"dealloc": "(call $recurse)"},
    "dealloc grows the memory": {"dealloc": "(drop (memory.grow (i32.const 1)))"},
    "alloc never ends": {"alloc": "(loop (br 0)) (local.get $at)"},
    "execute never ends": {"execute": "(loop (br 0)) (i64.const 0)"},
    "execute divides by zero": {"execute": "(i64.div_u (i64.const 1) (i64.const 0))"},
    "dealloc never ends": {"dealloc": "(loop (br 0))"},
    "dealloc divides by zero": {"dealloc": "(drop (i64.div_u (i64.const 1) (i64.const 0)))"},
    "many pages": {"pages": "40"},
}

PAYLOADS = {"one byte": b"\xff", "short": b"hello", "64 KiB": bytes(range(256)) * 256}


def by_primitives(
    instance: Instance,
    function: str,
    prefix: tuple[int, ...],
    payload: bytes | None,
    limits: Limits,
) -> Exchanged:
    return abi.exchange(
        instance,
        function,
        prefix,
        payload,
        result_bytes=limits.result_bytes,
        fuel=limits.fuel or 0,
        stack=limits.stack_bytes - abi.NATIVE_STACK_BYTES,
        seconds=limits.wall_clock_seconds,
    )


def in_one_crossing(
    instance: Instance,
    function: str,
    prefix: tuple[int, ...],
    payload: bytes | None,
    limits: Limits,
) -> Exchanged:
    assert isinstance(instance, CompositeInstance)
    return instance.exchange(
        function,
        prefix,
        payload,
        result_bytes=limits.result_bytes,
        fuel=limits.fuel or 0,
        stack=limits.stack_bytes - abi.NATIVE_STACK_BYTES,
        seconds=limits.wall_clock_seconds,
    )


def facts(exchange: Callable[[], Exchanged]) -> tuple[Any, ...]:
    """What an exchange led to, in a form that can be compared."""
    try:
        result = exchange()
    except Trap as trap:
        return _told(trap)
    return (*result[:5], result.free_trap and _told(result.free_trap))


def _told(trap: Trap) -> tuple[Any, ...]:
    return abi.kind_of(trap), trap.function, trap.fuel_left


Steps = list[tuple[str, tuple[int, ...], bytes | None]]


def both_ways(backend: Backend, wasm: bytes, steps: Steps, result_bytes: int) -> list[Any]:
    """Make exchanges by primitives and in one crossing, and compare the memories.

    Returns:
        What they led to, as pairs.
    """
    module = instrumented(backend, wasm)
    plain, composite = module.instantiate(), module.instantiate()
    assert isinstance(composite, CompositeInstance)
    pairs: list[Any] = []
    for step in steps:
        limits = Limits(result_bytes=result_bytes)
        expected = facts(lambda: by_primitives(plain, *step, limits))  # noqa: B023
        actual = facts(lambda: in_one_crossing(composite, *step, limits))  # noqa: B023
        pairs.append((expected, actual))
        if len(expected) == 3 or expected[-1] is not None:
            break
        size = plain.memory_size()
        pairs.append((size, composite.memory_size()))
        assert plain.read(0, size) == composite.read(0, size)
    plain.close()
    composite.close()
    module.close()
    return pairs


@pytest.fixture(scope="module")
def sdk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    need("sdk")
    run, stop = start_child("sdk", tmp_path_factory.mktemp("child"))
    yield run
    assert stop() == 0


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("case", CASES)
def test_an_exchange_in_one_crossing_equals_the_single_steps(
    sdk: Run, case: str, payload: str
) -> None:
    wasm = wat(PLUGIN.format_map(DEFAULTS | CASES[case]))
    data = PAYLOADS[payload]
    steps = [
        ("plugin_manifest", (), None),
        ("plugin_execute", (), data),
        ("plugin_resume", (I32,), data[:64] + b"four"),
    ]
    for expected, actual in sdk(both_ways, wasm, steps, 70_000):
        assert actual == expected


LARGE = 1 << 20
"""The size of the shim's buffers."""


ALLOCS = {"taken": "(local.get $at)", "refused": "(i32.const 0)", "trapped": "unreachable"}


@pytest.mark.parametrize("alloc", ALLOCS)
@pytest.mark.parametrize("size", [LARGE - 1, LARGE, LARGE + 1, 3 * LARGE + 5])
def test_payloads_and_messages_larger_than_a_buffer(sdk: Run, size: int, alloc: str) -> None:
    wasm = wat(PLUGIN.format_map(DEFAULTS | {"pages": "256", "alloc": ALLOCS[alloc]}))
    payload = (bytes(range(251)) * (size // 251 + 1))[:size]
    steps: Steps = [("plugin_execute", (), payload), ("plugin_execute", (), b"small")]
    pairs = sdk(both_ways, wasm, steps, 4 * LARGE)
    for expected, actual in pairs:
        assert actual == expected
    assert (payload in pairs[0][1]) is (alloc == "taken")


PLUGINS = sorted((Path(__file__).parents[2] / "plugins").rglob("*.wasm"))


@pytest.mark.parametrize("path", PLUGINS, ids=lambda path: str(path.stem))
def test_real_plugins_answer_the_same_in_one_crossing(sdk: Run, path: Path) -> None:
    steps = [
        ("plugin_manifest", (), None),
        ("plugin_execute", (), b"\x91\xa5Alice"),
        ("plugin_execute", (), b"not a list of arguments"),
        ("plugin_execute", (), b"\x90"),
    ]
    pairs = sdk(both_ways, path.read_bytes(), steps, LARGE)
    assert len(pairs) == 2 * len(steps)
    assert len(pairs[0][1][3]) > 20
    for expected, actual in pairs:
        assert actual == expected


def traps_after_many(backend: Backend, alloc: str, execute: str) -> Trap:
    import sen_host_wasmer.sdk

    sen_host_wasmer.sdk._MARKS_TO_KEEP = 10
    changes = {"pages": "100", "alloc": alloc, "execute": execute}
    instance = instrumented(backend, wat(PLUGIN.format_map(DEFAULTS | changes))).instantiate()

    def many() -> None:
        for _ in range(50):
            in_one_crossing(instance, "plugin_execute", (), b"x", Limits())

    with pytest.raises(Trap) as caught:
        many()
    return caught.value


def test_the_function_that_trapped_is_known_after_many_exchanges(sdk: Run) -> None:
    # Each exchange makes four calls that the plugin counts.
    count = "(if (i32.ge_u (global.get $calls) (i32.const 150)) (then unreachable))"
    in_alloc = sdk(traps_after_many, count + "(local.get $at)", ECHO)
    in_execute = sdk(traps_after_many, "(local.get $at)", count + ECHO)
    assert (in_alloc.kind, in_alloc.function) == (TrapKind.UNREACHABLE, "plugin_alloc")
    assert (in_execute.kind, in_execute.function) == (TrapKind.UNREACHABLE, "plugin_execute")


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


# --- the native binding's objects and exceptions ------------------------------


@pytest.fixture
def native() -> WasmerBackend:
    need("native")
    return WasmerBackend(BINDINGS["native"])


@pytest.fixture
def no_cyclic_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_cyclic_collection")
@pytest.mark.parametrize("close", [True, False])
@pytest.mark.parametrize("code", ["unreachable", ""])
def test_an_instance_is_freed_with_its_last_reference(
    native: WasmerBackend, code: str, close: bool
) -> None:
    module = compiled(native, f'(module {MEMORY} (func (export "f") {code}))')
    instance = module.instantiate()
    function = instance.function("f", NOTHING)
    with suppress(Trap):
        function()
    freed: list[weakref.ref[object]] = [weakref.ref(instance), weakref.ref(function)]
    if close:
        instance.close()
    del instance, function
    assert [reference() for reference in freed] == [None, None]


def test_an_instance_may_be_freed_in_another_thread(
    native: WasmerBackend, capfd: pytest.CaptureFixture[str]
) -> None:
    text = f'(module {MEMORY} (func (export "f") unreachable))'
    held: list[object] = [fresh(native, text), fresh(native, text).function("f", NOTHING)]
    instance = fresh(native, text)
    instance.write(0, b"x")
    try:
        instance.function("f", NOTHING)()
    except Trap as trap:
        held.append(trap)
    del instance
    thread = threading.Thread(target=held.clear)
    thread.start()
    thread.join()
    assert not held
    assert capfd.readouterr().err == ""
    assert fresh(native, text).read(0, 1) == b"\0"


SLOW = """(func (export "f") (local $i i32)
    (loop $l (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1)))
        (i32.const 200000000)))))"""


@pytest.mark.parametrize("kind", [TimeoutError, RuntimeError, OSError, RecursionError])
def test_what_a_signal_handler_raises_goes_through(
    native: WasmerBackend, kind: type[Exception]
) -> None:
    function = fresh(native, f"(module {MEMORY} {SLOW})").function("f", NOTHING)

    def handler(*_: object) -> None:
        raise kind("RuntimeError: unreachable")

    previous = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    try:
        with pytest.raises(kind) as caught:
            function()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert type(caught.value) is kind


def test_what_the_compiler_cannot_do_is_the_modules_fault(native: WasmerBackend) -> None:
    wasm = wat(f'(module {MEMORY} (func (export "f") (param {"i32 " * 600})))')
    native.validate(wasm)
    with pytest.raises(ModuleCompilation) as caught:
        native.compile(wasm, Limits())
    assert "trampoline" in str(caught.value.detail)
