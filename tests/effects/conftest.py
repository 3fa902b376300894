"""A server, and the two ways to do an effect."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from sen_host import EffectDriver
from sen_host.messages import Effect, EffectResult
from tests.effects.server import Server, serving

Do = Callable[[EffectDriver, Effect], EffectResult]


def _sync(driver: EffectDriver, effect: Effect) -> EffectResult:
    return driver.handle(effect)


def _async(driver: EffectDriver, effect: Effect) -> EffectResult:
    return asyncio.run(driver.handle_async(effect))


@pytest.fixture(params=[_sync, _async], ids=["sync", "async"])
def do(request: pytest.FixtureRequest) -> Do:
    """Does one effect."""
    chosen: Do = request.param
    return chosen


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        yield running
