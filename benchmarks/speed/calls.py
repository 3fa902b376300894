"""The calls: one execute of the plugin echo, from typed arguments to a typed result."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from benchmarks.build import ECHO, EXTISM_ECHO, PIPE
from benchmarks.progress import Progress
from benchmarks.speed.outcome import OURS, Outcome
from benchmarks.speed.peers import Missing
from benchmarks.speed.sampling import Contestant, take_turns
from benchmarks.speed.settings import Settings

PORT, EXTISM, RAW, PIPES = "port", "extism", "raw", "pipe"
SMALL, LARGE = 64, 64 * 1024


def in_wasmtime(settings: Settings, progress: Progress, *, length: int) -> Outcome:
    """On Wasmtime, beside a plain port of the Rust host and Extism."""
    from sen_host import PluginLoader
    from sen_host.messages import Success

    text = "x" * length
    outcome = Outcome()
    with PluginLoader(backend="wasmtime").load(ECHO) as plugin:
        contestants = {OURS: Contestant(partial(plugin.execute, [text]), Success(text))}
        contestants[PORT] = _port(text)
        try:
            contestants[EXTISM] = _extism(text)
        except Missing as missing:
            outcome.missing[EXTISM] = str(missing)
        outcome.samples = _turns(contestants, settings, progress)
    return outcome


def _turns(
    contestants: dict[str, Contestant], settings: Settings, progress: Progress
) -> dict[str, list[float]]:
    return take_turns(
        contestants, rounds=settings.rounds, seconds=settings.turn_seconds, progress=progress
    )


def _port(text: str) -> Contestant:
    from benchmarks.speed.peers import port

    plugin = port.PortedPlugin(ECHO.read_bytes())
    return Contestant(partial(plugin.execute, [text]), port.Success(text))


def _extism(text: str) -> Contestant:
    from benchmarks.speed.peers import extism_sdk

    plugin = extism_sdk.ExtismPlugin(EXTISM_ECHO.read_bytes())
    return Contestant(partial(plugin.execute, [text]), extism_sdk.Success(text))


def in_wasmer(settings: Settings, progress: Progress) -> Outcome:
    """On Wasmer in this process, beside raw calls."""
    from benchmarks.speed.peers.raw_wasmer import RawPlugin
    from sen_host import PluginLoader
    from sen_host.messages import Success

    text = "x" * SMALL
    raw = RawPlugin(ECHO.read_bytes())
    with PluginLoader(backend="wasmer", isolation="none").load(ECHO) as plugin:
        contestants = {
            OURS: Contestant(partial(plugin.execute, [text]), Success(text)),
            RAW: Contestant(partial(raw.execute, [text]), {"Success": text}),
        }
        return Outcome(_turns(contestants, settings, progress))


def in_wasmer_worker(settings: Settings, progress: Progress) -> Outcome:
    """On Wasmer in a worker process, beside a bare pipe to a guest in this one."""
    from sen_host import PluginLoader
    from sen_host.messages import Success, encode_args

    text = "x" * SMALL
    with PluginLoader(backend="wasmer", binding="sdk").load(ECHO) as plugin:
        ask, message = _pipe(encode_args([text]))
        contestants = {
            OURS: Contestant(partial(plugin.execute, [text]), Success(text)),
            PIPES: Contestant(ask, message),
        }
        return Outcome(_turns(contestants, settings, progress))


def _pipe(message: bytes) -> tuple[Callable[[], bytes], bytes]:
    from sen_host_wasmer.driver import Engine

    process = Engine().load(PIPE.read_bytes()).spawn()
    return partial(process.ask, message, len(message)), message
