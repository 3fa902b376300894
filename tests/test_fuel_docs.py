"""docs/fuel.md: every figure on the page is what the host measures, on every engine here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import wasmtime

from sen_host import PluginLoader
from sen_host.abi import NATIVE_STACK_BYTES, enter, kind_of
from sen_host.backend import COUNTER_MAX, FUEL, FuncType, Instance, Module, Trap
from sen_host.engines import backends, open_backend
from sen_host.errors import FuelExhausted, InvalidLimit, TrapKind
from sen_host.limits import PAGE_BYTES, Limits
from sen_host.wasm.frames import FRAME_BYTES, LEAF_BYTES, THUNK_BYTES
from sen_host.wasm.instrument import Instrumented, instrument
from sen_host.wasm.reader import ParsedModule, parse
from tests.fuel_page import (
    CLAIMS,
    ENTRY,
    EXAMPLES,
    EXPORTS,
    LEAST_BUDGETS,
    STACK,
    TEXT,
    Call,
    Claim,
    cost_of,
    stated,
)

GREET = Path(__file__).parents[1] / "plugins" / "greet" / "greet.wasm"


@cache
def original() -> bytes:
    module = f'(module (memory (export "memory") 1) {" ".join(EXAMPLES)})'
    return bytes(wasmtime.wat2wasm(module))


@cache
def parsed() -> ParsedModule:
    return parse(original())


@cache
def instrumented() -> Instrumented:
    return instrument(parsed(), memory_bytes=100 * PAGE_BYTES)


def type_of(name: str) -> FuncType:
    [export] = (export for export in parsed().exports if export.name == name)
    type = parsed().type_of(export)
    assert isinstance(type, FuncType)
    return type


BINDINGS = [
    pytest.param((info.name, binding.name), id=f"{info.name}-{binding.name}")
    for info in backends()
    for binding in info.bindings
    if binding.available
]


class Subject:
    """The page's functions on one engine."""

    def __init__(self, backend: str, binding: str) -> None:
        opened = open_backend(backend, binding=binding)
        self.loses_fuel_with_a_guest = opened.binding.isolation == "process"
        self._module: Module = opened.compile(instrumented().wasm, Limits())
        self._instance: Instance | None = None

    def run(self, call: Call, budget: int) -> tuple[str, int | None]:
        """The outcome in the words of the page, and the value of the fuel global."""
        if self._instance is None:
            self._instance = self._module.instantiate()
        type = type_of(call.function)
        try:
            result = enter(
                self._instance,
                call.function,
                type,
                call.arguments,
                fuel=min(budget, COUNTER_MAX),
                stack=STACK,
            )
            left = self._instance.get_global(FUEL)
        except Trap as trap:
            self._instance.close()
            self._instance = None
            kind = kind_of(trap)
            if kind is TrapKind.OUT_OF_FUEL:
                return "out of fuel", trap.fuel_left
            if kind is TrapKind.STACK_OVERFLOW:
                return "exhausts the stack", trap.fuel_left
            return f"traps: {kind}", trap.fuel_left
        return "returns" if result is None else f"returns {result}", left

    def close(self) -> None:
        if self._instance is not None:
            self._instance.close()
        self._module.close()


@pytest.fixture(scope="module", params=BINDINGS)
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    made = Subject(*request.param)
    yield made
    made.close()


@pytest.mark.parametrize("claim", CLAIMS, ids=str)
def test_the_figures_of_an_example(claim: Claim, subject: Subject) -> None:
    outcome, left = subject.run(claim.call, claim.budget)
    assert outcome == claim.outcome
    assert claim.used + claim.left == claim.budget
    if left is None:
        assert subject.loses_fuel_with_a_guest
        assert outcome.startswith("traps: ")
        assert outcome != "traps: unreachable"
    else:
        assert max(left, 0) == claim.left


FORMULAS = re.findall(r"`(\w+)\(([\w, ]+)\)` costs `([^`]+)`", TEXT)


@pytest.mark.parametrize(
    ("function", "parameters", "formula"), [pytest.param(*found, id=found[0]) for found in FORMULAS]
)
def test_the_formula_of_an_example(
    function: str, parameters: str, formula: str, subject: Subject
) -> None:
    names = parameters.split(", ")
    for value in (1, 2, 3, 20):
        call = Call(function, (value,) * len(names))
        cost: int = eval(formula, dict.fromkeys(names, value))
        outcome, left = subject.run(call, cost)
        assert outcome.startswith("returns"), call
        assert left == 0
        assert subject.run(call, cost - 1)[0] == "out of fuel"


@pytest.mark.parametrize("example", EXAMPLES, ids=EXPORTS)
def test_the_costs_beside_the_code(example: str) -> None:
    for line in example.splitlines():
        code, _, stated = line.partition(";;")
        cost, unit = cost_of(code)
        cost += ENTRY * code.startswith("(func")
        assert stated.strip() in (f"{cost} and 1 per {unit}" if unit else str(cost), "dead"), line


def test_the_frames_of_the_examples() -> None:
    formulas = re.findall(r"its frame is `([^`]+)`", TEXT)
    frames = dict(zip(EXPORTS, instrumented().frames, strict=False))
    locals, height, weights = stated(r"has (\d+) local, at most (\d+) operands, and (\d+) op")
    assert frames["factorial"] == FRAME_BYTES + 8 * (locals + 3 * height + weights)
    assert [eval(formula) for formula in formulas] == [frames["factorial"], frames["down"]]
    assert (
        f"Of {frames['factorial']} bytes each, {STACK // frames['factorial']:,} frames fit" in TEXT
    )
    assert f"{frames['down']} bytes, and {STACK // frames['down']:,} frames fit" in TEXT
    assert {name for name, frame in frames.items() if frame} == {"factorial", "down"}


def recursive(locals: int) -> Instrumented:
    text = f"""(module (memory (export "memory") 1)
      (func $f (export "f") (local {"i64 " * locals}) call $f))"""
    return instrument(parse(bytes(wasmtime.wat2wasm(text))))


@pytest.mark.parametrize("locals", [(THUNK_BYTES - FRAME_BYTES) // 8 + by for by in (0, 1)])
def test_a_frame_is_looked_at_before_it_is_paid(locals: int) -> None:
    built = recursive(locals)
    [frame] = built.frames
    instance = open_backend("wasmtime").compile(built.wasm, Limits()).instantiate()
    with pytest.raises(Trap) as caught:
        enter(instance, "f", FuncType((), ()), (), fuel=100_000, stack=STACK)
    assert kind_of(caught.value) is TrapKind.STACK_OVERFLOW
    assert caught.value.fuel_left == 100_000 - 2 * (STACK // frame)


def test_limits_are_those_of_the_page() -> None:
    for text in (
        f"unless its frame is larger than {LEAF_BYTES:,} bytes",
        f"{FRAME_BYTES} + width * (locals + 3 * height + weights)",
        f"More than 2^{COUNTER_MAX.bit_length()} - 1 counts as that",
        f"0 to 2^64 - 1, by default {Limits().fuel:,}",
        f"`stack_bytes` less {NATIVE_STACK_BYTES >> 10} KiB",
        f"1 MiB less {NATIVE_STACK_BYTES >> 10} KiB, which is {STACK:,} bytes",
    ):
        assert text in TEXT
    assert Limits(fuel=2**64 - 1).fuel == 2**64 - 1
    for wrong in (-1, 2**64, 1.5, "1", True):
        with pytest.raises(InvalidLimit):
            Limits(fuel=wrong)  # type: ignore[arg-type]


def test_each_call_has_the_whole_budget() -> None:
    with PluginLoader(backend="wasmtime", limits=Limits(fuel=None)).load(GREET) as greet:
        loading = greet.fuel_used
        greet.execute(["Alice"])
        executing = greet.fuel_used
        assert greet.fuel_left is None
    assert loading is not None
    assert executing is not None
    budget = max(loading, executing)
    assert budget < loading + executing
    for limit in (budget, 2**63, 2**64 - 1):
        with PluginLoader(backend="wasmtime", limits=Limits(fuel=limit)).load(GREET) as greet:
            greet.execute(["Alice"])
            assert (greet.fuel_used, greet.fuel_left) == (executing, limit - executing)
    with pytest.raises(FuelExhausted):
        PluginLoader(backend="wasmtime", limits=Limits(fuel=loading - 1)).load(GREET)


def test_what_the_text_says_of_the_examples() -> None:
    used = {str(claim.call): claim.used for claim in CLAIMS if claim.budget == Limits().fuel}
    assert stated(r"a memory of one page, ([\d,]+) bytes") == (PAGE_BYTES,)
    by_turn = (used["sum(10)"] - used["sum(1)"]) // 9
    assert stated(r"One for the entry, (\d+) for each turn, one behind") == (by_turn,)
    assert stated(
        r"paid at the entry: (\d+) there, then (\d+) for each turn\."
        r" With a budget of (\d+), nothing but (\d+) is left for the tenth turn"
    ) == (used["sum(1)"] - by_turn, by_turn, used["sum(10)"] - 1, by_turn - 1)
    innermost, around = used["factorial(0)"], (used["factorial(5)"] - used["factorial(0)"]) // 5
    assert stated(r"innermost call costs ([\d +]+), each one around it ([\d +]+)\.") == (
        innermost,
        around,
    )
    assert stated(r"so all (\d+) are paid .* With a budget of (\d+) the trap") == (
        used["mean(8, 0)"],
        used["mean(8, 0)"] - 1,
    )
    first, behind, last = stated(
        r"to the `return` and costs (\d+), of which (\d+) stand .* which costs (\d+)\."
    )
    assert (first, first - behind + last) == (used["pick(8)"], used["pick(0)"])
    at_first, by, again, paid = stated(
        r"`pick\(0\)` with 4 overdraws it by (\d+) at first, too, and by (\d+) when its `br_if`"
        r" has given back (\d+) and the last line has paid (\d+)\."
    )
    assert (at_first, by, again, paid) == (first - 4, used["pick(0)"] - 4, behind, last)
    stretch, back = stated(r"the only stretch costs ([\d +]+), and the `br_if` gives back (\d+) if")
    assert (stretch, stretch - back) == (used["share(1)"], used["share(0)"])
    [fits] = stated(r"paid (\d+) for each frame that fits.* does not fit paid nothing")
    assert STACK // 216 * fits == used["factorial(4551)"]


class OwnMeter:
    """The page's functions as they are, on Wasmtime with its own meter."""

    def __init__(self) -> None:
        config = wasmtime.Config()
        config.consume_fuel = True
        self._engine = wasmtime.Engine(config)
        self._module = wasmtime.Module(self._engine, original())

    def used(self, call: Call, budget: int) -> int | None:
        """The fuel used, or None if the call does not return."""
        store = wasmtime.Store(self._engine)
        store.set_fuel(budget)
        function = wasmtime.Instance(store, self._module, []).exports(store)[call.function]
        assert isinstance(function, wasmtime.Func)
        try:
            function(store, *call.arguments)
        except wasmtime.Trap:
            return None
        return budget - store.get_fuel()


def test_the_fuel_is_that_of_wasmtimes_own_meter() -> None:
    meter = OwnMeter()
    compared = set()
    for claim in CLAIMS:
        bulk = cost_of(EXPORTS[claim.call.function])[1]
        if claim.outcome.startswith("returns") and not bulk:
            assert meter.used(claim.call, 1_000_000) == claim.used
            compared.add(claim.call.function)
    assert compared == {"sum", "factorial", "mean", "pick", "share"}


@pytest.mark.parametrize(("call", "here", "there"), LEAST_BUDGETS)
def test_the_least_budget(call: Call, here: int, there: int, subject: Subject) -> None:
    meter = OwnMeter()
    assert [meter.used(call, budget) is None for budget in (there - 1, there)] == [True, False]
    assert subject.run(call, here - 1)[0] == "out of fuel"
    assert subject.run(call, here)[0].startswith("returns")
    assert meter.used(call, here + 1) == here


def test_nothing_is_left_out() -> None:
    assert len(CLAIMS) >= 25
    assert len(LEAST_BUDGETS) >= 3
    assert {function for function, _, _ in FORMULAS} == {"sum", "factorial", "clear", "grow"}
    assert {claim.call.function for claim in CLAIMS} == EXPORTS.keys()
