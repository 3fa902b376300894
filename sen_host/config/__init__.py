"""Configuration: where each setting comes from, and which source wins.

Later beats earlier:

1. the nearest ``sen-host.toml``, in the directory or in one above it
2. ``[tool.sen-host]`` in the nearest ``pyproject.toml``
3. ``sen-host/config.toml`` in the user's configuration directory
4. environment variables, ``SEN_HOST_...``
5. options of the command line
6. keyword arguments

The user's file beats those of a project, because a project is often somebody
else's: cloning one must not loosen the limits that users set for themselves.
"""

from sen_host.config.config import Config, Layer, Origin
from sen_host.config.files import PROJECT_FILES, ConfigFile
from sen_host.config.settings import (
    COMPLETION_VARIABLE,
    SETTINGS,
    USER_FILE_VARIABLE,
    Setting,
    nearest,
)

__all__ = [
    "COMPLETION_VARIABLE",
    "PROJECT_FILES",
    "SETTINGS",
    "USER_FILE_VARIABLE",
    "Config",
    "ConfigFile",
    "Layer",
    "Origin",
    "Setting",
    "nearest",
]
