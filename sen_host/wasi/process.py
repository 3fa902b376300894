"""Functions on the process: arguments, environment, clocks, randomness, its end."""

from __future__ import annotations

from sen_host.host_functions import GuestExit
from sen_host.wasi.clocks import check_clock
from sen_host.wasi.context import TRANSFER_BYTES
from sen_host.wasi.errno import Errno, WasiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sen_host.wasi.context import Context
    from sen_host.wasi.memory import Memory


def args_get(context: Context, memory: Memory, pointers: int, buffer: int) -> None:
    """Write the arguments, each with a NUL, and the pointer to each."""
    _write_strings(context, memory, context.arguments, pointers, buffer)


def args_sizes_get(context: Context, memory: Memory, count: int, size: int) -> None:
    """Write their number, and the length of all with their NULs."""
    _write_sizes(memory, context.arguments, count, size)


def environ_get(context: Context, memory: Memory, pointers: int, buffer: int) -> None:
    """Write the variables, as ``args_get`` does."""
    _write_strings(context, memory, context.environment, pointers, buffer)


def environ_sizes_get(context: Context, memory: Memory, count: int, size: int) -> None:
    """Write their number and length."""
    _write_sizes(memory, context.environment, count, size)


def _write_strings(
    context: Context, memory: Memory, strings: list[bytes], pointers: int, buffer: int
) -> None:
    table, texts = bytearray(), bytearray()
    for string in strings:
        table += (buffer + len(texts)).to_bytes(8, "little")[:4]
        texts += string + b"\0"
    memory.check(pointers, len(table))
    memory.check(buffer, len(texts))
    context.spend_bytes(len(texts))
    memory.write(buffer, bytes(texts))
    memory.write(pointers, bytes(table))


def _write_sizes(memory: Memory, strings: list[bytes], count: int, size: int) -> None:
    memory.check(count, 4)
    memory.check(size, 4)
    memory.write_u32(count, len(strings))
    memory.write_u32(size, sum(map(len, strings)) + len(strings))


def clock_res_get(context: Context, memory: Memory, clock: int, result: int) -> None:
    """Write the smallest step of a clock, in nanoseconds."""
    check_clock(clock)
    memory.write_u64(result, context.time.resolution_ns)


def clock_time_get(
    context: Context, memory: Memory, clock: int, _precision: int, result: int
) -> None:
    """Write what a clock tells, in nanoseconds."""
    check_clock(clock)
    memory.check(result, 8)
    memory.write_u64(result, context.time.now(clock))


def random_get(context: Context, memory: Memory, buffer: int, length: int) -> None:
    """Fill a buffer of at most 1 MiB with random bytes."""
    memory.check(buffer, length)
    if length > TRANSFER_BYTES:
        raise WasiError(Errno.INVAL)
    context.spend_bytes(length)
    memory.write(buffer, context.random(length))


def sched_yield(_context: Context, _memory: Memory) -> None:
    """Nobody waits for this guest."""


def proc_exit(_context: Context, _memory: Memory, code: int) -> None:
    """End the guest."""
    raise GuestExit(code)
