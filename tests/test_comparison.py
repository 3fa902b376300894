"""What ``compare`` and ``check`` rest on: fresh instances, traces, refusals of the profile."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sen_host import Plugin
from sen_host.comparison import Failure, record, refuse_requests
from sen_host.errors import FunctionCall, PluginClosed, TrapKind
from sen_host.messages import Effect, HttpGet, Sleep, SleepComplete, Success
from sen_host.wasm.exceptions import FEATURES
from sen_host.wasm.profile import check_profile, refusals
from sen_host.wasm.reader import parse
from sen_host_conformance.hosts import Host
from tests.wat import ANSWER, ANSWER_AT, Wat, assemble, message

COUNTER = """
(global.set $calls (i32.add (global.get $calls) (i32.const 1)))
(if (i32.gt_u (global.get $calls) (i32.const 2)) (then unreachable))
"""


@pytest.fixture
def plugin(host: Host) -> Iterator[Plugin]:
    """It traps from the third call on."""
    wat = Wat(
        execute=COUNTER + message(ANSWER_AT, ANSWER),
        extra="(global $calls (mut i32) (i32.const 0))",
    )
    with host.loader().load(wat.wasm()) as plugin:
        yield plugin


class TestRestart:
    def test_what_the_plugin_remembered_is_gone(self, plugin: Plugin) -> None:
        before, fuel = plugin.manifest, plugin.fuel_used
        for _ in range(3):
            assert plugin.execute() == plugin.execute() == Success("fine")
            plugin.restart()
            assert (plugin.manifest, plugin.fuel_used) == (before, fuel)
        plugin.execute()
        plugin.execute()
        with pytest.raises(FunctionCall):
            plugin.execute()

    def test_it_may_follow_a_trap(self, plugin: Plugin) -> None:
        plugin.execute()
        plugin.execute()
        with pytest.raises(FunctionCall):
            plugin.execute()
        plugin.restart()
        assert plugin.execute() == Success("fine")

    def test_a_closed_plugin_stays_closed(self, plugin: Plugin) -> None:
        plugin.close()
        with pytest.raises(PluginClosed):
            plugin.restart()


class TestRecord:
    def test_a_run_goes_on_in_the_same_instance_if_asked_to(self, plugin: Plugin) -> None:
        outcomes = [record(plugin, (), fresh=False)[-1].outcome for _ in range(3)]
        assert outcomes[:2] == [Success("fine")] * 2
        assert isinstance(outcomes[2], Failure)
        assert (outcomes[2].kind, outcomes[2].trap) == ("FunctionCall", TrapKind.UNREACHABLE)
        assert record(plugin, ())[-1].outcome == Success("fine")

    def test_a_closed_plugin_is_one_failed_step(self, plugin: Plugin) -> None:
        plugin.close()
        (step,) = record(plugin, ())
        assert isinstance(step.outcome, Failure)
        assert step.outcome.kind == "PluginClosed"
        assert (step.fuel_used, step.fuel_left, step.memory_bytes) == (None, None, None)

    @pytest.mark.parametrize("effect", [Sleep(1, 2**63), HttpGet(1, "http://x")])
    def test_answers_take_no_time_and_no_network(self, effect: Effect) -> None:
        answer = refuse_requests(effect)
        assert isinstance(answer, SleepComplete) == isinstance(effect, Sleep)


MODULE = """
(module
  (global v128 (v128.const i64x2 0 0))
  (table 1 externref)
  (elem (table 0) (i32.const 0) externref (ref.null extern))
  (func $one (drop (v128.const i64x2 1 2)))
  (func $two)
  (func $three (param v128)))
"""


class TestRefusals:
    def test_each_place_has_one_and_the_first_is_what_the_check_raises(self) -> None:
        module = parse(assemble(MODULE))
        found = [error.message for error in refusals(module)]
        assert [message.partition(" of the ")[0] for message in found] == [
            "the module uses v128 in function type 1",
            "the module uses v128 in global 0",
            "the module uses an element segment of externref",
            "the module uses v128.const",
        ]
        with pytest.raises(type(next(refusals(module)))) as first:
            check_profile(module)
        assert first.value.message == found[0]

    def test_what_is_accepted_is_none(self) -> None:
        module = parse(assemble(MODULE))
        assert list(refusals(module, frozenset(FEATURES))) == []
        assert len(list(refusals(module, frozenset({"simd"})))) == 1

    def test_what_cannot_be_read_is_the_last(self) -> None:
        # A data segment of a kind that there is not.
        malformed = b"\0asm\x01\0\0\0" + b"\x0b\x02\x01\x07"
        (error,) = refusals(parse(malformed))
        assert error.offset is not None
