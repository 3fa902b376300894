"""The examples do what they say."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(name: str) -> str:
    command = [sys.executable, str(EXAMPLES / name), "1000"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return done.stdout


def test_a_plugin_is_mapped_in_processes() -> None:
    assert "4,996 words in 1,000 lines" in run("map_in_processes.py")


def test_a_plugin_is_mapped_with_dask() -> None:
    if find_spec("distributed") is None:
        pytest.skip("Dask is not installed; to run this: pip install distributed")
    assert "4,996 words in 1,000 lines" in run("map_with_dask.py")
