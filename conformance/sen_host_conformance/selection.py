"""Which of the cases to run."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches
from pathlib import Path

from sen_host.errors import ConfigError
from sen_host_conformance.case import Case
from sen_host_conformance.reader import CaseError, read_cases


def select(
    folders: Collection[Path] = (), areas: Collection[str] = (), names: Collection[str] = ()
) -> tuple[Case, ...]:
    """The cases of the suite and of further folders, or those of them that are named.

    Args:
        areas: all cases of these.
        names: ``AREA/NAME``, or a name alone.

    Raises:
        CaseError: a case file is wrong, or a case is there twice.
        ConfigError: there is no such area or case.
    """
    cases = [*read_cases()]
    for folder in folders:
        cases += read_cases(folder)
    by_id: dict[str, Case] = {}
    for case in cases:
        if case.id in by_id:
            raise CaseError(f"the case {case.id!r} is in {by_id[case.id].source} and {case.source}")
        by_id[case.id] = case
    for area in areas:
        _check("area", area, {case.area for case in cases})
    for name in names:
        _check("case", name, {*by_id, *(case.name for case in cases)})
    if not areas and not names:
        return tuple(cases)
    return tuple(
        case for case in cases if case.area in areas or case.id in names or case.name in names
    )


def _check(kind: str, name: str, known: Iterable[str]) -> None:
    listed = sorted(known)
    if name not in listed:
        close = get_close_matches(name, listed, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"`--list` shows all {kind}s"
        raise ConfigError(f"there is no {kind} {name!r}", hint=hint, key=kind)
