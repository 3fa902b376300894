"""What the binary of a plugin shows before it runs: every fault, not the first alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from sen_host.abi import FUNCTIONS, MEMORY, export_faults
from sen_host.backend import FuncType
from sen_host.checkup.findings import Area, Finding, Level
from sen_host.errors import (
    FunctionNotFound,
    ModuleCompilation,
    PluginFault,
    SenHostError,
    SignatureMismatch,
)
from sen_host.limits import Limits
from sen_host.wasm.exceptions import FEATURES
from sen_host.wasm.memory_limit import limit_memory
from sen_host.wasm.profile import refusals
from sen_host.wasm.reader import ParsedModule
from sen_host.wasm.table_limit import limit_tables

_MUCH_DEBUG_BYTES = 100_000

NOTHING: Mapping[tuple[str, str], FuncType] = MappingProxyType({})


def check_structure(
    module: ParsedModule,
    limits: Limits,
    accept: frozenset[str] = frozenset(),
    offered: Mapping[tuple[str, str], FuncType] = NOTHING,
) -> Iterator[Finding]:
    """All findings in imports, exports, profile, limits and sections.

    Args:
        accept: exceptions of the profile, as for ``check_profile``.
        offered: types of the functions that it may import, by module and name.
    """
    yield from _imports(module, offered)
    yield from _exports(module)
    yield from _profile(module, accept)
    yield from _limits(module, limits)
    yield from _sections(module)


def _imports(
    module: ParsedModule, offered: Mapping[tuple[str, str], FuncType]
) -> Iterator[Finding]:
    for item in module.imports:
        type = offered.get((item.module, item.name))
        if type is None or item.kind != "function":
            yield Finding(
                Level.ERROR,
                Area.IMPORTS,
                "the plugin imports what the host does not grant",
                (f"{item.kind} {item.module!r}.{item.name!r}",),
                "build it for wasm32-unknown-unknown (freestanding) or wasm32-wasi (preview 1)",
            )
        elif item.type != type:
            yield Finding(
                Level.ERROR,
                Area.IMPORTS,
                f"the plugin imports a function as {item.type}, the host offers it as {type}",
                (f"{item.kind} {item.module!r}.{item.name!r}",),
                "build it with a toolchain for WASI preview 1",
            )


def _exports(module: ParsedModule) -> Iterator[Finding]:
    functions: dict[str, FuncType] = {}
    memories: set[str] = set()
    other: dict[str, str] = {}
    for export in module.exports:
        try:
            type = module.type_of(export)
        except ModuleCompilation as error:
            yield _of(error, Area.EXPORTS)
            continue
        if isinstance(type, FuncType):
            functions[export.name] = type
        elif export.kind == "memory":
            memories.add(export.name)
        else:
            other[export.name] = f"a {export.kind}"
    for fault in export_faults(functions, memories, other):
        name = fault.function
        yield Finding(Level.ERROR, Area.EXPORTS, fault.message, (), _export_remedy(name, fault))


def _export_remedy(name: str, error: FunctionNotFound) -> str:
    if name == MEMORY:
        return "export the linear memory under the name 'memory', as linkers do by default"
    if isinstance(error, SignatureMismatch):
        return f"give {name!r} the type {FUNCTIONS[name]}, or build the plugin with an SDK"
    return f"export {name!r} with the type {FUNCTIONS[name]}, or build the plugin with an SDK"


def _profile(module: ParsedModule, accept: frozenset[str]) -> Iterator[Finding]:
    """What each function uses: its first refusal of each kind."""
    if next(refusals(module, accept), None) is None:
        return
    seen = set()
    for name in FEATURES:
        # With all others accepted, one does not hide another in the same function.
        for error in refusals(module, accept | (FEATURES.keys() - {name})):
            if error.message not in seen:
                seen.add(error.message)
                yield _refused(error)


def _refused(error: ModuleCompilation) -> Finding:
    """The place apart from the fault, so that many functions can have the same one."""
    if error.offset is not None:
        what, place, function = error.message.partition(f" at offset {error.offset:#x}")
        if place and (not function or function.startswith(", in ")):
            where = f"offset {error.offset:#x}{function}"
            return Finding(Level.ERROR, Area.PROFILE, what.rstrip(","), (where,), error.hint)
    return _of(error, Area.PROFILE)


def _limits(module: ParsedModule, limits: Limits) -> Iterator[Finding]:
    checks: list[tuple[Callable[[ParsedModule, int], bytes], int | None]] = [
        (limit_memory, limits.memory_bytes),
        (limit_tables, limits.table_elements),
    ]
    for check, limit in checks:
        if limit is not None:
            try:
                check(module, limit)
            except PluginFault as error:
                yield _of(error, Area.LIMITS)


def _sections(module: ParsedModule) -> Iterator[Finding]:
    if module.start is not None:
        yield Finding(
            Level.NOTE,
            Area.BINARY,
            "the module has a start function: it runs again whenever there is a fresh instance",
            (f"function {module.start}",),
            "do the work in plugin_execute, unless every instance needs it",
        )
    debug = [item for item in module.custom_sections if item.name.startswith(".debug")]
    size = sum(len(item.content) for item in debug)
    if size > _MUCH_DEBUG_BYTES:
        yield Finding(
            Level.NOTE,
            Area.BINARY,
            f"{size:,} of {len(module.data):,} bytes are information for debuggers",
            (),
            "strip it for release: wasm-opt --strip-debug, or strip = true in Cargo.toml",
        )


def _of(error: SenHostError, area: Area) -> Finding:
    return Finding(Level.ERROR, area, error.message, (), error.hint)
