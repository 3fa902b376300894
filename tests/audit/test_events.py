"""Events, and their form in files."""

from __future__ import annotations

import json
import pickle
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sen_host.audit import AuditEvent, CallEvent, PluginEvent, from_dict, summary
from sen_host.audit.file import line_of
from sen_host.audit.recorder import without_secrets
from tests.audit.events import CALL, events


@given(events)
def test_what_is_written_is_read_back(event: AuditEvent) -> None:
    line = line_of(event)

    assert line.isascii()
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert from_dict(json.loads(line)) == event
    assert pickle.loads(pickle.dumps(event)) == event


@given(events)
def test_a_summary_is_one_printable_line(event: AuditEvent) -> None:
    assert summary(event).isprintable()


def test_the_form_in_files() -> None:
    assert CALL.to_dict() == {
        "event": "call",
        "time": "2026-05-04T03:02:01.000042Z",
        "application": "app",
        "plugin": "greet",
        "sha256": "0" * 64,
        "function": "plugin_execute",
        "outcome": "success",
        "seconds": 0.25,
        "fuel_used": 3674,
    }


def test_times_are_written_in_utc() -> None:
    there = datetime(2026, 5, 4, 12, 0, tzinfo=timezone(timedelta(hours=2)))
    event = PluginEvent("loaded", there, "app", "greet")
    assert event.to_dict()["time"] == "2026-05-04T10:00:00.000000Z"


def test_what_is_too_long_is_cut_and_counted() -> None:
    event = CallEvent(
        CALL.time, "app", "x" * 1_000_000, "", "f", "success", 0.0, arguments=("a",) * 1_000
    )
    line = line_of(event)
    assert len(line) < 10_000
    written: Any = from_dict(json.loads(line))
    assert written.plugin.endswith("… and 998,000 characters more")
    assert written.arguments[-1] == "… and 744 more"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"event": "cal"}, "'cal' is no event"),
        ({"event": "call.made"}, "'call.made' is no event"),
        ({"event": "plugin"}, "'plugin' is no event"),
        ({"event": 1}, "1 is no event"),
        ({"time": "yesterday"}, "time of call cannot be 'yesterday'"),
        ({"time": "2026-05-04T10:00:00"}, "time of call cannot be"),
        ({"time": "0001-01-01T00:00:00+23:00"}, "time of call cannot be"),
        ({"seconds": 10**400}, "seconds of call cannot be"),
        ({"fuel_used": "many"}, "fuel_used of call cannot be 'many'"),
        ({"fuel_used": True}, "fuel_used of call cannot be True"),
        ({"outcome": "fine"}, "outcome of call cannot be 'fine'"),
        ({"arguments": [1]}, "arguments of call cannot be"),
        ({"colour": "red"}, "call has no field 'colour'"),
    ],
)
def test_what_is_no_event_is_refused(change: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        from_dict({**CALL.to_dict(), **change})


def test_what_is_missing_is_named() -> None:
    fields = CALL.to_dict()
    del fields["function"], fields["seconds"]
    with pytest.raises(ValueError, match="call lacks function, seconds"):
        from_dict(fields)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://example.com/a/b", "https://example.com/a/b"),
        ("https://me:secret@example.com/a?key=secret#secret", "https://example.com/a"),
        ("https://example.com?key=secret", "https://example.com"),
        ("https://a@b@example.com", "https://example.com"),
        ("//me:secret@example.com", "//example.com"),
        ("nonsense", "nonsense"),
    ],
)
def test_urls_are_told_without_secrets(url: str, shown: str) -> None:
    assert without_secrets(url) == shown


@given(st.text())
def test_no_query_is_told(url: str) -> None:
    assert "?" not in without_secrets(url)
    assert "#" not in without_secrets(url)
