"""Names of commands: which are allowed, and from a name to a plugin and its subcommand."""

from __future__ import annotations

from sen_host.errors import InvalidCommandName

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sen_host.messages import CommandSpec

MAX_LENGTH = 100
"""The most characters that a name may have."""

SEPARATOR = ":"
"""Stands between a prefix, a command and its subcommands."""


def check_spec(spec: CommandSpec) -> None:
    """Check the names of a command and of all commands below it.

    Raises:
        InvalidCommandName
    """
    pending = [spec]
    while pending:
        command = pending.pop()
        check_name(command.name)
        pending += command.subcommands


def check_name(name: str) -> None:
    """Check a name, which may have several parts, e.g. ``db:create``.

    Raises:
        InvalidCommandName
    """
    reason = _fault(name)
    if reason is not None:
        raise InvalidCommandName(name, reason)


def _fault(name: str) -> str | None:
    if not name:
        return "it is empty"
    if len(name) > MAX_LENGTH:
        return f"it has {len(name):,} characters, {MAX_LENGTH} are the most"
    # All that moves a cursor, hides or reorders text is not printable.
    if not name.isprintable():
        return "it has characters that cannot be printed"
    if " " in name:
        return "it has a space"
    if "/" in name or "\\" in name:
        return "it has a slash"
    for part in name.split(SEPARATOR):
        if not part:
            return "a part of it is empty"
        if part.startswith("-"):
            return "it begins with a dash, as options do"
        if part in (".", ".."):
            return "it is the name of a directory"
    return None


def words_of(name: str) -> list[str]:
    """``db:create`` and ``db create`` in their words."""
    return name.replace(SEPARATOR, " ").split()


def below(spec: CommandSpec, words: Sequence[str]) -> list[str]:
    """How far the words name commands below ``spec``, one level after the other."""
    found = []
    for word in words:
        for command in spec.subcommands:
            if command.name == word:
                break
        else:
            break
        found.append(word)
        spec = command
    return found
