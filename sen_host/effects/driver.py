"""The effect driver: runs a plugin to its end, and does what it asks for on the way."""

from __future__ import annotations

import time

from sen_host.effects.addresses import parse_networks
from sen_host.effects.core import Rules
from sen_host.effects.limits import EffectLimits
from sen_host.effects.patterns import check_patterns
from sen_host.effects.resolve import system_resolver
from sen_host.effects.session import EffectSession
from sen_host.effects.settings import Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
    from typing import Any

    from sen_host.conversation import Conversation
    from sen_host.effects.reports import EffectReport
    from sen_host.effects.resolve import Resolver
    from sen_host.effects.settings import Handler, Interceptor, Observer
    from sen_host.messages import Effect, EffectResult, Error, NetPattern, Success
    from sen_host.pool import PluginPool


class EffectDriver:
    """Does the effects of plugins: HttpGet, HttpPost and Sleep.

    It holds no state of a run, so one driver serves any number of plugins, threads and
    tasks at a time.

    Args:
        net: what may be reached by HTTP; nothing, if there is none. A pattern that spells
            out an address or ``localhost`` grants that, private or not; other names, and
            ``*``, never lead to an address that is not public.
        limits: what the effects of one run may take.
        private_networks: networks that names may lead to all the same, as ``10.0.0.0/8``.
        handlers: functions that do effects of a kind in place of the driver, by class.
            They get the effect and return its result; what they raise goes to the caller.
            For ``run_async`` they may be async. The driver's rules do not bind them.
        intercept: is asked before each effect, and returns None to let it be done, a
            result to give to the plugin instead, or an effect to do in its place, which
            is checked as the plugin's own.
        observer: is told of each effect when it is over, with an ``EffectReport``.
        tls: settings for TLS; if there are none, certificates are checked against those
            that ``certifi`` comes with.
        resolver: looks names up, in place of the system: from a name and a port to
            addresses; raises OSError if there are none.
        clock, sleep, sleep_async: in place of ``time.monotonic``, ``time.sleep`` and
            ``asyncio.sleep``.

    Raises:
        ConfigError: a pattern or a network is not valid.
    """

    def __init__(
        self,
        net: Iterable[NetPattern] = (),
        *,
        limits: EffectLimits = EffectLimits(),  # noqa: B008 - it is frozen
        private_networks: Iterable[str] = (),
        handlers: Mapping[type[Effect], Handler] | None = None,
        intercept: Interceptor | None = None,
        observer: Observer | None = None,
        tls: ssl.SSLContext | None = None,
        resolver: Resolver = system_resolver,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
        sleep_async: Callable[[float], Awaitable[object]] | None = None,
    ) -> None:
        self._given_tls = tls
        self._settings = Settings(
            rules=Rules(check_patterns(net), parse_networks(private_networks), limits),
            handlers=dict(handlers or {}),
            intercept=intercept,
            observer=observer,
            tls=self._tls,
            resolver=resolver,
            clock=clock,
            sleep=sleep,
            sleep_async=sleep_async or _sleep_async,
        )

    @property
    def net(self) -> tuple[NetPattern, ...]:
        """What may be reached."""
        return self._settings.rules.net

    @property
    def limits(self) -> EffectLimits:
        """What the effects of one run may take."""
        return self._settings.rules.limits

    def with_net(self, net: Iterable[NetPattern]) -> EffectDriver:
        """A driver that is equal but for what may be reached: e.g. what a plugin was granted.

        A pattern that is not valid grants nothing; no error is raised, for it may be the
        plugin's own.
        """
        return self._with(rules=self._settings.rules._replace(net=tuple(net)))

    def with_observer(self, observer: Observer) -> EffectDriver:
        """A driver that is equal, but tells one more observer of each effect."""
        first = self._settings.observer

        def both(report: EffectReport) -> None:
            if first is not None:
                first(report)
            observer(report)

        return self._with(observer=both)

    def _with(self, **changes: Any) -> EffectDriver:
        other = object.__new__(EffectDriver)
        other._given_tls = self._given_tls
        other._settings = self._settings._replace(tls=other._tls, **changes)
        return other

    def run(self, plugin: Conversation | PluginPool, args: Sequence[str] = ()) -> Success | Error:
        """Run the plugin's command and do its effects until it comes to an end.

        An effect that is refused or fails is no error here: the plugin is told, and goes on.

        Args:
            args: the arguments, without the command's name.

        Raises:
            EffectLimitExceeded: the plugin asked for more than ``limits.effects``.
            EffectsNotSupported: it asked for an effect, but cannot be told the result.
            MissingLibrary: it may use HTTP, but the library for it is not installed.
            Others as ``Plugin.execute``, and what a handler raises.
        """
        return plugin.run(args, self.session(plugin).handle, max_effects=self.limits.effects)

    async def run_async(
        self, plugin: Conversation | PluginPool, args: Sequence[str] = ()
    ) -> Success | Error:
        """As :meth:`run`. Cancelling it ends the request or sleep that is under way.

        Raises:
            As :meth:`run`.
        """
        return await plugin.run_async(
            args, self.session(plugin).handle_async, max_effects=self.limits.effects
        )

    def session(self, plugin: Conversation | PluginPool | None = None) -> EffectSession:
        """A handler for one run, for ``Plugin.run(args, session.handle)`` and the like."""
        return EffectSession(self._settings, plugin)

    def handle(self, effect: Effect) -> EffectResult:
        """Do one effect by itself, as if it were the only one of its run.

        Raises:
            As ``EffectSession.handle``.
        """
        return self.session().handle(effect)

    async def handle_async(self, effect: Effect) -> EffectResult:
        """As :meth:`handle`."""
        return await self.session().handle_async(effect)

    def _tls(self) -> ssl.SSLContext:
        if self._given_tls is None:
            from sen_host.effects.extra import default_tls

            self._given_tls = default_tls()
        return self._given_tls


async def _sleep_async(seconds: float) -> None:
    from asyncio import sleep

    await sleep(seconds)
