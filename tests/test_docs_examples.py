"""The Python examples of the pages run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

PAGES = (
    "audit.md",
    "click.md",
    "configuration.md",
    "conformance.md",
    "discovery.md",
    "effects.md",
    "errors.md",
    "host-functions.md",
    "hot-reload.md",
    "permissions.md",
    "registry.md",
    "scale.md",
    "wasi.md",
)


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of_a_page_run(page: str, tmp_path: Path) -> None:
    """One after the other, in one program, in a folder that has the plugins."""
    examples = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL)
    assert examples
    (tmp_path / "plugins").symlink_to(ROOT / "plugins")
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(examples)],
        cwd=tmp_path,
        env={**os.environ, "XDG_CONFIG_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
