"""One check of a plugin, from its bytes to its behaviour."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from sen_host.checkup.behaviour import (
    check_call,
    check_freed,
    check_leaks,
    check_loads,
    check_manifest_again,
    is_endless,
)
from sen_host.checkup.findings import Area, Finding, Level, merged
from sen_host.checkup.manifest import check_manifest
from sen_host.checkup.structure import check_structure
from sen_host.checkup.sweep import MOST_PROBES, sweep, usual
from sen_host.comparison import Failure, Progress, label, record_load
from sen_host.engines import open_backend
from sen_host.errors import ModuleCompilation, SenHostError
from sen_host.loader import PluginLoader
from sen_host.messages import PluginManifest
from sen_host.plugin import Plugin
from sen_host.wasm.instrument import instrument
from sen_host.wasm.reader import parse


@dataclass(frozen=True)
class Report:
    """What a check found.

    Attributes:
        backends: on which the plugin was loaded, e.g. "wasmtime (c-api)".
        findings: the worst first.
        manifest: what the plugin says of itself; None if it did not load.
        calls: how many sets of arguments were tried on each backend.
    """

    backends: tuple[str, ...]
    findings: tuple[Finding, ...]
    manifest: PluginManifest | None
    calls: int

    def count(self, level: Level) -> int:
        """How many findings are of a level."""
        return sum(finding.level is level for finding in self.findings)


def check(
    wasm: bytes, loaders: Sequence[PluginLoader], *, progress: Progress | None = None
) -> Report:
    """Check a plugin on each loader; they should have the same limits.

    What is found in the binary is found at once. Only a plugin without a fault
    there is loaded, and only one that every backend loads is called.
    """
    return _Checkup(wasm, loaders, progress or (lambda _what, _done, _of: None)).run()


class _Checkup:
    def __init__(self, wasm: bytes, loaders: Sequence[PluginLoader], progress: Progress) -> None:
        self.wasm = wasm
        self.loaders = loaders
        self.progress = progress
        self.findings: list[Finding] = []
        self.manifest: PluginManifest | None = None
        self.calls = 0

    def run(self) -> Report:
        self.findings += self.binary()
        if not any(finding.level is Level.ERROR for finding in self.findings):
            with ExitStack() as stack:
                plugins = self.load(stack)
                if self.manifest is not None:
                    self.findings += check_manifest(self.manifest)
                if len(plugins) == len(self.loaders):
                    self.findings += self.behave(plugins)
        names = tuple(label(loader.backend, loader.binding) for loader in self.loaders)
        return Report(names, merged(self.findings), self.manifest, self.calls)

    def binary(self) -> Iterator[Finding]:
        """What is wrong with the bytes, the engines' own validation included."""
        limits = self.loaders[0].limits
        accept = frozenset.intersection(*(loader.config.accept for loader in self.loaders))
        try:
            module = parse(self.wasm)
        except ModuleCompilation as error:
            yield Finding(Level.ERROR, Area.BINARY, error.message, (), error.hint)
            return
        found = list(check_structure(module, limits, accept, self.loaders[0].offers()))
        yield from found
        if any(finding.area is Area.PROFILE for finding in found):
            return  # an engine may fail in any way over what the profile refuses
        invalid = list(self.validate())
        yield from invalid
        if not invalid:
            try:
                instrument(module)
            except SenHostError as error:
                yield Finding(Level.ERROR, Area.BINARY, error.message, (), error.hint)

    def validate(self) -> Iterator[Finding]:
        for number, loader in enumerate(self.loaders):
            name = label(loader.backend, loader.binding)
            self.progress(f"validating on {name}", number, len(self.loaders))
            backend = open_backend(
                loader.backend, binding=loader.binding.name, isolation=loader.config.isolation
            )
            try:
                backend.validate(self.wasm)
            except SenHostError as error:
                text = error.message if error.detail is None else f"{error.message}: {error.detail}"
                yield Finding(Level.ERROR, Area.BINARY, text, (name,), error.hint)

    def load(self, stack: ExitStack) -> list[Plugin]:
        loads, plugins = [], []
        for number, loader in enumerate(self.loaders):
            name = label(loader.backend, loader.binding)
            self.progress(f"loading on {name}", number, len(self.loaders))
            plugin, step = record_load(loader, self.wasm)
            loads.append((step,))
            if plugin is not None:
                plugins.append(stack.enter_context(plugin))
                self.manifest = plugin.manifest
                self.findings += check_freed(step, "load")
            elif isinstance(step.outcome, Failure):
                error = step.outcome.error
                self.findings.append(
                    Finding(Level.ERROR, Area.LOAD, error.message, (name,), error.hint)
                )
        backends = [(loader.backend, loader.binding) for loader in self.loaders]
        self.findings += check_loads(backends, loads)
        return plugins

    def behave(self, plugins: Sequence[Plugin]) -> Iterator[Finding]:
        yield from check_manifest_again(plugins)
        command = plugins[0].manifest.command
        probes = sweep(command)
        if len(probes) == MOST_PROBES:
            yield Finding(
                Level.NOTE,
                Area.BEHAVIOUR,
                f"the plugin takes so much that only {MOST_PROBES:,} sets of arguments were tried",
            )
        for probe in probes:
            self.progress("calling", self.calls, len(probes))
            self.calls += 1
            found = tuple(check_call(plugins, probe))
            yield from found
            if any(map(is_endless, found)):
                break
        yield from check_leaks(plugins[0], usual(command), self.progress)
        if len(plugins) == 1:
            only = label(plugins[0].backend, plugins[0].binding)
            yield Finding(
                Level.NOTE,
                Area.BACKENDS,
                f"only {only} was used, so backends were not compared",
                (),
                "install another engine: pip install 'sen-host[all]'",
            )
