"""Asking at a terminal: what is shown, what is an answer, and that nobody waits for ever."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sen_host.errors import ConfigError
from sen_host.permissions import TerminalPrompt

CHILD = """
import fcntl, os, sys, termios
if "terminal" in sys.argv[3:]:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
if "background" in sys.argv[3:]:
    # A group of its own, which is not the terminal's.
    if os.fork():
        os._exit(os.waitstatus_to_exitcode(os.wait()[1]))
    os.setpgid(0, 0)
from sen_host.errors import PermissionDenied
from sen_host.messages import Capabilities, NetPattern, PathPattern
from sen_host.permissions import (
    FilePermissionStore, Permissions, ReadOnlyPermissionStore, StoredGrant, TerminalPrompt
)
read = Capabilities(fs_read=(PathPattern("./data", True),), env_read=("HOME",))
more = Capabilities(read.fs_read, (), read.env_read, (NetPattern("*.example.com"),))
evil = Capabilities(env_read=("\\x1b[2JEVIL\\u202e",))
store = FilePermissionStore("desk", sys.argv[1])
timeout = float(sys.argv[2])
desk = Permissions(
    "desk",
    store=ReadOnlyPermissionStore(store) if "read-only" in sys.argv else store,
    prompt=TerminalPrompt(timeout_seconds=timeout),
    tie_to_hash="tied" in sys.argv,
)
if "granted" in sys.argv:
    store.put(StoredGrant("notes", read))
if "tied" in sys.argv:
    store.put(StoredGrant("notes", read, (), "b" * 64))
asked = more if "granted" in sys.argv else evil if "evil" in sys.argv else read
try:
    desk.check("no\\x1btes" if "evil" in sys.argv else "notes", asked, sha256="a" * 64)
except PermissionDenied as error:
    print("denied:", error.reason)
else:
    print("granted")
print("stored:", len(store.grants()))
"""


class Session:
    """A process that asks at a terminal of its own."""

    def __init__(self, tmp_path: Path, *words: str, timeout: float = 60) -> None:
        self._terminal, end = pty.openpty()
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                CHILD,
                str(tmp_path / "g.json"),
                str(timeout),
                "terminal",
                *words,
            ],
            stdin=end,
            stdout=subprocess.PIPE,
            stderr=end,
            text=True,
            env={**os.environ, "TERM": "dumb", "PYTHONPATH": os.pathsep.join(sys.path)},
            start_new_session=True,
        )
        os.close(end)
        self._read = b""

    def until(self, text: str, times: int = 1) -> str:
        """What is on the terminal once the text was there so many times."""
        while self._read.count(text.encode()) < times:
            self._read += os.read(self._terminal, 4096)
        return self.shown

    @property
    def shown(self) -> str:
        return self._read.decode().replace("\r\n", "\n")

    def type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def stop(self, number: int) -> int:
        self._process.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        self._process.communicate(timeout=60)
        os.close(self._terminal)
        return self._process.returncode

    def output(self) -> list[str]:
        said, _ = self._process.communicate(timeout=60)
        while True:
            try:
                part = os.read(self._terminal, 4096)
            except OSError:  # Linux answers with an error when the other end is closed
                break
            if not part:
                break
            self._read += part
        os.close(self._terminal)
        lines: list[str] = said.splitlines()
        return lines


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("o\n", ["granted", "stored: 0"]),
        ("YES \n", ["granted", "stored: 0"]),
        ("session\n", ["granted", "stored: 0"]),
        ("always\n", ["granted", "stored: 1"]),
        ("a\n", ["granted", "stored: 1"]),
        ("d\n", ["denied: the answer was no", "stored: 0"]),
        ("no\n", ["denied: the answer was no", "stored: 0"]),
        ("\n", ["denied: the answer was no", "stored: 0"]),
        ("\x04", ["denied: the input ended without an answer", "stored: 0"]),
    ],
)
def test_answers(tmp_path: Path, typed: str, expected: list[str]) -> None:
    session = Session(tmp_path)
    session.until("deny): ")
    session.type(typed)
    assert session.output() == expected


def test_what_is_asked_is_shown(tmp_path: Path) -> None:
    session = Session(tmp_path)
    assert session.until("deny): ") == (
        "\ndesk: the plugin notes asks to:\n"
        "  - read ./data and everything below it\n"
        "  - read the environment variable HOME\n"
        "Allow? [o]nce, [s]ession, [a]lways, [d]eny (default: deny): "
    )
    session.type("d\n")
    session.output()


def test_what_is_new_is_shown(tmp_path: Path) -> None:
    session = Session(tmp_path, "granted")
    shown = session.until("deny): ")
    assert shown.startswith(
        "\nThe plugin notes asks for more than it was granted:\n"
        "  new: connect to all hosts below example.com, any port, by HTTPS\n"
        "  as before: read ./data and everything below it\n"
        "  as before: read the environment variable HOME\n"
    )
    session.type("d\n")
    session.output()


def test_a_changed_file_is_shown(tmp_path: Path) -> None:
    session = Session(tmp_path, "tied")
    shown = session.until("deny): ")
    assert shown.startswith(
        "\nThe plugin notes is not the file that was granted this:\n"
        "  as before: read ./data and everything below it\n"
    )
    session.type("d\n")
    session.output()


def test_hostile_text_is_written_out(tmp_path: Path) -> None:
    session = Session(tmp_path, "evil")
    shown = session.until("deny): ")
    assert "no\\x1btes" in shown
    assert "\\x1b[2JEVIL\\u202e" in shown
    assert re.search("[\x1b\u202e]", shown) is None
    session.type("d\n")
    session.output()


def test_read_only_grants_offer_no_always(tmp_path: Path) -> None:
    session = Session(tmp_path, "read-only")
    assert "[o]nce, [s]ession, [d]eny" in session.until("deny): ")
    session.type("always\n")
    session.until("deny): ", times=2)
    session.type("once\n")
    assert session.output() == ["granted", "stored: 0"]


def test_three_answers_that_are_none(tmp_path: Path) -> None:
    session = Session(tmp_path)
    for times in (1, 2, 3):
        session.until("deny): ", times)
        session.type("perhaps\n")
    assert session.output() == ["denied: no answer was one of those possible", "stored: 0"]


def test_what_was_typed_before_is_no_answer(tmp_path: Path) -> None:
    session = Session(tmp_path, timeout=0.5)
    session.type("always\n")
    assert session.output() == ["denied: nobody answered within 0.5 s", "stored: 0"]


def test_nobody_answers(tmp_path: Path) -> None:
    session = Session(tmp_path, timeout=0.2)
    session.until("deny): ")
    assert session.output() == ["denied: nobody answered within 0.2 s", "stored: 0"]


def test_ctrl_c_ends_the_question(tmp_path: Path) -> None:
    session = Session(tmp_path)
    session.until("deny): ")
    assert session.stop(signal.SIGINT) == -signal.SIGINT


def test_in_the_background_nobody_is_asked(tmp_path: Path) -> None:
    session = Session(tmp_path, "background")
    assert session.output() == ["denied: there is no terminal to ask at", "stored: 0"]


@pytest.mark.parametrize("stdin", [subprocess.DEVNULL, subprocess.PIPE, None])
def test_without_a_terminal_nobody_is_asked(tmp_path: Path, stdin: int | None) -> None:
    # With None, stdin is closed altogether.
    code = CHILD if stdin is not None else f"import sys; sys.stdin = None\n{CHILD}"
    done = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "g.json"), "60"],
        stdin=subprocess.DEVNULL if stdin is None else stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        assert done.stdout is not None
        assert done.stdout.read().splitlines() == [
            "denied: there is no terminal to ask at",
            "stored: 0",
        ]
    finally:
        done.communicate(timeout=60)


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_a_time_that_makes_no_sense(seconds: float) -> None:
    with pytest.raises(ConfigError, match="above 0"):
        TerminalPrompt(timeout_seconds=seconds)
