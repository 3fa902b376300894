"""The benchmark runs, checks what it runs, and its kernels compute what they say."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.build import KEPT
from benchmarks.metering.guests import BackendGuest, Guest
from benchmarks.metering.measure import (
    METERED,
    UNMETERED,
    Disagreement,
    Times,
    geometric_mean,
    measure,
)
from benchmarks.metering.programs import PROGRAMS, Kernel, Timing
from sen_host.backend import FuncType
from sen_host.engines import backends, open_backend

ROOT = Path(__file__).parents[1]
NAMES = [program.name for program in PROGRAMS]
NO_TOOLCHAIN = 3

# A worker process for each module takes a while to start.
CHOSEN = {
    info.name: ["wordcount"] if info.bindings[0].isolation == "process" else NAMES
    for info in backends()
    if info.available
}


@pytest.mark.parametrize("engine", CHOSEN)
def test_it_runs_and_prints_ratios(
    engine: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "figures.json"
    arguments = ["metering", "--rounds", "1", "--small", "--engine", engine, "--json", str(file)]
    for name in CHOSEN[engine]:
        arguments += ["--program", name]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    figures = json.loads(file.read_text())
    variants = {UNMETERED, METERED} | ({"own meter"} if engine == "wasmtime" else set())
    assert list(figures["programs"]) == CHOSEN[engine]
    for name, found in figures["programs"].items():
        assert found["fuel"] > 1_000
        assert found["seconds"].keys() == {engine}
        assert found["seconds"][engine].keys() == variants
        [line] = (line for line in printed.splitlines() if line.startswith(f"{name} "))
        assert f"{found['fuel']:,}" in line
        assert (
            f"{found['seconds'][engine][METERED] / found['seconds'][engine][UNMETERED]:.3f}" in line
        )
    assert figures["means"]["all"][engine].keys() == variants - {UNMETERED}
    assert figures["modules"]["kernels"]["rewritten_bytes_per_second"] > 0
    assert f"{engine}: compile unmetered" in printed


def test_a_wrong_option_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for wrong in (["--rounds", "0"], ["--engine", "none"], ["--program", "none"]):
        with pytest.raises(SystemExit):
            main(["metering", *wrong])
        assert wrong[0] in capsys.readouterr().err


class Unsteady(Kernel):
    """Gives more each time, as its result or as its fuel."""

    def __init__(self, checksum: int, fuel: int) -> None:
        super().__init__("sort", 1, 1)
        self.more = checksum, fuel
        self.runs = 0

    def run(self, guest: Guest, *, small: bool) -> Timing:
        self.runs += 1
        seconds, checksum, fuel = super().run(guest, small=small)
        more_checksum, more_fuel = (self.runs * more for more in self.more)
        return Timing(seconds, checksum + more_checksum, fuel and fuel + more_fuel)


@pytest.mark.parametrize(("checksum", "fuel", "what"), [(1, 0, "result"), (0, 1, "fuel")])
def test_a_difference_ends_it(checksum: int, fuel: int, what: str) -> None:
    engines = {name: open_backend("wasmtime") for name in ("one", "other")}
    program = Unsteady(checksum, fuel)
    with pytest.raises(Disagreement, match=f"sort on .*: the {what} is"):
        measure([program], engines, rounds=1, small=True, progress=lambda text: None)


def test_ratios_and_means() -> None:
    times = Times(best={("e", UNMETERED): 2.0, ("e", METERED): 3.0})
    assert times.ratio("e", METERED) == 1.5
    assert geometric_mean([2.0, 8.0]) == pytest.approx(4.0)


def numbers(seed: int, count: int) -> list[int]:
    found = []
    for _ in range(count):
        seed = (seed * 1664525 + 1013904223) & 0xFFFF_FFFF
        found.append(seed >> 8)
    return found


def mixed(words: list[int]) -> int:
    checksum = 0
    for word in words:
        checksum = (checksum ^ word) * 16777619 & 0xFFFF_FFFF
    return checksum


def sha256(size: int) -> int:
    digest = hashlib.sha256(bytes(index & 255 for index in range(size))).digest()
    return int.from_bytes(digest[:4], "big")


RESULTS = [
    *[("sha256", size, sha256(size)) for size in (0, 1, 55, 56, 63, 64, 65, 1_000)],
    ("sort", 500, mixed(sorted(numbers(1, 500)))),
    ("heap", 500, mixed(sorted(numbers(3, 500), reverse=True))),
    ("heap", 501, mixed(sorted(numbers(3, 501)))),
    ("interpreter", 20, sum(n % d == 0 for n in range(1, 21) for d in range(1, n + 1))),
    (
        "matrix",
        4,
        mixed(
            [
                sum((4 * i + k) % 7 * ((4 * k + j) % 5) for k in range(4))
                for i in range(4)
                for j in range(4)
            ]
        ),
    ),
    ("fibonacci", 20, 6_765),
    ("queens", 6, 4),
    ("queens", 8, 92),
    ("sieve", 1_000, 168),
]


@pytest.fixture(scope="module", params=[UNMETERED, METERED])
def guest(request: pytest.FixtureRequest) -> BackendGuest:
    wasm = PROGRAMS[0].module.read_bytes()
    return BackendGuest(open_backend("wasmtime"), wasm, metered=request.param == METERED)


@pytest.mark.parametrize(("kernel", "size", "result"), RESULTS)
def test_kernels_compute_what_they_say(
    kernel: str, size: int, result: int, guest: BackendGuest
) -> None:
    assert guest.call(kernel, FuncType(("i32",), ("i32",)), size) == result


@pytest.mark.skipif(
    sys.version_info[:2] != (3, 11),
    reason="compilers do not depend on the interpreter: once, on CPython 3.11, is enough",
)
@pytest.mark.parametrize("module", [kept.name for kept in KEPT])
def test_rebuilding_gives_the_committed_bytes(module: str) -> None:
    command = [sys.executable, "-m", "benchmarks.build", "--check", module]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode == NO_TOOLCHAIN:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stdout + done.stderr
