"""Load time against module size."""

from __future__ import annotations

from time import perf_counter

from benchmarks.progress import Progress
from benchmarks.speed.outcome import Outcome
from benchmarks.speed.sampling import WrongResult
from benchmarks.speed.scale import WORDCOUNT
from benchmarks.speed.settings import Settings


def padded(wasm: bytes, size: int, mark: int) -> bytes:
    """The plugin with copies of its own functions behind them, nowhere called.

    Args:
        size: of the result, in bytes, to within a function's size; at least the plugin's.
        mark: makes it another module than that of another mark.
    """
    from sen_host.wasm.extend import NewFunction, extend
    from sen_host.wasm.reader import parse
    from sen_host.wasm.writer import name, section

    module = parse(wasm)
    originals = [
        NewFunction(module.types[type_index], wasm[start:end])
        for type_index, (start, end) in zip(module.functions, module.function_bodies, strict=True)
    ]
    copies: list[NewFunction] = []
    missing = size - len(wasm)
    while missing > 0:
        copy = originals[len(copies) % len(originals)]
        copies.append(copy)
        missing -= len(copy.body) + 3
    grown = extend(module, functions=lambda _: copies, exports=lambda _: module.exports)
    return grown + section(0, name("benchmark") + mark.to_bytes(4, "little"))


def load_cold(settings: Settings, progress: Progress) -> Outcome:
    """Seconds to load modules of growing size that were never loaded before.

    The contestants are the sizes, in bytes.
    """
    from sen_host import PluginLoader
    from sen_host.messages import Success

    loader = PluginLoader(backend="wasmtime")
    wordcount = WORDCOUNT.read_bytes()
    with loader.load(wordcount) as plugin:
        expected = plugin.execute(["one two"])
    if not isinstance(expected, Success):
        raise WrongResult(f"the plugin gave {expected!r}")
    samples: dict[str, list[float]] = {}
    for turn in range(settings.size_rounds):
        for size in settings.sizes:
            progress(f"round {turn + 1} of {settings.size_rounds}: {size:,} bytes")
            wasm = padded(wordcount, size, turn)
            started = perf_counter()
            plugin = loader.load(wasm)
            taken = perf_counter() - started
            with plugin:
                if plugin.execute(["one two"]) != expected:
                    raise WrongResult(f"the plugin of {size:,} bytes counts other words")
            samples.setdefault(str(size), []).append(taken)
    return Outcome(samples)
