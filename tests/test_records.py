"""Records behave as the dataclasses that they stand for."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import typing
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import pytest

from sen_host.messages import CommandSpec, PluginManifest, SleepComplete
from sen_host.records import NamedTuple, defaults, record, replace


class Plain:
    """One required field and two with defaults."""

    __slots__ = ()


def positional(make: Callable[[type], Any]) -> Any:
    class Point(Plain):
        x: int
        y: int | None = None
        tags: tuple[str, ...] = ("a",)

        def total(self) -> int:
            return self.x + (self.y or 0)

    return make(Point)


def named(make: Callable[[type], Any]) -> Any:
    class Range:
        low: int = 0
        high: int

        def __post_init__(self) -> None:
            if self.low > self.high:
                raise ValueError("upside down")

        def __repr__(self) -> str:
            return f"{self.low} to {self.high}"

    return make(Range)


def empty(make: Callable[[type], Any]) -> Any:
    class Nothing:
        """No field at all."""

    return make(Nothing)


def of_dataclass(body: Any, **options: bool) -> Any:
    return body(dataclasses.dataclass(frozen=True, slots=True, **options))


def of_record(body: Any, **options: bool) -> Any:
    return body(record(frozen=True, slots=True, **options))


def outcome(operation: Callable[[Any], Any], cls: Any) -> object:
    """What it gives, as a text that does not tell the two classes apart; or its error."""
    try:
        return repr(operation(cls))
    except Exception as error:
        return type(error), str(error)


POSITIONAL: list[Callable[[Any], Any]] = [
    lambda c: c(1),
    lambda c: c(1, 2, ("b",)),
    lambda c: c(y=2, x=1),
    lambda c: c(1, tags=()),
    lambda c: c(),
    lambda c: c(y=1),
    lambda c: c(1, 2, 3, 4),
    lambda c: c(1, x=1),
    lambda c: c(1, z=1),
    lambda c: c(1, 2).total(),
    lambda c: c(1) == c(1, None),
    lambda c: c(1) != c(2),
    lambda c: c(1) == (1, None, ("a",)),
    lambda c: hash(c(1)) == hash(c(1, None)),
    lambda c: hash(c([])),
    lambda c: {c(1): 1}[c(1)],
    lambda c: setattr(c(1), "x", 2),
    lambda c: delattr(c(1), "x"),
    lambda c: c.__match_args__,
    lambda c: c.__slots__,
    lambda c: hasattr(c(1), "__dict__"),
    lambda c: copy.copy(c(1)),
    lambda c: copy.deepcopy(c(1, 2, ("b",))),
    lambda c: [dataclasses.is_dataclass(it) for it in (c, c(1))],
    lambda c: [(f.name, f.type, f.default, f.kw_only) for f in dataclasses.fields(c)],
    lambda c: dataclasses.replace(c(1), y=5),
    lambda c: dataclasses.replace(c(1), z=5),
    lambda c: dataclasses.asdict(c(c(1), 2)),
    lambda c: dataclasses.astuple(c(c(1), 2)),
    lambda c: c.__dataclass_params__.frozen,
    lambda c: inspect.signature(c),
]

NAMED: list[Callable[[Any], Any]] = [
    lambda c: c(high=1),
    lambda c: c(1),
    lambda c: c(low=1),
    lambda c: c(low=2, high=1),
    lambda c: c.__match_args__,
    lambda c: dataclasses.replace(c(high=1), low=2),
    lambda c: [(f.name, f.kw_only) for f in dataclasses.fields(c)],
    lambda c: inspect.signature(c),
]

EMPTY: list[Callable[[Any], Any]] = [
    lambda c: c(),
    lambda c: c(1),
    lambda c: c() == c(),
    lambda c: copy.copy(c()),
    lambda c: dataclasses.fields(c),
    lambda c: c.__doc__,
]


@pytest.mark.parametrize("operation", POSITIONAL)
def test_fields_by_position_or_name(operation: Callable[[Any], Any]) -> None:
    expected = outcome(operation, of_dataclass(positional))
    assert outcome(operation, of_record(positional)) == expected


@pytest.mark.parametrize("operation", NAMED)
def test_fields_by_name_only(operation: Callable[[Any], Any]) -> None:
    expected = outcome(operation, of_dataclass(named, kw_only=True))
    assert outcome(operation, of_record(named, kw_only=True)) == expected


@pytest.mark.parametrize("operation", EMPTY)
def test_no_field(operation: Callable[[Any], Any]) -> None:
    assert outcome(operation, of_record(empty)) == outcome(operation, of_dataclass(empty))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_record_can_be_pickled(protocol: int) -> None:
    command = CommandSpec("name", "about", subcommands=(CommandSpec("a", "b"),))
    for value in (PluginManifest.new(command), SleepComplete()):
        assert pickle.loads(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("name", ["x", "other"])
def test_a_record_cannot_be_altered(name: str) -> None:
    made: Any = of_record(positional)(1)
    with pytest.raises(dataclasses.FrozenInstanceError, match=f"cannot assign to field '{name}'"):
        setattr(made, name, 2)
    with pytest.raises(dataclasses.FrozenInstanceError, match=f"cannot delete field '{name}'"):
        delattr(made, name)


def test_a_record_is_taken_apart_by_match() -> None:
    match PluginManifest.new(CommandSpec("name", "about")):
        case PluginManifest(version, CommandSpec(name=name)):
            assert (version, name) == (2, "name")
        case other:
            raise AssertionError(other)


def test_the_types_of_a_messages_fields_can_be_looked_up() -> None:
    hints = typing.get_type_hints(PluginManifest)
    assert (hints["api_version"], hints["command"]) == (int, CommandSpec)


def test_a_subclass_has_its_own_attributes_and_frozen_fields() -> None:
    cls: Any = of_record(positional)

    class Named(cls):  # type: ignore[misc]
        def __init__(self, name: str) -> None:
            super().__init__(1)
            self.name = name

    made: Any = Named("n")
    made.name = "m"
    assert (made.x, made.name) == (1, "m")
    assert made != cls(1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.x = 2
    assert list(inspect.signature(Named).parameters) == ["name"]


def test_a_dataclass_may_extend_a_record() -> None:
    cls: Any = of_record(positional)

    @dataclasses.dataclass(frozen=True)
    class Deep(cls):  # type: ignore[misc]
        z: int = 3

    assert [field.name for field in dataclasses.fields(Deep)] == ["x", "y", "tags", "z"]
    assert (Deep(1).x, Deep(1).z) == (1, 3)


def test_replace_and_defaults_need_no_dataclass() -> None:
    cls: Any = of_record(positional)
    assert replace(cls(1), y=2) == cls(1, 2)
    assert defaults(cls) == {"y": None, "tags": ("a",)}


def test_a_default_without_a_hash_is_shared() -> None:
    nothing: Any = MappingProxyType({})

    @record(frozen=True, slots=True)
    class Holder:
        mapping: Any = nothing

    assert Holder().mapping is nothing
    assert dataclasses.replace(Holder()).mapping is nothing


class Pair(NamedTuple):
    """Two numbers."""

    left: int
    right: int = 2

    @property
    def total(self) -> int:
        return self.left + self.right


def test_a_named_tuple_is_that_of_typing() -> None:
    pair = Pair(1)
    left, right = pair
    assert (left, right, pair.total) == (1, 2, 3)
    assert pair == (1, 2)
    assert repr(pair) == "Pair(left=1, right=2)"
    assert (Pair.__doc__, Pair._fields) == ("Two numbers.", ("left", "right"))
    assert Pair.__mro__ == (Pair, tuple, object)
    assert pickle.loads(pickle.dumps(pair)) == pair
    assert pair._replace(left=5) == Pair(5)
    assert typing.get_type_hints(Pair) == {"left": int, "right": int}
