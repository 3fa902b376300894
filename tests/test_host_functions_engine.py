"""What host functions ask of an engine: fuel, stack, places to call from, time, signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from sen_host import GuestMemory, Limits, Plugin
from sen_host.errors import (
    FuelExhausted,
    FunctionCall,
    Instantiation,
    TrapKind,
    WallClockExceeded,
    WorkerDied,
    WrongThread,
)
from sen_host.messages import Success
from sen_host_conformance.hosts import Host
from tests.guests import interrupts
from tests.host_functions import FINE, Offered, exits, importing, load, raises
from tests.wat import ANSWER, ANSWER_AT, MANIFEST, MANIFEST_AT, assemble, data, message

NOTHING = ("", lambda _: None)


# --- fuel and stack -----------------------------------------------------------

CALLS_TWICE = importing(
    "note: i32 ->",
    execute=f"""
    (call $note (i32.const 1))
    (if (i32.gt_u (local.get $length) (i32.const 1)) (then
      (br_if 0 (i32.eqz (local.get $length)))
      (call $note (i32.const 2))))
    {FINE}""",
    alloc="(i32.const 4096)",
)


def test_a_call_costs_one(host: Host) -> None:
    offered = Offered(note=("i32", lambda *_: None))
    with load(host, offered, CALLS_TWICE) as plugin:
        plugin.execute()
        assert plugin.fuel_used == 1 + 2 + 4 + 1
        plugin.execute(["now"])
        assert plugin.fuel_used == (1 + 2 + 4) + 3 + 2 + 1


@pytest.mark.parametrize(("fuel", "done"), [(12, [1]), (11, [1]), (10, [1]), (8, [1]), (7, [])])
def test_what_is_overdrawn_calls_nothing(host: Host, fuel: int, done: list[int]) -> None:
    offered = Offered(note=("i32", lambda *_: None))
    with load(host, offered, CALLS_TWICE, limits=Limits(fuel=fuel)) as plugin:
        with pytest.raises(FuelExhausted):
            plugin.execute(["now"])
        assert (plugin.fuel_used, plugin.fuel_left) == (fuel, 0)
    assert offered.calls == [("note", number) for number in done]


def test_an_indirect_call_is_looked_at_too(host: Host) -> None:
    offered = Offered(note=("", lambda _: None))
    wasm = importing(
        "note: ->",
        execute=f"""
        (if (i32.gt_u (local.get $length) (i32.const 1)) (then
          (call_indirect (type $void) (i32.const 0))
          (block (br_if 0 (i32.const 0)) (i32.const 0) (i32.const 0) (i32.const 0) drop drop drop
            (call_indirect (type $void) (i32.const 0)))))
        {FINE}""",
        alloc="(i32.const 4096)",
        extra="(table 1 funcref) (elem (i32.const 0) func $note)",
    )
    for fuel, times in ((100, 2), (14, 1), (10, 1), (9, 0)):
        offered.seen.clear()
        with load(host, offered, wasm, limits=Limits(fuel=fuel)) as plugin:
            if times == 2:
                plugin.execute(["now"])
                assert plugin.fuel_used == (1 + 4) + 1 + 2 + 2 + 3 + 2
            else:
                with pytest.raises(FuelExhausted):
                    plugin.execute(["now"])
        assert offered.calls == [("note",)] * times


def test_a_function_is_called_from_the_deepest_place_that_there_is(host: Host) -> None:
    """The native stack suffices there for a host function that calls on."""

    def deep(_: GuestMemory, depth: int) -> int:
        reached.append(depth)
        return recurse(100)

    def recurse(left: int) -> int:
        return recurse(left - 1) + 1 if left else 0

    reached: list[int] = []
    wasm = importing(
        "deep: i32 -> i32",
        execute="(call $down (i32.const 1)) unreachable",
        extra="""
        (func $down (param $depth i32)
          (drop (call $deep (local.get $depth)))
          (call $down (i32.add (local.get $depth) (i32.const 1))))""",
    )
    limits = Limits(fuel=None)
    plugin = load(host, Offered(deep=("i32 -> i32", deep)), wasm, limits=limits)
    with plugin, pytest.raises(FunctionCall) as info:
        plugin.execute()
    assert info.value.trap is TrapKind.STACK_OVERFLOW
    assert reached == list(range(1, len(reached) + 1))
    # 983,040 bytes less the frame of execute, by that of $down: 96 + 8 * (1 + 3 * 2 + 2).
    assert len(reached) == 5850


def test_a_thread_needs_a_stack_for_both(host: Host) -> None:
    if host.isolation == "process":
        pytest.skip("the guest has the stack of its worker")
    if host.binding == "public":
        pytest.skip("where the stack of a thread ends is tested with the other binding")
    offered = Offered(note=NOTHING)
    wasm = importing("note: ->", execute=f"(call $note) {FINE}")
    raised: list[BaseException] = []

    def run() -> None:
        try:
            load(host, offered, wasm)
        except WrongThread as error:
            raised.append(error)

    threading.stack_size((1 << 20) + 512 * 1024)
    try:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(0)
    (error,) = raised
    assert "threading.stack_size" in str(error)


# --- where functions may be called from ---------------------------------------


def test_the_functions_are_told_what_begins_and_ends(host: Host) -> None:
    offered = Offered(note=("i32", lambda *_: None))
    wasm = importing(
        "note: i32 ->",
        manifest=f"(call $note (i32.const 1)) {message(MANIFEST_AT, MANIFEST)}",
        alloc="(call $note (i32.const 2)) (i32.const 4096)",
        execute=f"(call $note (i32.const 3)) {FINE}",
        dealloc="(call $note (i32.const 4))",
        extra="(start $start) (func $start (call $note (i32.const 5)))",
    )
    with load(host, offered, wasm) as plugin:
        assert offered.seen.count("close") == 1  # of the object that was asked for its types
        plugin.execute(["a", "é"])
    assert [item for item in offered.seen if item != "close"] == [
        ("begin", "instantiation"),
        ("note", 5),
        "end",
        ("begin", "plugin_manifest"),
        *[("note", 1), ("note", 4)],
        "end",
        ("begin", "plugin_execute", "a", "é"),
        *[("note", number) for number in (2, 3, 4, 4)],
        "end",
    ]
    assert offered.seen[-1] == "close"
    assert offered.seen.count("close") == 2


def test_the_start_function_and_the_abi_may_be_imports(host: Host) -> None:
    offered = Offered(init=NOTHING, dealloc=("i32 i32", lambda *_: None))
    text = f"""
    (module
      (import "host" "init" (func $init))
      (import "host" "dealloc" (func $dealloc (param i32 i32)))
      (memory (export "memory") 1)
      {data(MANIFEST_AT, MANIFEST)} {data(ANSWER_AT, ANSWER)}
      (func (export "plugin_alloc") (param i32) (result i32) (i32.const 4096))
      (export "plugin_dealloc" (func $dealloc))
      (func (export "plugin_manifest") (result i64) {message(MANIFEST_AT, MANIFEST)})
      (func (export "plugin_execute") (param i32 i32) (result i64) {FINE})
      (start $init))"""
    with load(host, offered, assemble(text)) as plugin:
        assert plugin.execute(["x"]) == Success("fine")
    assert offered.calls == [
        ("init",),
        ("dealloc", MANIFEST_AT, len(MANIFEST)),
        ("dealloc", 4096, 3),
        ("dealloc", ANSWER_AT, len(ANSWER)),
    ]


def test_an_exit_in_the_start_function_is_an_instantiation_that_failed(host: Host) -> None:
    wasm = importing(
        "exit: i32 ->", extra="(start $start) (func $start (call $exit (i32.const 4)))"
    )
    with pytest.raises(Instantiation, match="exited with code 4") as info:
        load(host, Offered(exit=("i32", exits)), wasm)
    assert info.value.trap is TrapKind.EXIT


@pytest.mark.parametrize("code", [0, 7])
def test_an_exit_while_a_message_is_freed_leaves_the_message(host: Host, code: int) -> None:
    wasm = importing(
        "exit: i32 ->",
        dealloc=f"""
        (if (i32.eq (local.get 0) (i32.const {ANSWER_AT}))
          (then (call $exit (i32.const {code}))))""",
    )
    with load(host, Offered(exit=("i32", exits)), wasm) as plugin:
        assert plugin.execute() == Success("fine")
        assert plugin.memory_bytes is None
        assert plugin.execute() == Success("fine")


def test_an_interrupt_while_a_message_is_freed_is_not_lost(host: Host) -> None:
    offered = Offered(fail=("", raises(KeyboardInterrupt())))
    wasm = importing(
        "fail: ->",
        dealloc=f"(if (i32.eq (local.get 0) (i32.const {ANSWER_AT})) (then (call $fail)))",
    )
    with load(host, offered, wasm) as plugin, pytest.raises(KeyboardInterrupt):
        plugin.execute()


# --- time ---------------------------------------------------------------------


def test_time_in_a_function_counts(host: Host) -> None:
    if not interrupts(host):
        pytest.skip("the binding has no wall clock")
    after: list[int] = []
    offered = Offered(sleep=("", lambda _: time.sleep(0.5)), after=("", lambda _: after.append(1)))
    wasm = importing("sleep: ->", "after: ->", execute=f"(call $sleep) (call $after) {FINE}")
    with load(host, offered, wasm, limits=Limits(wall_clock_seconds=0.4)) as plugin:
        with pytest.raises(WallClockExceeded):
            plugin.execute()
        assert plugin.fuel_used == 1 + 2 + 1
    assert after == []


def test_a_plugin_is_closed_while_the_host_works_for_it(host: Host) -> None:
    if host.isolation != "process":
        pytest.skip("a guest in this process is waited for")
    plugins: list[Plugin] = []

    def close(memory: GuestMemory) -> None:
        thread = threading.Thread(target=plugins[0].close)
        thread.start()
        thread.join()
        memory.read(0, 1)

    wasm = importing("close: ->", execute=f"(call $close) {FINE}")
    with load(host, Offered(close=("", close)), wasm) as plugin:
        plugins.append(plugin)
        with pytest.raises(WorkerDied):
            plugin.execute()


def test_a_killed_worker_is_replaced(host: Host) -> None:
    if host.isolation != "process":
        pytest.skip("there is no worker")
    pids: list[int] = []

    others = set(workers())

    def kill(_: GuestMemory) -> None:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    wasm = importing("kill: ->", execute=f"(call $kill) {FINE}")
    with load(host, Offered(kill=("", kill)), wasm) as plugin:
        pids += set(workers()) - others
        with pytest.raises(WorkerDied):
            plugin.execute()
        pids.clear()
        assert plugin.execute() == Success("fine")


def workers() -> list[int]:
    """The processes that this one has started."""
    path = Path(f"/proc/{os.getpid()}/task/{threading.get_native_id()}/children")
    return [int(pid) for pid in path.read_text().split()]


# --- signals ------------------------------------------------------------------


def test_an_interrupt_that_waits_for_a_guest_is_raised_when_it_calls(host: Host) -> None:
    """A handler that raises must not do so through the engine's frames."""
    if host.isolation == "process":
        pytest.skip("a guest in a worker is not waited for")
    program = f"""
    import os, signal, sys, threading, time
    sys.path[:0] = {sys.path!r}
    from sen_host_conformance.hosts import Host
    from tests.host_functions import FINE, Offered, importing, load

    work = "(local $n i32) (loop $again (br_if $again (i32.lt_u (local.tee $n"
    work += " (i32.add (local.get $n) (i32.const 1))) (i32.const 100000000))))"
    wasm = importing("note: ->", execute=f"{{work}} (call $note) {{FINE}}")
    offered = Offered(note=("", lambda _: None))
    plugin = load({host!r}, offered, wasm, limits=__import__("sen_host").Limits(fuel=None))
    threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        while True:
            plugin.execute()
    except KeyboardInterrupt:
        print("interrupted")
    del offered.seen[:]
    plugin.execute()
    print(offered.calls)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted\n[('note',)]\n", "")
