"""How engines are configured, and the engines there are: one per configuration."""

from __future__ import annotations

import os
import threading

from sen_host.limits import Limits
from sen_host.records import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    E = TypeVar("E")


class Settings(NamedTuple):
    """What an engine is configured by; modules compiled by one fit no other.

    Attributes:
        stack_bytes: the most native stack that a guest can have.
        deadline: whether guests look at the clock of the engine.
    """

    stack_bytes: int
    deadline: bool


def settings_for(limits: Limits) -> Settings:
    """The settings of the engine that keeps these limits."""
    return Settings(limits.stack_bytes, deadline=limits.wall_clock_seconds is not None)


BOOLEAN_SETTINGS = (
    "consume_fuel",
    "epoch_interruption",
    "parallel_compilation",
    "wasm_tail_call",
    "wasm_threads",
    "shared_memory",
    "wasm_function_references",
    "wasm_gc",
    "wasm_relaxed_simd",
    "wasm_multi_memory",
    "wasm_memory64",
    "wasm_wide_arithmetic",
    "wasm_exceptions",
    "wasm_custom_page_sizes",
    "wasm_stack_switching",
)


def switches(settings: Settings, *, parallel: bool) -> dict[str, bool]:
    """All that is switched on or off, by the names that Wasmtime gives to it.

    Features that the host's profile does not know are off: a second line of defence.
    """
    return {
        **dict.fromkeys(BOOLEAN_SETTINGS, False),
        "epoch_interruption": settings.deadline,
        "parallel_compilation": parallel,
    }


_engines: dict[tuple[Any, Settings], Any] = {}
_inherited: list[object] = []
_lock = threading.Lock()
_forked = False


def engine_of(make: Callable[[Settings, bool], E], settings: Settings) -> E:
    """The engine of these settings; engines live as long as the process.

    ``make`` makes it from the settings and from whether it may compile in parallel.
    """
    with _lock:
        engine: E | None = _engines.get((make, settings))
        if engine is None:
            # The threads that compile in parallel do not survive a fork, and
            # a child would wait for them for ever.
            engine = _engines[make, settings] = make(settings, not _forked)
        return engine


def _after_fork() -> None:
    global _engines, _forked, _lock
    _forked = True
    _lock = threading.Lock()
    # Not freed: another thread may have held a lock of the engine.
    _inherited.append(_engines)
    _engines = {}


os.register_at_fork(after_in_child=_after_fork)
