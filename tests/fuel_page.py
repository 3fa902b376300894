"""What docs/fuel.md says: its examples, its tables and its costs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from sen_host.abi import NATIVE_STACK_BYTES
from sen_host.limits import Limits
from sen_host.wasm.operators import OPERATORS, Immediate, Operator

PAGE = (Path(__file__).parents[1] / "docs" / "fuel.md").read_text("utf-8")
TEXT = " ".join(PAGE.split())

STACK = Limits().stack_bytes - NATIVE_STACK_BYTES
"""What a call has of it by default."""


def number(text: str) -> int:
    return int(text.replace(",", ""))


def stated(pattern: str) -> tuple[int, ...]:
    """The numbers in the page's text, which has the pattern once; each may be a sum."""
    [found] = re.finditer(pattern, TEXT)
    return tuple(sum(map(number, group.split("+"))) for group in found.groups())


def tables(*header: str) -> Iterator[tuple[str, ...]]:
    """The rows of all tables with that header."""
    wanted = f"| {' | '.join(header)} |"
    lines = iter(PAGE.splitlines())
    for line in lines:
        if line == wanted:
            next(lines)
            for row in lines:
                if not row.startswith("|"):
                    break
                yield tuple(cell.strip() for cell in row.strip("|").split("|"))


class Call(NamedTuple):
    """A call as the page writes it."""

    function: str
    arguments: tuple[int, ...]

    @classmethod
    def read(cls, text: str) -> Call:
        found = re.fullmatch(r"`(\w+)\((.*)\)`", text)
        assert found, text
        return cls(found[1], tuple(int(argument) for argument in found[2].split(", ")))

    def __str__(self) -> str:
        return f"{self.function}({', '.join(map(str, self.arguments))})"


class Claim(NamedTuple):
    """A row of an example's table."""

    call: Call
    budget: int
    outcome: str
    used: int
    left: int

    def __str__(self) -> str:
        return f"{self.call} with {self.budget}"


CLAIMS = [
    Claim(Call.read(call), number(budget), outcome, number(used), number(left))
    for call, budget, outcome, used, left in tables(
        "call", "budget", "outcome", "fuel used", "fuel left"
    )
]
LEAST_BUDGETS = [
    pytest.param(Call.read(call), number(here), number(there), id=call)
    for call, here, there in tables(
        "call", "least budget here", "least budget with Wasmtime's meter"
    )
]
EXAMPLES = re.findall(r"```wat\n(.*?)```", PAGE, re.DOTALL)
EXPORTS = {re.findall(r'export "(\w+)"', example)[0]: example for example in EXAMPLES}

COSTS: dict[str, tuple[int, str]] = {}
"""Cost and unit of each operator that the page's table names."""

for _cost, _names in tables("cost", "operators"):
    _unit = _cost.partition(" and 1 per ")[2]
    COSTS |= dict.fromkeys(re.findall(r"`([^`]+)`", _names), (int(_cost[0]), _unit))
    if _names.startswith("every other"):
        OTHERS = int(_cost), ""

WEIGHTS: dict[str, int] = {}
"""Weight in a frame of each operator that the page's table names."""

for _weight, _names in tables("weight", "operators"):
    WEIGHTS |= dict.fromkeys(re.findall(r"`([^`]+)`", _names), int(_weight))
    if "loads and stores of numbers" in _names:
        LOADS_AND_STORES = int(_weight)
    if "all others of numbers, all of SIMD" in _names:
        NUMBERS = int(_weight)

[ENTRY] = stated(r"A function costs (\d+) when it is entered")


def weight_of(operator: Operator) -> int:
    """What an operator weighs in a frame by the page's table."""
    if operator.immediate is Immediate.TYPES:
        return WEIGHTS[f"{operator.name} (result ...)"]
    if operator.name in WEIGHTS:
        return WEIGHTS[operator.name]
    if operator.proposal == "SIMD":
        return NUMBERS
    if re.match(r"[if](32|64)\.", operator.name):
        return LOADS_AND_STORES if operator.immediate is Immediate.ACCESS else NUMBERS
    return 0


def cost_of(code: str) -> tuple[int, str]:
    """What code in text form costs by the page's table, and the unit of what comes on top."""
    names = {operator.name for operator in OPERATORS.values()}
    costs = [COSTS.get(token, OTHERS) for token in re.findall(r"[\w.$]+", code) if token in names]
    return sum(cost for cost, _ in costs), "".join(unit for _, unit in costs)
