"""What a terminal gets: no control characters of a plugin, colours, its own width."""

from __future__ import annotations

import os
import pty
import re
import struct
import subprocess
import termios
from fcntl import ioctl
from pathlib import Path

import pytest

from sen_host.messages import Error, Success, encode
from tests.test_cli.conftest import GREET, command_line, environment, process
from tests.wat import Wat

EVIL = "a\x1b[2Jb\rc\x9bd\u202ee\tf\ng"
HARMLESS = "a\\x1b[2Jb\\x0dc\\x9bd\\u202ee\tf\ng\n"


def on_a_terminal(*arguments: str | Path, columns: int = 80, **variables: str) -> str:
    """Everything that a command writes to a terminal, with plain line feeds."""
    terminal, end = pty.openpty()
    ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = environment(**{"TERM": "xterm", **variables})
    child = subprocess.Popen(command_line(*arguments), env=env, stdin=end, stdout=end, stderr=end)
    os.close(end)
    output = b""
    while True:
        try:
            part = os.read(terminal, 4096)
        except OSError:  # Linux answers with an error when the other end is closed
            part = b""
        if not part:
            break
        output += part
    os.close(terminal)
    child.wait(timeout=30)
    return output.decode().replace("\r\n", "\n")


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    path = tmp_path / "plugin.wasm"
    path.write_bytes(Wat(answer_bytes=encode(Success(EVIL))).wasm())
    return path


def test_a_terminal_gets_no_control_characters(plugin: Path) -> None:
    assert on_a_terminal("run", plugin) == HARMLESS


def test_raw_sends_them(plugin: Path) -> None:
    assert on_a_terminal("run", "--raw", plugin) == EVIL + "\n"


def test_a_pipe_gets_the_text_as_it_is(plugin: Path) -> None:
    assert process("run", plugin).stdout.decode() == EVIL + "\n"


def test_an_errors_text_is_treated_alike(tmp_path: Path) -> None:
    path = tmp_path / "plugin.wasm"
    path.write_bytes(Wat(answer_bytes=encode(Error(3, EVIL))).wasm())
    assert on_a_terminal("run", path) == HARMLESS
    assert process("run", path).stderr.decode() == EVIL + "\n"


def test_colours_are_for_terminals_that_want_them() -> None:
    for command in (["run", "gone.wasm"], ["backends"]):
        assert "\x1b[" in on_a_terminal(*command)
        assert "\x1b" not in on_a_terminal(*command, TERM="dumb")
        assert not re.search("\x1b\\[[0-9;]*3[0-9]m", on_a_terminal(*command, NO_COLOR="1"))
        done = process(*command)
        assert b"\x1b" not in done.stdout + done.stderr


@pytest.mark.parametrize("columns", [20, 60])
def test_reports_fit_the_terminal(columns: int) -> None:
    for command in (["config"], ["backends"], ["inspect", GREET]):
        text = on_a_terminal(*command, columns=columns, TERM="dumb")
        assert max(len(line) for line in text.splitlines()) <= columns


def test_json_is_indented_on_a_terminal(plugin: Path) -> None:
    text = on_a_terminal("run", "--json", plugin)
    assert text.startswith('{\n  "backend"')
    assert "\x1b" not in text
