"""Whatever numbers a guest passes, it gets an error number back, and the host stays whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sen_host.host_functions import GuestExit
from sen_host.messages import Capabilities, StdioCapability
from sen_host.wasi import FixedClock, Wasi
from sen_host.wasi.errno import Errno
from sen_host.wasi.functions import TYPES
from sen_host.wasi.layout import EVENT, MODULE, VECTOR
from tests.wasi.fake_guest import PAGE, FakeGuest, FakeMemory, patterns, writing

NAMES = sorted(name for _, name in TYPES)
U32, U64 = 2**32 - 1, 2**64 - 1
SIZE = 2 * PAGE

EDGES_32 = (0, 1, 3, 4, 8, 63, 64, 1_024, SIZE - 8, SIZE - 1, SIZE, SIZE + 1, 2**31, U32 - 7, U32)
EDGES_64 = (*EDGES_32, 2**62, 2**63 - 1, 2**63, U64 - 1, U64)


def number(param: str) -> st.SearchStrategy[int]:
    bits = int(param[1:])
    return st.sampled_from(EDGES_64 if bits == 64 else EDGES_32) | st.integers(0, 2**bits - 1)


class WatchedMemory(FakeMemory):
    """A memory whose bounds the functions are not to try."""

    def _check(self, offset: int, length: int) -> None:
        assert offset >= 0
        assert length >= 0
        assert offset + length <= len(self.data)


CALLS = st.sampled_from(NAMES).flatmap(
    lambda name: st.tuples(
        st.just(name), st.tuples(*(number(param) for param in TYPES[MODULE, name].params))
    )
)
# Names that lead somewhere, vectors and subscriptions, so that more than the checks is reached.
CONTENT = b"f\0d/f\0l\0d\0.\0../x\0" + VECTOR.pack(64, 16) * 4 + bytes(range(64))


@given(calls=st.lists(CALLS, min_size=1, max_size=12))
@settings(max_examples=120)
def test_any_numbers_to_any_function(
    tmp_path_factory: pytest.TempPathFactory, calls: list[tuple[str, tuple[int, ...]]]
) -> None:
    home = tmp_path_factory.getbasetemp() / "hostile"
    (home / "d").mkdir(parents=True, exist_ok=True)
    (home / "f").write_bytes(b"text")
    before = set(os.listdir("/proc/self/fd"))
    wasi = Wasi(
        working_directory=str(home),
        environ={"A": "1"},
        stdin=b"typed",
        stdout=lambda data: None,
        stderr=lambda data: None,
        clock=FixedClock(),
    )
    granted = Capabilities(
        fs_write=patterns("."), env_read=("A",), stdio=StdioCapability(True, True, True)
    )
    guest = FakeGuest(wasi, granted)
    guest.memory = memory = WatchedMemory(SIZE)
    memory.data[: len(CONTENT)] = CONTENT
    for name, arguments in calls:
        if name == "proc_exit":
            with pytest.raises(GuestExit):
                guest.functions.call(MODULE, name, memory, arguments)
        else:
            result = guest.functions.call(MODULE, name, memory, arguments)
            assert result in {*Errno}
            assert type(result) is int
    guest.end()
    assert set(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("name", [name for name in NAMES if name != "proc_exit"])
def test_no_pointer_is_taken_on_trust(tmp_path: Path, name: str) -> None:
    """With all numbers as large as they can be, nothing succeeds that would write."""
    guest = FakeGuest(Wasi(working_directory=str(tmp_path)), writing("."))
    params = TYPES[MODULE, name].params
    errno = guest.errno(name, *(2 ** int(param[1:]) - 1 for param in params))
    assert (errno is Errno.SUCCESS) == (name == "sched_yield")


def test_a_result_that_has_no_room_leaves_nothing_undone(tmp_path: Path) -> None:
    guest = FakeGuest(Wasi(working_directory=str(tmp_path)), writing("."))
    end = len(guest.memory.data)
    path = guest.path("f")
    assert guest.errno("path_open", 3, 0, *path, 1, 66, 0, 0, end - 3) is Errno.FAULT
    assert os.listdir(tmp_path) == []
    guest.create("f", b"text")
    fd = guest.open("f", 66)
    for result in (end - 3, U32):
        vector = guest.vector(64, 4)
        assert guest.errno("fd_read", fd, vector, 1, result) is Errno.FAULT
        assert guest.errno("fd_write", fd, vector, 1, result) is Errno.FAULT
    assert guest.errno("fd_seek", fd, 2, 0, end - 7) is Errno.FAULT
    assert guest.read(fd) == b"text"
    assert (tmp_path / "f").read_bytes() == b"text"


def test_buffers_are_checked_before_anything_is_read(tmp_path: Path) -> None:
    guest = FakeGuest(Wasi(working_directory=str(tmp_path)), writing("."))
    guest.create("f", b"text")
    fd = guest.open("f")
    end = len(guest.memory.data)
    good, bad = VECTOR.pack(64, 4), VECTOR.pack(end - 3, 4)
    for vectors in (good + bad, bad + good, VECTOR.pack(0, U32), VECTOR.pack(U32, U32)):
        place = guest.put(vectors)
        arguments = (fd, place, len(vectors) // 8, guest.result)
        assert guest.errno("fd_read", *arguments) is Errno.FAULT
    assert guest.errno("fd_read", fd, 0, 1_025, guest.result) is Errno.INVAL
    assert guest.errno("fd_read", fd, end - 8, 2, guest.result) is Errno.FAULT
    assert guest.errno("fd_read", fd, 0, U32, guest.result) is Errno.INVAL
    assert guest.read(fd) == b"text"


def test_a_poll_is_bounded(tmp_path: Path) -> None:
    guest = FakeGuest(Wasi(working_directory=str(tmp_path)))
    for count in (0, 1_025, U32):
        assert guest.errno("poll_oneoff", 0, 0, count, guest.result) is Errno.INVAL
    end = len(guest.memory.data)
    assert guest.errno("poll_oneoff", 0, end - EVENT.size, 2, guest.result) is Errno.FAULT
