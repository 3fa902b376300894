"""The plugins of this repository, on every backend.

Four of them are counterparts of plugins whose conversations with the Rust host
were recorded. They must say the same, byte for byte.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sen_host import Limits, Plugin
from sen_host.abi import EXECUTE, MANIFEST, Guest
from sen_host.messages import (
    EffectError,
    Error,
    HttpGet,
    HttpResponse,
    Sleep,
    SleepComplete,
    Success,
    encode_args,
)
from sen_host_conformance.hosts import Host

ROOT = Path(__file__).parent.parent
TRANSCRIPTS: dict[str, Any] = json.loads(
    (ROOT / "tests" / "facts" / "transcripts.json").read_text()
)["plugins"]

COUNTERPARTS = {
    "hello.unknown": "hello",
    "greet.unknown": "greet",
    "echo_zig": "echo",
    "c": "chello",
}


def plugin_path(name: str) -> Path:
    return ROOT / "plugins" / name / f"{name}.wasm"


def load(host: Host, name: str) -> Plugin:
    return host.loader().load(plugin_path(name))


def guest_of(plugin: Plugin) -> Guest:
    """The byte-level guest behind a plugin, to see messages as they cross."""
    return Guest(plugin._loaded.module.instantiate(), Limits(fuel=None), has_resume=False)


@pytest.mark.parametrize(("recorded", "name"), COUNTERPARTS.items())
def test_a_counterpart_says_what_was_recorded(host: Host, recorded: str, name: str) -> None:
    with load(host, name) as plugin:
        guest = guest_of(plugin)
        for step in TRANSCRIPTS[recorded]["steps"]:
            if step["call"] == MANIFEST:
                assert guest.manifest().hex() == step["guest_to_host_hex"]
            elif step["call"] == EXECUTE:
                arguments = step["host_to_guest"]
                assert encode_args(arguments).hex() == step["host_to_guest_hex"]
                answer = guest.execute(encode_args(arguments))
                if was_cut_short(recorded, arguments):
                    assert plugin.execute(arguments) == Success(f"Echo: {arguments[0]}")
                else:
                    assert answer.hex() == step["guest_to_host_hex"]
        guest.close()


def was_cut_short(recorded: str, arguments: list[str]) -> bool:
    """The recorded Zig plugin cut long output without a word; ours must not."""
    return recorded == "echo_zig" and len("".join(arguments)) > 2_048


def test_both_message_forms_are_there(host: Host) -> None:
    forms = {}
    for name in COUNTERPARTS.values():
        with load(host, name) as plugin:
            guest = guest_of(plugin)
            forms[name] = guest.manifest()[0] & 0xF0
            guest.close()
    assert forms == {"hello": 0x90, "greet": 0x80, "echo": 0x80, "chello": 0x90}


@pytest.mark.parametrize("size", [0, 1, 31, 32, 255, 256, 65_535, 65_536, 1_000_000])
def test_echo_returns_texts_of_every_length_class(host: Host, size: int) -> None:
    with host.loader(Limits(fuel=None)).load(plugin_path("echo")) as echo:
        text = "é" * (size // 2) + "x" * (size % 2)
        assert echo.execute([text]) == Success(f"Echo: {text}")


def test_wordcount(host: Host) -> None:
    with load(host, "wordcount") as wordcount:
        result = wordcount.execute(["one two\nthree\n"])
        assert isinstance(result, Success)
        assert [int(number) for number in result.text.split()[:3]] == [2, 3, 14]
        assert isinstance(wordcount.execute([]), Error)


class TestFetch:
    URL = "https://example.com/"

    def test_a_page(self, host: Host) -> None:
        with load(host, "fetch") as fetch:
            asked = fetch.execute([self.URL])
            assert isinstance(asked, HttpGet)
            assert asked.url == self.URL
            answer = fetch.resume(asked.id, HttpResponse(200, "hello"))
            assert isinstance(answer, Success)
            assert "200" in answer.text

    def test_a_retry_after_a_pause(self, host: Host) -> None:
        with load(host, "fetch") as fetch:
            first = fetch.execute([self.URL, "--retry", "1"])
            assert isinstance(first, HttpGet)
            pause = fetch.resume(first.id, HttpResponse(503, "busy"))
            assert isinstance(pause, Sleep)
            second = fetch.resume(pause.id, SleepComplete())
            assert isinstance(second, HttpGet)
            assert second.url == first.url
            assert isinstance(fetch.resume(second.id, HttpResponse(200, "ok")), Success)

    def test_giving_up(self, host: Host) -> None:
        def handler(effect: object) -> HttpResponse | SleepComplete | EffectError:
            return SleepComplete() if isinstance(effect, Sleep) else EffectError("no network")

        with load(host, "fetch") as fetch:
            result = fetch.run([self.URL, "--retry", "2"], handler)
            assert isinstance(result, Error)
            assert "no network" in result.message

    def test_bad_usage_and_an_unknown_effect(self, host: Host) -> None:
        with load(host, "fetch") as fetch:
            assert isinstance(fetch.execute([]), Error)
            assert isinstance(fetch.resume(4_000_000_000, SleepComplete()), Error)
