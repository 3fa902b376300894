"""``sen-host run`` with plugins that ask for something: options, stored grants, questions."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sen_host_conformance.hosts import Host
from tests.test_cli.conftest import GREET, PLUGINS, Cli, environment, on, process

SURVEY = PLUGINS / "survey" / "survey.wasm"
ALL = (
    *("--allow-read-all", "./data", "--allow-write-all", "./out", "--allow-env", "SURVEY_*"),
    *("--allow-stdio", "stdin", "--allow-stdio", "stdout", "--allow-stdio", "stderr"),
)
READ = ("read data/note", 'read data/note: "milk"\n')

ASKING = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "sen_host", *sys.argv[1:]])
"""


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("data", "out"):
        (tmp_path / name).mkdir()
    (tmp_path / "data" / "note").write_text("milk")


def test_options_allow(cli: Cli, host: Host, tmp_path: Path) -> None:
    answer = cli("run", *on(host), *ALL, SURVEY, READ[0], "write out/a done")
    assert answer.code == 0
    assert answer.stdout.startswith(READ[1])
    assert (tmp_path / "out" / "a").read_text() == "done"
    assert not (tmp_path / "config").exists()


def test_an_option_decides_on_all_of_its_kind(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    options = ("--allow-read-all", "other", *ALL[2:])
    answer = cli("run", "--json", *options, SURVEY, READ[0])
    assert "failed" in answer.json["result"]["Success"]
    granted = answer.json["granted"]
    assert granted["fs_read"] == [{"pattern": "other", "recursive": True}]
    assert granted["stdio"] == {"stdin": True, "stdout": True, "stderr": True}


@pytest.mark.parametrize("options", [(), ("--no-prompt",)])
def test_without_a_terminal_it_is_denied(cli: Cli, options: tuple[str, ...]) -> None:
    answer = cli("run", *options, *ALL[2:], SURVEY, READ[0])
    assert (answer.code, answer.stdout) == (120, "")
    assert "read ./data and everything below it" in answer.stderr
    assert "write to" not in answer.stderr
    assert "--allow-read-all ./data, or for ever with" in answer.stderr
    assert f"sen-host permissions grant {SURVEY}" in answer.stderr


def test_the_remedies_work(cli: Cli) -> None:
    hint = cli("run", SURVEY, READ[0]).stderr.splitlines()[-1]
    given = re.search("run with (.*), or for ever", hint)
    assert given is not None
    assert cli("run", *given[1].replace("'", "").split(), SURVEY, READ[0]).stdout == READ[1]
    assert cli("permissions", "grant", SURVEY).code == 0
    assert cli("run", "--no-prompt", SURVEY, READ[0]).stdout == READ[1]


def test_trust(cli: Cli, tmp_path: Path) -> None:
    for options in (("--trust-plugin", "survey"), ("--trust-all",)):
        assert cli("run", *options, SURVEY, READ[0]).stdout == READ[1]
    answer = cli("run", "--trust-plugin", "servey", SURVEY, READ[0])
    assert answer.code == 121
    assert "did you mean 'survey'" in answer.stderr
    assert not (tmp_path / "config").exists()


def test_grants_that_cannot_be_read_grant_nothing(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "config" / "sen-host" / "permissions"
    folder.mkdir(parents=True)
    (folder / "sen-host.json").write_text("{")
    assert cli("run", SURVEY, READ[0]).code == 122
    assert (folder / "sen-host.json").read_text() == "{"
    assert cli("run", *ALL, SURVEY, READ[0]).code == 0


def test_the_audit_has_it_all(cli: Cli, tmp_path: Path) -> None:
    cli("run", "--audit", "a.jsonl", SURVEY)
    cli("run", "--audit", "a.jsonl", *ALL, SURVEY, "env")
    cli("run", "--audit", "a.jsonl", "gone.wasm")
    lines = (tmp_path / "a.jsonl").read_text().splitlines()
    events = [json.loads(line)["event"] for line in lines]
    assert events == [
        *("plugin.loaded", "permission.requested", "permission.denied"),
        *("plugin.loaded", "permission.granted", "call"),
        "plugin.load-failed",
    ]
    answer = cli("run", "--audit", tmp_path, GREET)
    assert (answer.code, answer.stdout) == (122, "")


def test_runs_can_be_repeated(cli: Cli) -> None:
    fixed = ("--fixed-clock", "1700000000", "--random-seed", "7")
    one, two = (cli("run", *ALL, *fixed, SURVEY, "time").stdout for _ in range(2))
    assert one == two
    assert "1700000000" in one


def test_json_stays_one_object() -> None:
    done = process("run", "--json", *ALL, SURVEY, "print hello")
    assert set(json.loads(done.stdout)) >= {"granted", "result"}


def ask(answer: str, *arguments: str | Path) -> tuple[int, str, str]:
    """Run at a terminal of its own; the code, stdout and what the terminal showed."""
    terminal, end = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-c", ASKING, "run", *map(str, arguments)],
        stdin=end,
        stdout=subprocess.PIPE,
        stderr=end,
        env=environment(TERM="dumb"),
        start_new_session=True,
    )
    os.close(end)
    seen = b""
    while b"deny): " not in seen:
        seen += os.read(terminal, 4096)
    os.write(terminal, answer.encode() + b"\n")
    stdout, _ = child.communicate(timeout=60)
    os.close(terminal)
    return child.returncode, stdout.decode(), seen.decode()


def test_the_user_is_asked_for_what_options_leave_open(cli: Cli) -> None:
    code, stdout, seen = ask("a", *ALL[2:], SURVEY, READ[0])
    assert (code, stdout) == (0, READ[1])
    assert "read ./data and everything below it" in seen
    assert "standard output" not in seen
    assert cli("run", *ALL[2:], SURVEY, READ[0]).code == 0


def test_no_is_no(cli: Cli) -> None:
    assert ask("d", SURVEY, READ[0])[:2] == (120, "")
    assert cli("run", SURVEY, READ[0]).code == 120


@pytest.mark.parametrize("name", ["survey", "probe"])
def test_other_commands_take_plugins_with_wasi(cli: Cli, name: str) -> None:
    path = PLUGINS / name / f"{name}.wasm"
    shown = cli("inspect", path)
    assert shown.code == 0
    assert "WASI.fd_write" in shown.stdout
    assert "write to standard output" in shown.stdout
    assert cli("compare", path, "read data/note", "time", "random").code == 0
    listed = cli("plugins", "--json", path.parent).json
    assert [plugin["command"] for plugin in listed["plugins"]] == [name]
