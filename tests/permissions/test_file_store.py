"""Grants in a file: kept, shared, and never lost."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from hypothesis import given

from sen_host.errors import (
    ConfigError,
    PermissionStoreCorrupt,
    PermissionStoreError,
    PermissionStoreLocked,
)
from sen_host.messages import Capabilities, PathPattern
from sen_host.permissions import FilePermissionStore, StoredGrant
from sen_host.permissions.grant import grant_as_json, grant_from_json
from tests.permissions.support import NET, READ, SHA, WRITE, capabilities

WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
GRANT = StoredGrant("notes", READ, ("add",), SHA, WHEN)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config" / "desk.json"


@pytest.fixture
def store(path: Path) -> FilePermissionStore:
    return FilePermissionStore("desk", path)


def others_left(path: Path) -> list[str]:
    return sorted(set(os.listdir(path.parent)) - {"desk.json", "desk.json.lock"})


class TestKeeping:
    def test_another_store_finds_it(self, store: FilePermissionStore, path: Path) -> None:
        assert store.grants() == ()
        store.put(GRANT)
        store.put(StoredGrant("notes", WRITE))
        again = FilePermissionStore("desk", path)
        assert again.grants() == (StoredGrant("notes", WRITE), GRANT)
        assert again.get("notes", ("add",)) == GRANT
        assert again.get("other") is None

    def test_grants_never_become_too_many_to_be_read(
        self, store: FilePermissionStore, path: Path
    ) -> None:
        # What a plugin asks for may be long, and its user may say yes to all of it.
        long = Capabilities(
            fs_read=tuple(PathPattern(f"{i}" + "\U0001f600" * 990) for i in range(250))
        )
        for number in range(5):
            store.put(StoredGrant(f"plugin{number}", long))
        with pytest.raises(PermissionStoreError, match="they are as before"):
            store.put(StoredGrant("plugin5", long))
        assert len(store.grants()) == 5
        assert store.remove("plugin0") == 1
        assert others_left(path) == []

    def test_reading_makes_nothing(self, store: FilePermissionStore, path: Path) -> None:
        assert (store.grants(), store.remove("notes"), store.clear()) == ((), 0, 0)
        assert not path.parent.exists()

    def test_a_grant_takes_the_place_of_another(self, store: FilePermissionStore) -> None:
        store.put(StoredGrant("notes", READ))
        store.put(StoredGrant("notes", NET))
        assert store.grants() == (StoredGrant("notes", NET),)

    def test_removing(self, store: FilePermissionStore) -> None:
        for command in ((), ("add",), ("add", "all")):
            store.put(StoredGrant("notes", READ, command))
        store.put(StoredGrant("other", READ))
        assert store.remove("notes", ("add",)) == 1
        assert store.remove("notes", ("gone",)) == 0
        assert store.remove("notes") == 2
        assert [grant.plugin for grant in store.grants()] == ["other"]
        assert store.clear() == 1

    def test_names_that_look_alike_when_joined(self, store: FilePermissionStore) -> None:
        store.put(StoredGrant("db:create", READ))
        assert store.get("db", ("create",)) is None

    def test_only_its_user_may_read_it(self, store: FilePermissionStore, path: Path) -> None:
        old = os.umask(0)
        try:
            store.put(GRANT)
        finally:
            os.umask(old)
        modes = {name: stat.S_IMODE((path.parent / name).stat().st_mode) for name in
                 os.listdir(path.parent)}  # fmt: skip
        assert modes == {"desk.json": 0o600, "desk.json.lock": 0o600}
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700

    def test_hostile_names_are_written_as_ascii(
        self, store: FilePermissionStore, path: Path
    ) -> None:
        store.put(StoredGrant("a\x1b[2J\u202e\udc80", READ))
        assert path.read_bytes().isascii()
        assert b"\x1b" not in path.read_bytes()
        assert store.grants()[0].plugin == "a\x1b[2J\u202e\udc80"

    def test_a_link_stays_a_link(self, tmp_path: Path) -> None:
        (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
        FilePermissionStore("desk", tmp_path / "link.json").put(GRANT)
        assert (tmp_path / "link.json").is_symlink()
        assert (tmp_path / "real.json").is_file()

    @given(capabilities)
    def test_json_and_back(self, granted: Capabilities) -> None:
        grant = StoredGrant("notes", granted, ("a", "b"), None, WHEN)
        assert grant_from_json(json.loads(json.dumps(grant_as_json(grant)))) == grant


class TestWhere:
    def test_in_the_users_config_directory(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
        store = FilePermissionStore("desk")
        assert store.path == os.path.realpath(tmp_path / "sen-host" / "permissions" / "desk.json")

    def test_without_a_home(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
        monkeypatch.setenv("HOME", "nowhere")
        with pytest.raises(PermissionStoreError, match="the user has no home"):
            FilePermissionStore("desk")

    @pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "a b", "ä", "-a", "a\0", "a\n"])
    def test_names_that_no_file_can_have(self, name: str) -> None:
        with pytest.raises(ConfigError, match="not the name of an application"):
            FilePermissionStore(name)


def altered(change: Callable[[Any], None]) -> Callable[[bytes], bytes]:
    def alter(data: bytes) -> bytes:
        content = json.loads(data)
        change(content)
        return json.dumps(content).encode()

    return alter


BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut off": lambda data: data[: len(data) // 2],
    "not UTF-8": lambda data: data.replace(b"notes", b"not\xffs"),
    "another file": lambda _: b'{"plugins": {}}',
    "a list": lambda _: b"[]",
    "too deep": lambda _: b"[" * 100_000,
    "without a version": altered(lambda it: it.pop("version")),
    "version true": altered(lambda it: it.update(version=True)),
    "version 0": altered(lambda it: it.update(version=0)),
    "of another application": altered(lambda it: it.update(application="other")),
    "more fields": altered(lambda it: it.update(more=1)),
    "grants of a wrong type": altered(lambda it: it.update(grants={})),
    "a grant too many": altered(lambda it: it["grants"].append(it["grants"][0])),
    "a field less": altered(lambda it: it["grants"][0].pop("command")),
    "a time of no sense": altered(lambda it: it["grants"][0].update(granted_at="now")),
    "more than was granted": altered(
        lambda it: it["grants"][0]["capabilities"]["fs_read"][0].update(pattern="/")
    ),
    "write for read": altered(
        lambda it: it["grants"][0]["capabilities"].update(
            fs_write=it["grants"][0]["capabilities"]["fs_read"], fs_read=[]
        )
    ),
    "a wrong port": altered(
        lambda it: it["grants"][0]["capabilities"].update(
            net=[{"host": "a", "port": -1, "protocol": "https"}]
        )
    ),
}


class TestTrouble:
    @pytest.mark.parametrize("how", BROKEN)
    def test_a_broken_file_is_told_and_left_alone(
        self, store: FilePermissionStore, path: Path, how: str
    ) -> None:
        store.put(GRANT)
        broken = BROKEN[how](path.read_bytes())
        path.write_bytes(broken)
        for use in (
            store.grants, store.clear, lambda: store.put(GRANT), lambda: store.remove("notes")
        ):  # fmt: skip
            with pytest.raises(PermissionStoreCorrupt) as caught:
                use()
            assert caught.value.path == str(path)
            assert "left as it is" in str(caught.value)
        assert path.read_bytes() == broken
        assert others_left(path) == []

    def test_a_later_version_is_told_and_left_alone(
        self, store: FilePermissionStore, path: Path
    ) -> None:
        store.put(GRANT)
        later = altered(lambda it: it.update(version=2, grants="of a new kind"))(path.read_bytes())
        path.write_bytes(later)
        with pytest.raises(PermissionStoreCorrupt, match=r"version 2.*\nhint: upgrade sen-host"):
            store.put(GRANT)
        assert path.read_bytes() == later

    def test_too_large(self, store: FilePermissionStore, path: Path) -> None:
        path.parent.mkdir()
        with path.open("wb") as file:
            file.truncate(1 << 30)
        with pytest.raises(PermissionStoreCorrupt, match="larger than"):
            store.grants()

    def test_a_pipe_in_its_place(self, store: FilePermissionStore, path: Path) -> None:
        path.parent.mkdir()
        os.mkfifo(path)
        with pytest.raises(PermissionStoreCorrupt, match="not a regular file"):
            store.grants()

    def test_a_directory_in_its_place(self, store: FilePermissionStore, path: Path) -> None:
        path.mkdir(parents=True)
        with pytest.raises(PermissionStoreError):
            store.grants()

    def test_everybody_can_write_to_it(self, store: FilePermissionStore, path: Path) -> None:
        store.put(GRANT)
        path.chmod(0o666)
        with pytest.raises(PermissionStoreError, match="everybody can write"):
            store.grants()

    def test_locked(self, path: Path) -> None:
        store = FilePermissionStore("desk", path, lock_seconds=0.05)
        store.put(GRANT)
        with FileLock(f"{path}.lock"):
            with pytest.raises(PermissionStoreLocked, match="another process has held the lock"):
                store.put(StoredGrant("other", READ))
            assert store.grants() == (GRANT,)

    def test_its_directory_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        store = FilePermissionStore("desk", tmp_path / "file" / "desk.json")
        with pytest.raises(PermissionStoreError):
            store.put(GRANT)

    @pytest.mark.parametrize("function", ["fsync", "replace"])
    def test_a_full_disk_leaves_the_old_grants(
        self,
        store: FilePermissionStore,
        path: Path,
        monkeypatch: pytest.MonkeyPatch,
        function: str,
    ) -> None:
        store.put(GRANT)
        before = path.read_bytes()

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, function, full)
        with pytest.raises(PermissionStoreError, match=r"as before: No space left on device"):
            store.put(StoredGrant("other", READ))
        assert path.read_bytes() == before
        assert others_left(path) == []

    def test_its_directory_goes_away(self, store: FilePermissionStore, path: Path) -> None:
        store.put(GRANT)
        for name in os.listdir(path.parent):
            (path.parent / name).unlink()
        path.parent.rmdir()
        assert store.grants() == ()
        store.put(GRANT)
        assert store.grants() == (GRANT,)


WRITER = """
import sys
from sen_host.messages import Capabilities
from sen_host.permissions import FilePermissionStore, StoredGrant
store = FilePermissionStore("desk", sys.argv[1])
for number in range(15):
    store.put(StoredGrant(f"{sys.argv[2]}-{number}", Capabilities(env_read=("A",))))
"""


def test_writers_at_once_lose_nothing(store: FilePermissionStore, path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(path)]
    writers = [subprocess.Popen([*command, name]) for name in ("one", "two")]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: store.put(StoredGrant(f"here-{n}", READ)), range(15)))
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0]
    assert len(store.grants()) == 45
