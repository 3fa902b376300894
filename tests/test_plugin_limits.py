"""What a plugin may use, and what its start function may, on every backend."""

from __future__ import annotations

from typing import Any

import pytest

from sen_host import Limits
from sen_host.errors import (
    FuelExhausted,
    FunctionCall,
    Instantiation,
    LimitNotEnforceable,
    ModuleCompilation,
    TrapKind,
    WallClockExceeded,
)
from sen_host.messages import Success
from sen_host_conformance.hosts import Host
from tests.guests import ENDLESS, FRUGAL, GOOD, interrupts
from tests.wat import ANSWER, ANSWER_AT, HEAP_AT, TRAP_SUPPORT, TRAPS, Wat


class TestLimits:
    def test_the_wall_clock(self, host: Host) -> None:
        limits = Limits(fuel=None, wall_clock_seconds=0.3)
        if not interrupts(host):
            with pytest.raises(LimitNotEnforceable, match="wall_clock_seconds") as caught:
                host.loader(limits)
            assert "set isolation to 'process'" in str(caught.value)
            return
        with host.loader(limits).load(ENDLESS) as plugin:
            for _ in range(2):
                with pytest.raises(WallClockExceeded, match=r"'plugin_execute' after 0\.3 s"):
                    plugin.execute([])

    def test_fuel(self, host: Host) -> None:
        with host.loader(Limits(fuel=5_000)).load(ENDLESS) as plugin:
            for _ in range(3):
                with pytest.raises(FuelExhausted, match="its budget of 5,000 is spent"):
                    plugin.execute([])
                assert (plugin.fuel_used, plugin.fuel_left) == (5_000, 0)

    @pytest.mark.parametrize("budget", [2, 3, 10_000_000, 2**63 - 1, 2**63, 2**64 - 1, None])
    def test_fuel_is_reported(self, host: Host, budget: int | None) -> None:
        with host.loader(Limits(fuel=budget)).load(FRUGAL) as plugin:
            assert plugin.execute([]) == Success("fine")
            assert plugin.fuel_used == 2, "the entry and one constant"
            assert plugin.fuel_left == (None if budget is None else budget - 2)

    def test_a_budget_that_is_one_too_small(self, host: Host) -> None:
        with pytest.raises(FuelExhausted, match="'plugin_manifest', its budget of 1 is spent"):
            host.loader(Limits(fuel=1)).load(FRUGAL)

    @pytest.mark.parametrize("function", ["alloc", "execute"])
    def test_what_is_used_up_to_a_trap(self, host: Host, function: str) -> None:
        parts: dict[str, Any] = {function: f"(drop (i32.const 1)) {TRAPS['UNREACHABLE']}"}
        trapping = Wat(**parts).wasm()
        with host.loader(Limits(fuel=100)).load(trapping) as plugin:
            with pytest.raises(FunctionCall):
                plugin.execute([])
            assert (plugin.fuel_used, plugin.fuel_left) == (2, 98)

    def test_a_recursion_without_end(self, host: Host) -> None:
        recursing = Wat(execute="(call $recurse) unreachable", extra=TRAP_SUPPORT).wasm()
        # The frame of execute has two parameters; each of the others is the smallest.
        depth = (Limits().stack_bytes - 64 * 1024 - (96 + 2 * 8)) // 96
        with host.loader().load(recursing) as plugin:
            for _ in range(2):
                with pytest.raises(FunctionCall) as caught:
                    plugin.execute([])
                assert caught.value.trap is TrapKind.STACK_OVERFLOW
                # An entry and all calls each; the one that had no room paid nothing.
                assert plugin.fuel_used == (1 + 1) + (1 + 2) * depth

    def test_more_stack_than_an_engine_has_is_refused(self, host: Host) -> None:
        recursing = Wat(execute="(call $recurse) unreachable", extra=TRAP_SUPPORT).wasm()
        limits = Limits(stack_bytes=2 << 20)
        if host.binding == "sdk":
            with pytest.raises(LimitNotEnforceable, match=r"limits\.stack_bytes") as caught:
                host.loader(limits)
            assert "1,048,576 bytes" in str(caught.value)
            return
        with host.loader(limits).load(recursing) as plugin:
            with pytest.raises(FunctionCall):
                plugin.execute([])
            assert plugin.fuel_used is not None
            assert plugin.fuel_used > 40_000

    def test_an_endless_dealloc_runs_out_of_fuel(
        self, host: Host, caplog: pytest.LogCaptureFixture
    ) -> None:
        endless = Wat(dealloc="(loop (br 0))").wasm()
        with host.loader(Limits(fuel=5_000)).load(endless) as plugin:
            assert plugin.execute([]) == Success("fine")
        assert "plugin_dealloc failed after plugin_execute: out of fuel" in caplog.text

    def test_the_size_of_the_module(self, host: Host) -> None:
        with pytest.raises(ModuleCompilation, match="the limit is 64 bytes"):
            host.loader(Limits(module_bytes=64)).load(GOOD)


class TestStartFunctions:
    """They run when an instance is made, with a budget and a stack of their own."""

    @staticmethod
    def with_start(code: str, **parts: Any) -> bytes:
        extra = f"(func $start {code}) (start $start) {TRAP_SUPPORT}"
        return Wat(extra=extra, **parts).wasm()

    def test_it_runs_before_all_else_and_once(self, host: Host) -> None:
        count = "(global.set $next (i32.add (global.get $next) (i32.const 1)))"
        # The answer is a message of three bytes: a fixstr of the letters that follow.
        once = self.with_start(
            f"{count} (i32.store8 (i32.const {ANSWER_AT + len(ANSWER) - 1}) (global.get $next))",
        )
        expected = Success("fin" + chr((HEAP_AT + 1) % 256))
        with host.loader().load(once) as plugin:
            assert plugin.execute([]) == plugin.execute([]) == expected

    @pytest.mark.parametrize("name", TRAPS)
    def test_a_trap_is_a_failed_instantiation(self, host: Host, name: str) -> None:
        with pytest.raises(Instantiation) as caught:
            host.loader().load(self.with_start(TRAPS[name]))
        assert caught.value.trap is TrapKind[name]

    def test_one_that_never_ends_runs_out_of_fuel(self, host: Host) -> None:
        endless = self.with_start("(loop (br 0))")
        with pytest.raises(FuelExhausted, match="'instantiation', its budget of 500 is spent"):
            host.loader(Limits(fuel=500)).load(endless)

    def test_one_that_never_ends_runs_out_of_time(self, host: Host) -> None:
        limits = Limits(fuel=None, wall_clock_seconds=0.3)
        if interrupts(host):
            with pytest.raises(WallClockExceeded, match="'instantiation'"):
                host.loader(limits).load(self.with_start("(loop (br 0))"))

    def test_its_budget_is_not_that_of_the_next_call(self, host: Host) -> None:
        costly = self.with_start("(drop (i32.const 1))" * 50, alloc=f"(i32.const {HEAP_AT})")
        with host.loader(Limits(fuel=51)).load(costly) as plugin:
            assert plugin.execute([]) == Success("fine")
            assert (plugin.fuel_used, plugin.fuel_left) == (2, 49)
        with pytest.raises(FuelExhausted):
            host.loader(Limits(fuel=50)).load(costly)

    def test_every_fresh_instance_is_started(self, host: Host) -> None:
        trapping = self.with_start(
            f"(global.set $next (i32.const {2 * HEAP_AT}))", execute="(unreachable)"
        )
        with host.loader().load(trapping) as plugin:
            for _ in range(2):
                with pytest.raises(FunctionCall):
                    plugin.execute([])
