"""The report of ``sen-host compare`` for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sen_host.cli.output import one_line, size
from sen_host.comparison import UNKNOWN, Failure, label
from sen_host.limits import FUEL_SCHEDULE
from sen_host.messages import (
    Error,
    HttpGet,
    HttpPost,
    PluginManifest,
    Sleep,
    Success,
)

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sen_host.comparison import Case, Comparison, Difference, Side, Step

_LONGEST_TEXT = 200
_LONGEST_WORD = 40
_BEFORE = 20
_MOST_STEPS = 20
_MOST_DIFFERENCES = 20

Known = Sequence[tuple["Side", "Step"]]


def report(path: str, found: Comparison) -> Iterator[RenderableType]:
    """The parts of the report, in order."""
    yield Text.assemble(
        (one_line(path), "bold"), f"  on {len(found.sides)} backends, fuel schedule {FUEL_SCHEDULE}"
    )
    yield _table(_engines(found))
    yield from _title("Load")
    yield _steps([[(side, side.load) for side in found.sides]])
    for case in found.cases if found.loaded else ():
        yield from _title(arguments(case.args))
        yield _steps(_by_step(found, case))
        longest = max(len(run or ()) for run in case.runs)
        if longest > _MOST_STEPS:
            yield Text(f"  ... and {longest - _MOST_STEPS:,} more calls; --json lists them all")
    yield from _verdict(found)


def arguments(args: Sequence[str]) -> str:
    """A set of arguments on one line, not endless."""
    if not args:
        return "No arguments"
    words = [_word(word) for word in args[:10]]
    more = f" ... and {len(args) - 10:,} more" if len(args) > 10 else ""
    return " ".join(words) + more


def _word(word: str) -> str:
    if len(word) > _LONGEST_WORD:
        return f"{one_line(repr(word[:_LONGEST_WORD]))}... ({len(word):,} characters)"
    return one_line(repr(word))


def _engines(found: Comparison) -> Iterator[tuple[RenderableType, ...]]:
    for side in found.sides:
        place = "a worker process" if side.binding.isolation == "process" else "this process"
        yield _named(side), one_line(side.binding.engine), f"in {place}"


def _by_step(found: Comparison, case: Case) -> list[Known]:
    longest = max(len(run or ()) for run in case.runs)
    return [
        [
            (side, run[number])
            for side, run in zip(found.sides, case.runs, strict=True)
            if run is not None and number < len(run)
        ]
        for number in range(min(longest, _MOST_STEPS))
    ]


def _steps(steps: Sequence[Known]) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("backend", overflow="fold")
    table.add_column("result", overflow="fold")
    for name in ("fuel used", "fuel left", "memory", "time"):
        table.add_column(name, justify="right", overflow="fold")
    for number, sides in enumerate(steps):
        if number:
            table.add_row()
        for side, step in sides:
            lost = isinstance(step.outcome, Failure)
            table.add_row(
                _named(side),
                _result(step.outcome),
                _figure(step.fuel_used, lost=lost),
                _figure(step.fuel_left, lost=lost),
                "-" if step.memory_bytes is None else size(step.memory_bytes),
                _time(step.seconds),
            )
    return Padding(table, (0, 0, 0, 2))


def _figure(value: int | None, *, lost: bool) -> str:
    if value is None:
        return UNKNOWN if lost else "no limit"
    return f"{value:,}"


def _time(seconds: float) -> str:
    return f"{seconds:,.2f} s" if seconds >= 1 else f"{seconds * 1e3:,.2f} ms"


def _result(outcome: Any) -> Text:
    if isinstance(outcome, Failure):
        return Text(f"{outcome.kind}: {_cut(outcome.message)}", style="red")
    return Text(_cut(_told(outcome)))


def _told(outcome: Any) -> str:
    match outcome:
        case PluginManifest(command=command):
            return f"{command.name} {command.version or ''}".rstrip()
        case Success(text=text):
            return text
        case Error(code=code, message=message):
            return f"error {code}: {message}"
        case Sleep(duration_ms=milliseconds):
            return f"asks to sleep {milliseconds:,} ms"
        case HttpGet(url=url):
            return f"asks for HTTP GET {url}"
        case HttpPost(url=url):
            return f"asks for HTTP POST {url}"
        case _:
            return str(outcome)


def _cut(text: str) -> str:
    text = text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}..."
    return one_line(text)


def _verdict(found: Comparison) -> Iterator[RenderableType]:
    if not found.differs:
        yield Text()
        if not found.loaded:
            yield Text("No backend loads the plugin; all say the same.", style="bold red")
            return
        count = len(found.cases)
        told = f"No difference in {count:,} set{'' if count == 1 else 's'} of arguments."
        yield Text(told, style="bold green")
        return
    yield Text("\nDifferences", style="bold red")
    yield from _listed("load", found.load_differences, found.sides)
    for case in found.cases:
        where = arguments(case.args)
        ran = [side for side, run in zip(found.sides, case.runs, strict=True) if run is not None]
        yield from _listed(where, case.differences, ran)
        for number, difference in case.unsteady[:_MOST_DIFFERENCES]:
            yield _heading(f"{where}, from run to run", difference)
            side = found.sides[number]
            yield _table((_named(side), text) for text in _apart(difference.seen))


def _listed(
    where: str, found: Sequence[Difference], sides: Sequence[Side]
) -> Iterator[RenderableType]:
    for difference in found[:_MOST_DIFFERENCES]:
        yield _heading(where, difference)
        seen = zip(sides, _apart(difference.seen), strict=True)
        yield _table((_named(side), text) for side, text in seen)
    if len(found) > _MOST_DIFFERENCES:
        more = len(found) - _MOST_DIFFERENCES
        yield Text(f"  {where}: ... and {more:,} more; --json lists them all")


def _heading(where: str, difference: Difference) -> Text:
    step = f" (call {difference.step + 1})" if difference.step else ""
    return Text.assemble(f"  {where}: ", (difference.field, "bold"), f" of {difference.call}{step}")


def _apart(seen: Sequence[Any]) -> list[str]:
    """What differs as texts; of long ones the part where they do."""
    texts = [_value(value) for value in seen]
    if max(map(len, texts)) <= _LONGEST_TEXT:
        return [one_line(text) for text in texts]
    shortest = min(map(len, texts))
    at = next(
        (i for i in range(shortest) if len({text[i] for text in texts}) > 1),
        shortest,
    )
    start = max(0, at - _BEFORE)
    return [
        one_line(f"from character {start + 1:,} on: {text[start : start + _LONGEST_TEXT]!r}")
        for text in texts
    ]


def _value(value: Any) -> str:
    if isinstance(value, Failure):
        return f"{value.kind}: {value.message}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, str):
        return str(value)
    return "none" if value is None else repr(value)


def _named(side: Side) -> Text:
    return Text(one_line(label(side.backend, side.binding)), style="cyan")


def _title(text: str) -> Iterator[RenderableType]:
    yield Text(f"\n{text}", style="bold")


def _table(rows: Iterator[tuple[RenderableType, ...]]) -> RenderableType:
    table = Table.grid(padding=(0, 3, 0, 0))
    for row in rows:
        while len(table.columns) < len(row):
            table.add_column(overflow="fold")
        table.add_row(*row)
    return Padding(table, (0, 0, 0, 4))
