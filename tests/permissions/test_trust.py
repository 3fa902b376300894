"""Trust flags of an application's command line, and the presets."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sen_host.errors import ConfigError, PermissionDenied, PermissionStoreError
from sen_host.permissions import FilePermissionStore, StoredGrant, Trust, TrustFlags, presets
from tests.permissions.support import NET, OTHER_SHA, READ, SHA, WRITE


class TestTaking:
    @pytest.mark.parametrize(
        "arguments", [["--trust-plugin", "notes"], ["--trust-plugin=notes"]], ids=str
    )
    def test_a_plugin(self, arguments: list[str]) -> None:
        left, trust = TrustFlags().take(["-v", *arguments, "notes", "add"])
        assert left == ["-v", "notes", "add"]
        assert trust == Trust(frozenset({"notes"}))
        assert trust.covers("notes", ("add",))
        assert not trust.covers("other")

    def test_a_command(self) -> None:
        _, trust = TrustFlags().take(["--trust-command", "db:create", "--trust-command=log all"])
        assert trust.covers("db", ("create",))
        assert trust.covers("db:create")
        assert trust.covers("log", ("all",))
        assert not trust.covers("db")
        assert not trust.covers("db", ("create", "all"))

    def test_after_two_hyphens_all_is_left(self) -> None:
        arguments = ["a", "--", "--trust-plugin", "notes"]
        assert TrustFlags().take(arguments) == (arguments, Trust())

    def test_aliases(self) -> None:
        flags = TrustFlags(
            aliases=(("--yolo", Trust(everything=True)), ("-n", Trust(frozenset({"notes"}))))
        )
        assert flags.take(["-n"])[1] == Trust(frozenset({"notes"}))
        left, trust = flags.take(["--yolo", "x", "--yolo=1"])
        assert (left, trust.covers("any")) == (["x", "--yolo=1"], True)

    def test_other_styles(self) -> None:
        _, trust = TrustFlags.allow_style().take(["--allow-plugin", "a", "--allow-command", "b:c"])
        assert trust.covers("a")
        assert trust.covers("b", ("c",))
        arguments = ["--trust-plugin", "a"]
        assert TrustFlags.disabled().take(arguments) == (arguments, Trust())

    @pytest.mark.parametrize(
        "arguments",
        [
            ["--trust-plugin"],
            ["--trust-plugin="],
            ["--trust-plugin", "--", "x"],
            ["--trust-plugin", "--other"],
            ["--trust-plugin= notes"],
            ["--trust-plugin=no\x1btes"],
            ["--trust-command=db:"],
            ["--trust-command=:"],
        ],
        ids=str,
    )
    def test_names_that_are_none(self, arguments: list[str]) -> None:
        with pytest.raises(ConfigError) as caught:
            TrustFlags().take(arguments)
        assert "\x1b" not in str(caught.value)

    @pytest.mark.parametrize("flag", ["trust", "--", "--a b", "--a=b", "---a", ""])
    def test_flags_that_are_none(self, flag: str) -> None:
        with pytest.raises(ConfigError, match="is not an option"):
            TrustFlags(plugin=(flag,))

    def test_a_flag_that_is_there_twice(self) -> None:
        with pytest.raises(ConfigError, match="would mean two things"):
            TrustFlags(plugin=("--trust",), command=("--trust",))

    def test_a_plugin_that_is_not_there(self) -> None:
        trust = Trust(frozenset({"nots"}))
        trust.check_known(["nots", "b"])
        with pytest.raises(ConfigError, match="did you mean 'notes'"):
            trust.check_known(["notes", "b"])


class TestPresets:
    @pytest.fixture(autouse=True)
    def _home(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
        # No terminal, whatever the tests are run in.
        with open(os.devnull) as nothing:
            monkeypatch.setattr("sys.stdin", nothing)
            yield

    def test_interactive(self) -> None:
        FilePermissionStore("desk").put(StoredGrant("notes", READ))
        desk = presets.interactive("desk", trust=Trust(frozenset({"trusted"})))
        assert desk.check("notes", READ, sha256=SHA) == READ
        assert desk.check("trusted", NET, sha256=SHA) == NET
        with pytest.raises(PermissionDenied, match="there is no terminal"):
            desk.check("notes", WRITE, sha256=SHA)

    def test_strict(self) -> None:
        FilePermissionStore("desk").put(StoredGrant("notes", READ, ("add",), SHA))
        desk = presets.strict("desk")
        assert desk.check("notes", READ, sha256=SHA, command_path=("add",)) == READ
        for sha256, command in ((OTHER_SHA, ("add",)), (SHA, ("list",))):
            with pytest.raises(PermissionDenied, match="nobody to ask"):
                desk.check("notes", READ, sha256=sha256, command_path=command)

    def test_permissive(self) -> None:
        desk = presets.permissive("desk")
        assert desk.check("notes", WRITE, sha256=SHA) == WRITE
        with pytest.raises(PermissionDenied):
            desk.check("notes", NET, sha256=SHA)

    def test_ci(self, tmp_path: Path) -> None:
        FilePermissionStore("desk", tmp_path / "ci.json").put(StoredGrant("notes", READ))
        desk = presets.ci("desk", tmp_path / "ci.json")
        assert desk.check("notes", READ, sha256=SHA) == READ
        with pytest.raises(PermissionDenied, match="nobody is asked here"):
            desk.check("notes", WRITE, sha256=SHA)
        with pytest.raises(PermissionStoreError, match="read-only"):
            desk.revoke("notes")

    def test_for_tests_and_trust_all(self) -> None:
        for desk in (presets.for_tests(), presets.trust_all_dangerous("desk")):
            assert desk.check("notes", NET, sha256=SHA) == NET
