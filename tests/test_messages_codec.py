"""The codec beyond the Rust rows: every value, any bytes, limits."""

from __future__ import annotations

import dataclasses
import inspect
import json
import pickle
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sen_host.errors import Deserialization, Serialization
from sen_host.messages import (
    MAX_DEPTH,
    MAX_ELEMENTS,
    MAX_MESSAGE_BYTES,
    Capabilities,
    CommandSpec,
    EffectResult,
    ExecuteResult,
    Form,
    HttpPost,
    Message,
    NetPattern,
    PathPattern,
    PluginManifest,
    StdioCapability,
    Success,
    decode,
    decode_args,
    decode_result,
    encode,
    encode_args,
    to_wire,
)
from tests.message_values import ROOTS, effect_results, execute_results, forms, messages, texts

# The same examples on every run, however busy the machine is.
steady = settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])


# --- every value -------------------------------------------------------------


def _outcome(read: Callable[[bytes], Any], data: bytes) -> Any:
    """The value, or the error's text; any other exception fails the test."""
    try:
        return read(data)
    except Deserialization as error:
        return str(error)


@steady
@given(messages)
def test_round_trip_in_map_form(value: Message) -> None:
    assert decode(type(value), encode(value)) == value


def _keeps_its_places(value: object) -> bool:
    """Whether array form leaves out nothing that stands before something it writes."""
    if not dataclasses.is_dataclass(value):
        return all(map(_keeps_its_places, value)) if isinstance(value, tuple) else True
    if isinstance(value, NetPattern) and value.port is None:
        return False
    if isinstance(value, HttpPost) and value.content_type is None and value.headers:
        return False
    parts = [getattr(value, field.name) for field in dataclasses.fields(value)]
    if isinstance(value, Capabilities):
        empty = [not part or part == StdioCapability() for part in parts]
        if empty != sorted(empty):
            return False
    return all(map(_keeps_its_places, parts))


@steady
@given(messages)
def test_round_trip_in_array_form_where_nothing_shifts(value: Message) -> None:
    data = encode(value, form="array")

    if _keeps_its_places(value):
        assert decode(type(value), data) == value
    else:
        assert _outcome(lambda d: decode(type(value), d), data) != value


@steady
@given(effect_results, forms)
def test_what_a_host_sends_survives_both_forms(value: EffectResult, form: Form) -> None:
    assert decode(EffectResult, encode(value, form=form)) == value


@steady
@given(st.lists(texts, max_size=20))
def test_args_round_trip(args: list[str]) -> None:
    data = encode_args(args)

    assert data == msgpack.packb(args)
    assert decode_args(data) == tuple(args)
    assert encode_args(tuple(args)) == data


@steady
@given(execute_results, st.binary(max_size=8))
def test_bytes_behind_the_message_are_ignored(value: ExecuteResult, tail: bytes) -> None:
    assert decode(ExecuteResult, encode(value) + tail) == value


@steady
@given(messages)
def test_wire_shape_is_json_and_what_the_bytes_hold(value: Message) -> None:
    wire = to_wire(value)

    assert json.loads(json.dumps(wire)) == wire == msgpack.unpackb(encode(value))


@steady
@given(messages)
def test_values_hash_and_pickle(value: Message) -> None:
    copy = pickle.loads(pickle.dumps(value))

    assert copy == value
    assert hash(copy) == hash(value)


# --- any bytes ---------------------------------------------------------------


@steady
@given(st.sampled_from(ROOTS), st.binary(max_size=80))
def test_no_bytes_raise_anything_else(root: type[Message], data: bytes) -> None:
    assert isinstance(_outcome(lambda d: decode(root, d), data), (root, str))
    assert isinstance(_outcome(decode_args, data), (tuple, str))


@steady
@given(messages, forms, st.data())
def test_no_damage_to_a_message_raises_anything_else(
    value: Message, form: Form, data: st.DataObject
) -> None:
    good = encode(value, form=form)
    at = data.draw(st.integers(0, len(good) - 1))
    patch = data.draw(st.binary(max_size=3))
    cut = data.draw(st.integers(0, 3))

    outcome = _outcome(lambda d: decode(type(value), d), good[:at] + patch + good[at + cut :])

    assert isinstance(outcome, (type(value), str))


@steady
@given(messages, st.data())
def test_every_proper_prefix_is_cut_off(value: Message, data: st.DataObject) -> None:
    good = encode(value)
    length = data.draw(st.integers(0, len(good) - 1))

    with pytest.raises(Deserialization, match=r"cut off|is empty|ends after"):
        decode(type(value), good[:length])


def _in_the_general_way(data: bytes) -> Any:
    """Decode without the short cut: it does not know a map written with 16-bit length."""
    return _outcome(decode_result, b"\xde\x00\x01" + data[1:])


@steady
@given(
    st.sampled_from(
        [
            b"\xa0",
            b"\xa5",
            b"\xbf",
            b"\xd9\x05",
            b"\xd9",
            b"\xda\x00\x05",
            b"\xda\x00",
            b"\xdb\x00\x00\x00\x05",
            b"\xdb\x00",
            b"\xc4\x05",
            b"\xc0",
            b"\x90",
            b"",
        ]
    ),
    st.binary(max_size=40),
)
def test_the_short_cut_for_success_gives_what_the_general_way_gives(
    head: bytes, content: bytes
) -> None:
    data = b"\x81\xa7Success" + head + content

    assert _outcome(decode_result, data) == _in_the_general_way(data)


@pytest.mark.parametrize("length", [0, 31, 32, 255, 256, 1023, 1024, 65_535, 65_536])
@pytest.mark.parametrize("last", ["", "ä", "\U0001f600"])
def test_success_of_every_length_class(length: int, last: str) -> None:
    data = encode(Success("x" * length + last))

    assert decode_result(data) == Success("x" * length + last) == _in_the_general_way(data)
    if last:
        assert isinstance(_outcome(decode_result, data[:-1] + b"\xff"), str)


# --- limits ------------------------------------------------------------------


def test_a_message_over_the_byte_limit_is_refused() -> None:
    data = encode(Success("x" * 100))

    for decode_one in (decode_result, partial(decode, ExecuteResult)):
        assert decode_one(data, max_bytes=len(data)) == Success("x" * 100)
        with pytest.raises(Deserialization, match=r"has 111 bytes, the limit is 110 bytes"):
            decode_one(data, max_bytes=110)
    with pytest.raises(Deserialization, match=r"the limit is 16,777,216 bytes"):
        decode(ExecuteResult, bytes(MAX_MESSAGE_BYTES + 1))
    with pytest.raises(Deserialization, match=r"the limit is 1 bytes"):
        decode_args(encode_args(["a"]), max_bytes=1)


def nested(levels: int) -> CommandSpec:
    command = CommandSpec("leaf", "")
    for _ in range(levels):
        command = CommandSpec("node", "", subcommands=(command,))
    return command


@pytest.mark.parametrize("form", ["map", "array"])
def test_subcommands_nest_63_levels_and_no_deeper(form: Form) -> None:
    manifest = PluginManifest.new(nested(63))

    assert decode(PluginManifest, encode(manifest, form=form)) == manifest
    with pytest.raises(Serialization, match=f"nested deeper than {MAX_DEPTH} levels"):
        encode(PluginManifest.new(nested(64)), form=form)


def test_what_is_decoded_can_be_encoded_at_any_depth() -> None:
    deepest: list[dict[str, object]] = [
        {"name": "leaf", "about": ""},
        {"name": "leaf", "about": "", "args": [], "subcommands": []},
        {"name": "leaf", "about": "", "args": [{"name": "word"}]},
    ]
    for leaf, most in zip(deepest, (63, 63, 62), strict=True):
        command = leaf
        for levels in range(1, 66):
            command = {"name": "node", "about": "", "subcommands": [command]}
            data = msgpack.packb({"api_version": 2, "command": command})
            if levels > most:
                with pytest.raises(Deserialization, match="nested deeper"):
                    decode(PluginManifest, data)
            else:
                manifest = decode(PluginManifest, data)
                assert decode(PluginManifest, encode(manifest)) == manifest


def test_a_nesting_bomb_is_refused() -> None:
    bomb = b"\x96\xa1n\xa1a\xc0\xc0\x90\x91" * 100_000

    with pytest.raises(Deserialization, match=f"nested deeper than {MAX_DEPTH} levels"):
        decode(CommandSpec, bomb)


def test_a_nesting_bomb_under_an_unknown_key_is_refused() -> None:
    with pytest.raises(Deserialization, match="an unknown value in it is nested too deeply"):
        decode(PathPattern, b"\x82\xa7pattern\xa1p\xa1z" + b"\x91" * 1_000_000)


def test_little_stack_left_is_an_error_of_ours() -> None:
    data = encode(nested(60))

    def at_depth(frames: int) -> None:
        if frames:
            at_depth(frames - 1)
            return
        with pytest.raises(Deserialization, match="stack"):
            decode(CommandSpec, data)
        with pytest.raises(Serialization, match="stack"):
            encode(nested(60))

    used = len(inspect.stack(0))
    at_depth(sys.getrecursionlimit() - used - 60)


def test_a_declared_length_beyond_the_message_is_refused_at_once() -> None:
    with pytest.raises(Deserialization, match=r"4,294,967,295 elements.*after 1 bytes") as caught:
        decode(Capabilities, b"\x81\xa8env_read\xdd\xff\xff\xff\xff\xa0")
    assert caught.value.path == "env_read"


def test_elements_are_limited_over_the_whole_message() -> None:
    half = MAX_ELEMENTS // 2
    texts_of_half = msgpack.packb([""] * half)

    assert len(decode_args(msgpack.packb([""] * MAX_ELEMENTS))) == MAX_ELEMENTS
    with pytest.raises(Deserialization, match=r"more than 1,048,576 elements") as caught:
        decode(
            CommandSpec,
            b"\x95\xa1n\xa1a\xc0\xc0\x92"
            + (b"\x98\xa1a\xc0\xc0\xc2\xa0\xc0\xc0" + texts_of_half) * 2,
        )
    assert caught.value.path == "args[1].possible_values"
