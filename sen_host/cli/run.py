"""``sen-host run``: a plugin's answer on stdout, its failure on stderr."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from sen_host.cli.options import Call, call_options
from sen_host.cli.output import note, one_line, write_json, write_text
from sen_host.errors import Serialization

if TYPE_CHECKING:
    from sen_host.messages import Effect, EffectResult

LONGEST_SLEEP_MS = 3_600_000
"""A plugin that wants to sleep for longer is refused."""


@click.command(
    context_settings={"allow_interspersed_args": False},
    short_help="Run a plugin and print its answer.",
)
@click.argument("plugin", type=click.Path())
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
@click.option("--raw", is_flag=True, help="Send control characters to a terminal as they are.")
@call_options(settings=True)
def command(call: Call, plugin: str, args: tuple[str, ...], raw: bool) -> int:
    """Run PLUGIN with ARGS and print its answer.

    Options of sen-host stand before PLUGIN; all that follows goes to the plugin.

    The exit code is 0 on success, and the plugin's own code if it answers with
    an error. Codes from 119 to 125 tell that sen-host could not run it to its end,
    130 that Ctrl-C did not let it, 141 that the reader of the output went away.
    """
    from sen_host.messages import Error, to_wire

    check_text(args)
    loader = call.loader(call.config())
    with interruptible(), loader.load(plugin) as loaded:
        names = dict(call.facts)
        try:
            result = loaded.run(args, Effects().perform)
        finally:
            fuel = {"fuel_used": loaded.fuel_used, "fuel_left": loaded.fuel_left}
            call.facts |= fuel
            if call.verbose or call.flags.get("limits.fuel") is not None:
                note(_told(loaded.fuel_used, loaded.fuel_left))
    if call.json:
        write_json({**names, "result": to_wire(result), **fuel})
    elif isinstance(result, Error):
        write_text(result.message, err=True, raw=raw)
    else:
        write_text(result.text, raw=raw)
    # A plugin that answers with an error has failed, even if it says code 0.
    return (result.code or 1) if isinstance(result, Error) else 0


class Effects:
    """Does the effects that the command line grants: to sleep, and nothing else."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def perform(self, effect: Effect) -> EffectResult:
        """Sleep, or tell the plugin and (once for each request) the user that it is refused."""
        from sen_host.messages import EffectError, HttpGet, HttpPost, Sleep, SleepComplete

        if isinstance(effect, Sleep) and effect.duration_ms <= LONGEST_SLEEP_MS:
            time.sleep(effect.duration_ms / 1000)
            return SleepComplete()
        if isinstance(effect, Sleep):
            wanted, answer = f"a sleep of {effect.duration_ms:,} ms", "the sleep is too long"
        elif isinstance(effect, (HttpGet, HttpPost)):
            method = "GET" if isinstance(effect, HttpGet) else "POST"
            wanted, answer = (
                f"HTTP {method} {one_line(effect.url)}",
                "network access is not granted",
            )
        else:
            wanted, answer = type(effect).__name__, "the effect is not granted"
        if wanted not in self._told:
            self._told.add(wanted)
            note(f"the plugin asked for {wanted}: not granted")
        return EffectError(answer)


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C end the process at once.

    Python runs its own handler only between its instructions, and a plugin
    without a limit may never return to them.
    """
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def check_text(args: tuple[str, ...]) -> None:
    """Raise Serialization for an argument that a plugin cannot be given."""
    for number, argument in enumerate(args, 1):
        # Python reads bytes that are not text as surrogates.
        if any("\ud800" <= letter <= "\udfff" for letter in argument):
            raise Serialization(
                f"argument {number} is not valid UTF-8",
                hint="a plugin takes its arguments as UTF-8 text",
            )


def _told(used: int | None, left: int | None) -> str:
    if used is None:
        return "fuel used: unknown, the engine lost it with the trap"
    return f"fuel used: {used:,}" + ("" if left is None else f", left: {left:,}")
