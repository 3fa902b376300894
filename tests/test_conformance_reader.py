"""Case files: what is wrong with one is told with file, case and step."""

from __future__ import annotations

from pathlib import Path

import pytest

from sen_host.backend import Capability
from sen_host_conformance import CaseError, read_cases
from sen_host_conformance.fixtures import FIXTURES, assemble
from sen_host_conformance.fixtures import main as make_fixtures
from sen_host_conformance.selection import select

HEAD = """
plugin = "puppet"
rule = "a rule"
limits.fuel = 5_000
"""

STEP = """
[[case]]
name = "first"
shows = "something"

[[case.step]]
do = "execute"
args = ["e"]
expect.result.Success = "91a165"
expect.fuel_used = 7
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "cases" / "area").mkdir(parents=True)
    return tmp_path / "cases"


def write(folder: Path, text: str, name: str = "topic") -> Path:
    path = folder / "area" / f"{name}.toml"
    path.write_text(text)
    return path


def test_a_case_with_what_its_file_says_for_all(folder: Path) -> None:
    more = STEP.replace("first", "second") + 'thread = 3\n[case.limits]\nmemory_bytes = "none"\n'
    write(folder, HEAD + STEP + more)
    first, second = read_cases(folder)
    assert first.id == "area/first"
    assert [step.do for step in first.steps] == ["load", "execute"], "a load is put in front"
    assert (first.limits.fuel, first.rule) == (5_000, "a rule")
    assert (second.limits.fuel, second.limits.memory_bytes) == (5_000, None)
    assert second.steps[1].thread == 3
    assert first.fixture.is_plugin
    assert first.fixture.text == FIXTURES / "puppet.wat"


def test_long_texts_and_bytes_are_written_out(folder: Path) -> None:
    text = """
    module = "puppet"
    rule = "a rule"
    needs = ["bulk-memory"]
    [[case]]
    name = "first"
    shows = "something"
    [[case.step]]
    do = "write"
    at = 8
    bytes = { repeat = "00ff", times = 3, before = "aa", after = "bb" }
    expect.done = true
    """
    write(folder, text)
    (case,) = read_cases(folder)
    assert case.steps[1].arguments == {"at": 8, "bytes": bytes.fromhex("aa00ff00ff00ffbb")}
    assert case.needs == (Capability.BULK_MEMORY,)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("[[case]]", "[[case]", "Expected"),
        ('name = "first"', "", "case 1: it needs 'name', a text"),
        ('name = "first"', 'name = "first"\ncolour = 1', "case 'first': there is no key 'colour'"),
        ('plugin = "puppet"', "", "it needs either a plugin or a module"),
        ('plugin = "puppet"', 'plugin = "pupet"', "there is no fixture 'pupet'"),
        ("limits.fuel = 5_000", "limits.fule = 1", "there is no key 'fule'"),
        ("limits.fuel = 5_000", "limits.fuel = -1", "limits.fuel is -1"),
        ('rule = "a rule"', "", "it needs 'rule', a text"),
        ('do = "execute"', 'do = "excute"', "no step 'excute' (did you mean 'execute'?)"),
        ('args = ["e"]', "", "step 1: execute needs 'args'"),
        ('args = ["e"]', 'args = ["e"]\nthread = 1', "thread must be"),
        ("expect.fuel_used = 7", "", "it calls the guest, so it must expect fuel_used"),
        ("expect.fuel_used = 7", "expect.fuel_used = true", "fuel_used must be a whole number"),
        ("expect.fuel_used = 7", 'expect.fuel_used = "?"', "fuel_used must be a whole number"),
        ("expect.fuel_used", "expect.fuel_spent", "there is no key 'fuel_spent'"),
        ("expect.result.Success", "expect.result = 1\nexpect.raises.error", "expect one of"),
        ("expect.result.Success", "expect.raises.error", "there is no error '91a165'"),
        ("expect.result.Success", "expect.raises.trap", "with the error's class as error"),
        ('expect.result.Success = "91a165"', "expect.done = true", "done tells too little"),
        ('shows = "something"', 'shows = "x"\nneeds = ["wings"]', "no capability 'wings'"),
        ('shows = "something"', 'shows = "x"\ninstances = 0', "instances must be 1 or more"),
        ('args = ["e"]', 'args = [{ repeat = "e" }]', "repeat needs a text and times"),
        ('args = ["e"]', 'args = [{ repeat = "e", times = 99_999_999 }]', "repeat is too long"),
    ],
)
def test_a_fault_is_told_with_its_place(folder: Path, old: str, new: str, told: str) -> None:
    text = HEAD + STEP
    assert text.count(old) == 1
    path = write(folder, text.replace(old, new))
    with pytest.raises(CaseError) as caught:
        read_cases(folder)
    assert str(caught.value).startswith(str(path))
    assert told in str(caught.value)


def test_two_cases_of_one_name(folder: Path) -> None:
    write(folder, HEAD + STEP)
    other = write(folder, HEAD + STEP, "topic2")
    with pytest.raises(CaseError, match=f"{other}: the case 'area/first' is in .*topic.toml too"):
        read_cases(folder)


def test_a_folder_without_cases(folder: Path) -> None:
    with pytest.raises(CaseError, match="holds no cases"):
        read_cases(folder)
    with pytest.raises(CaseError, match="is not a folder"):
        read_cases(folder / "away")


def test_a_fixture_that_was_not_assembled(folder: Path) -> None:
    (folder.parent / "fixtures").mkdir()
    (folder.parent / "fixtures" / "mine.wat").write_text("(module)")
    write(folder, (HEAD + STEP).replace("puppet", "mine"))
    with pytest.raises(CaseError, match="was not assembled: python -m"):
        read_cases(folder)


def test_cases_of_ones_own_stand_beside_those_of_the_suite(folder: Path) -> None:
    write(folder, HEAD + STEP)
    assert {case.id for case in select([folder])} == {
        "area/first",
        *(case.id for case in read_cases()),
    }
    assert [case.id for case in select([folder], areas=["area"])] == ["area/first"]


def test_the_suite_is_as_large_as_it_says() -> None:
    cases = read_cases()
    assert len(cases) >= 250
    assert {"packing", "bounds", "fuel", "stack", "trap", "lifecycle"} <= {c.area for c in cases}


def test_the_binaries_of_the_fixtures_are_what_their_sources_give(
    capsys: pytest.CaptureFixture[str],
) -> None:
    try:
        assemble(FIXTURES / "puppet.wat")
    except FileNotFoundError as error:
        pytest.skip(str(error))
    assert make_fixtures(["--check"]) == 0, capsys.readouterr().out


def test_no_case_names_an_engine() -> None:
    for case in read_cases():
        text = case.source.read_text().lower()
        assert "wasmtime" not in text, case.source
        assert "wasmer" not in text, case.source


WORLD = """
plugin = "survey"
functions = "wasi"
needs = ["host-functions"]
rule = "a rule"

[world]
stdin = "typed"
environ = { HOME = "/home" }
files = { "a/text" = "x", "bytes" = { hex = "00ff" }, "link" = { link = "a" }, "empty/" = "" }

[[case]]
name = "first"
shows = "something"

[[case.step]]
do = "execute"
args = []
expect.result.Success = ""
expect.fuel_used = 7
expect.stdout = ""
"""


def test_a_world(folder: Path) -> None:
    write(folder, WORLD)
    (case,) = read_cases(folder)
    world = case.world
    assert world is not None
    assert (world.functions, world.stdin, world.environ) == ("wasi", "typed", (("HOME", "/home"),))
    assert world.files == (
        ("a/text", "text", "x"),
        ("bytes", "hex", "00ff"),
        ("link", "link", "a"),
        ("empty/", "folder", ""),
    )


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('functions = "wasi"', "", "a world needs functions = 'wasi'"),
        ('functions = "wasi"', 'functions = "test"', "a world needs functions = 'wasi'"),
        ('[world]\nstdin = "typed"', "[world]\nstdin = 1", "world.stdin must be a text"),
        ('environ = { HOME = "/home" }', "environ = { HOME = 1 }", "must be a table of texts"),
        ('"a/text"', '"../text"', "must be a path below the working directory"),
        ('"a/text"', '"/text"', "must be a path below the working directory"),
        ('"empty/" = ""', '"empty/" = "x"', "is a folder"),
        ('{ link = "a" }', '{ to = "a" }', "must be a text, or a table with link or hex"),
        ('hex = "00ff"', 'hex = "0g"', "must be hexadecimal digits"),
        ("expect.stdout", "expect.called", "there is no key 'called' here"),
        ("environ =", "colour =", "world: there is no key 'colour'"),
    ],
)
def test_a_fault_in_a_world_is_told(folder: Path, old: str, new: str, told: str) -> None:
    assert WORLD.count(old) == 1
    write(folder, WORLD.replace(old, new))
    with pytest.raises(CaseError) as caught:
        read_cases(folder)
    assert told in str(caught.value)
