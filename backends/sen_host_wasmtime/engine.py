"""Engines, one per configuration, and the clock that ends calls on time."""

from __future__ import annotations

import math
import os
import threading
import time

from sen_host.errors import EngineCreation
from sen_host.records import record
from sen_host_wasmtime.capi import BOOLEAN_SETTINGS, CApi, load

TICK_SECONDS = 0.01
IDLE_SECONDS = 5.0


@record(frozen=True, slots=True)
class Settings:
    """What an engine is configured by; modules compiled by one fit no other."""

    stack_bytes: int
    deadline: bool


class Engine:
    """A ``wasm_engine_t`` and, if it has deadlines, the ticks of its epoch."""

    def __init__(self, settings: Settings, *, parallel: bool) -> None:
        self.api: CApi = load()
        config = self.api.wasm_config_new()
        chosen = {
            "epoch_interruption": settings.deadline,
            "parallel_compilation": parallel,
            # For the memory of ``exchange``; the host's profile keeps plugins to one.
            "wasm_multi_memory": True,
        }
        for setting in BOOLEAN_SETTINGS:
            getattr(self.api, f"wasmtime_config_{setting}_set")(config, chosen.get(setting, False))
        self.api.wasmtime_config_max_wasm_stack_set(config, settings.stack_bytes)
        self.pointer: int = self.api.wasm_engine_new_with_config(config)
        if not self.pointer:
            raise EngineCreation("Wasmtime refused its configuration", detail=str(settings))
        self._clock_lock = threading.Lock()
        self._ticking = False
        self._started = self._stop_at = 0.0
        self._given = 0

    def ticks(self, seconds: float) -> int:
        """How many ticks from now make at least ``seconds``; keeps the clock running as long."""
        with self._clock_lock:
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
            with self._clock_lock:
                now = time.monotonic()
                self._advance(now)
                if now > self._stop_at:
                    self._ticking = False
                    return

    def _advance(self, now: float) -> None:
        """Give the ticks that are due: a busy interpreter wakes the clock late."""
        due = int((now - self._started) / TICK_SECONDS)
        for _ in range(due - self._given):
            self.api.wasmtime_engine_increment_epoch(self.pointer)
        self._given = due


_engines: dict[Settings, Engine] = {}
_lock = threading.Lock()
_forked = False


def engine_for(settings: Settings) -> Engine:
    """The engine of these settings; engines live as long as the process."""
    with _lock:
        engine = _engines.get(settings)
        if engine is None:
            # The threads that compile in parallel do not survive a fork, and
            # a child would wait for them for ever.
            engine = _engines[settings] = Engine(settings, parallel=not _forked)
        return engine


def _after_fork() -> None:
    global _forked, _lock
    _forked = True
    _lock = threading.Lock()
    _engines.clear()


os.register_at_fork(after_in_child=_after_fork)
