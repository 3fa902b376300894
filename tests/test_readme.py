"""The README's Python examples run as they stand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from sen_host import Config, PluginLoader
from sen_host.messages import Success

ROOT = Path(__file__).parent.parent
[CONFIGURATION] = re.findall(r"```toml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
EXAMPLES = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("code", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_runs(code: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    if "greet.execute" in code:
        assert done.stdout.splitlines()[-1] == "Good morning, Alice!"


def test_the_configuration_works_as_it_stands(tmp_path: Path) -> None:
    (tmp_path / "sen-host.toml").write_text(CONFIGURATION)
    config = Config.load(directory=tmp_path, environ={"SEN_HOST_CONFIG": "none"})
    with PluginLoader(config=config).load(ROOT / "plugins" / "greet" / "greet.wasm") as greet:
        assert greet.backend == "wasmer"
        assert greet.execute(["Alice"]) == Success("Hello, Alice!")


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 3
