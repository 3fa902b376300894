"""A grant that is kept, and its form in JSON."""

from __future__ import annotations

from datetime import datetime, timezone

from sen_host.messages.types import (
    Capabilities,
    NetPattern,
    NetProtocol,
    PathPattern,
    StdioCapability,
)
from sen_host.records import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    Value = TypeVar("Value")


@record(frozen=True, slots=True)
class StoredGrant:
    """What a plugin may do, until it is revoked.

    Attributes:
        plugin: the plugin's name.
        capabilities: what is granted.
        command: the words of the command it is granted for; empty for all of the plugin.
        sha256: the file that was granted it, 64 hexadecimal digits, or None for any file
            that has the plugin's name.
        granted_at: when, in UTC.
    """

    plugin: str
    capabilities: Capabilities
    command: tuple[str, ...] = ()
    sha256: str | None = None
    granted_at: datetime = datetime(1970, 1, 1, tzinfo=timezone.utc)

    @property
    def digest(self) -> str:
        """``digest`` of the capabilities."""
        return digest(self.capabilities)


def digest(capabilities: Capabilities) -> str:
    """SHA-256 of the capabilities, 64 hexadecimal digits.

    The order of patterns makes no difference, the field that they stand in does: to read
    a path is not the same as to write it.
    """
    import hashlib
    import json

    fields = as_json(capabilities)
    ordered: dict[str, Any] = {
        name: sorted(json.dumps(item, sort_keys=True) for item in value)
        if isinstance(value, list)
        else value
        for name, value in fields.items()
    }
    return hashlib.sha256(json.dumps(ordered, sort_keys=True).encode()).hexdigest()


def as_json(capabilities: Capabilities) -> dict[str, Any]:
    """The capabilities as a JSON object; all fields are there, also the empty ones."""

    def paths(patterns: tuple[PathPattern, ...]) -> list[dict[str, Any]]:
        return [{"pattern": item.pattern, "recursive": item.recursive} for item in patterns]

    return {
        "fs_read": paths(capabilities.fs_read),
        "fs_write": paths(capabilities.fs_write),
        "env_read": list(capabilities.env_read),
        "net": [
            {"host": item.host, "port": item.port, "protocol": item.protocol.value}
            for item in capabilities.net
        ],
        "stdio": {
            "stdin": capabilities.stdio.stdin,
            "stdout": capabilities.stdio.stdout,
            "stderr": capabilities.stdio.stderr,
        },
    }


def grant_as_json(grant: StoredGrant) -> dict[str, Any]:
    """The grant as a JSON object."""
    return {
        "plugin": grant.plugin,
        "command": list(grant.command),
        "sha256": grant.sha256,
        "granted_at": grant.granted_at.isoformat(),
        "digest": grant.digest,
        "capabilities": as_json(grant.capabilities),
    }


def grant_from_json(value: object) -> StoredGrant:
    """The grant of a JSON object.

    Raises:
        ValueError: it is not exactly what ``grant_as_json`` writes, or its digest is not
            that of its capabilities.
    """
    names = {"plugin", "command", "sha256", "granted_at", "digest", "capabilities"}
    fields = _object(value, names, "a grant")
    sha256 = fields["sha256"]
    when = datetime.fromisoformat(_typed(fields["granted_at"], str, "granted_at"))
    grant = StoredGrant(
        plugin=_typed(fields["plugin"], str, "plugin"),
        capabilities=_capabilities(fields["capabilities"]),
        command=_list(fields["command"], "command", lambda item: _typed(item, str, "command")),
        sha256=None if sha256 is None else _typed(sha256, str, "sha256"),
        granted_at=when if when.tzinfo else when.replace(tzinfo=timezone.utc),
    )
    if fields["digest"] != grant.digest:
        raise ValueError(f"the digest of the grant of {grant.plugin!r} is not that of its content")
    return grant


def _capabilities(value: object) -> Capabilities:
    names = {"fs_read", "fs_write", "env_read", "net", "stdio"}
    fields = _object(value, names, "capabilities")
    stdio = _object(fields["stdio"], {"stdin", "stdout", "stderr"}, "stdio")
    return Capabilities(
        fs_read=_list(fields["fs_read"], "fs_read", _path),
        fs_write=_list(fields["fs_write"], "fs_write", _path),
        env_read=_list(fields["env_read"], "env_read", lambda item: _typed(item, str, "env_read")),
        net=_list(fields["net"], "net", _peer),
        stdio=StdioCapability(
            **{name: _typed(given, bool, f"stdio.{name}") for name, given in stdio.items()}
        ),
    )


def _path(value: object) -> PathPattern:
    fields = _object(value, {"pattern", "recursive"}, "a path")
    pattern = _typed(fields["pattern"], str, "pattern")
    return PathPattern(pattern, _typed(fields["recursive"], bool, "recursive"))


def _peer(value: object) -> NetPattern:
    fields = _object(value, {"host", "port", "protocol"}, "a peer")
    port = fields["port"]
    if port is not None and not 0 <= _typed(port, int, "port") <= 65_535:
        raise ValueError("port is out of range")
    protocol = NetProtocol(_typed(fields["protocol"], str, "protocol"))
    return NetPattern(_typed(fields["host"], str, "host"), port, protocol)


def _object(value: object, names: set[str], what: str) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) != names:
        raise ValueError(f"{what} must be an object with {', '.join(sorted(names))}")
    return value


def _list(value: object, what: str, item: Callable[[object], Value]) -> tuple[Value, ...]:
    return tuple(item(each) for each in _typed(value, list, what))


def _typed(value: object, kind: type[Value], what: str) -> Value:
    if type(value) is not kind:
        raise ValueError(f"{what} must be of type {kind.__name__}")
    return value
