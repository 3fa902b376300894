"""Map a plugin over a large input, on all processors, with a progress bar.

    python examples/map_in_processes.py [LINES]

Each line of the input goes to the plugin wordcount; which answers are added up. The
plugin is sent to the processes of the pool by pickle, and compiled once in each, or not
at all if the compile cache has it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from itertools import islice
from pathlib import Path

from rich.progress import Progress

from sen_host import Plugin, PluginLoader
from sen_host.messages import Success

PLUGIN = Path(__file__).parent.parent / "plugins" / "wordcount" / "wordcount.wasm"
WORDS = "the quick brown fox jumps over the lazy dog".split()
LINES_PER_TASK = 500


def lines(count: int) -> Iterator[str]:
    """A text that is large enough to be worth it."""
    for number in range(count):
        yield " ".join(WORDS[: 1 + number % len(WORDS)])


def words_in(plugin: Plugin, batch: list[str]) -> int:
    """How many words a plugin counts in some lines. Runs in a process of the pool."""
    total = 0
    for line in batch:
        match plugin.execute([line]):
            case Success(text):
                total += int(text.split()[1])
            case answer:
                raise SystemExit(f"unexpected: {answer}")
    return total


def count_words(executor: Executor, plugin: object, count: int) -> None:
    """Map the plugin over so many lines; show how far it is, and the sum in the end."""
    text = lines(count)
    batches = list(iter(lambda: list(islice(text, LINES_PER_TASK)), []))
    total = 0
    with Progress() as progress:
        bar = progress.add_task("lines", total=count)
        answers = executor.map(words_in, [plugin] * len(batches), batches)
        for batch, words in zip(batches, answers, strict=True):
            total += words
            progress.advance(bar, len(batch))
    print(f"{total:,} words in {count:,} lines")


def main(count: int) -> None:
    with PluginLoader("wasmtime").load(PLUGIN) as plugin, ProcessPoolExecutor() as executor:
        count_words(executor, plugin, count)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000)
