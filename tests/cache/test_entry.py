"""The file of an entry: nothing that was changed gets through."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile
from typing import IO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sen_host.cache import entry
from sen_host.cache.entry import Damaged, Description
from tests.cache.support import DATA, description, key

FILE = entry.encode(description(), DATA) + DATA


def read(data: bytes, wanted: str = key(1)) -> tuple[Description, bytes]:
    """Read an entry that has these bytes."""
    with file_of(data) as file:
        return entry.read(file.fileno(), wanted)


@contextmanager
def file_of(data: bytes) -> Iterator[IO[bytes]]:
    with TemporaryFile(buffering=0) as file:
        file.write(data)
        file.seek(0)
        yield file


def test_an_entry_comes_back_as_it_was() -> None:
    assert read(FILE) == (description(), DATA)


def test_an_entry_without_data() -> None:
    assert read(entry.encode(description(), b"")) == (description(), b"")


def test_names_that_are_no_text_come_back_too() -> None:
    odd = description()._replace(plugin="\udcff", engine="Ⓦ")
    assert read(entry.encode(odd, DATA) + DATA) == (odd, DATA)


def test_an_entry_that_is_cut_off_anywhere_is_found_out() -> None:
    for length in range(len(FILE)):
        with pytest.raises(Damaged):
            read(FILE[:length])


def test_an_entry_of_any_changed_byte_is_found_out() -> None:
    for position in range(len(FILE)):
        for change in (0x01, 0x80, 0xFF):
            changed = bytearray(FILE)
            changed[position] ^= change
            with pytest.raises(Damaged):
                read(bytes(changed))


@given(st.data())
def test_an_entry_with_a_part_that_was_overwritten_is_found_out(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(FILE) - 1))
    part = data.draw(st.binary(min_size=1, max_size=len(FILE) - start))
    changed = FILE[:start] + part + FILE[start + len(part) :]
    if changed != FILE:
        with pytest.raises(Damaged):
            read(changed)


@given(st.binary(min_size=1, max_size=64))
def test_an_entry_that_is_followed_by_more_is_found_out(more: bytes) -> None:
    with pytest.raises(Damaged, match="not as long as it says"):
        read(FILE + more)


@given(st.binary(max_size=200))
def test_what_is_no_entry_is_found_out(data: bytes) -> None:
    for candidate in (data, FILE[:12] + data):
        with pytest.raises(Damaged):
            read(candidate)


def test_the_entry_of_another_key_is_found_out() -> None:
    with pytest.raises(Damaged, match="another module"):
        read(FILE, key(2))


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "other"},
        {"has_start": 1},
        {"plugin": None},
        {"module_bytes": "many"},
        {"key": b"\0" * 32},
    ],
)
def test_a_description_of_wrong_types_is_found_out(change: dict[str, object]) -> None:
    odd = description()._replace(**change)  # type: ignore[arg-type]
    with pytest.raises(Damaged, match="wrong types"):
        read(entry.encode(odd, DATA) + DATA)


def test_an_entry_of_another_version_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry, "_FORMAT", entry._FORMAT + 1)
    later = entry.encode(description(), DATA) + DATA
    monkeypatch.undo()
    with pytest.raises(Damaged, match="another version"):
        read(later)


def test_a_file_too_large_to_be_an_entry_is_not_read() -> None:
    with file_of(FILE) as file:
        file.truncate(entry.MOST_BYTES + 1)  # it has no blocks on the disk
        with pytest.raises(Damaged, match="too large"):
            entry.read(file.fileno(), key(1))


def test_what_an_entry_says_about_itself_is_read_alone() -> None:
    with file_of(FILE) as file:
        assert entry.describe(file.fileno()) == description()
