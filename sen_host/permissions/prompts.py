"""Asking whether a plugin may do what it wants: the interface, and prompts without people."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum

from sen_host.messages.types import Capabilities
from sen_host.records import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class Choice(str, Enum):
    """What somebody answered."""

    ONCE = "once"
    """For this call."""
    SESSION = "session"
    """Until the ``Permissions`` object is gone."""
    ALWAYS = "always"
    """Until it is revoked."""
    DENY = "deny"

    def __str__(self) -> str:
        return self.value


class Unanswered(Exception):
    """Nobody answered: no terminal, the end of the input, or no time left.

    The text tells which; it completes "is not permitted: ...".
    """


class PromptRequest(NamedTuple):
    """What is asked.

    Attributes:
        application: who asks.
        plugin: the plugin's name, as the plugin chose it: not fit to be shown as it is.
        command_path: the words of the command after it; may be empty.
        requested: all that the plugin asks for.
        granted: what it was granted before, or None.
        new: what of it is not granted yet.
        changed: whether the plugin's file is another one than when it was granted.
        choices: the answers that are possible.
    """

    application: str
    plugin: str
    command_path: tuple[str, ...]
    requested: Capabilities
    granted: Capabilities | None
    new: Capabilities
    changed: bool = False
    choices: tuple[Choice, ...] = tuple(Choice)

    @property
    def escalation(self) -> bool:
        """Whether a plugin that has a grant asks for more."""
        return self.granted is not None and self.new != Capabilities()


class Prompt(ABC):
    """Asks whether a plugin may do what it wants. Never called from two threads at once."""

    @property
    def interactive(self) -> bool:
        """Whether somebody is there who can answer."""
        return True

    @abstractmethod
    def ask(self, request: PromptRequest) -> Choice:
        """One of ``request.choices``; another one counts as a denial.

        Raises:
            Unanswered: nobody answered, which is a denial.
        """


class AutomaticPrompt(Prompt):
    """Gives the same answer every time.

    Args:
        choice: the answer; if it is not possible, the next weaker one that is.
    """

    def __init__(self, choice: Choice) -> None:
        self.choice = Choice(choice)

    @property
    def interactive(self) -> bool:
        return False

    def ask(self, request: PromptRequest) -> Choice:
        return _possible(self.choice, request)


class RecordingPrompt(Prompt):
    """Gives prepared answers and remembers what was asked. For tests.

    Args:
        answers: in order; when they are used up, every further question is denied.

    Attributes:
        requests: what was asked so far.
    """

    def __init__(self, *answers: Choice | str) -> None:
        self._answers = [Choice(answer) for answer in answers]
        self.requests: list[PromptRequest] = []

    def ask(self, request: PromptRequest) -> Choice:
        self.requests.append(request)
        return _possible(self._answers.pop(0), request) if self._answers else Choice.DENY


def _possible(choice: Choice, request: PromptRequest) -> Choice:
    weaker: Iterable[Choice] = (Choice.ALWAYS, Choice.SESSION, Choice.ONCE)
    if choice is Choice.DENY:
        return choice
    weaker = tuple(weaker)[tuple(weaker).index(choice) :]
    return next((each for each in weaker if each in request.choices), Choice.DENY)
