"""The example application, as a new user runs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest

from tests.registry.support import wait_until

ROOT = Path(__file__).parent.parent.parent
COMMAND = [sys.executable, str(ROOT / "examples" / "toolbox" / "toolbox.py")]


@pytest.fixture(params=["wasmtime", "wasmer"])
def environ(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    own = {f"XDG_{kind}_HOME": str(tmp_path / kind) for kind in ("DATA", "CACHE", "CONFIG")}
    return {
        **os.environ,
        **own,
        "XDG_DATA_DIRS": str(tmp_path / "system"),
        "SEN_HOST_BACKEND": request.param,
        "SEN_HOST_CONFIG": "none",
    }


def toolbox(environ: dict[str, str], *words: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [*COMMAND, *words],
        env=environ,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    return done.returncode, done.stdout, done.stderr


def test_the_first_minute(environ: dict[str, str]) -> None:
    assert "there are no plugins" in toolbox(environ, "plugin", "list")[1]
    added = toolbox(environ, "plugin", "add", "plugins/greet/greet.wasm")
    assert added == (0, "added greet; try: toolbox greet --help\n", "")
    assert toolbox(environ, "greet", "Alice") == (0, "Hello, Alice!\n", "")
    assert "greet  Greets a person" in toolbox(environ, "--help")[1]
    assert toolbox(environ, "plugin", "info", "greet")[1].startswith("greet 1.0.0: Greets")
    code, _, told = toolbox(environ, "plugin", "add", "README.md")
    assert (code, "not a WebAssembly binary" in told) == (123, True)
    code, _, told = toolbox(environ, "plugin", "remove", "grete")
    assert (code, "there is no command 'grete'" in told) == (121, True)
    assert toolbox(environ, "plugin", "remove", "greet")[:2] == (0, "removed greet\n")
    assert toolbox(environ, "greet")[0] == 2


def test_a_file_that_was_not_added_is_not_removed(environ: dict[str, str], tmp_path: Path) -> None:
    mine = tmp_path / "mine" / "greet.wasm"
    mine.parent.mkdir()
    shutil.copy(ROOT / "plugins" / "greet" / "greet.wasm", mine)
    environ["TOOLBOX_PLUGIN_PATH"] = str(mine.parent)
    assert toolbox(environ, "greet", "Alice")[:2] == (0, "Hello, Alice!\n")
    code, _, told = toolbox(environ, "plugin", "remove", "greet")
    assert (code, "has not added greet" in told, str(mine) in told) == (1, True, True)
    assert mine.exists()


def test_hot_reload(environ: dict[str, str]) -> None:
    if environ["SEN_HOST_BACKEND"] == "wasmer":
        pytest.skip("the watcher is the same on both engines; its own tests run on both")
    process = subprocess.Popen(
        [*COMMAND, "watch"],
        env=environ,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    told: list[str] = []
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    reader = Thread(target=told.extend, args=(process.stderr,))
    with process:
        reader.start()
        wait_until(lambda: any("type a command" in line for line in told))
        assert toolbox(environ, "plugin", "add", "plugins/echo/echo.wasm")[0] == 0
        wait_until(lambda: any("loaded: echo" in line for line in told))
        process.stdin.write("echo hi\nnope\n")
        process.stdin.flush()
        assert process.stdout.readline() == "Echo: hi\n"
        assert toolbox(environ, "plugin", "remove", "echo")[0] == 0
        wait_until(lambda: any("unloaded: echo" in line for line in told))
        process.stdin.close()
        assert process.wait(30) == 0
        reader.join(30)
    assert any("No such command 'nope'" in line for line in told)


def test_a_plugin_that_wants_the_network_is_denied_or_trusted(environ: dict[str, str]) -> None:
    toolbox(environ, "plugin", "add", "plugins/fetch/fetch.wasm")
    words = ("fetch", "http://127.0.0.1:9/", "--retry", "0")

    code, _, told = toolbox(environ, *words)
    assert (code, "not permitted" in told) == (120, True)
    code, _, told = toolbox(environ, "--trust-plugin", "fetch", *words)
    assert (code, "127.0.0.1 cannot be reached" in told) == (1, True)
