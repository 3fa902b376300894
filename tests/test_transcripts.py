"""Conversations recorded between the Rust host and real plugins, held again.

A scripted guest plays the plugin's part and insists on the host's: the same
calls, in the same order, with the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sen_host.abi import EXECUTE, MANIFEST, Guest
from sen_host.backend import DEALLOC, FuncType, Instance
from sen_host.limits import PAGE_BYTES, Limits
from sen_host.messages import ExecuteResult, PluginManifest, Success, decode, encode_args

TRANSCRIPTS = json.loads((Path(__file__).parent / "facts" / "transcripts.json").read_text())
PLUGINS: dict[str, Any] = TRANSCRIPTS["plugins"]


class ScriptedInstance(Instance):
    """Plays the steps of a transcript; any other call of the host is a failure."""

    def __init__(self, steps: list[dict[str, Any]]) -> None:
        self.steps: Iterator[dict[str, Any]] = iter(steps)
        self.pages = 17
        self.memory: dict[int, bytes] = {}
        self.globals: dict[str, int] = {}

    def function(self, name: str, type: FuncType) -> Callable[..., int | None]:
        def call(*arguments: int) -> int | None:
            step = next(self.steps)
            assert (name, list(arguments)) == (step["call"], step["args"])
            if name == EXECUTE:
                assert self.memory[arguments[0]].hex() == step["host_to_guest_hex"]
            if "ret_ptr" in step:
                self.memory[step["ret_ptr"]] = bytes.fromhex(step["guest_to_host_hex"])
            self.pages = step["pages"]
            result: int | None = step["ret"]
            return result

        return call

    def get_global(self, name: str) -> int:
        return self.globals[name]

    def set_global(self, name: str, value: int) -> None:
        self.globals[name] = value

    def memory_size(self) -> int:
        return self.pages * PAGE_BYTES

    def read(self, offset: int, length: int) -> bytes:
        assert len(self.memory[offset]) == length
        return self.memory[offset]

    def write(self, offset: int, data: bytes) -> None:
        self.memory[offset] = data


@pytest.mark.parametrize("name", PLUGINS)
def test_the_host_speaks_as_the_rust_host_does(name: str) -> None:
    steps: list[dict[str, Any]] = PLUGINS[name]["steps"]
    instance = ScriptedInstance(steps)
    guest = Guest(instance, Limits(), has_resume=True)
    for step in steps:
        if step["call"] == MANIFEST:
            manifest = decode(PluginManifest, guest.manifest())
            assert manifest.api_version == 2
        elif step["call"] == EXECUTE:
            answer = guest.execute(encode_args(step["host_to_guest"]))
            assert decode(ExecuteResult, answer) == Success(step["guest_to_host"]["Success"])
    assert next(instance.steps, None) is None
    assert steps[-1]["call"] == DEALLOC
