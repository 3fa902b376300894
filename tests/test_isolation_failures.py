"""A worker that is killed, crashes or lies costs its instances and nothing else."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sen_host import Limits
from sen_host.abi import EXECUTE, fits, unpack
from sen_host.backend import FuncType, HostFunction, Trap
from sen_host.errors import EngineFault, SenHostError, TrapKind, WallClockExceeded, WorkerDied
from sen_host.isolation import process, replies
from sen_host.isolation.connection import Connection
from sen_host.isolation.faults import decode_fault
from sen_host.isolation.frames import Malformed
from sen_host.isolation.process import ProcessInstance, ProcessModule
from tests.isolation_engine import BINDING, TARGET
from tests.isolation_host import backend, compiled, eventually, execute, exists, pid_of, run

SOON = 0.3
"""A wall-clock limit, in seconds."""


@pytest.fixture
def module() -> Iterator[ProcessModule]:
    module = compiled()
    yield module
    module.close()


@pytest.fixture
def instance(module: ProcessModule) -> ProcessInstance:
    return module.instantiate()


def lose_worker(module: ProcessModule) -> None:
    """The next instance will need a new one."""
    with pytest.raises(WorkerDied, match="SIGKILL"):
        run(module.instantiate(), "signal", signal.SIGKILL)


# --- the wall clock -----------------------------------------------------------


@pytest.mark.parametrize("loop", [b"spin", b"spin_without_threads"])
def test_an_endless_loop_is_killed_and_the_next_instance_is_fresh(
    module: ProcessModule, loop: bytes
) -> None:
    stuck = module.instantiate()
    pid = pid_of(stuck)
    with pytest.raises(Trap) as caught:
        execute(stuck, b"!" + loop, seconds=SOON)
    assert (caught.value.kind, caught.value.function) == (TrapKind.INTERRUPTED, EXECUTE)
    assert not exists(pid)
    assert execute(module.instantiate()).data == b"alive"


def test_a_deadline_holds_for_the_primitives(instance: ProcessInstance) -> None:
    instance.set_deadline(SOON)
    assert run(instance, "sum", 1, 2) == 3
    with pytest.raises(Trap) as caught:
        run(instance, "spin")
    assert caught.value.kind is TrapKind.INTERRUPTED


def test_the_deadline_can_be_moved(instance: ProcessInstance) -> None:
    instance.set_deadline(0.001)
    instance.set_deadline(60)
    run(instance, "sleep", 20, result=None)
    assert instance.memory_size() > 0


def test_the_start_function_has_the_wall_clock_limit() -> None:
    module = compiled(b"endless start", Limits(wall_clock_seconds=SOON))
    for _ in range(2):
        with pytest.raises(Trap) as caught:
            module.instantiate()
        assert caught.value.kind is TrapKind.INTERRUPTED
    module.close()


def test_the_engines_own_deadline_comes_first() -> None:
    binding = BINDING.__class__(name="punctual", engine="Punctual")
    target = "tests.isolation_engine:PunctualBackend"
    module = backend(target, binding=binding).compile(b"", Limits(wall_clock_seconds=60))
    instance = module.instantiate()
    assert run(instance, "has_wall_clock") == 1
    with pytest.raises(Trap, match="own deadline"):
        execute(instance, b"!spin", seconds=SOON)
    instance.set_deadline(SOON)
    with pytest.raises(Trap, match="own deadline"):
        run(instance, "spin")
    assert instance.memory_size() > 0  # the worker lives
    module.close()


def test_the_kill_is_the_backstop_of_an_engine_that_misses_its_deadline() -> None:
    binding = BINDING.__class__(name="late", engine="Late")
    target = "tests.isolation_engine:LateBackend"
    module = backend(target, binding=binding).compile(b"", Limits())
    instance = module.instantiate()
    with pytest.raises(Trap) as caught:
        execute(instance, b"!spin", seconds=SOON)
    assert caught.value.kind is TrapKind.INTERRUPTED
    module.close()


def test_a_compilation_has_the_wall_clock_limit() -> None:
    rogue, limits = backend(), Limits(wall_clock_seconds=SOON)
    with pytest.raises(WallClockExceeded, match="'compilation'") as caught:
        rogue.compile(b"endless compilation", limits)
    assert caught.value.seconds == SOON
    module = rogue.compile(b"a module", limits)
    assert execute(module.instantiate()).data == b"alive"
    module.close()


def test_a_compilation_in_the_next_worker_has_the_wall_clock_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = compiled(limits=Limits(wall_clock_seconds=SOON))
    lose_worker(module)
    monkeypatch.setenv("ROGUE_COMPILES_FOR_EVER", "yes")
    with pytest.raises(WallClockExceeded, match="'compilation'"):
        module.instantiate()
    monkeypatch.undo()
    assert execute(module.instantiate()).data == b"alive"
    module.close()


def test_a_validation_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "VALIDATION_SECONDS", SOON)
    rogue = backend()
    with pytest.raises(WorkerDied, match=r"did not reply within 0\.3 s and was killed"):
        rogue.validate(b"endless validation")
    rogue.validate(b"a module")


def test_a_kill_takes_all_instances_of_the_module_and_says_so(module: ProcessModule) -> None:
    stuck, other = module.instantiate(), module.instantiate()
    with pytest.raises(Trap):
        execute(stuck, b"!spin", seconds=SOON)
    for victim in (stuck, other):
        with pytest.raises(WorkerDied, match=r"did not reply within 0\.3 s and was killed"):
            execute(victim)
        victim.close()


# --- crashes ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("export", "argument", "code", "text"),
    [
        ("signal", signal.SIGSEGV, -signal.SIGSEGV, "was killed by SIGSEGV"),
        ("signal", signal.SIGABRT, -signal.SIGABRT, "was killed by SIGABRT"),
        ("signal", signal.SIGKILL, -signal.SIGKILL, r"SIGKILL \(out of memory\?\)"),
        ("exit", 7, 7, "exited with code 7"),
        ("exit", 0, 0, "exited with code 0"),
    ],
)
def test_a_crash_is_told_from_a_trap(
    module: ProcessModule, export: str, argument: int, code: int, text: str
) -> None:
    instance = module.instantiate()
    pid = pid_of(instance)
    run(instance, "chatter", 100, result=None)
    with pytest.raises(WorkerDied, match=text) as caught:
        run(instance, export, argument)
    assert caught.value.exit_code == code
    assert caught.value.detail is not None
    assert set(caught.value.detail) <= {"x", "\n"}
    assert 3000 < len(caught.value.detail) <= 4096
    assert not exists(pid)
    with pytest.raises(WorkerDied, match=text):
        instance.memory_size()
    assert execute(module.instantiate()).data == b"alive"


def test_a_crash_in_the_start_function_is_not_repeated_for_ever() -> None:
    module = compiled(b"crash at start")
    for _ in range(2):
        with pytest.raises(WorkerDied, match="SIGSEGV"):
            module.instantiate()
    module.close()


def test_a_worker_that_died_while_idle_is_replaced(module: ProcessModule) -> None:
    instance = module.instantiate()
    os.kill(pid_of(instance), signal.SIGKILL)
    with pytest.raises(WorkerDied, match="SIGKILL"):
        execute(instance)
    assert execute(module.instantiate()).data == b"alive"


def test_a_request_that_the_worker_never_reads_does_not_hang(module: ProcessModule) -> None:
    instance = module.instantiate()
    os.kill(pid_of(instance), signal.SIGSTOP)
    with pytest.raises(Trap) as caught:
        execute(instance, b"x" * 2_000_000, seconds=SOON)
    assert caught.value.kind is TrapKind.INTERRUPTED


def test_what_the_engine_prints_is_kept_short(instance: ProcessInstance) -> None:
    for _ in range(3):
        run(instance, "chatter", 1000, result=None)
    size = run(instance, "stderr_bytes")
    assert size is not None
    assert size <= 4096


# --- lies ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "export",
    [
        "no_frame",
        "giant_frame",
        "half_frame",
        "two_frames",
        "nil",
        "empty_array",
        "unknown_tag",
        "extension",
        "nested_arrays",
        "odd_trap",
        "odd_fault",
        "wrong_result",
        "close_channel",
    ],
)
def test_a_worker_that_breaks_the_protocol_is_ended(module: ProcessModule, export: str) -> None:
    instance = module.instantiate()
    pid = pid_of(instance)
    with pytest.raises(WorkerDied, match=r"protocol|closed its channel|exited"):
        run(instance, export)
    assert not exists(pid)
    assert execute(module.instantiate()).data == b"alive"


def called_up(call: Callable[..., int | None], module: ProcessModule) -> ProcessInstance:
    """An instance that imports a function of two i32."""
    type = FuncType(("i32", "i32"), ("i32",))
    return module.instantiate_with([HostFunction("host", "f", type, call)])


@pytest.mark.parametrize(
    "export",
    [
        "call_up_with_one",
        "call_up_with_much",
        "call_up_with_large",
        "call_up_with_negative",
        "call_up_with_text",
        "call_up_beyond",
        "call_up_as_another",
        "call_up_with_huge_memory",
    ],
)
def test_a_call_up_that_no_guest_can_make_is_not_served(module: ProcessModule, export: str) -> None:
    served: list[object] = []
    instance = called_up(lambda *arguments: served.append(arguments), module)
    with pytest.raises(WorkerDied, match=r"protocol and was killed: a (call|value|reply)"):
        run(instance, export)
    assert served == []
    assert execute(module.instantiate()).data == b"alive"


def test_a_guest_that_was_ended_calls_no_more(module: ProcessModule) -> None:
    served: list[object] = []

    def end(*arguments: int) -> int:
        served.append(arguments)
        raise Trap(TrapKind.EXIT)

    with pytest.raises(WorkerDied, match="ended"):
        execute(called_up(end, module), b"!insist", seconds=20)
    assert served == [(1, 2)]


def test_a_call_up_may_be_served(module: ProcessModule) -> None:
    assert run(called_up(lambda a, b: a + b, module), "call_up") == 3


def test_a_worker_that_keeps_a_host_function_waiting_is_killed(module: ProcessModule) -> None:
    def read(*_: int) -> int:
        return len(waiting.read(0, 1))

    waiting = called_up(read, module)
    pid = pid_of(waiting)
    with pytest.raises(Trap) as caught:
        execute(waiting, b"!call_up_and_stop", seconds=SOON)
    assert caught.value.kind is TrapKind.INTERRUPTED
    assert not exists(pid)


def test_a_reply_before_the_end_of_the_request_is_no_reply(instance: ProcessInstance) -> None:
    # The worker writes while the host still does: a write larger than the pipe.
    instance.set_deadline(60)
    run(instance, "reply_too_early", result=None)
    with pytest.raises(WorkerDied, match="protocol"):
        instance.write(0, b"x" * 2_000_000)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 2**64) | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)
NUMBER = st.integers(-1, 20) | st.integers(2**32 - 2, 2**32 + 2) | st.none()
FACTS = st.tuples(
    NUMBER,
    st.one_of(NUMBER, st.builds(lambda p, n: p << 32 | n, st.integers(0, 20), st.integers(0, 20))),
    NUMBER,
    st.none() | st.binary(max_size=20),
    NUMBER,
    st.none() | st.tuples(st.sampled_from([*TrapKind, "?"]), JUNK, st.none(), NUMBER),
)


@given(FACTS | JUNK, st.none() | st.integers(1, 20))
def test_facts_of_an_exchange_are_consistent_or_refused(
    value: object, payload_bytes: int | None
) -> None:
    try:
        facts = replies.exchanged(value, payload_bytes, result_bytes=16)
    except Malformed:
        return
    assert 0 <= facts.pointer < 2**32
    assert 0 <= facts.memory_bytes <= 2**32
    if facts.packed is None:
        assert payload_bytes is not None
        assert not fits(facts.pointer, payload_bytes, facts.memory_bytes)
        assert facts.data is None
    else:
        pointer, length = unpack(facts.packed)
        readable = fits(pointer, length, facts.memory_bytes) and length <= 16
        assert (facts.data is not None) == readable
        assert facts.data is None or len(facts.data) == length


@given(st.binary())
def test_bytes_are_a_reply_or_refused(body: bytes) -> None:
    try:
        assert replies.decode(memoryview(body))
    except Malformed:
        return


NAMES = st.sampled_from(["EngineFault", "Instantiation", "ImportNotGranted", "Iterable", "Any", ""])
ATTRIBUTES = st.fixed_dictionaries(
    {"message": JUNK, "detail": JUNK, "hint": JUNK},
    optional={"trap": JUNK, "imports": JUNK, "__class__": JUNK},
)


@given(NAMES | JUNK, ATTRIBUTES | JUNK)
def test_a_fault_has_the_attributes_of_its_class_or_is_refused(
    name: object, attributes: object
) -> None:
    try:
        error = decode_fault(name, attributes)
    except Malformed:
        return
    assert isinstance(error, SenHostError)
    assert isinstance(error.message, str)
    assert str(error)


# --- threads and interruptions in this process --------------------------------


def test_threads_take_turns(module: ProcessModule) -> None:
    instances = [module.instantiate() for _ in range(4)]
    failures: list[bytes] = []

    def work(instance: ProcessInstance, letter: bytes) -> None:
        sent = [letter * length for length in range(1, 100)]
        failures.extend(data for data in sent if execute(instance, data).data != data)

    threads = [
        threading.Thread(target=work, args=(instance, b"%d" % number))
        for number, instance in enumerate(instances)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_closing_does_not_wait_for_a_call_in_another_thread(module: ProcessModule) -> None:
    stuck, idle = module.instantiate(), module.instantiate()
    pid = pid_of(stuck)
    outcome: list[BaseException] = []

    def call() -> None:
        try:
            run(stuck, "spin")
        except WorkerDied as error:
            outcome.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    assert eventually(stuck._worker._lock.locked)
    idle.close()
    module.close()
    thread.join()
    assert "was ended in the middle of a call" in str(outcome[0])
    assert not exists(pid)


@pytest.mark.parametrize("compiling", [True, False])
def test_closing_ends_a_worker_that_is_just_being_started(
    monkeypatch: pytest.MonkeyPatch, compiling: bool
) -> None:
    started: list[Connection] = []

    class Watched(Connection):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            started.append(self)

    target = TARGET if compiling else "tests.isolation_engine:StartsSlowly"
    module = backend(target).compile(b"a module", Limits())
    lose_worker(module)
    monkeypatch.setattr(process, "Connection", Watched)
    if compiling:
        monkeypatch.setenv("ROGUE_COMPILES_FOR_EVER", "yes")
    outcome: list[BaseException] = []

    def instantiate() -> None:
        try:
            module.instantiate()
        except WorkerDied as error:
            outcome.append(error)

    thread = threading.Thread(target=instantiate)
    thread.start()
    assert eventually(lambda: bool(started) if compiling else module._lock.locked())
    module.close()
    thread.join()
    assert "was ended" in str(outcome[0])
    assert not exists(started[0].pid)
    with pytest.raises(WorkerDied, match="the module is closed"):
        module.instantiate()


@pytest.fixture
def alarm() -> Iterator[None]:
    """A signal a moment from now, whose handler the test has to set."""
    previous = signal.getsignal(signal.SIGALRM)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, previous)


@pytest.mark.usefixtures("alarm")
def test_an_interrupt_in_the_middle_of_a_call_ends_the_worker(module: ProcessModule) -> None:
    instance = module.instantiate()
    pid = pid_of(instance)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    with pytest.raises(KeyboardInterrupt):
        run(instance, "sleep", 60_000)
    assert not exists(pid)
    with pytest.raises(WorkerDied, match=r"interrupted: KeyboardInterrupt"):
        execute(instance)
    assert execute(module.instantiate()).data == b"alive"


@pytest.mark.usefixtures("alarm")
def test_a_finalizer_within_a_call_cannot_deadlock(module: ProcessModule) -> None:
    # A signal handler stands in for the garbage collector, which may run
    # anywhere, and with it the finalizers of other users of the same worker.
    instance, other, lost = (module.instantiate() for _ in range(3))
    seen: list[str] = []

    def handler(*_: object) -> None:
        nonlocal lost
        other.close()
        del lost
        try:
            execute(instance)
        except EngineFault as error:
            seen.append(error.message)

    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    run(instance, "sleep", 400, result=None)
    assert seen == ["the worker process of Rogue 1.0 is in the middle of a call of this thread"]
    assert run(module.instantiate(), "live") == 2


@pytest.mark.usefixtures("alarm")
def test_a_module_that_is_closed_within_a_call_cannot_deadlock(module: ProcessModule) -> None:
    instance = module.instantiate()
    signal.signal(signal.SIGALRM, lambda *_: module.close())
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    with pytest.raises(WorkerDied, match="was ended"):
        run(instance, "sleep", 60_000)


def test_a_worker_that_will_not_end_is_killed() -> None:
    module = compiled(b"endless close")
    pid = pid_of(module.instantiate())
    module.close()
    assert not exists(pid)


# --- what is left behind ------------------------------------------------------


def open_files() -> set[str]:
    return set(os.listdir("/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"))


def test_nothing_is_left_after_many_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = open_files()
    for turn in range(20):
        module = compiled()
        instance = module.instantiate()
        pid = pid_of(instance)
        assert not list(tmp_path.iterdir())
        if turn % 3 == 0:
            module.close()
        elif turn % 3 == 1:
            with pytest.raises(WorkerDied):
                run(instance, "signal", signal.SIGSEGV)
        del instance, module  # without close: the worker goes with the last reference
        assert not exists(pid)
        assert not list(tmp_path.iterdir())
    assert open_files() == before
