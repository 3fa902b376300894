"""What is installed is found as importlib.metadata finds it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
import zipfile
from collections.abc import Callable, Iterator
from importlib.machinery import PathFinder
from pathlib import Path

import pytest

from sen_host.distributions import EntryPoint, entry_points, package_folders, version

GROUP = "sen_host.backends"
Site = dict[str, "str | bytes"]
"""Files by their path below one directory of ``sys.path``."""
Place = Callable[..., None]

Found = tuple[str, str, str]


def ours(group: str) -> list[Found]:
    return sorted((it.name, it.value, it.claim()) for it in entry_points(group))


def theirs(group: str) -> list[Found]:
    found = importlib.metadata.entry_points(group=group)
    return sorted((it.name, it.value, claim(it.dist)) for it in found)


def claim(distribution: importlib.metadata.Distribution | None) -> str:
    assert distribution is not None
    return f"{distribution.metadata['Name']} {distribution.version}"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Put sites in front of ``sys.path``, the first one first."""

    def place(*sites: Site, also: tuple[str, ...] = ()) -> None:
        folders = []
        for number, site in enumerate(sites):
            folder = tmp_path / f"site{number}"
            folder.mkdir()
            folders.append(str(folder))
            for name, content in site.items():
                file = folder / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content.encode() if isinstance(content, str) else content)
        monkeypatch.setattr(sys, "path", [*folders, *also, *sys.path])

    return place


def metadata(name: str, number: str) -> str:
    return f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n\nVersion: of the text\n"


def package(stem: str, name: str, number: str, points: str | bytes) -> Site:
    return {
        f"{stem}.dist-info/METADATA": metadata(name, number),
        f"{stem}.dist-info/entry_points.txt": points,
    }


POINTS = f"[{GROUP}]\nstrange = strange:Backend\n"


@pytest.mark.parametrize("group", [GROUP, "console_scripts", "pytest11", "no.such.group"])
def test_on_this_interpreter_the_entry_points_are_the_same(group: str) -> None:
    assert ours(group) == theirs(group)


def test_on_this_interpreter_the_versions_are_the_same() -> None:
    distributions = list(importlib.metadata.distributions())
    assert len(distributions) > 5
    for distribution in distributions:
        name = distribution.metadata["Name"]
        assert version(name) == importlib.metadata.version(name)
    assert version("no-such-distribution") is None


@pytest.mark.parametrize(
    "sites",
    [
        [package("strange-1.0", "strange", "1.0", POINTS)],
        [package("strange-1.0", "strange", "1.0", POINTS.replace("\n", "\r\n"))],
        [
            package(
                "strange-1.0",
                "strange",
                "1.0",
                f"# a comment\n[other]\na = b:c\n\n[{GROUP}]\n  # another\n one=strange : One \n"
                f"two = strange:Two [extra]\n[{GROUP}.more]\nthree = strange:Three\n",
            )
        ],
        [
            package("strange-1.0", "strange", "1.0", POINTS)
            | package("stranger-1.0", "stranger", "1.0", POINTS)
        ],
        [
            package("Strange.Thing-1.0", "Strange.Thing", "1.0", POINTS),
            package("strange_thing-2.0", "strange-thing", "2.0", POINTS.replace("B", "C")),
        ],
        [
            package("strange-1.0", "strange", "1.0", ""),
            package("strange-2.0", "strange", "2.0", POINTS),
        ],
        [
            {
                "strange.egg-info/PKG-INFO": metadata("strange", "1.0"),
                "strange.egg-info/entry_points.txt": POINTS,
            }
        ],
        [{"strange-1.0-py3.11.egg-info": metadata("strange", "1.0")}],
        [{"strange-1.0.dist-info/METADATA": metadata("strange", "1.0")}],
        [package("STRANGE-1.0", "STRANGE", "1.0+local", POINTS)],
        [package("strange-1.0", "strange", "1.0", POINTS)] * 2,
        [{"strange.pth": "", "strange.egg-link": "/nowhere", "other.dist-info": ""}],
    ],
    ids=[
        "one",
        "line ends of Windows",
        "sections and comments",
        "one name claimed twice",
        "one name in two spellings",
        "the first without entry points",
        "egg-info",
        "egg-info as a file",
        "no entry points",
        "a local version",
        "twice on the path",
        "other files",
    ],
)
def test_in_a_made_up_site_both_find_the_same(place: Place, sites: list[Site]) -> None:
    place(*sites, also=("/no/such/directory", __file__.replace(".py", "")))
    assert ours(GROUP) == theirs(GROUP)
    for name in ("strange", "Strange", "stranger", "strange-thing", "STRANGE__thing"):
        try:
            expected: str | None = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            expected = None
        assert version(name) == expected


def test_the_working_directory_counts_where_the_path_says_so(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place(package("strange-1.0", "strange", "1.0", POINTS))
    monkeypatch.setattr(sys, "path", ["", *sys.path[1:]])
    assert ("strange", "strange:Backend", "strange 1.0") not in ours(GROUP)
    monkeypatch.chdir(tmp_path / "site0")
    assert ("strange", "strange:Backend", "strange 1.0") in ours(GROUP)
    assert ours(GROUP) == theirs(GROUP)


@pytest.mark.parametrize("kind", ["zip", "egg"])
def test_zip_files_and_eggs_are_looked_into(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    if kind == "zip":
        archive = tmp_path / "strange.zip"
        with zipfile.ZipFile(archive, "w") as file:
            for name, content in package("strange-1.0", "strange", "1.0", POINTS).items():
                file.writestr(name, content)
    else:
        archive = tmp_path / "strange-1.0.egg"
        (archive / "EGG-INFO").mkdir(parents=True)
        (archive / "EGG-INFO" / "PKG-INFO").write_text(metadata("strange", "1.0"))
        (archive / "EGG-INFO" / "entry_points.txt").write_text(POINTS)
    monkeypatch.setattr(sys, "path", [str(archive), *sys.path])
    assert ("strange", "strange:Backend", "strange 1.0") in ours(GROUP)
    assert ours(GROUP) == theirs(GROUP)
    assert version("strange") == "1.0"
    assert version("no-such-distribution") is None


def test_finders_of_others_are_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hidden = tmp_path / "strange-1.0.dist-info"
    hidden.mkdir()
    (hidden / "METADATA").write_text(metadata("strange", "1.0"))
    (hidden / "entry_points.txt").write_text(POINTS)

    class Finder:
        @staticmethod
        def find_spec(name: str, path: object = None, target: object = None) -> None:
            return None

        @staticmethod
        def find_distributions(
            context: importlib.metadata.DistributionFinder.Context,
        ) -> Iterator[importlib.metadata.Distribution]:
            if context.name in (None, "strange"):
                yield importlib.metadata.Distribution.at(hidden)

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder])
    assert ("strange", "strange:Backend", "strange 1.0") in ours(GROUP)
    assert version("strange") == "1.0"


@pytest.mark.parametrize(
    "broken",
    [
        package("broken-1.0", "broken", "1.0", f"[{GROUP}]\nno value here\n"),
        package("broken-1.0", "broken", "1.0", f"[{GROUP}]\nname = broken\xff".encode("latin-1")),
        {"broken-1.0.dist-info/entry_points.txt/file": ""},
        {"broken-1.0.dist-info/RECORD": ""},
        {"broken-1.0.dist-info": b"\0\xff"},
    ],
    ids=["no value", "not UTF-8", "a directory", "left over", "no directory"],
)
def test_a_broken_installation_hides_no_other(place: Place, broken: Site) -> None:
    place(broken, package("strange-1.0", "strange", "1.0", POINTS))
    assert ("strange", "strange:Backend", "strange 1.0") in ours(GROUP)
    assert (version("strange"), version("sen-host")) == (
        "1.0",
        importlib.metadata.version("sen-host"),
    )


def test_what_an_uninstallation_left_over_has_no_version(place: Place) -> None:
    place(
        {"strange-1.0.dist-info/RECORD": ""},
        package("strange-2.0", "strange", "2.0", POINTS),
    )
    assert version("strange") == "2.0"


def test_a_new_installation_is_seen(place: Place, tmp_path: Path) -> None:
    place({"file": ""})
    assert version("strange") is None
    folder = tmp_path / "site0" / "strange-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(metadata("strange", "1.0"))
    (folder / "entry_points.txt").write_text(POINTS)
    assert version("strange") == "1.0"
    assert ("strange", "strange:Backend", "strange 1.0") in ours(GROUP)


@pytest.mark.parametrize(
    "value",
    ["os:path.join", "os.path:join", "os.path", " os.path : join ", "os.path:join [extra, more]"],
)
def test_an_entry_point_loads_what_importlib_loads(value: str) -> None:
    expected = importlib.metadata.EntryPoint("name", value.strip(), GROUP).load()
    assert EntryPoint("name", value).load() is expected


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("no_such_module:Backend", ModuleNotFoundError),
        ("os:no_such_object", AttributeError),
        ("", ValueError),
    ],
)
def test_an_entry_point_that_leads_nowhere(value: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        EntryPoint("name", value).load()


@pytest.mark.parametrize("name", ["json", "sen_host", "os", "no_such_package", "wasmtime"])
def test_the_folders_of_a_package(name: str) -> None:
    spec = importlib.util.find_spec(name)
    expected = spec.submodule_search_locations if spec is not None else None
    assert package_folders(name) == list(expected or ())


def test_a_package_that_is_kept_out_has_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wasmtime", None)
    assert package_folders("wasmtime") == []


def test_a_package_that_a_finder_hides_has_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "wasmtime", raising=False)
    monkeypatch.setattr(sys, "meta_path", [it for it in sys.meta_path if it is not PathFinder])
    assert package_folders("wasmtime") == []
