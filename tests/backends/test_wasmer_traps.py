"""What Wasmer's texts for traps tell."""

from __future__ import annotations

import pytest

from sen_host_wasmer.traps import callee

HEAD = "RuntimeError: integer divide by zero\n"
SHIM = "    at <unnamed> (<module>[14]:0x2d3)\n    at <unnamed> (<module>[17]:0x5e6)"


@pytest.mark.parametrize(
    ("frames", "found"),
    [
        ("    at <unnamed> (<module>[3]:0xe4)\n", 3),
        ("    at deep (<module>[2]:0xde)\n    at plugin_alloc (it[1003]:0xe4)\n", 1003),
        # Names are the plugin's; a plugin cannot have the index of the shim's function.
        ("    at x ([14]:0x1)\n    at y (<module>[3]:0xe4)\n", 3),
        ("    at x (<module>[9]:0x1)\n    at y (<module>[8]:0x1) (<module>[3]:0xe4)\n", 3),
        ("    at x [7]:0x1) and so on\n", None),
        ("    at x (<module>[]:0x1)\n", None),
        ("", None),
    ],
)
def test_the_function_that_the_shim_had_called(frames: str, found: int | None) -> None:
    assert callee(HEAD + frames + SHIM, 14) == found


@pytest.mark.parametrize("text", ["", "\n", HEAD, HEAD + "    at <unnamed> (<module>[3]:0xe4)"])
def test_a_text_without_the_shim_tells_nothing(text: str) -> None:
    assert callee(text, 14) is None


def test_a_text_of_many_frames() -> None:
    deep = "    at <unnamed> (<module>[2]:0xde)\n" * 100_000
    assert callee(f"{HEAD}{deep}    at <unnamed> (<module>[3]:0xe4)\n{SHIM}", 14) == 3
