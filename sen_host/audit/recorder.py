"""From what happens in a registry to events."""

from __future__ import annotations

from datetime import datetime, timezone
from time import perf_counter

from sen_host.audit.events import AuditEvent, CallEvent, EffectEvent, PluginEvent
from sen_host.audit.sinks import AuditSink, Guarded
from sen_host.messages import Effect, EffectError, Error, HttpGet, HttpPost, HttpResponse, Success

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from typing import Protocol

    from sen_host.audit.events import Outcome, PluginKind
    from sen_host.messages import EffectResult, ExecuteResult

    class Called(Protocol):
        """What a call is told of."""

        @property
        def command(self) -> str:
            """The name of its command."""

        @property
        def sha256(self) -> str:
            """SHA-256 of its binary."""

        @property
        def fuel_used(self) -> int | None:
            """Fuel that the latest call used."""

    class Report(Protocol):
        """What an ``EffectReport`` tells."""

        @property
        def effect(self) -> Effect:
            """What the plugin asked for."""

        @property
        def result(self) -> EffectResult | None:
            """What it was told."""

        @property
        def reason(self) -> str | None:
            """Why it failed."""

        @property
        def seconds(self) -> float:
            """How long it took."""

    Handler = Callable[[Effect], EffectResult]
    AsyncHandler = Callable[[Effect], Awaitable[EffectResult]]

DEFAULT_APPLICATION = "sen-host"


class Audit:
    """A sink, with what is put into all events of one application.

    Args:
        sink: takes the events. If it fails, the host goes on, unless it is strict.
        application: the name that events tell.
        values: whether the values of arguments, and the query and credentials in URLs, are
            told as well. They may be secrets.
    """

    def __init__(
        self, sink: AuditSink, *, application: str = DEFAULT_APPLICATION, values: bool = False
    ) -> None:
        self.sink = sink
        self.application = application
        self.values = values
        self._guarded = Guarded(sink)

    def record(self, event: AuditEvent) -> None:
        """Give the sink an event.

        Raises:
            SenHostError: the sink is strict, and could not keep it.
        """
        self._guarded.record(event)

    def plugin(
        self,
        kind: PluginKind,
        command: str,
        *,
        path: str | None,
        sha256: str | None = None,
        seconds: float | None = None,
        reason: str | None = None,
    ) -> None:
        """Tell of a plugin that came or went. Raises as :meth:`record`."""
        self.record(
            PluginEvent(kind, _now(), self.application, command, path, sha256, seconds, reason)
        )

    def call(
        self,
        plugin: Called,
        function: str,
        args: Sequence[str] | None,
        work: Callable[[], ExecuteResult],
    ) -> ExecuteResult:
        """What ``work`` returns or raises, when the call that it makes has been told of.

        Args:
            plugin: the one that is called.
            function: the one that is called.
            args: what it is given; None for ``plugin_resume``.

        Raises:
            What ``work`` raises; else as :meth:`record`.
        """
        started = perf_counter()
        try:
            result = work()
        except BaseException as error:
            self._called(plugin, function, args, started, "fault", fault=type(error).__name__)
            raise
        if isinstance(result, Error):
            self._called(plugin, function, args, started, "error", code=result.code)
        else:
            outcome: Outcome = "success" if isinstance(result, Success) else "effect"
            self._called(plugin, function, args, started, outcome)
        return result

    def effect(self, plugin: Called, report: Report) -> None:
        """Tell of an effect that a driver has done. Raises as :meth:`record`."""
        self._done(plugin, report.effect, report.result, report.reason, report.seconds)

    def handler(self, plugin: Called, handler: Handler) -> Handler:
        """A handler that does the same, and tells of each effect."""

        def handle(effect: Effect) -> EffectResult:
            started = perf_counter()
            try:
                result = handler(effect)
            except BaseException as error:
                self._handled(plugin, effect, error, started)
                raise
            self._handled(plugin, effect, result, started)
            return result

        return handle

    def async_handler(self, plugin: Called, handler: AsyncHandler) -> AsyncHandler:
        """As :meth:`handler`, for one that is awaited."""

        async def handle(effect: Effect) -> EffectResult:
            started = perf_counter()
            try:
                result = await handler(effect)
            except BaseException as error:
                self._handled(plugin, effect, error, started)
                raise
            self._handled(plugin, effect, result, started)
            return result

        return handle

    def _handled(
        self, plugin: Called, effect: Effect, outcome: EffectResult | BaseException, started: float
    ) -> None:
        result, reason = None, None
        if isinstance(outcome, BaseException):
            reason = f"the handler raised {type(outcome).__name__}"
        else:
            result = outcome
            if isinstance(outcome, EffectError):
                reason = outcome.message
        self._done(plugin, effect, result, reason, perf_counter() - started)

    def _done(
        self,
        plugin: Called,
        effect: Effect,
        result: EffectResult | None,
        reason: str | None,
        seconds: float,
    ) -> None:
        url = effect.url if isinstance(effect, (HttpGet, HttpPost)) else None
        response = result if isinstance(result, HttpResponse) else None
        self.record(
            EffectEvent(
                _now(),
                self.application,
                plugin.command,
                plugin.sha256,
                type(effect).__name__,
                seconds,
                url if url is None or self.values else without_secrets(url),
                None if response is None else response.status,
                None if response is None else len(response.body.encode("utf-8", "replace")),
                reason,
            )
        )

    def _called(
        self,
        plugin: Called,
        function: str,
        args: Sequence[str] | None,
        started: float,
        outcome: Outcome,
        *,
        code: int | None = None,
        fault: str | None = None,
    ) -> None:
        seconds = perf_counter() - started
        self.record(
            CallEvent(
                _now(),
                self.application,
                plugin.command,
                plugin.sha256,
                function,
                outcome,
                seconds,
                plugin.fuel_used,
                code,
                fault,
                None if args is None else len(args),
                tuple(args) if self.values and args is not None else None,
            )
        )


def audit_of(audit: Audit | AuditSink | None, application: str) -> Audit | None:
    """What a host was given as its audit; a sink by itself gets the application's name."""
    return Audit(audit, application=application) if isinstance(audit, AuditSink) else audit


def without_secrets(url: str) -> str:
    """A URL without credentials, query and fragment, whatever it looks like."""
    front = url.partition("#")[0].partition("?")[0]
    scheme, separator, rest = front.partition("//")
    authority, slash, path = rest.partition("/")
    return f"{scheme}{separator}{authority.rpartition('@')[2]}{slash}{path}"


def _now() -> datetime:
    return datetime.now(timezone.utc)
