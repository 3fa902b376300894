"""Options of pytest for ``pytest --pyargs sen_host_conformance``. Costs nothing elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("sen-host", "conformance of backends of sen-host")
    group.addoption(
        "--sen-backend",
        action="append",
        default=[],
        metavar="NAME",
        help="a backend to test, one binding of it, or its class as MODULE:CLASS"
        " (all that are available)",
    )
    group.addoption(
        "--sen-area", action="append", default=[], metavar="AREA", help="only cases of this area"
    )
    group.addoption(
        "--sen-cases",
        action="append",
        default=[],
        type=Path,
        metavar="DIR",
        help="a folder with more cases, as AREA/*.toml",
    )
    group.addoption(
        "--sen-workers",
        action="store_true",
        help="test each backend in a worker process as well",
    )
