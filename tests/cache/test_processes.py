"""Many processes at one cache, with eviction on: each gets its plugin, none gets another's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from sen_host.limits import MIB
from tests.cache.support import cache_in, description, entries, key

# Each entry's data are its number, so that one can be told from another.
_WORK = """
import random, sys
from pathlib import Path
from tests.cache.support import cache_in, description, key
folder, seed, rounds = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
cache, random = cache_in(folder, 1 << 20), random.Random(seed)
hits = 0
for _ in range(rounds):
    number = random.randrange(20)
    data = number.to_bytes(4, "little") * 25_000
    found = cache.get(key(number))
    if found is None:
        cache.put(description(number), data)
    else:
        assert found == (description(number), data), number
        hits += 1
    if random.random() < 0.02:
        random.choice([cache.clear, cache.prune, cache.entries])()
print(hits)
"""


def start(folder: Path, seed: int, rounds: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _WORK, str(folder), str(seed), str(rounds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_many_processes_store_load_and_evict_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    processes = [start(folder, seed, 300) for seed in range(6)]
    hits = []
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert (process.returncode, err) == (0, "")
        hits.append(int(out))
    assert sum(hits) > 0
    cache = cache_in(folder, MIB)
    for number in range(20):
        found = cache.get(key(number))
        assert found is None or found[0] == description(number)
    assert sum(file.stat().st_size for file in folder.iterdir()) <= MIB
    assert sorted(folder.iterdir()) == entries(folder), "no temporary file is left"


def test_processes_that_are_killed_leave_nothing_that_hurts(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    for seed in range(5):
        process = start(folder, seed, 1_000_000)
        while not entries(folder):
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(0.02 * seed)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    cache = cache_in(folder, MIB)
    for number in range(20):
        found = cache.get(key(number))
        assert found is None or found[1] == number.to_bytes(4, "little") * 25_000
    cache.prune()
    assert sorted(folder.iterdir()) == entries(folder)
