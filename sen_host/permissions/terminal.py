"""Asking at the terminal. Needs rich.

The question goes to stderr, so that the output of a plugin can be piped; the answer is
read from stdin. Both have to be the terminal that this process is in the foreground of:
otherwise nobody is asked, and nobody waits.
"""

from __future__ import annotations

import os
import sys
from threading import Lock

from sen_host.forks import reset_after_fork
from sen_host.permissions.description import describe
from sen_host.permissions.prompts import Choice, Prompt, PromptRequest, Unanswered
from sen_host.permissions.words import shown

_ATTEMPTS = 3
_MOST_BYTES = 1_000

_WORDS = {
    Choice.ONCE: ("o", "y", "yes"),
    Choice.SESSION: ("s",),
    Choice.ALWAYS: ("a",),
    Choice.DENY: ("d", "n", "no", ""),
}


class _Turn:
    """There is one terminal: two questions of one process take turns."""

    def __init__(self) -> None:
        self.lock = Lock()
        reset_after_fork(self)

    def after_fork(self) -> None:
        self.lock = Lock()


_turn = _Turn()


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
        lock = _turn.lock
        if not lock.acquire(timeout=wait):
            raise Unanswered("another question was open all the time")
        try:
            return self._ask(request)
        finally:
            lock.release()

    def _ask(self, request: PromptRequest) -> Choice:
        terminal = _terminal()
        if terminal is None:
            raise Unanswered("there is no terminal to ask at")
        _show(request)
        for _ in range(_ATTEMPTS):
            # What was typed before the question was seen is no answer to it.
            _forget_typed(terminal)
            print(_question(request), end="", file=sys.stderr, flush=True)
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


def _show(request: PromptRequest) -> None:
    from rich.console import Console
    from rich.text import Text

    name = Text(" ".join(map(shown, (request.plugin, *request.command_path))), "bold")
    console = Console(file=sys.stderr, markup=False, highlight=False, emoji=False, soft_wrap=True)
    console.print()
    if request.escalation:
        and_changed = ", and is another file" if request.changed else ""
        console.print("The plugin", name, f"asks for more than it was granted{and_changed}:")
    elif request.changed:
        console.print("The plugin", name, "is not the file that was granted this:")
    else:
        console.print(f"{shown(request.application)}: the plugin", name, "asks to:")
    new = describe(request.new)
    for line in new:
        mark = "  new: " if request.granted is not None else "  - "
        console.print(Text.assemble((mark, "bold yellow"), line))
    for line in describe(request.requested):
        if line not in new:
            console.print(Text(f"  as before: {line}", "dim"))


def _question(request: PromptRequest) -> str:
    answers = ", ".join(f"[{choice.value[0]}]{choice.value[1:]}" for choice in request.choices)
    return f"Allow? {answers} (default: deny): "
