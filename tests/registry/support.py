"""Plugins with the names that a test wants, which tell what they were given."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep

from sen_host.messages import (
    CommandSpec,
    PluginManifest,
    Sleep,
    Success,
    encode,
    encode_args,
)
from tests.wat import ANSWER, ANSWER_AT, Wat, packed

_LAST = ANSWER_AT + len(ANSWER) - 1


def manifest(name: str, *subcommands: str) -> bytes:
    below = tuple(CommandSpec(sub, "below it") for sub in subcommands)
    return encode(PluginManifest.new(CommandSpec(name, f"the {name}", subcommands=below)))


def measuring(name: str, *subcommands: str) -> bytes:
    """A plugin that answers with the length of its encoded arguments, see ``measured``."""
    return Wat(
        manifest_bytes=manifest(name, *subcommands),
        execute=f"(i32.store8 (i32.const {_LAST}) (local.get $length))"
        f" {packed(ANSWER_AT, len(ANSWER))}",
    ).wasm()


def measured(*args: str) -> Success:
    """What a measuring plugin answers to these arguments."""
    return Success("fin" + chr(len(encode_args(args))))


def saying(name: str, text: str) -> bytes:
    """A plugin that answers with a text."""
    return Wat(manifest_bytes=manifest(name), answer_bytes=encode(Success(text))).wasm()


def sleeping(name: str) -> bytes:
    """A plugin that asks for a Sleep once, and then answers ``done``."""
    return Wat(
        manifest_bytes=manifest(name),
        answer_bytes=encode(Sleep(id=7, duration_ms=5)),
        extra='(data (i32.const 3072) "\\81\\a7Success\\a4done")',
        resume="(i64.const 0x00000c000000000e)",
    ).wasm()


def save(path: Path, wasm: bytes) -> Path:
    """Replace a file in one go, as careful programs do."""
    beside = path.with_name(f".{path.name}.new")
    beside.write_bytes(wasm)
    os.replace(beside, path)
    return path


def wait_until(met: Callable[[], bool], seconds: float = 20) -> None:
    """Return as soon as something is so."""
    end = monotonic() + seconds
    while not met():
        assert monotonic() < end, "it did not come to that"
        sleep(0.005)
