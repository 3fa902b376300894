"""What is told of an effect when it is over."""

from __future__ import annotations

from sen_host.messages import Effect, EffectResult, HttpResponse
from sen_host.records import NamedTuple


class EffectReport(NamedTuple):
    """One effect, as it went.

    Attributes:
        plugin: the plugin's name; None if the driver was not told of it.
        path: where the plugin was loaded from, if that is known.
        effect: what the plugin asked for.
        result: what it was told; None if a handler raised or the run was cancelled.
        reason: why it was refused or failed, in words for the host's side, with what the
            plugin is not told; None if it went well.
        seconds: how long it took.
    """

    plugin: str | None
    path: str | None
    effect: Effect
    result: EffectResult | None
    reason: str | None
    seconds: float

    @property
    def status(self) -> int | None:
        """The HTTP status, if there was a response."""
        return self.result.status if isinstance(self.result, HttpResponse) else None

    @property
    def body_bytes(self) -> int | None:
        """Size of the body that the plugin got, as UTF-8, if there was a response."""
        return len(self.result.body.encode()) if isinstance(self.result, HttpResponse) else None
