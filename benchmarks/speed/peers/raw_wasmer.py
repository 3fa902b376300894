"""Raw calls of the ``wasmer`` package, with the memory as a memoryview.

No fuel, no limits, no checks, and no types but Python's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgpack

from benchmarks.speed.peers import Missing


class RawPlugin:
    """An instance and its exports.

    Raises:
        Missing: the package is not installed, or is the stub for later interpreters.
    """

    def __init__(self, wasm: bytes) -> None:
        try:
            from wasmer import Instance, Module, Store, engine
            from wasmer_compiler_cranelift import Compiler
        except ImportError as error:
            raise Missing(f"the package wasmer: {error}") from error
        exports = Instance(Module(Store(engine.JIT(Compiler)), wasm)).exports
        self._memory = exports.memory
        self._alloc = exports.plugin_alloc
        self._dealloc = exports.plugin_dealloc
        self._execute = exports.plugin_execute

    def execute(self, args: Sequence[str]) -> dict[str, Any]:
        """Run the plugin's command."""
        payload = msgpack.packb(args)
        pointer = self._alloc(len(payload))
        view = memoryview(self._memory.buffer)
        view[pointer : pointer + len(payload)] = payload
        packed = self._execute(pointer, len(payload))
        start, length = packed >> 32 & 0xFFFF_FFFF, packed & 0xFFFF_FFFF
        data = memoryview(self._memory.buffer)[start : start + length]
        result: dict[str, Any] = msgpack.unpackb(data)
        self._dealloc(pointer, len(payload))
        self._dealloc(start, length)
        return result
