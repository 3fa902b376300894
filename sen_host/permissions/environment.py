"""Patterns for environment variables: a name, or the beginning of names and ``*``.

A ``*`` alone would hand over every secret of the process: it admits nothing, and neither
does a pattern with a ``*`` elsewhere. Upper and lower case are different.
"""

from __future__ import annotations


def admits(pattern: str, name: str) -> bool:
    """Whether the pattern allows to read the variable of that name."""
    if not valid(pattern) or not name or "=" in name or "\0" in name:
        return False
    if pattern.endswith("*"):
        return name.startswith(pattern[:-1])
    return name == pattern


def covers(granted: str, asked: str) -> bool:
    """Whether all names that ``asked`` admits are admitted by ``granted``.

    A pattern that is not valid is covered by an equal one only.
    """
    if granted == asked:
        return True
    if not valid(granted) or not valid(asked) or not granted.endswith("*"):
        return False
    return asked.startswith(granted[:-1])


def valid(pattern: str) -> bool:
    """Whether it is a pattern that admits anything."""
    beginning = pattern.removesuffix("*")
    return bool(beginning) and not any(character in beginning for character in "*=\0")
