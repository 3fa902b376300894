"""The settings: their keys, variables, options, and what a value may be."""

from __future__ import annotations

import os

from sen_host.cache.settings import check_setting as check_cache_setting
from sen_host.errors import ConfigError, InvalidLimit
from sen_host.limits import check_limit
from sen_host.records import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Literal

    Kind = Literal["name", "choice", "names", "count", "bytes", "seconds", "switch", "path"]

NONE = "none"
"""The word that switches off a limit: TOML, variables and options have no null.

In variables and options it also stands for no names.
"""

AUTO = "auto"

ISOLATIONS = ("auto", "none", "process")

USER_FILE_VARIABLE = "SEN_HOST_CONFIG"
"""Names the user's configuration file, or holds "none" for no such file."""

PLUGIN_PATH_VARIABLE = "SEN_HOST_PLUGIN_PATH"
"""Names directories in which the command line looks for plugins."""

COMPLETION_VARIABLE = "_SEN_HOST_COMPLETE"

_OPTIONAL = frozenset(
    {
        "limits.fuel",
        "limits.memory_bytes",
        "limits.table_elements",
        "limits.wall_clock_seconds",
    }
)

_UNITS = {"b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}
_SHOWN = 60
_SWITCH = {"true": True, "1": True, "false": False, "0": False}


@record(frozen=True, slots=True)
class Setting:
    """One setting.

    Attributes:
        key: its path in a file, e.g. ``limits.fuel``.
        kind: what its value is.
        option: its option on the command line, e.g. ``--fuel``.
    """

    key: str
    kind: Kind
    option: str

    @property
    def variable(self) -> str:
        """Its environment variable, e.g. ``SEN_HOST_LIMITS_FUEL``."""
        return "SEN_HOST_" + self.key.upper().replace(".", "_")

    @property
    def limit(self) -> str | None:
        """Its name in ``Limits``, e.g. ``fuel``; None if it is no limit."""
        table, _, name = self.key.rpartition(".")
        return name if table == "limits" else None

    @property
    def cache(self) -> str | None:
        """Its name in ``CacheSettings``, e.g. ``max_bytes``; None if it is another one."""
        table, _, name = self.key.rpartition(".")
        return name if table == "cache" else None

    @property
    def optional(self) -> bool:
        """Whether it can be switched off with "none"."""
        return self.key in _OPTIONAL


SETTINGS: dict[str, Setting] = {
    setting.key: setting
    for setting in (
        Setting("backend", "name", "--backend"),
        Setting("binding", "name", "--binding"),
        Setting("isolation", "choice", "--isolation"),
        Setting("accept", "names", "--accept"),
        Setting("limits.fuel", "count", "--fuel"),
        Setting("limits.memory_bytes", "bytes", "--memory"),
        Setting("limits.table_elements", "count", "--tables"),
        Setting("limits.stack_bytes", "bytes", "--stack"),
        Setting("limits.result_bytes", "bytes", "--result-size"),
        Setting("limits.wall_clock_seconds", "seconds", "--timeout"),
        Setting("limits.module_bytes", "bytes", "--module-size"),
        Setting("cache.enabled", "switch", "--no-cache"),
        Setting("cache.directory", "path", "--cache-dir"),
        Setting("cache.max_bytes", "bytes", "--cache-size"),
    )
}


def from_toml(setting: Setting, value: Any, source: str) -> Any:
    """Check a value of a file and turn it into what ``Config`` holds.

    Raises:
        ConfigError: the value is of the wrong type, or none of the choices.
        InvalidLimit: the same for a limit, or it is out of range.
    """
    if setting.kind == "names":
        return _names(setting, value, source)
    if setting.cache is not None:
        return _of_cache(setting, setting.cache, value, source)
    if setting.limit is None:
        return _word(setting, value, source)
    if isinstance(value, str):
        if value == NONE and setting.optional:
            value = None
        elif setting.kind == "bytes":
            value = _size(setting, value, source)
        else:
            raise _wrong(setting, value, source)
    elif not _is_number(value, fraction=setting.kind == "seconds"):
        raise _wrong(setting, value, source)
    check_limit(setting.limit, value, source=source, none=f'"{NONE}"')
    return value


def from_text(setting: Setting, text: str, source: str) -> Any:
    """Like ``from_toml``, for the text of a variable or an option."""
    import re

    value: Any = text.strip()
    if setting.kind == "count" and re.fullmatch(r"[+-]?\d[\d_]*", value):
        value = _whole(setting, value, source)
    elif setting.kind == "names":
        names = [] if value == NONE else value.split(",")
        value = [name.strip() for name in names]
    elif setting.kind == "switch":
        value = _SWITCH.get(value.lower(), value)
    elif setting.kind == "seconds":
        try:
            value = float(value)
        except ValueError:
            pass  # from_toml refuses the text, unless it is "none"
        else:
            value = int(value) if value.is_integer() else value
    return from_toml(setting, value, source)


def by_option(name: str) -> Setting | None:
    """The setting whose option has that name, in any spelling: ``timeout``, ``RESULT_SIZE``.

    People who know the options write their names elsewhere, too.
    """
    option = "--" + name.lower().replace("_", "-")
    return next((setting for setting in SETTINGS.values() if setting.option == option), None)


def nearest(word: str, allowed: Iterable[str], meant: str | None = None) -> str:
    """A hint that gives the allowed words, the one that was perhaps meant first.

    ``meant`` is that word, where it is known; otherwise it is the most similar one.
    """
    words = tuple(allowed)
    if meant not in words:
        import difflib

        meant = next(iter(difflib.get_close_matches(word, words, n=1, cutoff=0.6)), None)
    question = "" if meant is None else f"did you mean {meant!r}? "
    return f"{question}allowed: {', '.join(words)}"


def shown(value: Any) -> str:
    """A value for an error message: quoted, on one line, never long."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and abs(value) >= 10**_SHOWN:
        return "a number of more than 60 digits"
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _word(setting: Setting, value: Any, source: str) -> Any:
    if not isinstance(value, str) or not value:
        raise _wrong(setting, value, source)
    if setting.kind == "choice" and value not in ISOLATIONS:
        raise ConfigError(
            f"{setting.key} is {shown(value)}, which is not one of its values",
            source=source,
            key=setting.key,
            hint=nearest(value, ISOLATIONS),
        )
    if setting.key == "binding" and value == AUTO:
        return None
    return value


def _of_cache(setting: Setting, name: str, value: Any, source: str) -> Any:
    if setting.kind == "switch":
        suits = isinstance(value, bool)
    elif setting.kind == "path":
        suits = isinstance(value, str)
        if suits:
            value = None if value == AUTO else os.path.expanduser(value)
    else:
        if isinstance(value, str):
            value = _size(setting, value, source)
        suits = _is_number(value, fraction=False)
    if not suits:
        raise _wrong(setting, value, source)
    check_cache_setting(name, value, source=source)
    return value


def _names(setting: Setting, value: Any, source: str) -> frozenset[str]:
    if not isinstance(value, (list, tuple, set, frozenset)):
        raise _wrong(setting, value, source)
    for name in value:
        if not isinstance(name, str):
            raise _wrong(setting, value, source)
        known = _features()
        if name not in known:
            raise ConfigError(
                f"{setting.key} has {shown(name)}, which is no exception of the profile",
                source=source,
                key=setting.key,
                hint=nearest(name, known),
            )
    return frozenset(value)


def _features() -> tuple[str, ...]:
    """The names that ``accept`` may hold. Few ask for any of them."""
    from sen_host.wasm.exceptions import FEATURES

    return tuple(FEATURES)


def _size(setting: Setting, text: str, source: str) -> int:
    import re

    match = re.fullmatch(r"(\d[\d_]*) ?(B|KiB|MiB|GiB)?", text.strip(), re.IGNORECASE)
    if match is None:
        raise _wrong(setting, text, source)
    digits, unit = match.groups()
    return _whole(setting, digits, source) * _UNITS[(unit or "B").lower()]


def _whole(setting: Setting, digits: str, source: str) -> int:
    # Python refuses to convert very long numbers, and none is in range.
    if len(digits) > _SHOWN:
        raise _wrong(setting, digits, source)
    return int(digits.replace("_", ""))


def _is_number(value: Any, *, fraction: bool) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, float):
        return fraction
    return isinstance(value, int) and abs(value) < 10**_SHOWN


_WANTED: dict[Kind, str] = {
    "name": "a name",
    "choice": "a name",
    "names": 'a list of names, e.g. ["simd"]',
    "count": "a whole number",
    "bytes": 'a number of bytes or a size such as "64 MiB" (units: B, KiB, MiB, GiB)',
    "seconds": "a number of seconds",
    "switch": "true or false",
    "path": f'an absolute path, or "{AUTO}"',
}


def _wrong(setting: Setting, value: Any, source: str) -> ConfigError:
    wanted = _WANTED[setting.kind]
    if setting.optional:
        wanted += f', or "{NONE}" for no limit'
    message = f"{setting.key} is {shown(value)}; it must be {wanted}"
    if setting.limit is not None:
        return InvalidLimit(message, source=source, key=setting.limit)
    hint = None
    if setting.kind in ("choice", "names"):
        allowed = ISOLATIONS if setting.kind == "choice" else _features()
        hint = f"allowed: {', '.join(allowed)}"
    return ConfigError(message, source=source, key=setting.key, hint=hint)
