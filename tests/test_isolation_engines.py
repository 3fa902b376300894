"""The real engines in a worker: an endless loop is stopped, whatever the engine can do itself."""

from __future__ import annotations

import pytest

from sen_host import Limits
from sen_host.errors import WallClockExceeded
from sen_host.messages import Success
from sen_host_conformance.hosts import Host
from tests.conftest import HOSTS
from tests.wat import ANSWER, ANSWER_AT, Wat, message

WORKERS = [host for host in HOSTS if host.isolation == "process"]

# Answers if there are no arguments (which encode as one byte), else loops.
LOOPS_ON_ARGUMENTS = Wat(
    execute=f"""
    (if (i32.gt_u (local.get $length) (i32.const 1)) (then (loop $more (br $more))))
    {message(ANSWER_AT, ANSWER)}
    """
).wasm()


@pytest.mark.parametrize("worker", WORKERS, ids=str)
def test_an_endless_loop_is_stopped_and_the_plugin_stays_usable(worker: Host) -> None:
    limits = Limits(fuel=None, wall_clock_seconds=2)
    with worker.loader(limits).load(LOOPS_ON_ARGUMENTS) as plugin:
        for _ in range(2):
            assert plugin.execute([]) == Success("fine")
            with pytest.raises(WallClockExceeded) as caught:
                plugin.execute(["for ever"])
            assert caught.value.function == "plugin_execute"
        assert plugin.execute([]) == Success("fine")


def test_there_is_a_worker_for_each_backend() -> None:
    assert {host.backend for host in WORKERS} == {host.backend for host in HOSTS} != set()
