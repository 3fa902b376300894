"""``sen-host conformance``, and the same under pytest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

import sen_host_conformance
from tests.test_cli.conftest import Cli, environment
from tests.test_cli.test_cli_terminal import on_a_terminal

AREA = "packing"
WRONG = """
plugin = "chello"
rule = "a rule of \\u001b[2J ours"
[[case]]
name = "wrong"
shows = "a case that expects what is not so"
[[case.step]]
do = "execute"
args = ["Ada"]
expect.result.Success = "Hello, Bob"
expect.fuel_used = 1
"""


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    path = tmp_path / "cases" / "mine" / "wrong.toml"
    path.parent.mkdir(parents=True)
    path.write_text(WRONG)
    return tmp_path / "cases"


def test_an_area_on_one_backend(cli: Cli) -> None:
    answer = cli("conformance", "--backend", "wasmtime-c-api", "--area", AREA)
    assert answer.code == 0, answer.stdout
    assert "fuel schedule  1" in answer.stdout
    assert "nothing to compare it with" in answer.stdout
    assert answer.stderr == "", "progress is for terminals"


def test_a_failure_is_shown_with_expected_and_seen(cli: Cli, wrong: Path) -> None:
    answer = cli("conformance", "--cases", wrong, "--case", "mine/wrong")
    assert answer.code == 1
    for text in (
        "failed  mine/wrong",
        "shows: a case that expects what is not so",
        "rule:  a rule of \\x1b[2J ours",
        "step 2: execute(args=['Ada'])",
        '- expected {"Success": "Hello, Bob"}',
        '+ seen     {"Success": "Hello, Ada"}',
        "- expected 1\n",
        "1 of 1 case failed on",
        str(wrong / "mine" / "wrong.toml"),
    ):
        assert text in answer.stdout


def test_reports_as_json_junit_and_html(cli: Cli, wrong: Path, tmp_path: Path) -> None:
    arguments = ("--backend", "wasmtime-c-api", "--cases", wrong, "--area", "mine", "--json")
    files = ("--junit", tmp_path / "junit.xml", "--html", tmp_path / "report.html")
    answer = cli("conformance", *arguments, *files)
    assert answer.code == 1
    assert [case["id"] for case in answer.json["cases"]] == ["mine/wrong"]
    root = ElementTree.parse(tmp_path / "junit.xml").getroot()
    assert [case.get("name") for case in root.iter("testcase")] == ["wrong"]
    assert "mine/wrong" in (tmp_path / "report.html").read_text()
    assert f"note: wrote {tmp_path / 'junit.xml'}" in answer.stderr


def test_cases_are_listed(cli: Cli, wrong: Path) -> None:
    listed = cli("conformance", "--list").stdout.splitlines()
    assert [line.split()[0] for line in listed] == [
        case.id for case in sen_host_conformance.read_cases()
    ]
    only = cli("conformance", "--list", "--json", "--cases", wrong, "--area", "mine").json
    assert [case["id"] for case in only] == ["mine/wrong"]


@pytest.mark.parametrize(
    ("arguments", "told", "hint"),
    [
        (["--area", "packin"], "there is no area 'packin'", "did you mean 'packing'?"),
        (["--case", "fuel/nothing-like-it-xyz"], "there is no case", "--list"),
        (["--backend", "wasmtine"], "there is no backend 'wasmtine'", "there are wasmtime"),
        (["--cases", "away"], "away is not a folder", ""),
        (["--html", "away/page.html"], "away is not a folder", ""),
        (["--junit", "."], ". is a folder", ""),
        (["--seed", "3"], "--seed needs --fuzz", ""),
        (["--fuzz", "3", "--area", "fuel"], "--area cannot be used with --fuzz", ""),
    ],
)
def test_misuse_is_told_before_anything_runs(
    cli: Cli, arguments: list[str], told: str, hint: str
) -> None:
    answer = cli("conformance", *arguments)
    assert answer.code == 121
    assert told in answer.stderr
    assert hint in answer.stderr


def test_progress_on_a_terminal() -> None:
    shown = on_a_terminal("conformance", "--backend", "wasmtime", "--area", AREA, columns=120)
    assert "conformance" in shown
    assert f"{AREA}/" in shown


def test_fuzz_mode(cli: Cli) -> None:
    # Not on all backends: a worker takes its time for so many calls.
    fuzz = ("conformance", "--backend", "wasmtime:c-api", "--backend", "wasmtime:public")
    answer = cli(*fuzz, "--fuzz", "2", "--seed", "5", "--jobs", "1", "--json")
    assert answer.code == 0, answer.stdout
    assert answer.json["modules"] == 2
    assert answer.json["differences"] == []
    again = cli(*fuzz, "--fuzz", "1", "--seed", "5", "--first", "1", "--jobs", "1")
    assert "differences  0" in again.stdout


def run_pytest(*arguments: str) -> subprocess.CompletedProcess[str]:
    pytest_ = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    return subprocess.run(
        [*pytest_, "--pyargs", "sen_host_conformance", *arguments],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=300,
    )


def test_under_pytest(wrong: Path) -> None:
    done = run_pytest("--sen-backend", "wasmtime-public", "--sen-area", AREA, "-rs")
    assert done.returncode == 0, done.stdout
    assert "nothing to compare it with" in done.stdout
    failed = run_pytest("--sen-cases", str(wrong), "--sen-area", "mine")
    assert failed.returncode == 1
    assert "a case that expects what is not so" in failed.stdout
    assert "fuel_used: expected 1" in failed.stdout
    misused = run_pytest("--sen-backend", "wasmtine")
    assert misused.returncode != 0
    assert "there is no backend 'wasmtine'" in misused.stdout + misused.stderr
