"""A run of the suite: its judgements, and what it survives."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from sen_host.backend import Backend, Binding, Capability, Lack, Module
from sen_host.engines import open_backend
from sen_host.errors import BackendUnavailable, UnknownBackend
from sen_host.limits import Limits
from sen_host_conformance import Case, as_json, as_junit, find_hosts, read_cases, run
from sen_host_conformance.fill import main as fill
from sen_host_conformance.matrix import as_markdown
from sen_host_conformance.matrix import main as make_matrix
from sen_host_conformance.player import DECLARED, FAILED, PASSED
from sen_host_conformance.report import differences

FILE = """
module = "counter"
rule = "WebAssembly 2.0, section 4.4"

[[case]]
name = "add"
shows = "a global keeps what it is set to"

[[case.step]]
do = "call"
function = "add"
args = [0xffff_ffff]
expect.returns = [0xffff_ffff]
expect.fuel_used = 6

[[case.step]]
do = "call"
function = "add"
args = [2]
expect.returns = [1]
expect.fuel_used = 6

[[case]]
name = "divide"
shows = "a division by zero traps"
needs = ["counters-after-trap"]

[[case.step]]
do = "call"
function = "divide"
args = [7, 0]
expect.raises.error = "FunctionCall"
expect.raises.trap = "integer divide by zero"
expect.fuel_used = 4
"""

COUNTER = """
(module
  (memory (export "memory") 1)
  (global $sum (mut i32) (i32.const 0))
  (func (export "add") (param i32) (result i32)
    (global.set $sum (i32.add (global.get $sum) (local.get 0)))
    (global.get $sum))
  (func (export "divide") (param i32 i32) (result i32)
    (i32.div_u (local.get 0) (local.get 1))))
"""


class Wrapped(Backend):
    """Wasmtime, under a name of its own."""

    name = "wrapped"
    lacks: tuple[Lack, ...] = ()

    def __init__(self, binding: Binding) -> None:
        super().__init__(binding)
        self.inner = open_backend("wasmtime", isolation="none")

    @classmethod
    def bindings(cls) -> tuple[Binding, ...]:
        return (Binding(name="only", engine="Wrapped 1.0", lacks=cls.lacks),)

    def validate(self, wasm: bytes) -> None:
        self.inner.validate(wasm)

    def compile(self, wasm: bytes, limits: Limits) -> Module:
        return self.inner.compile(wasm, limits)


class Modest(Wrapped):
    """It declares that it lacks what it does not lack."""

    lacks = (Lack(Capability.COUNTERS_AFTER_TRAP, "never", "it is modest"),)


class Hiding(Wrapped):
    """It declares a lack, and does what needs it, if wrong."""

    lacks = (Lack(Capability.MULTI_VALUE, "never", "it has something to hide"),)


class Absent(Wrapped):
    @classmethod
    def bindings(cls) -> tuple[Binding, ...]:
        return (Binding(name="only", engine="Absent", reason="its engine is not installed"),)


class Unopenable(Wrapped):
    def __init__(self, binding: Binding) -> None:
        raise RuntimeError("no such luck")


class Crashing(Wrapped):
    def compile(self, wasm: bytes, limits: Limits) -> Module:
        import os
        import sys

        print("the last words", file=sys.stderr, flush=True)
        os._exit(7)


class Hanging(Wrapped):
    def compile(self, wasm: bytes, limits: Limits) -> Module:
        import time

        time.sleep(600)
        raise AssertionError


class Leaking(Wrapped):
    """An exception of its own gets out."""

    def compile(self, wasm: bytes, limits: Limits) -> Module:
        raise KeyError("something of the engine's")


HERE = "tests.test_conformance_run"


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> tuple[Case, ...]:
    from wasmtime import wat2wasm

    folder = tmp_path_factory.mktemp("mine")
    (folder / "fixtures").mkdir()
    (folder / "fixtures" / "counter.wat").write_text(COUNTER)
    (folder / "fixtures" / "counter.wasm").write_bytes(wat2wasm(COUNTER))
    (folder / "cases" / "mine").mkdir(parents=True)
    (folder / "cases" / "mine" / "counter.toml").write_text(FILE)
    return read_cases(folder / "cases")


def test_every_way_to_run_a_plugin_passes_and_agrees(cases: tuple[Case, ...]) -> None:
    seen = []
    report = run(cases, find_hosts(workers=True), progress=lambda *facts: seen.append(facts))
    assert report.passed
    assert len(seen) == len(cases) * len(report.bindings)
    assert report.areas == ("mine",)
    for host, binding in report.bindings.items():
        knows = binding.has(Capability.COUNTERS_AFTER_TRAP)
        assert report.count(host, PASSED) == (2 if knows else 1)
        assert report.count(host, DECLARED) == (0 if knows else 1)
    assert report.head["fuel schedule"] == "1"


def test_what_is_not_as_expected_fails_with_the_field_and_both_values(
    cases: tuple[Case, ...],
) -> None:
    case = cases[0]
    step = replace(case.steps[2], expect={"returns": [2], "fuel_used": 5})
    report = run([replace(case, steps=(*case.steps[:2], step))], find_hosts(["wasmtime-c-api"]))
    assert not report.passed
    (played,) = report.results[0].played.values()
    assert [(fault.step, fault.field, fault.expected, fault.seen) for fault in played.faults] == [
        (2, "returns", [2], [1]),
        (2, "fuel_used", 5, 6),
    ]


def test_a_capability_that_is_declared_as_lacking_and_is_there_is_a_failure(
    cases: tuple[Case, ...],
) -> None:
    report = run(cases, find_hosts([f"{HERE}:Modest"]))
    add, divide = (result.played["Modest-only"] for result in report.results)
    assert add.verdict == PASSED
    assert divide.verdict == FAILED
    assert "although the binding declares that it lacks counters-after-trap" in (divide.why or "")


def test_a_crash_fails_the_case_with_the_last_words_and_the_run_goes_on(
    cases: tuple[Case, ...],
) -> None:
    report = run(cases, find_hosts([f"{HERE}:Crashing", "wasmtime"]))
    for result in report.results:
        played = result.played["Crashing-only"]
        assert played.verdict == FAILED
        assert "died with exit code 7: the last words" in (played.why or "")
        assert result.played["wasmtime-c-api"].verdict == PASSED


def test_a_hang_fails_the_case(cases: tuple[Case, ...]) -> None:
    report = run(cases[:1], find_hosts([f"{HERE}:Hanging"]), seconds=2)
    (played,) = report.results[0].played.values()
    assert played.verdict == FAILED
    assert played.why == "there was no end to it within 2 s"


def test_a_declared_lack_explains_a_refusal_and_not_a_wrong_answer(
    cases: tuple[Case, ...],
) -> None:
    wrong = replace(cases[0].steps[2], expect={"returns": [2], "fuel_used": 6})
    case = replace(cases[0], needs=(Capability.MULTI_VALUE,), steps=(*cases[0].steps[:2], wrong))
    report = run([case], find_hosts([f"{HERE}:Hiding"]))
    (played,) = report.results[0].played.values()
    assert played.verdict == FAILED
    assert "that does not explain every fault" in (played.why or "")


def test_a_backend_that_cannot_be_opened_fails_its_cases_alone(cases: tuple[Case, ...]) -> None:
    report = run(cases[:1], find_hosts([f"{HERE}:Unopenable", "wasmtime"]))
    played = report.results[0].played
    assert played["Unopenable-only"].verdict == FAILED
    assert played["wasmtime-c-api"].verdict == PASSED


def test_an_exception_that_is_none_of_ours_is_a_failure(cases: tuple[Case, ...]) -> None:
    report = run(cases[:1], find_hosts([f"{HERE}:Leaking"]))
    (played,) = report.results[0].played.values()
    assert played.verdict == FAILED
    assert played.faults[0].seen == 'KeyError: "something of the engine\'s"'


def test_backends_are_compared_in_what_no_case_expects(cases: tuple[Case, ...]) -> None:
    report = run(cases[:1], find_hosts(["wasmtime-public"]))
    (played,) = report.results[0].played.values()
    other = replace(played, seen=(*played.seen[:2], {**played.seen[2], "memory_bytes": 1}))
    bindings = {"a": Binding(name="a", engine="A"), "b": Binding(name="b", engine="B")}
    (found,) = differences(cases[0], {"a": played, "b": other}, bindings)
    assert (found.step, found.field, found.seen) == (2, "memory_bytes", {"a": 65536, "b": 1})


def test_hosts_by_name() -> None:
    c_api, public = find_hosts(["wasmtime"])
    assert (str(c_api), str(public)) == ("wasmtime-c-api", "wasmtime-public")
    assert [str(host) for host in find_hosts(["wasmtime"], workers=True)] == [
        "wasmtime-c-api",
        "wasmtime-c-api-worker",
        "wasmtime-public",
        "wasmtime-public-worker",
    ]
    both = find_hosts(["wasmtime-c-api"], workers=True)
    assert [str(host) for host in both] == ["wasmtime-c-api", "wasmtime-c-api-worker"]
    assert find_hosts(["wasmtime-c-api-worker"]) == both[1:]
    assert find_hosts(["wasmtime", "wasmtime-c-api"]) == (c_api, public), "each once"
    with pytest.raises(UnknownBackend, match="there is no backend 'wasmtim'"):
        find_hosts(["wasmtim"])
    with pytest.raises(BackendUnavailable, match="cannot be imported"):
        find_hosts(["nowhere:Nothing"])
    with pytest.raises(BackendUnavailable, match="not a subclass"):
        find_hosts(["pathlib:Path"])
    with pytest.raises(BackendUnavailable, match="cannot be imported"):
        find_hosts([":Nothing"])
    with pytest.raises(BackendUnavailable, match="only: its engine is not installed"):
        find_hosts([f"{HERE}:Absent"])
    with pytest.raises(ValueError, match="no host"):
        run(read_cases(), ())


def test_the_report_as_json_and_as_junit(cases: tuple[Case, ...]) -> None:
    report = run(cases, find_hosts(["wasmtime", f"{HERE}:Modest"]))
    written = json.loads(json.dumps(as_json(report)))
    assert [case["id"] for case in written["cases"]] == ["mine/add", "mine/divide"]
    assert written["fixtures"]["counter"]["text"] == COUNTER
    assert written["cases"][1]["played"]["Modest-only"]["verdict"] == FAILED
    root = ElementTree.fromstring(as_junit(report))
    failures = [
        (case.get("classname"), case.get("name"))
        for case in root.iter("testcase")
        if case.find("failure") is not None
    ]
    assert failures == [("Modest-only.mine", "divide")]
    with pytest.raises(ValueError, match="a case failed"):
        as_markdown([written])


def test_the_matrix_is_made_from_reports(
    cases: tuple[Case, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "report.json"
    path.write_text(json.dumps(as_json(run(cases, find_hosts(["wasmtime"])))))
    assert make_matrix([str(path)]) == 0
    page = capsys.readouterr().out
    assert "| `wall-clock` | yes |" in page
    assert "| mine | 2 passed |" in page
    assert make_matrix([str(tmp_path / "away")]) == 1


def test_figures_are_filled_in(cases: tuple[Case, ...], capsys: pytest.CaptureFixture[str]) -> None:
    text = FILE.replace("fuel_used = 6", 'fuel_used = "?"', 1)
    path = cases[0].source.with_name("open.toml")
    path.write_text(text)
    try:
        assert fill([str(path)]) == 0
        assert path.read_text() == FILE
        path.write_text(text.replace('"add"', '"ad"'))
        assert fill([str(path)]) == 1
        assert "step 2: nothing seen" in capsys.readouterr().err
    finally:
        path.unlink()


def test_the_case_in_the_documentation_passes(tmp_path: Path) -> None:
    page = (Path(__file__).parents[1] / "docs" / "conformance.md").read_text()
    text = page.partition("```toml\n")[2].partition("```")[0]
    path = tmp_path / "cases" / "documented" / "example.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    report = run(read_cases(path.parent.parent), find_hosts(["wasmtime"]))
    assert report.passed, report.results[0].played
