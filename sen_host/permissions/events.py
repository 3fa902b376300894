"""What permissions report to the audit."""

from __future__ import annotations

from datetime import datetime

from sen_host.records import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, Protocol

    Kind = Literal["requested", "granted", "denied", "escalated"]

    class Sink(Protocol):
        """What events are given to."""

        def record(self, event: PermissionEvent, /) -> None:
            """Take one event; called from any thread."""


@record(frozen=True, slots=True)
class PermissionEvent:
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

    kind: Kind
    time: datetime
    application: str
    plugin: str
    sha256: str
    command_path: tuple[str, ...]
    capabilities: tuple[str, ...]
    reason: str
