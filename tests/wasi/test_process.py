"""Arguments, environment, streams, clocks, randomness, and what ends a guest."""

from __future__ import annotations

import io
import os
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sen_host.errors import ConfigError
from sen_host.host_functions import GuestExit
from sen_host.messages import Capabilities, StdioCapability
from sen_host.wasi import FixedClock, Wasi, WasiLimits
from sen_host.wasi.errno import Errno
from sen_host.wasi.layout import CLOCK_SUBSCRIPTION, EVENT, SUBSCRIPTION
from tests.wasi.fake_guest import Failed, FakeGuest, outcome

ALL_STREAMS = Capabilities(stdio=StdioCapability(True, True, True))


def strings(guest: FakeGuest, what: str) -> list[str]:
    """What ``args`` or ``environ`` tell."""
    guest.call(f"{what}_sizes_get", guest.result, guest.result + 4)
    count, size = guest.u32(), guest.u32(guest.result + 4)
    table, buffer = guest.result, guest.result + 4 * count
    guest.call(f"{what}_get", table, buffer)
    texts = guest.memory.read(buffer, size).split(b"\0")
    assert texts.pop() == b""
    starts = [guest.u32(table + 4 * index) for index in range(count)]
    assert [
        guest.memory.read(start, len(t)) for start, t in zip(starts, texts, strict=True)
    ] == texts
    return [text.decode() for text in texts]


def test_arguments_are_those_of_the_command() -> None:
    assert strings(FakeGuest(Wasi(), args=("one", "zwölf", "")), "args") == [
        *("plugin", "one", "zwölf", ""),
    ]
    wasi = Wasi(program_name="tool", arguments=("x",))
    assert strings(FakeGuest(wasi, args=("one",)), "args") == ["tool", "x"]
    assert strings(FakeGuest(Wasi(), args=("a\0b", "c")), "args") == ["plugin", "a", "c"]
    manifest = FakeGuest(Wasi(arguments=None), function="plugin_manifest", args=())
    assert strings(manifest, "args") == ["plugin"]


ENVIRON = {
    "APP_B": "2",
    "APP_A": "ä",
    "APP": "0",
    "HOME": "/home",
    "app_c": "3",
    "APP_BAD": "\udcff",
}


@pytest.mark.parametrize(
    ("patterns", "seen"),
    [
        ((), []),
        (("APP_*",), ["APP_A=ä", "APP_B=2"]),
        (("HOME", "APP_B", "NONE"), ["APP_B=2", "HOME=/home"]),
        (("APP_*", "APP_A", "A*"), ["APP=0", "APP_A=ä", "APP_B=2"]),
        (("*",), []),
        (("*_A", "A*_B", "", "home", "APP?A", "[A]PP"), []),
    ],
)
def test_the_environment_is_what_patterns_admit(patterns: tuple[str, ...], seen: list[str]) -> None:
    guest = FakeGuest(Wasi(environ=ENVIRON), Capabilities(env_read=patterns))
    assert strings(guest, "environ") == seen


def test_the_environment_is_that_of_the_process_at_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wasi = Wasi()
    monkeypatch.setenv("SEN_TEST_LATE", "now")
    guest = FakeGuest(wasi, Capabilities(env_read=("SEN_TEST_*",)))
    assert strings(guest, "environ") == ["SEN_TEST_LATE=now"]


def test_streams_that_are_not_granted_are_empty_or_drop_what_is_written() -> None:
    written: list[bytes] = []
    wasi = Wasi(stdin=b"typed", stdout=written.append, stderr=written.append)
    guest = FakeGuest(wasi)
    assert guest.read(0) == b""
    assert guest.write(1, b"out") == guest.write(2, b"err") == 3
    assert written == []


def test_each_stream_is_granted_alone() -> None:
    for name in ("stdin", "stdout", "stderr"):
        out, err = io.BytesIO(), io.BytesIO()
        wasi = Wasi(stdin=b"typed", stdout=out, stderr=err)
        guest = FakeGuest(wasi, Capabilities(stdio=StdioCapability(**{name: True})))
        assert guest.read(0, 3) == (b"typ" if name == "stdin" else b"")
        guest.write(1, b"out")
        guest.write(2, b"\xff\x1b[0m")
        assert out.getvalue() == (b"out" if name == "stdout" else b"")
        assert err.getvalue() == (b"\xff\x1b[0m" if name == "stderr" else b"")


def test_input_comes_from_bytes_a_function_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"typed")
    parts = iter([b"ty", b"ped"])
    with open(tmp_path / "in", "rb") as buffered, open(tmp_path / "in", "rb", buffering=0) as raw:
        for source in (b"typed", lambda length: next(parts, b""), buffered, raw):
            guest = FakeGuest(Wasi(stdin=source), ALL_STREAMS)
            assert b"".join(guest.read(0, 2) for _ in range(4)) == b"typed"
            assert guest.read(0) == b""
            with pytest.raises(Failed) as failed:
                guest.write(0, b"x")
            assert failed.value.errno is Errno.BADF
            assert outcome(guest.read, 1) is Errno.BADF


def test_input_of_bytes_starts_anew_in_each_entry() -> None:
    guest = FakeGuest(Wasi(stdin=b"typed"), ALL_STREAMS)
    for _ in range(2):
        assert guest.read(0) == b"typed"
        guest.functions.begin("plugin_execute", ())


def test_output_reaches_the_process_in_order(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    guest = FakeGuest(Wasi(), ALL_STREAMS)
    with open(1, "w", closefd=False) as stdout:
        stdout.write("before ")
        saved, sys.stdout = sys.stdout, stdout
        try:
            guest.functions.begin("plugin_execute", ())
            guest.write(1, b"\xff after")
        finally:
            sys.stdout = saved
    assert capfdbinary.readouterr().out == b"before \xff after"


def test_streams_without_bytes_or_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    text = io.StringIO()
    monkeypatch.setattr(sys, "stdout", text)
    monkeypatch.setattr(sys, "stderr", None)
    monkeypatch.setattr(sys, "stdin", io.StringIO("zwölf" * 100))
    guest = FakeGuest(Wasi(), ALL_STREAMS)
    assert guest.write(1, b"a\xffb") == guest.write(2, b"abc") == 3
    assert text.getvalue() == "a\ufffdb"
    assert guest.read(0, 24) == "zwölfz".encode()
    monkeypatch.setattr(sys, "stdin", None)
    guest.functions.begin("plugin_execute", ())
    assert guest.read(0) == b""


def test_a_stream_that_fails_is_an_error_number() -> None:
    closed = io.BytesIO()
    closed.close()
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb", buffering=0) as broken:
        guest = FakeGuest(Wasi(stdin=closed, stdout=closed, stderr=broken), ALL_STREAMS)
        assert outcome(guest.read, 0) is Errno.IO
        assert outcome(guest.write, 1, b"x") is Errno.IO
        assert outcome(guest.write, 2, b"x") is Errno.PIPE


def test_output_is_limited_in_each_entry() -> None:
    written = io.BytesIO()
    wasi = Wasi(stdout=written, stderr=written, limits=WasiLimits(output_bytes=5))
    guest = FakeGuest(wasi, ALL_STREAMS)
    assert guest.write(1, b"123") == 3
    assert outcome(guest.write, 2, b"123") is Errno.DQUOT
    assert guest.write(2, b"12") == 2
    guest.functions.begin("plugin_execute", ())
    assert guest.write(1, b"12345") == 5
    assert written.getvalue() == b"1231212345"


def clock(guest: FakeGuest, number: int) -> int:
    guest.call("clock_time_get", number, 0, guest.result)
    return guest.u64()


def test_fixed_clocks_go_on_by_their_step_and_start_anew() -> None:
    guest = FakeGuest(Wasi(clock=FixedClock(start_ns=5_000, step_ns=10)))
    for _ in range(2):
        assert [clock(guest, number) for number in (0, 1, 0, 1)] == [5_000, 10, 5_020, 30]
        guest.functions.begin("plugin_execute", ())
    guest.call("clock_res_get", 1, guest.result)
    assert guest.u64() == 10


def test_real_clocks_are_those_of_the_machine() -> None:
    import time

    guest = FakeGuest(Wasi())
    before, now, after = time.time_ns(), clock(guest, 0), time.time_ns()
    assert before <= now <= after
    assert clock(guest, 1) <= clock(guest, 1) < 10**12  # not since the machine was started
    for number, errno in {2: Errno.BADF, 3: Errno.BADF, 4: Errno.INVAL}.items():
        assert guest.errno("clock_time_get", number, 0, guest.result) is errno
        assert guest.errno("clock_res_get", number, guest.result) is errno


def random(guest: FakeGuest, length: int = 16) -> bytes:
    guest.call("random_get", guest.result, length)
    return guest.memory.read(guest.result, length)


def test_random_bytes_are_the_same_for_a_seed_and_else_are_not() -> None:
    seeded = FakeGuest(Wasi(random_seed=1))
    first = random(seeded)
    assert first.hex() == "f5b165224a58b791df6af1d8303e61cd"
    assert random(seeded) != first
    seeded.functions.begin("plugin_execute", ())
    assert random(seeded) == first
    assert random(FakeGuest(Wasi(random_seed=2))) != first
    free = FakeGuest(Wasi())
    assert random(free) != random(free)
    seeded.memory.data = bytearray(3 << 20)
    assert seeded.errno("random_get", 0, (1 << 20) + 1) is Errno.INVAL
    assert seeded.errno("random_get", 0, 1 << 20) is Errno.SUCCESS


@pytest.mark.parametrize("code", [0, 1, 255, 2**32 - 1])
def test_a_guest_may_exit(code: int) -> None:
    guest = FakeGuest(Wasi())
    with pytest.raises(GuestExit) as ended:
        guest.errno("proc_exit", code)
    assert ended.value.code == code


def poll(guest: FakeGuest, *subscriptions: bytes) -> list[tuple[int, int, int]]:
    """(userdata, errno, type) of each event."""
    place = guest.put(b"".join(subscriptions))
    events = guest.result + 8
    guest.call("poll_oneoff", place, events, len(subscriptions), guest.result)
    found = guest.memory.read(events, guest.u32() * EVENT.size)
    return [event[:3] for event in EVENT.iter_unpack(found)]


def timer(userdata: int, timeout: int, *, clock: int = 1, absolute: bool = False) -> bytes:
    body = CLOCK_SUBSCRIPTION.pack(clock, timeout, 0, absolute)
    return SUBSCRIPTION.pack(userdata, 0, body)


def ready(userdata: int, fd: int, *, write: bool = False) -> bytes:
    return SUBSCRIPTION.pack(userdata, 2 if write else 1, fd.to_bytes(4, "little"))


def test_sleeping_by_a_fixed_clock_takes_no_time() -> None:
    guest = FakeGuest(Wasi(clock=FixedClock(start_ns=100, step_ns=0)))
    assert poll(guest, timer(7, 10**15), timer(8, 2 * 10**15)) == [(7, 0, 0)]
    assert clock(guest, 1) == 10**15
    assert poll(guest, timer(7, 10**15 + 5, absolute=True)) == [(7, 0, 0)]
    assert clock(guest, 0) == 10**15 + 105
    assert poll(guest, timer(1, 5, absolute=True), timer(2, 0)) == [(1, 0, 0), (2, 0, 0)]


def test_sleeping_is_limited() -> None:
    guest = FakeGuest(Wasi(limits=WasiLimits(sleep_seconds=0.01)))
    before = clock(guest, 1)
    assert poll(guest, timer(1, 6_000_000)) == [(1, 0, 0)]
    assert clock(guest, 1) - before >= 6_000_000
    for timeout in (6_000_000, 2**64 - 1):
        assert outcome(poll, guest, timer(1, timeout)) is Errno.DQUOT


def test_descriptors_are_always_ready() -> None:
    guest = FakeGuest(Wasi(), Capabilities())
    events = poll(
        guest,
        timer(1, 10**18),
        ready(2, 0),
        ready(3, 1, write=True),
        ready(4, 1),
        ready(5, 99),
    )
    assert events == [(2, 0, 1), (3, 0, 2), (4, Errno.BADF, 1), (5, Errno.BADF, 1)]
    assert poll(guest, timer(1, 10**18, clock=9)) == [(1, Errno.INVAL, 0)]
    assert outcome(poll, guest, SUBSCRIPTION.pack(1, 3, b"")) is Errno.INVAL


def test_settings_are_values() -> None:
    wasi = Wasi(environ={"A": "1"}, stdin=b"x", clock=FixedClock(1, 2), random_seed=3)
    assert pickle.loads(pickle.dumps(wasi)) == wasi
    with pytest.raises(AttributeError):
        wasi.random_seed = 4  # type: ignore[misc]


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (Wasi, {"stdin": "text"}),
        (Wasi, {"stdin": 3}),
        (Wasi, {"stdin": io.StringIO()}),
        (Wasi, {"stdout": b"x"}),
        (Wasi, {"stderr": io.StringIO()}),
        (Wasi, {"program_name": "a\0b"}),
        (Wasi, {"program_name": "\udcff"}),
        (Wasi, {"arguments": ("a", 1)}),
        (Wasi, {"arguments": ("\udcff",)}),
        (Wasi, {"random_seed": "x"}),
        (Wasi, {"working_directory": 3}),
        (Wasi, {"limits": 3}),
        (Wasi, {"clock": 3}),
        (WasiLimits, {"steps": -1}),
        (WasiLimits, {"steps": 1.5}),
        (WasiLimits, {"steps": True}),
        (WasiLimits, {"sleep_seconds": float("nan")}),
        (WasiLimits, {"sleep_seconds": float("inf")}),
        (WasiLimits, {"open_files": None}),
        (FixedClock, {"start_ns": -1}),
        (FixedClock, {"step_ns": 2**63}),
        (FixedClock, {"step_ns": 0.5}),
    ],
)
def test_wrong_settings_are_refused_by_name(kind: Any, wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        kind(**wrong)


@given(args=st.lists(st.text(st.characters(exclude_categories=["Cs"]).filter(lambda c: c != "\0"))))
def test_any_arguments_arrive(args: list[str]) -> None:
    guest = FakeGuest(Wasi(), args=tuple(args))
    assert strings(guest, "args") == ["plugin", *args]
