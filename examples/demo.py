"""Run one plugin on every engine and show that the answers agree."""

from __future__ import annotations

import sys
from pathlib import Path

from sen_host import PluginLoader
from sen_host.messages import Success

GREET = Path(__file__).parent.parent / "plugins" / "greet" / "greet.wasm"


def main() -> int:
    answers = set()
    for backend in ("wasmtime", "wasmer"):
        with PluginLoader(backend=backend).load(GREET) as greet:
            result = greet.execute(["Alice", "Good morning"])
            engine = greet.binding.engine
        assert isinstance(result, Success), result
        print(f"{engine:<20} {result.text}")
        answers.add(result.text)
    print("The answers agree." if len(answers) == 1 else "The answers differ!")
    return len(answers) - 1


if __name__ == "__main__":
    sys.exit(main())
