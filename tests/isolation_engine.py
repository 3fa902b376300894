"""An engine that misbehaves on demand, to be run in a worker process.

Its exports are named after what they do. It is imported by workers: no pytest.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import select
import signal
import stat
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from sen_host.abi import EXECUTE, pack
from sen_host.backend import (
    ALLOC,
    DEALLOC,
    FUEL,
    STACK,
    Backend,
    Binding,
    Capability,
    FuncType,
    HostFunction,
    Instance,
    Lack,
    Module,
    Trap,
)
from sen_host.errors import EngineFault, FunctionNotFound, ModuleCompilation, TrapKind
from sen_host.isolation import frames
from sen_host.limits import PAGE_BYTES, Limits

TARGET = f"{__name__}:RogueBackend"
BINDING = Binding(
    name="rogue",
    engine="Rogue 1.0",
    lacks=(
        Lack(Capability.ANY_THREAD, "never", "a rogue works alone"),
        Lack(Capability.WALL_CLOCK, "never", "a rogue knows no time"),
    ),
)
PAGES = 1024


class Panic(BaseException):
    """What native bindings raise: not an Exception."""


class RogueBackend(Backend):
    name = "rogue"

    @classmethod
    def bindings(cls) -> tuple[Binding, ...]:
        return (BINDING,)

    def validate(self, wasm: bytes) -> None:
        if wasm == b"invalid":
            raise ModuleCompilation(detail="it says so itself", offset=3)
        if wasm == b"endless validation":
            spin_without_threads()

    def compile(self, wasm: bytes, limits: Limits) -> RogueModule:
        self.validate(wasm)
        if wasm == b"endless compilation" or "ROGUE_COMPILES_FOR_EVER" in os.environ:
            spin_without_threads()
        return RogueModule(wasm, limits)

    def deserialize(self, compiled: bytes, limits: Limits) -> RogueModule:
        if compiled == b"refused":
            raise EngineFault("the engine refused it")
        if compiled == b"crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if compiled == b"endless":
            spin_without_threads()
        return RogueModule(compiled.removeprefix(b"compiled "), limits)


class CrashesAtStart(RogueBackend):
    def __init__(self, binding: Binding) -> None:
        print("no such instruction", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGILL)


class RaisesAtStart(RogueBackend):
    def __init__(self, binding: Binding) -> None:
        raise Panic("the cache is read-only")


class StartsSlowly(RogueBackend):
    def __init__(self, binding: Binding) -> None:
        super().__init__(binding)
        time.sleep(0.3)


class HangsAtStart(RogueBackend):
    def __init__(self, binding: Binding) -> None:
        print("waiting for a lock", file=sys.stderr, flush=True)
        time.sleep(3600)


class RogueModule(Module):
    def __init__(self, wasm: bytes, limits: Limits) -> None:
        self.limits = limits
        self.wasm = wasm
        self.live = 0

    def instantiate(self) -> RogueInstance:
        if self.wasm == b"endless start":
            spin()
        if self.wasm == b"crash at start":
            os.kill(os.getpid(), signal.SIGSEGV)
        return RogueInstance(self)

    def instantiate_with(self, imports: Sequence[HostFunction]) -> RogueInstance:
        return RogueInstance(self, imports)

    def serialize(self) -> bytes | None:
        if self.wasm == b"not bytes":
            return "text"  # type: ignore[return-value]
        if self.wasm == b"longer than agreed":
            # Behind the back of the worker's own check.
            send((2_000_000).to_bytes(4, "little"))
        if self.wasm == b"large":
            return b"x" * 2_000_000
        return None if self.wasm == b"not to be kept" else b"compiled " + self.wasm

    def close(self) -> None:
        if self.wasm == b"endless close":
            spin()


class RogueInstance(Instance):
    def __init__(self, module: RogueModule, imports: Sequence[HostFunction] = ()) -> None:
        self.module = module
        self.module.live += 1
        self.imports = imports
        self.memory = bytearray(PAGES * PAGE_BYTES)
        self.globals = {FUEL: 0, STACK: 0}
        self.exports: dict[str, Callable[..., int | None]] = {
            ALLOC: lambda length: PAGE_BYTES,
            DEALLOC: lambda pointer, length: None,
            EXECUTE: self.execute,
            "pid": os.getpid,
            "live": lambda: self.module.live,
            "has_wall_clock": lambda: int(self.module.limits.wall_clock_seconds is not None),
            "sum": lambda *numbers: sum(numbers) % 2**64,
            "spin": spin,
            "spin_without_threads": spin_without_threads,
            "sleep": lambda milliseconds: time.sleep(milliseconds / 1000),
            "signal": lambda number: os.kill(os.getpid(), number),
            "exit": os._exit,
            "chatter": chatter,
            "stderr_bytes": lambda: os.fstat(2).st_size,
            "trap": trap,
            "panic": panic,
            "leave": sys.exit,
            "mute": mute,
            "refuse": refuse,
            "wrong_result": lambda: -1,
            "no_frame": lambda: send(b"this is no frame, but much of it is text\n" * 9),
            "giant_frame": lambda: send(b"\xff\xff\xff\xff"),
            "half_frame": half_frame,
            "two_frames": lambda: send(b"\x03\0\0\0\x92\0\xc0" * 2),
            "nil": lambda: send(b"\x01\0\0\0\xc0"),
            "empty_array": lambda: send(b"\x01\0\0\0\x90"),
            "unknown_tag": lambda: send(b"\x03\0\0\0\x92\x09\xc0"),
            "extension": lambda: send(b"\x05\0\0\0\x92\0\xd4\1\0"),
            "nested_arrays": lambda: send(b"\xf4\x01\0\0" + b"\xdd\0\xff\xff\xff" * 100),
            "odd_trap": lambda: send(b"\x07\0\0\0\x96\1\xc0\xc0\xc0\xc0\xc0"),
            "odd_fault": lambda: send(b"\x06\0\0\0\x93\2\xa2os\xc0"),
            "close_channel": close_channel,
            "reply_too_early": reply_too_early,
            "call_up": lambda: self.imports[0].call(1, 2),
            "insist": self.insist,
            "call_up_with_one": lambda: self.imports[0].call(1),
            "call_up_with_much": lambda: self.imports[0].call(*range(2_000)),
            "call_up_with_large": lambda: self.imports[0].call(2**32, 2),
            "call_up_with_negative": lambda: self.imports[0].call(-1, 2),
            "call_up_with_text": lambda: self.imports[0].call("1", 2),
            "call_up_beyond": lambda: call_up(1, 1, (1, 2), 0),
            "call_up_as_another": lambda: call_up(2, 0, (1, 2), 0),
            "call_up_with_huge_memory": lambda: call_up(1, 0, (1, 2), 2**33),
            # As the first instance of the worker, which then never answers.
            "call_up_and_stop": lambda: call_up(1, 0, (1, 2), PAGE_BYTES),
        }

    def insist(self) -> None:
        """Call the host again and again, also when that ends the guest."""
        while True:
            with suppress(Trap):
                self.imports[0].call(1, 2)

    def execute(self, pointer: int, length: int) -> int:
        """Echo the payload; run the export ``name`` if it is ``!name``."""
        payload = self.read(pointer, length)
        if payload.startswith(b"!"):
            self.exports[payload[1:].decode()]()
        return pack(pointer, length)

    def function(self, name: str, type: FuncType) -> Callable[..., int | None]:
        return self.exports[name]

    def memory_size(self) -> int:
        return len(self.memory)

    def read(self, offset: int, length: int) -> bytes:
        return bytes(memoryview(self.memory)[offset : offset + length])

    def write(self, offset: int, data: bytes) -> None:
        self.memory[offset : offset + len(data)] = data

    def get_global(self, name: str) -> int:
        return self.globals[name]

    def set_global(self, name: str, value: int) -> None:
        self.globals[name] = value

    def close(self) -> None:
        self.module.live -= 1


class PunctualBackend(RogueBackend):
    """Has a deadline of its own, which it keeps by sleeping in ``spin``."""

    def compile(self, wasm: bytes, limits: Limits) -> RogueModule:
        return PunctualModule(wasm, limits)


class PunctualModule(RogueModule):
    def instantiate(self) -> RogueInstance:
        return PunctualInstance(self)


class PunctualInstance(RogueInstance):
    def __init__(self, module: RogueModule) -> None:
        super().__init__(module)
        self.seconds = 0.0
        self.exports["spin"] = self.sleep

    def set_deadline(self, seconds: float) -> None:
        self.seconds = seconds

    def sleep(self) -> None:
        time.sleep(self.seconds)
        raise Trap(TrapKind.INTERRUPTED, "the engine's own deadline")


class LateBackend(RogueBackend):
    """Has a deadline of its own and never keeps it."""

    def compile(self, wasm: bytes, limits: Limits) -> RogueModule:
        return LateModule(wasm, limits)


class LateModule(RogueModule):
    def instantiate(self) -> RogueInstance:
        return LateInstance(self)


class LateInstance(RogueInstance):
    def set_deadline(self, seconds: float) -> None:
        print("soon", seconds)


def spin() -> None:
    while True:
        pass


def spin_without_threads() -> None:
    """Keep the interpreter's lock for ever, as some engines do while a guest runs."""
    deque(itertools.repeat(0), maxlen=0)


def chatter(kilobytes: int) -> None:
    for _ in range(kilobytes):
        os.write(2, b"x" * 1023 + b"\n")


def trap() -> None:
    raise Trap(TrapKind.INTEGER_DIVIDE_BY_ZERO, "division", function="inner")


def panic() -> None:
    raise Panic("index out of range \udcff" + "!" * 10_000)


class _Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def mute() -> None:
    raise _Mute


def refuse() -> None:
    raise FunctionNotFound("refuse", "a message", hint="a remedy")


def send(data: bytes) -> None:
    """Write to the host behind the worker's back, and stay there."""
    os.write(_reply_fd(), data)
    spin()


def call_up(*items: object) -> None:
    """Call the host behind the worker's back."""
    send(frames.encode((frames.UPCALL, *items)))


def half_frame() -> None:
    os.write(_reply_fd(), b"\x09\0\0\0\x92")
    os._exit(0)


def close_channel() -> None:
    os.close(_reply_fd())
    spin()


def reply_too_early() -> None:
    """Reply to this call, and to the next one without reading it."""
    reply = b"\x03\0\0\0\x92\0\xc0"
    os.write(_reply_fd(), reply)
    requests = select.poll()
    for fd in _pipes(os.O_RDONLY):
        requests.register(fd, select.POLLIN)
    requests.poll()
    send(reply)


def _reply_fd() -> int:
    (fd,) = _pipes(os.O_WRONLY)
    return fd


def _pipes(mode: int) -> list[int]:
    found = []
    for fd in range(3, 256):
        with suppress(OSError):
            flags = fcntl.fcntl(fd, fcntl.F_GETFL)
            if flags & os.O_ACCMODE == mode and stat.S_ISFIFO(os.fstat(fd).st_mode):
                found.append(fd)
    return found
