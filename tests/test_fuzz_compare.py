"""How the differential fuzzer judges a call, and what it takes for a difference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sen_host.backend import FUEL, Backend, Binding, FuncType, Instance, Module, Trap
from sen_host.errors import EngineFault, ModuleCompilation, TrapKind
from sen_host.limits import Limits
from sen_host_conformance.fuzz.arena import (
    COMPLETED,
    FAULT,
    NATIVE_OVERFLOW,
    STACK_BYTES,
    Arena,
    Call,
    Difference,
    LeftOut,
    Outcome,
    judge,
)
from sen_host_conformance.fuzz.case import replay
from sen_host_conformance.fuzz.exposure import expose
from tests.wasm.support import wat

EMPTY = expose(wat("(module (memory 1) (func))")).wasm
DIVISION = Trap(TrapKind.INTEGER_DIVIDE_BY_ZERO)


@pytest.mark.parametrize(
    ("trap", "fuel", "stack", "expected"),
    [
        (None, 7, 0, Outcome(COMPLETED, 5, 93, 7)),
        (None, 0, 0, Outcome(COMPLETED, 5, 100, 0)),
        (None, -1, 0, Outcome("out of fuel", None, 100, 0)),
        (TrapKind.UNREACHABLE, -1, -1, Outcome("out of fuel", None, 100, 0)),
        (TrapKind.UNREACHABLE, 3, -1, Outcome("call stack exhausted", None, 97, 3, -1)),
        (TrapKind.UNREACHABLE, 3, 0, Outcome("unreachable", None, 97, 3)),
        (TrapKind.INTEGER_OVERFLOW, -9, 0, Outcome("integer overflow", None, 100, 0)),
        (TrapKind.INTEGER_OVERFLOW, 40, -1, Outcome("integer overflow", None, 60, 40)),
        (TrapKind.STACK_OVERFLOW, 40, 0, Outcome(NATIVE_OVERFLOW, None, 60, 40)),
    ],
)
def test_a_call_is_judged_as_the_host_judges_it(
    trap: TrapKind | None, fuel: int, stack: int, expected: Outcome
) -> None:
    assert judge(Call("f", (), 100, 50), trap, 5, fuel, stack) == expected


class Scripted(Instance):
    """An instance whose only call ends as it is told."""

    def __init__(
        self,
        end: int | Exception = 0,
        fuel: int | None = 1,
        stack: int | None = 1,
        memory: bytes = b"",
    ) -> None:
        self._end, self._memory = end, memory
        self._globals = {FUEL: fuel}
        self._stack = stack

    def function(self, name: str, type: FuncType) -> Any:
        def call() -> int:
            if isinstance(self._end, Exception):
                raise self._end
            return self._end

        return call

    def memory_size(self) -> int:
        return len(self._memory)

    def read(self, offset: int, length: int) -> bytes:
        return self._memory[offset : offset + length]

    def write(self, offset: int, data: bytes) -> None:
        raise NotImplementedError

    def get_global(self, name: str) -> int | None:
        return self._globals.get(name, self._stack)

    def set_global(self, name: str, value: int) -> None:
        pass


class ScriptedBackend(Backend, Module):
    """A backend that is its own module and gives out one instance."""

    name = "scripted"

    def __init__(
        self,
        instance: Instance,
        isolation: Any = "none",
        refuses: Callable[[bytes], bool] = lambda _: False,
    ) -> None:
        super().__init__(Binding(name="scripted", engine="Scripted", isolation=isolation))
        self._instance = instance
        self._refuses = refuses

    @classmethod
    def bindings(cls) -> tuple[Binding, ...]:
        return ()

    def validate(self, wasm: bytes) -> None:
        if b"sen-host:" not in wasm and self._refuses(wasm):
            raise ModuleCompilation("I do not like it")

    def compile(self, wasm: bytes, limits: Limits) -> Module:
        if self._refuses(wasm):
            raise ModuleCompilation("I do not like it")
        return self

    def instantiate(self) -> Instance:
        return self._instance


def compare(*instances: Scripted, isolation: str = "none") -> Outcome:
    arena = Arena(
        {
            f"side {number}": ScriptedBackend(instance, isolation if number else "none")
            for number, instance in enumerate(instances)
        }
    )
    (outcome,) = replay(arena, EMPTY, [Call("f0", (), 10, STACK_BYTES)])
    return outcome


def test_equal_ends_agree() -> None:
    assert compare(Scripted(3), Scripted(3)) == Outcome(COMPLETED, 3, 9, 1, None, 0)


@pytest.mark.parametrize(
    ("field", "one", "other"),
    [
        ("kind", Scripted(0), Scripted(DIVISION)),
        ("kind", Scripted(0, fuel=0), Scripted(0, fuel=-1)),
        ("result", Scripted(0), Scripted(1)),
        ("used", Scripted(0, fuel=1), Scripted(0, fuel=2)),
        ("used", Scripted(DIVISION, fuel=1), Scripted(DIVISION, fuel=2)),
        ("stack", *(Scripted(Trap(TrapKind.UNREACHABLE), stack=left) for left in (-1, -2))),
        ("memory_bytes", Scripted(memory=b"a"), Scripted(memory=b"aa")),
        ("memory", Scripted(memory=b"ab"), Scripted(memory=b"aa")),
    ],
)
def test_whatever_differs_is_named(field: str, one: Scripted, other: Scripted) -> None:
    with pytest.raises(Difference) as caught:
        compare(one, other)
    assert caught.value.field == field
    assert list(caught.value.seen) == ["side 0", "side 1"]


@pytest.mark.parametrize(
    ("end", "kind"),
    [
        (Trap(TrapKind.STACK_OVERFLOW), NATIVE_OVERFLOW),
        (EngineFault("it broke"), FAULT),
    ],
)
def test_some_ends_are_failures_even_if_all_come_to_them(end: Exception, kind: str) -> None:
    with pytest.raises(Difference, match=kind):
        compare(Scripted(end), Scripted(end))


def test_what_a_guest_took_along_is_equal_to_anything() -> None:
    gone = Scripted(DIVISION, fuel=None, stack=None)
    known = Scripted(DIVISION, fuel=4, memory=b"something")
    assert compare(known, gone, isolation="process") == Outcome(
        "integer divide by zero", None, 6, 4, None, 9
    )


def test_only_a_guest_that_is_gone_may_take_something_along() -> None:
    with pytest.raises(Difference, match=FAULT):
        compare(Scripted(DIVISION, fuel=4), Scripted(DIVISION, fuel=None))


def test_fuel_must_be_known_after_a_return_and_after_traps_of_our_own() -> None:
    for end in (0, Trap(TrapKind.UNREACHABLE)):
        with pytest.raises(Difference, match=FAULT):
            compare(Scripted(end), Scripted(end, fuel=None), isolation="process")


def refusing(*refuses: Callable[[bytes], bool]) -> Arena:
    return Arena(
        {f"side {n}": ScriptedBackend(Scripted(), "none", one) for n, one in enumerate(refuses)}
    )


def nothing(wasm: bytes) -> bool:
    return False


def everything(wasm: bytes) -> bool:
    return True


def what_is_rewritten(wasm: bytes) -> bool:
    return b"sen-host:" in wasm


def test_a_module_that_passes_the_profile_is_taken_by_all_or_by_none() -> None:
    with pytest.raises(LeftOut, match="every backend"):
        refusing(everything, everything).enter(EMPTY)
    with pytest.raises(Difference, match="validation differs: side 0: accepted; side 1: I do not"):
        refusing(nothing, everything).enter(EMPTY)


def test_no_backend_may_refuse_what_the_host_has_made_of_a_valid_module() -> None:
    for others in (nothing, what_is_rewritten):
        with pytest.raises(Difference, match="compilation differs"):
            refusing(others, what_is_rewritten).enter(EMPTY)


def test_what_the_profile_refuses_is_left_out() -> None:
    tail_call = expose(wat("(module (memory 1) (func return_call 0))")).wasm
    with pytest.raises(LeftOut, match="tail call"):
        refusing(nothing, nothing).enter(tail_call)
