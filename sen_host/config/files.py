"""Finding and reading the configuration files."""

from __future__ import annotations

import os
import stat
import sys

from sen_host.config.settings import (
    NONE,
    SETTINGS,
    USER_FILE_VARIABLE,
    by_option,
    from_toml,
    nearest,
    shown,
)
from sen_host.errors import ConfigError
from sen_host.records import record
from sen_host.user_dirs import user_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any, Literal, NoReturn

    FileLayer = Literal["project", "pyproject", "user"]
else:
    FileLayer = str

PROJECT_FILES: tuple[tuple[FileLayer, str], ...] = (
    ("project", "sen-host.toml"),
    ("pyproject", "pyproject.toml"),
)
"""What is looked for in the directory and above it, the weakest first."""

MAX_FILE_BYTES = 1 << 20

_TABLES = ("limits", "cache")


@record(frozen=True, slots=True)
class ConfigFile:
    """A file that the configuration is read from, or would be.

    Attributes:
        layer: which of the three kinds it is.
        path: where it is, absolute.
        name: how messages name it.
        exists: whether it was there.
    """

    layer: FileLayer
    path: str
    name: str
    exists: bool


@record(frozen=True, slots=True)
class FileValue:
    """A checked value and the line of its key."""

    value: Any
    line: int


def find_files(directory: str | None, environ: Mapping[str, str]) -> tuple[ConfigFile, ...]:
    """The files that count for ``directory`` (an absolute path), the weakest first.

    Raises:
        ConfigError: one of them is not a regular file, or the file that
            ``SEN_HOST_CONFIG`` names does not exist.
    """
    found = []
    if directory is not None:
        for layer, name in PROJECT_FILES:
            path = _nearest_file(directory, name)
            if path is not None:
                found.append(ConfigFile(layer, path, _name(path, directory), exists=True))
    found.extend(_user_file(environ))
    return tuple(found)


def read_values(file: ConfigFile) -> dict[str, FileValue]:
    """The checked settings of a file, by key.

    Raises:
        ConfigError: the file cannot be read, is not TOML, or holds what is not
            a setting. The error names the file and, where there is one, the line.
    """
    text = _read_text(file)
    if file.layer == "pyproject" and "sen-host" not in text and "sen_host" not in text:
        return {}
    document = _parse(file, text)
    prefix: tuple[str, ...] = ()
    if file.layer == "pyproject":
        prefix = ("tool", "sen-host")
    return _Reader(file, text).values(document, prefix)


class _Reader:
    """Reads the settings out of one document."""

    def __init__(self, file: ConfigFile, text: str) -> None:
        self.file = file
        self.text = text
        self._lines: dict[tuple[str, ...], int] | None = None

    def values(self, document: dict[str, Any], prefix: tuple[str, ...]) -> dict[str, FileValue]:
        table: Any = document
        for depth, name in enumerate(prefix):
            if name not in table and "sen_host" in table:
                self.fail(
                    "the table [tool.sen_host] is not read",
                    (*prefix[:depth], "sen_host"),
                    hint="write [tool.sen-host], with a hyphen",
                )
            table = self.table(table.get(name, {}), prefix[: depth + 1])
        return dict(self.pairs(table, prefix))

    def pairs(
        self, table: dict[str, Any], prefix: tuple[str, ...]
    ) -> Iterator[tuple[str, FileValue]]:
        for name, value in table.items():
            path = (*prefix, name)
            if name == "cache" and self.file.layer != "user":
                # A project could bring compiled code along, which would then be run.
                self.fail(
                    "a project may not say how compiled modules are kept",
                    path,
                    hint="set it in your own configuration file or in the environment",
                )
            if name in _TABLES:
                for inner, inner_value in self.table(value, path).items():
                    yield self.setting(f"{name}.{inner}", inner_value, (*path, inner))
            else:
                yield self.setting(name, value, path)

    def setting(self, key: str, value: Any, path: tuple[str, ...]) -> tuple[str, FileValue]:
        setting = None if "." in path[-1] else SETTINGS.get(key)
        if setting is None:
            self.unknown(key, path)
        line = self.line(path)
        return key, FileValue(from_toml(setting, value, f"{self.file.name}:{line}"), line)

    def table(self, value: Any, path: tuple[str, ...]) -> dict[str, Any]:
        if not isinstance(value, dict):
            name = ".".join(path)
            self.fail(f"{name} is {shown(value)}; it must be a table", path, hint=f"write [{name}]")
        return value

    def unknown(self, key: str, path: tuple[str, ...]) -> NoReturn:
        name = path[-1]
        table = key.rpartition(".")[0]
        if len(path) < 2 or path[-2] != table:
            table = ""
        homes = {key.rpartition(".")[2]: key.rpartition(".")[0] for key in SETTINGS}
        tables = _TABLES if self.file.layer == "user" else ("limits",)
        allowed = [name for name, home in homes.items() if home == table]
        named = by_option(name)
        meant = name if named is None else named.key.rpartition(".")[2]
        hint = nearest(name, allowed if table else [*allowed, *tables], meant)
        home = homes.get(meant, "")
        if not table and home in tables:
            hint = f"{meant} belongs in the table [{'.'.join((*path[:-1], home))}]"
        self.fail(f"unknown key {shown(name)}", path, hint=hint)

    def line(self, path: tuple[str, ...]) -> int:
        if self._lines is None:
            from sen_host.config.toml_lines import key_lines

            self._lines = key_lines(self.text.replace("\r\n", "\n"))
        return self._lines[path]

    def fail(self, message: str, path: tuple[str, ...], *, hint: str) -> NoReturn:
        source = f"{self.file.name}:{self.line(path)}"
        raise ConfigError(message, source=source, key=".".join(path), hint=hint)


def _parse(file: ConfigFile, text: str) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ConfigError("not valid TOML: nested too deeply", source=file.name) from None
    except ValueError as error:  # tomllib's own, or Python's on a very long number
        reason, line = _syntax_error(str(error), text)
        source = file.name if line is None else f"{file.name}:{line}"
        hint = None if line is None else _syntax_hint(text.split("\n")[line - 1])
        raise ConfigError(f"not valid TOML: {reason}", source=source, hint=hint) from error


def _syntax_error(message: str, text: str) -> tuple[str, int | None]:
    """Part the parser's message into what is wrong, and the line."""
    import re

    match = re.fullmatch(
        r"(?P<reason>.*?) \(at (?:line (?P<line>\d+), column \d+|end of document)\)",
        message,
        re.DOTALL,
    )
    if match is None:
        return message, None
    line = match["line"]
    return match["reason"], int(line) if line else text.count("\n", 0, len(text) - 1) + 1


def _syntax_hint(line: str) -> str | None:
    import re

    # A word, or a size with its unit, without quotes.
    bare = r"[^#\"']*=\s*(?:[A-Za-z]|\d[\d_.]*\s*(?:[KMG]i?)?B\b)[^\"']*"
    return "put quotes around text" if re.fullmatch(bare, line, re.IGNORECASE) else None


def _read_text(file: ConfigFile) -> str:
    try:
        with open(file.path, "rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(f"the file cannot be read: {reason}", source=file.name) from error
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(
            f"the file is larger than {MAX_FILE_BYTES >> 20} MiB, so it is hardly a configuration",
            source=file.name,
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"the file is not text in UTF-8 (byte 0x{data[error.start]:02x})",
            source=f"{file.name}:{line}",
            hint="save it as UTF-8",
        ) from error


def _nearest_file(directory: str, name: str) -> str | None:
    folder = directory
    while True:
        path = os.path.join(folder, name)
        if _is_there(path, _name(path, directory)):
            return path
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above


def _is_there(path: str, source: str) -> bool:
    """Whether the file exists. What is there but not a regular file is an error."""
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        if os.path.islink(path):
            reason = error.strerror or str(error)
            raise ConfigError(f"the link leads nowhere: {reason}", source=source) from error
        return False
    if not stat.S_ISREG(mode):
        kind = "a directory" if stat.S_ISDIR(mode) else "not a regular file"
        raise ConfigError(f"it is {kind}, a configuration file was expected", source=source)
    return True


def _user_file(environ: Mapping[str, str]) -> Iterator[ConfigFile]:
    named = environ.get(USER_FILE_VARIABLE)
    if named == NONE:
        return
    if named:
        path = os.path.abspath(os.path.expanduser(named))
        if not _is_there(path, named):
            raise ConfigError(
                f"there is no file {named!r}",
                source=f"environment variable {USER_FILE_VARIABLE}",
                hint=f'name a file that exists, or "{NONE}" to read no user file',
            )
        yield ConfigFile("user", path, path, exists=True)
        return
    folder = user_directory("config")
    if folder is None:
        return
    path = os.path.join(folder, "config.toml")
    yield ConfigFile("user", path, path, exists=_is_there(path, path))


def _name(path: str, directory: str) -> str:
    folder, name = os.path.split(path)
    return name if folder == directory else path
