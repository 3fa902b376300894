"""Exceptions as plain data, so that they can cross from the worker to the host.

Only the classes of :mod:`sen_host.errors` cross. The attributes of each class
are the parameters of its constructors, and their annotations are what the host
checks the worker's values against.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from sen_host import errors
from sen_host.errors import EngineFault, SenHostError, TrapKind
from sen_host.isolation.frames import Malformed, clip


def encode_fault(error: BaseException) -> tuple[str, dict[str, Any]]:
    """The name and the attributes of the class of ``sen_host.errors`` nearest to ``error``."""
    for kind in type(error).__mro__:
        if kind.__module__ == errors.__name__ and issubclass(kind, SenHostError):
            attributes = vars(error)
            return kind.__name__, {
                name: _clipped(attributes.get(name)) for name in _attributes(kind)
            }
    return encode_fault(EngineFault("the engine failed", detail=describe(error)))


def describe(error: BaseException) -> str:
    """The type and the text of a foreign exception, at most 4096 characters."""
    kind = type(error)
    name = (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )
    try:
        text = str(error)
    except Exception:
        text = "(its text cannot be had)"
    return clip(f"{name}: {text}" if text else name) or name


def decode_fault(name: object, attributes: object) -> SenHostError:
    """The inverse of :func:`encode_fault`.

    Raises:
        Malformed: there is no such class, or its attributes are others.
    """
    kind = getattr(errors, name, None) if type(name) is str else None
    if not isinstance(kind, type) or not issubclass(kind, SenHostError):
        raise Malformed("a fault of an unknown class")
    expected = _attributes(kind)
    if not isinstance(attributes, dict) or attributes.keys() != expected.keys():
        raise Malformed(f"a {name} without its attributes")
    values = {key: _conform(attributes[key], hint) for key, hint in expected.items()}
    error = kind.__new__(kind)
    Exception.__init__(error, values["message"])
    vars(error).update(values)
    return error


def _attributes(kind: type[SenHostError]) -> dict[str, Any]:
    """The attributes of a class of errors, with the types of their values."""
    found: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        if issubclass(base, SenHostError) and "__init__" in vars(base):
            found.update(typing.get_type_hints(base.__init__))
    found.pop("return", None)
    # What is optional for a constructor is filled in by it.
    return {**found, "message": str}


def _conform(value: object, hint: Any) -> object:
    origin, options = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        for option in options:
            with suppress(Malformed):
                return _conform(value, option)
    elif origin is Iterable:
        if type(value) is tuple:
            return tuple(_conform(item, options[0]) for item in value)
    elif origin is tuple:
        if type(value) is tuple and len(value) == len(options):
            return tuple(map(_conform, value, options))
    elif hint is TrapKind:
        if type(value) is str and value in TrapKind._value2member_map_:
            return TrapKind(value)
    elif type(value) is hint or (hint is float and type(value) is int):
        return value
    raise Malformed("a fault with an attribute of a wrong type")


def _clipped(value: Any) -> Any:
    if isinstance(value, TrapKind):
        return value.value
    return clip(value) if isinstance(value, str) else value
