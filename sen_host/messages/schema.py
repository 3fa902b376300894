"""Which shape each message class has: the wire's side of ``types``."""

from __future__ import annotations

from sen_host.messages import types as messages
from sen_host.messages.shapes import (
    MISSING,
    TEXT,
    Char,
    Enumeration,
    Field,
    Flag,
    ListOf,
    Newtype,
    Option,
    Pair,
    Shape,
    Struct,
    Unsigned,
    Variant,
)
from sen_host.records import defaults

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Any

_ERROR_HINT = (
    'the host needs {"Error": {"code": 1, "message": "text"}};'
    ' some SDKs, the Zig SDK among them, send {"Error": "text"}'
)


def _struct(
    type_: type[Any],
    shapes: dict[str, Shape],
    *,
    omit: Collection[str] = (),
    text_hint: str | None = None,
) -> Struct:
    """The shape of a struct; ``shapes`` are those of its fields, in order.

    A field in ``omit`` is left out on the wire where it has its default.
    """
    struct = Struct(type_, text_hint=text_hint)
    _fill(struct, type_, shapes, omit)
    return struct


def _fill(
    struct: Struct, type_: type[Any], shapes: dict[str, Shape], omit: Collection[str] = ()
) -> None:
    assert tuple(shapes) == type_.__match_args__, type_
    default_of = defaults(type_)
    struct.fill(
        [
            Field(name, shape, default_of.get(name, MISSING), name in omit)
            for name, shape in shapes.items()
        ]
    )


_FLAG = Flag()
_U8, _U16, _U32, _U64 = (Unsigned(bits) for bits in (8, 16, 32, 64))
_MAYBE_TEXT = Option(TEXT)
_TEXTS = ListOf(TEXT)
_HEADERS = ListOf(Pair())

# The order of the variants is their index on the wire.
_PROTOCOL = Enumeration(
    "NetProtocol",
    [Variant(unit.value, messages.NetProtocol, unit=unit) for unit in messages.NetProtocol],
)
_PATH = _struct(messages.PathPattern, {"pattern": TEXT, "recursive": _FLAG})
_PATHS = ListOf(_PATH)
_NET = _struct(
    messages.NetPattern,
    {"host": TEXT, "port": Option(_U16), "protocol": _PROTOCOL},
    omit=("port",),
)
_STDIO = _struct(messages.StdioCapability, {"stdin": _FLAG, "stdout": _FLAG, "stderr": _FLAG})
_CAPABILITIES_FIELDS: dict[str, Shape] = {
    "fs_read": _PATHS,
    "fs_write": _PATHS,
    "env_read": _TEXTS,
    "net": ListOf(_NET),
    "stdio": _STDIO,
}
_CAPABILITIES = _struct(messages.Capabilities, _CAPABILITIES_FIELDS, omit=_CAPABILITIES_FIELDS)
_ARG = _struct(
    messages.ArgSpec,
    {
        "name": TEXT,
        "long": _MAYBE_TEXT,
        "short": Option(Char()),
        "required": _FLAG,
        "help": TEXT,
        "value_name": _MAYBE_TEXT,
        "default_value": _MAYBE_TEXT,
        "possible_values": Option(_TEXTS),
    },
)
_COMMAND = Struct(messages.CommandSpec)
_fill(
    _COMMAND,
    messages.CommandSpec,
    {
        "name": TEXT,
        "about": TEXT,
        "version": _MAYBE_TEXT,
        "author": _MAYBE_TEXT,
        "args": ListOf(_ARG),
        "subcommands": ListOf(_COMMAND),
    },
)
_MANIFEST = _struct(
    messages.PluginManifest,
    {"api_version": _U32, "command": _COMMAND, "capabilities": _CAPABILITIES},
    omit=("capabilities",),
)

_HTTP_GET = _struct(
    messages.HttpGet, {"id": _U32, "url": TEXT, "headers": _HEADERS}, omit=("headers",)
)
_HTTP_POST = _struct(
    messages.HttpPost,
    {"id": _U32, "url": TEXT, "body": TEXT, "content_type": _MAYBE_TEXT, "headers": _HEADERS},
    omit=("content_type", "headers"),
)
_SLEEP = _struct(messages.Sleep, {"id": _U32, "duration_ms": _U64})
_EFFECT = Enumeration(
    "Effect",
    [
        Variant("HttpGet", messages.HttpGet, _HTTP_GET),
        Variant("HttpPost", messages.HttpPost, _HTTP_POST),
        Variant("Sleep", messages.Sleep, _SLEEP),
    ],
)
_ERROR = _struct(messages.Error, {"code": _U8, "message": TEXT}, text_hint=_ERROR_HINT)
_EXECUTE_RESULT = Enumeration(
    "ExecuteResult",
    [
        Variant("Success", messages.Success, Newtype(messages.Success, "text", TEXT)),
        Variant("Error", messages.Error, _ERROR),
        Variant("Effect", messages.Effect, _EFFECT),
    ],
)
_RESPONSE = _struct(
    messages.HttpResponse,
    {"status": _U16, "body": TEXT, "headers": _HEADERS},
    omit=("headers",),
)
_EFFECT_RESULT = Enumeration(
    "EffectResult",
    [
        Variant("Http", messages.HttpResponse, _RESPONSE),
        Variant("SleepComplete", messages.SleepComplete, unit=messages.SleepComplete()),
        Variant("Error", messages.EffectError, Newtype(messages.EffectError, "message", TEXT)),
    ],
)

ARGS = _TEXTS

_EXECUTE_RESULTS = (
    messages.ExecuteResult,
    messages.Success,
    messages.Error,
    messages.Effect,
    messages.HttpGet,
    messages.HttpPost,
    messages.Sleep,
)
_EFFECT_RESULTS = (
    messages.EffectResult,
    messages.HttpResponse,
    messages.SleepComplete,
    messages.EffectError,
)

ROOTS: dict[type[messages.Message], Shape] = {
    messages.PluginManifest: _MANIFEST,
    messages.CommandSpec: _COMMAND,
    messages.ArgSpec: _ARG,
    messages.Capabilities: _CAPABILITIES,
    messages.PathPattern: _PATH,
    messages.NetPattern: _NET,
    messages.StdioCapability: _STDIO,
    **dict.fromkeys(_EXECUTE_RESULTS, _EXECUTE_RESULT),
    **dict.fromkeys(_EFFECT_RESULTS, _EFFECT_RESULT),
}
"""The shape of each class as a message of its own. A variant has the shape of
its enum: there is no other way to send it."""
