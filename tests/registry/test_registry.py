"""The registry: commands, files, routes, and what stays when something fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sen_host import PluginLoader, PluginRegistry
from sen_host.errors import (
    CommandConflict,
    CommandNotFound,
    ConfigError,
    InvalidCommandName,
    ModuleCompilation,
    PluginClosed,
    PluginFileError,
)
from sen_host.messages import CommandSpec, PluginManifest, Success, encode
from sen_host.registry.names import check_name
from sen_host_conformance.hosts import Host
from tests.registry.support import measured, measuring, save, saying
from tests.wat import Wat


@pytest.fixture
def registry() -> Iterator[PluginRegistry]:
    """A registry on the engine that starts fastest."""
    with PluginRegistry(PluginLoader("wasmtime")) as made:
        yield made


def test_from_a_file_to_an_answer_and_back(host: Host, tmp_path: Path) -> None:
    db = save(tmp_path / "db.wasm", measuring("db", "create"))
    with PluginRegistry(host.loader()) as registry:
        assert registry.load(db) == "db"
        assert registry.load(save(tmp_path / "x.wasm", saying("greet", "hi")), prefix="my") == (
            "my:greet"
        )
        assert registry.commands() == ("db", "my:greet")
        assert list(registry) == ["db", "my:greet"]
        assert len(registry) == 2
        assert registry.manifest("db").command.name == "db"
        assert {name: one.command.name for name, one in registry.manifests().items()} == {
            "db": "db",
            "my:greet": "greet",
        }
        assert registry.source("db") == str(db)
        assert registry.execute("db", ["a"]) == measured("a")
        assert registry.execute("my:greet") == Success("hi")
        save(db, saying("db", "new"))
        assert registry.reload("db") == "db"
        assert registry.execute("db", ["a"]) == Success("new")
        assert registry.unload("db") == "db"
        assert registry.unload(tmp_path / "x.wasm") == "my:greet"
        assert registry.unload("db") is None
        assert registry.unload(tmp_path / "none.wasm") is None
        assert registry.commands() == ()


class TestRoutes:
    @pytest.mark.parametrize("name", ["db:create", "db create", " db  create "])
    def test_a_subcommand_becomes_the_first_argument(
        self, registry: PluginRegistry, tmp_path: Path, name: str
    ) -> None:
        registry.load(save(tmp_path / "db.wasm", measuring("db", "create")))
        assert registry.execute(name, ["x"]) == measured("create", "x")
        assert registry.execute("db", ["create", "x"]) == measured("create", "x")
        assert name in registry
        with registry.lease(name) as session:
            assert session.execute(["x"]) == measured("create", "x")

    @pytest.mark.parametrize("name", ["db:create", "db create"])
    def test_a_plugin_of_that_name_comes_before_a_subcommand(
        self, registry: PluginRegistry, tmp_path: Path, name: str
    ) -> None:
        registry.load(save(tmp_path / "db.wasm", measuring("db", "create")))
        registry.load(save(tmp_path / "create.wasm", saying("create", "mine")), prefix="db")
        assert registry.execute(name, ["x"]) == Success("mine")

    def test_a_plugin_may_name_its_own_prefix(
        self, registry: PluginRegistry, tmp_path: Path
    ) -> None:
        registry.load(save(tmp_path / "a.wasm", measuring("a:b", "c")))
        assert registry.execute("a b c") == measured("c")

    @pytest.mark.parametrize("name", ["db:drop", "db create all", "create", "", " ", ":", "db:"])
    def test_anything_else_is_not_found(
        self, registry: PluginRegistry, tmp_path: Path, name: str
    ) -> None:
        registry.load(save(tmp_path / "db.wasm", measuring("db", "create")))
        if name == "db:":
            assert registry.execute(name) == measured()
            return
        assert name not in registry
        with pytest.raises(CommandNotFound):
            registry.execute(name)

    def test_what_is_not_found_is_named_with_what_is_near(
        self, registry: PluginRegistry, tmp_path: Path
    ) -> None:
        registry.load(save(tmp_path / "g.wasm", saying("greet", "hi")))
        with pytest.raises(CommandNotFound, match=r"'gret'\nhint: did you mean 'greet'\?"):
            registry.execute("gret")
        with pytest.raises(CommandNotFound) as caught:
            registry.manifest("\x1b[2J" + "x" * 10_000)
        assert "\x1b" not in str(caught.value)
        assert len(str(caught.value)) < 200


class TestNames:
    @pytest.mark.parametrize(
        "name",
        [
            *("", " ", "two words", "tab\there", "line\nfeed", "\x1b[31mred", "a\0b", "\u202eltr"),
            *("zero\u200bwidth", "../up", "a/b", "a\\b", ".", "..", "-x", "--help", ":a", "a:"),
            *("a::b", "a:-b", "a:..", "x" * 101),
        ],
    )
    def test_a_name_that_would_do_harm_is_refused_at_load(
        self, registry: PluginRegistry, tmp_path: Path, name: str
    ) -> None:
        path = save(tmp_path / "x.wasm", measuring(name))
        with pytest.raises(InvalidCommandName) as caught:
            registry.load(path)
        assert str(caught.value).isprintable() or "\nhint" in str(caught.value)
        assert "\x1b" not in str(caught.value)
        assert caught.value.plugin == str(path)
        assert registry.commands() == ()

    def test_a_subcommand_s_too(self, registry: PluginRegistry, tmp_path: Path) -> None:
        with pytest.raises(InvalidCommandName, match="begins with a dash"):
            registry.load(save(tmp_path / "x.wasm", measuring("db", "create", "-rf")))

    @pytest.mark.parametrize("name", ["a", "größe", "名前", "db:create", "x" * 100, "a.b_c-d", "2"])
    def test_other_names_are_fine(self, name: str) -> None:
        check_name(name)

    @pytest.mark.parametrize("prefix", ["", "a b", "-x", "a:", "\x07", "x" * 200])
    def test_a_wrong_prefix_is_the_caller_s_fault(
        self, registry: PluginRegistry, tmp_path: Path, prefix: str
    ) -> None:
        with pytest.raises(ConfigError, match="cannot be a prefix"):
            registry.load(save(tmp_path / "x.wasm", measuring("db")), prefix=prefix)


class TestConflicts:
    def test_two_files_that_claim_one_command_are_both_named(
        self, host: Host, tmp_path: Path
    ) -> None:
        first = save(tmp_path / "first.wasm", saying("greet", "first"))
        second = save(tmp_path / "second.wasm", saying("greet", "second"))
        with PluginRegistry(host.loader()) as registry:
            registry.load(first)
            with pytest.raises(CommandConflict) as caught:
                registry.load(second)
            assert str(first) in str(caught.value)
            assert str(second) in str(caught.value)
            assert (caught.value.path, caught.value.holder) == (str(second), str(first))
            assert registry.execute("greet") == Success("first")
            assert registry.load(second, replace=True) == "greet"
            assert registry.execute("greet") == Success("second")
            assert registry.unload(first) is None, "its plugin has been replaced"
            assert registry.source("greet") == str(second)

    def test_a_plugin_from_bytes(self, registry: PluginRegistry, tmp_path: Path) -> None:
        loader = PluginLoader("wasmtime")
        registry.register(loader.load(saying("greet", "first")))
        path = save(tmp_path / "x.wasm", saying("greet", "second"))
        with pytest.raises(CommandConflict, match="already that of a plugin loaded from bytes"):
            registry.load(path)
        with loader.load(path) as plugin:
            with pytest.raises(CommandConflict):
                registry.register(plugin)
            assert plugin.execute() == Success("second"), "it is still the caller's"
        with pytest.raises(CommandNotFound, match="only what was loaded from a file"):
            registry.reload("greet")

    def test_one_file_through_two_names_of_its_directory(
        self, registry: PluginRegistry, tmp_path: Path
    ) -> None:
        (tmp_path / "real").mkdir()
        (tmp_path / "link").symlink_to("real")
        save(tmp_path / "real" / "x.wasm", saying("greet", "first"))
        registry.load(tmp_path / "real" / "x.wasm")
        assert registry.load(tmp_path / "link" / "x.wasm") == "greet"
        assert registry.unload(tmp_path / "real" / ".." / "link" / "x.wasm") == "greet"


class TestFailure:
    def test_what_fails_to_load_changes_nothing(self, host: Host, tmp_path: Path) -> None:
        path = save(tmp_path / "x.wasm", saying("greet", "old"))
        other = save(tmp_path / "y.wasm", saying("other", "other"))
        with PluginRegistry(host.loader()) as registry:
            registry.load(path)
            registry.load(other)
            for broken, error in (
                (b"\0asm\1\0\0\0\1", ModuleCompilation),
                (b"", ModuleCompilation),
                (saying("-x", "bad name"), InvalidCommandName),
                (saying("other", "taken"), CommandConflict),
            ):
                save(path, broken)
                with pytest.raises(error):
                    registry.reload(path)
                assert registry.execute("greet") == Success("old")
                assert registry.execute("other") == Success("other")
            path.unlink()
            with pytest.raises(PluginFileError):
                registry.reload("greet")
            assert registry.execute("greet") == Success("old")
            assert registry.commands() == ("greet", "other")

    def test_a_reload_under_another_name(self, registry: PluginRegistry, tmp_path: Path) -> None:
        path = save(tmp_path / "x.wasm", saying("old", "old"))
        registry.load(path, prefix="p")
        save(path, saying("new", "new"))
        assert registry.reload("p:old") == "p:new"
        assert registry.commands() == ("p:new",)

    def test_a_closed_registry(self, registry: PluginRegistry, tmp_path: Path) -> None:
        path = save(tmp_path / "x.wasm", saying("greet", "hi"))
        registry.load(path)
        registry.close()
        registry.close()
        assert registry.commands() == ()
        for work in (
            lambda: registry.execute("greet"),
            lambda: registry.load(path),
            lambda: registry.manifest("greet"),
            lambda: registry.register(PluginLoader("wasmtime").load(path)),
        ):
            with pytest.raises(PluginClosed):
                work()

    @pytest.mark.parametrize("instances", [0, -1, True, 1.5, "2"])
    def test_a_wrong_number_of_instances(self, instances: int) -> None:
        with pytest.raises(ConfigError, match="instances"):
            PluginRegistry(instances=instances)


class TestRegister:
    def test_clones_under_many_prefixes(self, registry: PluginRegistry, tmp_path: Path) -> None:
        path = save(tmp_path / "x.wasm", saying("greet", "hi"))
        plugin = PluginLoader("wasmtime").load(path)
        for number in range(5):
            registry.register(plugin.sibling(), prefix=f"p{number}")
        registry.register(plugin)
        assert len(registry) == 6
        assert registry.execute("p4:greet") == Success("hi")

    def test_the_same_again_is_no_change(self, registry: PluginRegistry) -> None:
        plugin = PluginLoader("wasmtime").load(saying("greet", "hi"))
        assert registry.register(plugin) == registry.register(plugin) == "greet"
        assert registry.register(plugin, replace=True) == "greet"
        assert registry.execute("greet") == Success("hi")

    def test_it_is_closed_with_the_registry(self, host: Host) -> None:
        with PluginRegistry(host.loader()) as registry:
            plugin = host.loader().load(saying("greet", "hi"))
            registry.register(plugin)
            assert registry.execute("greet") == Success("hi")
        assert plugin.closed


class TestRefresh:
    def test_what_is_the_same_is_not_loaded_again(
        self, registry: PluginRegistry, tmp_path: Path
    ) -> None:
        path = save(tmp_path / "x.wasm", saying("greet", "hi"))
        assert registry.refresh(path) == ("loaded", "greet")
        save(path, saying("greet", "hi"))
        assert registry.refresh(path) == ("unchanged", "greet")
        save(path, saying("greet", "ho"))
        assert registry.refresh(path) == ("reloaded", "greet")
        assert registry.execute("greet") == Success("ho")

    def test_a_prefix_stays(self, registry: PluginRegistry, tmp_path: Path) -> None:
        path = save(tmp_path / "x.wasm", saying("greet", "hi"))
        registry.load(path, prefix="p")
        save(path, saying("greet", "ho"))
        assert registry.refresh(path) == ("reloaded", "p:greet")


def test_subcommands_of_subcommands(registry: PluginRegistry, tmp_path: Path) -> None:
    spec = CommandSpec("leaf", "")
    for number in range(8):
        spec = CommandSpec(f"n{number}", "", subcommands=(spec,))
    wasm = Wat(manifest_bytes=encode(PluginManifest.new(spec))).wasm()
    registry.load(save(tmp_path / "x.wasm", wasm))
    words = [f"n{number}" for number in range(7, -1, -1)] + ["leaf"]
    for length in range(1, 10):
        assert " ".join(words[:length]) in registry
        assert ":".join([*words[:length], "none"]) not in registry
