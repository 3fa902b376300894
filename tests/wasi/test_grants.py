"""What a plugin sees of the file system follows from its grants, and from nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sen_host.errors import GrantNotUsable
from sen_host.messages import Capabilities
from sen_host.wasi import Wasi, WasiLimits
from sen_host.wasi.errno import Errno
from sen_host.wasi.layout import FDSTAT, FileType, Rights
from tests.wasi.fake_guest import (
    CREATE,
    DIRECTORY,
    READ,
    TRUNCATE,
    WRITE,
    Failed,
    FakeGuest,
    at,
    patterns,
    reading,
    writing,
)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A working directory with data to read, and something outside of what is granted."""
    (tmp_path / "data" / "sub").mkdir(parents=True)
    (tmp_path / "data" / "a.txt").write_bytes(b"alpha")
    (tmp_path / "data" / "sub" / "b.txt").write_bytes(b"beta")
    (tmp_path / "out").mkdir()
    (tmp_path / "secret").write_bytes(b"secret")
    return tmp_path


def refused(
    guest: FakeGuest, path: str, rights: int = READ, *, oflags: int = 0, fd: int = 3
) -> Errno:
    """With which number opening fails."""
    with pytest.raises(Failed) as failed:
        guest.open(path, rights, oflags=oflags, fd=fd)
    return failed.value.errno


def open_descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def test_nothing_is_there_without_a_grant(home: Path) -> None:
    guest = FakeGuest(at(home))
    assert guest.preopened() == []
    assert refused(guest, "data/a.txt") is Errno.BADF
    for fd in (0, 1, 2):
        assert refused(guest, "data/a.txt", fd=fd) is Errno.BADF


@pytest.mark.parametrize("function", ["plugin_manifest", "instantiation", "other"])
def test_only_the_command_is_granted_anything(home: Path, function: str) -> None:
    guest = FakeGuest(at(home), reading("data"), function=function)
    assert guest.preopened() == []


@pytest.mark.parametrize("function", ["plugin_execute", "plugin_resume"])
def test_the_command_and_its_continuation_are_granted_the_same(home: Path, function: str) -> None:
    guest = FakeGuest(at(home), reading("data"), function=function)
    assert guest.content("a.txt") == b"alpha"


def test_directories_have_the_names_of_the_patterns_in_their_order(home: Path) -> None:
    granted = Capabilities(
        fs_read=patterns("./data", str(home / "data"), "."), fs_write=patterns("out", "./data/")
    )
    guest = FakeGuest(at(home), granted)
    assert guest.preopened() == ["./data", str(home / "data"), ".", "out"]
    guest.create("new", b"", fd=3)  # reading and writing of one pattern come together
    assert refused(guest, "new", WRITE, fd=4) is Errno.PERM


def test_a_home_is_that_of_the_user(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(home))
    guest = FakeGuest(at(home / "out"), reading("~/data"))
    assert guest.preopened() == ["~/data"]
    assert guest.content("a.txt") == b"alpha"


def test_reading_allows_no_alteration(home: Path) -> None:
    guest = FakeGuest(at(home), reading("data"))
    assert refused(guest, "a.txt", WRITE) is Errno.PERM
    assert refused(guest, "a.txt", READ | WRITE, oflags=TRUNCATE) is Errno.PERM
    assert refused(guest, "new", READ, oflags=CREATE) is Errno.PERM
    name, other = guest.path("a.txt"), guest.path("sub")
    for function, arguments in {
        "path_unlink_file": (3, *name),
        "path_remove_directory": (3, *other),
        "path_create_directory": (3, *guest.path("made")),
        "path_rename": (3, *name, 3, *guest.path("made")),
        "path_link": (3, 0, *name, 3, *guest.path("made")),
        "path_symlink": (*name, 3, *guest.path("made")),
        "path_filestat_set_times": (3, 0, *name, 0, 0, 5),
        "fd_filestat_set_times": (3, 0, 0, 5),
    }.items():
        assert guest.errno(function, *arguments) is Errno.PERM, function
    fd = guest.open("a.txt")
    vector = guest.vector(8, 5)
    for function, arguments in {
        "fd_write": (fd, vector, 1, guest.result),
        "fd_pwrite": (fd, vector, 1, 0, guest.result),
        "fd_filestat_set_size": (fd, 0),
        "fd_filestat_set_times": (fd, 0, 0, 5),
    }.items():
        assert guest.errno(function, *arguments) is Errno.BADF, function
    assert sorted(os.listdir(home / "data")) == ["a.txt", "sub"]
    assert (home / "data" / "a.txt").read_bytes() == b"alpha"


def test_a_file_opened_for_writing_cannot_be_read_by_that_descriptor(home: Path) -> None:
    guest = FakeGuest(at(home), writing("out"))
    fd = guest.open("new", WRITE, oflags=CREATE)
    with pytest.raises(Failed) as failed:
        guest.read(fd)
    assert failed.value.errno is Errno.BADF


def test_what_may_be_written_may_be_read(home: Path) -> None:
    guest = FakeGuest(at(home), writing("out"))
    guest.create("new", b"text")
    assert guest.content("new") == b"text"
    assert "new" in guest.names()


def test_what_may_only_be_read_cannot_come_to_where_it_may_be_written(home: Path) -> None:
    guest = FakeGuest(at(home), Capabilities(patterns("data"), patterns("out")))
    name, new = guest.path("a.txt"), guest.path("new")
    assert guest.errno("path_link", 3, 0, *name, 4, *new) is Errno.PERM
    assert guest.errno("path_rename", 3, *name, 4, *new) is Errno.PERM
    guest.create("new", b"x", fd=4)
    assert guest.errno("path_rename", 4, *new, 3, *name) is Errno.PERM
    assert (home / "data" / "a.txt").read_bytes() == b"alpha"


def test_a_directory_without_what_is_below_it(home: Path) -> None:
    (home / "data" / "into").symlink_to("sub/b.txt")
    guest = FakeGuest(at(home), writing("data", recursive=False))
    assert guest.content("a.txt") == b"alpha"
    assert guest.names() == [".", "..", "a.txt", "into", "sub"]
    guest.create("new", b"x")
    for path in ("sub", "sub/b.txt", "sub/..", "into", "sub/../a.txt", "sub/none"):
        assert refused(guest, path) is Errno.PERM, path
    sub = guest.path("sub")
    assert guest.errno("path_remove_directory", 3, *sub) is Errno.PERM
    assert guest.errno("path_create_directory", 3, *guest.path("made")) is Errno.PERM
    assert guest.errno("path_rename", 3, *sub, 3, *guest.path("moved")) is Errno.PERM


def test_a_directory_only_moves_to_where_all_below_is_granted(home: Path) -> None:
    (home / "flat").mkdir()
    granted = Capabilities(fs_write=(*patterns("data", "out"), *patterns("flat", recursive=False)))
    guest = FakeGuest(at(home), granted)
    sub, new = guest.path("sub"), guest.path("new")
    assert guest.errno("path_rename", 3, *sub, 5, *new) is Errno.PERM
    assert guest.errno("path_rename", 3, *sub, 4, *new) is Errno.SUCCESS
    assert guest.content("new/b.txt", fd=4) == b"beta"


def test_a_single_file(home: Path) -> None:
    (home / "data" / "link").symlink_to("a.txt")
    guest = FakeGuest(at(home), reading("./data/a.txt"))
    assert guest.preopened() == ["./data"]
    assert guest.content("a.txt") == b"alpha"
    # Nothing tells what else there is, or that it is not there.
    for path in ("link", "sub", "sub/b.txt", "sub/../a.txt", "none", "none/none"):
        assert refused(guest, path) is Errno.PERM, path
    arguments = (3, guest.result + 8, 1_000, 0, guest.result)
    assert guest.errno("fd_readdir", *arguments) is Errno.PERM
    root = guest.open(".", oflags=DIRECTORY)
    assert guest.errno("fd_readdir", root, *arguments[1:]) is Errno.PERM
    assert refused(guest, "a.txt", WRITE) is Errno.PERM


def test_a_single_file_that_is_still_to_be_written(home: Path) -> None:
    guest = FakeGuest(at(home), writing("report.txt", "out/log"))
    assert guest.preopened() == [".", "out"]
    guest.create("report.txt", b"done")
    guest.create("log", b"line", fd=4)
    assert refused(guest, "other", WRITE, oflags=CREATE) is Errno.PERM
    assert (home / "report.txt").read_bytes() == b"done"
    assert (home / "out" / "log").read_bytes() == b"line"


def test_a_single_file_may_be_written_in_a_directory_that_may_be_read(home: Path) -> None:
    granted = Capabilities(patterns("data"), patterns("data/a.txt"))
    guest = FakeGuest(at(home), granted)
    assert guest.preopened() == ["data"]
    guest.create("sub/../a.txt", b"new")
    assert guest.content("sub/b.txt") == b"beta"
    assert refused(guest, "sub/b.txt", WRITE) is Errno.PERM
    sub = guest.open("sub", oflags=DIRECTORY)
    assert refused(guest, "a.txt", WRITE, oflags=CREATE, fd=sub) is Errno.PERM


def test_what_is_not_there_is_left_out(home: Path) -> None:
    guest = FakeGuest(at(home), reading("none/none", "data", "", "~/none/none"))
    assert guest.preopened() == ["data"]


@pytest.mark.parametrize("pattern", ["..", "../x", "data/../../x", "away", "away/x", "absolute"])
def test_a_relative_grant_cannot_lead_out_of_the_working_directory(
    home: Path, pattern: str
) -> None:
    (home / "in").mkdir()
    (home / "in" / "away").symlink_to("../data")
    (home / "in" / "absolute").symlink_to(home / "data")
    (home / "in" / "data").mkdir()
    before = open_descriptors()
    with pytest.raises(GrantNotUsable, match="it leads out of the working directory") as failed:
        FakeGuest(at(home / "in"), Capabilities(patterns("data"), patterns(pattern)))
    assert failed.value.pattern == pattern
    assert open_descriptors() == before


def test_a_relative_grant_may_be_a_link_within_the_working_directory(home: Path) -> None:
    (home / "link").symlink_to("out/../data")
    guest = FakeGuest(at(home), reading("link"))
    assert guest.content("a.txt") == b"alpha"


def test_an_absolute_grant_is_followed_where_it_leads(home: Path) -> None:
    (home / "link").symlink_to(home / "data")
    guest = FakeGuest(at(home / "out"), reading(str(home / "link")))
    assert guest.content("a.txt") == b"alpha"


def test_a_grant_with_a_nul_is_refused(home: Path) -> None:
    with pytest.raises(GrantNotUsable, match="NUL"):
        FakeGuest(at(home), reading("da\0ta"))


def test_a_grant_that_may_not_be_opened_is_an_error(home: Path) -> None:
    (home / "loop").symlink_to("loop")
    with pytest.raises(GrantNotUsable, match=r"'loop/x' cannot be used"):
        FakeGuest(at(home), reading("loop/x"))


def test_descriptors_are_closed_with_the_entry(home: Path) -> None:
    before = open_descriptors()
    guest = FakeGuest(at(home), writing("data"))
    for _ in range(10):
        guest.open("a.txt")
        guest.open("sub", oflags=DIRECTORY)
    assert len(open_descriptors()) == len(before) + 21
    guest.functions.end()
    assert open_descriptors() == before
    guest.functions.end()
    guest.functions.close()


def test_each_entry_starts_afresh(home: Path) -> None:
    guest = FakeGuest(at(home), reading("data"))
    assert guest.open("a.txt") == 4
    before = open_descriptors()
    guest.functions.begin("plugin_execute", ())
    assert len(open_descriptors()) == len(before) - 1
    assert guest.errno("fd_tell", 4, guest.result) is Errno.BADF
    assert guest.open("a.txt") == 4
    guest.functions.granted = Capabilities()
    guest.functions.begin("plugin_execute", ())
    assert guest.preopened() == []


def test_open_files_are_limited(home: Path) -> None:
    wasi = Wasi(working_directory=str(home), limits=WasiLimits(open_files=3))
    guest = FakeGuest(wasi, reading("data"))
    opened = [guest.open("a.txt") for _ in range(3)]
    assert refused(guest, "a.txt") is Errno.MFILE
    guest.call("fd_close", opened[1])
    assert guest.open("a.txt") == opened[1]


def rights(guest: FakeGuest, fd: int) -> Iterator[Rights]:
    guest.call("fd_fdstat_get", fd, guest.result)
    kind, _flags, base, inheriting = FDSTAT.unpack(guest.memory.read(guest.result, FDSTAT.size))
    assert kind == FileType.DIRECTORY
    yield Rights(base)
    yield Rights(inheriting)


def test_rights_tell_what_is_granted(home: Path) -> None:
    guest = FakeGuest(at(home), Capabilities(patterns("data"), patterns("out")))
    base, inheriting = rights(guest, 3)
    assert base & Rights.PATH_OPEN
    assert inheriting & Rights.FD_READ
    assert not (base | inheriting) & (Rights.FD_WRITE | Rights.PATH_CREATE_FILE)
    base, inheriting = rights(guest, 4)
    assert base & Rights.PATH_CREATE_FILE
    assert inheriting & Rights.FD_WRITE
