"""Which shape each message class has: the enums by table, the rest by its fields."""

from __future__ import annotations

import dataclasses
import types
from enum import Enum
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from sen_host.messages import types as messages
from sen_host.messages.shapes import (
    MISSING,
    TEXT,
    Enumeration,
    Field,
    Flag,
    ListOf,
    Newtype,
    Option,
    Pair,
    Shape,
    Struct,
    Variant,
)

_ERROR_HINT = (
    'the host needs {"Error": {"code": 1, "message": "text"}};'
    ' some SDKs, the Zig SDK among them, send {"Error": "text"}'
)

_structs: dict[type[Any], Struct] = {}


def _struct(type_: type[Any], *, text_hint: str | None = None) -> Struct:
    """The shape of a dataclass, made once, so that a class can hold itself."""
    if type_ not in _structs:
        _structs[type_] = struct = Struct(type_, text_hint=text_hint)
        hints = get_type_hints(type_, include_extras=True)
        struct.fill([_field(field, hints[field.name]) for field in dataclasses.fields(type_)])
    return _structs[type_]


def _field(field: dataclasses.Field[Any], hint: Any) -> Field:
    default = MISSING if field.default is dataclasses.MISSING else field.default
    omit = messages.OMIT_DEFAULT in getattr(hint, "__metadata__", ())
    return Field(field.name, _shape(hint), default, omit)


def _shape(hint: Any) -> Shape:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        declared = [extra for extra in hint.__metadata__ if isinstance(extra, Shape)]
        return declared[0] if declared else _shape(args[0])
    if origin in (Union, types.UnionType):
        inner, none = args
        assert none is type(None)
        return Option(_shape(inner))
    if origin is tuple:
        return Pair() if args == (str, str) else ListOf(_shape(args[0]))
    if hint is str:
        return TEXT
    if hint is bool:
        return Flag()
    if issubclass(hint, Enum):
        units = [Variant(member.value, hint, unit=member) for member in hint]
        return Enumeration(hint.__name__, units)
    return _struct(hint)


def _newtype(type_: type[Any]) -> Newtype:
    (field,) = dataclasses.fields(type_)
    return Newtype(type_, field.name, TEXT)


ARGS = ListOf(TEXT)

# The order of the variants is their index on the wire.
_EFFECTS = (messages.HttpGet, messages.HttpPost, messages.Sleep)
_EFFECT = Enumeration("Effect", [Variant(t.__name__, t, _struct(t)) for t in _EFFECTS])
_EXECUTE_RESULT = Enumeration(
    "ExecuteResult",
    [
        Variant("Success", messages.Success, _newtype(messages.Success)),
        Variant("Error", messages.Error, _struct(messages.Error, text_hint=_ERROR_HINT)),
        Variant("Effect", messages.Effect, _EFFECT),
    ],
)
_EFFECT_RESULT = Enumeration(
    "EffectResult",
    [
        Variant("Http", messages.HttpResponse, _struct(messages.HttpResponse)),
        Variant("SleepComplete", messages.SleepComplete, unit=messages.SleepComplete()),
        Variant("Error", messages.EffectError, _newtype(messages.EffectError)),
    ],
)

_STRUCTS = (
    messages.PluginManifest,
    messages.CommandSpec,
    messages.ArgSpec,
    messages.Capabilities,
    messages.PathPattern,
    messages.NetPattern,
    messages.StdioCapability,
)
_EXECUTE_RESULTS = (
    messages.ExecuteResult,
    messages.Success,
    messages.Error,
    messages.Effect,
    *_EFFECTS,
)
_EFFECT_RESULTS = (
    messages.EffectResult,
    messages.HttpResponse,
    messages.SleepComplete,
    messages.EffectError,
)

ROOTS: dict[type[messages.Message], Shape] = {
    **{type_: _struct(type_) for type_ in _STRUCTS},
    **dict.fromkeys(_EXECUTE_RESULTS, _EXECUTE_RESULT),
    **dict.fromkeys(_EFFECT_RESULTS, _EFFECT_RESULT),
}
"""The shape of each class as a message of its own. A variant has the shape of
its enum: there is no other way to send it."""
