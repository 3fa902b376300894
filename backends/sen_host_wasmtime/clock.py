"""The clock that ends calls on time."""

from __future__ import annotations

import math
import os
import threading
import time
import weakref

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

TICK_SECONDS = 0.01
IDLE_SECONDS = 5.0


class EpochClock:
    """Counts an engine's epoch up, as long as somebody waits for it."""

    def __init__(self, increment: Callable[[], object]) -> None:
        """``increment`` counts the epoch up by one."""
        self._increment = increment
        self.restart()
        _clocks.add(self)

    def restart(self) -> None:
        """Forget the thread that ticks: a fork of the process has none."""
        self._lock = threading.Lock()
        self._ticking = False
        self._started = self._stop_at = 0.0
        self._given = 0

    def ticks(self, seconds: float) -> int:
        """How many ticks from now make at least ``seconds``; keeps the clock running as long."""
        with self._lock:
            now = time.monotonic()
            self._stop_at = max(self._stop_at, now + seconds + IDLE_SECONDS)
            if self._ticking:
                # Time that passed before this call is not to be counted in it.
                self._advance(now)
            else:
                self._started, self._given = now, 0
                threading.Thread(
                    target=self._tick, name="sen-host-wasmtime-clock", daemon=True
                ).start()
                self._ticking = True
        return math.ceil(seconds / TICK_SECONDS) + 1

    def _tick(self) -> None:
        while True:
            time.sleep(TICK_SECONDS)
            with self._lock:
                now = time.monotonic()
                self._advance(now)
                if now > self._stop_at:
                    self._ticking = False
                    return

    def _advance(self, now: float) -> None:
        """Give the ticks that are due: a busy interpreter wakes the clock late."""
        due = int((now - self._started) / TICK_SECONDS)
        for _ in range(due - self._given):
            self._increment()
        self._given = due


_clocks: weakref.WeakSet[EpochClock] = weakref.WeakSet()


def _after_fork() -> None:
    for clock in list(_clocks):
        clock.restart()


os.register_at_fork(after_in_child=_after_fork)
