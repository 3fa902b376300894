"""Frozen records: what ``dataclasses.dataclass`` makes, without its cost at import.

``dataclass`` compiles five functions for every class and imports ``inspect``: that
was a third of the time from the start of a process to a plugin's first answer. The
methods of records are shared. What only ``dataclasses`` and ``inspect`` ask for is
taken, when they ask, from a twin of the class that is a dataclass. So ``fields``,
``replace``, ``asdict``, ``is_dataclass`` and ``signature`` take a record for one.

``NamedTuple`` is that of ``typing`` without the import of ``typing``, which few of
the smallest programs need otherwise. A type checker takes both for the originals.
"""

from __future__ import annotations

from collections import namedtuple
from functools import cache, partial

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from dataclasses import dataclass as record
    from dataclasses import replace
    from typing import Any, NamedTuple, NoReturn

__all__ = ["NamedTuple", "defaults", "record", "replace"]

_MISSING = object()


def _record(*, frozen: bool, slots: bool, kw_only: bool = False) -> Callable[[Any], Any]:
    """A decorator like ``dataclass``. Records are frozen, with slots, and extend no record."""
    assert frozen
    assert slots

    def make(cls: Any) -> Any:
        names = tuple(cls.__annotations__)
        namespace = {**_METHODS, **vars(cls)}
        for name in ("__dict__", "__weakref__"):
            namespace.pop(name, None)
        own = {name: namespace.pop(name) for name in names if name in namespace}
        namespace.update(
            __slots__=names,
            __qualname__=cls.__qualname__,
            __match_args__=() if kw_only else names,
            __record__=names,
            __record_defaults__=own,
            __record_kw_only__=kw_only,
        )
        made = type(cls)(cls.__name__, cls.__bases__, namespace)
        made.__init__ = _initializer(made, names, 0 if kw_only else len(names))
        return made

    return make


def defaults(cls: type[Any]) -> Mapping[str, Any]:
    """The defaults of a record's fields, by name; a field that has none is not in it."""
    found: Mapping[str, Any] = cls.__record_defaults__
    return found


def _initializer(cls: Any, names: tuple[str, ...], most: int) -> Callable[..., None]:
    """``__init__`` with at most so many positional arguments."""
    count = len(names)
    setters = [vars(cls)[name].__set__ for name in names]
    index_of = {name: index for index, name in enumerate(names)}
    otherwise = [cls.__record_defaults__.get(name, _MISSING) for name in names]
    finish = getattr(cls, "__post_init__", None)

    def __init__(self: Any, /, *args: Any, **named: Any) -> None:  # noqa: N807 - a method
        values: Any = args
        if named or len(args) != count or count > most:
            if len(args) > most:
                _refuse(cls, args, named)
            values = [*args, *otherwise[len(args) :]]
            for name, value in named.items():
                index = index_of.get(name, -1)
                if index < len(args):  # it is unknown, or given by its position too
                    _refuse(cls, args, named)
                values[index] = value
        for set_field, value in zip(setters, values):  # noqa: B905 - hot
            if value is _MISSING:
                _refuse(cls, args, named)
            set_field(self, value)
        if finish is not None:
            finish(self)

    return __init__


def _refuse(cls: Any, args: tuple[Any, ...], named: dict[str, Any]) -> NoReturn:
    """Raise the TypeError that a dataclass raises for these arguments."""
    _twin(cls)(*args, **named)
    raise AssertionError("the dataclass took them")


def _values(self: Any) -> tuple[Any, ...]:
    return tuple([getattr(self, name) for name in self.__record__])


def _eq(self: Any, other: object) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    return _values(self) == _values(other)


def _hash(self: Any) -> int:
    return hash(_values(self))


def _repr(self: Any) -> str:
    parts = [f"{name}={getattr(self, name)!r}" for name in self.__record__]
    return f"{type(self).__qualname__}({', '.join(parts)})"


def _setattr(self: Any, name: str, value: object) -> None:
    _check_free(self, name, "assign to")
    object.__setattr__(self, name, value)


def _delattr(self: Any, name: str) -> None:
    _check_free(self, name, "delete")
    object.__delattr__(self, name)


def _check_free(self: Any, name: str, what: str) -> None:
    # A subclass that is no record may have attributes of its own.
    if name in self.__record__ or "__record__" in vars(type(self)):
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot {what} field {name!r}")


def _setstate(self: Any, state: tuple[Any, ...]) -> None:
    for name, value in zip(self.__record__, state, strict=True):
        object.__setattr__(self, name, value)


def _replace(self: Any, /, **changes: Any) -> Any:
    old = zip(self.__record__, _values(self), strict=True)
    return self.__class__(**{**dict(old), **changes})


class _OnDemand:
    """An attribute of the class that its twin has."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: type[Any]) -> Any:
        cls: Any = next(base for base in owner.__mro__ if "__record__" in vars(base))
        if self._name != "__signature__":
            return getattr(_twin(cls), self._name)
        if vars(owner).get("__init__", cls.__init__) is not cls.__init__:
            raise AttributeError(self._name)
        from inspect import signature

        return signature(_twin(cls))


_METHODS = {
    "__eq__": _eq,
    "__hash__": _hash,
    "__repr__": _repr,
    "__setattr__": _setattr,
    "__delattr__": _delattr,
    "__getstate__": _values,
    "__setstate__": _setstate,
    "__replace__": _replace,
    **{
        name: _OnDemand(name)
        for name in ("__dataclass_fields__", "__dataclass_params__", "__signature__")
    },
}


@cache
def _twin(cls: Any) -> Any:
    """A dataclass with the fields of a record."""
    from dataclasses import dataclass, field

    namespace: dict[str, Any] = {
        "__annotations__": dict(cls.__annotations__),
        "__module__": cls.__module__,
        "__qualname__": cls.__qualname__,
    }
    for name, default in cls.__record_defaults__.items():
        namespace[name] = default
        if type(default).__hash__ is None:  # a dataclass takes it for one that can be altered
            namespace[name] = field(default_factory=partial(_same, default))
    return dataclass(frozen=True, kw_only=cls.__record_kw_only__)(type(cls.__name__, (), namespace))


def _same(value: object) -> object:
    return value


class _TupleMaker(type):
    """The metaclass of NamedTuple: what is made is a subclass of ``tuple`` only."""

    def __new__(cls, name: str, _bases: object, namespace: dict[str, Any]) -> Any:
        names = namespace.pop("__annotations__")
        given = [namespace.pop(field) for field in names if field in namespace]
        module = namespace.pop("__module__")
        made = namedtuple(name, names, defaults=given, module=module)  # type: ignore[misc]
        made.__annotations__ = names
        for attribute, value in namespace.items():
            setattr(made, attribute, value)
        return made


if not TYPE_CHECKING:
    record = _record
    NamedTuple = type.__new__(_TupleMaker, "NamedTuple", (), {})

    def replace(value: Any, /, **changes: Any) -> Any:
        """The record with other values for some of its fields."""
        return value.__replace__(**changes)
