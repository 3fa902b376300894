"""The suite is tested too: every planted fault must be caught, by the area that should."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

from sen_host_conformance.case import Case
from sen_host_conformance.hosts import Host, find_hosts
from sen_host_conformance.player import DECLARED, FAILED, PASSED, Played
from sen_host_conformance.reader import read_file
from sen_host_conformance.report import Report
from sen_host_conformance.runner import run
from sen_host_conformance.selection import select
from sen_host_conformance.worker import Worker
from tests.broken import counters, exchanges, imports, lifecycle, memory, profile, traps, values
from tests.broken.base import PlainBackend, PlainCompositeBackend
from tests.broken.counters import CountersLostAfterTrap, FuelReadOneTooHigh
from tests.broken.honest import LACKS, LacksMuch
from tests.broken.memory import SizeOf16Pages
from tests.broken.traps import DivisionAndOverflowSwapped

FILES = (counters, exchanges, imports, lifecycle, memory, profile, traps, values)


def planted(file: ModuleType) -> Iterator[type[PlainBackend]]:
    for value in vars(file).values():
        if isinstance(value, type) and issubclass(value, PlainBackend) and "area" in vars(value):
            yield value


FAULTS = [fault for file in FILES for fault in planted(file)]


@cache
def all_cases() -> tuple[Case, ...]:
    return select()


def host_of(backend: type[PlainBackend]) -> Host:
    (host,) = find_hosts([f"{backend.__module__}:{backend.__name__}"])
    return host


def lines(played: Played) -> list[str]:
    """What the suite says of a failure."""
    return [*map(str, played.faults), *([played.why] if played.why else [])]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_planted_fault_is_caught(fault: type[PlainBackend]) -> None:
    wanted = re.compile(fault.says)
    said = []
    with Worker(host_of(fault), seconds=fault.seconds) as worker:
        for case in all_cases():
            if case.area != fault.area:
                continue
            played = worker.play(case)
            if played.verdict == FAILED:
                if any(wanted.search(line) for line in lines(played)):
                    return
                said += [f"{case.id}: {line}" for line in lines(played)]
    pytest.fail("\n".join([f"no case of {fault.area!r} says {fault.says!r}; they say", *said]))


def test_each_area_catches_a_fault() -> None:
    areas = {case.area for case in all_cases()}
    assert areas - {fault.area for fault in FAULTS} == set()


def failures(report: Report) -> list[str]:
    return [
        f"{result.case.id} on {host}: {line}"
        for result in report.results
        for host, played in result.played.items()
        if played.verdict == FAILED
        for line in lines(played)
    ]


@pytest.mark.parametrize("backend", [PlainBackend, PlainCompositeBackend])
def test_what_the_faults_are_planted_in_passes(backend: type[PlainBackend]) -> None:
    areas = {fault.area for fault in FAULTS if issubclass(fault, backend)}
    report = run([case for case in all_cases() if case.area in areas], [host_of(backend)])
    assert (failures(report), report.passed) == ([], True)


def test_a_backend_that_declares_what_it_lacks_fails_nothing() -> None:
    report = run(all_cases(), [host_of(LacksMuch)])
    assert (failures(report), report.passed) == ([], True)
    declared = [result.case for result in report.results if result.verdict == DECLARED]
    # There is a case for each capability, and it fails without.
    needed = {need for case in declared for need in case.needs}
    assert needed >= {lack.capability for lack in LACKS}


def test_backends_are_judged_by_each_other_as_well() -> None:
    good, broken = host_of(PlainBackend), host_of(FuelReadOneTooHigh)
    (result,) = run(select(names=["lifecycle/twin-one"]), [good, broken]).results
    assert [result.played[str(host)].verdict for host in (good, broken)] == [PASSED, FAILED]
    assert [str(item) for item in result.differences if item.step == 1] == [
        "fuel_used differs: PlainBackend-c-api: 2; FuelReadOneTooHigh-c-api: 1",
        "fuel_left differs: PlainBackend-c-api: 9999998; FuelReadOneTooHigh-c-api: 9999999",
    ]


UNEXPECTING = """
[[case]]
name = "unexpecting"
shows = "what no case expects is compared all the same"
rule = "none"
plugin = "puppet"

[[case.step]]
do = "execute"
args = ["td"]
expect.raises.error = "FunctionCall"
expect.fuel_used = "any"
"""


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        (FuelReadOneTooHigh, {(0, "fuel_used"), (0, "fuel_left")}),
        (SizeOf16Pages, {(0, "memory_bytes")}),
        (DivisionAndOverflowSwapped, {(1, "raises.trap"), (1, "raises.message")}),
        pytest.param(CountersLostAfterTrap, set(), id="what may be anything is not compared"),
    ],
)
def test_what_no_case_expects_is_compared(
    fault: type[PlainBackend], seen: set[tuple[int, str]], tmp_path: Path
) -> None:
    path = tmp_path / "cases" / "area" / "unexpecting.toml"
    path.parent.mkdir(parents=True)
    path.write_text(UNEXPECTING)
    report = run(read_file(path), [host_of(PlainBackend), host_of(fault)])
    (result,) = report.results
    assert {played.verdict for played in result.played.values()} == {PASSED}
    assert {(item.step, item.field) for item in result.differences} == seen
    assert report.passed == (not seen)
