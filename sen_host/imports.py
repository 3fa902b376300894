"""Which imports of a module are granted: functions that the host offers, and nothing else."""

from __future__ import annotations

from sen_host.backend import Binding, Capability, FuncType, Import
from sen_host.errors import ImportNotGranted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_INTEGERS = frozenset({"i32", "i64"})


def check_imports(
    imports: Sequence[Import],
    offered: Mapping[tuple[str, str], FuncType] | None,
    binding: Binding,
    *,
    everything: Sequence[tuple[str, str, str]] | None = None,
) -> None:
    """Check that functions are offered, with exactly these types.

    Args:
        offered: types by module and name; None if no functions are.
        everything: module, name and kind of all imports, in the module's order, if some
            are no functions.

    Raises:
        ImportNotGranted: some are not.
    """
    if offered is not None and not binding.has(Capability.HOST_FUNCTIONS):
        offered = None
        hint: str | None = (
            f"the binding {binding.name!r} of {binding.engine} has no host functions:"
            " use another one"
        )
    else:
        hint = None if offered is None else "offer it to the plugin, or build the plugin without it"
    types = offered or {}
    if everything is None:
        everything = [(item.module, item.name, "function") for item in imports]
    missing = [
        (module, name, kind)
        for module, name, kind in everything
        if kind != "function" or (module, name) not in types
    ]
    if missing:
        raise ImportNotGranted(missing, hint=hint)
    for item in imports:
        type = types[item.module, item.name]
        if item.type != type or not _is_callable(type):
            raise ImportNotGranted(
                [(item.module, item.name, "function")],
                mismatch=f"as {item.type}, it is offered as {type}",
                hint="build the plugin for the interface that the host offers",
            )


def _is_callable(type: FuncType) -> bool:
    return len(type.results) <= 1 and _INTEGERS.issuperset(type.params + type.results)
