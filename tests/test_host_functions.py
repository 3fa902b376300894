"""Plugins call functions of the host, in the same way on every engine."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pytest

from sen_host import GuestMemory, HostFunctions, MemoryRange, Plugin
from sen_host.backend import FuncType
from sen_host.errors import (
    FunctionCall,
    ImportNotGranted,
    PluginBusy,
    TrapKind,
)
from sen_host.messages import Capabilities, StdioCapability, Success
from sen_host_conformance.hosts import Host
from tests.host_functions import FINE, Offered, exits, importing, load, loader, raises
from tests.wat import ANSWER, ANSWER_AT, Wat

NOTHING = ("", lambda _: None)


def outcome(plugin: Plugin, *args: str) -> object:
    """What execute comes to, and its fuel."""
    try:
        return plugin.execute(args), plugin.fuel_used
    except FunctionCall as error:
        return error.trap, error.exit_code, plugin.fuel_used


# --- values -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "value"),
    [("i32", 0), ("i32", 2**31), ("i32", 2**32 - 1), ("i64", 2**63), ("i64", 2**64 - 1)],
)
def test_arguments_and_results_are_unsigned(host: Host, kind: str, value: int) -> None:
    signed = value - 2 ** int(kind[1:]) if value >= 2 ** int(kind[1:]) // 2 else value
    offered = Offered(same=(f"{kind} -> {kind}", lambda _, value: value))
    wasm = importing(
        f"same: {kind} -> {kind}",
        execute=f"""
        (if ({kind}.ne (call $same ({kind}.const {signed})) ({kind}.const {signed}))
          (then unreachable))
        {FINE}""",
    )
    with load(host, offered, wasm) as plugin:
        assert plugin.execute() == Success("fine")
    assert offered.calls == [("same", value)]


def test_a_negative_result_is_taken_in_twos_complement(host: Host) -> None:
    offered = Offered(minus=("-> i32", lambda _: -(2**31)))
    wasm = importing(
        "minus: -> i32",
        execute=f"(if (i32.ne (call $minus) (i32.const 0x80000000)) (then unreachable)) {FINE}",
    )
    with load(host, offered, wasm) as plugin:
        assert plugin.execute() == Success("fine")


@pytest.mark.parametrize("result", [2**32, -(2**31) - 1, None, "1", 1.0])
def test_a_result_that_is_none_of_its_type_is_an_error(host: Host, result: object) -> None:
    wrong: Callable[..., Any] = lambda _: result  # noqa: E731
    wasm = importing("wrong: -> i32", execute=f"(drop (call $wrong)) {FINE}")
    said = r"host\.wrong returned .*, its type is \(\) -> \(i32\)"
    plugin = load(host, Offered(wrong=("-> i32", wrong)), wasm)
    with plugin, pytest.raises(TypeError, match=said):
        plugin.execute()


def test_many_arguments_of_both_types_arrive_in_their_order(host: Host) -> None:
    kinds = ["i32", "i64", "i64", "i32", "i32"] * 4
    values = [3**number % 2**31 for number in range(len(kinds))]
    type = f"{' '.join(kinds)} -> i64"
    given = " ".join(f"({kind}.const {value})" for kind, value in zip(kinds, values, strict=True))
    offered = Offered(many=(type, lambda _, *values: sum(values)))
    wasm = importing(
        f"many: {type}",
        execute=f"""
        (if (i64.ne (call $many {given}) (i64.const {sum(values)})) (then unreachable))
        {FINE}""",
    )
    with load(host, offered, wasm) as plugin:
        assert plugin.execute() == Success("fine")
    assert offered.calls == [("many", *values)]


# --- memory -------------------------------------------------------------------


def test_a_function_reads_and_writes_the_memory_of_its_caller(host: Host) -> None:
    def shout(memory: GuestMemory, at: int, length: int) -> None:
        memory.write(at, memory.read(at, length).upper())

    at = ANSWER_AT + len(ANSWER) - 4
    offered = Offered(shout=("i32 i32", shout))
    wasm = importing(
        "shout: i32 i32 ->", execute=f"(call $shout (i32.const {at}) (i32.const 4)) {FINE}"
    )
    with load(host, offered, wasm) as plugin:
        assert plugin.execute() == Success("FINE")
        assert plugin.execute() == Success("FINE")


def test_the_memory_may_grow_before_and_after_a_call(host: Host) -> None:
    sizes = []

    def note(memory: GuestMemory) -> None:
        sizes.append(memory.size())
        memory.write(memory.size() - 4, b"last")
        assert memory.read(memory.size() - 4, 4) == b"last"

    offered = Offered(note=("", note))
    last = "(i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 4))"
    checked = f"""
    (call $note)
    (if (i32.ne (i32.load {last}) (i32.const 0x7473616c)) (then unreachable))"""
    grow = "(drop (memory.grow (i32.const 3)))"
    wasm = importing(
        "note: ->", execute=f"{checked} {grow} {checked} {grow} {checked} {grow} {FINE}"
    )
    with load(host, offered, wasm) as plugin:
        assert plugin.execute() == Success("fine")
        assert plugin.memory_bytes == 10 * 65_536
    assert sizes == [65_536, 4 * 65_536, 7 * 65_536]


TOUCHING = importing("touch: ->", execute=f"(call $touch) {FINE}")


@pytest.mark.parametrize(
    ("offset", "length"), [(65_536, 1), (65_535, 2), (0, 65_537), (2**32 - 1, 2), (-1, 1), (5, -1)]
)
def test_what_is_out_of_bounds_is_neither_read_nor_written(
    host: Host, offset: int, length: int
) -> None:
    refused = []

    def touch(memory: GuestMemory) -> None:
        with pytest.raises(MemoryRange) as info:
            memory.read(offset, length)
        refused.append(info.value)
        if length >= 0:
            with pytest.raises(MemoryRange):
                memory.write(offset, bytes(length))

    with load(host, Offered(touch=("", touch)), TOUCHING) as plugin:
        assert plugin.execute() == Success("fine")
    (error,) = refused
    assert (error.offset, error.length, error.memory_bytes) == (offset, length, 65_536)
    assert isinstance(error, IndexError)


def test_an_empty_range_at_the_end_is_in_bounds(host: Host) -> None:
    def touch(memory: GuestMemory) -> None:
        assert memory.read(65_536, 0) == b""
        memory.write(65_536, b"")

    with load(host, Offered(touch=("", touch)), TOUCHING) as plugin:
        assert plugin.execute() == Success("fine")


def test_a_megabyte_goes_both_ways(host: Host) -> None:
    content = bytes(range(256)) * 4096

    def move(memory: GuestMemory) -> None:
        memory.write(65_536, content)
        assert memory.read(65_536, len(content)) == content

    wasm = importing(
        "move: ->",
        execute=f"(drop (memory.grow (i32.const 16))) (call $move) {FINE}",
    )
    with load(host, Offered(move=("", move)), wasm) as plugin:
        assert plugin.execute() == Success("fine")


# --- how it ends --------------------------------------------------------------


def test_an_exit_ends_the_guest_with_its_code(host: Host) -> None:
    offered = Offered(exit=("i32", exits))
    wasm = importing(
        "exit: i32 ->",
        execute=f"""
        (if (i32.gt_u (local.get $length) (i32.const 1)) (then
          (call $exit (i32.const -1)) (loop $for_ever (br $for_ever))))
        {FINE}""",
    )
    with load(host, offered, wasm) as plugin:
        with pytest.raises(
            FunctionCall, match="exited in 'plugin_execute' with code 4294967295"
        ) as e:
            plugin.execute(["now"])
        assert (e.value.trap, e.value.exit_code) == (TrapKind.EXIT, 2**32 - 1)
        assert pickle.loads(pickle.dumps(e.value)).exit_code == 2**32 - 1
        # Entry, condition and if, what follows it, and what is in its arm.
        assert (plugin.fuel_used, plugin.memory_bytes) == (1 + 4 + 1 + 2, None)
        assert plugin.execute() == Success("fine")


@pytest.mark.parametrize(
    "error", [KeyError("no"), KeyboardInterrupt(), SystemExit(3), GeneratorExit()]
)
def test_what_a_function_raises_reaches_the_caller_as_it_is(
    host: Host, error: BaseException
) -> None:
    offered = Offered(fail=("", raises(error)), after=NOTHING)
    wasm = importing(
        "fail: ->",
        "after: ->",
        execute=f"""
        (if (i32.gt_u (local.get $length) (i32.const 1)) (then (call $fail) (call $after)))
        {FINE}""",
    )
    with load(host, offered, wasm) as plugin:
        with pytest.raises(type(error)) as info:
            plugin.execute(["now"])
        assert info.value is error
        assert plugin.fuel_used == 1 + 4 + 1 + 2
        assert plugin.execute() == Success("fine")
    assert offered.calls == [("fail",)]


def test_an_engine_trap_after_a_call_is_what_it_is(host: Host) -> None:
    wasm = importing(
        "call: ->", execute=f"(call $call) (drop (i32.div_u (i32.const 1) (i32.const 0))) {FINE}"
    )
    with load(host, Offered(call=NOTHING), wasm) as plugin:
        with pytest.raises(FunctionCall) as info:
            plugin.execute()
        assert info.value.trap is TrapKind.INTEGER_DIVIDE_BY_ZERO


def test_a_function_must_not_call_its_plugin(host: Host) -> None:
    plugins: list[Plugin] = []
    offered = Offered(again=("-> i32", lambda _: int(plugins[0].execute() is None)))
    wasm = importing(
        "again: -> i32",
        execute=f"""
        (if (i32.gt_u (local.get $length) (i32.const 1)) (then (drop (call $again))))
        {FINE}""",
    )
    with load(host, offered, wasm) as plugin:
        plugins.append(plugin)
        with pytest.raises(PluginBusy, match="in the middle of a call"):
            plugin.execute(["now"])
        assert plugin.execute() == Success("fine")


def test_a_function_may_call_another_plugin(host: Host) -> None:
    wasm = importing("ask: -> i32", execute=f"(drop (call $ask)) {FINE}")
    inner = load(host, Offered(ask=("-> i32", lambda _: 1)), wasm)
    outer = Offered(ask=("-> i32", lambda _: len(str(inner.execute()))))
    with inner, load(host, outer, wasm) as plugin:
        assert plugin.execute() == Success("fine")


# --- what is granted ----------------------------------------------------------


def test_what_is_not_offered_is_refused_by_name(host: Host) -> None:
    wasm = importing("known: ->", "unknown: i32 -> i32")
    with pytest.raises(ImportNotGranted, match=r"function 'host'\.'unknown'") as info:
        load(host, Offered(known=NOTHING), wasm)
    assert info.value.imports == (("host", "unknown", "function"),)
    with pytest.raises(ImportNotGranted, match="without host imports") as info:
        loader(host, None).load(wasm)
    assert len(info.value.imports) == 2


@pytest.mark.parametrize("type", ["i32 ->", "-> i32", "i32 -> i64", "i64 -> i32", "f32 -> i32"])
def test_another_type_is_refused(host: Host, type: str) -> None:
    offered = Offered(function=(type, lambda *_: None))
    wasm = importing("function: i32 -> i32")
    with pytest.raises(ImportNotGranted, match=r"as \(i32\) -> \(i32\), it is offered as") as info:
        load(host, offered, wasm)
    assert info.value.imports == (("host", "function", "function"),)
    assert pickle.loads(pickle.dumps(info.value)).mismatch == info.value.mismatch


def test_floats_cannot_be_offered(host: Host) -> None:
    with pytest.raises(ImportNotGranted):
        load(host, Offered(function=("f64 ->", lambda *_: None)), importing("function: f64 ->"))


@pytest.mark.parametrize(
    ("item", "kind"),
    [
        ("(memory 1)", "memory"),
        ("(table 1 funcref)", "table"),
        ("(global i32)", "global"),
    ],
)
def test_nothing_but_functions_can_be_imported(host: Host, item: str, kind: str) -> None:
    text = Wat(
        imports=f'(import "host" "known" (func)) (import "host" "other" {item})',
        memory="" if kind == "memory" else '(memory (export "memory") 1)',
        extra='(export "memory" (memory 0))' if kind == "memory" else "",
    )
    with pytest.raises(ImportNotGranted) as info:
        load(host, Offered(known=NOTHING), text.wasm())
    assert info.value.imports == (("host", "other", kind),)


def test_a_module_from_the_cache_is_checked_again(host: Host) -> None:
    wasm = importing("note: i32 -> i32", execute=f"(drop (call $note (i32.const 1))) {FINE}")
    for _ in range(2):
        offered = Offered(note=("i32 -> i32", lambda _, value: value))
        with load(host, offered, wasm) as plugin:
            assert plugin.execute() == Success("fine")
            fuel = plugin.fuel_used
        assert offered.calls == [("note", 1)]
    with pytest.raises(ImportNotGranted, match=r"not granted: function 'host'\.'note'"):
        loader(host, None).load(wasm)
    with pytest.raises(ImportNotGranted, match="offered as"):
        load(host, Offered(note=("i32 ->", lambda *_: None)), wasm)
    assert fuel == 1 + 2 + 1


def test_each_instance_has_functions_of_its_own(host: Host) -> None:
    made: list[Offered] = []

    def make() -> HostFunctions:
        made.append(Offered(exit=("i32", exits)))
        return made[-1]

    wasm = importing(
        "exit: i32 ->",
        execute=f"""
        (if (i32.gt_u (local.get $length) (i32.const 1)) (then (call $exit (i32.const 1))))
        {FINE}""",
    )
    with loader(host, make, cache=False).load(wasm) as plugin, plugin.clone() as other:
        assert len(made) == 2  # the first was asked for its types
        other.execute()
        with pytest.raises(FunctionCall):
            plugin.execute(["now"])
        plugin.execute()
        assert len(made) == 4
        assert [functions.seen.count("close") for functions in made] == [1, 1, 0, 0]
    assert [functions.seen.count("close") for functions in made] == [1, 1, 1, 1]


GRANTED = Capabilities(env_read=("HOME",), stdio=StdioCapability(stdout=True))


class Reporter(HostFunctions):
    """Tells the guest how many variables it may read."""

    @property
    def types(self) -> dict[tuple[str, str], FuncType]:
        return {("host", "granted"): FuncType((), ("i32",))}

    def call(self, *_: object) -> int:
        return len(self.granted.env_read)


def test_a_grant_reaches_the_functions_and_goes_along(host: Host) -> None:
    wasm = importing(
        "granted: -> i32",
        execute=f"(if (call $granted) (then unreachable)) {FINE}",
    )
    with loader(host, Reporter).load(wasm) as plugin:
        assert plugin.granted == Capabilities()
        assert plugin.execute() == Success("fine")
        plugin.grant(GRANTED)
        with plugin.clone() as clone, pickle.loads(pickle.dumps(plugin)) as sent:
            for one in (plugin, clone, sent):
                assert one.granted == GRANTED
                with pytest.raises(FunctionCall):
                    one.execute()
            clone.grant(Capabilities())
            assert clone.execute() == Success("fine")
