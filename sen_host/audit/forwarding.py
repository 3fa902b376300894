"""Sinks that pass events on: to ``logging``, and to OpenTelemetry."""

from __future__ import annotations

from sen_host.audit.events import AuditEvent, CallEvent, EffectEvent, PermissionEvent, PluginEvent
from sen_host.audit.sinks import AuditSink
from sen_host.errors import MissingLibrary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from logging import Logger
    from typing import Any

LOGGER = "sen_host.audit"


class LoggingAuditSink(AuditSink):
    """Passes events on to the standard ``logging``.

    What went wrong (denials, faults, plugins that cannot be loaded) is logged as a warning,
    all else as information. The event itself is ``record.audit``, as ``to_dict`` gives it.

    Args:
        logger: a logger, or its name.
    """

    def __init__(self, logger: Logger | str = LOGGER) -> None:
        import logging

        self._logger = logging.getLogger(logger) if isinstance(logger, str) else logger

    def record(self, event: AuditEvent) -> None:
        import logging

        level = logging.WARNING if _went_wrong(event) else logging.INFO
        if self._logger.isEnabledFor(level):
            self._logger.log(level, "%s", summary(event), extra={"audit": event.to_dict()})


class OpenTelemetryAuditSink(AuditSink):
    """Makes a span of each event that took time, and an event of the current span of others.

    Args:
        tracer: an OpenTelemetry tracer; by default that of the global provider.

    Raises:
        MissingLibrary: OpenTelemetry is not installed.
    """

    def __init__(self, tracer: Any = None) -> None:
        try:
            from opentelemetry import trace
        except ImportError as error:
            raise MissingLibrary(
                "opentelemetry-api", extra="opentelemetry", purpose="spans of the audit"
            ) from error
        self._trace = trace
        self._tracer = trace.get_tracer("sen_host") if tracer is None else tracer

    def record(self, event: AuditEvent) -> None:
        attributes: dict[str, Any] = {
            f"sen_host.{key}": _sendable(value)
            for key, value in event.to_dict().items()
            if key not in ("event", "time")
        }
        name = f"sen_host.{event.name}"
        seconds = getattr(event, "seconds", None)
        if seconds is None:
            self._trace.get_current_span().add_event(name, attributes)
            return
        end = round(event.time.timestamp() * 1e9)
        span = self._tracer.start_span(
            name, attributes=attributes, start_time=end - round(seconds * 1e9)
        )
        if _went_wrong(event):
            span.set_status(self._trace.StatusCode.ERROR)
        span.end(end_time=end)


def _sendable(value: object) -> object:
    """Without lone surrogates, which exporters cannot encode."""
    if isinstance(value, list):
        return [_sendable(item) for item in value]
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def summary(event: AuditEvent) -> str:
    """The event in one line for people; nothing in it is a control character."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in _summary(event)
    )


def _summary(event: AuditEvent) -> str:
    plugin = _cut(event.plugin)
    if isinstance(event, CallEvent):
        how = event.fault or (f"error {event.code}" if event.outcome == "error" else event.outcome)
        fuel = "" if event.fuel_used is None else f", fuel {event.fuel_used:,}"
        return (
            f"{plugin}: {_cut(event.function)}: {_cut(how)} in {event.seconds * 1e3:.1f} ms{fuel}"
        )
    if isinstance(event, EffectEvent):
        target = "" if event.url is None else f" {_cut(event.url)}"
        how = event.reason or ("done" if event.status is None else f"status {event.status}")
        return (
            f"{plugin}: {_cut(event.effect)}{target}: {_cut(how)} in {event.seconds * 1e3:.0f} ms"
        )
    if isinstance(event, PermissionEvent):
        what = _cut("; ".join(event.capabilities))
        reason = f" ({_cut(event.reason)})" if event.reason else ""
        return f"{plugin}: permission {event.kind}: {what}{reason}"
    assert isinstance(event, PluginEvent)
    where = "" if event.path is None else f" {_cut(event.path)}"
    reason = "" if event.reason is None else f": {_cut(event.reason)}"
    return f"{plugin or 'plugin'}: {event.kind}{where}{reason}"


def _went_wrong(event: AuditEvent) -> bool:
    return (
        (isinstance(event, CallEvent) and event.outcome == "fault")
        or (isinstance(event, EffectEvent) and event.reason is not None)
        or (isinstance(event, PermissionEvent) and event.kind == "denied")
        or (isinstance(event, PluginEvent) and event.kind == "load-failed")
    )


def _cut(text: str, most: int = 200) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
