"""The cache on disk: what is kept and for how long, and what is not trusted."""

from __future__ import annotations

import errno
import logging
import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sen_host.cache import directory as disk
from sen_host.cache import store
from sen_host.cache.settings import CacheSettings, default_directory
from sen_host.cache.store import CompileCache
from sen_host.cache.upkeep import STALE_SECONDS, Removed
from sen_host.errors import EnvironmentFault
from sen_host.limits import MIB
from tests.cache.support import DATA, cache_in, description, entries, key

NOBODY = 65_534

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def cache(folder: Path) -> CompileCache:
    return cache_in(folder)


@pytest.fixture(autouse=True)
def _warn_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_warned", set())


def fill(cache: CompileCache, count: int, data: bytes = DATA) -> None:
    """Entries 1 to ``count``, used one minute after the other, the last one a minute ago."""
    now = time.time()
    for number in range(1, count + 1):
        cache.put(description(number), data)
        assert cache.path is not None
        used = now - 60 * (count + 1 - number)
        os.utime(os.path.join(cache.path, disk.name_of(key(number))), (used, used))


def held(cache: CompileCache) -> list[int]:
    """The numbers of the entries, the one used last first."""
    return [int(entry.file.key, 16) for entry in cache.entries()]


# --- keeping ------------------------------------------------------------------


def test_what_was_put_is_got(cache: CompileCache) -> None:
    cache.put(description(1), DATA)
    cache.put(description(2), b"other")
    assert cache.get(key(1)) == (description(1), DATA)
    assert cache.get(key(2)) == (description(2), b"other")
    assert cache.get(key(3)) is None


def test_looking_for_an_entry_creates_nothing(cache: CompileCache, folder: Path) -> None:
    assert cache.get(key(1)) is None
    assert cache.entries() == []
    assert cache.clear() == cache.prune() == Removed(0, 0)
    cache.drop(key(1), "for no reason")
    assert not folder.exists()


def test_only_the_user_can_read_it(cache: CompileCache, folder: Path) -> None:
    before = os.umask(0)
    try:
        cache.put(description(), DATA)
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (file,) = folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_second_entry_of_a_key_replaces_the_first(cache: CompileCache, folder: Path) -> None:
    cache.put(description(), DATA)
    cache.put(description(), b"newer")
    assert cache.get(key(1)) == (description(), b"newer")
    assert len(list(folder.iterdir())) == 1


def test_entries_are_listed_with_what_they_are(cache: CompileCache) -> None:
    fill(cache, 3)
    assert held(cache) == [3, 2, 1]
    assert [entry.description for entry in cache.entries()] == [
        description(3),
        description(2),
        description(1),
    ]


# --- for how long -------------------------------------------------------------


def test_the_least_recently_used_make_room(folder: Path) -> None:
    cache = cache_in(folder, 2 * MIB)
    fill(cache, 4, bytes(MIB // 2 - 500))
    assert held(cache) == [4, 3, 2, 1]
    cache.put(description(5), bytes(MIB))
    assert held(cache) == [5, 4, 3]
    assert sum(file.stat().st_size for file in folder.iterdir()) <= 2 * MIB


def test_a_use_counts(folder: Path) -> None:
    cache = cache_in(folder, 2 * MIB)
    fill(cache, 4, bytes(MIB // 2 - 500))
    for file in entries(folder):  # long enough ago to be noted
        os.utime(file, (file.stat().st_mtime - 3600,) * 2)
    assert cache.get(key(1)) is not None
    cache.put(description(5), bytes(MIB))
    assert sorted(held(cache)) == [1, 4, 5]


def test_a_use_is_not_noted_all_the_time(cache: CompileCache, folder: Path) -> None:
    fill(cache, 1)
    (file,) = entries(folder)
    before = file.stat().st_mtime_ns
    assert cache.get(key(1)) is not None
    assert file.stat().st_mtime_ns == before


@pytest.mark.parametrize("seconds", [10, 86_400])
def test_a_use_in_the_future_is_put_right(
    cache: CompileCache, folder: Path, seconds: float
) -> None:
    cache.put(description(), DATA)
    (file,) = entries(folder)
    os.utime(file, (time.time() + seconds,) * 2)
    assert cache.get(key(1)) is not None
    assert file.stat().st_mtime <= time.time()


def test_entries_from_the_future_do_not_stay_for_ever(folder: Path) -> None:
    cache = cache_in(folder, 2 * MIB)
    fill(cache, 4, bytes(MIB // 2 - 500))
    os.utime(folder / disk.name_of(key(4)), (time.time() + 86_400,) * 2)
    cache.put(description(5), bytes(MIB // 2 - 500))
    assert sorted(held(cache)) == [1, 2, 3, 5]


def test_an_entry_larger_than_the_cache_is_not_kept(folder: Path) -> None:
    cache = cache_in(folder, MIB)
    fill(cache, 1)
    cache.put(description(2), bytes(MIB))
    assert held(cache) == [1]


def test_a_smaller_cache_is_smaller_at_the_next_chance(folder: Path) -> None:
    fill(cache_in(folder), 6, bytes(MIB // 2))
    smaller = cache_in(folder, 2 * MIB)
    assert smaller.prune().files == 3
    assert held(smaller) == [6, 5, 4]


def test_clearing_takes_only_what_the_cache_wrote(cache: CompileCache, folder: Path) -> None:
    fill(cache, 2)
    temporary = folder / f"tmp-{os.getpid()}-{'0' * 16}"
    temporary.write_bytes(b"12345")
    strangers = [folder / "notes.txt", folder / "a.mod", folder / "tmp-1", folder / "sub"]
    for stranger in strangers[:3]:
        stranger.write_text("mine")
    strangers[3].mkdir()
    total = sum(file.stat().st_size for file in [*entries(folder), temporary])
    total -= (folder / "a.mod").stat().st_size
    assert cache.clear() == Removed(3, total)
    assert sorted(folder.iterdir()) == sorted(strangers)


def ended_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_what_a_killed_process_left_is_removed(cache: CompileCache, folder: Path) -> None:
    cache.put(description(1), DATA)
    left = folder / f"tmp-{ended_process()}-{'0' * 16}"
    old = folder / f"tmp-{os.getpid()}-{'1' * 16}"
    young = folder / f"tmp-{os.getpid()}-{'2' * 16}"
    for file in (left, old, young):
        file.write_bytes(b"half an entry")
    os.utime(old, (time.time() - 2 * STALE_SECONDS,) * 2)
    cache.put(description(2), DATA)
    assert sorted(folder.iterdir()) == sorted([*entries(folder), young])


# --- what is not trusted ------------------------------------------------------


def test_a_damaged_entry_is_dropped_and_can_be_put_again(
    cache: CompileCache, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache.put(description(), DATA)
    (file,) = entries(folder)
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with caplog.at_level(logging.DEBUG, "sen_host"):
        assert cache.get(key(1)) is None
    assert "its checksum is wrong" in caplog.text
    assert entries(folder) == []
    cache.put(description(), DATA)
    assert cache.get(key(1)) == (description(), DATA)


def test_pruning_removes_what_is_damaged(cache: CompileCache, folder: Path) -> None:
    fill(cache, 3)
    broken = folder / disk.name_of(key(2))
    broken.write_bytes(broken.read_bytes()[:-1])
    assert cache.entries()[1].description is not None, "only reading it all tells"
    size = broken.stat().st_size
    assert cache.prune() == Removed(1, size)
    assert held(cache) == [3, 1]


def test_an_entry_under_the_name_of_another_is_dropped(cache: CompileCache, folder: Path) -> None:
    cache.put(description(1), DATA)
    os.rename(folder / disk.name_of(key(1)), folder / disk.name_of(key(2)))
    assert cache.get(key(2)) is None
    assert list(folder.iterdir()) == []


def intact_file(cache: CompileCache, folder: Path) -> Path:
    cache.put(description(), DATA)
    (file,) = entries(folder)
    return file


def test_a_link_in_place_of_an_entry_is_not_followed(cache: CompileCache, folder: Path) -> None:
    file = intact_file(cache, folder)
    elsewhere = folder.parent / "elsewhere"
    file.rename(elsewhere)
    file.symlink_to(elsewhere)
    assert cache.get(key(1)) is None
    assert not file.is_symlink(), "the link is dropped"
    assert elsewhere.exists(), "and what it led to is not"


def test_a_pipe_in_place_of_an_entry_blocks_nobody(
    cache: CompileCache, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = intact_file(cache, folder)
    file.unlink()
    os.mkfifo(file, 0o600)
    with caplog.at_level(logging.DEBUG, "sen_host"):
        assert cache.get(key(1)) is None
    assert "it is not a regular file" in caplog.text
    assert not file.exists()


def test_a_directory_in_place_of_an_entry_does_no_harm(cache: CompileCache, folder: Path) -> None:
    file = intact_file(cache, folder)
    file.unlink()
    file.mkdir()
    assert cache.get(key(1)) is None
    cache.put(description(), DATA)
    assert cache.get(key(1)) is None
    assert [entry.description for entry in cache.entries()] == [None]


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_an_entry_that_others_can_write_is_dropped(
    cache: CompileCache, folder: Path, mode: int
) -> None:
    file = intact_file(cache, folder)
    file.chmod(mode)
    assert cache.get(key(1)) is None
    assert not file.exists()


@as_root
def test_an_entry_of_another_user_is_dropped(cache: CompileCache, folder: Path) -> None:
    file = intact_file(cache, folder)
    os.chown(file, NOBODY, NOBODY)
    assert cache.get(key(1)) is None
    assert not file.exists()


class TestADirectoryThatIsNotPrivate:
    """It is not read and not written, and there is one warning."""

    @pytest.fixture(autouse=True)
    def _prove_it(
        self, cache: CompileCache, folder: Path, caplog: pytest.LogCaptureFixture
    ) -> Iterator[None]:
        cache.put(description(), DATA)
        yield
        before = sorted(folder.iterdir())
        with caplog.at_level(logging.WARNING, "sen_host"):
            assert cache.get(key(1)) is None
            cache.put(description(2), DATA)
            assert cache.entries() == []
            assert cache.clear() == cache.prune() == Removed(0, 0)
        assert sorted(folder.iterdir()) == before
        (record,) = caplog.records
        assert f"the compile cache {folder} is not used: " in record.getMessage()
        with pytest.raises(EnvironmentFault) as caught:
            cache.check()
        assert caught.value.hint is not None
        assert caught.value.hint in record.getMessage()

    @pytest.mark.parametrize("mode", [0o770, 0o702, 0o777])
    def test_others_can_write(self, folder: Path, mode: int) -> None:
        folder.chmod(mode)

    @as_root
    def test_it_belongs_to_somebody_else(self, folder: Path) -> None:
        os.chown(folder, NOBODY, NOBODY)

    def test_it_is_a_link(self, folder: Path) -> None:
        folder.rename(folder.parent / "elsewhere")
        folder.symlink_to(folder.parent / "elsewhere")


def test_a_slash_behind_a_link_does_not_make_it_a_directory(folder: Path) -> None:
    elsewhere = folder.parent / "elsewhere"
    cache_in(elsewhere).put(description(), DATA)
    folder.symlink_to(elsewhere)
    cache = CompileCache(CacheSettings(directory=f"{folder}/"))
    assert cache.get(key(1)) is None


# --- what the system does to it -------------------------------------------------


def test_a_full_disk_costs_the_entry_and_nothing_else(
    cache: CompileCache, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.put(description(1), DATA)
    write, written = os.write, 0

    def limited(file: int, data: bytes) -> int:
        nonlocal written
        if written >= 100:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written += 10
        return write(file, bytes(data)[:10])

    monkeypatch.setattr(os, "write", limited)
    cache.put(description(2), DATA)
    monkeypatch.undo()
    assert written == 100
    assert list(folder.iterdir()) == [folder / disk.name_of(key(1))]


def test_a_limit_on_file_sizes_costs_the_entry_and_nothing_else(folder: Path) -> None:
    code = f"""
import resource, signal, sys
from pathlib import Path
from tests.cache.support import DATA, cache_in, description, key
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
cache = cache_in(Path({str(folder)!r}))
cache.put(description(), DATA)
print(cache.get(key(1)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("None\n", "")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("call", ["open", "makedirs", "replace", "utime", "scandir", "unlink"])
def test_a_read_only_disk_stops_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    cache = cache_in(folder, MIB)
    cache.put(description(1), DATA)
    os.utime(folder / disk.name_of(key(1)), (0, 0))
    real = getattr(os, call)

    def refused(*arguments: object, **options: object) -> object:
        if call == "open" and not (isinstance(arguments[1], int) and arguments[1] & os.O_CREAT):
            return real(*arguments, **options)
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, call, refused)
    assert cache.get(key(1)) == (description(1), DATA)
    cache.put(description(2), DATA)
    cache.put(description(3), bytes(MIB - 1000))
    cache.drop(key(1), "it was refused")
    cache.clear()
    cache.prune()


def test_a_directory_that_cannot_be_made_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no directory")
    for path in (tmp_path / "file", tmp_path / "file" / "cache"):
        cache = cache_in(path)
        with caplog.at_level(logging.DEBUG, "sen_host"):
            cache.put(description(), DATA)
        assert cache.get(key(1)) is None
        assert f"the compile cache {path} cannot be used: " in caplog.text
        with pytest.raises(EnvironmentFault, match="Not a directory"):
            cache.check()


def test_a_user_without_a_home_has_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "nowhere")
    cache = CompileCache(CacheSettings())
    assert cache.path is None
    cache.put(description(), DATA)
    assert cache.get(key(1)) is None
    with pytest.raises(EnvironmentFault, match="no home directory"):
        cache.check()


def test_a_directory_that_is_removed_under_way_is_made_anew(
    cache: CompileCache, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = disk.write_file

    def too_late(directory: int, name: str, *parts: bytes) -> None:
        folder.rmdir()
        write(directory, name, *parts)

    folder.mkdir(0o700)
    monkeypatch.setattr(disk, "write_file", too_late)
    cache.put(description(), DATA)
    assert not folder.exists()
    monkeypatch.undo()
    cache.put(description(), DATA)
    assert cache.get(key(1)) == (description(), DATA)


def test_an_entry_that_is_removed_while_it_is_read_is_read(
    cache: CompileCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.put(description(), DATA)
    read = os.read

    def cleared(file: int, length: int) -> bytes:
        cache_in(Path(cache.path or "")).clear()
        return read(file, length)

    monkeypatch.setattr(os, "read", cleared)
    assert cache.get(key(1)) == (description(), DATA)
    monkeypatch.undo()
    assert cache.get(key(1)) is None


# --- where it is --------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"HOME": "/home/alice"}, "/home/alice/.cache/sen-host"),
        ({"HOME": "/home/alice", "XDG_CACHE_HOME": ""}, "/home/alice/.cache/sen-host"),
        ({"HOME": "/home/alice", "XDG_CACHE_HOME": "/var/x"}, "/var/x/sen-host"),
        ({"HOME": "/home/alice", "XDG_CACHE_HOME": "x"}, "/home/alice/.cache/sen-host"),
    ],
)
def test_the_directory_is_the_one_for_caches(
    environ: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert default_directory() == expected


def test_the_directory_on_macos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/Users/alice")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert default_directory() == "/Users/alice/Library/Caches/sen-host"
