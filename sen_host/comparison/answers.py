"""What a plugin under test is told of the effects that it asks for.

Nothing is done: the answers come at once, and are the same on every backend.
Every sleep is granted and none is slept.
"""

from __future__ import annotations

from collections.abc import Callable

from sen_host.messages import (
    Effect,
    EffectError,
    EffectResult,
    HttpResponse,
    Sleep,
    SleepComplete,
)

Answers = Callable[[Effect], EffectResult]


def refuse_requests(effect: Effect) -> EffectResult:
    """As ``sen-host run`` answers: HTTP requests are refused."""
    if isinstance(effect, Sleep):
        return SleepComplete()
    return EffectError("network access is not granted")


def answer_requests(effect: Effect) -> EffectResult:
    """Every HTTP request succeeds, with a short text."""
    if isinstance(effect, Sleep):
        return SleepComplete()
    return HttpResponse(200, "an answer", (("content-type", "text/plain"),))
