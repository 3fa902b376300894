"""What can be told of a module's structure, even if the module is not valid."""

from __future__ import annotations

from sen_host.errors import ModuleCompilation
from sen_host.wasm.features import features_used
from sen_host.wasm.reader import Export, ExternType, ParsedModule


def features(module: ParsedModule) -> tuple[tuple[str, ...] | None, str | None]:
    """The proposals in use, sorted; or None and why they cannot be told."""
    try:
        return features_used(module), None
    except ModuleCompilation as error:
        return None, error.message


def export_type(module: ParsedModule, export: Export) -> ExternType | None:
    """The type of an export; None if what it names does not exist."""
    try:
        return module.type_of(export)
    except ModuleCompilation:
        return None
