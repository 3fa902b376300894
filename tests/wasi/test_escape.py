"""No path, link or race leads out of a granted directory."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sen_host.wasi.errno import Errno
from tests.wasi.fake_guest import (
    CREATE,
    DIRECTORY,
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

OUTSIDE = b"outside"
INSIDE = b"inside"


def build(root: Path) -> Path:
    """``root/granted`` with links of all kinds, among directories that are not granted."""
    granted = root / "granted"
    (granted / "a" / "b").mkdir(parents=True)
    (root / "other" / "a").mkdir(parents=True)
    (root / "f").write_bytes(OUTSIDE)
    for directory in (root / "other", root / "other" / "a"):
        (directory / "f").write_bytes(OUTSIDE)
    for directory in (granted, granted / "a", granted / "a" / "b"):
        (directory / "f").write_bytes(INSIDE)
    links = {
        "up": "..",
        "out": "../f",
        "other": "../other",
        "absolute": str(root / "f"),
        "root": "/",
        "self": ".",
        "loop": "loop",
        "ping": "pong",
        "pong": "ping",
        "down": "a/b/",
        "back": "a/b/../..",
        "file": "a/f",
        "slash": "f/",
        "chain": "self/down/up/f",
        "a/up": "..",
        "a/up2": "../..",
        "a/b/up": "../",
        "a/b/up3": "../../../f",
        "a/b/far": "../../up/granted/f",
    }
    for name, target in links.items():
        (granted / name).symlink_to(target)
    return granted


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("escape"))


NAMES = """
a b f up up2 up3 far out other absolute root self loop ping pong down back file slash chain
.. . none granted
""".split()
PATHS = st.lists(st.sampled_from([*NAMES, ""]), max_size=8).map("/".join)


@given(path=PATHS, oflags=st.sampled_from([0, DIRECTORY]), follow=st.booleans())
@settings(max_examples=400)
def test_what_is_read_is_always_inside(tree: Path, path: str, oflags: int, follow: bool) -> None:
    guest = FakeGuest(at(tree.parent), reading("granted"))
    before = set(os.listdir("/proc/self/fd"))
    try:
        fd = guest.open(path, oflags=oflags, follow=follow)
    except Failed:
        assert set(os.listdir("/proc/self/fd")) == before
        return
    else:
        opened = Path(os.readlink(f"/proc/self/fd/{guest.functions_fd(fd)}"))
        assert opened == tree or tree in opened.parents
        # Where the system follows the path too, it comes to the same place.
        assert opened == (tree / path).resolve()
    finally:
        guest.end()


@given(path=PATHS)
@settings(max_examples=200)
def test_a_path_that_stays_inside_is_followed_as_the_system_does(tree: Path, path: str) -> None:
    """A refusal has a reason: the path is broken, or leads through something outside."""
    guest = FakeGuest(at(tree.parent), reading("granted"))
    try:
        guest.open(path)
    except Failed as failed:
        if failed.errno is Errno.PERM:
            assert leaves(tree, path)
        else:
            with pytest.raises(OSError, match=os.strerror(_number(failed.errno))):
                os.close(os.open(tree / path if path else b"", os.O_RDONLY))
    finally:
        guest.end()


def _number(errno: Errno) -> int:
    import errno as system

    return int(getattr(system, f"E{errno.name}"))


def leaves(tree: Path, path: str) -> bool:
    """Whether a path leads through a place that is not in the tree, by a model of our own."""
    place, rest, steps = tree, path.split("/"), 0
    if path.startswith("/"):
        return True
    while rest and steps < 500:
        steps += 1
        name = rest.pop(0)
        if name in ("", "."):
            continue
        place = place.parent if name == ".." else place / name
        if place != tree and tree not in place.parents:
            return True
        if name != ".." and place.is_symlink():
            target = os.readlink(place)
            if target.startswith("/"):
                return True
            place, rest = place.parent, target.split("/") + rest
    return False


@given(path=PATHS, other=PATHS)
@settings(max_examples=150, deadline=None)
def test_nothing_outside_is_altered(
    tmp_path_factory: pytest.TempPathFactory, path: str, other: str
) -> None:
    root = tmp_path_factory.mktemp("altered")
    try:
        granted = build(root)
        guest = FakeGuest(at(root), writing("granted"))
        name, new = guest.path(path), guest.path(other)
        attempts = [
            ("path_create_directory", (3, *name)),
            ("path_symlink", (*name, 3, *new)),
            ("path_link", (3, 0, *name, 3, *new)),
            ("path_rename", (3, *name, 3, *new)),
            ("path_filestat_set_times", (3, 1, *new, 7, 7, 5)),
            ("path_unlink_file", (3, *new)),
            ("path_remove_directory", (3, *name)),
        ]
        before = snapshot(root, granted)
        for function, arguments in attempts:
            guest.errno(function, *arguments)
        for given_path in (path, other):
            outcome(guest.create, given_path, b"new")
        guest.end()
        assert snapshot(root, granted) == before
    finally:
        shutil.rmtree(root)


def snapshot(root: Path, granted: Path) -> dict[str, object]:
    """All outside of the granted directory, with contents and times."""
    found: dict[str, object] = {}
    for directory, names, files in os.walk(root):
        if Path(directory) == root:
            names.remove(granted.name)
        for name in files:
            path = Path(directory, name)
            found[str(path)] = path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_nlink
    found["names"] = sorted(os.listdir(root))
    return found


@pytest.mark.parametrize(
    ("target", "link", "errno"),
    [
        ("a/f", "l", Errno.SUCCESS),
        ("./none/..x", "a/b/l", Errno.SUCCESS),
        ("..", "l", Errno.PERM),
        ("../x", "a/l", Errno.PERM),
        ("./.././x", "a/l", Errno.PERM),
        ("/etc/passwd", "l", Errno.PERM),
        ("self/..", "l", Errno.PERM),
        ("a/../..", "l", Errno.PERM),
        ("f", "down/l", Errno.SUCCESS),
        ("", "l", Errno.NOENT),
        ("f", "l/", Errno.NOENT),
        ("f", "f", Errno.EXIST),
    ],
)
def test_a_link_can_only_be_made_to_lead_down(
    tmp_path: Path, target: str, link: str, errno: Errno
) -> None:
    build(tmp_path)
    guest = FakeGuest(at(tmp_path), writing("granted"))
    assert guest.errno("path_symlink", *guest.path(target), 3, *guest.path(link)) is errno


def test_the_text_of_an_absolute_link_is_not_told(tree: Path) -> None:
    guest = FakeGuest(at(tree.parent), reading("granted"))
    buffer = guest.result + 8
    for name, errno in {"absolute": Errno.PERM, "f": Errno.INVAL, "none": Errno.NOENT}.items():
        arguments = (3, *guest.path(name), buffer, 100, guest.result)
        assert guest.errno("path_readlink", *arguments) is errno
    guest.call("path_readlink", 3, *guest.path("down"), buffer, 3, guest.result)
    assert guest.memory.read(buffer, guest.u32()) == b"a/b"


def test_a_subdirectory_is_a_wall_of_its_own(tree: Path) -> None:
    guest = FakeGuest(at(tree.parent), reading("granted"))
    fd = guest.open("a", oflags=DIRECTORY)
    assert guest.content("b/../f", fd=fd) == INSIDE
    assert guest.content("b/up/f", fd=fd) == INSIDE
    for path in ("..", "../f", "up/f", "b/../../f"):
        with pytest.raises(Failed) as failed:
            guest.open(path, fd=fd)
        assert failed.value.errno is Errno.PERM


def test_the_directory_above_has_no_number(tree: Path) -> None:
    guest = FakeGuest(at(tree.parent), reading("granted"))
    guest.call("fd_readdir", 3, guest.result + 8, 1_000, 0, guest.result)
    listing = guest.memory.read(guest.result + 8, guest.u32())
    assert tree.parent.stat().st_ino.to_bytes(8, "little") not in listing


@contextmanager
def swapping(one: Path, other: Path) -> Iterator[None]:
    """Two names change places, as fast as possible."""
    done = threading.Event()
    kept = one.with_name("kept")

    def swap() -> None:
        while not done.is_set():
            for old, new in ((one, kept), (other, one), (one, other), (kept, one)):
                os.rename(old, new)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


REASONS = {Errno.PERM, Errno.NOENT, Errno.NOTDIR, Errno.LOOP}


@pytest.mark.parametrize("path", ["d/f", "f"])
def test_what_becomes_a_link_leads_nowhere(tmp_path: Path, path: str) -> None:
    granted = tmp_path / "granted"
    for directory, content in ((granted / "d", INSIDE), (tmp_path / "other", OUTSIDE)):
        directory.mkdir(parents=True)
        (directory / "f").write_bytes(content)
    (granted / "f").write_bytes(INSIDE)
    (granted / "link").symlink_to("../other" if path == "d/f" else "../other/f")
    guest = FakeGuest(at(tmp_path), writing("granted"))
    seen: set[object] = set()
    with swapping(granted / path[0], granted / "link"):
        for _ in range(2_000):
            seen.add(outcome(guest.content, path))
            seen.add(outcome(guest.create, path, INSIDE))
    assert seen >= {INSIDE, None}
    # Others see a file between its being cut and its being written; this guest does not.
    assert seen - REASONS == {INSIDE, None}
    assert (tmp_path / "other" / "f").read_bytes() == OUTSIDE
    assert os.listdir(tmp_path / "other") == ["f"]


def test_pipes_devices_and_sockets_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        guest = FakeGuest(at(tmp_path), writing("."))
        for name in ("pipe", "socket"):
            for rights in (0, READ, WRITE, READ | WRITE):
                for oflags in (0, CREATE, CREATE | TRUNCATE):
                    with pytest.raises(Failed) as failed:
                        guest.open(name, rights, oflags=oflags if rights & WRITE else 0)
                    assert failed.value.errno is Errno.PERM
    devices = FakeGuest(at(tmp_path), reading("/dev"))
    for name in ("null", "zero", "tty", "stdin", "fd/0", "stdout"):
        with pytest.raises(Failed) as failed:
            devices.open(name)
        assert failed.value.errno in (Errno.PERM, Errno.NOENT)


def test_a_file_that_becomes_a_pipe_hangs_nobody(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(INSIDE)
    os.mkfifo(tmp_path / "pipe")
    guest = FakeGuest(at(tmp_path), writing("."))
    seen: set[object] = set()
    with swapping(tmp_path / "f", tmp_path / "pipe"):
        for rights in (READ, WRITE, READ | WRITE) * 500:
            opened = outcome(guest.open, "f", rights)
            if isinstance(opened, Errno):
                seen.add(opened)
            else:
                seen.add(stat.S_ISREG(os.fstat(guest.functions_fd(opened)).st_mode))
                guest.call("fd_close", opened)
    assert True in seen
    assert seen <= {True, Errno.PERM, Errno.NOENT, Errno.NXIO}


def test_a_file_that_was_replaced_between_the_look_and_the_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "f").write_bytes(INSIDE)
    os.mkfifo(tmp_path / "pipe")
    look = os.stat

    def replaced(*args: Any, **kwargs: Any) -> os.stat_result:
        seen = look(*args, **kwargs)
        if args[0] == b"f":
            os.rename(tmp_path / "pipe", tmp_path / "f")
        return seen

    guest = FakeGuest(at(tmp_path), writing("."))
    monkeypatch.setattr(os, "stat", replaced)
    assert outcome(guest.open, "f") is Errno.PERM


def test_links_of_the_system_are_not_followed() -> None:
    guest = FakeGuest(at(Path("/proc/self")), reading("/proc/self"))
    for path in ("root/etc/passwd", "cwd", "exe", "fd/0", "root"):
        with pytest.raises(Failed) as failed:
            guest.open(path)
        assert failed.value.errno in (Errno.PERM, Errno.NOENT)


@pytest.mark.parametrize("path", ["self/environ", "self/mem", "self/maps", "version"])
def test_the_memory_and_the_environment_of_processes_are_no_files(path: str) -> None:
    guest = FakeGuest(at(Path("/proc")), reading("/proc"))
    assert outcome(guest.open, path) in (Errno.PERM, Errno.LOOP)


def test_a_path_is_not_endless(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    deep = tmp_path
    for _ in range(130):
        deep = deep / "d"
    deep.mkdir(parents=True)
    guest = FakeGuest(at(tmp_path), reading("."))
    cases = {
        "loop": Errno.LOOP,
        "loop/x": Errno.LOOP,
        "d/" * 130: Errno.NAMETOOLONG,
        "x" * 256: Errno.NAMETOOLONG,
        "x" * 4_097: Errno.NAMETOOLONG,
        "d/../" * 800 + "d": Errno.SUCCESS,
        "": Errno.NOENT,
        "/": Errno.PERM,
    }
    for path, errno in cases.items():
        place = guest.path(path)
        assert guest.errno("path_open", 3, 1, *place, 0, 2, 0, 0, guest.result) is errno, path


@pytest.mark.parametrize(
    ("path", "errno"),
    [(b"a\0b", Errno.INVAL), (b"\xff", Errno.ILSEQ), (b"\xed\xa0\x80", Errno.ILSEQ)],
)
def test_a_path_is_text(tmp_path: Path, path: bytes, errno: Errno) -> None:
    guest = FakeGuest(at(tmp_path), writing("."))
    with pytest.raises(Failed) as failed:
        guest.open(path, WRITE, oflags=CREATE)
    assert failed.value.errno is errno
    assert os.listdir(tmp_path) == []
