"""Entry points, versions and places of what is installed, by a look into ``sys.path``.

The answers are those of ``importlib.metadata``, whose import takes as long as all
the rest of the way to a plugin's first answer. What a look into directories cannot
find (zip files, eggs, finders of others) is asked of ``importlib.metadata`` itself.
Unlike there, one broken installation does not hide the others.
"""

from __future__ import annotations

import os
import sys
import time
from functools import lru_cache

from sen_host.records import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_ENDINGS = (".dist-info", ".egg-info")


@record(frozen=True, slots=True)
class EntryPoint:
    """An object that a distribution offers under a name.

    Attributes:
        name: by which it is offered.
        value: where it is, as ``module:object``.
        folder: where the metadata of its distribution are; None if that is not known.
        distribution: name and version of the distribution, where there is no folder.
    """

    name: str
    value: str
    folder: str | None = None
    distribution: str | None = None

    def load(self) -> Any:
        """Import the object. What goes wrong with that is raised as it is."""
        module, _, path = self.value.partition("[")[0].partition(":")
        __import__(module.strip())
        found: Any = sys.modules[module.strip()]
        for name in filter(None, path.strip().split(".")):
            found = getattr(found, name)
        return found

    def claim(self) -> str:
        """Name and version of the distribution; where they are unknown, what there is."""
        if self.folder is None:
            return self.distribution or self.value
        headers = _headers(self.folder)
        name = headers.get("name", os.path.basename(self.folder))
        return f"{name} {headers.get('version', '')}".rstrip()


def entry_points(group: str) -> list[EntryPoint]:
    """The entry points of a group, in the order of ``sys.path``.

    Of a distribution that is on the path more than once, only the first counts.
    """
    if not _is_plain():
        return _asked_entry_points(group)
    found = []
    seen = set()
    for folder, name in _folders():
        if name in seen:
            continue
        seen.add(name)
        data = _read(f"{folder}/entry_points.txt")
        if group.encode() in data:
            found += [EntryPoint(key, value, folder) for key, value in _section(data, group)]
    return found


def version(distribution: str) -> str | None:
    """The version of an installed distribution; None if it is not installed."""
    if not _is_plain():
        return _asked_version(distribution)
    wanted = _normal(distribution)
    for folder, name in _folders():
        if name == wanted:
            found = _headers(folder).get("version")
            if found is not None:
                return found
    return None


def package_folders(name: str) -> list[str]:
    """The folders of a top-level package, which is not imported; empty if there is none."""
    # As importlib.util.find_spec does it.
    if name in sys.modules:
        spec = getattr(sys.modules[name], "__spec__", None)
    else:
        found = (
            finder.find_spec(name, None) for finder in sys.meta_path if hasattr(finder, "find_spec")
        )
        spec = next(filter(None, found), None)
    return list((spec and spec.submodule_search_locations) or ())


def _is_plain() -> bool:
    """Whether directories on ``sys.path`` are all that there is to look at."""
    for finder in sys.meta_path:
        if hasattr(finder, "find_distributions") and (
            getattr(finder, "__module__", None) != "_frozen_importlib_external"
        ):
            return False
    return not any(
        type(entry) is not str or entry.endswith(".egg") or os.path.isfile(entry)
        for entry in sys.path
    )


def _folders() -> Iterator[tuple[str, str]]:
    """Every place of metadata, with the normal form of its distribution's name."""
    for entry in sys.path:
        try:
            entry = entry or os.getcwd()
            changed = os.stat(entry).st_mtime_ns
        except OSError:  # a path may name what is not there
            continue
        # Within the resolution of its time, a directory may change unnoticed.
        settled = time.time_ns() - changed > 1_000_000_000
        yield from (_known_folders if settled else _folders_in)(entry, changed)


def _folders_in(entry: str, _changed: int) -> list[tuple[str, str]]:
    try:
        names = os.listdir(entry)
    except OSError:
        return []
    return [
        (f"{entry}/{name}", _normal(name.rpartition(".")[0].partition("-")[0]))
        for name in names
        if name.lower().endswith(_ENDINGS)
    ]


_known_folders = lru_cache(maxsize=256)(_folders_in)


def _normal(name: str) -> str:
    """What the spellings of a name have in common: ``Sen.Host``, ``sen--host``, ``sen_host``."""
    return "_".join(filter(None, name.lower().replace(".", "-").replace("_", "-").split("-")))


def _read(path: str) -> bytes:
    """The bytes of a file of metadata; empty if there is none."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except OSError:
        return b""


def _section(data: bytes, group: str) -> Iterator[tuple[str, str]]:
    """The pairs of one section of an ``entry_points.txt``."""
    section = None
    for line in map(str.strip, data.decode(errors="replace").splitlines()):
        if line.startswith("[") and line.endswith("]"):
            section = line.strip("[]")
        elif section == group and line and not line.startswith("#"):
            name, equals, value = line.partition("=")
            if equals:
                yield name.strip(), value.strip()


def _headers(folder: str) -> dict[str, str]:
    """Name and version out of a distribution's metadata, as far as they are given."""
    # An .egg-info may be a file: then it is the metadata.
    data = _read(f"{folder}/METADATA") or _read(f"{folder}/PKG-INFO") or _read(folder)
    found: dict[str, str] = {}
    for line in data.partition(b"\n\n")[0].decode(errors="replace").splitlines():
        if not line:
            break
        key, colon, value = line.partition(":")
        if colon and key.lower() in ("name", "version"):
            found.setdefault(key.lower(), value.strip())
    return found


def _asked_entry_points(group: str) -> list[EntryPoint]:
    from importlib.metadata import entry_points

    return [
        EntryPoint(
            entry.name,
            entry.value,
            distribution=f"{entry.dist.metadata['Name']} {entry.dist.version}",
        )
        for entry in entry_points(group=group)
        if entry.dist is not None
    ]


def _asked_version(distribution: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
