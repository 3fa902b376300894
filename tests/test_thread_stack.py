"""A guest in this process never reaches the end of a thread's stack."""

from __future__ import annotations

from functools import cmp_to_key

import pytest

from sen_host.errors import FunctionCall, TrapKind, WrongThread
from sen_host.limits import MIB
from sen_host.thread_stack import AMPLE_BYTES
from sen_host_conformance.hosts import Host
from tests.conftest import HOSTS
from tests.threads import in_thread
from tests.wat import TRAP_SUPPORT, Wat

RECURSING = Wat(execute="(call $recurse) unreachable", extra=TRAP_SUPPORT).wasm()

in_process = pytest.mark.parametrize(
    "host", [host for host in HOSTS if host.isolation == "none"], ids=str
)


def recurse(host: Host, depth: int = 0) -> FunctionCall | WrongThread:
    """How a recursion without end fails, called from that many native frames."""
    outcome: list[FunctionCall | WrongThread] = []

    def descend(left: int) -> int:
        if left:
            sorted([1, 2], key=cmp_to_key(lambda a, b: descend(left - 1)))
            return 0
        try:
            with host.loader().load(RECURSING) as plugin:
                plugin.execute([])
        except (FunctionCall, WrongThread) as error:
            outcome.append(error)
        return 0

    descend(depth)
    return outcome[0]


@in_process
@pytest.mark.parametrize("size", [MIB, MIB + 192 * 1024, 2 * MIB, 3 * MIB])
@pytest.mark.parametrize("depth", [0, 20, 40])
def test_a_small_stack_is_refused_or_suffices(host: Host, size: int, depth: int) -> None:
    """At every depth of native frames: a trap or an error, never a crash of this process."""
    failed = in_thread(lambda: recurse(host, depth), stack_bytes=size)
    assert isinstance(failed, WrongThread) or failed.trap is TrapKind.STACK_OVERFLOW


@in_process
def test_the_hint_for_a_small_stack_is_right(host: Host) -> None:
    # The C library may hand out the stack of a thread that ended, of up to four times
    # the size.
    small = in_thread(lambda: recurse(host), stack_bytes=256 * 1024)
    assert isinstance(small, WrongThread)
    assert small.hint is not None
    assert f"threading.stack_size({MIB + AMPLE_BYTES})" in small.hint
    roomy = in_thread(lambda: recurse(host), stack_bytes=MIB + AMPLE_BYTES)
    assert isinstance(roomy, FunctionCall)
