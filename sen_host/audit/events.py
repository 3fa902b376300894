"""What the audit is told: one frozen record for each thing that happens.

``to_dict`` gives the form of an event in files: a flat object of JSON with its name under
``event`` and its time, in UTC, under ``time``. ``from_dict`` reads it back. Texts come from
plugins and may be hostile, so what is written of each is bounded; JSON escapes the rest.
"""

from __future__ import annotations

from datetime import datetime, timezone

from sen_host.records import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Literal

    PermissionKind = Literal["requested", "granted", "denied", "escalated"]
    PluginKind = Literal["loaded", "reloaded", "unloaded", "load-failed"]
    Outcome = Literal["success", "error", "effect", "fault"]

MOST_CHARACTERS = 2_000
"""Of a text, what is written; what is cut off is counted behind it."""

MOST_ITEMS = 256
"""Of a list, what is written."""

_SHOWN = 80


class AuditEvent:
    """The root of all events. They have ``time``, ``application`` and ``plugin``."""

    __slots__ = ()

    time: datetime
    application: str
    plugin: str

    @property
    def name(self) -> str:
        """What happened, e.g. ``call`` or ``permission.denied``."""
        raise NotImplementedError

    def to_dict(
        self, *, most_characters: int = MOST_CHARACTERS, most_items: int = MOST_ITEMS
    ) -> dict[str, object]:
        """The event as it is written to files.

        Args:
            most_characters: of a text; what is cut off is counted behind it.
            most_items: of a list; those left out are counted.
        """
        fields: dict[str, object] = {"event": self.name, "time": _written_time(self.time)}
        for field in self.__record__:  # type: ignore[attr-defined]
            value = getattr(self, field)
            if field not in ("kind", "time") and value is not None:
                fields[field] = _bounded(value, most_characters, most_items)
        return fields


@record(frozen=True, slots=True)
class PermissionEvent(AuditEvent):
    """Something happened to a permission.

    Attributes:
        kind: what happened. A plugin that has a grant and asks for more is ``escalated``;
            whether it got it, the next event tells.
        time: when, in UTC.
        application: for whom.
        plugin: the plugin's name.
        sha256: its file, 64 hexadecimal digits.
        command_path: the words of the command after the name.
        capabilities: in words: what is asked, granted, denied, or new.
        reason: why it was granted or denied.
    """

    kind: PermissionKind
    time: datetime
    application: str
    plugin: str
    sha256: str
    command_path: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    reason: str = ""

    @property
    def name(self) -> str:
        return f"permission.{self.kind}"


@record(frozen=True, slots=True)
class PluginEvent(AuditEvent):
    """A plugin came, changed or went, or could not be loaded.

    Attributes:
        kind: what happened.
        time: when, in UTC.
        application: for whom.
        plugin: the name of its command; empty if it could not be loaded.
        path: the file it came from; None if from bytes.
        sha256: its binary, 64 hexadecimal digits; None if it could not be loaded.
        seconds: how long loading took; None if nothing was loaded.
        reason: why it could not be loaded; None if it was.
    """

    kind: PluginKind
    time: datetime
    application: str
    plugin: str
    path: str | None = None
    sha256: str | None = None
    seconds: float | None = None
    reason: str | None = None

    @property
    def name(self) -> str:
        return f"plugin.{self.kind}"


@record(frozen=True, slots=True)
class CallEvent(AuditEvent):
    """A function of a plugin was called, and is over.

    Attributes:
        time: when it was over, in UTC.
        application: for whom.
        plugin: the name of its command.
        sha256: its binary, 64 hexadecimal digits.
        function: ``plugin_execute`` or ``plugin_resume``.
        outcome: ``success``, ``error`` if the plugin said so, ``effect`` if it asked for
            one, ``fault`` if the call failed.
        seconds: how long it took.
        fuel_used: 0 .. 2**64 - 1; None if it is not known.
        code: of an ``error``, 0 to 255.
        fault: of a ``fault``, the name of the exception's class.
        argument_count: how many arguments it was given; None for ``plugin_resume``.
        arguments: their values, only if that was asked for.
    """

    time: datetime
    application: str
    plugin: str
    sha256: str
    function: str
    outcome: Outcome
    seconds: float
    fuel_used: int | None = None
    code: int | None = None
    fault: str | None = None
    argument_count: int | None = None
    arguments: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        return "call"


@record(frozen=True, slots=True)
class EffectEvent(AuditEvent):
    """An effect that a plugin asked for is over.

    Attributes:
        time: when it was over, in UTC.
        application: for whom.
        plugin: the name of its command.
        sha256: the plugin's binary, 64 hexadecimal digits.
        effect: ``HttpGet``, ``HttpPost`` or ``Sleep``.
        seconds: how long it took.
        url: without credentials, query and fragment, unless these were asked for.
        status: the HTTP status, if there was a response.
        body_bytes: size of the body that the plugin got, if there was a response.
        reason: why it was refused or failed; None if it went well.
    """

    time: datetime
    application: str
    plugin: str
    sha256: str
    effect: str
    seconds: float
    url: str | None = None
    status: int | None = None
    body_bytes: int | None = None
    reason: str | None = None

    @property
    def name(self) -> str:
        return "effect"


def from_dict(fields: Mapping[str, Any]) -> AuditEvent:
    """The event that ``to_dict`` has written.

    Raises:
        ValueError: it is no such object. The text tells why.
    """
    name = fields.get("event")
    kind, _, detail = name.partition(".") if isinstance(name, str) else ("", "", "")
    cls = _CLASSES.get(kind)
    if cls is None or bool(detail) != ("kind" in cls.__record__):
        raise ValueError(f"{_shown(name)} is no event")
    given = {key: value for key, value in fields.items() if key != "event"}
    if detail:
        given["kind"] = detail
    types = _FIELDS[kind]
    values = {}
    for field, value in given.items():
        if field not in types:
            raise ValueError(f"{name} has no field {_shown(field)}")
        try:
            values[field] = types[field](value)
        except (TypeError, ValueError, OverflowError):
            raise ValueError(f"{field} of {name} cannot be {_shown(value)}") from None
    missing = [field for field in cls.__record__ if field not in values]
    required = [field for field in missing if field not in cls.__record_defaults__]
    if required:
        raise ValueError(f"{name} lacks {', '.join(required)}")
    event: AuditEvent = cls(**values)
    return event


def _shown(value: object) -> str:
    text = ascii(value[:_SHOWN] if isinstance(value, str) else value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _written_time(time: datetime) -> str:
    return time.astimezone(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _time(value: object) -> datetime:
    time = datetime.fromisoformat(_text(value).replace("Z", "+00:00"))
    if time.tzinfo is None:
        raise ValueError(value)
    return time.astimezone(timezone.utc)


def _bounded(value: object, characters: int, items: int) -> object:
    if isinstance(value, str):
        if len(value) <= characters:
            return value
        return f"{value[:characters]}… and {len(value) - characters:,} characters more"
    if isinstance(value, tuple):
        shown = [_bounded(item, characters, items) for item in value[:items]]
        if len(value) > items:
            shown.append(f"… and {len(value) - items:,} more")
        return shown
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError(value)
    return tuple(map(_text, value))


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(value)
    return value


def _number(value: object) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise TypeError(value)
    return float(value)


def _one_of(*allowed: str) -> Callable[[object], str]:
    def check(value: object) -> str:
        if value not in allowed:
            raise ValueError(value)
        return _text(value)

    return check


_CLASSES: dict[str, Any] = {
    "permission": PermissionEvent,
    "plugin": PluginEvent,
    "call": CallEvent,
    "effect": EffectEvent,
}
_COMMON: dict[str, Callable[[object], object]] = {
    "time": _time,
    "application": _text,
    "plugin": _text,
    "sha256": _text,
}
_FIELDS: dict[str, dict[str, Callable[[object], object]]] = {
    "permission": {
        **_COMMON,
        "kind": _one_of("requested", "granted", "denied", "escalated"),
        "command_path": _texts,
        "capabilities": _texts,
        "reason": _text,
    },
    "plugin": {
        **_COMMON,
        "kind": _one_of("loaded", "reloaded", "unloaded", "load-failed"),
        "path": _text,
        "seconds": _number,
        "reason": _text,
    },
    "call": {
        **_COMMON,
        "function": _text,
        "outcome": _one_of("success", "error", "effect", "fault"),
        "seconds": _number,
        "fuel_used": _whole,
        "code": _whole,
        "fault": _text,
        "argument_count": _whole,
        "arguments": _texts,
    },
    "effect": {
        **_COMMON,
        "effect": _text,
        "seconds": _number,
        "url": _text,
        "status": _whole,
        "body_bytes": _whole,
        "reason": _text,
    },
}
