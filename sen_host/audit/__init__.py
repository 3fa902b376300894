"""The audit: what plugins asked for, were granted, and did.

A registry that has an ``Audit``, or a sink, tells it of each plugin that comes and goes, of
each call and each effect; ``Permissions`` tell of each request and its answer. Sinks keep
events in memory or in files, or pass them on.
"""

from sen_host.audit.events import (
    AuditEvent,
    CallEvent,
    EffectEvent,
    PermissionEvent,
    PluginEvent,
    from_dict,
)
from sen_host.audit.file import BrokenLine, FileAuditSink, read_events
from sen_host.audit.forwarding import LoggingAuditSink, OpenTelemetryAuditSink, summary
from sen_host.audit.recorder import Audit
from sen_host.audit.sinks import AuditSink, CompositeAuditSink, MemoryAuditSink, NullAuditSink

__all__ = [
    "Audit",
    "AuditEvent",
    "AuditSink",
    "BrokenLine",
    "CallEvent",
    "CompositeAuditSink",
    "EffectEvent",
    "FileAuditSink",
    "LoggingAuditSink",
    "MemoryAuditSink",
    "NullAuditSink",
    "OpenTelemetryAuditSink",
    "PermissionEvent",
    "PluginEvent",
    "from_dict",
    "read_events",
    "summary",
]
