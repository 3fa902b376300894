"""The Python examples of the pages run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

CONNECTED = ("host-functions.md",)
"""Pages whose examples go on from each other."""

PAGES = ("host-functions.md", "permissions.md", "wasi.md")


def examples() -> list[tuple[str, int, str]]:
    """Page, number and code of each example."""
    found = []
    for page in PAGES:
        text = (ROOT / "docs" / page).read_text()
        codes = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
        if page in CONNECTED:
            codes = ["\n".join(codes)]
        found += [(page, number, code) for number, code in enumerate(codes)]
    return found


@pytest.mark.parametrize(
    "code", [pytest.param(code, id=f"{page}-{number}") for page, number, code in examples()]
)
def test_an_example_runs(code: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "XDG_CONFIG_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def test_every_page_has_examples() -> None:
    assert {page for page, _, _ in examples()} == set(PAGES)
