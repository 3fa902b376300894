"""A whole exchange in one crossing leads to what its single steps lead to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sen_host import abi
from sen_host.backend import Backend, CompositeInstance, Exchanged, Instance, Trap
from sen_host.limits import Limits
from tests.backends.wasmer_scenarios import Run, instrumented, wat
from tests.guests import WITH_WASI

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
    (func $divide (result i32) (i32.div_u (i32.const 1) (i32.const 0)))
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
    "alloc divides by zero": {"alloc": "(i32.div_u (i32.const 1) (i32.const 0))"},
    "alloc divides by zero further down": {"alloc": "(call $divide)"},
    "execute divides by zero further down": {"execute": "(drop (call $divide))" + ECHO},
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

LARGE = 1 << 20
"""The size of the buffers."""

PAYLOADS = {"one byte": b"\xff", "short": b"hello", "64 KiB": bytes(range(256)) * 256}


def terms(limits: Limits) -> dict[str, Any]:
    return {
        "result_bytes": limits.result_bytes,
        "fuel": limits.fuel or 0,
        "stack": limits.stack_bytes - abi.NATIVE_STACK_BYTES,
        "seconds": limits.wall_clock_seconds,
    }


def by_primitives(
    instance: Instance,
    function: str,
    prefix: tuple[int, ...],
    payload: bytes | None,
    limits: Limits,
) -> Exchanged:
    return abi.exchange(instance, function, prefix, payload, **terms(limits))


def in_one_crossing(
    instance: Instance,
    function: str,
    prefix: tuple[int, ...],
    payload: bytes | None,
    limits: Limits,
) -> Exchanged:
    assert isinstance(instance, CompositeInstance)
    facts = instance.exchange(function, prefix, payload, **terms(limits))
    if facts is None:
        assert payload is not None
        assert len(payload) > LARGE
        return by_primitives(instance, function, prefix, payload, limits)
    return facts


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


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("case", CASES)
def test_an_exchange_in_one_crossing_equals_the_single_steps(
    exchanging: Run, case: str, payload: str
) -> None:
    wasm = wat(PLUGIN.format_map(DEFAULTS | CASES[case]))
    data = PAYLOADS[payload]
    steps = [
        ("plugin_manifest", (), None),
        ("plugin_execute", (), data),
        ("plugin_resume", (2**32 - 1,), data[:64] + b"four"),
    ]
    for expected, actual in exchanging(both_ways, wasm, steps, 70_000):
        assert actual == expected


ALLOCS = {"taken": "(local.get $at)", "refused": "(i32.const 0)", "trapped": "unreachable"}


@pytest.mark.parametrize("alloc", ALLOCS)
@pytest.mark.parametrize("size", [LARGE - 1, LARGE, LARGE + 1, LARGE + 65_408, 3 * LARGE + 5])
def test_payloads_and_messages_larger_than_a_buffer(exchanging: Run, size: int, alloc: str) -> None:
    wasm = wat(PLUGIN.format_map(DEFAULTS | {"pages": "256", "alloc": ALLOCS[alloc]}))
    payload = (bytes(range(251)) * (size // 251 + 1))[:size]
    steps: Steps = [("plugin_execute", (), payload), ("plugin_execute", (), b"small")]
    pairs = exchanging(both_ways, wasm, steps, 4 * LARGE)
    for expected, actual in pairs:
        assert actual == expected
    assert (payload in pairs[0][1]) is (alloc == "taken")


@pytest.mark.parametrize("dealloc", ["", "unreachable", "(drop (i32.load (i32.const -1)))"])
@pytest.mark.parametrize("size", [LARGE + 65_407, LARGE + 65_408, LARGE + 65_409, 3 * LARGE + 5])
def test_a_long_result_of_a_short_payload(exchanging: Run, size: int, dealloc: str) -> None:
    execute = f"(i32.store8 (i32.const {size}) (i32.const 7))"
    execute += f"(call $packed (i32.const 1) (i32.const {size}))"
    changes = {"pages": "64", "execute": execute, "dealloc": dealloc}
    wasm = wat(PLUGIN.format_map(DEFAULTS | changes))
    for result_bytes in (size - 1, size):
        steps: Steps = [("plugin_execute", (), b"short"), ("plugin_execute", (), b"again")]
        pairs = exchanging(both_ways, wasm, steps, result_bytes)
        for expected, actual in pairs:
            assert actual == expected
        data = pairs[0][1][3]
        assert data is None if result_bytes < size else data[-1] == 7


PLUGINS = sorted(
    path
    for path in (Path(__file__).parents[2] / "plugins").rglob("*.wasm")
    if path.stem not in WITH_WASI
)


@pytest.mark.parametrize("path", PLUGINS, ids=lambda path: str(path.stem))
def test_real_plugins_answer_the_same_in_one_crossing(exchanging: Run, path: Path) -> None:
    steps = [
        ("plugin_manifest", (), None),
        ("plugin_execute", (), b"\x91\xa5Alice"),
        ("plugin_execute", (), b"not a list of arguments"),
        ("plugin_execute", (), b"\x90"),
    ]
    pairs = exchanging(both_ways, path.read_bytes(), steps, LARGE)
    assert len(pairs) == 2 * len(steps)
    assert len(pairs[0][1][3]) > 20
    for expected, actual in pairs:
        assert actual == expected
