"""Waiting for a time, and for descriptors, which are always ready."""

from __future__ import annotations

from sen_host.wasi.clocks import check_clock
from sen_host.wasi.descriptors import Descriptor, File, InputStream, OutputStream
from sen_host.wasi.errno import Errno, WasiError
from sen_host.wasi.layout import CLOCK_SUBSCRIPTION, EVENT, SUBSCRIPTION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sen_host.wasi.context import Context
    from sen_host.wasi.memory import Memory

_CLOCK, _FD_READ, _FD_WRITE = range(3)
_ABSOLUTE = 1
_MAX_SUBSCRIPTIONS = 1_024


def poll_oneoff(
    context: Context, memory: Memory, subscriptions: int, events: int, count: int, result: int
) -> None:
    """Wait until something that the guest subscribed to happens, and tell what."""
    if not 0 < count <= _MAX_SUBSCRIPTIONS:
        raise WasiError(Errno.INVAL)
    asked = list(SUBSCRIPTION.iter_unpack(memory.read(subscriptions, count * SUBSCRIPTION.size)))
    memory.check(events, count * EVENT.size)
    memory.check(result, 4)
    context.spend(count)
    happened = [
        EVENT.pack(userdata, _state(context, kind, body), kind, 0, 0)
        for userdata, kind, body in asked
        if kind != _CLOCK
    ]
    clocks = [(userdata, body) for userdata, kind, body in asked if kind == _CLOCK]
    happened += _clock_events(context, clocks, wait=not happened)
    memory.write(events, b"".join(happened))
    memory.write_u32(result, len(happened))


def _state(context: Context, kind: int, body: bytes) -> Errno:
    """Whether a descriptor can be read or written: all that there are wait for nothing."""
    if kind not in (_FD_READ, _FD_WRITE):
        raise WasiError(Errno.INVAL)
    try:
        descriptor = context.table.get(int.from_bytes(body[:4], "little"), Descriptor)
    except WasiError as error:
        return error.errno
    suitable = (File, InputStream if kind == _FD_READ else OutputStream)
    return Errno.SUCCESS if isinstance(descriptor, suitable) else Errno.BADF


def _clock_events(context: Context, clocks: list[tuple[int, bytes]], *, wait: bool) -> list[bytes]:
    """The clocks whose time has come, after waiting for the first if nothing else happened."""
    invalid, pending = [], []
    for userdata, body in clocks:
        clock, timeout, _precision, flags = CLOCK_SUBSCRIPTION.unpack(body)
        try:
            check_clock(clock)
        except WasiError as error:
            invalid.append(EVENT.pack(userdata, error.errno, _CLOCK, 0, 0))
            continue
        left = timeout - context.time.now(clock) if flags & _ABSOLUTE else timeout
        pending.append((max(0, left), userdata))
    first = min((left for left, _ in pending), default=0)
    if wait and not invalid and first:
        context.time.sleep(first)
    else:
        first = 0
    return invalid + [
        EVENT.pack(userdata, Errno.SUCCESS, _CLOCK, 0, 0)
        for left, userdata in pending
        if left <= first
    ]
