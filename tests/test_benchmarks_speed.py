"""The benchmark of calls, starts and scale runs, checks what it runs, and counts right."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.__main__ import main
from benchmarks.build import ECHO
from benchmarks.speed.charts import CHARTS
from benchmarks.speed.command import render
from benchmarks.speed.growth import padded
from benchmarks.speed.peers import port
from benchmarks.speed.rows import ROWS
from benchmarks.speed.sampling import Contestant, WrongResult, slope, spread, take_turns
from sen_host import PluginLoader
from sen_host.engines import backends
from sen_host.messages import Error, Success
from sen_host.wasm.reader import parse

PLUGINS = Path(__file__).parents[1] / "plugins"
WORDCOUNT = PLUGINS / "wordcount" / "wordcount.wasm"
RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
ROW_OF_WASMER = {"native": "execute-wasmer", "sdk": "execute-worker"}


class Run(NamedTuple):
    """A run's exit code, what it printed, and the folder that it wrote."""

    code: int
    printed: str
    folder: Path

    @property
    def rows(self) -> dict[str, Any]:
        rows: dict[str, Any] = json.loads((self.folder / "speed.json").read_text())["rows"]
        return rows


def run_it(folder: Path, *arguments: str) -> Run:
    with redirect_stdout(io.StringIO()) as printed:
        code = main(["speed", "--quick", "--output", str(folder), *arguments])
    return Run(code, printed.getvalue(), folder)


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of all rows, where Extism cannot be imported whether it is installed or not."""
    folder = tmp_path_factory.mktemp("speed")
    (folder / "extism.py").write_text("raise ImportError('no Extism in this test')\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
        return run_it(folder / "out", "--python310", sys.executable)


def test_each_row_is_measured_or_says_why_not(quick: Run) -> None:
    assert quick.code == 0
    assert list(quick.rows) == [row.name for row in ROWS]
    working = {
        ROW_OF_WASMER[binding.name]
        for info in backends()
        for binding in info.bindings
        if info.name == "wasmer" and binding.available
    }
    for row in ROWS:
        for figure, found in zip(row.figures, quick.rows[row.name]["figures"], strict=True):
            absent = (
                "Extism" in figure.text
                or row.name in {*ROW_OF_WASMER.values()} - working
                or "above 1 MB" in figure.text
            )
            assert (found["verdict"] == "not measured") is absent, (row.name, found)
            if absent:
                assert found["found"] is None
                assert f"not measured: {found['reason'].splitlines()[0]}" in quick.printed
            else:
                assert found["found"]["low"] <= found["found"]["median"] <= found["found"]["high"]
    assert "no Extism in this test" in quick.rows["execute-64"]["figures"][1]["reason"]


def test_figures_are_those_of_the_contestants(quick: Run) -> None:
    [port_figure, _] = quick.rows["execute-64"]["figures"]
    times = quick.rows["execute-64"]["contestants"]
    assert times.keys() == {"sen-host", "port"}
    # Two rounds: the median ratio lies between those of the extremes.
    least = times["port"]["low"] / times["sen-host"]["high"]
    most = times["port"]["high"] / times["sen-host"]["low"]
    assert least * 0.99 <= port_figure["found"]["median"] <= most * 1.01
    assert quick.rows["plugins"]["figures"][0]["found"]["median"] == 10
    assert quick.rows["plugins"]["figures"][0]["verdict"] == "NOT reached"
    assert quick.rows["load-size"]["contestants"].keys() == {"10000", "100000"}


def test_the_charts_show_the_figures(quick: Run) -> None:
    drawn = {
        name: ElementTree.fromstring((quick.folder / name).read_text()).itertext()
        for name in CHARTS
    }
    calls = list(drawn["calls.svg"])
    assert {"64 bytes", "64 KiB", "wasmtime-py, plain", "sen-host"} < set(calls)
    assert "Extism" not in calls
    assert "sen-host" in drawn["starts.svg"]
    assert {"10 KB", "100 KB"} < set(drawn["load.svg"])


def test_the_page_has_each_figure(quick: Run) -> None:
    page = (quick.folder / "speed.md").read_text()
    for row in quick.rows.values():
        for figure in row["figures"]:
            assert f"| {row['work']} | {figure['text']} |" in page
    assert re.search("Not measured, `execute-64`: .*no Extism in this test", page)


def test_the_committed_page_and_charts_are_those_of_the_committed_figures() -> None:
    report = json.loads((RESULTS / "speed.json").read_text())
    assert list(report["rows"]) == [row.name for row in ROWS]
    rendered = render(report)
    assert {path.name for path in RESULTS.iterdir()} == {"speed.json", *rendered}
    for name, text in rendered.items():
        assert (RESULTS / name).read_text() == text


def test_a_trial_that_fails_is_named_and_ends_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = str(tmp_path / "python")
    chosen = ["--only", "execute-wasmer", "--only", "instances"]
    run = run_it(tmp_path, "--python310", missing, *chosen)
    assert run.code == 1
    assert f"execute-wasmer failed: {missing} cannot be started" in capsys.readouterr().err
    assert run.rows["execute-wasmer"]["figures"][0]["verdict"] == "not measured"
    assert run.rows["instances"]["figures"][0]["verdict"] != "not measured"
    assert not (tmp_path / "calls.svg").exists()


@pytest.mark.parametrize(
    "wrong",
    [["none"], ["speed", "--only", "none"], ["speed", "--output", "pyproject.toml/none"]],
)
def test_a_wrong_option_is_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        sys.exit(main(wrong))
    assert end.value.code == 2
    assert wrong[-1] in capsys.readouterr().err


def test_whoever_gives_another_result_ends_it() -> None:
    answers = iter([*"aaaaaaaaaa", *"b" * 100_000])
    contestants = {
        "steady": Contestant(lambda: "a", "a"),
        "unsteady": Contestant(lambda: next(answers), "a"),
    }
    with pytest.raises(WrongResult, match="unsteady gave 'b', not 'a'"):
        take_turns(contestants, rounds=5, seconds=0.001, progress=lambda text: None)


def test_they_take_turns() -> None:
    order: list[str] = []

    def call(name: str) -> Contestant:
        return Contestant(lambda: order.append(name), None)

    # No time at all: one call a turn, and one to find that out.
    samples = take_turns(
        {"one": call("one"), "other": call("other")},
        rounds=3,
        seconds=0,
        progress=lambda text: None,
    )
    assert order[2:] == ["one", "other", "other", "one", "one", "other"]
    assert [len(values) for values in samples.values()] == [3, 3]


def test_median_and_quartiles() -> None:
    assert spread([7.0]) == (7, 7, 7)
    assert spread([4.0, 1.0, 3.0, 2.0, 5.0]) == (2, 3, 4)
    assert spread([1.0, 2.0]) == (1.25, 1.5, 1.75)


@given(
    st.floats(-3, 3),
    st.floats(1e-3, 1e3),
    st.lists(st.integers(1, 10**6), min_size=2, max_size=9, unique=True),
)
def test_the_slope_is_the_power(power: float, factor: float, xs: list[int]) -> None:
    points = [(float(x), factor * x**power) for x in xs]
    assert slope(points) == pytest.approx(power, abs=1e-6)


@pytest.mark.parametrize("size", [6_000, 20_000, 100_000])
def test_a_padded_plugin_has_the_size_and_works(size: int) -> None:
    original = WORDCOUNT.read_bytes()
    wasm = padded(original, size, mark=1)
    longest_function = max(end - start for start, end in parse(original).function_bodies)
    assert abs(len(wasm) - size) < longest_function + 500
    assert wasm != padded(original, size, mark=2)
    loader = PluginLoader(backend="wasmtime")
    with loader.load(original) as plain, loader.load(wasm) as plugin:
        assert plugin.execute(["one two"]) == plain.execute(["one two"])


@pytest.mark.parametrize(
    ("module", "args"),
    [
        (ECHO, ["Größe"]),
        (ECHO, []),
        (PLUGINS / "chello" / "chello.wasm", ["Alice"]),
        (PLUGINS / "greet" / "greet.wasm", ["Alice", "Good morning"]),
    ],
)
def test_the_port_gives_what_the_host_gives(module: Path, args: list[str]) -> None:
    with PluginLoader(backend="wasmtime").load(module) as plugin:
        ours = plugin.execute(args)
    result = port.PortedPlugin(module.read_bytes()).execute(args)
    if isinstance(result, port.Success):
        assert ours == Success(result.text)
    else:
        assert ours == Error(result.code, result.message)
