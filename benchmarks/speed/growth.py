"""Load time against module size, and a registry's look-up against its plugins."""

from __future__ import annotations

from itertools import cycle, islice
from random import Random
from time import perf_counter

from benchmarks.build import ECHO
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


def look_up(settings: Settings, progress: Progress) -> Outcome:
    """Seconds to find a command among more and more plugins.

    The contestants are the numbers of plugins. All are of one module, each under a name of
    its own; each look-up is of another one of them, in no order.
    """
    from sen_host import PluginLoader, PluginRegistry

    loader = PluginLoader(backend="wasmtime")
    samples: dict[str, list[float]] = {}
    registries: dict[int, PluginRegistry] = {}
    for count in settings.registry_sizes:
        progress(f"registering {count:,} plugins")
        registry = registries[count] = PluginRegistry(loader)
        plugin = loader.load(ECHO.read_bytes())
        for number in range(1, count):
            registry.register(plugin.sibling(), prefix=f"p{number}")
        registry.register(plugin, prefix="p0")
    shuffled = {count: list(registry) for count, registry in registries.items()}
    for names in shuffled.values():
        Random(1).shuffle(names)
    for turn in range(settings.registry_rounds):
        progress(f"round {turn + 1} of {settings.registry_rounds}")
        for count, registry in registries.items():
            names = list(islice(cycle(shuffled[count]), settings.look_ups))
            started = perf_counter()
            found = sum(name in registry for name in names)
            taken = perf_counter() - started
            if found != len(names):
                raise WrongResult(f"a registry of {count:,} plugins finds {found:,} of them")
            samples.setdefault(str(count), []).append(taken / len(names))
    for registry in registries.values():
        registry.close()
    return Outcome(samples)
