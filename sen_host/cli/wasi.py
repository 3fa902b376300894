"""WASI for the plugins of the command line; imported when a plugin needs its functions."""

from __future__ import annotations

import sys
from codecs import getincrementaldecoder
from typing import TYPE_CHECKING, TextIO

from sen_host.cli.output import printable
from sen_host.wasi import FixedClock, Wasi

if TYPE_CHECKING:
    from collections.abc import Callable

    from sen_host.wasi import WasiFunctions

SECOND_NS = 1_000_000_000


def functions(
    clock: int | None = None,
    seed: int | None = None,
    *,
    raw: bool = False,
    json: bool = False,
) -> WasiFunctions:
    """The functions for one instance.

    Args:
        clock: where a fixed clock starts, in seconds since 1970; None for the machine's.
        seed: makes random numbers the same each time; None for the system's.
        raw: whether a terminal gets control characters as they are.
        json: whether standard output is for one JSON object, so that what the plugin
            writes goes to standard error.
    """
    return Wasi(
        stdout=_sink(sys.stderr if json else sys.stdout, raw=raw),
        stderr=_sink(sys.stderr, raw=raw),
        clock=None if clock is None else FixedClock(clock * SECOND_NS),
        random_seed=seed,
    )()


def _sink(stream: TextIO, *, raw: bool) -> Callable[[bytes], object]:
    # A character may come in two parts.
    decoder = getincrementaldecoder("utf-8")("backslashreplace")
    harmless = not raw and stream.isatty()

    def put(data: bytes) -> None:
        stream.flush()
        if harmless:
            data = printable(decoder.decode(data)).encode("utf-8", "backslashreplace")
        stream.buffer.write(data)
        stream.buffer.flush()

    return put
