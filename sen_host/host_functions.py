"""Functions of the host that a plugin may import: the contract."""

from __future__ import annotations

from abc import ABC, abstractmethod

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Protocol

    from sen_host.backend import FuncType
else:
    Protocol = object


class MemoryRange(IndexError):
    """A range is not in the guest's memory."""


class GuestMemory(Protocol):
    """The calling guest's linear memory; bounds are checked."""

    def size(self) -> int:
        """Its present size in bytes."""

    def read(self, offset: int, length: int) -> bytes:
        """A copy of a range; MemoryRange if it is out of bounds."""

    def write(self, offset: int, data: bytes) -> None:
        """Write ``data``; MemoryRange if it does not fit."""


class GuestExit(Exception):
    """A host function ends the guest."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class HostFunctions(ABC):
    """What the module of one plugin instance may import."""

    @property
    @abstractmethod
    def types(self) -> Mapping[tuple[str, str], FuncType]:
        """Types by (module, name); i32 and i64 only, unsigned integers."""

    @abstractmethod
    def begin(self, function: str, args: Sequence[str]) -> None:
        """A guest entry begins."""

    @abstractmethod
    def call(
        self, module: str, name: str, memory: GuestMemory, arguments: tuple[int, ...]
    ) -> int | None:
        """Do what the guest asks for."""

    @abstractmethod
    def end(self) -> None:
        """The guest entry is over, also after a trap."""

    @abstractmethod
    def close(self) -> None:
        """Free all."""
