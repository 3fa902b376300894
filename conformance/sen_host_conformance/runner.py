"""Run cases on hosts, each host in processes of its own, and judge the hosts by each other."""

from __future__ import annotations

import os
import platform
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from time import perf_counter

from sen_host import API_VERSION, FUEL_SCHEDULE, __version__
from sen_host.backend import Binding
from sen_host_conformance.case import Case
from sen_host_conformance.hosts import Host
from sen_host_conformance.player import Played
from sen_host_conformance.report import CaseResult, Report, differences
from sen_host_conformance.worker import Worker

SECONDS = 60.0
"""How long one case may take."""

Progress = Callable[[Case, Host, Played], None]


def run(
    cases: Iterable[Case],
    hosts: Sequence[Host],
    *,
    jobs: int | None = None,
    seconds: float = SECONDS,
    progress: Progress | None = None,
) -> Report:
    """Play each case on each host.

    Args:
        jobs: how many cases are played at the same time; by default, as many as
            there are processors.
        seconds: how long a case may take before it counts as hung.
        progress: called after each case on each host, one call at a time.

    Raises:
        ValueError: ``hosts`` is empty.
    """
    if not hosts:
        raise ValueError("there is no host to play on")
    started = perf_counter()
    listed = tuple(cases)
    played = _Played(progress)
    jobs = jobs or os.cpu_count() or 1
    slots = threading.Semaphore(jobs)
    threads = []
    for host in hosts:
        queue = deque(_together(listed, host))
        for _ in range(min(jobs, len(queue))):
            work = threading.Thread(
                target=_work, args=(host, queue, slots, seconds, played), daemon=True
            )
            work.start()
            threads.append(work)
    try:
        for thread in threads:
            thread.join()
    except BaseException:
        played.stop()
        raise
    if played.error is not None:
        raise played.error
    bindings = {str(host): host.describe() for host in hosts}
    results = tuple(
        CaseResult(case, found, differences(case, found, bindings))
        for case in listed
        for found in [{str(host): played.by_place[case.id, str(host)] for host in hosts}]
    )
    return Report(_head(bindings), bindings, results, perf_counter() - started)


def _together(cases: Sequence[Case], host: Host) -> list[list[Case]]:
    """Cases that are played one after the other in one process; the longest lists first.

    In worker processes these are cases that load the same, else those of one file: some
    show that one does not disturb the next.
    """
    groups: dict[object, list[Case]] = {}
    for case in cases:
        key = case.loads if host.isolation == "process" else case.source
        groups.setdefault(key, []).append(case)
    return sorted(groups.values(), key=len, reverse=True)


class _Played:
    """What was played so far, by all threads."""

    def __init__(self, progress: Progress | None) -> None:
        self.by_place: dict[tuple[str, str], Played] = {}
        self.stopped = threading.Event()
        self.workers: list[Worker] = []
        self.error: BaseException | None = None
        self._progress = progress
        self._lock = threading.Lock()

    def stop(self) -> None:
        """Play no more, and end the processes."""
        self.stopped.set()
        for worker in list(self.workers):
            worker.kill()

    def add(self, case: Case, host: Host, played: Played) -> None:
        with self._lock:
            self.by_place[case.id, str(host)] = played
            if self._progress is not None:
                self._progress(case, host, played)


def _work(
    host: Host,
    queue: deque[list[Case]],
    slots: threading.Semaphore,
    seconds: float,
    played: _Played,
) -> None:
    try:
        with Worker(host, seconds=seconds) as worker:
            played.workers.append(worker)
            while not played.stopped.is_set():
                try:
                    cases = queue.popleft()
                except IndexError:
                    return
                for case in cases:
                    if played.stopped.is_set():
                        return
                    with slots:
                        done = worker.play(case)
                    played.add(case, host, done)
    except BaseException as error:
        played.error = error
        played.stopped.set()


def _head(bindings: Mapping[str, Binding]) -> dict[str, str]:
    packages = dict.fromkeys(package for b in bindings.values() for package in b.packages)
    return {
        "sen-host": __version__,
        "fuel schedule": str(FUEL_SCHEDULE),
        "plugin API": str(API_VERSION),
        "engines": ", ".join(dict.fromkeys(binding.engine for binding in bindings.values())),
        "packages": ", ".join((*packages, f"msgpack {version('msgpack')}")),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": platform.platform(),
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
