"""docs/support.md is made from runs: it must be of these cases and of these declarations."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from sen_host_conformance import read_cases
from sen_host_conformance.hosts import Host
from tests.conftest import HOSTS

PAGE = (Path(__file__).parents[1] / "docs" / "support.md").read_text()
AGAIN = "make it anew, as the head of sen_host_conformance/matrix.py says"


def columns() -> dict[str, dict[str, str]]:
    """The cells below each backend's name, by the name of the row."""
    found: dict[str, dict[str, str]] = {}
    names: list[str] = []
    for line in PAGE.splitlines():
        if not line.startswith("|"):
            continue
        name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        if not name:
            names = cells
        elif not name.startswith("---"):
            for backend, cell in zip(names, cells, strict=True):
                found.setdefault(backend, {})[name] = cell
    return found


def test_it_counts_all_cases() -> None:
    cases = Counter(case.area for case in read_cases())
    for backend, rows in columns().items():
        counted = {
            area: sum(int(number) for number in re.findall(r"\d+", rows.get(area, "")))
            for area in cases
        }
        assert counted == cases, f"{backend}: {AGAIN}"


@pytest.mark.parametrize("host", HOSTS, ids=str)
def test_it_tells_what_backends_declare(host: Host) -> None:
    rows = columns()[str(host)]
    binding = host.describe()
    declared = {f"`{lack.capability}`": lack.why for lack in binding.lacks}
    told = {name: cell for name, cell in rows.items() if name.startswith("`") and cell != "yes"}
    assert told == declared, AGAIN
    assert rows["engine"] == binding.engine, AGAIN
    for lack in binding.lacks:
        assert f"- `{host}` lacks `{lack.capability}` ({lack.why}): {lack.reason}." in PAGE
