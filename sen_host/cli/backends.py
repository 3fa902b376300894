"""``sen-host backends``: the engines, which of them work, and what mends the others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from sen_host.cli.options import Call, call_options
from sen_host.cli.output import one_line, size, write_json, write_report
from sen_host.limits import FUEL_SCHEDULE

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sen_host.backend import Binding
    from sen_host.engines import BackendInfo


@click.command(short_help="List the engines and whether they work here.")
@call_options(settings=False)
def command(call: Call) -> int:
    """List the installed backends: their engines, and whether these work here."""
    from sen_host.engines import backends

    found = backends()
    if call.json:
        write_json(
            {"fuel_schedule": FUEL_SCHEDULE, "backends": [_as_json(backend) for backend in found]}
        )
    else:
        write_report(*_report(found))
    return 0


def _as_json(backend: BackendInfo) -> dict[str, Any]:
    return {
        "name": backend.name,
        "distribution": backend.distribution,
        "available": backend.available,
        "error": backend.error,
        "bindings": [
            {
                "name": binding.name,
                "engine": binding.engine,
                "packages": list(binding.packages),
                "available": binding.available,
                "reason": binding.reason,
                "remedy": binding.remedy,
                "isolation": binding.isolation,
                "stack_bytes": binding.stack_bytes,
                "lacks": [
                    {"capability": str(lack.capability), "why": lack.why, "reason": lack.reason}
                    for lack in binding.lacks
                ],
            }
            for binding in backend.bindings
        ],
    }


def _report(found: tuple[BackendInfo, ...]) -> Iterator[RenderableType]:
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    for number, backend in enumerate(found):
        if number:
            yield ""
        yield Text.assemble(
            (backend.name, "bold"), "  ", (f"from {one_line(backend.distribution)}", "dim")
        )
        table = Table.grid(padding=(0, 3, 0, 0))
        for _ in range(2):
            table.add_column(overflow="fold")
        if backend.error is not None:
            table.add_row(Text("unavailable", style="red"), one_line(backend.error))
        preferred = next((item for item in backend.bindings if item.available), None)
        for binding in backend.bindings:
            for label, value in _rows(binding):
                table.add_row(label, value)
            if binding.available and binding is not preferred:
                table.add_row("", f"used if it is asked for: --binding {one_line(binding.name)}")
        yield Padding(table, (0, 0, 0, 2))
    if not any(backend.available for backend in found):
        yield Text("\nNo engine works here. To get one:  pip install 'sen-host[wasmtime]'")


def _rows(binding: Binding) -> Iterator[tuple[Any, Any]]:
    from rich.text import Text

    state = ("available", "green") if binding.available else ("unavailable", "red")
    yield (
        Text(one_line(binding.name), style="cyan"),
        Text.assemble(one_line(binding.engine), "  ", state),
    )
    if binding.reason is not None:
        yield "", f"why: {one_line(binding.reason)}"
    if binding.remedy is not None:
        yield "", Text.assemble("mend it with: ", (one_line(binding.remedy), "bold"))
    if binding.available:
        where = "a worker process" if binding.isolation == "process" else "this process"
        yield "", f"runs in {where}"
        if binding.stack_bytes is not None:
            yield "", f"has a call stack of {size(binding.stack_bytes)}"
        for lack in binding.lacks:
            yield "", f"lacks {lack.capability} ({lack.why}): {one_line(lack.reason)}"
