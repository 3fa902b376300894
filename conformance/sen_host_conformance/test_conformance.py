"""The suite under pytest: a test for each case on each host, and one that compares the hosts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sen_host.errors import SenHostError
from sen_host_conformance.case import Case
from sen_host_conformance.hosts import Host, find_hosts
from sen_host_conformance.player import DECLARED, FAILED, Played
from sen_host_conformance.reader import CaseError
from sen_host_conformance.report import differences
from sen_host_conformance.runner import SECONDS
from sen_host_conformance.selection import select
from sen_host_conformance.worker import Worker


class Players:
    """What was played by now, and the processes that play."""

    def __init__(self) -> None:
        self._workers: dict[Host, Worker] = {}
        self._played: dict[tuple[str, Host], Played] = {}

    def play(self, case: Case, host: Host) -> Played:
        place = case.id, host
        if place not in self._played:
            if host not in self._workers:
                self._workers[host] = Worker(host, seconds=SECONDS)
            self._played[place] = self._workers[host].play(case)
        return self._played[place]

    def close(self) -> None:
        for worker in self._workers.values():
            worker.close()


@pytest.fixture(scope="session")
def players() -> Iterator[Players]:
    made = Players()
    yield made
    made.close()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    config = metafunc.config
    try:
        cases = select(config.getoption("--sen-cases"), config.getoption("--sen-area"))
        hosts = find_hosts(
            config.getoption("--sen-backend"), workers=config.getoption("--sen-workers")
        )
    except (CaseError, SenHostError) as error:
        raise pytest.UsageError(str(error)) from error
    if "host" in metafunc.fixturenames:
        metafunc.parametrize("host", hosts, ids=str)
    else:
        metafunc.parametrize("hosts", [hosts], ids=[f"{len(hosts)}-backends"])
    metafunc.parametrize("case", cases, ids=lambda case: case.id)


def test_case(case: Case, host: Host, players: Players) -> None:
    played = players.play(case, host)
    if played.verdict == DECLARED:
        pytest.xfail(played.why or "")
    if played.verdict == FAILED:
        faults = [f"step {fault.step + 1}: {fault}" for fault in played.faults]
        reason = "\n".join([*([played.why] if played.why else []), *faults])
        pytest.fail(f"{case.shows}\n({case.rule})\n{reason}", pytrace=False)


def test_backends_agree(case: Case, hosts: tuple[Host, ...], players: Players) -> None:
    if len(hosts) < 2:
        pytest.skip("there is one backend, and nothing to compare it with")
    played = {str(host): players.play(case, host) for host in hosts}
    bindings = {str(host): host.describe() for host in hosts}
    found = differences(case, played, bindings)
    if found:
        pytest.fail("\n".join(f"step {item.step + 1}: {item}" for item in found), pytrace=False)
