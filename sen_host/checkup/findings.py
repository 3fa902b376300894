"""What a check finds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum


class Level(str, Enum):
    """How bad it is."""

    ERROR = "error"
    """Users will run into it, or the plugin does not load."""

    WARNING = "warning"
    """It works, but likely not as meant, or not for long."""

    NOTE = "note"
    """Worth to know."""

    def __str__(self) -> str:
        return self.value


class Area(str, Enum):
    """What a finding is about, in the order of reports."""

    BINARY = "binary"
    IMPORTS = "imports"
    EXPORTS = "exports"
    PROFILE = "profile"
    LIMITS = "limits"
    LOAD = "load"
    MANIFEST = "manifest"
    BEHAVIOUR = "behaviour"
    BACKENDS = "backends"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Finding:
    """Something that the author of a plugin should know.

    Attributes:
        what: what is the matter, in a sentence without a full stop.
        where: every place where it was found; empty for the plugin as a whole.
        remedy: what to do about it; None if we do not know.
    """

    level: Level
    area: Area
    what: str
    where: tuple[str, ...] = ()
    remedy: str | None = None


def merged(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings, the worst first; one that was made in several places stands once."""
    by_kind: dict[Finding, dict[str, None]] = {}
    for finding in findings:
        places = by_kind.setdefault(replace(finding, where=()), {})
        places.update(dict.fromkeys(finding.where))
    levels, areas = list(Level), list(Area)
    return tuple(
        sorted(
            (replace(finding, where=tuple(places)) for finding, places in by_kind.items()),
            key=lambda finding: (levels.index(finding.level), areas.index(finding.area)),
        )
    )
