"""All that a driver is told: what its sessions work with."""

from __future__ import annotations

from sen_host.records import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Mapping
    from typing import Any

    from sen_host.effects.core import Rules
    from sen_host.effects.reports import EffectReport
    from sen_host.effects.resolve import Resolver
    from sen_host.messages import Effect, EffectResult

    Handler = Callable[[Any], EffectResult | Awaitable[EffectResult]]
    Interceptor = Callable[[Effect], Effect | EffectResult | None]
    Observer = Callable[[EffectReport], object]


class Settings(NamedTuple):
    """The settings of a driver; ``EffectDriver`` says what they mean."""

    rules: Rules
    handlers: Mapping[type[Effect], Handler]
    intercept: Interceptor | None
    observer: Observer | None
    tls: Callable[[], ssl.SSLContext]
    resolver: Resolver
    clock: Callable[[], float]
    sleep: Callable[[float], object]
    sleep_async: Callable[[float], Awaitable[object]]
