"""``sen-host conformance``: run the suite, and show what came of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from sen_host.cli import failure
from sen_host.cli.options import Call, backends_option, call_options
from sen_host.cli.output import note, write_json, write_report
from sen_host.errors import ConfigError

if TYPE_CHECKING:
    from sen_host_conformance.case import Case
    from sen_host_conformance.hosts import Host
    from sen_host_conformance.player import Played
    from sen_host_conformance.report import Report
    from sen_host_conformance.runner import Progress

_SECONDS = 60.0


@click.command(short_help="Prove that backends behave the same.")
@backends_option()
@click.option("--area", "areas", multiple=True, metavar="AREA", help="The cases of this area.")
@click.option(
    "--case", "names", multiple=True, metavar="CASE", help="This case, besides those of --area."
)
@click.option(
    "--cases",
    "folders",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="A folder with more cases, as AREA/*.toml.",
)
@click.option("--workers", is_flag=True, help="Run each backend in a worker process as well.")
@click.option("--list", "list_only", is_flag=True, help="List the cases and run none.")
@click.option("--junit", type=click.Path(path_type=Path), metavar="FILE", help="Write JUnit's XML.")
@click.option(
    "--html", type=click.Path(path_type=Path), metavar="FILE", help="Write a page to look at."
)
@click.option(
    "--jobs", type=click.IntRange(1), help="Processes.  [default: one for each processor]"
)
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    default=_SECONDS,
    show_default=True,
    help="A case that takes longer has failed.",
)
@click.option(
    "--fuzz",
    "modules",
    type=click.IntRange(1),
    metavar="N",
    help="Run N modules made at random, instead of the cases.",
)
@click.option("--seed", type=int, default=0, help="Another seed, other modules.  [default: 0]")
@click.option(
    "--first",
    type=click.IntRange(0),
    default=0,
    metavar="K",
    help="Begin with module K of the seed: go on where a run ended.",
)
@call_options(settings=False)
def command(
    call: Call,
    backends: tuple[str, ...],
    areas: tuple[str, ...],
    names: tuple[str, ...],
    folders: tuple[Path, ...],
    workers: bool,
    list_only: bool,
    junit: Path | None,
    html: Path | None,
    jobs: int | None,
    seconds: float,
    modules: int | None,
    seed: int,
    first: int,
) -> int:
    """Run the conformance suite on every backend, and compare them with each other.

    A backend is named as `sen-host backends` lists it, as one binding of it
    (wasmtime-c-api), or by its class if it is not installed (MODULE:CLASS).

    The exit code is 0 if all cases passed, or failed as their backend declares, and 1
    if not.
    """
    _check_together(modules is not None)
    if modules is not None:
        return _fuzz(call, modules, seed, first, backends, jobs)
    from sen_host_conformance.hosts import find_hosts
    from sen_host_conformance.reader import CaseError
    from sen_host_conformance.runner import run
    from sen_host_conformance.selection import select

    try:
        cases = select(folders, areas, names)
    except CaseError as error:
        raise ConfigError(str(error), key="cases") from error
    if list_only:
        _list(call, cases)
        return 0
    hosts = find_hosts(backends, workers=workers)
    for path in (junit, html):
        if path is not None:
            _check_writable(path)
    with _progress(cases, hosts) as progress:
        report = run(cases, hosts, jobs=jobs, seconds=seconds, progress=progress)
    if call.json:
        from sen_host_conformance.output_json import as_json

        write_json(as_json(report))
    else:
        from sen_host_conformance.output_text import as_text

        write_report(*as_text(report))
    _write(report, junit, html)
    return 0 if report.passed else failure.FOUND


def _fuzz(
    call: Call, modules: int, seed: int, first: int, backends: tuple[str, ...], jobs: int | None
) -> int:
    from sen_host_conformance.fuzz.command import fuzz

    summary = fuzz(
        modules, seed=seed, first=first, backends=backends, jobs=jobs or os.cpu_count() or 1
    )
    if call.json:
        write_json(summary.as_json())
    else:
        click.echo(str(summary))
    return failure.FOUND if summary.failures else 0


def _list(call: Call, cases: tuple[Case, ...]) -> None:
    if call.json:
        write_json([{"id": case.id, "shows": case.shows, "rule": case.rule} for case in cases])
        return
    from rich.table import Table

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for case in cases:
        table.add_row(case.id, case.shows)
    write_report(table)


_OF_FUZZING = ("seed", "first")
_OF_CASES = ("areas", "names", "folders", "workers", "list_only", "junit", "html", "seconds")


def _check_together(fuzzes: bool) -> None:
    """Refuse options that would do nothing."""
    context = click.get_current_context()
    for name in _OF_CASES if fuzzes else _OF_FUZZING:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            (option,) = (item.opts[0] for item in context.command.params if item.name == name)
            told = "cannot be used with --fuzz" if fuzzes else "needs --fuzz"
            raise click.UsageError(f"{option} {told}", context)


def _check_writable(path: Path) -> None:
    """Raise before the run rather than after it."""
    if not path.parent.is_dir():
        raise ConfigError(f"{path.parent} is not a folder, so {path.name} cannot be written there")
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; name a file in it")


def _write(report: Report, junit: Path | None, html: Path | None) -> None:
    if junit is not None:
        from sen_host_conformance.output_junit import as_junit

        junit.write_text(as_junit(report), encoding="utf-8")
        note(f"wrote {junit}")
    if html is not None:
        from sen_host_conformance.output_html import as_html

        html.write_text(as_html(report), encoding="utf-8")
        note(f"wrote {html}")


@contextmanager
def _progress(cases: tuple[Case, ...], hosts: tuple[Host, ...]) -> Iterator[Progress | None]:
    """A bar on stderr, if that is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from sen_host_conformance.player import FAILED

    failed = 0
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task("conformance", total=len(cases) * len(hosts), note="")

        def advance(case: Case, host: Host, played: Played) -> None:
            nonlocal failed
            failed += played.verdict == FAILED
            told = f"{failed} failed, " if failed else ""
            bar.update(task, advance=1, note=f"{told}{case.id} on {host}")

        yield advance
