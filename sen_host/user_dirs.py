"""The user's directories, by the rules of each system."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

_LINUX = {"config": "~/.config", "cache": "~/.cache"}
_MACOS = {"config": "~/Library/Application Support", "cache": "~/Library/Caches"}


def user_directory(kind: Literal["config", "cache"]) -> str | None:
    """Where our files of that kind are, e.g. ``~/.cache/sen-host``; None without a home.

    A relative path in ``XDG_CONFIG_HOME`` or ``XDG_CACHE_HOME`` is passed over, as the
    XDG base directory specification asks for.
    """
    base = os.environ.get(f"XDG_{kind.upper()}_HOME", "")
    if not os.path.isabs(base):
        base = os.path.expanduser((_MACOS if sys.platform == "darwin" else _LINUX)[kind])
    return os.path.join(base, "sen-host") if os.path.isabs(base) else None


def data_directories() -> list[str]:
    """Where programs find their data: the user's directory, then the system's.

    They are ``XDG_DATA_HOME`` and those in ``XDG_DATA_DIRS``, or what the system has in
    their place. Relative paths are passed over.
    """
    macos = sys.platform == "darwin"
    home = os.environ.get("XDG_DATA_HOME", "")
    if not os.path.isabs(home):
        home = os.path.expanduser("~/Library/Application Support" if macos else "~/.local/share")
    system = os.environ.get("XDG_DATA_DIRS", "") or (
        "/Library/Application Support" if macos else "/usr/local/share:/usr/share"
    )
    return [path for path in (home, *system.split(os.pathsep)) if os.path.isabs(path)]
