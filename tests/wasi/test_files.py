"""Reading, writing and listing by descriptors and names."""

from __future__ import annotations

import os
import stat
from errno import EDQUOT
from pathlib import Path

import pytest

from sen_host.wasi import FixedClock, Wasi, WasiLimits
from sen_host.wasi.errno import Errno
from sen_host.wasi.layout import FDSTAT, FILESTAT, FdFlags, FileType, filestat
from tests.wasi.fake_guest import (
    CREATE,
    DIRECTORY,
    EXCLUSIVE,
    READ,
    TRUNCATE,
    WRITE,
    Failed,
    FakeGuest,
    at,
    outcome,
    reading,
    writing,
)

MIB = 1 << 20


@pytest.fixture
def guest(tmp_path: Path) -> FakeGuest:
    """A guest that may write in the directory of this test."""
    return FakeGuest(at(tmp_path), writing("."))


def limited(tmp_path: Path, **limits: int) -> FakeGuest:
    return FakeGuest(
        Wasi(working_directory=str(tmp_path), limits=WasiLimits(**limits)), writing(".")
    )


def test_a_file_is_written_and_read_at_its_position(guest: FakeGuest, tmp_path: Path) -> None:
    fd = guest.open("f", READ | WRITE, oflags=CREATE | EXCLUSIVE)
    assert guest.write(fd, b"hello world") == 11
    guest.call("fd_tell", fd, guest.result)
    assert guest.u64() == 11
    guest.call("fd_seek", fd, 2**64 - 5, 1, guest.result)
    assert guest.u64() == 6
    assert guest.read(fd) == b"world"
    assert guest.read(fd) == b""
    guest.call("fd_seek", fd, 0, 2, guest.result)
    assert guest.u64() == 11
    assert guest.errno("fd_seek", fd, 2**64 - 12, 2, guest.result) is Errno.INVAL
    assert guest.errno("fd_seek", fd, 0, 3, guest.result) is Errno.INVAL
    assert outcome(guest.open, "f", WRITE, oflags=CREATE | EXCLUSIVE) is Errno.EXIST
    assert (tmp_path / "f").read_bytes() == b"hello world"


def test_several_buffers_are_one_read_or_write(guest: FakeGuest) -> None:
    fd = guest.open("f", READ | WRITE, oflags=CREATE)
    texts = [guest.put(b"abc"), guest.put(b"de"), 0]
    lengths = [3, 2, 0]
    pairs = zip(texts, lengths, strict=True)
    vectors = guest.put(b"".join(n.to_bytes(4, "little") for pair in pairs for n in pair))
    guest.call("fd_write", fd, vectors, 3, guest.result)
    assert guest.u32() == 5
    guest.call("fd_pread", fd, vectors, 3, 1, guest.result)
    assert guest.u32() == 4
    assert guest.memory.read(texts[0], 3) == b"bcd"
    assert guest.memory.read(texts[1], 1) == b"e"


def test_reads_and_writes_at_an_offset_leave_the_position(guest: FakeGuest, tmp_path: Path) -> None:
    fd = guest.open("f", READ | WRITE, oflags=CREATE)
    guest.write(fd, b"0123456789")
    vector = guest.vector(guest.put(b"ab"), 2)
    guest.call("fd_pwrite", fd, vector, 1, 4, guest.result)
    guest.call("fd_tell", fd, guest.result)
    assert guest.u64() == 10
    assert (tmp_path / "f").read_bytes() == b"0123ab6789"
    for function in ("fd_pread", "fd_pwrite"):
        assert guest.errno(function, fd, vector, 1, 2**63, guest.result) is Errno.INVAL
        assert guest.errno(function, 1, vector, 1, 0, guest.result) is Errno.SPIPE


def test_appending_goes_to_the_end(guest: FakeGuest, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"one ")
    fd = guest.open("f", WRITE, fdflags=FdFlags.APPEND)
    guest.write(fd, b"two ")
    guest.call("fd_fdstat_set_flags", fd, 0)
    guest.call("fd_seek", fd, 0, 0, guest.result)
    guest.write(fd, b"1")
    guest.call("fd_fdstat_set_flags", fd, FdFlags.APPEND)
    guest.write(fd, b"three")
    assert (tmp_path / "f").read_bytes() == b"1ne two three"
    vector = guest.vector(guest.put(b"x"), 1)
    assert guest.errno("fd_pwrite", fd, vector, 1, 0, guest.result) is Errno.NOTSUP
    guest.call("fd_fdstat_get", fd, guest.result)
    kind, flags, _, _ = FDSTAT.unpack(guest.memory.read(guest.result, FDSTAT.size))
    assert (kind, flags) == (FileType.REGULAR_FILE, FdFlags.APPEND)
    for flag in (FdFlags.SYNC, 32):
        assert guest.errno("fd_fdstat_set_flags", fd, flag) is Errno.NOTSUP


@pytest.mark.parametrize("flags", [FdFlags.DSYNC, FdFlags.SYNC, FdFlags.RSYNC, FdFlags.NONBLOCK])
def test_a_file_can_be_opened_with_each_flag(guest: FakeGuest, flags: int) -> None:
    fd = guest.open("f", READ | WRITE, oflags=CREATE | TRUNCATE, fdflags=flags)
    assert guest.write(fd, b"x") == 1
    guest.call("fd_sync", fd)
    guest.call("fd_datasync", fd)
    guest.call("fd_advise", fd, 0, 0, 5)
    assert guest.errno("fd_allocate", fd, 0, 100) is Errno.NOTSUP


def test_what_is_known_of_files_and_directories(guest: FakeGuest, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"12345")
    (tmp_path / "d").mkdir()
    (tmp_path / "l").symlink_to("f")
    known = (tmp_path / "f").stat()
    wanted = (known.st_dev, known.st_ino, FileType.REGULAR_FILE, 1, 5)
    assert guest.stat("f")[:5] == guest.stat("l")[:5] == wanted
    assert guest.stat("f")[6] == known.st_mtime_ns
    assert guest.stat("d/")[2] == guest.stat(".")[2] == FileType.DIRECTORY
    assert guest.stat("l", follow=False)[2] == FileType.SYMBOLIC_LINK
    assert outcome(guest.stat, "f/") is Errno.NOTDIR
    guest.call("fd_filestat_get", guest.open("f"), guest.result)
    assert FILESTAT.unpack(guest.memory.read(guest.result, FILESTAT.size))[:5] == wanted
    guest.call("fd_filestat_get", 1, guest.result)
    assert FILESTAT.unpack(guest.memory.read(guest.result, FILESTAT.size)) == (0,) * 8


def test_times_are_set(tmp_path: Path) -> None:
    wasi = Wasi(working_directory=str(tmp_path), clock=FixedClock(start_ns=7_000, step_ns=0))
    guest = FakeGuest(wasi, writing("."))
    (tmp_path / "f").touch()
    (tmp_path / "l").symlink_to("f")
    path = guest.path("f")
    fd = guest.open("f", WRITE)
    guest.call("path_filestat_set_times", 3, 0, *path, 1_000, 2_000, 5)
    assert guest.stat("f")[5:7] == (1_000, 2_000)
    guest.call("fd_filestat_set_times", fd, 0, 3_000, 4)
    assert guest.stat("f")[5:7] == (1_000, 3_000)
    guest.call("fd_filestat_set_times", fd, 5_000, 0, 1)
    assert guest.stat("f")[5:7] == (5_000, 3_000)
    guest.call("path_filestat_set_times", 3, 1, *guest.path("l"), 0, 0, 2 | 8)
    assert guest.stat("f")[5:7] == (7_000, 7_000)
    guest.call("fd_filestat_set_times", 3, 4_000, 4_000, 5)
    assert guest.stat(".")[5:7] == (4_000, 4_000)
    for accessed, flags in ((0, 1 | 2), (0, 4 | 8), (0, 16), (2**63, 1)):
        assert guest.errno("fd_filestat_set_times", fd, accessed, 0, flags) is Errno.INVAL


def test_names_are_made_moved_and_removed(guest: FakeGuest, tmp_path: Path) -> None:
    guest.call("path_create_directory", 3, *guest.path("d/"))
    guest.create("d/f", b"text")
    guest.call("path_link", 3, 0, *guest.path("d/f"), 3, *guest.path("twin"))
    assert guest.stat("twin")[3] == 2
    guest.call("path_symlink", *guest.path("d/f"), 3, *guest.path("l"))
    assert guest.content("l") == b"text"
    guest.call("path_rename", 3, *guest.path("d"), 3, *guest.path("e"))
    assert outcome(guest.content, "l") is Errno.NOENT
    cases = {
        ("path_remove_directory", "e"): Errno.NOTEMPTY,
        ("path_remove_directory", "twin"): Errno.NOTDIR,
        ("path_unlink_file", "e"): Errno.ISDIR,
        ("path_unlink_file", "e/"): Errno.ISDIR,
        ("path_unlink_file", "twin/"): Errno.NOTDIR,
        ("path_unlink_file", "none"): Errno.NOENT,
        ("path_create_directory", "twin"): Errno.EXIST,
        ("path_create_directory", "none/d"): Errno.NOENT,
        ("path_remove_directory", "."): Errno.INVAL,
        ("path_unlink_file", "l"): Errno.SUCCESS,
        ("path_unlink_file", "e/f"): Errno.SUCCESS,
        ("path_remove_directory", "e/"): Errno.SUCCESS,
    }
    for (function, path), errno in cases.items():
        assert guest.errno(function, 3, *guest.path(path)) is errno, (function, path)
    assert os.listdir(tmp_path) == ["twin"]


def test_opening_is_refused_for_a_reason(guest: FakeGuest, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "f").touch()
    (tmp_path / "l").symlink_to("f")
    cases = {
        ("none", READ, 0): Errno.NOENT,
        ("f/x", READ, 0): Errno.NOTDIR,
        ("f/", READ, 0): Errno.NOTDIR,
        ("f", READ, DIRECTORY): Errno.NOTDIR,
        ("d", WRITE, 0): Errno.ISDIR,
        ("d", READ, CREATE): Errno.ISDIR,
        ("none/", WRITE, CREATE): Errno.NOENT,
        ("l", WRITE, CREATE | EXCLUSIVE): Errno.EXIST,
        ("f", READ, TRUNCATE): Errno.INVAL,
        ("f", READ, CREATE | DIRECTORY): Errno.INVAL,
        ("f", READ, 16): Errno.INVAL,
    }
    for (path, rights, oflags), errno in cases.items():
        assert outcome(guest.open, path, rights, oflags=oflags) is errno, (path, rights, oflags)
    assert outcome(guest.open, "l", follow=False) is Errno.LOOP
    assert outcome(guest.open, "f", fdflags=32) is Errno.INVAL


def test_descriptors_are_closed_and_renumbered(guest: FakeGuest, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    (tmp_path / "g").write_bytes(b"xyz")
    first, second = guest.open("f"), guest.open("g")
    guest.call("fd_renumber", second, first)
    assert guest.read(first) == b"xyz"
    assert guest.errno("fd_close", second) is Errno.BADF
    guest.call("fd_close", first)
    assert guest.errno("fd_renumber", first, 3) is Errno.BADF
    assert guest.errno("fd_renumber", 3, 99) is Errno.BADF
    guest.call("fd_renumber", 3, 3)
    guest.call("fd_close", 3)
    assert guest.preopened() == []
    assert outcome(guest.open, "f") is Errno.BADF


@pytest.mark.parametrize("buffer", [24, 30, 64, 4_096])
def test_a_listing_is_sorted_and_comes_in_pieces(
    guest: FakeGuest, tmp_path: Path, buffer: int
) -> None:
    names = [f"name{number:02}" for number in range(20)]
    for name in reversed(names):
        (tmp_path / name).touch()
    (tmp_path / os.fsdecode(b"\xff")).touch()  # has no name in WASI
    if buffer < 34:  # not even the first name of six letters has room
        guest.call("fd_readdir", 3, guest.result + 8, buffer, 2, guest.result)
        assert guest.u32() == buffer
    else:
        assert guest.names(buffer=buffer) == [".", "..", *names]


def test_a_listing_stays_as_it_was_when_it_began(guest: FakeGuest, tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).touch()
    guest.call("fd_readdir", 3, guest.result + 8, 60, 0, guest.result)
    for name in "abc":
        (tmp_path / name).unlink()
    guest.call("fd_readdir", 3, guest.result + 8, 100, 2, guest.result)
    assert guest.u32() == 3 * 25
    guest.call("fd_readdir", 3, guest.result + 8, 100, 2**64 - 1, guest.result)
    assert guest.u32() == 0
    assert guest.names() == [".", ".."]


def test_types_of_entries(guest: FakeGuest, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").touch()
    (tmp_path / "c").symlink_to("b")
    os.mkfifo(tmp_path / "d")
    guest.call("fd_readdir", 3, guest.result + 8, 1_000, 0, guest.result)
    listing = guest.memory.read(guest.result + 8, guest.u32())[24 + 1 + 24 + 2 :]
    kinds = [listing[start + 20] for start in range(0, len(listing), 25)]
    assert kinds == [
        *(FileType.DIRECTORY, FileType.REGULAR_FILE),
        *(FileType.SYMBOLIC_LINK, FileType.UNKNOWN),
    ]


def test_a_directory_with_too_many_entries_is_not_listed(tmp_path: Path) -> None:
    for number in range(6):
        (tmp_path / str(number)).touch()
    guest = limited(tmp_path, directory_entries=5)
    assert outcome(guest.names) is Errno.DQUOT
    (tmp_path / "0").unlink()
    assert len(guest.names()) == 7


def test_how_much_is_written_is_limited(tmp_path: Path) -> None:
    guest = limited(tmp_path, written_bytes=10)
    fd = guest.open("f", WRITE, oflags=CREATE)
    assert guest.write(fd, b"123456") == 6
    assert outcome(guest.write, fd, b"12345") is Errno.DQUOT
    assert guest.errno("fd_filestat_set_size", fd, 11) is Errno.DQUOT
    guest.call("fd_seek", fd, 10, 0, guest.result)
    assert outcome(guest.write, fd, b"1") is Errno.DQUOT  # the gap counts
    vector = guest.vector(guest.put(b"1"), 1)
    assert guest.errno("fd_pwrite", fd, vector, 1, 10, guest.result) is Errno.DQUOT
    assert guest.errno("fd_pwrite", fd, vector, 1, 2**62, guest.result) is Errno.DQUOT
    guest.call("fd_filestat_set_size", fd, 10)
    guest.call("fd_filestat_set_size", fd, 0)
    assert outcome(guest.write, fd, b"1") is Errno.DQUOT
    guest.functions.begin("plugin_execute", ())
    guest.create("f", b"0123456789")


def test_sizes_are_not_negative(guest: FakeGuest) -> None:
    fd = guest.open("f", WRITE, oflags=CREATE)
    assert guest.errno("fd_filestat_set_size", fd, 2**63) is Errno.INVAL
    assert guest.errno("fd_filestat_set_size", fd, 2**63 - 1) is Errno.DQUOT
    assert guest.errno("fd_advise", fd, 2**63, 0, 0) is Errno.INVAL
    assert guest.errno("fd_advise", fd, 0, 0, 6) is Errno.INVAL


def test_one_call_moves_at_most_a_mebibyte(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(bytes(3 * MIB))
    guest = FakeGuest(at(tmp_path), reading("."))
    guest.memory.data = bytearray(4 * MIB)
    fd = guest.open("f")
    guest.call("fd_read", fd, guest.vector(1_000, 3 * MIB), 1, 8)
    assert guest.u32(8) == MIB


def test_work_is_limited(tmp_path: Path) -> None:
    guest = limited(tmp_path, steps=20)
    assert guest.errno("sched_yield") is Errno.SUCCESS
    (tmp_path / "d").mkdir()
    assert outcome(guest.stat, "d/../" * 30) is Errno.DQUOT
    for _ in range(3):
        assert guest.errno("sched_yield") is Errno.DQUOT
    guest.functions.begin("plugin_execute", ())
    assert guest.errno("sched_yield") is Errno.SUCCESS


@pytest.mark.parametrize("flag", [FdFlags.DSYNC, FdFlags.SYNC, FdFlags.RSYNC])
def test_writes_that_wait_for_the_disk_are_as_dear_as_waiting_for_it(
    tmp_path: Path, flag: FdFlags
) -> None:
    guest = limited(tmp_path, steps=3_500)
    fd = guest.open("f", WRITE, oflags=CREATE, fdflags=flag)
    assert guest.write(fd, b"1") == 1
    # The system does not let go of them when the guest does.
    guest.call("fd_fdstat_set_flags", fd, 0)
    assert guest.write(fd, b"2") == 1
    guest.call("fd_pwrite", fd, guest.vector(8, 1), 1, 0, guest.result)
    assert outcome(guest.write, fd, b"4") is Errno.DQUOT
    assert (tmp_path / "f").stat().st_size == 2


def test_a_file_that_fails_when_it_is_closed_keeps_no_other_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    guest = FakeGuest(at(tmp_path), writing("."))
    files = {guest.functions_fd(guest.open(f"f{n}", WRITE, oflags=CREATE)) for n in range(3)}
    close = os.close

    def fail(fd: int) -> None:
        close(fd)
        if fd in files:  # as a file system in the network does when the quota is used up
            raise OSError(EDQUOT, os.strerror(EDQUOT))

    monkeypatch.setattr(os, "close", fail)
    guest.end()
    assert [fd for fd in files if os.path.exists(f"/proc/self/fd/{fd}")] == []
    assert len(caplog.records) == 3


def test_times_out_of_range_are_the_nearest() -> None:
    def times(nanoseconds: int) -> tuple[int, ...]:
        times = dict.fromkeys(("st_atime_ns", "st_mtime_ns", "st_ctime_ns"), nanoseconds)
        status = os.stat_result((stat.S_IFREG, 1, 1, 1, 0, 0, 0, 0, 0, 0), times)
        return FILESTAT.unpack(filestat(status))[-3:]

    # Some file systems keep times of 64 bits of seconds.
    assert times(2**70) == (2**64 - 1,) * 3
    assert times(-1) == (0,) * 3


def test_a_failure_of_the_system_keeps_its_number(guest: FakeGuest) -> None:
    with pytest.raises(Failed) as failed:
        guest.create("x" * 300, b"")
    assert failed.value.errno is Errno.NAMETOOLONG
