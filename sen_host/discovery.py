"""Finding plugins in directories, and loading them, with every failure told.

A plugin is a regular file, or a link to one, whose name ends in ``.wasm`` and does not
begin with a dot. A file or a directory that is reached in several ways counts once, by
its device and number: so links may go in circles.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

from sen_host.errors import ConfigError, PluginDirectoryError, PluginFileError, SenHostError
from sen_host.records import NamedTuple
from sen_host.user_dirs import data_directories

Loaded = TypeVar("Loaded")
Progress = Callable[[str, int, int], None]

SUFFIX = ".wasm"
MAX_DEPTH = 32
"""The most levels of directories that a search may go down."""

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def plugin_path_variable(application: str) -> str:
    """The environment variable with more directories: ``MY_APP_PLUGIN_PATH`` for my-app."""
    return re.sub(r"[^A-Z0-9]", "_", application.upper()) + "_PLUGIN_PATH"


def default_plugin_dirs(application: str, *, working_directory: bool = False) -> tuple[str, ...]:
    """Where plugins of an application are looked for, whether these directories exist or not.

    They are those in the variable ``<APPLICATION>_PLUGIN_PATH`` (absolute paths,
    separated as in ``PATH``), then ``<application>/plugins`` in the user's and in the
    system's data directories: ``$XDG_DATA_HOME`` and ``$XDG_DATA_DIRS``.

    Args:
        application: its name; a file of that name must be possible.
        working_directory: whether ``plugins`` in the working directory is one of them,
            in front of the user's. Whoever can write there then adds commands.

    Raises:
        ConfigError: the name of the application cannot be used.
    """
    if (
        not application
        or not application.isprintable()
        or application.startswith(".")
        or "/" in application
        or "\\" in application
    ):
        raise ConfigError(
            f"{application!a} cannot be the name of an application",
            hint="use letters, digits, dashes and underscores",
        )
    named = os.environ.get(plugin_path_variable(application), "").split(os.pathsep)
    found = [path for path in named if os.path.isabs(path)]
    if working_directory:
        found.append(os.path.abspath("plugins"))
    found += [os.path.join(base, application, "plugins") for base in data_directories()]
    return tuple(dict.fromkeys(found))


class Failure(NamedTuple):
    """A file or directory that could not be used, and why."""

    path: str
    error: SenHostError


class Skipped(NamedTuple):
    """A file or directory that was passed over, and why."""

    path: str
    reason: str


class Candidates(NamedTuple):
    """What a search has found.

    Attributes:
        files: the plugin files, in the order in which they are to be loaded.
        failures: what could not be looked at.
        skipped: what was passed over.
    """

    files: tuple[str, ...]
    failures: tuple[Failure, ...]
    skipped: tuple[Skipped, ...]


class Scan(Generic[Loaded]):
    """What came of all plugin files in some directories.

    Attributes:
        loaded: what was made of each file that could be loaded, by its path, in order.
        failures: files that could not be loaded, and directories that could not be read.
        skipped: what was passed over: pipes, devices, a file that was found before.
    """

    def __init__(
        self,
        loaded: dict[str, Loaded],
        failures: Sequence[Failure],
        skipped: Sequence[Skipped],
    ) -> None:
        self.loaded = loaded
        self.failures = tuple(failures)
        self.skipped = tuple(skipped)

    @property
    def is_success(self) -> bool:
        """Whether nothing failed."""
        return not self.failures

    @property
    def total_found(self) -> int:
        """How many were loaded or failed."""
        return len(self.loaded) + len(self.failures)

    def __repr__(self) -> str:
        return (
            f"<Scan: {len(self.loaded)} loaded, {len(self.failures)} failed,"
            f" {len(self.skipped)} skipped>"
        )


def scan(
    directories: Iterable[str | os.PathLike[str]],
    load: Callable[[str], Loaded],
    *,
    depth: int = 0,
    progress: Progress | None = None,
) -> Scan[Loaded]:
    """Load all plugins in some directories; whatever fails is told beside what does not.

    Args:
        directories: where to look.
        load: loads a file: ``PluginLoader(...).load``, or ``PluginRegistry.load``.
        depth: how many levels of directories below them as well, 0 to 32.
        progress: called before each file with its path, the number of those that are
            done, and that of all.

    Raises:
        ConfigError: ``depth`` is out of range.
    """
    found = find_plugins(directories, depth=depth)
    loaded: dict[str, Loaded] = {}
    failures = list(found.failures)
    for number, path in enumerate(found.files):
        if progress is not None:
            progress(path, number, len(found.files))
        try:
            loaded[path] = load(path)
        except SenHostError as error:
            failures.append(Failure(path, error))
    return Scan(loaded, failures, found.skipped)


def find_plugins(directories: Iterable[str | os.PathLike[str]], *, depth: int = 0) -> Candidates:
    """Look for plugin files: directories as they are given, files by their names.

    Args:
        directories: where to look.
        depth: how many levels of directories below them as well, 0 to 32.

    Raises:
        ConfigError: ``depth`` is out of range.
    """
    if not isinstance(depth, int) or isinstance(depth, bool) or not 0 <= depth <= MAX_DEPTH:
        raise ConfigError(f"depth is {depth!r}; it must be a whole number from 0 to {MAX_DEPTH}")
    search = _Search(depth)
    for directory in directories:
        search.directory(os.path.abspath(directory))
    return Candidates(tuple(search.files), tuple(search.failures), tuple(search.skipped))


class _Search:
    def __init__(self, depth: int) -> None:
        self.files: list[str] = []
        self.failures: list[Failure] = []
        self.skipped: list[Skipped] = []
        self._depth = depth
        self._first: dict[tuple[int, int], str] = {}

    def directory(self, path: str, level: int = 0) -> None:
        try:
            if self._known(path, os.stat(path)):
                return
            with os.scandir(path) as entries:
                names = sorted(entry.name for entry in entries if not entry.name.startswith("."))
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            self.failures.append(Failure(path, _directory_error(path, error)))
            return
        paths = [os.path.join(path, name) for name in names]
        for inner in paths:
            if inner.endswith(SUFFIX):
                self._file(inner)
        if level < self._depth:
            for inner in paths:
                if not inner.endswith(SUFFIX) and os.path.isdir(inner):
                    self.directory(inner, level + 1)

    def _file(self, path: str) -> None:
        try:
            status = os.stat(path)
        except OSError as error:
            if os.path.islink(path) or not isinstance(error, FileNotFoundError):
                self.failures.append(Failure(path, _file_error(path, error)))
            return  # or it was removed while we looked
        kind = stat.S_IFMT(status.st_mode)
        if kind != stat.S_IFREG:
            self.skipped.append(Skipped(path, f"it is {_KINDS.get(kind, 'not a regular file')}"))
        elif not self._known(path, status):
            self.files.append(path)

    def _known(self, path: str, status: os.stat_result) -> bool:
        identity = status.st_dev, status.st_ino
        first = self._first.get(identity)
        if first is None:
            self._first[identity] = path
        elif first != path:
            self.skipped.append(Skipped(path, f"it is the same as {first!r}"))
        return first is not None


def _directory_error(path: str, error: OSError | ValueError) -> PluginDirectoryError:
    if isinstance(error, FileNotFoundError):
        return PluginDirectoryError(f"there is no plugin directory {path!r}", path=path)
    if isinstance(error, NotADirectoryError):
        return PluginDirectoryError(f"{path!r} is not a directory", path=path)
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return PluginDirectoryError(
        f"the plugin directory {path!r} cannot be read", path=path, detail=reason
    )


def _file_error(path: str, error: OSError) -> PluginFileError:
    if isinstance(error, FileNotFoundError):
        return PluginFileError(f"the plugin file {path!r} is a link to nothing", path=path)
    return PluginFileError(
        f"the plugin file {path!r} cannot be read", path=path, detail=error.strerror
    )
