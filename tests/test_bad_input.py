"""Every bad input on every backend: the same error, and a host that goes on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgpack
import pytest

from sen_host import Limits, Plugin, PluginLoader, SenHostError, TrapKind
from sen_host import errors as e
from sen_host.limits import PAGE_BYTES
from sen_host.messages import CommandSpec, PluginManifest, Sleep, SleepComplete, Success, encode
from sen_host_conformance.hosts import Host
from tests.conftest import HOSTS
from tests.wat import ANSWER, ANSWER_AT, TRAP_SUPPORT, TRAPS, Wat, packed

GOOD = Wat()
MIB = 1 << 20


@pytest.fixture(scope="module", params=HOSTS, ids=str)
def loader(request: pytest.FixtureRequest) -> PluginLoader:
    host: Host = request.param
    return host.loader(None)


@pytest.fixture(scope="module")
def bystander(loader: PluginLoader) -> Iterator[Plugin]:
    """A good plugin on the same backend, loaded before all the bad ones."""
    with loader.load(GOOD.wasm()) as plugin:
        yield plugin


@pytest.fixture(autouse=True)
def _the_host_is_unharmed(bystander: Plugin) -> Iterator[None]:
    yield
    assert bystander.execute([]) == Success("fine")


def refused(loader: PluginLoader, wasm: bytes | str | os.PathLike[str]) -> SenHostError:
    with pytest.raises(SenHostError) as caught:
        loader.load(wasm)
    return caught.value


class TestModules:
    @pytest.mark.parametrize(
        ("wasm", "message"),
        [
            pytest.param(b"", "the module is empty", id="empty"),
            pytest.param(b"(module)", "the module is text", id="text"),
            pytest.param(b"  ;; text\n(module)", "the module is text", id="text-behind-a-comment"),
            pytest.param(b"\x7fELF\x02\x01\x01", "not a WebAssembly binary", id="elf"),
            pytest.param(b"\0asm", "truncated within its header", id="magic-only"),
            pytest.param(b"\0asm\x02\0\0\0", "binary version 2", id="version-2"),
            pytest.param(b"\0asm\x0d\0\x01\0", "a WebAssembly component", id="component"),
            pytest.param(b"\0asm\x01\0\0\0\x7f\0", "unknown section id 127", id="section"),
            pytest.param(GOOD.wasm()[:-1], "unexpected end", id="truncated"),
        ],
    )
    def test_what_is_not_a_module(self, loader: PluginLoader, wasm: bytes, message: str) -> None:
        error = refused(loader, wasm)
        assert type(error) is e.ModuleCompilation
        assert message in str(error)

    def test_an_invalid_module(self, loader: PluginLoader) -> None:
        wasm = GOOD.wasm().replace(b"\x10\x80\x10", b"")
        body = Wat(execute="(i64.const 1)").wasm()
        invalid = body.replace(b"\x42\x01\x0b", b"\x41\x01\x0b")
        assert invalid not in (body, wasm)
        error = refused(loader, invalid)
        assert type(error) is e.ModuleCompilation
        assert error.message == "the module is not valid WebAssembly"
        assert error.detail, "the engine says why"

    def test_code_that_names_a_local_that_does_not_exist(self, loader: PluginLoader) -> None:
        valid = Wat(dealloc="(local.set 1 (i32.const 0))").wasm()
        invalid = valid.replace(b"\x41\x00\x21\x01", b"\x41\x00\x21\x02")
        assert invalid != valid
        assert type(refused(loader, invalid)) is e.ModuleCompilation

    def test_a_truncation_anywhere(self, loader: PluginLoader) -> None:
        wasm = GOOD.wasm()
        for end in range(0, len(wasm), 7):
            assert isinstance(refused(loader, wasm[:end]), e.PluginFault)


class TestExportsAndImports:
    @pytest.mark.parametrize(
        "name", ["memory", "plugin_alloc", "plugin_dealloc", "plugin_manifest", "plugin_execute"]
    )
    def test_a_missing_export(self, loader: PluginLoader, name: str) -> None:
        wasm = GOOD.wasm().replace(name.encode(), name[:-1].encode() + b"_")
        error = refused(loader, wasm)
        assert type(error) is e.FunctionNotFound
        assert error.function == name

    def test_a_mistyped_export(self, loader: PluginLoader) -> None:
        extra = '(func (export "plugin_resume") (param i32) (result i32) (i32.const 0))'
        error = refused(loader, Wat(extra=extra).wasm())
        assert type(error) is e.SignatureMismatch
        assert (error.function, error.actual) == ("plugin_resume", "(i32) -> (i32)")

    @pytest.mark.parametrize(
        ("declaration", "kind"),
        [
            ('(import "env" "log" (func (param i32)))', "function"),
            ('(import "env" "log" (global i32))', "global"),
            ('(import "env" "log" (table 1 funcref))', "table"),
        ],
    )
    def test_an_import(self, loader: PluginLoader, declaration: str, kind: str) -> None:
        error = refused(loader, Wat(memory=f'{declaration}(memory (export "memory") 1)').wasm())
        assert type(error) is e.ImportNotGranted
        assert error.imports == (("env", "log", kind),)
        assert f"{kind} 'env'.'log'" in str(error)

    def test_an_imported_memory(self, loader: PluginLoader) -> None:
        memory = '(import "env" "memory" (memory 1)) (export "memory" (memory 0))'
        assert type(refused(loader, Wat(memory=memory).wasm())) is e.ImportNotGranted


class TestPointers:
    @pytest.mark.parametrize(
        ("pointer", "length", "message"),
        [
            pytest.param(0, 1, "a zero pointer for 1 bytes", id="zero"),
            pytest.param(PAGE_BYTES, 1, "1 bytes at 0x10000, outside", id="behind-the-end"),
            pytest.param(PAGE_BYTES - 1, 2, "outside its memory of 65,536 bytes", id="over-it"),
            pytest.param(2**31, 16, "16 bytes at 0x80000000, outside", id="two-gigabytes"),
            pytest.param(2**32 - 1, 2**32 - 1, "4,294,967,295 bytes at 0xffffffff", id="all-ones"),
            pytest.param(1024, 2**32 - 1, "4,294,967,295 bytes at 0x400", id="huge-length"),
            pytest.param(2**32 - 1, 1, "1 bytes at 0xffffffff", id="wraps-around"),
        ],
    )
    @pytest.mark.parametrize("function", ["plugin_manifest", "plugin_execute"])
    def test_a_message_outside_the_memory(
        self, loader: PluginLoader, function: str, pointer: int, length: int, message: str
    ) -> None:
        part = {function.removeprefix("plugin_"): packed(pointer, length)}
        wasm = Wat(**part).wasm()  # type: ignore[arg-type]
        if function == "plugin_manifest":
            error = refused(loader, wasm)
        else:
            with loader.load(wasm) as plugin, pytest.raises(SenHostError) as caught:
                plugin.execute([])
            error = caught.value
        assert type(error) is e.MemoryAccess
        assert (error.pointer, error.length, error.memory_bytes) == (pointer, length, PAGE_BYTES)
        assert f"{function!r} returned" in str(error)
        assert message in str(error)

    @pytest.mark.parametrize("pointer", [0, PAGE_BYTES, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF])
    def test_alloc_returns_zero_or_nonsense(self, loader: PluginLoader, pointer: int) -> None:
        with loader.load(Wat(alloc=f"(i32.const {pointer})").wasm()) as plugin:
            for _ in range(3):
                with pytest.raises(e.MemoryAccess, match="'plugin_alloc' returned") as caught:
                    plugin.execute(["x"])
                assert caught.value.pointer == pointer

    def test_a_result_over_the_cap(self, loader: PluginLoader) -> None:
        memory = '(memory (export "memory") 300)'
        with loader.load(Wat(memory=memory, execute=packed(8, 17 * MIB)).wasm()) as plugin:
            with pytest.raises(e.ResultTooLarge) as caught:
                plugin.execute([])
            assert (caught.value.length, caught.value.limit_bytes) == (17 * MIB, 16 * MIB)


class TestMessages:
    @pytest.mark.parametrize(
        ("manifest", "reason"),
        [
            pytest.param(b"\xc1", "", id="reserved-byte"),
            pytest.param(b"\x93\x02", "", id="truncated"),
            pytest.param(msgpack.packb("text"), "", id="a-string"),
            pytest.param(msgpack.packb({"api_version": 2}), "command", id="no-command"),
        ],
    )
    def test_a_manifest_that_is_none(
        self, loader: PluginLoader, manifest: bytes, reason: str
    ) -> None:
        error = refused(loader, Wat(manifest_bytes=manifest).wasm())
        assert type(error) is e.Deserialization
        assert error.type_name == "PluginManifest"
        assert reason in str(error)

    @pytest.mark.parametrize("version", [0, 1, 3, 2**32 - 1])
    def test_another_api_version(self, loader: PluginLoader, version: int) -> None:
        manifest = PluginManifest(api_version=version, command=CommandSpec(name="x", about="y"))
        error = refused(loader, Wat(manifest_bytes=encode(manifest)).wasm())
        assert type(error) is e.ApiVersionMismatch
        assert (error.expected, error.actual) == (2, version)
        assert f"version {version}" in str(error)
        assert "version 2" in str(error)

    def test_an_answer_that_is_none(self, loader: PluginLoader) -> None:
        with loader.load(Wat(answer_bytes=b"\x81\xa7Success\x05").wasm()) as plugin:
            for _ in range(2):
                with pytest.raises(e.Deserialization) as caught:
                    plugin.execute([])
                assert caught.value.type_name == "ExecuteResult"

    def test_an_empty_answer(self, loader: PluginLoader) -> None:
        with (
            loader.load(Wat(execute=packed(0, 0)).wasm()) as plugin,
            pytest.raises(e.Deserialization),
        ):
            plugin.execute([])


class TestTraps:
    @pytest.fixture(params=list(TRAPS))
    def kind(self, request: pytest.FixtureRequest) -> TrapKind:
        return TrapKind[request.param]

    def code(self, kind: TrapKind) -> str:
        return TRAPS[kind.name] + " unreachable"

    def test_in_the_manifest(self, loader: PluginLoader, kind: TrapKind) -> None:
        error = refused(loader, Wat(manifest=self.code(kind), extra=TRAP_SUPPORT).wasm())
        assert type(error) is e.FunctionCall
        assert (error.function, error.trap) == ("plugin_manifest", kind)

    @pytest.mark.parametrize("part", ["alloc", "execute"])
    def test_in_execute(self, loader: PluginLoader, part: str, kind: TrapKind) -> None:
        wat = Wat(**{part: self.code(kind)}, extra=TRAP_SUPPORT)  # type: ignore[arg-type]
        with loader.load(wat.wasm()) as plugin:
            for _ in range(2):
                with pytest.raises(e.FunctionCall) as caught:
                    plugin.execute(["x"])
                assert caught.value.function == f"plugin_{part}"
                assert caught.value.trap is kind
                assert len(str(caught.value)) < 500

    def test_in_resume(self, loader: PluginLoader, kind: TrapKind) -> None:
        wat = Wat(
            answer_bytes=encode(Sleep(id=1, duration_ms=1)),
            resume=self.code(kind),
            extra=TRAP_SUPPORT,
        )
        with loader.load(wat.wasm()) as plugin:
            assert plugin.execute([]) == Sleep(id=1, duration_ms=1)
            with pytest.raises(e.FunctionCall) as caught:
                plugin.resume(1, SleepComplete())
            assert (caught.value.function, caught.value.trap) == ("plugin_resume", kind)

    def test_in_dealloc_after_a_good_answer(
        self, loader: PluginLoader, kind: TrapKind, caplog: pytest.LogCaptureFixture
    ) -> None:
        with loader.load(Wat(dealloc=self.code(kind), extra=TRAP_SUPPORT).wasm()) as plugin:
            caplog.clear()
            assert plugin.execute([]) == Success("fine")
            assert f"plugin_dealloc failed after plugin_execute: {kind}" in caplog.text
            assert plugin.execute([]) == Success("fine")

    def test_in_the_start_function(self, loader: PluginLoader, kind: TrapKind) -> None:
        extra = f"{TRAP_SUPPORT} (func $start {self.code(kind)}) (start $start)"
        error = refused(loader, Wat(extra=extra).wasm())
        assert type(error) is e.Instantiation
        assert error.trap is kind

    def test_in_a_segment(self, loader: PluginLoader) -> None:
        error = refused(loader, Wat(extra='(data (i32.const 65535) "xy")').wasm())
        assert type(error) is e.Instantiation
        assert error.trap is TrapKind.MEMORY_OUT_OF_BOUNDS


class TestMemory:
    GROW_TO_THE_END = f"""
        (loop $more
          (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
        (i32.store8 (i32.const {ANSWER_AT + len(ANSWER) - 1}) (memory.size))
        {packed(ANSWER_AT, len(ANSWER))}
    """

    def test_growth_without_end_stops_at_the_limit(self, loader: PluginLoader) -> None:
        limited = PluginLoader(
            loader.backend,
            binding=loader.config.binding,
            isolation=loader.config.isolation,
            limits=Limits(memory_bytes=42 * PAGE_BYTES),
            config=loader.config,
        )
        with limited.load(Wat(execute=self.GROW_TO_THE_END).wasm()) as plugin:
            assert plugin.execute([]) == Success("fin" + chr(42))
            assert plugin.memory_bytes == 42 * PAGE_BYTES

    def test_the_initial_memory_is_over_the_limit(self, loader: PluginLoader) -> None:
        error = refused(loader, Wat(memory='(memory (export "memory") 4097)').wasm())
        assert type(error) is e.MemoryLimitExceeded
        assert error.initial_bytes == 4097 * PAGE_BYTES
        assert error.limit_bytes == 256 * MIB


class TestFiles:
    def test_missing(self, loader: PluginLoader, tmp_path: Path) -> None:
        error = refused(loader, tmp_path / "missing.wasm")
        assert type(error) is e.PluginFileError
        assert error.message == f"there is no plugin file '{tmp_path}/missing.wasm'"

    def test_a_directory(self, loader: PluginLoader, tmp_path: Path) -> None:
        error = refused(loader, tmp_path)
        assert type(error) is e.PluginFileError
        assert "is a directory" in error.message

    def test_unreadable(self, loader: PluginLoader, tmp_path: Path) -> None:
        path = tmp_path / "loop.wasm"
        path.symlink_to(path)
        error = refused(loader, path)
        assert type(error) is e.PluginFileError
        assert "cannot be read" in error.message
        assert error.detail

    def test_a_pipe(self, loader: PluginLoader, tmp_path: Path) -> None:
        path = tmp_path / "pipe.wasm"
        os.mkfifo(path)
        error = refused(loader, path)
        assert type(error) is e.PluginFileError
        assert "not a regular file" in error.message

    def test_empty(self, loader: PluginLoader, tmp_path: Path) -> None:
        path = tmp_path / "empty.wasm"
        path.touch()
        error = refused(loader, path)
        assert type(error) is e.ModuleCompilation
        assert str(error) == f"{path}: the module is empty"

    def test_a_gigabyte(self, loader: PluginLoader, tmp_path: Path) -> None:
        path = tmp_path / "large.wasm"
        with path.open("wb") as file:
            file.truncate(1 << 30)
        error = refused(loader, path)
        assert type(error) is e.PluginFileError
        assert "1,073,741,824 bytes, the limit is 268,435,456 bytes" in error.message

    def test_a_name_that_no_file_can_have(self, loader: PluginLoader) -> None:
        assert type(refused(loader, "nul\0byte.wasm")) is e.PluginFileError


class TestTables:
    GROW = f"""
        (i32.store8 (i32.const {ANSWER_AT + len(ANSWER) - 1})
          (i32.add (i32.const 65) (table.grow (ref.null func) (i32.const 600000))))
        {packed(ANSWER_AT, len(ANSWER))}
    """

    def test_growth_stops_at_the_limit(self, loader: PluginLoader) -> None:
        wasm = Wat(execute=self.GROW, extra="(table 5 funcref)").wasm()
        with loader.load(wasm) as plugin:
            assert plugin.execute([]) == Success("fin" + chr(65 + 5))
            assert plugin.execute([]) == Success("fin" + chr(64)), "-1: it did not grow"

    @pytest.mark.parametrize(
        "tables",
        [
            "(table 1000001 funcref)",
            "(table 500001 funcref)" * 2,
            "(table 10001 funcref)" * 100,
        ],
        ids=["one", "two", "many"],
    )
    def test_the_initial_size_is_over_the_limit(self, loader: PluginLoader, tables: str) -> None:
        error = refused(loader, Wat(extra=tables).wasm())
        assert type(error) is e.TableLimitExceeded
        assert error.initial_elements > error.limit_elements == 1_000_000


class TestProfile:
    @pytest.mark.parametrize(
        ("extra", "words"),
        [
            ("(func (result i32) (return_call 0 (i32.const 1)))", "of the tail calls proposal"),
            ("(func (param i64) (drop (i64.add128 (local.get 0) (local.get 0) (local.get 0)"
             " (local.get 0))) drop)", "of the wide arithmetic proposal"),
            ('(data (offset (i32.add (i32.const 1) (i32.const 2))) "x")', "extended constant"),
            ("(table 9 funcref) (elem (offset (i32.add (i32.const 1) (i32.const 2))) func 0)",
             "extended constant"),
            ('(global $g i32 (i32.const 1)) (data (offset (global.get $g)) "x")', "not imported"),
        ],
    )  # fmt: skip
    def test_later_proposals_are_named_alike_everywhere(
        self, loader: PluginLoader, extra: str, words: str
    ) -> None:
        error = refused(loader, Wat(extra=extra).wasm())
        assert type(error) is e.ModuleCompilation
        assert words in error.message
        assert error.offset is not None

    def test_names_of_imports_are_cut(self, loader: PluginLoader) -> None:
        memory = f'(import "{"x" * 50_000}" "f" (func)) (memory (export "memory") 1)'
        assert len(str(refused(loader, Wat(memory=memory).wasm()))) < 400
