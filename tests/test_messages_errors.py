"""The codec beyond the Rust rows: ranges, names, errors, and refusals to encode."""

from __future__ import annotations

import http
from collections.abc import Callable
from typing import Any

import msgpack
import pytest

from sen_host.errors import Deserialization, Serialization
from sen_host.messages import (
    API_VERSION,
    ArgSpec,
    Capabilities,
    CommandSpec,
    Effect,
    EffectError,
    EffectResult,
    Error,
    ExecuteError,
    ExecuteResult,
    HttpGet,
    HttpPost,
    HttpResponse,
    Message,
    NetPattern,
    NetProtocol,
    PluginManifest,
    Sleep,
    SleepComplete,
    Success,
    decode,
    encode,
    encode_args,
    to_wire,
)

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
