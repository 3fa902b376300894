"""Which peers a network pattern admits, and which patterns it covers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sen_host.messages import NetPattern, NetProtocol
from sen_host.permissions.network import admits, covers, normal_host, normal_pattern

HTTPS, HTTP, TCP = NetProtocol.HTTPS, NetProtocol.HTTP, NetProtocol.TCP

HOSTS = [
    *("a.b", "x.a.b", "y.x.a.b", "A.B.", "b", "ab", "xa.b", "10.0.0.1", "0.0.1", "::1", "[0::1]"),
    *("::ffff:10.0.0.1", "127.1", "", "a..b", "*", "bücher.b", "xn--bcher-kva.b", "\x1b"),
]
PATTERN_HOSTS = [*HOSTS, "*.a.b", "*.b", "*.A.B", "*.0.0.1", "*.", "**", "*.*.b", "*a.b", "a.*"]

patterns = st.builds(
    NetPattern,
    st.sampled_from(PATTERN_HOSTS),
    st.sampled_from([None, 80, 443]),
    st.sampled_from(NetProtocol),
)
peers = st.tuples(st.sampled_from(NetProtocol), st.sampled_from(HOSTS), st.sampled_from([80, 443]))


@pytest.mark.parametrize(
    ("host", "peer"),
    [
        ("api.example.com", "api.example.com"),
        ("API.example.com", "api.EXAMPLE.com."),
        ("*.example.com", "api.example.com"),
        ("*.example.com", "a.b.example.com"),
        ("*", "api.example.com"),
        ("*", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.1"),
        ("::1", "[::1]"),
        ("[0:0:0:0:0:0:0:1]", "::1"),
        ("10.0.0.1", "::ffff:10.0.0.1"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "BÜCHER.example"),
    ],
)
def test_it_admits(host: str, peer: str) -> None:
    assert admits(NetPattern(host), HTTPS, peer, 443)


@pytest.mark.parametrize(
    ("host", "peer"),
    [
        ("example.com", "api.example.com"),
        ("*.example.com", "example.com"),
        ("*.example.com", "evilexample.com"),
        ("*.example.com", "example.com.evil.com"),
        ("*.example.com", "*.example.com"),
        ("api.example.com", "api.example.com.evil.com"),
        ("api.example.com", "api.example.com:443@evil.com"),
        ("*.0.0.1", "10.0.0.1"),
        ("*.1", "10.0.0.1"),
        ("a*.example.com", "api.example.com"),
        ("*.*.com", "api.example.com"),
        ("127.0.0.1", "127.1"),
        ("127.0.0.1", "0177.0.0.1"),
        ("127.0.0.1", "2130706433"),
        ("127.1", "127.1"),
        ("fe80::1", "fe80::1%eth0"),
        ("*", "a b"),
        ("*", ""),
        ("", ""),
        ("*", "example.com..".replace("..", "...")),
        ("strasse.de", "straße.de"),
    ],
)
def test_it_does_not_admit(host: str, peer: str) -> None:
    assert not admits(NetPattern(host), HTTPS, peer, 443)


def test_the_protocol_has_to_be_the_same() -> None:
    for granted in NetProtocol:
        for spoken in NetProtocol:
            admitted = admits(NetPattern("a.b", protocol=granted), spoken, "a.b", 443)
            assert admitted == (granted == spoken)


def test_the_port() -> None:
    assert admits(NetPattern("a.b"), HTTPS, "a.b", 8443)
    assert not admits(NetPattern("a.b", 443), HTTPS, "a.b", 8443)
    assert not covers(NetPattern("a.b", 443), NetPattern("a.b"))
    assert covers(NetPattern("a.b"), NetPattern("a.b", 443))


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "10.0.0.1", "LocalHost.", "8.8.8.8"])
def test_a_host_that_is_spelled_out_is_granted_by_nothing_else(host: str) -> None:
    # Effects take such a pattern for a grant of what is private, and `*` for none.
    assert not covers(NetPattern("*"), NetPattern(host))
    assert covers(NetPattern(host), NetPattern(host, 443))
    assert covers(NetPattern("*"), NetPattern("a.localhost"))
    assert covers(NetPattern("*"), NetPattern("*.b"))


def test_patterns_without_a_host_admit_nothing_and_are_covered_by_themselves() -> None:
    bad = NetPattern("a..b")
    assert covers(bad, bad)
    assert not covers(NetPattern("*"), bad)
    assert not covers(bad, NetPattern("a.b"))


@given(patterns)
def test_covering_is_reflexive(one: NetPattern) -> None:
    assert covers(one, one)


@given(patterns, patterns, patterns)
def test_covering_is_transitive(one: NetPattern, two: NetPattern, three: NetPattern) -> None:
    if covers(one, two) and covers(two, three):
        assert covers(one, three)


@given(patterns, patterns, peers)
def test_what_is_covered_admits_no_more(
    granted: NetPattern, asked: NetPattern, peer: tuple[NetProtocol, str, int]
) -> None:
    if covers(granted, asked) and admits(asked, *peer):
        assert admits(granted, *peer)


@given(st.text(max_size=400))
def test_any_text_has_a_normal_form_or_is_refused(host: str) -> None:
    for normal in (normal_host, normal_pattern):
        try:
            form = normal(host)
        except ValueError:
            continue
        assert form.isascii()
        assert form.isprintable()
        assert normal(form) == form
