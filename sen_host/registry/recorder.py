"""Tells a sink what happens in a registry."""

from __future__ import annotations

from datetime import datetime, timezone
from time import perf_counter

from sen_host.messages import Effect, EffectError, Error, HttpResponse, Success
from sen_host.registry.events import CallEvent, EffectEvent, RegistryEvent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from typing import Literal

    from sen_host.errors import SenHostError
    from sen_host.messages import EffectResult, ExecuteResult
    from sen_host.registry.entry import Entry
    from sen_host.registry.events import Sink
    from sen_host.registry.session import Session

    Handler = Callable[[Effect], EffectResult]
    AsyncHandler = Callable[[Effect], Awaitable[EffectResult]]

_LONGEST_URL = 500


class Recorder:
    """Makes the events of one registry.

    Args:
        sink: is given them.
        application: for whom the plugins run, or None.
        values: whether the values of arguments are told.
    """

    def __init__(self, sink: Sink, *, application: str | None, values: bool) -> None:
        self._sink = sink
        self._application = application
        self._values = values

    def moved(self, kind: Literal["loaded", "reloaded", "unloaded"], entry: Entry) -> None:
        """A plugin came, changed or went."""
        plugin = entry.first
        self._sink.record(
            RegistryEvent(
                kind, _now(), self._application, entry.command, plugin.path, plugin.sha256
            )
        )

    def not_loaded(self, path: str | None, error: SenHostError) -> None:
        """A plugin could not be loaded or registered."""
        self._sink.record(
            RegistryEvent(
                kind="load failed",
                time=_now(),
                application=self._application,
                plugin=None,
                path=path,
                sha256=None,
                fault=type(error).__name__,
                message=error.message,
            )
        )

    def call(
        self,
        session: Session,
        function: Literal["plugin_execute", "plugin_resume"],
        args: Sequence[str],
        work: Callable[[], ExecuteResult],
        fuel: Callable[[], int | None],
    ) -> ExecuteResult:
        """Do a call of the guest, and tell how it went."""
        outcome: ExecuteResult | BaseException | None = None
        started = perf_counter()
        try:
            outcome = work()
            return outcome
        except BaseException as error:
            outcome = error
            raise
        finally:
            seconds = perf_counter() - started
            result, code, detail = _result(outcome)
            self._sink.record(
                CallEvent(
                    time=_now(),
                    application=self._application,
                    plugin=session.command,
                    path=session.path,
                    sha256=session.sha256,
                    function=function,
                    arguments=len(args),
                    values=tuple(args) if self._values else None,
                    result=result,
                    code=code,
                    detail=detail,
                    fuel_used=fuel(),
                    seconds=seconds,
                )
            )

    def handler(self, session: Session, handler: Handler) -> Handler:
        """A handler that does the same, and tells how each effect went."""

        def handle(effect: Effect) -> EffectResult:
            outcome: EffectResult | BaseException | None = None
            started = perf_counter()
            try:
                outcome = handler(effect)
                return outcome
            except BaseException as error:
                outcome = error
                raise
            finally:
                self._effect(session, effect, outcome, perf_counter() - started)

        return handle

    def async_handler(self, session: Session, handler: AsyncHandler) -> AsyncHandler:
        """As ``handler``."""

        async def handle(effect: Effect) -> EffectResult:
            outcome: EffectResult | BaseException | None = None
            started = perf_counter()
            try:
                outcome = await handler(effect)
                return outcome
            except BaseException as error:
                outcome = error
                raise
            finally:
                self._effect(session, effect, outcome, perf_counter() - started)

        return handle

    def _effect(self, session: Session, effect: Effect, outcome: object, seconds: float) -> None:
        response = outcome if isinstance(outcome, HttpResponse) else None
        url = getattr(effect, "url", None)
        self._sink.record(
            EffectEvent(
                time=_now(),
                application=self._application,
                plugin=session.command,
                sha256=session.sha256,
                effect=type(effect).__name__,
                url=None if url is None else public_url(url),
                outcome=type(outcome).__name__,
                status=None if response is None else response.status,
                body_bytes=None if response is None else len(response.body.encode()),
                message=outcome.message if isinstance(outcome, EffectError) else None,
                seconds=seconds,
            )
        )


def public_url(url: str) -> str:
    """A URL without credentials, query and fragment; at most 500 characters of it."""
    for mark in "?#":
        url = url.partition(mark)[0]
    scheme, separator, rest = url.partition("://")
    if separator:
        authority, slash, path = rest.partition("/")
        url = f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}"
    return url if len(url) <= _LONGEST_URL else url[:_LONGEST_URL] + "..."


def _result(
    outcome: object,
) -> tuple[Literal["success", "error", "effect", "fault"], int | None, str | None]:
    if isinstance(outcome, Success):
        return "success", None, None
    if isinstance(outcome, Error):
        return "error", outcome.code, None
    kind = type(outcome).__name__
    return ("effect" if isinstance(outcome, Effect) else "fault"), None, kind


def _now() -> datetime:
    return datetime.now(timezone.utc)
