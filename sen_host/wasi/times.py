"""The times of a file, as a guest asks to set them."""

from __future__ import annotations

from sen_host.wasi.clocks import REALTIME
from sen_host.wasi.errno import Errno, WasiError
from sen_host.wasi.layout import TimeFlags

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os

    from sen_host.wasi.context import Context

_ALL = int(TimeFlags.ATIM | TimeFlags.ATIM_NOW | TimeFlags.MTIM | TimeFlags.MTIM_NOW)
_MAX_TIME = 2**63 - 1


def times_to_set(
    context: Context, status: os.stat_result, accessed: int, modified: int, flags: int
) -> tuple[int, int]:
    """Access and modification time in nanoseconds; what is not to be set stays as it is.

    Raises:
        WasiError: INVAL, if flags contradict each other or a time is out of range.
    """
    if flags & ~_ALL:
        raise WasiError(Errno.INVAL)
    return (
        _time(context, flags, TimeFlags.ATIM, TimeFlags.ATIM_NOW, accessed, status.st_atime_ns),
        _time(context, flags, TimeFlags.MTIM, TimeFlags.MTIM_NOW, modified, status.st_mtime_ns),
    )


def _time(
    context: Context, flags: int, given: TimeFlags, now: TimeFlags, time: int, present: int
) -> int:
    if flags & given and flags & now:
        raise WasiError(Errno.INVAL)
    if flags & now:
        return context.time.now(REALTIME)
    if flags & given:
        if time > _MAX_TIME:
            raise WasiError(Errno.INVAL)
        return time
    return present
