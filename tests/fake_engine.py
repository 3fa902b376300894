"""An engine made of Python functions: tests of the host layer need no other."""

from __future__ import annotations

from collections.abc import Callable

from sen_host.abi import EXECUTE, MANIFEST, RESUME, pack
from sen_host.backend import ALLOC, DEALLOC, FUEL, STACK, FuncType, Instance
from sen_host.limits import PAGE_BYTES

Call = tuple[str, tuple[int, ...]]


class FakeInstance(Instance):
    """A guest with a bump allocator that answers with fixed bytes.

    ``calls`` records every guest call. Assign to ``overrides`` to replace an
    export, e.g. ``overrides["plugin_alloc"] = lambda length: 0``.
    """

    def __init__(self, answer: bytes = b"", *, pages: int = 1) -> None:
        self.memory = bytearray(pages * PAGE_BYTES)
        self.answer = answer
        self.calls: list[Call] = []
        self.received: list[bytes] = []
        self.overrides: dict[str, Callable[..., int | None]] = {}
        self.globals: dict[str, int | None] = {FUEL: 0, STACK: 0}
        self.deadlines: list[float] = []
        self.closed = False
        self._next = 1024
        self._exports: dict[str, Callable[..., int | None]] = {
            ALLOC: self.allocate,
            DEALLOC: lambda pointer, length: None,
            MANIFEST: self.reply,
            EXECUTE: self._receive,
            RESUME: lambda effect_id, pointer, length: self._receive(pointer, length),
        }

    def allocate(self, length: int) -> int:
        pointer = self._next
        self._next += length
        return pointer

    def reply(self) -> int:
        pointer = self.allocate(len(self.answer))
        self.memory[pointer : pointer + len(self.answer)] = self.answer
        return pack(pointer, len(self.answer))

    def _receive(self, pointer: int, length: int) -> int:
        self.received.append(self.read(pointer, length))
        return self.reply()

    def function(self, name: str, type: FuncType) -> Callable[..., int | None]:
        def call(*arguments: int) -> int | None:
            assert len(arguments) == len(type.params)
            self.calls.append((name, arguments))
            self.globals[FUEL] = (self.globals[FUEL] or 0) - 100
            return (self.overrides.get(name) or self._exports[name])(*arguments)

        return call

    def memory_size(self) -> int:
        return len(self.memory)

    def read(self, offset: int, length: int) -> bytes:
        assert 0 <= offset <= offset + length <= len(self.memory), "an unchecked read"
        return bytes(self.memory[offset : offset + length])

    def write(self, offset: int, data: bytes) -> None:
        assert 0 <= offset <= offset + len(data) <= len(self.memory), "an unchecked write"
        self.memory[offset : offset + len(data)] = data

    def get_global(self, name: str) -> int | None:
        return self.globals[name]

    def set_global(self, name: str, value: int) -> None:
        self.globals[name] = value

    def set_deadline(self, seconds: float) -> None:
        self.deadlines.append(seconds)

    def close(self) -> None:
        self.closed = True
