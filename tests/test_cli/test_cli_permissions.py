"""``sen-host permissions``: list, grant, revoke."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from sen_host.errors import PermissionDenied
from sen_host.messages import (
    Capabilities,
    CommandSpec,
    NetPattern,
    NetProtocol,
    PathPattern,
    PluginManifest,
    StdioCapability,
    encode,
)
from sen_host.permissions import FilePermissionStore, StoredGrant, presets
from tests.test_cli.conftest import GREET, Cli
from tests.wat import Wat

ASKED = Capabilities(fs_read=(PathPattern("./data", True),), env_read=("APP_\x1b*",))


@pytest.fixture(autouse=True)
def _config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """A plugin that asks for something."""
    path = tmp_path / "notes.wasm"
    manifest = PluginManifest.new(CommandSpec("notes", "keeps notes"), ASKED)
    path.write_bytes(Wat(manifest_bytes=encode(manifest)).wasm())
    return path


class TestGrant:
    def test_a_file_is_granted_what_it_asks_for(self, cli: Cli, notes: Path) -> None:
        answer = cli("permissions", "grant", "--backend", "wasmtime", notes)
        assert answer.code == 0
        assert "read ./data and everything below it" in answer.stdout
        assert "variables that begin with APP_\\x1b" in answer.stdout
        assert "\x1b" not in answer.stdout
        [grant] = FilePermissionStore("sen-host").grants()
        assert (grant.plugin, grant.capabilities, grant.sha256) == ("notes", ASKED, None)

    def test_tied_to_the_file(self, cli: Cli, notes: Path) -> None:
        arguments = ("--application", "desk", "--tie", "--command", "add all")
        assert cli("permissions", "grant", *arguments, notes).code == 0
        [grant] = FilePermissionStore("desk").grants()
        assert grant.sha256 == hashlib.sha256(notes.read_bytes()).hexdigest()
        assert grant.command == ("add", "all")
        assert grant.sha256[:12] in cli("permissions", "list").stdout

    def test_a_name_is_granted_what_is_named(self, cli: Cli) -> None:
        answer = cli(
            *("permissions", "grant", "notes", "--application", "desk", "--json"),
            *(
                "--allow-read",
                "a",
                "--allow-read-all",
                "b",
                "--allow-write",
                "c",
                "--allow-write-all",
                "d",
            ),
            *("--allow-env", "HOME", "--allow-env", "APP_*", "--allow-stdio", "stdout"),
            *("--allow-net", "API.example.com", "--allow-net", "http://*.example.com:80"),
            *("--allow-net", "tcp://[::1]:5000"),
        )
        assert answer.json["grant"]["plugin"] == "notes"
        [grant] = FilePermissionStore("desk").grants()
        assert grant.capabilities == Capabilities(
            fs_read=(PathPattern("a"), PathPattern("b", True)),
            fs_write=(PathPattern("c"), PathPattern("d", True)),
            env_read=("HOME", "APP_*"),
            net=(
                NetPattern("api.example.com"),
                NetPattern("*.example.com", 80, NetProtocol.HTTP),
                NetPattern("::1", 5000, NetProtocol.TCP),
            ),
            stdio=StdioCapability(stdout=True),
        )

    def test_what_was_granted_counts_where_nobody_is_asked(self, cli: Cli) -> None:
        ci = presets.ci("desk")
        asked = Capabilities(fs_read=(PathPattern("data/x"),))
        with pytest.raises(PermissionDenied, match="grant --application desk"):
            ci.check("notes", asked, sha256="0" * 64)
        cli("permissions", "grant", "notes", "--application", "desk", "--allow-read-all", "data")
        assert ci.check("notes", asked, sha256="0" * 64) == asked

    @pytest.mark.parametrize(
        "arguments",
        [
            ("--allow-net", "a..b"),
            ("--allow-net", "127.1"),
            ("--allow-net", "a.b:99999"),
            ("--allow-net", "a.b:"),
            ("--allow-net", "::1"),
            ("--allow-net", "ftp://a.b"),
            ("--allow-net", "a.b/path"),
            ("--allow-env", "*"),
            ("--allow-env", ""),
            ("--allow-read", ""),
            ("--allow-stdio", "all"),
            ("--allow-read", "a", "--tie"),
            ("--allow-read", "a", "--application", "../x"),
        ],
        ids=" ".join,
    )
    def test_what_makes_no_sense_is_not_granted(
        self, cli: Cli, arguments: tuple[str, ...], tmp_path: Path
    ) -> None:
        answer = cli("permissions", "grant", "notes", *arguments)
        assert (answer.code, answer.stdout) == (121, "")
        assert not (tmp_path / "config").exists()

    def test_a_plugin_that_asks_for_nothing(self, cli: Cli) -> None:
        answer = cli("permissions", "grant", "--backend", "wasmtime", GREET)
        assert answer.code == 121
        assert "asks for nothing" in answer.stderr

    def test_a_file_that_is_not_there(self, cli: Cli) -> None:
        answer = cli("permissions", "grant", "gone.wasm", "--json")
        assert (answer.code, answer.json["error"]["kind"]) == (123, "PluginFileError")


class TestList:
    def test_nothing(self, cli: Cli) -> None:
        answer = cli("permissions", "list")
        assert (answer.code, answer.stdout) == (0, "")
        assert "nothing is granted" in answer.stderr
        assert cli("permissions", "list", "--json").json == {"applications": []}

    def test_all_applications_or_one(self, cli: Cli) -> None:
        for application in ("desk", "lab"):
            FilePermissionStore(application).put(StoredGrant("no\ntes", ASKED))
        listed = cli("permissions", "list").stdout
        assert "desk" in listed
        assert "lab" in listed
        assert "no\\ntes" in listed
        one = cli("permissions", "list", "--application", "lab", "--json").json
        [lab] = one["applications"]
        assert (lab["application"], len(lab["grants"])) == ("lab", 1)
        assert lab["grants"][0]["capabilities"]["env_read"] == ["APP_\x1b*"]

    def test_a_damaged_file(self, cli: Cli, tmp_path: Path) -> None:
        folder = tmp_path / "config" / "sen-host" / "permissions"
        folder.mkdir(parents=True)
        (folder / "desk.json").write_text(json.dumps({"grants": []}))
        for arguments in (("list",), ("revoke", "x", "--application", "desk")):
            answer = cli("permissions", *arguments)
            assert (answer.code, answer.stdout) == (122, "")
            assert "desk.json: the grants cannot be understood" in answer.stderr
        assert (folder / "desk.json").read_text() == json.dumps({"grants": []})


class TestRevoke:
    @pytest.fixture(autouse=True)
    def _grants(self) -> None:
        store = FilePermissionStore("desk")
        for command in ((), ("add",), ("add", "all")):
            store.put(StoredGrant("notes", ASKED, command))
        store.put(StoredGrant("other", ASKED))

    @pytest.mark.parametrize(
        ("arguments", "revoked", "left"),
        [
            (("notes",), 3, 1),
            (("notes", "--command", "add"), 1, 3),
            (("notes", "--command", ""), 1, 3),
            (("--all",), 4, 0),
        ],
    )
    def test_it_is_gone(
        self, cli: Cli, arguments: tuple[str, ...], revoked: int, left: int
    ) -> None:
        answer = cli("permissions", "revoke", "--application", "desk", "--json", *arguments)
        assert (answer.code, answer.json["revoked"]) == (0, revoked)
        assert len(FilePermissionStore("desk").grants()) == left

    @pytest.mark.parametrize(
        "arguments", [("nots",), (), ("notes", "--all"), ("--all", "--command", "add")]
    )
    def test_what_cannot_be_revoked(self, cli: Cli, arguments: tuple[str, ...]) -> None:
        answer = cli("permissions", "revoke", "--application", "desk", *arguments)
        assert answer.code == 121
        assert len(FilePermissionStore("desk").grants()) == 4
