"""The programs that are timed, each with a size and a smaller one to try it out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import NamedTuple
from zlib import crc32

from benchmarks.build import KERNELS
from benchmarks.metering.guests import Guest
from sen_host.abi import EXECUTE, FUNCTIONS, unpack
from sen_host.backend import ALLOC, DEALLOC, FuncType
from sen_host.messages import encode_args

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"


class Timing(NamedTuple):
    """One run: seconds in the guest, a checksum of what it gave, its fuel if it was counted."""

    seconds: float
    checksum: int
    fuel: int | None


class Program(ABC):
    """Something to run in a guest.

    Attributes:
        module: the file that has it.
        calls_mostly: whether it hardly does anything but calls and short loops.
    """

    def __init__(self, name: str, module: Path, *, calls_mostly: bool = False) -> None:
        self.name = name
        self.module = module
        self.calls_mostly = calls_mostly

    @abstractmethod
    def run(self, guest: Guest, *, small: bool) -> Timing:
        """Run it once."""


class Kernel(Program):
    """A function of kernels.wasm, of a size, that returns a checksum."""

    _TYPE = FuncType(("i32",), ("i32",))

    def __init__(self, name: str, size: int, small: int, *, calls_mostly: bool = False) -> None:
        super().__init__(name, KERNELS, calls_mostly=calls_mostly)
        self.size = size
        self.small = small

    def run(self, guest: Guest, *, small: bool) -> Timing:
        return _timed(guest, self.name, self._TYPE, self.small if small else self.size)


class Execution(Program):
    """A plugin's ``plugin_execute``; its arguments are allocated and freed around it."""

    def __init__(self, name: str, arguments: Sequence[str], small: Sequence[str]) -> None:
        super().__init__(name, PLUGINS / name / f"{name}.wasm")
        self._arguments = encode_args(arguments)
        self._small = encode_args(small)

    def run(self, guest: Guest, *, small: bool) -> Timing:
        message = self._small if small else self._arguments
        pointer = guest.call(ALLOC, FUNCTIONS[ALLOC], len(message))
        guest.write(pointer, message)
        seconds, packed, fuel = _timed(guest, EXECUTE, FUNCTIONS[EXECUTE], pointer, len(message))
        answer = unpack(packed)
        checksum = crc32(guest.read(*answer))
        for buffer in ((pointer, len(message)), answer):
            guest.call(DEALLOC, FUNCTIONS[DEALLOC], *buffer)
        return Timing(seconds, checksum, fuel)


def _timed(guest: Guest, name: str, type: FuncType, *arguments: int) -> Timing:
    guest.refill()
    function = guest.function(name, type)
    started = perf_counter()
    result = function(*arguments)
    seconds = perf_counter() - started
    assert result is not None
    return Timing(seconds, result, guest.fuel_used())


_WORDS = "the quick brown fox jumps over the lazy dog\n"

PROGRAMS: tuple[Program, ...] = (
    Kernel("sha256", 500_000, 1_000),
    Kernel("json", 4_000, 10),
    Kernel("sort", 60_000, 200),
    Kernel("matrix", 128, 8),
    Kernel("lz", 300_000, 1_000),
    Kernel("interpreter", 300, 9),
    Execution("greet", ["Größe " * 100_000], ["Alice"]),
    Execution("wordcount", [_WORDS * 20_000], [_WORDS]),
    Execution("echo", _WORDS.split() * 20_000, _WORDS.split()),
    Kernel("fibonacci", 29, 9, calls_mostly=True),
    Kernel("queens", 9, 5, calls_mostly=True),
    Kernel("heap", 30_001, 101, calls_mostly=True),
    Kernel("sieve", 1_000_000, 1_000, calls_mostly=True),
)
