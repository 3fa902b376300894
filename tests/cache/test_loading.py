"""Loading with the cache: the same plugins and the same errors, without the work."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sen_host import Config, Limits, PluginLoader
from sen_host.backend import Backend
from sen_host.cache import key as keys
from sen_host.cache.key import Keys
from sen_host.cache.settings import CacheSettings
from sen_host.engines import open_backend
from sen_host.errors import FuelExhausted, SenHostError
from sen_host.limits import MIB
from sen_host_conformance.hosts import Host
from tests.cache.support import Failing, Forgetful, Picky, Watched, cache_in, entries, loader
from tests.guests import COUNTING, SLEEPING
from tests.wat import TRAP_SUPPORT, Wat

ROOT = Path(__file__).parents[2]
GREET = ROOT / "plugins" / "greet" / "greet.wasm"
WASM = COUNTING


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was asked of a watched backend."""
    asked: list[str] = []
    monkeypatch.setattr(Watched, "asked", asked, raising=False)
    return asked


def load_and_close(loader: PluginLoader, wasm: bytes = WASM) -> None:
    with loader.load(wasm):
        pass


def on(host: Host, folder: Path) -> PluginLoader:
    return PluginLoader(
        host.backend,
        binding=host.binding,
        isolation=host.isolation,
        config=Config(cache=CacheSettings(directory=str(folder))),
    )


# --- hits and misses ----------------------------------------------------------


@pytest.mark.parametrize(
    ("backend", "second"), [(Watched, ["deserialize"]), (Forgetful, ["compile"])]
)
def test_the_second_load_does_what_is_needed_and_no_more(
    folder: Path, asked: list[str], backend: type[Backend], second: list[str]
) -> None:
    for expected in (["validate", "compile"], second, second):
        load_and_close(loader(folder, backend))
        assert asked == expected
        asked.clear()
    (file,) = entries(folder)
    (entry,) = cache_in(folder).entries()
    assert entry.description is not None
    assert entry.description.plugin == "test"
    assert entry.description.module_bytes == len(WASM)
    assert entry.file.size == file.stat().st_size


def test_a_cached_load_imports_nothing_that_reads_or_rewrites_binaries(tmp_path: Path) -> None:
    code = f"""
import sys
from sen_host import Config, PluginLoader
plugin = PluginLoader("wasmtime", config=Config.defaults()).load({str(GREET)!r})
print(plugin.execute(["Alice"]).text)
for name in ("preparation", "wasm.reader", "wasm.profile", "wasm.instrument", "wasm.operators"):
    print("sen_host." + name in sys.modules)
print(plugin.module.exports[0].name)
"""
    environ = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    first, second = (
        subprocess.run(
            [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
        ).stdout.splitlines()
        for _ in range(2)
    )
    assert first == ["Hello, Alice!", *["True"] * 5, "memory"]
    assert second == ["Hello, Alice!", *["False"] * 5, "memory"]


def test_a_plugin_from_the_cache_is_the_plugin(host: Host, folder: Path) -> None:
    seen = []
    for _ in range(2):
        with on(host, folder).load(GREET) as plugin:
            result = plugin.execute(["Alice", "Good morning"])
            seen.append(
                (result, plugin.fuel_used, plugin.memory_bytes, plugin.manifest, plugin.module)
            )
    assert seen[0] == seen[1]
    assert len(entries(folder)) == 1


@pytest.mark.parametrize("call", ["start", "resume"])
def test_start_and_resume_functions_are_remembered(folder: Path, call: str) -> None:
    start = "(global $started (mut i32) (i32.const 0)) (start $go) (func $go (nop) (nop) (nop))"
    wasm = Wat(extra=start).wasm() if call == "start" else SLEEPING
    seen = []
    for _ in range(2):
        with loader(folder).load(wasm) as plugin:
            assert plugin.supports_effects == (call == "resume")
            plugin.execute([])
            seen.append((plugin.fuel_used, plugin._loaded.has_start))
    assert seen[0] == seen[1]
    assert seen[0][1] == (call == "start")


def test_a_discarded_instance_of_a_cached_plugin_is_replaced(host: Host, folder: Path) -> None:
    load_and_close(on(host, folder))
    with on(host, folder).load(WASM) as plugin:
        first = plugin.execute([])
        with pytest.raises(SenHostError):
            plugin.execute(["trap"])
        assert plugin.execute([]) == first


def test_without_the_cache_nothing_is_read_or_written(folder: Path, asked: list[str]) -> None:
    settings = CacheSettings(directory=str(folder))
    for off in (
        PluginLoader(Watched, cache=False, config=Config(cache=settings)),
        PluginLoader(
            Watched, config=Config(cache=CacheSettings(enabled=False, directory=str(folder)))
        ),
    ):
        load_and_close(off)
        assert asked == ["validate", "compile"]
        assert not folder.exists()
        asked.clear()


def test_an_argument_switches_on_what_the_configuration_switched_off(folder: Path) -> None:
    config = Config(cache=CacheSettings(enabled=False, directory=str(folder)))
    load_and_close(PluginLoader("wasmtime", cache=True, config=config))
    assert len(entries(folder)) == 1


def test_the_log_tells_where_a_plugin_came_from(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for said in ("checked and rewritten in", "from the compile cache in"):
        caplog.clear()
        with caplog.at_level(logging.DEBUG, "sen_host"):
            load_and_close(loader(folder))
        assert said in caplog.text


# --- what fails ----------------------------------------------------------------


BAD = {
    "no module": b"\0asm\1\0\0\0\xff",
    "no plugin_execute": Wat().wasm().replace(b"plugin_execute", b"plugin_exhaust"),
    "a trap at the start": Wat(extra="(start $go) (func $go unreachable)").wasm(),
    "no manifest": Wat(manifest_bytes=b"\xc1").wasm(),
    "another version": Wat(manifest_bytes=b"\x92\x63\xc0").wasm(),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_plugin_fails_the_same_every_time_and_is_not_kept(folder: Path, what: str) -> None:
    errors = []
    for _ in range(2):
        with pytest.raises(SenHostError) as caught:
            loader(folder).load(BAD[what])
        errors.append((type(caught.value), str(caught.value)))
    with pytest.raises(SenHostError) as caught:
        PluginLoader("wasmtime", cache=False, config=Config()).load(BAD[what])
    assert errors == [(type(caught.value), str(caught.value))] * 2
    assert not folder.exists()


def test_fuel_that_does_not_suffice_fails_the_same_from_the_cache(folder: Path) -> None:
    load_and_close(loader(folder))
    said = []
    for path in (folder, folder.parent / "empty"):
        with pytest.raises(FuelExhausted) as caught:
            loader(path, limits=Limits(fuel=0)).load(WASM)
        said.append(str(caught.value))
    assert said[0] == said[1]
    assert len(entries(folder)) == 1


def test_a_module_that_is_too_large_is_refused_before_the_cache_is_asked(folder: Path) -> None:
    load_and_close(loader(folder))
    with pytest.raises(SenHostError, match="the limit is 10 bytes"):
        loader(folder, limits=Limits(module_bytes=10)).load(WASM)


def test_what_an_engine_refuses_is_dropped_and_made_anew(
    folder: Path, asked: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    load_and_close(loader(folder, Picky))
    asked.clear()
    with caplog.at_level(logging.DEBUG, "sen_host"):
        load_and_close(loader(folder, Picky))
    assert asked == ["deserialize", "validate", "compile"]
    assert "it is picky" in caplog.text
    assert len(entries(folder)) == 1


def test_a_module_that_cannot_be_serialized_is_kept_as_it_was_rewritten(
    folder: Path, asked: list[str]
) -> None:
    load_and_close(loader(folder, Failing))
    asked.clear()
    load_and_close(loader(folder, Failing))
    assert asked == ["compile"]


def test_a_backend_whose_code_cannot_be_found_has_no_cache(
    folder: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # As of a class that was typed into an interactive session.
    monkeypatch.setattr(Watched, "home", "__main__:Watched")
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    load_and_close(loader(folder, Watched))
    assert not folder.exists()


def test_a_backend_that_is_made_by_a_function_has_no_cache(folder: Path, asked: list[str]) -> None:
    class Local(Watched):
        pass

    load_and_close(loader(folder, Local))
    assert not folder.exists()


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data[:-1] + b"?"])
def test_a_damaged_entry_is_rebuilt(host: Host, folder: Path, damage: object) -> None:
    with on(host, folder).load(WASM) as plugin:
        expected = plugin.execute([]), plugin.fuel_used
    (file,) = entries(folder)
    intact = file.read_bytes()
    file.write_bytes(damage(intact))  # type: ignore[operator]
    with on(host, folder).load(WASM) as plugin:
        assert (plugin.execute([]), plugin.fuel_used) == expected
    assert len(file.read_bytes()) == len(intact)
    assert len(entries(folder)) == 1


# --- what an entry depends on ---------------------------------------------------


def other_keys(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keys of one module that differ in one thing each; the first twice."""
    wasmtime = open_backend("wasmtime", isolation="none")

    def key(
        backend: Backend = wasmtime, limits: Limits | None = None, *accept: str, wasm: bytes = WASM
    ) -> str:
        return Keys(backend, limits or Limits(), frozenset(accept)).key(wasm)

    def changed(name: str, value: str) -> Backend:
        backend = open_backend("wasmtime", isolation="none")
        object.__setattr__(backend.binding, name, value)
        return backend

    found = [
        key(),
        key(),
        key(wasm=WASM + b"\0"),
        key(wasmtime, Limits(memory_bytes=MIB)),
        key(wasmtime, Limits(memory_bytes=None)),
        key(wasmtime, Limits(table_elements=7)),
        key(wasmtime, Limits(stack_bytes=MIB // 2)),
        key(wasmtime, Limits(wall_clock_seconds=5)),
        key(wasmtime, None, "simd"),
        key(wasmtime, None, "simd", "dead-br-table"),
        key(open_backend("wasmtime", isolation="process")),
        key(open_backend(Watched)),
        key(open_backend(Watched, isolation="process")),
        key(open_backend(Forgetful)),
        key(changed("name", "other")),
        key(changed("engine", "Wasmtime 50.0.2")),
        key(changed("packages", "wasmtime 50.0.2")),
    ]
    monkeypatch.setattr(keys, "FUEL_SCHEDULE", 2)
    for change in (
        ("FUEL_SCHEDULE", 3),
        ("_processor", lambda otherwise: "flags: sse2"),
        ("_code", lambda folder, only=None: ["other"]),
    ):
        monkeypatch.setattr(keys, *change)
        keys._here.cache_clear()
        found.append(key())
    monkeypatch.undo()
    keys._here.cache_clear()
    return found


def test_whatever_an_entry_depends_on_is_in_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    first, again, *others = other_keys(monkeypatch)
    assert first == again
    assert len({first, *others}) == 1 + len(others)


def test_what_is_judged_at_run_time_is_not_in_the_key() -> None:
    wasmtime = open_backend("wasmtime", isolation="none")
    expected = Keys(wasmtime, Limits(), frozenset()).key(WASM)
    for limits in (Limits(fuel=5), Limits(result_bytes=5), Limits(module_bytes=8000)):
        assert Keys(wasmtime, limits, frozenset()).key(WASM) == expected
    clocks = [
        Keys(wasmtime, Limits(wall_clock_seconds=seconds), frozenset()).key(WASM)
        for seconds in (1, 2)
    ]
    assert clocks[0] == clocks[1]


def test_the_key_of_a_worker_does_not_depend_on_the_way_it_was_opened() -> None:
    workers = [open_backend("wasmtime", isolation="process") for _ in range(2)]
    first, second = (Keys(worker, Limits(), frozenset()).key(WASM) for worker in workers)
    assert first == second


def test_changed_code_of_a_backend_changes_the_key(tmp_path: Path) -> None:
    file = tmp_path / "engine_in_a_file.py"
    file.write_text("from tests.cache.support import Watched\nclass Engine(Watched): pass\n")
    code = """
import sys
sys.path.insert(0, sys.argv[1])
from engine_in_a_file import Engine
from sen_host import Limits, open_backend
from sen_host.cache.key import Keys
print(Keys(open_backend(Engine), Limits(), frozenset()).key(b""))
"""

    def key() -> str:
        command = [sys.executable, "-c", code, str(tmp_path)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    first = key()
    (tmp_path / "unrelated.py").write_text("")
    assert key() == first
    file.write_text(file.read_text() + "\n")
    assert key() != first


def test_a_guest_that_recurses_ends_at_the_same_depth_from_the_cache(
    host: Host, folder: Path
) -> None:
    wasm = Wat(execute="(call $recurse) unreachable", extra=TRAP_SUPPORT).wasm()
    seen = []
    for _ in range(2):
        with on(host, folder).load(wasm) as plugin, pytest.raises(SenHostError) as caught:
            plugin.execute([])
        seen.append((str(caught.value), plugin.fuel_used))
    assert seen[0] == seen[1]
