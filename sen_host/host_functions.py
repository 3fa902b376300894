"""Functions that a program gives to its plugins: what a module may import.

A plugin of its own gets an object of its own, made by what was handed to
``PluginLoader(host_functions=...)``. They run in the process and in the thread that
called the plugin, on every backend, also where the guest is in a worker process.
See docs/host-functions.md.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

from sen_host.backend import FuncType
from sen_host.messages import Capabilities

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["FuncType", "GuestExit", "GuestMemory", "HostFunctions", "MemoryRange"]


class MemoryRange(IndexError):
    """A range of bytes does not lie in the guest's memory.

    Attributes:
        offset: where it starts.
        length: its length in bytes.
        memory_bytes: the size of the memory.
    """

    def __init__(self, offset: int, length: int, memory_bytes: int) -> None:
        super().__init__(offset, length, memory_bytes)
        self.offset = offset
        self.length = length
        self.memory_bytes = memory_bytes

    def __str__(self) -> str:
        return (
            f"{self.length:,} bytes at {self.offset:#x} are outside the memory"
            f" of {self.memory_bytes:,} bytes"
        )


class GuestExit(Exception):
    """Raised by a host function: the guest is ended, as by ``proc_exit``.

    Who called the plugin gets ``FunctionCall`` with ``TrapKind.EXIT`` and the code.
    """

    def __init__(self, code: int) -> None:
        """``code`` is 0 .. 2**32 - 1."""
        super().__init__(code)
        self.code = code


class GuestMemory(Protocol):
    """The linear memory of the guest that calls. Only to be used during the call."""

    def size(self) -> int:
        """Its size in bytes."""

    def read(self, offset: int, length: int) -> bytes:
        """A copy of ``length`` bytes.

        Raises:
            MemoryRange: they are out of bounds.
        """

    def write(self, offset: int, data: bytes) -> None:
        """Write ``data``.

        Raises:
            MemoryRange: it would be out of bounds; nothing is written.
        """


class HostFunctions(ABC):
    """The functions that one instance of a plugin may import.

    Only one guest uses an object, in one thread at a time.

    Attributes:
        granted: what the plugin may do, see ``Plugin.grant``. Set before each ``begin``.
    """

    granted: Capabilities = Capabilities()

    @property
    @abstractmethod
    def types(self) -> Mapping[tuple[str, str], FuncType]:
        """The functions there are: type by module and name. Only i32 and i64, one result at most.

        A module that imports anything else is refused when it is loaded.
        """

    def begin(self, function: str, args: Sequence[str]) -> None:  # noqa: B027 - not all need it
        """An entry of the guest begins.

        Args:
            function: ``plugin_manifest``, ``plugin_execute`` or ``plugin_resume``: one entry
                is the whole exchange, with the calls that allocate and free. Another
                export's name for ``Guest.call``, "instantiation" for the start function.
            args: the arguments of ``plugin_execute``; else none.
        """

    @abstractmethod
    def call(
        self, module: str, name: str, memory: GuestMemory, arguments: tuple[int, ...]
    ) -> int | None:
        """The guest calls a function.

        It costs the guest no fuel but that of its ``call``. What this raises ends the
        guest, and goes on to whoever called the plugin; GuestExit as ``FunctionCall``.
        It must not call the plugin that calls: that raises PluginBusy.

        Args:
            memory: the guest's linear memory.
            arguments: unsigned, an i32 as 0 .. 2**32 - 1, an i64 as 0 .. 2**64 - 1.

        Returns:
            The result, unsigned as the arguments, or negative in two's complement; None
            if the type has none.
        """

    def end(self) -> None:  # noqa: B027 - not all need it
        """The entry is over, whether it returned or not."""

    def close(self) -> None:  # noqa: B027 - not all need it
        """The instance is gone. Called once; nothing follows."""
