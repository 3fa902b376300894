"""A line on stderr that tells how far a command is, on a terminal, if it takes a while."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from sen_host.comparison import Progress

QUIET_SECONDS = 1.0
"""What is done by then has shown nothing."""

_REDRAW_SECONDS = 0.1
_CLEAR = "\r\x1b[K"


@contextmanager
def progress() -> Iterator[Progress]:
    """What a long operation calls; the line is gone when it is over."""
    shows = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    due = monotonic() + QUIET_SECONDS
    drawn = False

    def tell(what: str, done: int, of: int) -> None:
        nonlocal due, drawn
        now = monotonic()
        if not shows or now < due:
            return
        due = now + _REDRAW_SECONDS
        drawn = True
        percent = 100 * done // of if of else 0
        click.echo(f"{_CLEAR}{percent:3} %  {what}", nl=False, err=True)

    try:
        yield tell
    finally:
        if drawn:
            click.echo(_CLEAR, nl=False, err=True)
