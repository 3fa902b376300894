"""Capabilities: subsets, what is missing, digests, words."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sen_host.messages import Capabilities, NetPattern, PathPattern, StdioCapability
from sen_host.permissions import describe, digest, environment, is_subset_of, missing, union
from tests.permissions.support import NET, READ, WRITE, capabilities

names = st.sampled_from(["A", "AB", "ABC", "B", "a", "", "A=B", "*"])
env_patterns = st.sampled_from(["A", "AB", "A*", "AB*", "*", "", "**", "A*B", "*A", "A=*", "a*"])


class TestOrder:
    @given(capabilities)
    def test_reflexive(self, one: Capabilities) -> None:
        assert is_subset_of(one, one)

    @given(capabilities, capabilities, capabilities)
    def test_transitive(self, one: Capabilities, two: Capabilities, three: Capabilities) -> None:
        if is_subset_of(one, two) and is_subset_of(two, three):
            assert is_subset_of(one, three)

    @given(capabilities, capabilities)
    def test_a_union_has_both_and_nothing_is_missing_from_it(
        self, one: Capabilities, two: Capabilities
    ) -> None:
        both = union(one, two)
        assert is_subset_of(one, both)
        assert is_subset_of(two, both)
        assert is_subset_of(both, Capabilities(
            one.fs_read + two.fs_read, one.fs_write + two.fs_write,
            one.env_read + two.env_read, one.net + two.net, both.stdio,
        ))  # fmt: skip

    @given(capabilities, capabilities)
    def test_what_is_missing_makes_it_whole(self, asked: Capabilities, had: Capabilities) -> None:
        lacking = missing(asked, had)
        assert is_subset_of(lacking, asked)
        assert is_subset_of(asked, union(had, lacking))
        assert is_subset_of(asked, had) == (lacking == Capabilities())


def test_read_and_write_are_different_rights() -> None:
    assert not is_subset_of(READ, WRITE)
    assert not is_subset_of(WRITE, READ)
    assert digest(READ) != digest(WRITE)


def test_a_stream_more_is_missing() -> None:
    both = Capabilities(stdio=StdioCapability(stdin=True, stdout=True))
    one = Capabilities(stdio=StdioCapability(stdout=True))
    assert missing(both, one) == Capabilities(stdio=StdioCapability(stdin=True))


def test_links_are_looked_at_if_there_is_a_directory(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "out").symlink_to("/etc")
    asked = Capabilities(fs_read=(PathPattern("data/out"),))
    assert is_subset_of(asked, READ)
    assert not is_subset_of(asked, READ, directory=str(tmp_path))
    granted = union(READ, asked, directory=str(tmp_path))
    assert is_subset_of(asked, granted, directory=str(tmp_path))


class TestEnvironment:
    @pytest.mark.parametrize(
        ("pattern", "name", "admitted"),
        [
            ("HOME", "HOME", True),
            ("APP_*", "APP_KEY", True),
            ("APP_*", "APP_", True),
            ("HOME", "HOMES", False),
            ("HOME", "home", False),
            ("APP_*", "app_key", False),
            ("*", "HOME", False),
            ("*_KEY", "APP_KEY", False),
            ("A*B", "AXB", False),
            ("A*B", "A*B", False),
            ("", "", False),
            ("A*", "A=B", False),
        ],
    )
    def test_admits(self, pattern: str, name: str, admitted: bool) -> None:
        assert environment.admits(pattern, name) is admitted

    @given(env_patterns, env_patterns, env_patterns)
    def test_order(self, one: str, two: str, three: str) -> None:
        assert environment.covers(one, one)
        if environment.covers(one, two) and environment.covers(two, three):
            assert environment.covers(one, three)

    @given(env_patterns, env_patterns, names)
    def test_what_is_covered_admits_no_more(self, granted: str, asked: str, name: str) -> None:
        if environment.covers(granted, asked) and environment.admits(asked, name):
            assert environment.admits(granted, name)


class TestDigest:
    @given(capabilities, capabilities)
    def test_it_is_equal_for_the_same_patterns_only(
        self, one: Capabilities, two: Capabilities
    ) -> None:
        def content(value: Capabilities) -> tuple[object, ...]:
            fields = (value.fs_read, value.fs_write, value.env_read, value.net)
            return (*(sorted(map(repr, field)) for field in fields), value.stdio)

        assert (digest(one) == digest(two)) == (content(one) == content(two))

    def test_the_order_makes_no_difference(self) -> None:
        patterns = (PathPattern("a"), PathPattern("b"))
        assert digest(Capabilities(fs_read=patterns)) == digest(
            Capabilities(fs_read=patterns[::-1])
        )


class TestWords:
    def test_all_that_is_asked_for(self) -> None:
        everything = Capabilities(
            fs_read=(PathPattern("./data", True), PathPattern("notes.txt")),
            fs_write=(PathPattern("~/out"),),
            env_read=("HOME", "APP_*", "*"),
            net=(*NET.net, NetPattern("*.Example.com"), NetPattern("*"), NetPattern("127.1")),
            stdio=StdioCapability(True, True, True),
        )
        assert describe(everything) == (
            "read ./data and everything below it",
            "read notes.txt, or if it is a directory, the files directly in it",
            "read, change and remove ~/out, or if it is a directory, the files directly in it",
            "read the environment variable HOME",
            "read all environment variables that begin with APP_",
            "read the environment variable * (which means nothing)",
            "connect to api.example.com, port 443, by HTTPS",
            "connect to all hosts below example.com, any port, by HTTPS",
            "connect to every host, any port, by HTTPS",
            "connect to 127.1 (which means nothing: an IPv4 address has four decimal numbers),"
            " any port, by HTTPS",
            "read standard input",
            "write to standard output",
            "write to standard error",
        )

    def test_a_name_cannot_pass_for_our_words(self) -> None:
        asked = Capabilities(
            fs_read=(
                PathPattern("my notes"),
                PathPattern('/ " and nothing else'),
                PathPattern("x" + " " * 80 + "as before: read y", True),
            ),
            env_read=("A for the locale alone", "B *"),
        )
        assert describe(asked) == (
            'read "my notes", or if it is a directory, the files directly in it',
            'read "/ \\" and nothing else", or if it is a directory, the files directly in it',
            'read "x' + " " * 80 + 'as before: read y" and everything below it',
            'read the environment variable "A for the locale alone"',
            'read all environment variables that begin with "B "',
        )

    def test_letters_that_look_alike_are_told_apart(self) -> None:
        [line] = describe(Capabilities(net=(NetPattern("аpple.com"),)))  # noqa: RUF001 - on purpose
        assert line == "connect to xn--pple-43d.com, any port, by HTTPS"

    @given(st.text(min_size=1))
    def test_every_line_is_printable(self, text: str) -> None:
        asked = Capabilities((PathPattern(text),), (), (text, f"{text}*"), (NetPattern(text),))
        lines = describe(asked)
        assert len(lines) == 4
        assert all(line.isprintable() for line in lines)

    def test_different_paths_have_different_words(self) -> None:
        one, other = "a\x1b", "a\\x1b"
        assert describe(Capabilities(fs_read=(PathPattern(one),))) != describe(
            Capabilities(fs_read=(PathPattern(other),))
        )
