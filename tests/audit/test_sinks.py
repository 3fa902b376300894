"""The sinks that need no file."""

from __future__ import annotations

import logging
import sys
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from sen_host.audit import (
    Audit,
    AuditEvent,
    AuditSink,
    CallEvent,
    CompositeAuditSink,
    LoggingAuditSink,
    MemoryAuditSink,
    NullAuditSink,
    OpenTelemetryAuditSink,
    PermissionEvent,
)
from sen_host.errors import AuditError, MissingLibrary
from tests.audit.events import CALL, numbered

DENIED = PermissionEvent(
    "denied", CALL.time, "app", "evil\x1b[2J", "0" * 64, (), ("read /etc",), "the answer was no"
)
FAULT = CallEvent(CALL.time, "app", "greet", "", "f", "fault", 0.5, fault="FuelExhausted")


class Broken(AuditSink):
    def __init__(self, error: Exception) -> None:
        self.error: Exception | None = error

    def record(self, event: AuditEvent) -> None:
        if self.error is not None:
            raise self.error


def test_memory_keeps_the_latest() -> None:
    sink = MemoryAuditSink(3)
    for number in range(5):
        sink.record(numbered(number))
    assert list(sink.events) == [numbered(2), numbered(3), numbered(4)]
    sink.clear()
    assert len(sink.events) == 0
    with pytest.raises(ValueError, match="at least one"):
        MemoryAuditSink(0)


def test_several_sinks_get_each_event_even_if_one_is_broken() -> None:
    first, last = MemoryAuditSink(), MemoryAuditSink()
    broken, strict = Broken(ValueError("no")), Broken(AuditError("file"))
    sink = CompositeAuditSink(first, broken, NullAuditSink(), strict, last)
    with pytest.raises(AuditError):
        sink.record(CALL)
    strict.error = None
    with pytest.raises(ValueError, match="no"):
        sink.record(CALL)
    assert first.events == last.events == (CALL, CALL)
    sink.close()


def test_a_sink_that_fails_is_told_of_once_each_time(caplog: pytest.LogCaptureFixture) -> None:
    sink = Broken(ValueError("no"))
    audit = Audit(sink)
    for _ in range(3):
        audit.record(CALL)
    assert [record.getMessage() for record in caplog.records] == [
        "the audit fails, the host goes on without it: ValueError('no')"
    ]
    sink.error = None
    audit.record(CALL)
    sink.error = ValueError("again")
    audit.record(CALL)
    assert len(caplog.records) == 2


def test_logging(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "sen_host.audit")
    sink = LoggingAuditSink()
    sink.record(CALL)
    sink.record(DENIED)
    made: list[Any] = caplog.records
    assert [(record.levelname, record.getMessage()) for record in made] == [
        ("INFO", "greet: plugin_execute: success in 250.0 ms, fuel 3,674"),
        ("WARNING", "evil\\x1b[2J: permission denied: read /etc (the answer was no)"),
    ]
    assert made[0].audit == CALL.to_dict()
    LoggingAuditSink(logging.getLogger("mine")).record(DENIED)
    assert caplog.records[-1].name == "mine"


def test_spans() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    sink = OpenTelemetryAuditSink(tracer)
    with tracer.start_as_current_span("outer"):
        sink.record(CALL)
        sink.record(FAULT)
        sink.record(DENIED)
    call, fault, outer = exporter.get_finished_spans()
    assert call.name == "sen_host.call"
    assert call.end_time is not None
    assert call.start_time is not None
    assert call.end_time - call.start_time == 250_000_000
    assert call.attributes is not None
    assert call.attributes["sen_host.fuel_used"] == 3674
    assert call.parent == outer.context
    assert fault.status.status_code.name == "ERROR"
    [event] = outer.events
    assert event.name == "sen_host.permission.denied"


def test_spans_without_opentelemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(MissingLibrary, match=r"pip install 'sen-host\[opentelemetry\]'"):
        OpenTelemetryAuditSink()
