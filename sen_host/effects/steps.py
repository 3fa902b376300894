"""What the core of an effect asks for: small steps, done by the sync or the async side."""

from __future__ import annotations

from collections.abc import Generator

from sen_host.records import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sen_host.effects.url import Url
    from sen_host.messages import EffectResult


class Resolve(NamedTuple):
    """Look up a name. Outcome: its addresses as texts, in the order to try them."""

    host: str
    port: int
    seconds: float


class Send(NamedTuple):
    """Connect to one of the addresses and to nothing else, send, and read the head.

    Outcome: a Head.

    Attributes:
        url: where it goes; its host is for TLS alone.
        addresses: where to connect, in the order to try them.
        method: GET or POST.
        headers: all of them, as they are sent.
        body: of a POST.
        connect_seconds: time for the connection, TLS among it.
        read_seconds: longest silence of the server, also of later Reads.
        seconds: time for the whole step.
    """

    url: Url
    addresses: tuple[str, ...]
    method: str
    headers: list[tuple[bytes, bytes]]
    body: bytes | None
    connect_seconds: float
    read_seconds: float
    seconds: float


class Head(NamedTuple):
    """A response without its body."""

    status: int
    headers: list[tuple[bytes, bytes]]


class Read(NamedTuple):
    """Read on. Outcome: the next bytes of the body, or none at its end."""

    seconds: float


class HangUp:
    """Close the connection. Outcome: None."""

    __slots__ = ()


class Pause(NamedTuple):
    """Sleep. Outcome: None."""

    seconds: float


Step = Resolve | Send | Read | HangUp | Pause
Steps = Generator[Step, "Any", "EffectResult"]
"""An effect being done: yields steps, is sent their outcomes, or is thrown a StepFailed."""
