"""What tests of the cache share: entries, and a backend that tells what was asked of it."""

from __future__ import annotations

from pathlib import Path

from sen_host import Config, PluginLoader
from sen_host.backend import Backend, Binding, Instance, Module
from sen_host.cache.entry import Description
from sen_host.cache.settings import CacheSettings
from sen_host.cache.store import CompileCache
from sen_host.engines import open_backend
from sen_host.errors import EngineFault
from sen_host.limits import MIB, Limits

DATA = bytes(range(256)) * 3


def key(number: int) -> str:
    """One key of many."""
    return f"{number:064x}"


def description(number: int = 1) -> Description:
    return Description(
        key=key(number),
        kind="compiled",
        has_start=False,
        has_resume=True,
        imports=(),
        plugin="greet",
        engine="wasmtime (c-api), Wasmtime 50.0.1",
        module_bytes=86_596,
    )


def cache_in(path: Path, max_bytes: int = 512 * MIB) -> CompileCache:
    return CompileCache(CacheSettings(directory=str(path), max_bytes=max_bytes))


def entries(path: Path) -> list[Path]:
    """The files of the cache's entries, by name."""
    return sorted(path.glob("*.mod"))


def loader(
    path: Path, backend: str | type[Backend] = "wasmtime", limits: Limits | None = None
) -> PluginLoader:
    """A loader with a cache in that directory."""
    config = Config(cache=CacheSettings(directory=str(path)))
    return PluginLoader(backend, limits=limits, config=config)


class Watched(Backend):
    """Wasmtime, and a record of what the host asked of it."""

    name = "watched"
    asked: list[str]

    @classmethod
    def bindings(cls) -> tuple[Binding, ...]:
        return (Binding(name="only", engine="Watched 1.0"),)

    def __init__(self, binding: Binding) -> None:
        super().__init__(binding)
        self._inner = open_backend("wasmtime", isolation="none")

    def validate(self, wasm: bytes) -> None:
        self.asked.append("validate")
        self._inner.validate(wasm)

    def compile(self, wasm: bytes, limits: Limits) -> Module:
        self.asked.append("compile")
        return self._inner.compile(wasm, limits)

    def deserialize(self, compiled: bytes, limits: Limits) -> Module:
        self.asked.append("deserialize")
        return self._inner.deserialize(compiled, limits)


class Forgetful(Watched):
    """It cannot serialize a module: what the host rewrote is kept."""

    def compile(self, wasm: bytes, limits: Limits) -> Module:
        return NotSerialized(super().compile(wasm, limits))


class Failing(Watched):
    """It fails to serialize a module."""

    def compile(self, wasm: bytes, limits: Limits) -> Module:
        return FailsToSerialize(super().compile(wasm, limits))


class Picky(Watched):
    """It serializes modules, and refuses to take them back."""

    def deserialize(self, compiled: bytes, limits: Limits) -> Module:
        self.asked.append("deserialize")
        raise EngineFault("it is picky")


class NotSerialized(Module):
    def __init__(self, inner: Module) -> None:
        self._inner = inner

    def instantiate(self) -> Instance:
        return self._inner.instantiate()

    def close(self) -> None:
        self._inner.close()


class FailsToSerialize(NotSerialized):
    def serialize(self) -> bytes | None:
        raise EngineFault("it has no memory left")
