"""``sen-host inspect``: plugins, modules that are none, and hostile manifests."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from pathlib import Path

import pytest

from sen_host.messages import (
    ArgSpec,
    Capabilities,
    CommandSpec,
    NetPattern,
    PathPattern,
    PluginManifest,
    StdioCapability,
    encode,
    to_wire,
)
from sen_host_conformance.hosts import Host
from tests.test_cli.conftest import GREET, PLUGINS, Cli, command_line, environment, on
from tests.wat import Wat, assemble

RICH_MANIFEST = PluginManifest.new(
    CommandSpec(
        name="notes",
        about="Keeps notes",
        version="1.2",
        author="A. Author",
        args=(
            ArgSpec("file", required=True, help="Where the notes are", value_name="FILE"),
            ArgSpec("all", long="all", short="a", help="Every note"),
            ArgSpec("sort", long="sort", value_name="KEY", help="Order", default_value="date",
                    possible_values=("date", "title")),
        ),
        subcommands=(
            CommandSpec("add", "Adds a note", args=(ArgSpec("text", help="The note"),),
                        subcommands=(CommandSpec("many", "Adds several"),)),
        ),
    ),
    Capabilities(
        fs_read=(PathPattern("~/notes", recursive=True),),
        fs_write=(PathPattern("notes.txt"),),
        env_read=("NOTES_*",),
        net=(NetPattern("*.example.org", port=8443),),
        stdio=StdioCapability(stdout=True, stderr=True),
    ),
)  # fmt: skip


def write(path: Path, wasm: bytes) -> Path:
    file = path / "plugin.wasm"
    file.write_bytes(wasm)
    return file


def lines(text: str) -> list[str]:
    """The lines of a report, with the gaps between its columns made equal."""
    return [re.sub(r" {2,}", "  ", line.strip()) for line in text.splitlines()]


class TestReport:
    def test_the_manifest_is_readable(self, cli: Cli, tmp_path: Path) -> None:
        path = write(tmp_path, Wat(manifest_bytes=encode(RICH_MANIFEST)).wasm())
        answer = cli("inspect", "--backend", "wasmtime", path)
        assert (answer.code, answer.stderr) == (0, "")
        shown = lines(answer.stdout)
        assert shown[:2] == ["notes 1.2  Keeps notes", "by A. Author"]
        for line in (
            "FILE  Where the notes are  (required)",
            "-a, --all  Every note",
            "--sort KEY  Order  (default 'date'; one of date, title)",
            "add  Adds a note",
            "TEXT  The note",
            "add many  Adds several",
            "read ~/notes and everything below it",
            "read, change and remove notes.txt, or if it is a directory, the files directly in it",
            "read all environment variables that begin with NOTES_",
            "connect to all hosts below example.org, port 8443, by HTTPS",
            "write to standard output",
            "write to standard error",
            "plugin API  version 2",
            "plugin_execute  (i32, i32) -> (i64)",
            "Imports  none",
            f"sha256  {hashlib.sha256(path.read_bytes()).hexdigest()}",
        ):
            assert line in shown

    def test_every_host_reads_the_same_manifest(self, cli: Cli, host: Host, tmp_path: Path) -> None:
        path = write(tmp_path, Wat(manifest_bytes=encode(RICH_MANIFEST)).wasm())
        answer = cli("inspect", "--json", *on(host), path)
        assert answer.code == 0
        assert answer.json["backend"] == host.backend
        assert answer.json["binding"] == host.binding
        assert answer.json["manifest"] == to_wire(RICH_MANIFEST)

    def test_our_own_plugins_are_without_fault(self, cli: Cli) -> None:
        paths = sorted(PLUGINS.glob("*/*.wasm"), key=os.path.getsize)
        assert len(paths) >= 6
        for path in paths:
            answer = cli("inspect", "--json", path)
            assert answer.code == 0
            assert answer.json["manifest"]["command"]["name"] == path.stem
            assert answer.json["error"] is None

    def test_a_hostile_manifest_cannot_write_to_the_terminal(
        self, cli: Cli, tmp_path: Path
    ) -> None:
        evil = "\x1b]0;owned\x07\r\n\x9b2J\u202e"
        manifest = PluginManifest.new(
            CommandSpec(evil, evil, version=evil, author=evil,
                        args=(ArgSpec(evil, long=evil, short="\x1b", help=evil, value_name=evil,
                                      default_value=evil, possible_values=(evil,)),),
                        subcommands=(CommandSpec(evil, evil),)),
            Capabilities((PathPattern(evil),), (PathPattern(evil),), (evil,), (NetPattern(evil),)),
        )  # fmt: skip
        extra = r'(func (export "\1b[2J\0a\c2\9b"))'
        path = write(tmp_path, Wat(manifest_bytes=encode(manifest), extra=extra).wasm())
        answer = cli("inspect", path)
        assert answer.code == 0
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", answer.stdout)
        assert "\\x1b]0;owned\\x07" in answer.stdout
        assert cli("inspect", "--json", path).json["manifest"] == to_wire(manifest)

    def test_a_locale_without_the_letters_gets_their_codes(self, tmp_path: Path) -> None:
        manifest = encode(PluginManifest.new(CommandSpec("x", "Grüße")))
        path = write(tmp_path, Wat(manifest_bytes=manifest).wasm())
        done = subprocess.run(
            command_line("inspect", path),
            env=environment(PYTHONIOENCODING="ascii"),
            capture_output=True,
            check=True,
        )
        assert done.stdout.startswith(b"x  Gr\\xfc\\xdfe\n")

    def test_endless_lists_and_texts_are_cut(self, cli: Cli, tmp_path: Path) -> None:
        exports = "\n".join(f'(global (export "g{n}") i32 (i32.const 0))' for n in range(300))
        manifest = encode(PluginManifest.new(CommandSpec("x", "y" * 900)))
        path = write(tmp_path, Wat(manifest_bytes=manifest, extra=exports).wasm())
        answer = cli("inspect", path)
        assert answer.code == 0
        assert "y" * 501 not in answer.stdout
        assert "more; --json lists them all" in answer.stdout
        assert len(cli("inspect", "--json", path).json["module"]["exports"]) == 305


class TestFeatures:
    @pytest.mark.parametrize(
        ("wat", "features"),
        [
            ("", []),
            ("(func (drop (i32.extend8_s (i32.const 0))))", ["sign extension"]),
            ("(func (drop (i32.trunc_sat_f32_s (f32.const 0))))", ["saturating float-to-int"]),
            ("(func (memory.fill (i32.const 0) (i32.const 0) (i32.const 0)))", ["bulk memory"]),
            ("(func (drop (v128.const i64x2 1 2)))", ["SIMD"]),
            ("(func (drop (i8x16.shuffle 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15"
             " (v128.const i64x2 1 2) (v128.const i64x2 1 2))) (drop (ref.null func)))",
             ["reference types", "SIMD"]),
            ("(func (result i32 i64) (i32.const 1) (i64.const 2))", ["multi-value"]),
            ("(func (param i32) (local.get 0) (block (param i32) drop))", ["multi-value"]),
            ('(global (export "g") (mut i32) (i32.const 0))', ["mutable globals"]),
            ("(func (param externref))", ["reference types"]),
            ("(func (local i32 i64 f64) (block (loop (br_table 0 1 0 (i32.const 1))))"
             " (drop (f64.const 0x1p+1)) (drop (f32.const nan)) (drop (i64.const -1)))", []),
        ],
    )  # fmt: skip
    def test_proposals_are_named(
        self, cli: Cli, tmp_path: Path, wat: str, features: list[str]
    ) -> None:
        path = write(tmp_path, assemble(f"(module (memory 1) {wat})"))
        answer = cli("inspect", "--json", path)
        assert answer.json["module"]["features"] == features

    def test_a_later_proposal_is_told(self, cli: Cli, tmp_path: Path) -> None:
        path = write(tmp_path, assemble("(module (func (return_call 0)))"))
        module = cli("inspect", "--json", path).json["module"]
        assert module["features"] is None
        assert "of the tail calls proposal at offset" in module["features_problem"]
        assert "not known: the module uses" in cli("inspect", path).stdout


class TestWhatIsNoPlugin:
    def test_a_module_with_imports_tells_what_it_needs(self, cli: Cli, tmp_path: Path) -> None:
        wasm = assemble("""(module
            (import "wasi_snapshot_preview1" "fd_write"
              (func (param i32 i32 i32 i32) (result i32)))
            (import "env" "table" (table 3 funcref))
            (memory (export "memory") 2 3))""")
        answer = cli("inspect", write(tmp_path, wasm))
        assert answer.code == 123
        shown = lines(answer.stdout)
        assert "Problem" in shown
        assert any(line.startswith("the plugin imports what is not granted") for line in shown)
        assert "WASI.fd_write  (i32, i32, i32, i32) -> (i32)" in shown
        assert any(line.startswith("env.table  table 3") for line in shown)
        memory = "memory  memory of 128 KiB, at most 192 KiB"
        assert memory in shown

    def test_a_file_that_is_no_module(self, cli: Cli, tmp_path: Path) -> None:
        path = write(tmp_path, b"%PDF-1.7 something")
        answer = cli("inspect", path)
        assert answer.code == 123
        assert "Problem" in answer.stdout
        assert "not a WebAssembly binary" in answer.stdout
        assert "The file begins with 25 50 44 46" in answer.stdout
        found = cli("inspect", "--json", path)
        assert found.code == 123
        assert (found.json["manifest"], found.json["module"]) == (None, None)
        assert found.json["error"]["kind"] == "ModuleCompilation"
        assert found.json["size_bytes"] == 18

    def test_an_empty_file(self, cli: Cli, tmp_path: Path) -> None:
        answer = cli("inspect", write(tmp_path, b""))
        assert answer.code == 123
        assert "the module is empty" in answer.stdout

    def test_a_plugin_that_traps_is_shown_without_its_manifest(
        self, cli: Cli, tmp_path: Path
    ) -> None:
        answer = cli("inspect", write(tmp_path, Wat(manifest="unreachable").wasm()))
        assert answer.code == 125
        assert "the plugin trapped in 'plugin_manifest': unreachable" in answer.stdout
        assert "plugin_execute" in answer.stdout

    def test_a_module_can_be_read_without_an_engine(
        self, cli: Cli, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sen_host.engines.entry_points", lambda _: [])
        answer = cli("inspect", GREET)
        assert answer.code == 122
        assert "no backend is installed" in answer.stdout
        assert "plugin_execute" in answer.stdout

    def test_an_export_of_nothing(self, cli: Cli, tmp_path: Path) -> None:
        # An export section that names function 5 of none.
        path = write(tmp_path, b"\0asm\1\0\0\0" + b"\x07\x05\x01\x01f\x00\x05")
        answer = cli("inspect", path)
        assert answer.code == 123
        assert "f  does not exist" in lines(answer.stdout)

    def test_nobody_is_sent_where_he_is(self, cli: Cli, tmp_path: Path) -> None:
        path = write(tmp_path, assemble("(module)"))
        assert "sen-host inspect" in cli("run", path).stderr
        answer = cli("inspect", path)
        assert answer.code == 123
        assert "does not export" in answer.stdout
        assert "sen-host inspect" not in answer.stdout
        assert cli("inspect", "--json", path).json["error"]["hint"] is None

    def test_a_missing_file_is_an_error(self, cli: Cli) -> None:
        answer = cli("inspect", "gone.wasm")
        assert (answer.code, answer.stdout) == (123, "")
        assert "error: there is no plugin file" in answer.stderr
