"""The user's directories, as ``platformdirs`` has them."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

_APP = "sen-host"


def user_directory(kind: Literal["config", "cache"]) -> str:
    """Where this user's configuration or cache is kept, e.g. ``~/.config/sen-host``.

    Raises:
        RuntimeError: the home directory is not known.
    """
    # platformdirs is dear to import, and on Linux the rule is short where all is as usual.
    if sys.platform == "linux" and "ANDROID_DATA" not in os.environ:
        base = os.environ.get(f"XDG_{kind.upper()}_HOME", "")
        if not base and os.path.isabs(os.environ.get("HOME", "")):
            base = os.path.expanduser(f"~/.{kind}")
        if os.path.isabs(base):
            return os.path.join(base, _APP)
    import platformdirs

    find = platformdirs.user_config_dir if kind == "config" else platformdirs.user_cache_dir
    return find(_APP, appauthor=False)
