"""The codec beyond the Rust rows: every value, any bytes, limits, and refusals to encode."""

from __future__ import annotations

import dataclasses
import http
import inspect
import json
import pickle
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sen_host.errors import Deserialization, Serialization
from sen_host.messages import (
    API_VERSION,
    MAX_DEPTH,
    MAX_ELEMENTS,
    MAX_MESSAGE_BYTES,
    ArgSpec,
    Capabilities,
    CommandSpec,
    Effect,
    EffectError,
    EffectResult,
    Error,
    ExecuteError,
    ExecuteResult,
    Form,
    HttpGet,
    HttpPost,
    HttpResponse,
    Message,
    NetPattern,
    NetProtocol,
    PathPattern,
    PluginManifest,
    Sleep,
    SleepComplete,
    StdioCapability,
    Success,
    decode,
    decode_args,
    encode,
    encode_args,
    to_wire,
)

T = TypeVar("T")

# The same examples on every run, however busy the machine is.
steady = settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# --- every value -------------------------------------------------------------


def tuples(of: st.SearchStrategy[T]) -> st.SearchStrategy[tuple[T, ...]]:
    return st.lists(of, max_size=4).map(tuple)


def unsigned(bits: int) -> st.SearchStrategy[int]:
    return st.integers(0, 2**bits - 1)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
maybe_text = st.none() | texts
chars = st.characters(exclude_categories=["Cs"])
headers = tuples(st.tuples(texts, texts))
paths = st.builds(PathPattern, texts, st.booleans())
nets = st.builds(NetPattern, texts, st.none() | unsigned(16), st.sampled_from(NetProtocol))
stdio = st.builds(StdioCapability, st.booleans(), st.booleans(), st.booleans())
capabilities = st.builds(
    Capabilities, tuples(paths), tuples(paths), tuples(texts), tuples(nets), stdio
)
arg_specs = st.builds(
    ArgSpec,
    texts,
    maybe_text,
    st.none() | chars,
    st.booleans(),
    texts,
    maybe_text,
    maybe_text,
    st.none() | tuples(texts),
)
commands = st.recursive(
    st.builds(CommandSpec, texts, texts, maybe_text, maybe_text, tuples(arg_specs)),
    lambda inner: st.builds(
        CommandSpec, texts, texts, maybe_text, maybe_text, tuples(arg_specs), tuples(inner)
    ),
    max_leaves=4,
)
manifests = st.builds(PluginManifest, unsigned(32), commands, capabilities)
effects = st.one_of(
    st.builds(HttpGet, unsigned(32), texts, headers),
    st.builds(HttpPost, unsigned(32), texts, texts, maybe_text, headers),
    st.builds(Sleep, unsigned(32), unsigned(64)),
)
execute_results = st.one_of(
    st.builds(Success, st.text(st.characters(exclude_categories=["Cs"]), max_size=400)),
    st.builds(Error, unsigned(8), texts),
    effects,
)
effect_results = st.one_of(
    st.builds(HttpResponse, unsigned(16), texts, headers),
    st.just(SleepComplete()),
    st.builds(EffectError, texts),
)
messages: st.SearchStrategy[Message] = st.one_of(
    manifests,
    commands,
    arg_specs,
    capabilities,
    paths,
    nets,
    stdio,
    execute_results,
    effect_results,
)
forms: st.SearchStrategy[Form] = st.sampled_from(["map", "array"])

ROOTS: tuple[type[Message], ...] = (
    PluginManifest,
    CommandSpec,
    ArgSpec,
    Capabilities,
    PathPattern,
    NetPattern,
    StdioCapability,
    ExecuteResult,
    EffectResult,
)


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
    return _outcome(lambda d: decode(ExecuteResult, d), b"\xde\x00\x01" + data[1:])


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

    assert _outcome(lambda d: decode(ExecuteResult, d), data) == _in_the_general_way(data)


@pytest.mark.parametrize("length", [0, 31, 32, 255, 256, 65_535, 65_536])
def test_success_of_every_length_class(length: int) -> None:
    data = encode(Success("x" * length))

    assert decode(ExecuteResult, data) == Success("x" * length) == _in_the_general_way(data)


# --- limits ------------------------------------------------------------------


def test_a_message_over_the_byte_limit_is_refused() -> None:
    data = encode(Success("x" * 100))

    assert decode(ExecuteResult, data, max_bytes=len(data)) == Success("x" * 100)
    with pytest.raises(Deserialization, match=r"has 111 bytes, the limit is 110 bytes"):
        decode(ExecuteResult, data, max_bytes=110)
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
def test_subcommands_nest_62_levels_and_no_deeper(form: Form) -> None:
    manifest = PluginManifest.new(nested(62))

    assert decode(PluginManifest, encode(manifest, form=form)) == manifest
    with pytest.raises(Serialization, match=f"nested deeper than {MAX_DEPTH} levels"):
        encode(PluginManifest.new(nested(63)), form=form)


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


# --- errors and names --------------------------------------------------------


INTEGERS: dict[str, tuple[int, Callable[[int], Message]]] = {
    "PluginManifest.api_version": (32, lambda n: PluginManifest(n, CommandSpec("n", "a"))),
    "NetPattern.port": (16, lambda n: NetPattern("h", n)),
    "Error.code": (8, lambda n: Error(n, "")),
    "HttpGet.id": (32, lambda n: HttpGet(n, "u")),
    "HttpPost.id": (32, lambda n: HttpPost(n, "u", "")),
    "Sleep.id": (32, lambda n: Sleep(n, 0)),
    "Sleep.duration_ms": (64, lambda n: Sleep(0, n)),
    "HttpResponse.status": (16, lambda n: HttpResponse(n, "")),
}


@pytest.mark.parametrize(("bits", "make"), INTEGERS.values(), ids=INTEGERS)
def test_each_integer_has_its_range(bits: int, make: Callable[[int], Message]) -> None:
    largest = make(2**bits - 1)
    expected = f"expected an integer from 0 to {2**bits - 1:,}, got {2**bits:,}"

    assert decode(type(largest), encode(largest)) == largest
    with pytest.raises(Serialization, match=expected):
        encode(make(2**bits))
    if bits < 64:  # MessagePack itself has no integers beyond 64 bits
        grown = encode(largest).replace(msgpack.packb(2**bits - 1), msgpack.packb(2**bits), 1)
        with pytest.raises(Deserialization, match=expected):
            decode(type(largest), grown)


@pytest.mark.parametrize(
    ("wire", "value"),
    [
        ({0: "x"}, Success("x")),
        ({1: [3, "x"]}, Error(3, "x")),
        ({2: {0: [1, "u"]}}, HttpGet(1, "u")),
        ({2: {1: [1, "u", "b"]}}, HttpPost(1, "u", "b")),
        ({2: {2: [1, 5]}}, Sleep(1, 5)),
    ],
)
def test_variants_by_index(wire: Any, value: ExecuteResult) -> None:
    assert decode(ExecuteResult, msgpack.packb(wire)) == value


@pytest.mark.parametrize(
    ("wire", "value"),
    [({0: [200, "x"]}, HttpResponse(200, "x")), (1, SleepComplete()), ({2: "x"}, EffectError("x"))],
)
def test_effect_results_by_index(wire: Any, value: EffectResult) -> None:
    assert decode(EffectResult, msgpack.packb(wire)) == value


@pytest.mark.parametrize(("index", "protocol"), list(enumerate(NetProtocol)))
def test_protocols_by_index(index: int, protocol: NetProtocol) -> None:
    assert decode(NetPattern, msgpack.packb(["h", None, index])).protocol is protocol


def test_the_path_leads_through_lists_and_structs() -> None:
    args = [{"name": "a"}, {"name": "b"}, {"name": "c", "short": "xy"}]
    data = msgpack.packb({"api_version": 2, "command": {"name": "n", "about": "", "args": args}})

    with pytest.raises(Deserialization) as caught:
        decode(PluginManifest, data)

    assert caught.value.path == "command.args[2].short"
    assert str(caught.value) == (
        "not a valid PluginManifest: command.args[2].short: expected one character, got 2"
    )


def test_the_second_half_of_a_header() -> None:
    data = msgpack.packb({"Http": {"status": 200, "body": "", "headers": [["a", "b"], ["c", 1]]}})

    with pytest.raises(Deserialization) as caught:
        decode(EffectResult, data)

    assert caught.value.path == "Http.headers[1][1]"


def test_a_long_unknown_variant_is_shown_shortened() -> None:
    with pytest.raises(Deserialization) as caught:
        decode(ExecuteResult, msgpack.packb({"x" * 1000: ""}))

    assert f"unknown variant '{'x' * 40}...'" in str(caught.value)


def test_one_variant_can_be_asked_for() -> None:
    assert decode(Success, encode(Success("x"))).text == "x"
    assert decode(Effect, encode(Sleep(7, 5))).id == 7
    with pytest.raises(Deserialization, match=r"not a valid Success: .*of type Error"):
        decode(Success, encode(Error.user("no")))


def test_only_message_classes_can_be_decoded() -> None:
    with pytest.raises(TypeError, match="not a message class"):
        decode(int, b"\x01")  # type: ignore[type-var]


def test_results_are_taken_apart_by_match() -> None:
    def told(result: ExecuteResult) -> str:
        match result:
            case Success(text):
                return text
            case Error(code, message):
                return f"{code} {message}"
            case HttpGet(id=id_, url=url):
                return f"GET {id_} {url}"
            case Effect():
                return f"effect {result.id}"
        raise AssertionError(result)

    assert told(decode(ExecuteResult, encode(Success("hi")))) == "hi"
    assert told(decode(ExecuteResult, encode(Error.user("no")))) == "1 no"
    assert told(decode(ExecuteResult, encode(Error.system("no")))) == "101 no"
    assert told(decode(ExecuteResult, encode(HttpGet(3, "u")))) == "GET 3 u"
    assert told(decode(ExecuteResult, encode(Sleep(4, 5)))) == "effect 4"
    assert ExecuteError is Error


def test_a_new_manifest_has_the_present_api_version() -> None:
    manifest = PluginManifest.new(CommandSpec("n", "a"))

    assert manifest.api_version == API_VERSION == 2
    assert manifest.capabilities == Capabilities()


# --- refusals to encode ------------------------------------------------------

BAD: dict[str, tuple[Any, str]] = {
    "code too large": (Error(256, ""), "Error.code: expected an integer from 0 to 255, got 256"),
    "code negative": (Error(-1, ""), "Error.code: expected an integer from 0 to 255, got -1"),
    "code huge": (Error(10**5000, ""), "got one of 16,610 bits"),
    "code a bool": (Error(True, ""), "Error.code: expected an integer from 0 to 255, got bool"),
    "code a float": (Error(1.0, ""), "got float"),  # type: ignore[arg-type]
    "text is bytes": (Success(b"x"), "Success: expected a str, got bytes"),  # type: ignore[arg-type]
    "text is None": (EffectError(None), "Error: expected a str, got NoneType"),  # type: ignore[arg-type]
    "lone surrogate": (Success("ab\ud800"), "Success: the text has a lone surrogate at position 2"),
    "short of two": (
        PluginManifest.new(CommandSpec("n", "a", args=(ArgSpec("a"), ArgSpec("b", short="xy")))),
        "cannot encode PluginManifest: command.args[1].short: expected one character, got 2",
    ),
    "short a surrogate": (ArgSpec("a", short="\udc00"), "short: the text has a lone surrogate"),
    "required not a bool": (ArgSpec("a", required=1), "required: expected a bool, got int"),  # type: ignore[arg-type]
    "list is a str": (Capabilities(env_read="HOME"), "env_read: expected a tuple or list, got str"),  # type: ignore[arg-type]
    "struct is a dict": (Capabilities(stdio={}), "stdio: expected StdioCapability, got dict"),  # type: ignore[arg-type]
    "protocol unknown": (NetPattern("h", protocol="udp"), "expected a variant of NetProtocol, got"),  # type: ignore[arg-type]
    "header of three": (HttpGet(1, "u", (("a", "b", "c"),)), "headers[0]: expected two texts"),  # type: ignore[arg-type]
    "header value": (HttpResponse(200, "", (("a", 1),)), "Http.headers[0][1]: expected a str"),  # type: ignore[arg-type]
    "bare enum": (ExecuteResult(), "expected a variant of ExecuteResult, got ExecuteResult"),
    "not a message": ("hi", "str is not a message of the plugin API"),
}


@pytest.mark.parametrize(("value", "reason"), BAD.values(), ids=BAD)
@pytest.mark.parametrize("write", [encode, to_wire])
def test_what_cannot_be_sent_is_refused_with_its_path(
    write: Callable[[Any], object], value: Any, reason: str
) -> None:
    with pytest.raises(Serialization) as caught:
        write(value)

    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        ("Alice", "expected a tuple or list, got str"),
        (None, "expected a tuple or list, got NoneType"),
        (["a", 1], "[1]: expected a str, got int"),
        (("a", b"b"), "[1]: expected a str, got bytes"),
        (["\ud800"], "[0]: the text has a lone surrogate at position 0"),
    ],
)
def test_args_that_cannot_be_sent_are_refused(args: Any, reason: str) -> None:
    with pytest.raises(Serialization) as caught:
        encode_args(args)

    assert str(caught.value).startswith(f"cannot encode argument list: {reason}")
    assert encode_args(["fine"]) == b"\x91\xa4fine"


def test_subclasses_and_lists_are_welcome() -> None:
    class Name(str):
        __slots__ = ()

    response = HttpResponse(http.HTTPStatus.OK, Name("x"), [["a", "b"]])  # type: ignore[arg-type]

    assert encode(response) == encode(HttpResponse(200, "x", (("a", "b"),)))
    assert encode_args([Name("a")]) == encode_args(["a"])
    assert encode(NetPattern("h", protocol="tcp")) == encode(  # type: ignore[arg-type]
        NetPattern("h", protocol=NetProtocol.TCP)
    )
    assert to_wire(HttpGet(1, "u", [])) == {"Effect": {"HttpGet": {"id": 1, "url": "u"}}}  # type: ignore[arg-type]
