"""``sen-host run``: a plugin's answer on stdout, its failure on stderr."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from sen_host.cli.options import Call, call_options
from sen_host.cli.output import note, one_line, write_json, write_text
from sen_host.errors import Serialization

if TYPE_CHECKING:
    from sen_host.effects import EffectReport, EffectSession
    from sen_host.messages import Effect, EffectResult

LONGEST_SLEEP = 3_600
"""A plugin that wants to sleep for longer, in seconds, is refused."""

LONGEST_SHOWN = 500
"""How much of a URL is shown."""

DAY = 86_400


@click.command(
    context_settings={"allow_interspersed_args": False},
    short_help="Run a plugin and print its answer.",
)
@click.argument("plugin", type=click.Path())
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "--allow-net",
    "net",
    metavar="[SCHEME://]HOST[:PORT]",
    multiple=True,
    help="Let the plugin send HTTP requests there; https unless SCHEME is http. May be repeated.",
)
@click.option(
    "--allow-private-net",
    "private",
    metavar="NETWORK",
    multiple=True,
    help="Let names lead to addresses in this network, e.g. 10.0.0.0/8. May be repeated.",
)
@click.option("--raw", is_flag=True, help="Send control characters to a terminal as they are.")
@call_options(settings=True)
def command(
    call: Call,
    plugin: str,
    args: tuple[str, ...],
    net: tuple[str, ...],
    private: tuple[str, ...],
    raw: bool,
) -> int:
    """Run PLUGIN with ARGS and print its answer.

    Options of sen-host stand before PLUGIN; all that follows goes to the plugin.

    The exit code is 0 on success, and the plugin's own code if it answers with
    an error. Codes from 119 to 125 tell that sen-host could not run it to its end,
    130 that Ctrl-C did not let it, 141 that the reader of the output went away.
    """
    from sen_host.messages import Error, to_wire

    check_text(args)
    effects = Effects(net, private)
    loader = call.loader(call.config())
    with interruptible(), loader.load(plugin) as loaded:
        names = dict(call.facts)
        try:
            result = loaded.run(args, effects.perform)
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
    """Does the effects that the command line grants, and tells the user of those that fail.

    Raises:
        ConfigError: a pattern or a network is not written as it should be.
    """

    def __init__(self, net: tuple[str, ...] = (), private: tuple[str, ...] = ()) -> None:
        self._told: set[str] = set()
        self._net = net
        self._private = private
        # Few plugins ask for any, and the driver takes its time to import.
        self._session = self._start() if net or private else None

    def perform(self, effect: Effect) -> EffectResult:
        """Do an effect, or tell the plugin and (once for each) the user why not."""
        if self._session is None:
            self._session = self._start()
        return self._session.handle(effect)

    def _start(self) -> EffectSession:
        from sen_host.effects import EffectDriver, EffectLimits, parse_pattern

        driver = EffectDriver(
            [parse_pattern(text) for text in self._net],
            private_networks=self._private,
            limits=EffectLimits(
                sleep_seconds=LONGEST_SLEEP, total_sleep_seconds=DAY, total_seconds=DAY
            ),
            observer=self._tell,
        )
        return driver.session()

    def _tell(self, report: EffectReport) -> None:
        from sen_host.messages import HttpGet, HttpPost, Sleep

        effect = report.effect
        if report.reason is None:
            return
        if isinstance(effect, Sleep):
            wanted = f"a sleep of {effect.duration_ms:,} ms"
        elif isinstance(effect, (HttpGet, HttpPost)):
            method = "GET" if isinstance(effect, HttpGet) else "POST"
            wanted = f"HTTP {method} {one_line(effect.url[:LONGEST_SHOWN])}"
        else:
            wanted = type(effect).__name__
        text = f"the plugin asked for {wanted}: {one_line(report.reason)}"
        if not self._net and isinstance(effect, (HttpGet, HttpPost)):
            text += " (--allow-net grants it)"
        if text not in self._told:
            self._told.add(text)
            note(text)


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
