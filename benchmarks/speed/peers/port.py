"""The Rust host of sen-rs, ported line by line to the ``wasmtime`` package's public API.

What somebody writes who ports it plainly: exports are looked up once, arguments are
Python integers, and fuel is set anew before each call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgpack

FUEL = 10_000_000
STACK_BYTES = 1 << 20
API_VERSION = 2


@dataclass(frozen=True)
class Success:
    """The plugin did what it was asked for."""

    text: str


@dataclass(frozen=True)
class Error:
    """The plugin failed."""

    code: int
    message: str


class PortedPlugin:
    """A loaded plugin. ImportError if the package is not installed."""

    def __init__(self, wasm: bytes) -> None:
        import wasmtime

        config = wasmtime.Config()
        config.consume_fuel = True
        config.max_wasm_stack = STACK_BYTES
        engine = wasmtime.Engine(config)
        self._store = wasmtime.Store(engine)
        self._store.set_fuel(FUEL)
        module = wasmtime.Module(engine, wasm)
        exports: Any = wasmtime.Instance(self._store, module, []).exports(self._store)
        self._memory = exports["memory"]
        self._alloc = exports["plugin_alloc"]
        self._dealloc = exports["plugin_dealloc"]
        self._execute = exports["plugin_execute"]
        version, _ = _fields(self._take(exports["plugin_manifest"](self._store)))
        if version != API_VERSION:
            raise ValueError(f"API version {version}")

    def execute(self, args: Sequence[str]) -> Success | Error:
        """Run the plugin's command."""
        payload = msgpack.packb(args)
        self._store.set_fuel(FUEL)
        pointer = self._alloc(self._store, len(payload))
        self._memory.write(self._store, payload, pointer)
        packed = self._execute(self._store, pointer, len(payload))
        self._dealloc(self._store, pointer, len(payload))
        [(variant, value)] = self._take(packed).items()
        if variant == "Success":
            return Success(value)
        if variant == "Error":
            return Error(*_fields(value))
        raise ValueError(f"the result is {variant!r}")

    def _take(self, packed: int) -> Any:
        """Read a message, free it and decode it."""
        pointer, length = packed >> 32 & 0xFFFF_FFFF, packed & 0xFFFF_FFFF
        data = self._memory.read(self._store, pointer, pointer + length)
        self._dealloc(self._store, pointer, length)
        return msgpack.unpackb(data)


def _fields(value: Any) -> list[Any]:
    """Of a struct, which plugins send by field name or as an array."""
    return [*value.values()] if isinstance(value, dict) else [*value]
