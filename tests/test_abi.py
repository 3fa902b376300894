"""The ABI layer against an engine made of Python functions."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sen_host.abi import (
    EXECUTE,
    FUNCTIONS,
    MANIFEST,
    RESUME,
    Guest,
    check_exports,
    fits,
    pack,
    unpack,
)
from sen_host.backend import ALLOC, DEALLOC, FUEL, STACK, FuncType, Trap
from sen_host.errors import (
    EffectsNotSupported,
    EngineFault,
    FuelExhausted,
    FunctionCall,
    FunctionNotFound,
    MemoryAccess,
    ResultTooLarge,
    Serialization,
    SignatureMismatch,
    TrapKind,
    WallClockExceeded,
)
from sen_host.limits import PAGE_BYTES, Limits
from tests.fake_engine import FakeInstance

U32 = st.integers(0, 2**32 - 1)


def guest_of(instance: FakeInstance, limits: Limits | None = None) -> Guest:
    return Guest(instance, limits or Limits(), has_resume=True)


def trapping(kind: TrapKind) -> object:
    def trap(*_: int) -> int:
        raise Trap(kind, "the engine's words")

    return trap


class TestPacking:
    @given(U32, U32)
    def test_unpack_is_the_inverse_of_pack(self, pointer: int, length: int) -> None:
        assert unpack(pack(pointer, length)) == (pointer, length)

    @given(U32, U32)
    def test_a_signed_i64_unpacks_to_the_same(self, pointer: int, length: int) -> None:
        packed = pack(pointer, length)
        signed = packed - 2**64 if packed >= 2**63 else packed
        assert unpack(signed) == (pointer, length)

    def test_the_highest_pointer_and_length(self) -> None:
        assert pack(2**32 - 1, 2**32 - 1) == 2**64 - 1
        assert pack(2**31, 1) == 2**63 + 1

    @pytest.mark.parametrize(("pointer", "length"), [(-1, 0), (0, -1), (2**32, 0), (0, 2**32)])
    def test_what_is_not_32_bits_is_refused(self, pointer: int, length: int) -> None:
        with pytest.raises(ValueError, match="must be 0"):
            pack(pointer, length)

    @pytest.mark.parametrize("packed", [2**64, -(2**63) - 1])
    def test_what_is_not_64_bits_is_refused(self, packed: int) -> None:
        with pytest.raises(ValueError, match="64 bits"):
            unpack(packed)


class TestBounds:
    @pytest.mark.parametrize(
        ("pointer", "length", "expected"),
        [
            (1, 65_535, True),
            (1, 65_536, False),
            (65_535, 1, True),
            (65_536, 0, True),
            (65_536, 1, False),
            (65_537, 0, False),
            (0, 0, True),
            (0, 1, False),
            (2**32 - 1, 1, False),
            (2**32 - 1, 2**32 - 1, False),
        ],
    )
    def test_the_edges_of_a_page(self, pointer: int, length: int, expected: bool) -> None:
        assert fits(pointer, length, PAGE_BYTES) is expected

    def test_the_whole_of_four_gigabytes(self) -> None:
        assert fits(2**32 - 1, 1, 2**32)
        assert not fits(2**32 - 1, 2, 2**32)


class TestExchange:
    def test_the_sequence_of_execute(self) -> None:
        instance = FakeInstance(b"answer")
        assert guest_of(instance).execute(b"question") == b"answer"
        assert instance.received == [b"question"]
        assert instance.calls == [
            (ALLOC, (8,)),
            (EXECUTE, (1024, 8)),
            (DEALLOC, (1024, 8)),
            (DEALLOC, (1032, 6)),
        ]

    def test_the_sequence_of_manifest(self) -> None:
        instance = FakeInstance(b"manifest")
        assert guest_of(instance).manifest() == b"manifest"
        assert instance.calls == [(MANIFEST, ()), (DEALLOC, (1024, 8))]

    def test_the_sequence_of_resume(self) -> None:
        instance = FakeInstance(b"done")
        assert guest_of(instance).resume(2**32 - 1, b"result") == b"done"
        assert instance.calls[1] == (RESUME, (2**32 - 1, 1024, 6))

    @pytest.mark.parametrize("effect_id", [-1, 2**32])
    def test_an_effect_id_that_is_not_32_bits(self, effect_id: int) -> None:
        with pytest.raises(Serialization, match="effect id"):
            guest_of(FakeInstance()).resume(effect_id, b"x")

    def test_resume_without_the_export(self) -> None:
        guest = Guest(FakeInstance(), Limits(), has_resume=False)
        with pytest.raises(EffectsNotSupported, match="plugin_resume"):
            guest.resume(1, b"x")
        assert guest.alive

    def test_an_empty_answer_is_not_freed(self) -> None:
        instance = FakeInstance(b"")
        assert guest_of(instance).execute(b"q") == b""
        assert [name for name, _ in instance.calls] == [ALLOC, EXECUTE, DEALLOC]

    def test_the_memory_may_grow_during_the_call(self) -> None:
        instance = FakeInstance()

        def grow_and_answer(pointer: int, length: int) -> int:
            instance.memory.extend(b"z" * PAGE_BYTES)
            return pack(PAGE_BYTES, PAGE_BYTES)

        instance.overrides[EXECUTE] = grow_and_answer
        assert guest_of(instance).execute(b"q") == b"z" * PAGE_BYTES

    def test_each_guest_call_starts_with_the_full_budget(self) -> None:
        instance = FakeInstance(b"a")
        guest = guest_of(instance, Limits(fuel=1_000))
        guest.execute(b"q")
        assert (guest.fuel_used, guest.fuel_left) == (100, 900)
        assert instance.globals[FUEL] == 900, "the last call had a budget of its own"

    @pytest.mark.parametrize("budget", [2**63, 2**64 - 1])
    def test_a_budget_beyond_what_a_global_holds(self, budget: int) -> None:
        guest = guest_of(FakeInstance(b"a"), Limits(fuel=budget))
        guest.execute(b"q")
        assert (guest.fuel_used, guest.fuel_left) == (100, budget - 100)

    def test_without_a_budget_fuel_is_measured_all_the_same(self) -> None:
        guest = guest_of(FakeInstance(b"a"), Limits(fuel=None))
        guest.execute(b"q")
        assert (guest.fuel_used, guest.fuel_left) == (100, None)

    def test_each_guest_call_has_the_stack_less_what_the_engine_takes(self) -> None:
        instance = FakeInstance(b"a")
        instance.overrides[ALLOC] = lambda length: instance.globals[STACK]
        instance.overrides[EXECUTE] = lambda *_: instance.globals[STACK]
        with pytest.raises(MemoryAccess) as caught:
            guest_of(instance, Limits(stack_bytes=512 * 1024)).execute(b"q")
        assert caught.value.pointer == 448 * 1024

    def test_the_deadline_is_set_once_for_an_exchange(self) -> None:
        instance = FakeInstance(b"a")
        guest_of(instance, Limits(wall_clock_seconds=2)).execute(b"q")
        assert instance.deadlines == [2]


class TestFaultyGuests:
    def test_alloc_returns_zero(self) -> None:
        instance = FakeInstance()
        instance.overrides[ALLOC] = lambda length: 0
        with pytest.raises(MemoryAccess, match="'plugin_alloc' returned a zero pointer") as caught:
            guest_of(instance).execute(b"q")
        assert (caught.value.pointer, caught.value.length) == (0, 1)
        assert instance.calls == [(ALLOC, (1,))]

    @pytest.mark.parametrize("pointer", [PAGE_BYTES, PAGE_BYTES - 1, 2**31, 2**32 - 1])
    def test_alloc_returns_what_is_out_of_bounds(self, pointer: int) -> None:
        instance = FakeInstance()
        instance.overrides[ALLOC] = lambda length: pointer
        with pytest.raises(MemoryAccess, match="'plugin_alloc' returned 2 bytes at 0x"):
            guest_of(instance).execute(b"qq")

    @given(pointer=U32, length=U32)
    def test_any_answer_is_read_within_bounds_or_refused(self, pointer: int, length: int) -> None:
        instance = FakeInstance()
        instance.overrides[EXECUTE] = lambda *_: pack(pointer, length)
        guest = guest_of(instance)
        if fits(pointer, length, PAGE_BYTES):
            assert len(guest.execute(b"q")) == length
        else:
            with pytest.raises(MemoryAccess) as caught:
                guest.execute(b"q")
            assert caught.value.memory_bytes == PAGE_BYTES
            assert instance.calls[-1] == (DEALLOC, (1024, 1)), "the payload is freed all the same"
        assert guest.alive

    def test_an_answer_over_the_cap_is_not_read_but_freed(self) -> None:
        instance = FakeInstance(b"x" * 101)
        guest = guest_of(instance, Limits(result_bytes=100))
        with pytest.raises(ResultTooLarge, match="returned 101 bytes, the cap is 100 bytes"):
            guest.execute(b"q")
        assert instance.calls[-1] == (DEALLOC, (1025, 101))
        instance.answer = b"x" * 100
        assert len(guest.execute(b"q")) == 100

    @pytest.mark.parametrize("function", [ALLOC, EXECUTE])
    def test_a_trap_names_the_function_and_ends_the_instance(self, function: str) -> None:
        instance = FakeInstance()
        instance.overrides[function] = trapping(TrapKind.UNREACHABLE)  # type: ignore[assignment]
        guest = guest_of(instance)
        with pytest.raises(FunctionCall) as caught:
            guest.execute(b"q")
        assert (caught.value.function, caught.value.trap) == (function, TrapKind.UNREACHABLE)
        assert caught.value.detail == "the engine's words"
        assert isinstance(caught.value.__cause__, Trap)
        assert not guest.alive

    @pytest.mark.parametrize("function", [ALLOC, EXECUTE])
    @pytest.mark.parametrize("traps", [True, False])
    def test_out_of_fuel(self, function: str, traps: bool) -> None:
        instance = FakeInstance()

        def overdraw(*_: int) -> int:
            instance.globals[FUEL] = -7
            if traps:
                raise Trap(TrapKind.UNREACHABLE, "unreachable")
            return 0

        instance.overrides[function] = overdraw
        guest = guest_of(instance, Limits(fuel=100))
        with pytest.raises(FuelExhausted, match="its budget of 100 is spent") as caught:
            guest.execute(b"q")
        assert caught.value.function == function
        assert (guest.fuel_used, guest.fuel_left) == (100, 0)
        assert not guest.alive

    def test_globals_that_an_engine_loses_although_the_call_returned(self) -> None:
        instance = FakeInstance()

        def lose(*_: int) -> int:
            instance.globals[FUEL] = None
            return 0

        instance.overrides[EXECUTE] = lose
        guest = guest_of(instance)
        with pytest.raises(EngineFault, match="lost its globals although 'plugin_execute'"):
            guest.execute(b"q")
        assert not guest.alive

    @pytest.mark.parametrize(
        ("kind", "fuel", "stack", "meant"),
        [
            (TrapKind.UNREACHABLE, 5, 5, TrapKind.UNREACHABLE),
            (TrapKind.UNREACHABLE, 0, -1, TrapKind.STACK_OVERFLOW),
            (TrapKind.UNREACHABLE, None, None, TrapKind.UNREACHABLE),
            (TrapKind.INTEGER_OVERFLOW, -1, -1, TrapKind.INTEGER_OVERFLOW),
            (TrapKind.STACK_OVERFLOW, 5, 5, TrapKind.STACK_OVERFLOW),
        ],
    )
    def test_what_a_trap_means(
        self, kind: TrapKind, fuel: int | None, stack: int | None, meant: TrapKind
    ) -> None:
        instance = FakeInstance()

        def trap(*_: int) -> int:
            instance.globals.update({FUEL: fuel, STACK: stack})
            raise Trap(kind, kind.value)

        instance.overrides[EXECUTE] = trap
        guest = guest_of(instance, Limits(fuel=100))
        with pytest.raises(FunctionCall) as caught:
            guest.execute(b"q")
        assert (caught.value.trap, caught.value.detail) == (meant, None)
        used = None if fuel is None else 100 - max(fuel, 0)
        assert guest.fuel_used == used
        assert guest.fuel_left == (None if fuel is None else max(fuel, 0))

    def test_interrupted(self) -> None:
        instance = FakeInstance()
        instance.overrides[EXECUTE] = trapping(TrapKind.INTERRUPTED)  # type: ignore[assignment]
        guest = guest_of(instance, Limits(wall_clock_seconds=0.5))
        with pytest.raises(WallClockExceeded, match=r"after 0\.5 s"):
            guest.execute(b"q")
        assert not guest.alive

    def test_freeing_that_fails_after_a_good_result_is_a_warning(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        instance = FakeInstance(b"good")
        instance.overrides[DEALLOC] = trapping(TrapKind.UNREACHABLE)  # type: ignore[assignment]
        guest = guest_of(instance)
        with caplog.at_level(logging.WARNING, "sen_host"):
            assert guest.execute(b"q") == b"good"
        assert "plugin_dealloc failed after plugin_execute: unreachable" in caplog.text
        assert not guest.alive, "a trapped instance is never used again"

    def test_an_interrupt_in_the_middle_ends_the_instance(self) -> None:
        def interrupt(*_: int) -> int:
            raise KeyboardInterrupt

        instance = FakeInstance()
        instance.overrides[EXECUTE] = interrupt
        guest = guest_of(instance)
        with pytest.raises(KeyboardInterrupt):
            guest.execute(b"q")
        assert not guest.alive


class TestExports:
    FULL: Mapping[str, FuncType] = FUNCTIONS

    def test_a_full_plugin(self) -> None:
        check_exports(self.FULL, {"memory"}, {})

    def test_resume_is_optional(self) -> None:
        functions = {name: type for name, type in self.FULL.items() if name != RESUME}
        check_exports(functions, {"memory"}, {})

    @pytest.mark.parametrize("missing", [ALLOC, DEALLOC, MANIFEST, EXECUTE])
    def test_a_missing_function_is_named(self, missing: str) -> None:
        functions = {name: type for name, type in self.FULL.items() if name != missing}
        with pytest.raises(FunctionNotFound, match=f"does not export '{missing}'"):
            check_exports(functions, {"memory"}, {})

    @pytest.mark.parametrize("mistyped", list(FUNCTIONS))
    def test_a_mistyped_function_is_named_with_both_types(self, mistyped: str) -> None:
        functions = dict(self.FULL) | {mistyped: FuncType(("i64",), ("i64",))}
        with pytest.raises(SignatureMismatch) as caught:
            check_exports(functions, {"memory"}, {})
        assert caught.value.actual == "(i64) -> (i64)"
        assert caught.value.expected == str(FUNCTIONS[mistyped])

    def test_the_memory_is_missing_or_something_else(self) -> None:
        with pytest.raises(FunctionNotFound, match="its memory as 'memory'"):
            check_exports(self.FULL, set(), {})
        with pytest.raises(SignatureMismatch, match="'memory' as a global"):
            check_exports(self.FULL, set(), {"memory": "a global"})
        with pytest.raises(SignatureMismatch, match="'memory' as a function"):
            check_exports(dict(self.FULL) | {"memory": FuncType((), ())}, set(), {})

    def test_a_function_name_that_is_something_else(self) -> None:
        functions = {name: type for name, type in self.FULL.items() if name != EXECUTE}
        with pytest.raises(SignatureMismatch, match="'plugin_execute' as a memory"):
            check_exports(functions, {"memory", EXECUTE}, {})
        with pytest.raises(SignatureMismatch, match="'plugin_execute' as a table"):
            check_exports(functions, {"memory"}, {EXECUTE: "a table"})
