"""Faults in access to the memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sen_host import backend as contract
from sen_host.backend import FuncType
from sen_host.limits import MIB, PAGE_BYTES, Limits
from tests.broken.base import PlainBackend, PlainInstance


class SizeBeforeGrowth(PlainBackend):
    """The size of the memory is asked for once and kept."""

    area, says = "memory", r"^memory_bytes: "

    class Instance(PlainInstance):
        size: int | None = None

        def memory_size(self) -> int:
            if self.size is None:
                self.size = super().memory_size()
            return self.size


class SizeOneTooLow(PlainBackend):
    """The last byte of the memory seems to be out of bounds."""

    area, says = "bounds", r"^outcome: .*'MemoryAccess'"

    class Instance(PlainInstance):
        def memory_size(self) -> int:
            return super().memory_size() - 1


class SizeOneTooHigh(PlainBackend):
    """A byte behind the memory seems to be in bounds."""

    area, says = "bounds", r"^outcome: expected .*'MemoryAccess'"

    class Instance(PlainInstance):
        def memory_size(self) -> int:
            return super().memory_size() + 1

        def read(self, offset: int, length: int) -> bytes:
            inside = max(0, min(length, self.inner.memory_size() - offset))
            return self.inner.read(offset, inside).ljust(length, b"\0")


class SizeOf16Pages(PlainBackend):
    """The size of the memory is given in units of 1 MiB."""

    area, says = "memory", r"^memory_bytes: "

    class Instance(PlainInstance):
        def memory_size(self) -> int:
            return -(-super().memory_size() // MIB) * MIB


class ReadsTheOldMemory(PlainBackend):
    """After growth it goes on to read from where the memory was."""

    area, says = "memory", r"^(result|bytes|outcome): "

    class Instance(PlainInstance):
        old: bytes | None = None

        def call(self, name: str, type: FuncType, *arguments: int) -> int | None:
            size = self.inner.memory_size()
            before = self.inner.read(0, min(size, MIB))
            try:
                return super().call(name, type, *arguments)
            finally:
                if self.old is None and self.inner.memory_size() != size:
                    self.old = before

        def read(self, offset: int, length: int) -> bytes:
            if self.old is None:
                return super().read(offset, length)
            return self.old[offset : offset + length].ljust(length, b"\0")


class ReadsZerosBehindTheOldEnd(PlainBackend):
    """What was added to the memory reads as zeros."""

    area, says = "memory", r"^(result|bytes|outcome|raises): "

    class Instance(PlainInstance):
        first: int | None = None

        def function(self, name: str, type: FuncType) -> Callable[..., int | None]:
            if self.first is None:
                self.first = self.inner.memory_size()
            return super().function(name, type)

        def read(self, offset: int, length: int) -> bytes:
            data = super().read(offset, length)
            first = self.inner.memory_size() if self.first is None else self.first
            return data[: max(0, first - offset)].ljust(length, b"\0")


class WritesNothingBehindTheOldEnd(PlainBackend):
    """What was added to the memory takes no bytes."""

    area, says = "memory", r"^(result|bytes|outcome): "

    class Instance(PlainInstance):
        first: int | None = None

        def function(self, name: str, type: FuncType) -> Callable[..., int | None]:
            if self.first is None:
                self.first = self.inner.memory_size()
            return super().function(name, type)

        def write(self, offset: int, data: bytes) -> None:
            first = self.inner.memory_size() if self.first is None else self.first
            super().write(offset, data[: max(0, first - offset)])


class ReadsOnePageAtMost(PlainBackend):
    """No more than 64 KiB are read at once; the rest is zeros."""

    area, says = "payload", r"^(result|bytes|outcome): "

    class Instance(PlainInstance):
        def read(self, offset: int, length: int) -> bytes:
            return super().read(offset, min(length, PAGE_BYTES)).ljust(length, b"\0")


class WritesOnePageAtMost(PlainBackend):
    """No more than 64 KiB are written at once."""

    area, says = "payload", r"^(result|bytes|outcome|fuel_used): "

    class Instance(PlainInstance):
        def write(self, offset: int, data: bytes) -> None:
            super().write(offset, data[:PAGE_BYTES])


class ReadStopsAtZero(PlainBackend):
    """Bytes are taken for a C string."""

    area, says = "payload", r"^(result|bytes): "

    class Instance(PlainInstance):
        def read(self, offset: int, length: int) -> bytes:
            return super().read(offset, length).partition(b"\0")[0]


class ReadAsText(PlainBackend):
    """Bytes go through a text, which replaces what is not UTF-8."""

    area, says = "messages", r"^(result|bytes|raises)"

    class Instance(PlainInstance):
        def read(self, offset: int, length: int) -> bytes:
            return super().read(offset, length).decode(errors="replace").encode()


class WrittenAsLatin1(PlainBackend):
    """Payloads are taken for texts, and lose what is not in Latin-1."""

    area, says = "unicode", r"^(result|bytes|outcome): "

    class Instance(PlainInstance):
        def write(self, offset: int, data: bytes) -> None:
            text = data.decode(errors="surrogateescape")
            latin = text.encode("latin-1", errors="replace")
            super().write(offset, latin[: len(data)].ljust(len(data), b"?"))


class ReadLosesTheLastByte(PlainBackend):
    """The last byte of what is read is zero."""

    area, says = "bounds", r"^bytes: "

    class Instance(PlainInstance):
        def read(self, offset: int, length: int) -> bytes:
            return super().read(offset, max(0, length - 1)).ljust(length, b"\0")


class ReadOneTooFar(PlainBackend):
    """It reads one byte behind where it should."""

    area, says = "bounds", r"^bytes: "

    class Instance(PlainInstance):
        def read(self, offset: int, length: int) -> bytes:
            room = self.inner.memory_size() - length
            return super().read(min(offset + 1, room), length)


class WriteLosesTheLastByte(PlainBackend):
    """The last byte of what is written stays as it was."""

    area, says = "bounds", r"^bytes: "

    class Instance(PlainInstance):
        def write(self, offset: int, data: bytes) -> None:
            super().write(offset, data[:-1])


class WriteOneTooFar(PlainBackend):
    """It writes one byte behind where it should."""

    area, says = "bounds", r"^bytes: "

    class Instance(PlainInstance):
        def write(self, offset: int, data: bytes) -> None:
            room = self.inner.memory_size() - len(data)
            super().write(min(offset + 1, room), data)


class EngineMemoryLimitSpeaksFirst(PlainBackend):
    """The engine has a limit of its own, below the host's, so growth fails early."""

    area, says = "memory", r"^(returns|result|memory_bytes|outcome): "

    def compile(self, wasm: bytes, limits: Limits) -> contract.Module:
        return super().compile(wasm, replace(limits, memory_bytes=2 * PAGE_BYTES))


class EngineTableLimitSpeaksFirst(PlainBackend):
    """The engine has a limit of its own, below the host's, so tables cannot grow."""

    area, says = "table", r"^(returns|result|outcome): "

    def compile(self, wasm: bytes, limits: Limits) -> contract.Module:
        return super().compile(wasm, replace(limits, table_elements=10))
