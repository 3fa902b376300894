"""The Makefile's check of its interpreter."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MAKEFILE = Path(__file__).parents[1] / "Makefile"


def make(goal: str, python: str) -> subprocess.CompletedProcess[str]:
    """What make would do."""
    binary = shutil.which("make")
    if binary is None:
        pytest.skip("make is not installed")
    command = [binary, "-n", "-f", str(MAKEFILE), f"PYTHON={python}", goal]
    return subprocess.run(command, cwd=MAKEFILE.parent, capture_output=True, text=True)


def test_an_interpreter_that_does_not_suit_is_told(tmp_path: Path) -> None:
    old = tmp_path / "python3.9"
    old.write_text('#!/bin/sh\ncase "$2" in *platform*) echo 3.9.18;; *) echo False;; esac\n')
    old.chmod(0o755)
    for python, found in ((str(old), "is 3.9.18"), ("no-such-python", "is not there")):
        done = make("demo", python)
        assert done.returncode == 2
        assert "sen-host needs CPython 3.10 or later" in done.stderr
        assert f"{python} {found}" in done.stderr
        assert make("clean", python).returncode == 0


def test_this_interpreter_suits() -> None:
    assert make("demo", sys.executable).returncode == 0
