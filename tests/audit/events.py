"""Events of every kind, as values for property tests."""

from __future__ import annotations

from datetime import datetime, timezone

from hypothesis import strategies as st

from sen_host.audit import AuditEvent, CallEvent, EffectEvent, PermissionEvent, PluginEvent

texts = st.text(st.characters(exclude_categories=[]), max_size=30)
times = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(timezone.utc))
seconds = st.floats(0, 1e6)
counts = st.integers(0, 2**64 - 1)


def maybe(values: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.none() | values


several = st.lists(texts, max_size=4).map(tuple)
events: st.SearchStrategy[AuditEvent] = st.one_of(
    st.builds(
        PermissionEvent,
        kind=st.sampled_from(["requested", "granted", "denied", "escalated"]),
        time=times,
        application=texts,
        plugin=texts,
        sha256=texts,
        command_path=several,
        capabilities=several,
        reason=texts,
    ),
    st.builds(
        PluginEvent,
        kind=st.sampled_from(["loaded", "reloaded", "unloaded", "load-failed"]),
        time=times,
        application=texts,
        plugin=texts,
        path=maybe(texts),
        sha256=maybe(texts),
        seconds=maybe(seconds),
        reason=maybe(texts),
    ),
    st.builds(
        CallEvent,
        time=times,
        application=texts,
        plugin=texts,
        sha256=texts,
        function=texts,
        outcome=st.sampled_from(["success", "error", "effect", "fault"]),
        seconds=seconds,
        fuel_used=maybe(counts),
        code=maybe(counts),
        fault=maybe(texts),
        argument_count=maybe(counts),
        arguments=maybe(several),
    ),
    st.builds(
        EffectEvent,
        time=times,
        application=texts,
        plugin=texts,
        sha256=texts,
        effect=texts,
        seconds=seconds,
        url=maybe(texts),
        status=maybe(counts),
        body_bytes=maybe(counts),
        reason=maybe(texts),
    ),
)

CALL = CallEvent(
    datetime(2026, 5, 4, 3, 2, 1, 42, timezone.utc),
    "app",
    "greet",
    "0" * 64,
    "plugin_execute",
    "success",
    0.25,
    3_674,
)


def numbered(number: int, text: str = "") -> CallEvent:
    """A call that can be told from others."""
    return CallEvent(CALL.time, "app", text or "p", "0" * 64, "f", "success", 0.0, number)
