"""From an error to what the user reads, and to the exit code."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum
from typing import Any

from sen_host import errors

FOUND = 1
"""``compare`` found a difference, or ``check`` an error."""

INTERNAL = 119
DENIED = 120
USAGE = 121
ENVIRONMENT = 122
NOT_LOADABLE = 123
OVER_LIMIT = 124
BROKE_OFF = 125
INTERRUPTED = 130
BROKEN_PIPE = 141

EXIT_CODES = {
    INTERNAL: "a fault of sen-host itself",
    DENIED: "the plugin asks for more than it is granted",
    USAGE: "the command line or the configuration is wrong",
    ENVIRONMENT: "no usable engine, or the engine or a worker failed",
    NOT_LOADABLE: "the file is missing, is not a plugin, or cannot be loaded",
    OVER_LIMIT: "the plugin ran into a limit: fuel, time, memory or size",
    BROKE_OFF: "the plugin trapped or broke the plugin interface",
    INTERRUPTED: "interrupted with Ctrl-C",
    BROKEN_PIPE: "the reader of the output went away",
}
"""The exit codes for what is not the plugin's own answer."""

_BY_CLASS: tuple[tuple[type[BaseException], int], ...] = (
    (errors.PluginFileError, NOT_LOADABLE),
    (errors.EnvironmentFault, ENVIRONMENT),
    (errors.PermissionDenied, DENIED),
    (errors.CallerFault, USAGE),
    (errors.FuelExhausted, OVER_LIMIT),
    (errors.WallClockExceeded, OVER_LIMIT),
    (errors.ResultTooLarge, OVER_LIMIT),
    (errors.MemoryLimitExceeded, OVER_LIMIT),
    (errors.EffectLimitExceeded, OVER_LIMIT),
    (errors.ModuleCompilation, NOT_LOADABLE),
    (errors.Instantiation, NOT_LOADABLE),
    (errors.FunctionNotFound, NOT_LOADABLE),
    (errors.ApiVersionMismatch, NOT_LOADABLE),
    (errors.PluginFault, BROKE_OFF),
    (OSError, ENVIRONMENT),
)


def exit_code(error: BaseException) -> int:
    """The exit code for an error."""
    for kind, code in _BY_CLASS:
        if isinstance(error, kind):
            return code
    return INTERNAL


def describe(error: Exception) -> tuple[str, str | None]:
    """What happened, and the remedy if there is one, in words for the command line."""
    if isinstance(error, errors.SenHostError):
        text = error.message if error.detail is None else f"{error.message}: {error.detail}"
        return text, None if error.hint is None else with_options(error.hint)
    if isinstance(error, OSError):
        return f"the system refused: {error}", None
    return (
        f"sen-host itself failed: {type(error).__name__}: {error}",
        "this is a bug; --traceback shows where it is",
    )


def as_json(error: Exception) -> dict[str, Any]:
    """The error as a JSON object: kind, message, detail, hint, plugin, and its own fields."""
    kind = type(error).__name__
    if not isinstance(error, errors.SenHostError):
        message, hint = describe(error)
        return {"kind": kind, "message": message, "detail": None, "hint": hint, "plugin": None}
    fields = {
        name: _plain(value)
        for name, value in vars(error).items()
        if not name.startswith("_") and name not in ("message", "detail", "hint", "plugin")
    }
    plugin = error.path if isinstance(error, errors.PluginFileError) else error.plugin
    return {
        "kind": kind,
        "message": error.message,
        "detail": error.detail,
        "hint": error.hint,
        "plugin": plugin,
        **fields,
    }


def with_options(hint: str) -> str:
    """A remedy that names settings, with the options that set them."""

    def with_option(match: re.Match[str]) -> str:
        from sen_host.config import SETTINGS

        setting = SETTINGS.get(match.group())
        return match.group() if setting is None else f"{match.group()} ({setting.option})"

    return re.sub(r"(limits|cache)\.\w+", with_option, hint)


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, Iterable):
        return [_plain(item) for item in value]
    return str(value)
