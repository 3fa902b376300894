"""The module of a number: made from the seed and the number alone."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from sen_host_conformance.fuzz.exposure import Target, expose
from sen_host_conformance.fuzz.generator import generate
from sen_host_conformance.fuzz.smith import smith

OWN, SMITH = "own generator", "wasm-tools smith"


class Made(NamedTuple):
    """A module, and the random numbers by which its calls are chosen."""

    source: str
    target: Target
    random: Random


def make(seed: int, number: int, wasm_tools: str | None) -> Made:
    """Module ``number``: every second one is of smith, if there is wasm-tools.

    Raises:
        OSError, subprocess.CalledProcessError: wasm-tools failed.
    """
    # A text as seed gives the same numbers on every version of Python.
    random = Random(f"sen-host {seed} {number}")
    calls = Random(f"sen-host {seed} {number} calls")
    if wasm_tools is not None and number % 2:
        return Made(SMITH, expose(smith(random, wasm_tools)), calls)
    return Made(OWN, expose(generate(random)), calls)
