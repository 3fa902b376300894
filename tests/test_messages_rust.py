"""Our codec against what the Rust crate was seen to do, row by row.

``facts/messages.json`` holds what rmp-serde encodes and what it answered to
odd input. A value is compared by its rendering in Rust's own Debug notation,
so that no field of an accepted row can go unnoticed. The second table holds
further answers of the same decoder.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from sen_host.errors import Deserialization
from sen_host.messages import (
    ArgSpec,
    Capabilities,
    CommandSpec,
    Effect,
    EffectError,
    EffectResult,
    Error,
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

FACTS = json.loads((Path(__file__).parent / "facts" / "messages.json").read_text("utf-8"))

TYPES: dict[str, type[Message]] = {
    type_.__name__: type_
    for type_ in (
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
}


def decoded(type_name: str, data: bytes) -> Any:
    return decode_args(data) if type_name == "Vec<String>" else decode(TYPES[type_name], data)


# --- Rust's Debug notation ---------------------------------------------------

_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0"}


def _quoted(text: str, quote: str) -> str:
    return quote + "".join(_ESCAPES.get(c, "\\" + c if c == quote else c) for c in text) + quote


def _struct(name: str, value: Any) -> str:
    fields = dataclasses.fields(value)
    inner = ", ".join(f"{f.name}: {_field(value, f.name, f.type)}" for f in fields)
    return f"{name} {{ {inner} }}"


def _field(value: Any, name: str, annotation: Any) -> str:
    part = getattr(value, name)
    if name == "short" and part is not None:
        text = _quoted(part, "'")
    elif name == "headers":
        pairs = (f"({rust_debug(key)}, {rust_debug(content)})" for key, content in part)
        text = f"[{', '.join(pairs)}]"
    else:
        text = rust_debug(part)
    return f"Some({text})" if "None" in annotation and part is not None else text


def rust_debug(value: Any) -> str:
    """``value`` as Rust's ``{:?}`` prints its counterpart."""
    match value:
        case None:
            return "None"
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case NetProtocol():
            return value.name.capitalize()
        case str():
            return _quoted(value, '"')
        case tuple():
            return f"[{', '.join(map(rust_debug, value))}]"
        case Success(text):
            return f"Success({rust_debug(text)})"
        case Error():
            return f"Error({_struct('ExecuteError', value)})"
        case Effect():
            return f"Effect({_struct(type(value).__name__, value)})"
        case HttpResponse():
            return f"Http({_struct('HttpResponse', value)})"
        case SleepComplete():
            return "SleepComplete"
        case EffectError(message):
            return f"Error({rust_debug(message)})"
        case _:
            return _struct(type(value).__name__, value)


# --- decoding ----------------------------------------------------------------

# What we say of each row that Rust refuses: the path to the fault, and the fault.
FAULTS = {
    "array form [Success,x]": (
        "expected a map of one entry {variant: payload} (Success, Error, Effect), got an array"
    ),
    "unknown variant": "unknown variant 'Nope'; there are Success, Error, Effect",
    "lowercase variant": "unknown variant 'success'; there are Success, Error, Effect",
    "Success nil": "Success: expected a text, got nil",
    "Success int": "Success: expected a text, got an integer",
    "Success bad utf8 str": "Success: the text is not valid UTF-8 at byte 0",
    "Error plain string (Zig SDK)": (
        "Error: expected a map or an array of {code, message}, got a text"
    ),
    "Error code bool": "Error.code: expected an integer from 0 to 255, got a bool",
    "Error short arr": "Error.message: is missing",
    "Error dup key": "Error.code: is given twice",
    "truncated": "the message is cut off",
    "HttpGet headers nil": "Effect.HttpGet.headers: expected an array, got nil",
    "HttpGet headers as map": "Effect.HttpGet.headers: expected an array, got a map",
    "HttpGet arr4 extra": "Effect.HttpGet: expected at most 3 elements, got 4",
    "HttpGet id u64 big": (
        "Effect.HttpGet.id: expected an integer from 0 to 4,294,967,295, got 4,294,967,296"
    ),
    "HttpGet header tuple len 3": "Effect.HttpGet.headers[0]: expected two texts, got 3",
    "HttpPost arr4 headers": "Effect.HttpPost.content_type: expected a text, got an array",
    "Sleep neg": (
        "Effect.Sleep.duration_ms: expected an integer from 0 to 18,446,744,073,709,551,615, got -5"
    ),
    "Effect bare string": "Effect: 'Sleep' stands alone, without its payload",
    "Http headers map": "Http.headers: expected an array, got a map",
    "arr4 extra": "expected at most 3 elements, got 4",
    "api_version str": "api_version: expected an integer from 0 to 4,294,967,295, got a text",
    "missing api_version": "api_version: is missing",
    "about nil (Zig SDK about=null)": "command.about: expected a text, got nil",
    "api_version float 2.0": (
        "api_version: expected an integer from 0 to 4,294,967,295, got a float"
    ),
    "missing about": "about: is missing",
    "name only arr": "about: is missing",
    "arr7": "expected at most 6 elements, got 7",
    "help nil (Zig SDK help=null)": "help: expected a text, got nil",
    "short 2 chars": "short: expected one character, got 2",
    "short empty": "short: expected one character, got 0",
    "short int": "short: expected one character, as a text, got an integer",
    "short invalid utf8 byte": "short: the text is not valid UTF-8 at byte 0",
    "required int": "required: expected a bool, got an integer",
    "required nil": "required: expected a bool, got nil",
    "arr9": "expected at most 8 elements, got 9",
    "stdio nil": "stdio: expected a map or an array of {stdin, stdout, stderr}, got nil",
    "arr6": "expected at most 5 elements, got 6",
    "proto Https": "protocol: unknown variant 'Https'; there are https, http, tcp",
    "port 65536": "port: expected an integer from 0 to 65,535, got 65,536",
    "args nil": "expected an array, got nil",
}

# What the error advises, where a plugin author can be told more than the fault.
HINTS = {
    "Error plain string (Zig SDK)": 'the host needs {"Error": {"code": 1, "message": "text"}}',
    "about nil (Zig SDK about=null)": "send an empty text instead",
    "help nil (Zig SDK help=null)": "send an empty text instead",
    "required nil": "leave the field out",
    "lowercase variant": "send 'Success'",
    "proto Https": "send 'https'",
    "HttpGet headers as map": "send a list of [name, value] pairs",
    "Effect bare string": "{'Sleep': payload}",
    "HttpPost arr4 headers": "in array form a field left out shifts those behind it",
}


def _ids(rows: list[dict[str, Any]], *keys: str) -> list[str]:
    return ["-".join(row[key] for key in keys) for row in rows]


ACCEPTED = [row for row in FACTS["decode"] if row["rust"].startswith("OK ")]
REFUSED = [row for row in FACTS["decode"] if row["rust"].startswith("ERR ")]


def test_every_row_is_looked_at() -> None:
    assert len(ACCEPTED) + len(REFUSED) == len(FACTS["decode"]) == 84
    assert {row["case"] for row in REFUSED} == FAULTS.keys()
    assert HINTS.keys() <= FAULTS.keys()


@pytest.mark.parametrize("row", ACCEPTED, ids=_ids(ACCEPTED, "type", "case"))
def test_what_rust_accepts_gives_the_same_value(row: dict[str, Any]) -> None:
    value = decoded(row["type"], bytes.fromhex(row["hex"]))

    assert f"OK {rust_debug(value)}" == row["rust"]


@pytest.mark.parametrize("row", REFUSED, ids=_ids(REFUSED, "type", "case"))
def test_what_rust_refuses_is_refused_with_the_path_to_the_fault(row: dict[str, Any]) -> None:
    with pytest.raises(Deserialization) as caught:
        decoded(row["type"], bytes.fromhex(row["hex"]))

    error = caught.value
    where = f"{error.path}: " if error.path else ""
    assert where + error.reason == FAULTS[row["case"]]
    assert HINTS.get(row["case"], "") in (error.hint or "")


# More answers of the same decoder: (type, hex, Debug output or None for an error).
_PLAIN_ARG = (
    'ArgSpec { name: "a", long: None, short: None, required: false, help: "",'
    " value_name: None, default_value: None, possible_values: None }"
)
MORE = {
    "variant named by bytes": ("ExecuteResult", "81c40753756363657373a178", 'Success("x")'),
    "variant index as u16": ("ExecuteResult", "81cd0000a178", 'Success("x")'),
    "variant index signed": ("ExecuteResult", "81d000a178", None),
    "variant index unknown": ("EffectResult", "05", None),
    "variant is an array": ("ExecuteResult", "8190a178", None),
    "enum map empty": ("ExecuteResult", "80", None),
    "enum map of two": ("ExecuteResult", "82a753756363657373a178a753756363657373a178", None),
    "enum is nil": ("ExecuteResult", "c0", None),
    "unit variant by index": ("EffectResult", "01", "SleepComplete"),
    "unit variant by signed index": ("EffectResult", "d001", None),
    "unit variant by bytes": (
        "EffectResult",
        "c40d536c656570436f6d706c657465",
        "SleepComplete",
    ),
    "unit variant by index in a map": ("EffectResult", "8101c0", "SleepComplete"),
    "unit variant with a payload": ("EffectResult", "8101c3", None),
    "payload variant by bare index": ("EffectResult", "00", None),
    "code as i8": (
        "ExecuteResult",
        "81a54572726f7292d001a16d",
        'Error(ExecuteError { code: 1, message: "m" })',
    ),
    "code -1 as i16": ("ExecuteResult", "81a54572726f7292d1ffffa16d", None),
    "short as bytes": ("ArgSpec", "82a46e616d65a161a573686f7274c40161", None),
    "key is nil": ("ArgSpec", "82a46e616d65a161c0c0", None),
    "key is a bool": ("ArgSpec", "82a46e616d65a161c3c0", None),
    "key is a float": ("ArgSpec", "82a46e616d65a161ca40000000c0", None),
    "key is an array": ("ArgSpec", "82a46e616d65a16191c0c0", None),
    "key is an extension": ("ArgSpec", "82a46e616d65a161d40161c0", None),
    "key is a signed integer": ("ArgSpec", "82a46e616d65a161d009c0", None),
    "key is an index": ("ArgSpec", "8100a161", _PLAIN_ARG),
    "key is an unknown index": ("ArgSpec", "82a46e616d65a16109c0", _PLAIN_ARG),
    "key by index and by name": ("ArgSpec", "8200a161a46e616d65a161", None),
    "unknown key twice": ("ArgSpec", "83a46e616d65a161a17a01a17a02", _PLAIN_ARG),
    "unknown key, not UTF-8": ("ArgSpec", "82a46e616d65a161a1ffc0", _PLAIN_ARG),
    "unknown value, not UTF-8": ("ArgSpec", "82a46e616d65a161a17aa1ff", _PLAIN_ARG),
    "unknown value, nested": ("ArgSpec", "82a46e616d65a161a17a81c0929380c3d9016101", _PLAIN_ARG),
    "unknown value, extension": ("ArgSpec", "82a46e616d65a161a17ac70201636465", _PLAIN_ARG),
    "unknown value, bad timestamp": ("ArgSpec", "82a46e616d65a161a17ac703ff010203", _PLAIN_ARG),
    "unknown value, NaN": ("ArgSpec", "82a46e616d65a161a17acb7ff8000000000000", _PLAIN_ARG),
    "unknown value, reserved byte": ("ArgSpec", "82a46e616d65a161a17ac1", None),
    "unknown value, cut off": ("ArgSpec", "82a46e616d65a161a17ac7020163", None),
    "unknown value, 1022 deep": (
        "ArgSpec",
        "82a46e616d65a161a17a" + "91" * 1022 + "c0",
        _PLAIN_ARG,
    ),
    "unknown value, 1025 deep": ("ArgSpec", "82a46e616d65a161a17a" + "91" * 1025 + "c0", None),
    "struct is an extension": ("ArgSpec", "d40101", None),
    "list is an extension": ("Vec<String>", "d40161", None),
    "array of 4 billion": ("Vec<String>", "ddffffffffa0", None),
    "map of 4 billion": ("ArgSpec", "dfffffffffa0", None),
    "text of 4 GiB": ("Vec<String>", "92a161dbffffffff61", None),
    "unknown array of 4 billion": ("ArgSpec", "82a46e616d65a161a17addffffffff", None),
    "array of one": ("ArgSpec", "91a161", _PLAIN_ARG),
    "protocol by index": (
        "NetPattern",
        "93a168c002",
        'NetPattern { host: "h", port: None, protocol: Tcp }',
    ),
    "nothing": ("ExecuteResult", "", None),
}


@pytest.mark.parametrize(("type_name", "data", "debug"), MORE.values(), ids=MORE)
def test_odd_input_is_judged_as_rust_judges_it(
    type_name: str, data: str, debug: str | None
) -> None:
    if debug is None:
        with pytest.raises(Deserialization):
            decoded(type_name, bytes.fromhex(data))
    else:
        assert rust_debug(decoded(type_name, bytes.fromhex(data))) == debug


# --- encoding ----------------------------------------------------------------

_MINIMAL = CommandSpec("n", "a")
_FULL_ARG = ArgSpec("o", "out", "o", True, "h", "V", "d", ("x", "y"))
_HEADERS = (("a", "b"),)
_OUT_AND_ERR = StdioCapability(stdout=True, stderr=True)

VALUES: dict[str, Any] = {
    "ExecuteResult::Success": Success("hi"),
    "ExecuteResult::Error.user": Error.user("bad"),
    "ExecuteResult::Error.system": Error.system("bad"),
    "ExecuteResult::Effect(HttpGet,no headers)": HttpGet(1, "u"),
    "Effect(HttpGet,headers)": HttpGet(1, "u", _HEADERS),
    "Effect(HttpPost,minimal)": HttpPost(1, "u", "B"),
    "Effect(HttpPost,ct)": HttpPost(1, "u", "B", "t/p"),
    "Effect(HttpPost,headers only)": HttpPost(1, "u", "B", headers=_HEADERS),
    "Effect(HttpPost,ct+headers)": HttpPost(1, "u", "B", "t/p", _HEADERS),
    "Effect(Sleep)": Sleep(300, 70_000),
    "EffectResult::Http(no headers)": HttpResponse(200, "ok"),
    "EffectResult::Http(headers)": HttpResponse(200, "ok", _HEADERS),
    "EffectResult::SleepComplete": SleepComplete(),
    "EffectResult::Error": EffectError("e"),
    "CommandSpec.min": _MINIMAL,
    "ArgSpec.full": _FULL_ARG,
    "ArgSpec.pos short=é": ArgSpec("p", short="é"),
    "CommandSpec.full": CommandSpec("n", "a", "1", "me", (_FULL_ARG,), (CommandSpec("s", "b"),)),
    "Manifest(no caps)": PluginManifest.new(_MINIMAL),
    "Capabilities.empty": Capabilities(),
    "Capabilities.fs_read": Capabilities(fs_read=(PathPattern("./d", True),)),
    "Capabilities.fs_write": Capabilities(fs_write=(PathPattern("./d", True),)),
    "Capabilities.env_read": Capabilities(env_read=("HOME",)),
    "Capabilities.stdio": Capabilities(stdio=_OUT_AND_ERR),
    "Capabilities.net(no port)": Capabilities(net=(NetPattern("h"),)),
    "Capabilities.net(port)": Capabilities(net=(NetPattern("h", 8443),)),
    "Capabilities.all": Capabilities(
        (PathPattern("./d", True),),
        (PathPattern("./o"),),
        ("HOME",),
        (NetPattern("h", 9, NetProtocol.TCP),),
        StdioCapability(True, True, True),
    ),
    "NetPattern(no port)": NetPattern("h"),
    "NetPattern(port)": NetPattern("h", 443),
    "Manifest(net caps)": PluginManifest.new(
        _MINIMAL, Capabilities(net=(NetPattern("*"),), stdio=_OUT_AND_ERR)
    ),
}


def test_every_encoded_row_has_a_value() -> None:
    assert len(FACTS["encode"]) == 62
    assert {row["value"] for row in FACTS["encode"]} == VALUES.keys() | {"args"}


def _written(row: dict[str, Any]) -> bytes:
    if row["value"] == "args":
        return encode_args(["a", "b"])
    form: Form = "map" if row["form"] == "to_vec_named" else "array"
    return encode(VALUES[row["value"]], form=form)


@pytest.mark.parametrize("row", FACTS["encode"], ids=_ids(FACTS["encode"], "value", "form"))
def test_encodes_as_rust_does(row: dict[str, Any]) -> None:
    assert _written(row).hex() == row["hex"]


@pytest.mark.parametrize("row", FACTS["encode"], ids=_ids(FACTS["encode"], "value", "form"))
def test_what_rust_writes_reads_back_as_in_rust(row: dict[str, Any]) -> None:
    data = bytes.fromhex(row["hex"])
    value = VALUES.get(row["value"], ("a", "b"))
    verdict = row["rust_roundtrip"]

    if verdict.startswith("ROUNDTRIP-ERR"):
        with pytest.raises(Deserialization) as caught:
            decode(type(value), data)
        assert "in array form a field left out" in (caught.value.hint or "")
        return
    back = decode_args(data) if row["value"] == "args" else decode(type(value), data)
    if verdict == "roundtrip-ok":
        assert back == value
    else:
        assert f"ROUNDTRIP-DIFFERS {rust_debug(back)}" == verdict
        assert back != value


@pytest.mark.parametrize("name", VALUES)
def test_the_wire_shape_is_what_rust_writes_with_names(name: str) -> None:
    rows = (row for row in FACTS["encode"] if row["form"] == "to_vec_named")
    wire = {row["value"]: row["decoded"] for row in rows}

    assert to_wire(VALUES[name]) == wire[name]
