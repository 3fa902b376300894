"""Events in a file: whole lines, in bounds, whatever happens."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from filelock import FileLock

from sen_host.audit import AuditEvent, BrokenLine, FileAuditSink, PermissionEvent, read_events
from sen_host.audit.file import LONGEST_LINE, line_of
from sen_host.errors import AuditError
from tests.audit.events import CALL, numbered

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "audit.jsonl"


def numbers(*paths: Path) -> list[int]:
    """The fuel of all calls in some files: each event of these tests has its own."""
    found = []
    for path in paths:
        for event in read_events(path):
            assert isinstance(event, AuditEvent), event
            found.append(event.to_dict()["fuel_used"])
    return found  # type: ignore[return-value]


def files(path: Path) -> list[Path]:
    """The file and what it was before it was rotated, the oldest first."""
    older = [item for item in path.parent.iterdir() if item.suffix[1:].isdigit()]
    return [*sorted(older, key=lambda item: -int(item.suffix[1:])), path]


def test_events_are_there_at_once_for_the_user_alone(path: Path) -> None:
    sink = FileAuditSink(path)
    sink.record(CALL)
    assert list(read_events(path)) == [CALL]
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    sink.close()
    sink.close()
    sink.record(CALL)
    assert list(read_events(path)) == [CALL, CALL]


def test_older_files_are_kept_as_many_as_asked_for(path: Path) -> None:
    sink = FileAuditSink(path, max_bytes=1_024, kept_files=2)
    for number in range(60):
        sink.record(numbered(number))
    assert [item.name for item in files(path)] == [
        "audit.jsonl.2",
        "audit.jsonl.1",
        "audit.jsonl",
    ]
    kept = numbers(*files(path))
    assert kept == list(range(kept[0], 60))
    assert all(item.stat().st_size <= 1_024 for item in files(path))


def test_an_event_that_is_larger_than_a_file_is_kept(path: Path) -> None:
    sink = FileAuditSink(path, max_bytes=1_024)
    for number in range(3):
        sink.record(numbered(number, "x" * 1_900))
    assert numbers(*files(path)) == [0, 1, 2]


@pytest.mark.parametrize("arguments", [{"max_bytes": 1_023}, {"kept_files": 0}])
def test_limits_that_make_no_sense_are_refused(path: Path, arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be at least"):
        FileAuditSink(path, **arguments)  # type: ignore[arg-type]


def test_a_line_that_was_cut_off_is_passed_over_and_ended(path: Path) -> None:
    sink = FileAuditSink(path, sync=True)
    sink.record(numbered(1))
    with path.open("ab") as file:
        file.write(b'{"event":"call","ti')
    assert numbers(path) == [1]
    FileAuditSink(path).record(numbered(2))
    first, broken, second = read_events(path)
    assert (first, second) == (numbered(1), numbered(2))
    assert isinstance(broken, BrokenLine)
    assert broken.number == 2


def test_a_very_long_line_is_passed_over_and_named(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"x" * 3_000_000 + b"\n\n" + line_of(CALL) + b"y" * 3_000_000)
    broken, event = read_events(path)
    assert broken == BrokenLine(1, "it is too long")
    assert event == CALL


def test_a_hostile_event_does_not_push_others_out(path: Path) -> None:
    hostile = PermissionEvent(
        "requested",
        CALL.time,
        "app",
        "\U0001f600" * 3_000,
        "",
        ("\U0001f600" * 3_000,) * 300,
        ("\U0001f600" * 3_000,) * 300,
        "\U0001f600" * 3_000,
    )
    sink = FileAuditSink(path)
    sink.record(hostile)
    assert path.stat().st_size <= LONGEST_LINE
    [event] = read_events(path)
    assert isinstance(event, PermissionEvent)
    assert len(event.capabilities) == 17


def test_a_file_that_others_could_read_becomes_the_users_alone(path: Path) -> None:
    path.parent.mkdir()
    path.touch(0o644)
    FileAuditSink(path).record(CALL)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_rotation_that_does_not_work_costs_no_event(path: Path) -> None:
    sink = FileAuditSink(path, max_bytes=1_024)
    with FileLock(f"{path}.lock"):
        for number in range(20):
            sink.record(numbered(number))
    assert numbers(*files(path)) == list(range(20))
    assert sink.lost == 0


@pytest.mark.parametrize(
    "line",
    [
        b"null",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b'{"event":"x"}',
        b'{"event":"' + b"x" * 100_000 + b'"}',
    ],
)
def test_lines_that_are_no_events_are_named(path: Path, line: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(line + b"\n")
    [broken] = read_events(path)
    assert isinstance(broken, BrokenLine)
    assert broken.number == 1
    assert len(broken.reason) < 200


def test_a_file_that_is_removed_or_moved_is_made_anew(path: Path) -> None:
    sink = FileAuditSink(path)
    sink.record(numbered(1))
    path.unlink()
    path.parent.rmdir()
    sink.record(numbered(2))
    moved = path.with_name("moved")
    path.rename(moved)
    sink.record(numbered(3))
    assert (numbers(moved), numbers(path)) == ([2], [3])
    assert sink.lost == 0


def test_links_and_pipes_are_not_written_to(path: Path) -> None:
    path.parent.mkdir()
    target = path.with_name("target")
    target.touch()
    path.symlink_to(target)
    sink = FileAuditSink(path)
    sink.record(CALL)
    assert sink.lost == 1
    assert target.read_bytes() == b""
    path.unlink()
    os.mkfifo(path)
    sink.record(CALL)
    assert sink.lost == 2


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """As on a full disk: no file of this process can grow beyond ``size``."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_costs_events_but_not_the_host(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sink = FileAuditSink(path)
    sink.record(numbered(1))
    with files_of_at_most(path.stat().st_size + 20):
        for number in (2, 3):
            sink.record(numbered(number))
    assert sink.lost == 2
    sink.record(numbered(4))
    events = [event for event in read_events(path) if not isinstance(event, BrokenLine)]
    assert events == [numbered(1), numbered(4)]
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 2
    assert "cannot be written" in messages[0]
    assert "can be written again; 2 events were lost" in messages[1]


def test_a_strict_sink_raises(path: Path, tmp_path: Path) -> None:
    sink = FileAuditSink(path, strict=True)
    sink.record(numbered(1))
    with files_of_at_most(path.stat().st_size), pytest.raises(AuditError, match="cannot be"):
        sink.record(numbered(2))
    sink.record(numbered(3))
    assert numbers(path) == [1, 3]
    (tmp_path / "file").touch()
    with pytest.raises(AuditError, match="hint: mend it"):
        FileAuditSink(tmp_path / "file" / "audit.jsonl", strict=True)


WRITER = """
import sys
from sen_host.audit import FileAuditSink
from tests.audit.events import numbered

sink = FileAuditSink(sys.argv[1], max_bytes=int(sys.argv[4]), kept_files=1_000)
first, count = int(sys.argv[2]), int(sys.argv[3])
for number in range(first, first + count):
    sink.record(numbered(number, "x" * (number % 10 * 200)))
print("done", flush=True)
if count == 1:
    sys.stdin.read()
"""


def writer(path: Path, first: int, count: int, max_bytes: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, *map(str, (path, first, count, max_bytes))],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("max_bytes", [8_192, 16 << 20])
def test_processes_that_share_a_file_lose_and_mix_nothing(path: Path, max_bytes: int) -> None:
    writers = [writer(path, number * 1_000, 300, max_bytes) for number in range(3)]
    for process in writers:
        with process:
            process.communicate(timeout=60)
            assert process.returncode == 0
    found = numbers(*files(path))
    expected = [first + number for first in (0, 1_000, 2_000) for number in range(300)]
    assert sorted(found) == expected


def test_what_is_recorded_survives_a_kill(path: Path) -> None:
    with writer(path, 7, 1, 16 << 20) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
        process.kill()
    assert numbers(path) == [7]
