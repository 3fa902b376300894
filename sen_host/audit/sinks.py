"""Where events go: the contract, and the sinks that need no file."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import deque

from sen_host import log
from sen_host.audit.events import AuditEvent
from sen_host.errors import SenHostError
from sen_host.forks import reset_after_fork

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

MOST_EVENTS = 10_000


class AuditSink(ABC):
    """Takes events, from any thread."""

    @abstractmethod
    def record(self, event: AuditEvent) -> None:
        """Take one event.

        Raises:
            SenHostError: it could not be kept, and the sink was told to be strict. Any other
                exception is logged, and the host goes on.
        """

    def close(self) -> None:  # noqa: B027 - most hold nothing
        """Free what it holds. May be called more than once; events may follow."""


class NullAuditSink(AuditSink):
    """Takes no notice of anything."""

    def record(self, event: AuditEvent) -> None:
        pass


class MemoryAuditSink(AuditSink):
    """Keeps the latest events.

    Args:
        most: how many, at least 1.
    """

    def __init__(self, most: int = MOST_EVENTS) -> None:
        if most < 1:
            raise ValueError(f"most is {most}; a sink keeps at least one event")
        self._events: deque[AuditEvent] = deque(maxlen=most)

    @property
    def events(self) -> tuple[AuditEvent, ...]:
        """What it has kept, oldest first."""
        return tuple(self._events.copy())

    def record(self, event: AuditEvent) -> None:
        self._events.append(event)

    def clear(self) -> None:
        """Forget all events."""
        self._events.clear()


class CompositeAuditSink(AuditSink):
    """Gives each event to several sinks; one that fails does not keep it from the others.

    The first exception is raised when all have been given the event.
    """

    def __init__(self, *sinks: AuditSink) -> None:
        self._sinks = sinks

    def record(self, event: AuditEvent) -> None:
        self._each(lambda sink: sink.record(event))

    def close(self) -> None:
        self._each(lambda sink: sink.close())

    def _each(self, do: Callable[[AuditSink], None]) -> None:
        failure: Exception | None = None
        for sink in self._sinks:
            try:
                do(sink)
            except Exception as error:  # noqa: PERF203
                # A strict one counts for more than one that is only broken.
                if failure is None or not isinstance(failure, SenHostError):
                    failure = error
        if failure is not None:
            raise failure


class Guarded:
    """A sink whose failures do not reach the host, unless it is strict."""

    def __init__(self, sink: AuditSink) -> None:
        self._sink = sink
        self._failing = False
        self.after_fork()
        reset_after_fork(self)

    def record(self, event: AuditEvent) -> None:
        """Give it an event.

        Raises:
            SenHostError: the sink is strict, and could not keep it.
        """
        try:
            self._sink.record(event)
        except SenHostError:
            raise
        except Exception as error:
            with self._lock:
                first, self._failing = not self._failing, True
            if first:
                log.warning("the audit fails, the host goes on without it: %r", error)
        else:
            self._failing = False

    def after_fork(self) -> None:
        """In a fork of the process: another thread may have held the lock."""
        self._lock = threading.Lock()
