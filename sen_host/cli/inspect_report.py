"""The report of ``sen-host inspect`` for people.

Whatever comes from the plugin passes through ``_said``: a manifest must not be
able to write to the terminal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sen_host.abi import FUNCTIONS, MEMORY
from sen_host.backend import FuncType
from sen_host.cli.failure import describe
from sen_host.cli.output import one_line, printable, size
from sen_host.cli.structure import export_type, features
from sen_host.limits import PAGE_BYTES
from sen_host.permissions import describe as describe_capabilities
from sen_host.wasi.layout import MODULE as WASI
from sen_host.wasm.reader import MAGIC, ExternType, MemoryType, ParsedModule

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sen_host.cli.inspect import Findings
    from sen_host.messages import ArgSpec, Capabilities, CommandSpec

_LONGEST_TEXT = 500
_LONGEST_LIST = 40

Rows = Iterable[tuple[str | Text, str | Text]]


def report(findings: Findings, facts: Mapping[str, Any]) -> Iterator[RenderableType]:
    """The parts of the report, in order."""
    manifest, module = findings.manifest, findings.module
    if manifest is not None:
        yield from _title(manifest.command)
    else:
        yield Text(one_line(findings.path), style="bold")
    yield from _section("File", _file(findings, facts))
    if findings.error is not None:
        yield from _problem(findings.error)
    if manifest is not None:
        yield from _section("Arguments", _arguments(manifest.command), empty="none")
        yield from _section("Subcommands", _subcommands(manifest.command), empty=None)
        yield from _section("Asks for", _capabilities(manifest.capabilities), empty="nothing")
    if module is not None:
        yield from _section("Exports", _exports(module), empty="none")
        yield from _section("Imports", _imports(module), empty="none")
        yield from _section("Binary", _binary(module))
    if findings.data and not findings.data.startswith(MAGIC):
        yield Text(f"\nThe file begins with {findings.data[:16].hex(' ')}.", style="dim")


def _title(command: CommandSpec) -> Iterator[Text]:
    name = " ".join(filter(None, (_said(command.name), _said(command.version or ""))))
    yield Text.assemble((name, "bold"), "  ", _said(command.about))
    if command.author:
        yield Text(f"by {_said(command.author)}", style="dim")


def _file(findings: Findings, facts: Mapping[str, Any]) -> Rows:
    yield "path", one_line(findings.path)
    yield "size", size(len(findings.data))
    yield "sha256", findings.sha256
    if findings.manifest is not None:
        binding = facts.get("binding")
        yield "loads on", f"{facts['backend']}{f' ({binding})' if binding else ''}"
        yield "plugin API", f"version {findings.manifest.api_version}"


def _problem(error: Exception) -> Iterator[RenderableType]:
    message, hint = describe(error)
    yield Text("\nProblem", style="bold red")
    yield Padding(Text(printable(message)), (0, 0, 0, 2))
    if hint:
        yield Padding(Text(f"hint: {printable(hint)}", style="cyan"), (0, 0, 0, 2))


def _arguments(command: CommandSpec) -> Rows:
    for argument in command.args:
        yield _argument_name(argument), _argument_help(argument)


def _argument_name(argument: ArgSpec) -> Text:
    placeholder = _said(argument.value_name or argument.name).upper()
    if argument.long is None and argument.short is None:
        return Text(placeholder, style="cyan")
    names = []
    if argument.short is not None:
        names.append(f"-{_said(argument.short)}")
    if argument.long is not None:
        names.append(f"--{_said(argument.long)}")
    text = ", ".join(names)
    return Text(f"{text} {placeholder}" if argument.value_name else text, style="cyan")


def _argument_help(argument: ArgSpec) -> Text:
    facts = ["required"] if argument.required else []
    if argument.default_value is not None:
        facts.append(f"default {_said(argument.default_value)!r}")
    if argument.possible_values is not None:
        facts.append(f"one of {_listed(argument.possible_values)}")
    help = _said(argument.help)
    note = f"({'; '.join(facts)})" if facts else ""
    return Text.assemble(help, "  " if help and note else "", (note, "dim"))


def _subcommands(command: CommandSpec, above: str = "") -> Rows:
    for sub in command.subcommands:
        name = f"{above}{_said(sub.name)}"
        yield Text(name, style="cyan"), _said(sub.about)
        for argument in sub.args:
            yield Text("  ").append_text(_argument_name(argument)), _argument_help(argument)
        yield from _subcommands(sub, f"{name} ")


def _capabilities(asked: Capabilities) -> Rows:
    lines = describe_capabilities(asked)
    for line in lines[:_LONGEST_LIST]:
        yield _said(line), ""
    yield from _more(len(lines))


def _exports(module: ParsedModule) -> Rows:
    known = {MEMORY, *FUNCTIONS}
    for export in module.exports[:_LONGEST_LIST]:
        style = "cyan" if export.name in known else "dim"
        yield Text(_said(export.name), style=style), _type(export_type(module, export))
    yield from _more(len(module.exports))


def _imports(module: ParsedModule) -> Rows:
    for item in module.imports[:_LONGEST_LIST]:
        wasi = item.module == WASI
        name = f"{'WASI' if wasi else _said(item.module)}.{_said(item.name)}"
        yield Text(name, style="cyan"), _type(item.type)
    yield from _more(len(module.imports))


def _binary(module: ParsedModule) -> Rows:
    yield "functions", f"{len(module.function_bodies):,}"
    if not any(export.kind == "memory" for export in module.exports):
        for memory in module.memories:
            yield "memory", _type(memory)
    used, problem = features(module)
    if used is None:
        yield "features", f"not known: {_said(problem or '')}"
    else:
        yield "features", ", ".join(used) or "WebAssembly 1.0, nothing later"
    if module.start is not None:
        yield "start function", f"function {module.start}"
    if module.custom_sections:
        sections = (
            f"{_said(item.name)} ({size(len(item.content))})"
            for item in module.custom_sections[:_LONGEST_LIST]
        )
        yield "custom sections", ", ".join(sections)


def _type(type: ExternType | None) -> str:
    if type is None:
        return "does not exist"
    if isinstance(type, FuncType):
        return str(type)
    if isinstance(type, MemoryType):
        first, most = type.limits
        limit = "no maximum of its own" if most is None else f"at most {size(most * PAGE_BYTES)}"
        return f"memory of {size(first * PAGE_BYTES)}, {limit}"
    return str(type)


def _more(count: int) -> Rows:
    if count > _LONGEST_LIST:
        yield "...", f"and {count - _LONGEST_LIST:,} more; --json lists them all"


def _section(title: str, rows: Rows, *, empty: str | None = None) -> Iterator[RenderableType]:
    table = Table.grid(padding=(0, 3, 0, 0))
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, value)
    if table.row_count:
        yield Text(f"\n{title}", style="bold")
        yield Padding(table, (0, 0, 0, 2))
    elif empty is not None:
        yield Text.assemble("\n", (title, "bold"), f"  {empty}")


def _listed(words: tuple[str, ...]) -> str:
    shown = ", ".join(_said(word) for word in words[:_LONGEST_LIST])
    return f"{shown}, ..." if len(words) > _LONGEST_LIST else shown


def _said(text: str) -> str:
    """A text of the plugin: harmless, on one line, not endless."""
    text = text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}..."
    return one_line(text)
