"""Strategies: whether to allow, to deny, or to ask the user."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum

from sen_host.messages.types import Capabilities
from sen_host.permissions.capabilities import is_empty
from sen_host.records import NamedTuple, record

NON_INTERACTIVE = "there is nobody to ask, so it must be granted beforehand"


class Granularity(Enum):
    """What a grant is for."""

    PLUGIN = "plugin"
    """All that a plugin does."""
    COMMAND = "command"
    """One command of a plugin."""
    EXECUTION = "execution"
    """One call. Nothing is stored, every call is asked for."""


class Question(NamedTuple):
    """What a strategy decides on.

    Attributes:
        plugin: the plugin's name.
        command_path: the words of the command after it; may be empty.
        requested: what the plugin asks for.
        granted: what it was granted before, or None. A grant for another file of that
            name is not counted if grants are tied to files.
        missing: what is requested and not granted.
        changed: whether a grant was passed over because the file is another one.
        interactive: whether somebody can be asked.
    """

    plugin: str
    command_path: tuple[str, ...]
    requested: Capabilities
    granted: Capabilities | None
    missing: Capabilities
    changed: bool
    interactive: bool

    @property
    def escalation(self) -> bool:
        """Whether a plugin that has a grant asks for more."""
        return self.granted is not None and not is_empty(self.missing)


class Decision:
    """What a strategy says: Allow, Deny or Ask."""

    __slots__ = ()


@record(frozen=True, slots=True)
class Allow(Decision):
    """It may run, with these capabilities; None: with all that it requests."""

    capabilities: Capabilities | None = None


@record(frozen=True, slots=True)
class Deny(Decision):
    """It may not run; the reason completes "is not permitted: ...", without a full stop."""

    reason: str


@record(frozen=True, slots=True)
class Ask(Decision):
    """The user has to decide."""


class Strategy(ABC):
    """Decides what plugins may do. One object may serve many threads.

    Attributes:
        granularity: what a grant is for.
        inherit: whether a grant for a command is one for its subcommands too.
    """

    granularity: Granularity = Granularity.PLUGIN
    inherit: bool = False

    @abstractmethod
    def decide(self, question: Question) -> Decision:
        """Allow, deny, or have the user asked. Plugins that request nothing never come here."""


class DefaultStrategy(Strategy):
    """Allows what is granted, asks for the rest."""

    def decide(self, question: Question) -> Decision:
        return Allow() if _covered(question) else Ask()


class StrictStrategy(Strategy):
    """As the default, for each command by itself; says no where nobody can be asked."""

    granularity = Granularity.COMMAND

    def decide(self, question: Question) -> Decision:
        if _covered(question):
            return Allow()
        return Ask() if question.interactive else Deny(NON_INTERACTIVE)


class PermissiveStrategy(Strategy):
    """Allows all but connections; asks for those that are not granted.

    For plugins that are trusted with this machine, but not to talk to others.
    """

    inherit = True

    def decide(self, question: Question) -> Decision:
        return Ask() if question.missing.net else Allow()


class CiStrategy(Strategy):
    """Allows what is granted, denies the rest, never asks."""

    def decide(self, question: Question) -> Decision:
        if _covered(question):
            return Allow()
        if question.changed:
            return Deny("its file is not the one that was granted this, and nobody is asked here")
        if question.escalation:
            return Deny("it asks for more than it was granted, and nobody is asked here")
        return Deny("it must be granted beforehand, nobody is asked here")


class TrustAllStrategy(Strategy):
    """Allows everything that any plugin asks for. For development only."""

    inherit = True

    def decide(self, question: Question) -> Decision:  # noqa: ARG002 - it does not matter
        return Allow()


def _covered(question: Question) -> bool:
    return question.granted is not None and is_empty(question.missing)
