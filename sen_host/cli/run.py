"""``sen-host run``: a plugin's answer on stdout, its failure on stderr."""

from __future__ import annotations

import functools
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from sen_host.cli.granting import allowed, granting_options
from sen_host.cli.options import Call, call_options
from sen_host.cli.output import note, one_line, write_json, write_text
from sen_host.errors import Serialization

if TYPE_CHECKING:
    from sen_host.audit import Audit
    from sen_host.conversation import Conversation
    from sen_host.effects import EffectDriver, EffectReport, EffectSession
    from sen_host.host_functions import HostFunctions
    from sen_host.loader import PluginLoader
    from sen_host.messages import Capabilities, Effect, EffectResult, NetPattern
    from sen_host.plugin import Plugin

LONGEST_SLEEP = 3_600
"""A plugin that wants to sleep for longer, in seconds, is refused."""

LONGEST_SHOWN = 500
"""How much of a URL is shown."""

DAY = 86_400

LATEST_CLOCK = (2**63 - 1) // 10**9
"""In seconds since 1970."""


@click.command(
    context_settings={"allow_interspersed_args": False},
    short_help="Run a plugin and print its answer.",
)
@click.argument("plugin", type=click.Path())
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
@granting_options
@click.option(
    "--allow-private-net",
    "private",
    metavar="NETWORK",
    multiple=True,
    help="Let names lead to addresses in this network, e.g. 10.0.0.0/8. May be repeated.",
)
@click.option(
    "--trust-plugin",
    "trusted",
    metavar="NAME",
    multiple=True,
    help="Allow the plugin with this name all that it asks for. May be repeated.",
)
@click.option("--trust-all", is_flag=True, help="Allow all that is asked for. For development.")
@click.option("--no-prompt", is_flag=True, help="Ask nothing: what is not allowed is denied.")
@click.option("--audit", "audit_file", metavar="FILE", help="Add events to FILE, as JSON Lines.")
@click.option(
    "--fixed-clock",
    type=click.IntRange(0, LATEST_CLOCK),
    metavar="SECONDS",
    help="Give the plugin a clock that starts so long after 1970 at each call.",
)
@click.option(
    "--random-seed",
    type=int,
    metavar="N",
    help="Give the plugin the same random numbers at each call.",
)
@click.option("--raw", is_flag=True, help="Send control characters to a terminal as they are.")
@call_options(settings=True)
def command(
    call: Call,
    plugin: str,
    args: tuple[str, ...],
    private: tuple[str, ...],
    trusted: tuple[str, ...],
    trust_all: bool,
    no_prompt: bool,
    audit_file: str | None,
    fixed_clock: int | None,
    random_seed: int | None,
    raw: bool,
    **allow: tuple[str, ...],
) -> int:
    """Run PLUGIN with ARGS and print its answer.

    Options of sen-host stand before PLUGIN; all that follows goes to the plugin.

    A plugin that asks for files, variables, connections or streams gets those that
    options allow or `sen-host permissions grant` has granted. You are asked for others,
    and without a terminal they are denied.

    The exit code is 0 on success, and the plugin's own code if it answers with
    an error. Codes from 119 to 125 tell that sen-host could not run it to its end,
    130 that Ctrl-C did not let it, 141 that the reader of the output went away.
    """
    from sen_host.messages import Error, to_wire

    check_text(args)
    beforehand = allowed(**allow) if any(allow.values()) else None
    effects = Effects(() if beforehand is None else beforehand.net, private)
    offered = functools.partial(_wasi, fixed_clock, random_seed, raw=raw, json=call.json)
    loader = call.loader(call.config(), offered)
    audit = None if audit_file is None else _open_audit(audit_file)
    with interruptible(), _load(loader, plugin, audit) as loaded:
        names = dict(call.facts)
        if beforehand or trusted or loaded.manifest.capabilities != loaded.granted:
            granted = _authorize(
                loaded, plugin, beforehand, trusted, trust_all, not no_prompt, audit
            )
            loaded.grant(granted)
            effects.admit(granted.net)
            names["granted"] = _as_json(granted)
        runner: Conversation = loaded
        if audit is not None:
            runner = effects.told(loaded, audit)
        try:
            result = runner.run(args, effects.perform)
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
        ConfigError: a network is not written as it should be.
    """

    def __init__(self, net: tuple[NetPattern, ...] = (), private: tuple[str, ...] = ()) -> None:
        self._noted: set[str] = set()
        self._net = net
        self._private = private
        self._audit: Callable[[EffectReport], None] | None = None
        self._session: EffectSession | None = None
        if net or private:
            self._driver()  # an error in them is told before anything runs

    def admit(self, net: tuple[NetPattern, ...]) -> None:
        """Let the plugin reach what it was granted, in place of what the options say."""
        self._net = net

    def told(self, plugin: Plugin, audit: Audit) -> Conversation:
        """The plugin, with its calls and effects told to an audit."""
        from sen_host.cli.audited import Audited

        audited = Audited(plugin, audit)
        self._audit = functools.partial(audit.effect, audited)
        return audited

    def perform(self, effect: Effect) -> EffectResult:
        """Do an effect, or tell the plugin and (once for each) the user why not."""
        # Few plugins ask for any, and the driver takes its time to import.
        if self._session is None:
            driver = self._driver().with_net(self._net)
            if self._audit is not None:
                driver = driver.with_observer(self._audit)
            self._session = driver.session()
        return self._session.handle(effect)

    def _driver(self) -> EffectDriver:
        from sen_host.effects import EffectDriver, EffectLimits

        return EffectDriver(
            private_networks=self._private,
            limits=EffectLimits(
                sleep_seconds=LONGEST_SLEEP, total_sleep_seconds=DAY, total_seconds=DAY
            ),
            observer=self._tell,
        )

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
        if text not in self._noted:
            self._noted.add(text)
            note(text)


def _wasi(clock: int | None, seed: int | None, *, raw: bool, json: bool) -> HostFunctions:
    from sen_host.cli.wasi import functions

    return functions(clock, seed, raw=raw, json=json)


def _open_audit(path: str) -> Audit:
    from sen_host.cli.audited import open_audit

    audit = open_audit(path)
    click.get_current_context().call_on_close(audit.sink.close)
    return audit


def _load(loader: PluginLoader, path: str, audit: Audit | None) -> Plugin:
    if audit is None:
        return loader.load(path)
    from sen_host.cli.audited import load

    return load(loader, path, audit)


def _authorize(
    plugin: Plugin,
    path: str,
    beforehand: Capabilities | None,
    trusted: tuple[str, ...],
    trust_all: bool,
    prompt: bool,
    audit: Audit | None,
) -> Capabilities:
    from sen_host.cli.authority import Wishes, authorize

    wishes = Wishes(beforehand or plugin.granted, trusted, trust_all, prompt)
    return authorize(plugin, path, wishes, audit)


def _as_json(granted: Capabilities) -> dict[str, Any]:
    from sen_host.permissions.grant import as_json

    return as_json(granted)


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
