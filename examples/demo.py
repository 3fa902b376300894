"""Run one plugin on every engine and show that answers and fuel agree."""

from __future__ import annotations

import sys
from pathlib import Path

from sen_host import PluginLoader
from sen_host.messages import Success

GREET = Path(__file__).parent.parent / "plugins" / "greet" / "greet.wasm"


def main() -> int:
    outcomes = set()
    for backend in ("wasmtime", "wasmer"):
        with PluginLoader(backend=backend).load(GREET) as greet:
            result = greet.execute(["Alice", "Good morning"])
            engine, fuel = greet.binding.engine, greet.fuel_used
        assert isinstance(result, Success), result
        print(f"{engine:<20} {result.text:<24} fuel used: {fuel:,}")
        outcomes.add((result.text, fuel))
    agree = len(outcomes) == 1
    print("Answers and fuel agree." if agree else "Answers or fuel differ!")
    return int(not agree)


if __name__ == "__main__":
    sys.exit(main())
