"""Time and randomness for a guest: real, or fixed for runs that can be repeated."""

from __future__ import annotations

import time

from sen_host.errors import ConfigError
from sen_host.records import record
from sen_host.wasi.errno import Errno, WasiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

REALTIME: Final = 0
MONOTONIC: Final = 1

SECOND: Final = 1_000_000_000
_U64 = 0xFFFF_FFFF_FFFF_FFFF


@record(frozen=True, slots=True)
class FixedClock:
    """Time that goes on by the same step at each reading, and by what a guest sleeps.

    It starts anew in each guest entry, and nobody waits.

    Attributes:
        start_ns: the first reading of the real-time clock, in nanoseconds since 1970,
            0 .. 2**63 - 1. The monotonic clock starts at 0.
        step_ns: by how much each reading is later than the one before, 0 .. 2**63 - 1.

    Raises:
        ConfigError: a value is out of its range.
    """

    start_ns: int = 0
    step_ns: int = 1_000

    def __post_init__(self) -> None:
        for name in ("start_ns", "step_ns"):
            value = getattr(self, name)
            if not isinstance(value, int) or not 0 <= value < 2**63:
                raise ConfigError(f"{name} of a fixed clock is {value!r}, not 0 .. 2**63 - 1")


class RealTime:
    """The machine's clocks; the monotonic one counts from the start of the guest entry."""

    resolution_ns = 1

    def __init__(self, sleep_seconds: float) -> None:
        self._start = time.monotonic_ns()
        self._left_ns = int(sleep_seconds * SECOND)

    def now(self, clock: int) -> int:
        """Nanoseconds by the clock."""
        if clock == REALTIME:
            return max(0, time.time_ns())
        return time.monotonic_ns() - self._start

    def sleep(self, nanoseconds: int) -> None:
        """Wait.

        Raises:
            WasiError: DQUOT, if the guest entry would sleep for longer than it may.
        """
        if nanoseconds > self._left_ns:
            raise WasiError(Errno.DQUOT)
        self._left_ns -= nanoseconds
        time.sleep(nanoseconds / SECOND)


class FixedTime:
    """A fixed clock as it runs during one guest entry."""

    def __init__(self, clock: FixedClock) -> None:
        self._clock = clock
        self._elapsed = 0
        self.resolution_ns = max(1, clock.step_ns)

    def now(self, clock: int) -> int:
        """Nanoseconds by the clock."""
        start = self._clock.start_ns if clock == REALTIME else 0
        reading = start + self._elapsed
        self._elapsed += self._clock.step_ns
        return reading & _U64

    def sleep(self, nanoseconds: int) -> None:
        """Let the time pass at once."""
        self._elapsed += nanoseconds


def check_clock(clock: int) -> None:
    """Raise unless the clock is one that we have: those of the processor's time are not."""
    if clock in (2, 3):
        raise WasiError(Errno.BADF)
    if clock not in (REALTIME, MONOTONIC):
        raise WasiError(Errno.INVAL)


def random_source(seed: int | None) -> Callable[[int], bytes]:
    """A function that gives so many random bytes."""
    if seed is None:
        from os import urandom

        return urandom
    from random import Random

    return Random(seed).randbytes
