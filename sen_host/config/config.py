"""The configuration as one frozen object, each value with its origin."""

from __future__ import annotations

import os
from types import MappingProxyType

from sen_host import log
from sen_host.cache.settings import CacheSettings
from sen_host.config.files import ConfigFile, find_files, read_values
from sen_host.config.settings import (
    AUTO,
    PLUGIN_PATH_VARIABLE,
    SETTINGS,
    USER_FILE_VARIABLE,
    by_option,
    from_text,
    from_toml,
    nearest,
    shown,
)
from sen_host.errors import ConfigError, UnknownBackend
from sen_host.limits import LIMITS, Limits
from sen_host.records import defaults, record, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from typing import Any, Literal

    from sen_host.config.files import FileLayer

    Isolation = Literal["auto", "none", "process"]
    Layer = Literal["default", FileLayer, "environment", "command line", "argument"]
    """The sources of values, the weakest first."""

    _Values = dict[str, tuple[Any, "Origin"]]
else:
    Isolation = Layer = str


@record(frozen=True, slots=True)
class Origin:
    """Where a value came from. Its text names the place, e.g. ``sen-host.toml:3``.

    Attributes:
        layer: the source.
        name: the file, variable or option; empty for defaults and arguments.
        line: the line of the file, from 1.
    """

    layer: Layer
    name: str = ""
    line: int | None = None

    def __str__(self) -> str:
        if self.layer == "default":
            return "default"
        if self.layer == "argument":
            return "keyword argument"
        if self.layer == "environment":
            return f"environment variable {self.name}"
        return self.name if self.line is None else f"{self.name}:{self.line}"


_DEFAULT = Origin("default")
_ARGUMENT = Origin("argument")


@record(frozen=True, slots=True, kw_only=True)
class Config:
    """What to run plugins with. Made by ``load`` or ``defaults``, or from values.

    Attributes:
        backend: name of a backend, or "auto" for the first that is available.
        binding: name of a binding of the backend; None for the first that is
            available.
        isolation: "none" for the host's own process, "process" for a worker,
            "auto" for what the binding prefers.
        accept: exceptions of the accepted profile that the backend is known to
            run: names of ``sen_host.wasm.exceptions.FEATURES``.
        limits: the limits of a plugin.
        cache: whether and where compiled modules are kept.
        origins: where each value came from, by key: ``backend``, ``limits.fuel``.
            What has none is an argument if it differs from its default.
        files: the files that were looked at, the weakest first.

    Raises:
        ConfigError: a value is of the wrong type, or none of the choices.
    """

    backend: str = AUTO
    binding: str | None = None
    isolation: Isolation = "auto"
    accept: frozenset[str] = frozenset()
    limits: Limits = Limits()
    cache: CacheSettings = CacheSettings()
    origins: Mapping[str, Origin] = MappingProxyType({})
    files: tuple[ConfigFile, ...] = ()

    def __post_init__(self) -> None:
        for key in ("backend", "binding", "isolation", "accept"):
            value = getattr(self, key)
            if value is not None or key != "binding":
                checked = from_toml(SETTINGS[key], value, str(_ARGUMENT))
                object.__setattr__(self, key, checked)
        _check_type("limits", self.limits, Limits)
        _check_type("cache", self.cache, CacheSettings)
        origins = {key: self.origins.get(key, _DEFAULT) for key in SETTINGS}
        for key, origin in origins.items():
            if origin.layer == "default" and self.value(key) != _default(key):
                origins[key] = _ARGUMENT
        object.__setattr__(self, "origins", origins)

    @classmethod
    def defaults(cls) -> Config:
        """The built-in values alone: no file and no variable is looked at."""
        return cls()

    @classmethod
    def load(
        cls,
        *,
        directory: str | os.PathLike[str] | None = None,
        environ: Mapping[str, str] | None = None,
        flags: Mapping[str, str | None] | None = None,
    ) -> Config:
        """Read all sources, as they stand now.

        Args:
            directory: where the search for a project's files begins; the
                current directory if None.
            environ: the environment variables; ``os.environ`` if None.
            flags: texts of command-line options by key, e.g.
                ``{"limits.fuel": "5000"}``. None means not given.

        Raises:
            ConfigError: a file cannot be read or is malformed; a key, variable
                or value is unknown or of the wrong type; or there is no such
                directory.
            InvalidLimit: a limit is of the wrong type or out of its range.
        """
        environ = os.environ if environ is None else environ
        files = find_files(_start(directory), environ)
        for file in files:
            what = "configuration file" if file.exists else "no configuration file"
            log.debug("%s %s", what, file.path)
        layers = [_from_file(file) for file in files if file.exists]
        layers.append(_from_environment(environ))
        layers.append(_from_flags(flags or {}))
        config = cls(files=files)
        for values in layers:
            config = config._with(values)
        return config

    def with_arguments(
        self,
        *,
        backend: str | None = None,
        binding: str | None = None,
        isolation: Isolation | None = None,
        accept: Collection[str] | None = None,
        limits: Limits | None = None,
        cache: bool | None = None,
    ) -> Config:
        """This configuration with the keyword arguments of a call, which win.

        ``cache`` is ``cache.enabled``. ``limits`` replaces all limits. Those of its
        values that are the defaults count as such, since it does not tell which were given.

        Raises:
            ConfigError: an argument is of the wrong type, or none of the choices.
        """
        given = {
            "backend": backend,
            "binding": binding,
            "isolation": isolation,
            "accept": accept,
            "cache.enabled": cache,
        }
        values: _Values = {
            key: (from_toml(SETTINGS[key], value, str(_ARGUMENT)), _ARGUMENT)
            for key, value in given.items()
            if value is not None
        }
        if limits is not None:
            _check_type("limits", limits, Limits)
            for name in LIMITS:
                key, value = f"limits.{name}", getattr(limits, name)
                values[key] = value, _DEFAULT if value == _default(key) else _ARGUMENT
        return self._with(values)

    def check_accept(self) -> None:
        """Check that exceptions are accepted for one backend only.

        Raises:
            ConfigError: there are some, and no backend is named.
        """
        if self.accept and self.backend == AUTO:
            raise ConfigError(
                f"accept is {', '.join(sorted(self.accept))}, and backend is {AUTO}:"
                " a plugin would load on one engine and not on another",
                source=str(self.origins["accept"]),
                key="accept",
                hint="name the backend that runs it",
            )

    def value(self, key: str) -> Any:
        """The value of a key such as ``limits.fuel``; None for no limit or no binding."""
        table, _, name = key.rpartition(".")
        return getattr(getattr(self, table) if table else self, name)

    def blame(self, error: UnknownBackend) -> UnknownBackend:
        """The error with the place where its backend or binding was configured."""
        key = "binding" if error.key == "binding" else "backend"
        origin = self.origins[key]
        if error.source is not None or origin.layer == "default":
            return error
        return UnknownBackend(error.message, source=str(origin), key=key, hint=error.hint)

    def _with(self, values: _Values) -> Config:
        """A stronger source laid over this configuration."""
        if not values:
            return self
        changed = {key: value for key, (value, _) in values.items() if "." not in key}
        origins = dict(self.origins)
        origins.update((key, origin) for key, (_, origin) in values.items())
        # Both belong to a backend: naming another backend forgets them.
        if changed.get("backend", self.backend) != self.backend:
            forgotten = ("binding",) if self.backend == AUTO else ("binding", "accept")
            for key in forgotten:
                if key not in changed:
                    changed[key] = _default(key)
                    origins[key] = _DEFAULT
        tables: dict[str, dict[str, Any]] = {"limits": {}, "cache": {}}
        for key, (value, _) in values.items():
            table, _, name = key.rpartition(".")
            if table:
                tables[table][name] = value
        return replace(
            self,
            **changed,
            limits=replace(self.limits, **tables["limits"]),
            cache=replace(self.cache, **tables["cache"]),
            origins=origins,
        )


def _default(key: str) -> Any:
    table, _, name = key.rpartition(".")
    return defaults({"": Config, "limits": Limits, "cache": CacheSettings}[table])[name]


def _check_type(key: str, value: object, wanted: type) -> None:
    if not isinstance(value, wanted):
        raise ConfigError(
            f"{key} is {shown(value)}; it must be a {wanted.__name__}",
            source=str(_ARGUMENT),
            key=key,
        )


def _start(directory: str | os.PathLike[str] | None) -> str | None:
    if directory is None:
        try:
            return os.getcwd()
        except FileNotFoundError:  # it was deleted
            return None
    # An integer would be taken for a file descriptor.
    if not isinstance(directory, (str, os.PathLike)) or not os.path.isdir(directory):
        raise ConfigError(
            f"directory is {shown(directory)}; it must be a directory that exists",
            source=str(_ARGUMENT),
            key="directory",
        )
    return os.path.abspath(directory)


def _from_file(file: ConfigFile) -> _Values:
    return {
        key: (found.value, Origin(file.layer, file.name, found.line))
        for key, found in read_values(file).items()
    }


def _from_environment(environ: Mapping[str, str]) -> _Values:
    settings = {setting.variable: setting for setting in SETTINGS.values()}
    values: _Values = {}
    for variable in sorted(name for name in environ if name.startswith("SEN_HOST_")):
        if variable in (USER_FILE_VARIABLE, PLUGIN_PATH_VARIABLE):
            continue
        origin = Origin("environment", variable)
        setting = settings.get(variable)
        if setting is None:
            named = by_option(variable.removeprefix("SEN_HOST_"))
            raise ConfigError(
                "no such variable is known",
                source=str(origin),
                hint=nearest(
                    variable,
                    (*settings, USER_FILE_VARIABLE, PLUGIN_PATH_VARIABLE),
                    None if named is None else named.variable,
                ),
            )
        if environ[variable]:  # an empty variable is as good as none
            values[setting.key] = from_text(setting, environ[variable], str(origin)), origin
    return values


def _from_flags(flags: Mapping[str, str | None]) -> _Values:
    values: _Values = {}
    for key, text in flags.items():
        setting = SETTINGS.get(key)
        if setting is None:
            named = by_option(str(key))
            raise ConfigError(
                f"flags has the unknown key {shown(key)}",
                source=str(_ARGUMENT),
                key=str(key),
                hint=nearest(str(key), SETTINGS, None if named is None else named.key),
            )
        if text is not None:
            if not isinstance(text, str):
                raise ConfigError(
                    f"flags[{key!r}] is {shown(text)}; it must be the text of an option",
                    source=str(_ARGUMENT),
                    key=key,
                )
            origin = Origin("command line", setting.option)
            values[key] = from_text(setting, text, setting.option), origin
    return values
