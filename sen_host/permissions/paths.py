"""Path patterns: which patterns a pattern covers.

A pattern is the path of a file or directory. It begins at the root (``/srv``), in the
user's home (``~/notes``), or in the working directory of each run (``data``, ``./data``);
these three are never compared with each other. Names are compared byte for byte, also on
file systems where upper and lower case are the same. There are no wildcards: ``*`` is a
character of a name.

Without ``recursive``, a pattern means a file, or a directory and the files in it, but
nothing deeper. So it covers no other path, not even one just below: that could be a
directory.

Where ``..`` leads depends on symbolic links, so a pattern that contains it is covered by
an equal one only. What ``covers`` says is about the names alone; whether a link leads out
of what is covered, ``stays_within`` finds out. Nothing here opens a file: whoever does,
goes from directory to directory, so that no link made meanwhile leads it astray.
"""

from __future__ import annotations

import os

from sen_host.messages.types import PathPattern
from sen_host.records import NamedTuple


class _Place(NamedTuple):
    """Where a pattern begins (``/``, ``~`` or the working directory, ``.``), and its names."""

    start: str
    names: tuple[str, ...]


def covers(granted: PathPattern, asked: PathPattern) -> bool:
    """Whether all that ``asked`` means is meant by ``granted`` too.

    A pattern without a place (empty, with ``..`` or NUL) is covered only by one that is
    written the same.
    """
    if asked.recursive and not granted.recursive:
        return False
    if granted.pattern == asked.pattern:
        return True
    above, below = _place(granted.pattern), _place(asked.pattern)
    if above is None or below is None or above.start != below.start:
        return False
    if not granted.recursive:
        return above.names == below.names
    return below.names[: len(above.names)] == above.names


def stays_within(granted: PathPattern, asked: PathPattern, directory: str) -> bool:
    """Whether a covered path is, at present, no way out of the pattern by symbolic links.

    A link in the granted path itself is followed: it is what the user granted.

    Args:
        granted: a pattern that covers ``asked``.
        asked: what is asked for.
        directory: the working directory, absolute.
    """
    above, below = _place(granted.pattern), _place(asked.pattern)
    if above is None or below is None:
        return granted.pattern == asked.pattern
    if len(above.names) == len(below.names):
        return True
    real = os.path.realpath(_path(above, directory))
    expected = os.path.join(real, *below.names[len(above.names) :])
    return os.path.realpath(expected) == expected or _is_within(real, os.path.realpath(expected))


def problem(pattern: str) -> str | None:
    """Why a pattern means nothing, or None if it names a place."""
    if not pattern:
        return "it is empty"
    if "\0" in pattern:
        return "it contains NUL"
    return None


def _place(pattern: str) -> _Place | None:
    if problem(pattern) is not None:
        return None
    names = tuple(name for name in pattern.split("/") if name not in ("", "."))
    if ".." in names:
        return None
    if pattern.startswith("/"):
        return _Place("/", names)
    if pattern == "~" or pattern.startswith("~/"):
        return _Place("~", names[1:])
    return _Place(".", names)


def _path(place: _Place, directory: str) -> str:
    start = {"/": "/", "~": os.path.expanduser("~"), ".": directory}[place.start]
    return os.path.join(start, *place.names)


def _is_within(directory: str, path: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")
