"""What can be set about the cache, and where it is if nothing is."""

from __future__ import annotations

import os

from sen_host.errors import ConfigError
from sen_host.limits import MIB
from sen_host.records import record
from sen_host.user_dirs import user_directory

_MAX_BYTES = MIB, 2**63 - 1


@record(frozen=True, slots=True, kw_only=True)
class CacheSettings:
    """Whether compiled modules are kept, where, and how many.

    Attributes:
        enabled: whether they are kept at all.
        directory: an absolute path; None for ``default_directory()``.
        max_bytes: what all files together may have, 1 MiB to 2**63 - 1. Above it the
            least recently used are removed.

    Raises:
        ConfigError: a value is of the wrong type or out of its range.
    """

    enabled: bool = True
    directory: str | None = None
    max_bytes: int = 512 * MIB

    def __post_init__(self) -> None:
        for name in ("enabled", "directory", "max_bytes"):
            check_setting(name, getattr(self, name))


def check_setting(name: str, value: object, *, source: str | None = None) -> None:
    """Raise ConfigError unless ``value`` is a legal value of the setting ``name``."""
    if name == "enabled":
        if isinstance(value, bool):
            return
        wanted = "true or false"
    elif name == "directory":
        if value is None:
            return
        if isinstance(value, str) and os.path.isabs(value) and _can_be_a_path(value):
            return
        wanted = "an absolute path"
    else:
        low, high = _MAX_BYTES
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return
        wanted = f"a whole number from {low:,} to {high:,}"
    raise ConfigError(
        f"cache.{name} is {value!r}; it must be {wanted}", source=source, key=f"cache.{name}"
    )


def _can_be_a_path(text: str) -> bool:
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


def default_directory() -> str | None:
    """``sen-host`` in the user's directory for caches; None if there is no home directory."""
    return user_directory("cache")
