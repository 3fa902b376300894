"""Capabilities compared: what is a subset of what, and what is missing from a grant.

One set of capabilities is a subset of another if each of its patterns is covered by one
pattern of the other's same field. Read and write access are different fields: neither
covers the other.
"""

from __future__ import annotations

from sen_host.messages.types import Capabilities, NetPattern, PathPattern, StdioCapability
from sen_host.permissions import environment, network, paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    Pattern = TypeVar("Pattern", PathPattern, NetPattern, str)

_NOTHING = Capabilities()


def is_empty(capabilities: Capabilities) -> bool:
    """Whether nothing is asked for."""
    return capabilities == _NOTHING


def is_subset_of(
    requested: Capabilities, granted: Capabilities, *, directory: str | None = None
) -> bool:
    """Whether everything that is requested is granted.

    Args:
        requested: what a plugin asks for.
        granted: what it may have.
        directory: the working directory, absolute: then symbolic links are looked at too,
            and a path that leads out of the pattern that covers it is not granted. By
            default names decide.
    """
    return is_empty(missing(requested, granted, directory=directory))


def missing(
    requested: Capabilities, granted: Capabilities, *, directory: str | None = None
) -> Capabilities:
    """What is requested and not granted. The arguments are those of ``is_subset_of``."""

    def path_covers(above: PathPattern, below: PathPattern) -> bool:
        if not paths.covers(above, below):
            return False
        return directory is None or paths.stays_within(above, below, directory)

    asked, given = requested.stdio, granted.stdio
    return Capabilities(
        fs_read=_uncovered(requested.fs_read, granted.fs_read, path_covers),
        fs_write=_uncovered(requested.fs_write, granted.fs_write, path_covers),
        env_read=_uncovered(requested.env_read, granted.env_read, environment.covers),
        net=_uncovered(requested.net, granted.net, network.covers),
        stdio=StdioCapability(
            asked.stdin and not given.stdin,
            asked.stdout and not given.stdout,
            asked.stderr and not given.stderr,
        ),
    )


def union(one: Capabilities, other: Capabilities, *, directory: str | None = None) -> Capabilities:
    """What either has; what the first covers already is not repeated."""
    more = missing(other, one, directory=directory)
    return Capabilities(
        fs_read=one.fs_read + more.fs_read,
        fs_write=one.fs_write + more.fs_write,
        env_read=one.env_read + more.env_read,
        net=one.net + more.net,
        stdio=StdioCapability(
            one.stdio.stdin or other.stdio.stdin,
            one.stdio.stdout or other.stdio.stdout,
            one.stdio.stderr or other.stdio.stderr,
        ),
    )


def count(capabilities: Capabilities) -> int:
    """How many patterns and streams there are."""
    stdio = capabilities.stdio
    lists = (capabilities.fs_read, capabilities.fs_write, capabilities.env_read, capabilities.net)
    return sum(map(len, lists)) + stdio.stdin + stdio.stdout + stdio.stderr


def _uncovered(
    asked: tuple[Pattern, ...],
    granted: tuple[Pattern, ...],
    covers: Callable[[Pattern, Pattern], bool],
) -> tuple[Pattern, ...]:
    return tuple(one for one in asked if not any(covers(above, one) for above in granted))
