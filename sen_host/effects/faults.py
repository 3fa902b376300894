"""How an effect fails: what the plugin is told, and what only the host's side is told."""

from __future__ import annotations


class EffectRefused(Exception):
    """The effect is not done, or was given up.

    Attributes:
        message: what the plugin is told. It names only what the plugin named itself and
            the limits; no address, no path and no text of the system or of a library.
        reason: what the log, the audit and the observer are told beside it.
    """

    def __init__(self, message: str, reason: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or message


class StepFailed(Exception):
    """A step of an effect failed; ``reason`` is for the host's side alone."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Unresolved(StepFailed):
    """The name has no address."""


class Unreachable(StepFailed):
    """No connection: refused, no route, or no agreement on TLS."""


class TimedOut(StepFailed):
    """The step took longer than it may."""


class Broken(StepFailed):
    """The connection broke, or the server does not speak HTTP."""
