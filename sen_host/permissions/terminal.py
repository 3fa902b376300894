"""Asking at the terminal. Needs rich.

The question goes to stderr, so that the output of a plugin can be piped; the answer is
read from stdin. Both have to be the terminal that this process is in the foreground of:
otherwise nobody is asked, and nobody waits.
"""

from __future__ import annotations

import os
import sys
from threading import Lock

from sen_host.messages.types import Capabilities
from sen_host.permissions.capabilities import missing
from sen_host.permissions.describe import describe
from sen_host.permissions.prompts import Choice, Prompt, PromptRequest, Unanswered
from sen_host.permissions.words import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.text import Text

_ATTEMPTS = 3
_MOST_BYTES = 1_000

_WORDS = {
    Choice.ONCE: ("o", "y", "yes"),
    Choice.SESSION: ("s",),
    Choice.ALWAYS: ("a",),
    Choice.DENY: ("d", "n", "no", ""),
}

_asking = Lock()
"""There is one terminal: two prompts of one process take turns."""


class TerminalPrompt(Prompt):
    """Shows exactly what is asked and what of it is new, and reads the answer.

    Args:
        timeout_seconds: how long to wait for an answer, above 0; None: without end.
    """

    def __init__(self, *, timeout_seconds: float | None = 120.0) -> None:
        if timeout_seconds is not None and not timeout_seconds > 0:
            from sen_host.errors import ConfigError

            raise ConfigError("timeout_seconds must be above 0, or None", key="timeout_seconds")
        self._timeout_seconds = timeout_seconds

    @property
    def interactive(self) -> bool:
        return _terminal() is not None

    def ask(self, request: PromptRequest) -> Choice:
        wait = -1 if self._timeout_seconds is None else self._timeout_seconds
        if not _asking.acquire(timeout=wait):
            raise Unanswered("another question was open all the time")
        try:
            return self._ask(request)
        finally:
            _asking.release()

    def _ask(self, request: PromptRequest) -> Choice:
        terminal = _terminal()
        if terminal is None:
            raise Unanswered("there is no terminal to ask at")
        _write(_lines(request))
        for _ in range(_ATTEMPTS):
            _write(_question(request))
            # What was typed before the question was seen is no answer to it.
            _forget_typed(terminal)
            word = self._read_line(terminal)
            for choice in request.choices:
                if word in (choice.value, *_WORDS[choice]):
                    return choice
        raise Unanswered("no answer was one of those possible")

    def _read_line(self, terminal: int) -> str:
        from select import select
        from time import monotonic

        until = None if self._timeout_seconds is None else monotonic() + self._timeout_seconds
        line = b""
        while not line.endswith(b"\n") and len(line) < _MOST_BYTES:
            left = None if until is None else max(0.0, until - monotonic())
            if not select([terminal], [], [], left)[0]:
                print(file=sys.stderr)
                raise Unanswered(f"nobody answered within {self._timeout_seconds:g} s")
            try:
                part = os.read(terminal, _MOST_BYTES)
            except OSError as error:
                raise Unanswered(f"the terminal is gone: {error.strerror}") from error
            if not part:
                print(file=sys.stderr)
                raise Unanswered("the input ended without an answer")
            line += part
        return line.decode("utf-8", "replace").strip().lower()


def _terminal() -> int | None:
    """The descriptor to read from; None if nobody can be asked."""
    try:
        descriptor = sys.stdin.fileno()
        if not os.isatty(descriptor) or not sys.stderr.isatty():
            return None
        # Reading in the background would stop the process.
        in_front = os.tcgetpgrp(descriptor) == os.getpgrp()
    except (AttributeError, OSError, ValueError):  # it is None, closed, or no file
        return None
    return descriptor if in_front else None


def _forget_typed(terminal: int) -> None:
    import termios

    try:
        termios.tcflush(terminal, termios.TCIFLUSH)
    except termios.error as error:
        raise Unanswered("the terminal is gone") from error


def _lines(request: PromptRequest) -> Iterator[Text]:
    from rich.text import Text

    name = " ".join(map(shown, (request.plugin, *request.command_path)))
    head = Text.assemble("\nThe plugin ", (name, "bold"))
    if request.escalation:
        head.append(" asks for more than it was granted.", "bold yellow")
    elif request.changed:
        head.append(" has changed since it was granted this.", "bold yellow")
    else:
        head.append(f" asks {shown(request.application)} for permission to")
    yield head
    fresh = set(describe(request.new))
    if request.escalation or (request.changed and request.granted is not None):
        yield Text("  new:" if fresh else "  nothing new; it asks to:", "yellow")
    for line in sorted(describe(request.requested), key=lambda line: line not in fresh):
        known = request.granted is not None and line not in fresh
        yield Text.assemble("  - ", (line, "dim" if known else ""), " (granted)" if known else "")
    dropped = _dropped(request)
    if dropped:
        yield Text(f"  It no longer asks to: {'; '.join(dropped)}", "dim")


def _dropped(request: PromptRequest) -> tuple[str, ...]:
    if request.granted is None:
        return ()
    return describe(missing(request.granted, request.requested)) if request.granted else ()


def _question(request: PromptRequest) -> Iterator[Text]:
    from rich.text import Text

    answers = ", ".join(f"[{choice.value[0]}]{choice.value[1:]}" for choice in request.choices)
    yield Text(f"Allow? {answers} (default: deny): ")


def _write(lines: Iterator[Text]) -> None:
    from rich.console import Console

    console = Console(file=sys.stderr, markup=False, highlight=False, emoji=False, soft_wrap=True)
    for number, line in enumerate(lines):
        console.print(line, end="" if line.plain.endswith("): ") and not number else "\n")
    sys.stderr.flush()
