"""What a registry reports to the audit."""

from __future__ import annotations

from datetime import datetime

from sen_host.records import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, Protocol

    class Sink(Protocol):
        """What events are given to."""

        def record(self, event: RegistryEvent | CallEvent | EffectEvent, /) -> None:
            """Take one event; called from any thread."""


@record(frozen=True, slots=True)
class RegistryEvent:
    """A plugin came, changed or went, or could not be loaded.

    Attributes:
        kind: what happened.
        time: when, in UTC.
        application: for whom.
        plugin: the name of its command; None if it could not be loaded.
        path: its file; None if it was loaded from bytes.
        sha256: of its binary, 64 hexadecimal digits; None if it could not be loaded.
        fault: the class of the error, if there was one.
        message: what the error says, or None.
    """

    kind: Literal["loaded", "reloaded", "unloaded", "load failed"]
    time: datetime
    application: str | None
    plugin: str | None
    path: str | None
    sha256: str | None
    fault: str | None = None
    message: str | None = None


@record(frozen=True, slots=True)
class CallEvent:
    """The guest was called.

    Attributes:
        time: when it ended, in UTC.
        application: for whom.
        plugin: the name of its command.
        path: its file; None if it was loaded from bytes.
        sha256: of its binary, 64 hexadecimal digits.
        function: "plugin_execute" or "plugin_resume".
        arguments: how many; 0 for a resume.
        values: the arguments, only if that was asked for.
        result: what came of it.
        code: the plugin's own code, if the result is "error".
        detail: the class of the effect or of the fault, if the result is one.
        fuel_used: 0 .. 2**64 - 1; None if it is not known.
        seconds: how long it took.
    """

    time: datetime
    application: str | None
    plugin: str
    path: str | None
    sha256: str
    function: Literal["plugin_execute", "plugin_resume"]
    arguments: int
    values: tuple[str, ...] | None
    result: Literal["success", "error", "effect", "fault"]
    code: int | None
    detail: str | None
    fuel_used: int | None
    seconds: float


@record(frozen=True, slots=True)
class EffectEvent:
    """An effect was done for a plugin, or refused, or failed.

    Attributes:
        time: when it was over, in UTC.
        application: for whom.
        plugin: the name of its command.
        sha256: of its binary, 64 hexadecimal digits.
        effect: the class of the effect, e.g. "HttpGet".
        url: of a request, without credentials, query and fragment; else None.
        outcome: the class of the result, e.g. "EffectError", or of what was raised.
        status: of an HTTP response, else None.
        body_bytes: the size of its body as UTF-8, else None.
        message: what the plugin is told of a failure, else None.
        seconds: how long it took.
    """

    time: datetime
    application: str | None
    plugin: str
    sha256: str
    effect: str
    url: str | None
    outcome: str
    status: int | None
    body_bytes: int | None
    message: str | None
    seconds: float
