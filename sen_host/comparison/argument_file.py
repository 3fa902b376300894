"""Files with sets of arguments.

Each line is a JSON array of strings, so it can hold any argument. Blank lines
and lines that begin with ``#`` are passed over::

    # greet
    []
    ["Alice", "Hi"]
    ["two\\nlines"]
"""

from __future__ import annotations

import json
import os

from sen_host.errors import ConfigError

_HINT = 'each line is a JSON array of strings, e.g. ["Alice", "Hi"]; [] is a call without arguments'


def read_argument_file(path: str | os.PathLike[str]) -> tuple[tuple[str, ...], ...]:
    """The sets of arguments in a file, at least one.

    Raises:
        ConfigError: it cannot be read or is not such a file; ``source`` has the
            file and the line.
    """
    name = os.fspath(path)
    try:
        with open(name, encoding="utf-8-sig", newline="\n") as file:
            lines = file.read().split("\n")
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", source=name) from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"is not UTF-8 text, from byte {error.start} on", source=name, hint=_HINT
        ) from error
    found = tuple(
        _arguments(line, f"{name}:{number}")
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.lstrip().startswith("#")
    )
    if not found:
        raise ConfigError("holds no set of arguments", source=name, hint=_HINT)
    return found


def _arguments(line: str, source: str) -> tuple[str, ...]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"is not JSON: {error}", source=source, hint=_HINT) from error
    if not isinstance(value, list):
        raise ConfigError("is not an array", source=source, hint=_HINT)
    for position, item in enumerate(value, 1):
        if not isinstance(item, str):
            raise ConfigError(f"argument {position} is not a string", source=source, hint=_HINT)
        if any("\ud800" <= letter <= "\udfff" for letter in item):
            raise ConfigError(
                f"argument {position} has half of a surrogate pair, which UTF-8 cannot hold",
                source=source,
            )
    return tuple(value)
