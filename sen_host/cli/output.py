"""What reaches the terminal: plugin text made harmless, colours, JSON, tables."""

from __future__ import annotations

import os
import re
import sys
from typing import IO, TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import RenderableType

# Control characters move the cursor and write into the terminal's settings;
# the bidirectional controls reorder what a person reads.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")

# Wide enough that nothing wraps where no terminal sets the width.
_UNBOUND_WIDTH = 10_000


def printable(text: str) -> str:
    """The text with its control characters written out, e.g. ``\\x1b``.

    Line feeds and tabs stay.
    """
    return _UNSAFE.sub(_written_out, text)


def one_line(text: str) -> str:
    """``printable``, with line feeds and tabs written out as well."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def size(count: int) -> str:
    """A number of bytes for people, exactly: ``256 MiB``, ``1,088 KiB``, ``86,596 bytes``."""
    for exponent, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        whole, rest = divmod(count, 1 << exponent)
        if whole and not rest:
            return f"{whole:,} {unit}"
    return f"{count:,} byte{'' if count == 1 else 's'}"


def setting(kind: str, value: Any) -> str:
    """The value of a setting of that kind (see ``sen_host.config.Setting``), for people."""
    if value is None:
        return "none"
    if kind == "names":
        return ", ".join(sorted(value)) or "none"
    if kind == "bytes":
        return size(value)
    if kind == "count":
        return f"{value:,}"
    if kind == "switch":
        return "true" if value else "false"
    if kind == "seconds":
        return f"{int(value) if float(value).is_integer() else value:,} s"
    return one_line(str(value))


def write_text(text: str, *, err: bool = False, raw: bool = False) -> None:
    """Write a plugin's text, with a line feed at its end unless it is empty.

    A terminal gets it ``printable`` (unless ``raw``), anything else as it is.
    """
    stream = sys.stderr if err else sys.stdout
    if not raw and stream.isatty():
        text = printable(text)
    if text and not text.endswith("\n"):
        text += "\n"
    stream.flush()
    # The plugin speaks UTF-8, whatever the locale of the terminal says.
    click.echo(text.encode("utf-8", "backslashreplace"), nl=False, err=err)


def write_json(value: Any) -> None:
    """Write one JSON value: on one line, or indented on a terminal."""
    import json

    indent = 2 if sys.stdout.isatty() else None
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    text = _UNSAFE.sub(lambda match: f"\\u{ord(match.group()):04x}", text)
    click.echo(text.encode("utf-8", "backslashreplace"))


def note(text: str) -> None:
    """Tell the user something on stderr."""
    _labelled("note", text, "cyan")


def complain(message: str, hint: str | None) -> None:
    """Tell the user what went wrong, and the remedy."""
    _labelled("error", message, "red")
    if hint:
        _labelled("hint", hint, "cyan")


def write_report(*parts: RenderableType) -> None:
    """Write a report for people: wrapped and coloured on a terminal, plain elsewhere."""
    from shutil import get_terminal_size

    from rich.console import Console

    terminal = sys.stdout.isatty()
    columns, height = get_terminal_size()
    bound = terminal or "COLUMNS" in os.environ
    console = Console(
        file=sys.stdout,
        width=columns if bound else _UNBOUND_WIDTH,
        height=height,  # without it, rich takes a dumb terminal for 80 columns wide
        markup=False,
        highlight=False,
        emoji=False,
    )
    with console.capture() as capture:
        for part in parts:
            console.print(part)
    text = "\n".join(line.rstrip() for line in capture.get().split("\n"))
    if not terminal:
        text = click.unstyle(text)
    click.echo(text.encode(sys.stdout.encoding, "backslashreplace"), nl=False)


def _labelled(label: str, text: str, colour: str) -> None:
    styled = click.style(f"{label}:", fg=colour, bold=True)
    click.echo(f"{styled} {printable(text)}", err=True, color=_colour(sys.stderr))


def _colour(stream: IO[str]) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _written_out(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
