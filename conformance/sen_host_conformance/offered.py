"""What a case's module may import: functions of the suite, or WASI in a world that is its own.

Both tell afterwards what can be seen of their use, which is judged like the answers.
"""

from __future__ import annotations

import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sen_host.backend import FuncType
from sen_host.host_functions import GuestExit, GuestMemory, HostFunctions, MemoryRange
from sen_host.wasi import FixedClock, Wasi
from sen_host_conformance.case import TEST, WASI, File, World

TRACES = {TEST: ("called",), WASI: ("files", "stdout", "stderr")}
"""What is seen besides the outcome and the figures, by what is offered."""

CLOCK = FixedClock(start_ns=1_700_000_000_000_000_000, step_ns=1_000)
SEED = 1

_MODULE = "sen:test"


class Asked(Exception):
    """Raised by the function ``fail``, with its argument."""

    def __init__(self, number: int) -> None:
        super().__init__(f"asked to fail with {number}")
        self.number = number


RAISED = {error.__name__: error for error in (Asked, MemoryRange)}
"""What the suite's functions raise: a host hands it on to the caller as it is."""


class Offered(ABC):
    """What one subject is offered, in all instances that it comes to have."""

    @abstractmethod
    def __call__(self) -> HostFunctions:
        """The functions for an instance."""

    @abstractmethod
    def seen(self) -> Mapping[str, Any]:
        """``TRACES``: what came of its use since this was asked last."""

    def begin(self) -> None:  # noqa: B027 - not all need it
        """A case begins."""

    def end(self) -> None:  # noqa: B027 - not all need it
        """The case is over."""


def offer(world: World) -> Offered:
    """What a case says that its module may import."""
    return _Test() if world.functions == TEST else _Wasi(world)


class _Test(Offered):
    def __init__(self) -> None:
        self._called: list[list[Any]] = []

    def __call__(self) -> HostFunctions:
        return _TestFunctions(self._called)

    def seen(self) -> Mapping[str, Any]:
        called = self._called[:]
        self._called.clear()
        return {"called": called}


_TYPES = {
    "nothing": "->",
    "note": "i32 ->",
    "note_wide": "i64 ->",
    "subtract": "i32 i32 -> i32",
    "subtract_wide": "i64 i64 -> i64",
    "weigh": "i32 i64 i32 i64 i32 i32 i64 i64 i32 i64 -> i64",
    "negative": "-> i32",
    "negative_wide": "-> i64",
    "memory_bytes": "-> i64",
    "sum": "i32 i32 -> i32",
    "fill": "i32 i32 i32 ->",
    "copy": "i32 i32 i32 ->",
    "exit": "i32 ->",
    "fail": "i32 ->",
}


def _type(text: str) -> FuncType:
    params, _, results = text.partition("->")
    return FuncType(tuple(params.split()), tuple(results.split()))


class _TestFunctions(HostFunctions):
    """The module ``sen:test``; docs/conformance.md tells what each function does."""

    def __init__(self, called: list[list[Any]]) -> None:
        self._called = called

    @property
    def types(self) -> Mapping[tuple[str, str], FuncType]:
        return {(_MODULE, name): _type(text) for name, text in _TYPES.items()}

    def call(
        self, module: str, name: str, memory: GuestMemory, arguments: tuple[int, ...]
    ) -> int | None:
        assert module == _MODULE
        self._called.append([name, *arguments])
        result: int | None = getattr(self, f"_{name}")(memory, *arguments)
        return result

    def _nothing(self, _: GuestMemory) -> None:
        pass

    def _note(self, _: GuestMemory, value: int) -> None:
        pass

    _note_wide = _note

    def _subtract(self, _: GuestMemory, a: int, b: int) -> int:
        return (a - b) & 0xFFFF_FFFF

    def _subtract_wide(self, _: GuestMemory, a: int, b: int) -> int:
        return (a - b) & 0xFFFF_FFFF_FFFF_FFFF

    def _weigh(self, _: GuestMemory, *values: int) -> int:
        weighed = sum(place * value for place, value in enumerate(values, 1))
        return weighed & 0xFFFF_FFFF_FFFF_FFFF

    def _negative(self, _: GuestMemory) -> int:
        return -(2**31)

    def _negative_wide(self, _: GuestMemory) -> int:
        return -(2**63)

    def _memory_bytes(self, memory: GuestMemory) -> int:
        return memory.size()

    def _sum(self, memory: GuestMemory, at: int, length: int) -> int:
        return sum(memory.read(at, length)) & 0xFFFF_FFFF

    def _fill(self, memory: GuestMemory, at: int, length: int, value: int) -> None:
        memory.write(at, bytes([value & 0xFF]) * length)

    def _copy(self, memory: GuestMemory, start: int, to: int, length: int) -> None:
        memory.write(to, memory.read(start, length))

    def _exit(self, _: GuestMemory, code: int) -> None:
        raise GuestExit(code)

    def _fail(self, _: GuestMemory, number: int) -> None:
        raise Asked(number)


class _Wasi(Offered):
    """WASI in a temporary directory, which is there while a case is played."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._folder = Path(tempfile.mkdtemp(prefix="sen-host-case-"))
        self._folder.rmdir()
        self._stdout, self._stderr = bytearray(), bytearray()
        self._settings = Wasi(
            working_directory=str(self._folder),
            environ=dict(world.environ),
            stdin=world.stdin.encode(),
            stdout=self._stdout.extend,
            stderr=self._stderr.extend,
            clock=CLOCK,
            random_seed=SEED,
        )

    def __call__(self) -> HostFunctions:
        return self._settings()

    def begin(self) -> None:
        self._folder.mkdir(mode=0o700)
        for file in self._world.files:
            _make(self._folder, file)

    def seen(self) -> Mapping[str, Any]:
        stdout, stderr = _content(bytes(self._stdout)), _content(bytes(self._stderr))
        self._stdout.clear()
        self._stderr.clear()
        return {"files": dict(_found(self._folder)), "stdout": stdout, "stderr": stderr}

    def end(self) -> None:
        if self._folder.exists():
            shutil.rmtree(self._folder)


def _make(folder: Path, file: File) -> None:
    path = folder / file.path
    path.parent.mkdir(parents=True, exist_ok=True)
    if file.kind == "folder":
        path.mkdir(exist_ok=True)
    elif file.kind == "link":
        path.symlink_to(file.content)
    else:
        text = file.kind == "text"
        path.write_bytes(file.content.encode() if text else bytes.fromhex(file.content))


def _found(folder: Path) -> Iterable[tuple[str, Any]]:
    """Everything below a folder, in the form of a case; a folder only if it is empty."""
    if not folder.exists():
        return
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            yield name, {"link": str(path.readlink())}
        elif not path.is_dir():
            yield name, _content(path.read_bytes())
        elif not any(path.iterdir()):
            yield f"{name}/", ""


def _content(data: bytes) -> str | dict[str, str]:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"hex": data.hex()}
