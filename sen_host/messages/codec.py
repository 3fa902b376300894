"""Messages to bytes and back.

``decode`` takes what the Rust decoder takes and refuses what it refuses; every
fault of the bytes, whatever they are, is a Deserialization with the path to
it. ``encode`` writes what the Rust encoder writes.

Three limits of ours come on top, so that a message costs the host a bounded
amount of time and memory: its length (``MAX_MESSAGE_BYTES``, or ``max_bytes``),
its elements (``MAX_ELEMENTS``) and its nesting (``MAX_DEPTH``). No message of a
reasonable plugin comes near them.
"""

from __future__ import annotations

import msgpack

from sen_host.errors import Deserialization, Serialization
from sen_host.messages.reader import Fault, Reader, Writer
from sen_host.messages.schema import ARGS, ROOTS
from sen_host.messages.types import ExecuteResult, Message, Success

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Final, Literal, TypeVar

    from sen_host.messages.shapes import Shape

    Form = Literal["map", "array"]
    """How structs are written: by field name (``to_vec_named`` in Rust) or by
    position (``to_vec``)."""

    _M = TypeVar("_M", bound=Message)
else:
    Form = str

MAX_MESSAGE_BYTES: Final = 16 << 20
"""Longest message that is decoded unless the caller says otherwise: 16 MiB."""

_RESULT = ROOTS[ExecuteResult]
_SUCCESS_PREFIX = b"\x81\xa7Success"

# What Success(text) does, without the detour that a record takes in __init__.
_new = object.__new__
_set_text = Success.__dict__["text"].__set__

# Shared, as making one costs more than packing most arguments. It holds no
# state between calls and the interpreter's lock is held while it packs.
_pack_args: Callable[[object], bytes] = msgpack.Packer().pack

_KEPT_BYTES = 1 << 20
"""A packer that made a longer message is let go of: it keeps a buffer of that size."""


def decode(type_: type[_M], data: bytes, *, max_bytes: int = MAX_MESSAGE_BYTES) -> _M:
    """The message in ``data``, as a value of ``type_``. Bytes behind it are ignored.

    ``type_`` is a struct such as PluginManifest, or an enum such as
    ExecuteResult, or one variant of it if no other is wanted.

    Raises:
        Deserialization: ``data`` is not such a message, or beyond a limit.
    """
    if type_ is ExecuteResult:
        return decode_result(data, max_bytes)  # type: ignore[return-value]
    shape = ROOTS.get(type_)
    if shape is None:
        raise TypeError(f"{type_!r} is not a message class of the plugin API")
    value = _decode(shape, type_.__name__, data, max_bytes)
    if not isinstance(value, type_):
        got = type(value).__name__
        raise Deserialization(type_.__name__, "", f"the message is valid, but it is of type {got}")
    return value


def decode_result(data: bytes, max_bytes: int = MAX_MESSAGE_BYTES) -> ExecuteResult:
    """As ``decode(ExecuteResult, data)``, without a look at the type.

    A short cut for the message that nearly every call gives, a Success written as the SDKs
    write it: five times faster. Whatever is not plain sailing goes the general way, which
    also words the error.
    """
    size = len(data)
    if data.startswith(_SUCCESS_PREFIX) and 9 < size <= max_bytes:
        marker = data[9]
        if marker == 0xD9 and size > 10:
            start = 11
            end = 11 + data[10]
        elif 0xA0 <= marker <= 0xBF:
            start = 10
            end = 10 + (marker & 0x1F)
        elif marker == 0xDA or marker == 0xDB:
            start = 12 if marker == 0xDA else 14
            end = start + int.from_bytes(data[10:start], "big")
        else:
            end = size + 1
        if end <= size:
            try:
                text = data[start:end].decode()
            except UnicodeDecodeError:
                return _decode(_RESULT, "ExecuteResult", data, max_bytes)  # type: ignore[no-any-return]
            success: Any = _new(Success)
            _set_text(success, text)
            return success  # type: ignore[no-any-return]
    return _decode(_RESULT, "ExecuteResult", data, max_bytes)  # type: ignore[no-any-return]


def decode_args(data: bytes, *, max_bytes: int = MAX_MESSAGE_BYTES) -> tuple[str, ...]:
    """The arguments of a call, as the plugin reads them.

    Raises:
        Deserialization: ``data`` is not an array of texts, or beyond a limit.
    """
    args: tuple[str, ...] = _decode(ARGS, "argument list", data, max_bytes)
    return args


def _decode(shape: Shape, name: str, data: bytes, max_bytes: int) -> Any:
    if len(data) > max_bytes:
        raise Deserialization(
            name, "", f"the message has {len(data):,} bytes, the limit is {max_bytes:,} bytes"
        )
    try:
        return shape.decode(Reader(data))
    except Fault as fault:
        raise Deserialization(name, fault.path, fault.reason, hint=fault.hint) from None
    except RecursionError:
        # Only a caller that is itself close to the interpreter's limit gets here.
        raise Deserialization(
            name, "", "nested too deeply for what the interpreter's stack has left"
        ) from None


def encode(value: Message, *, form: Form = "map") -> bytes:
    """The bytes of a message, as the Rust SDK writes them.

    A variant is written as its enum: ``Sleep(1, 5)`` is an ExecuteResult,
    ``{"Effect": {"Sleep": {"id": 1, "duration_ms": 5}}}``.

    In array form a field left out shifts the ones behind it, as in Rust:
    Capabilities with ``fs_write`` alone then reads as ``fs_read``, and an
    HttpPost with headers but no content type cannot be read at all. Arguments
    and EffectResult, which are all that a host sends, do not suffer from it.

    Raises:
        Serialization: a part of ``value`` is of the wrong type or out of range.
    """
    packed: bytes = msgpack.packb(_to_wire(value, named=form == "map"))
    return packed


def to_wire(value: Message) -> Any:
    """The message in the wire's own shape (map form), as plain Python.

    dicts, lists, str, int, bool and None only, so that json can write it:
    ``{"Success": "..."}``, ``{"Error": {"code": 1, "message": "..."}}``.

    Raises:
        Serialization: a part of ``value`` is of the wrong type or out of range.
    """
    return _to_wire(value, named=True)


def _to_wire(value: Message, *, named: bool) -> Any:
    shape = ROOTS.get(type(value))
    if shape is None:
        raise Serialization(f"{type(value).__name__} is not a message of the plugin API")
    return _encode(shape, type(value).__name__, value, named=named)


def encode_args(args: Sequence[str]) -> bytes:
    """The bytes of a call's arguments: an array of texts.

    Raises:
        Serialization: ``args`` is not a list or tuple of str, or one of them
            holds a lone surrogate.
    """
    if isinstance(args, (list, tuple)):
        for arg in args:
            if arg.__class__ is not str or not arg.isascii():
                break
        else:
            global _pack_args
            packed_args = _pack_args(args)
            if len(packed_args) > _KEPT_BYTES:
                _pack_args = msgpack.Packer().pack
            return packed_args
    packed: bytes = msgpack.packb(_encode(ARGS, "argument list", args, named=True))
    return packed


def _encode(shape: Shape, name: str, value: object, *, named: bool) -> Any:
    try:
        return shape.encode(value, Writer(named=named))
    except Fault as fault:
        where = f"{fault.path}: " if fault.path else ""
        raise Serialization(f"cannot encode {name}: {where}{fault.reason}") from None
    except RecursionError:
        raise Serialization(
            f"cannot encode {name}: nested too deeply for what the interpreter's stack has left"
        ) from None
