"""How much is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """How often each thing is done.

    Attributes:
        rounds: of calls.
        turn_seconds: of calls, for each contestant in each round.
        starts: of processes, for each contestant.
        cold_starts: of processes that find no cache.
        loads: of a plugin that was loaded before.
        blocks, instances: how many blocks of how many further instances are made.
        plugins: how many are loaded into one process.
        thread_rounds, thread_seconds: of guests that run side by side.
        size_rounds, sizes: of modules that are loaded cold, in bytes.
        registry_rounds, registry_sizes, look_ups: of look-ups among so many plugins.
    """

    rounds: int = 60
    turn_seconds: float = 0.02
    starts: int = 40
    cold_starts: int = 8
    loads: int = 40
    blocks: int = 5
    instances: int = 40
    plugins: int = 1_000
    thread_rounds: int = 15
    thread_seconds: float = 0.3
    size_rounds: int = 3
    sizes: Sequence[int] = (10_000, 31_623, 100_000, 316_228, 1_000_000, 3_162_278, 10_000_000)
    registry_rounds: int = 20
    registry_sizes: Sequence[int] = (1, 10, 100, 1_000, 10_000)
    look_ups: int = 20_000


FULL = Settings()

QUICK = Settings(
    rounds=2,
    turn_seconds=0.002,
    starts=2,
    cold_starts=1,
    loads=2,
    blocks=2,
    instances=5,
    plugins=10,
    thread_rounds=2,
    thread_seconds=0.02,
    size_rounds=1,
    sizes=(10_000, 100_000),
    registry_rounds=2,
    registry_sizes=(1, 10_000),
    look_ups=1_000,
)
"""Shows that it works; its figures tell nothing."""
