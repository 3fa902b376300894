"""Which path patterns a path pattern covers, and where links lead."""

from __future__ import annotations

import posixpath
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sen_host.messages import PathPattern
from sen_host.permissions.paths import covers, stays_within

NAMES = ["a", "A", "b", "*", ".", "..", "~", ""]
STARTS = ["", "/", "~/", "./", "../", "//"]

texts = st.builds(
    lambda start, names: start + "/".join(names),
    st.sampled_from(STARTS),
    st.lists(st.sampled_from(NAMES), max_size=4),
)
patterns = st.builds(PathPattern, texts, st.booleans())


def meant(pattern: PathPattern, path: str) -> bool:
    """Whether a path is meant, by a rule that knows no more than strings; no links."""
    root = posixpath.normpath(_from_root(pattern.pattern))
    if path == root or posixpath.dirname(path) == root:
        return True
    return pattern.recursive and path.startswith(root.rstrip("/") + "/")


def _from_root(pattern: str) -> str:
    if pattern == "~" or pattern.startswith("~/"):
        return "/home/me/" + pattern[1:]
    return pattern if pattern.startswith("/") else "/work/dir/" + pattern


@pytest.mark.parametrize(
    ("granted", "asked"),
    [
        ("data", "data"),
        ("data", "./data"),
        ("data/", "data"),
        ("data", "data/."),
        ("data", "data//sub"),
        ("data", "data/sub/file"),
        (".", "data"),
        ("", ""),
        ("/", "/etc/passwd"),
        ("//srv", "/srv"),
        ("~", "~/notes"),
        ("~/notes", "~//notes/today"),
        ("../sibling", "../sibling"),
        ("data/*", "data/*"),
    ],
)
def test_a_recursive_pattern_covers(granted: str, asked: str) -> None:
    for recursive in (True, False):
        assert covers(PathPattern(granted, True), PathPattern(asked, recursive))


@pytest.mark.parametrize(
    ("granted", "asked"),
    [
        ("data", "data/../../etc"),
        ("data", "data/../other"),
        ("data", "data/.."),
        ("data", "data/sub/../sub"),
        ("data", "datax"),
        ("data", "Data"),
        ("data", "/data"),
        ("data", "~/data"),
        ("data/sub", "data"),
        (".", ".."),
        (".", "../dir"),
        (".", "/"),
        ("/", "data"),
        ("/", "~"),
        ("/", "/.."),
        ("~", "~other"),
        ("~", "~/.."),
        ("", "data"),
        ("data", ""),
        ("data", "data/\0"),
        ("..", "../x"),
        ("data/*", "data/x"),
        ("*", "data"),
        ("/srv/*", "/srv/x"),
    ],
)
def test_a_recursive_pattern_does_not_cover(granted: str, asked: str) -> None:
    assert not covers(PathPattern(granted, True), PathPattern(asked))


def test_without_recursive_nothing_below_is_covered() -> None:
    flat = PathPattern("data")
    assert covers(flat, PathPattern("./data/"))
    assert not covers(flat, PathPattern("data", True))
    assert not covers(flat, PathPattern("data/file"))


@given(patterns)
def test_covering_is_reflexive(one: PathPattern) -> None:
    assert covers(one, one)


@given(patterns, patterns, patterns)
def test_covering_is_transitive(one: PathPattern, two: PathPattern, three: PathPattern) -> None:
    if covers(one, two) and covers(two, three):
        assert covers(one, three)


@given(patterns, patterns, texts)
def test_what_is_covered_means_no_more(granted: PathPattern, asked: PathPattern, path: str) -> None:
    somewhere = posixpath.normpath(_from_root(path))
    if covers(granted, asked) and meant(asked, somewhere):
        assert meant(granted, somewhere)


class TestLinks:
    @pytest.fixture(autouse=True)
    def _files(self, tmp_path: Path) -> None:
        (tmp_path / "data" / "sub").mkdir(parents=True)
        (tmp_path / "secret").mkdir()
        (tmp_path / "data" / "out").symlink_to("../secret")
        (tmp_path / "data" / "out-by-name").symlink_to(tmp_path / "secret")
        (tmp_path / "data" / "inside").symlink_to("sub")
        (tmp_path / "data" / "loop").symlink_to("loop")
        (tmp_path / "link").symlink_to("data")

    @pytest.mark.parametrize("asked", ["data", "data/sub", "data/inside", "data/new/deep"])
    def test_what_stays(self, tmp_path: Path, asked: str) -> None:
        assert stays_within(PathPattern("data", True), PathPattern(asked), str(tmp_path))

    @pytest.mark.parametrize("asked", ["data/out", "data/out/deep", "data/out-by-name"])
    def test_what_leads_out(self, tmp_path: Path, asked: str) -> None:
        assert not stays_within(PathPattern("data", True), PathPattern(asked), str(tmp_path))

    def test_a_granted_link_is_followed(self, tmp_path: Path) -> None:
        assert stays_within(PathPattern("link", True), PathPattern("link/sub"), str(tmp_path))

    def test_a_loop_comes_to_an_answer(self, tmp_path: Path) -> None:
        # Opening it will fail; it leads nowhere else.
        assert stays_within(PathPattern("data", True), PathPattern("data/loop"), str(tmp_path))
