"""From the bytes of a plugin to the module that an engine compiles: checks, then rewriting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from sen_host.abi import RESUME, check_exports
from sen_host.backend import Backend, Binding, Capability, FuncType, Import
from sen_host.errors import ModuleCompilation
from sen_host.imports import check_imports
from sen_host.limits import PAGE_BYTES, Limits
from sen_host.wasm.instrument import Instrumented, instrument
from sen_host.wasm.memory_limit import MAX_PAGES
from sen_host.wasm.profile import check_profile
from sen_host.wasm.reader import ParsedModule, parse


class Prepared(NamedTuple):
    """A plugin that has passed all checks.

    Attributes:
        wasm: the rewritten module.
        has_start: whether it has a start function, which the host has to call.
        has_resume: whether it exports ``plugin_resume``.
        imports: the functions that it imports.
    """

    wasm: bytes
    has_start: bool
    has_resume: bool
    imports: tuple[Import, ...]


def prepare(
    wasm: bytes,
    backend: Backend,
    limits: Limits,
    accept: frozenset[str],
    offered: Callable[[], Mapping[tuple[str, str], FuncType]] | None = None,
) -> Prepared:
    """Check a plugin and rewrite it.

    Args:
        offered: tells the functions that it may import; asked if it imports any.

    Raises:
        ModuleCompilation, FunctionNotFound, SignatureMismatch, ImportNotGranted,
        Instantiation: as ``PluginLoader.load``.
    """
    parsed = parse(wasm)
    check_profile(parsed, accept)
    backend.validate(wasm)
    imports = function_imports(parsed)
    everything = [(item.module, item.name, item.kind) for item in parsed.imports]
    if everything:
        granted = offered() if offered is not None and imports else None
        check_imports(imports, granted, backend.binding, everything=everything)
    check_plugin(parsed)
    instrumented = rewrite(parsed, limits, backend.binding)
    has_resume = any(export.name == RESUME for export in parsed.exports)
    return Prepared(instrumented.wasm, instrumented.has_start, has_resume, imports)


def rewrite(module: ParsedModule, limits: Limits, binding: Binding) -> Instrumented:
    """Write limits into a module that the backend has validated.

    Raises:
        As ``wasm.instrument.instrument``; ModuleCompilation also for invalid code
        that a backend without VALIDATION has let through, as far as it is noticed.
    """
    memory_bytes = limits.memory_bytes or MAX_PAGES * PAGE_BYTES
    try:
        return instrument(module, memory_bytes=memory_bytes, table_elements=limits.table_elements)
    except (LookupError, AssertionError) as error:
        if binding.has(Capability.VALIDATION):
            raise
        raise ModuleCompilation from error


def function_imports(module: ParsedModule) -> tuple[Import, ...]:
    """The functions that a module imports."""
    return tuple(
        Import(item.module, item.name, item.type)
        for item in module.imports
        if isinstance(item.type, FuncType)
    )


def check_plugin(module: ParsedModule) -> None:
    """Check that a module has the exports of a plugin.

    Raises:
        FunctionNotFound, SignatureMismatch
    """
    functions: dict[str, FuncType] = {}
    memories: set[str] = set()
    other: dict[str, str] = {}
    for export in module.exports:
        type = module.type_of(export)
        if isinstance(type, FuncType):
            functions[export.name] = type
        elif export.kind == "memory":
            memories.add(export.name)
        else:
            other[export.name] = f"a {export.kind}"
    check_exports(functions, memories, other)
