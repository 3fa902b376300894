"""URLs are read strictly, and one way only."""

from __future__ import annotations

import httpcore
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sen_host.effects.faults import EffectRefused
from sen_host.effects.url import Url, parse_url


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://example.com", Url("http", "example.com", 80, "/")),
        ("HTTPS://Example.COM.", Url("https", "example.com", 443, "/")),
        ("https://x.org:8443/a/b?c=d#e", Url("https", "x.org", 8443, "/a/b?c=d")),
        ("http://x.org?q", Url("http", "x.org", 80, "/?q")),
        ("http://x.org#@evil.org/", Url("http", "x.org", 80, "/")),
        ("http://x.org:/", Url("http", "x.org", 80, "/")),
        ("http://[2606:4700:0::1111]:81/", Url("http", "2606:4700::1111", 81, "/")),
        ("http://[::ffff:127.0.0.1]/", Url("http", "127.0.0.1", 80, "/")),
        ("http://bücher.example/", Url("http", "xn--bcher-kva.example", 80, "/")),
        ("http://x.org/ü ?ü=%C3%BC", Url("http", "x.org", 80, "/%C3%BC%20?%C3%BC=%C3%BC")),
        ('http://x.org/\\"<>', Url("http", "x.org", 80, "/%5C%22%3C%3E")),
        ("  http://x.org/  ", Url("http", "x.org", 80, "/")),
    ],
)
def test_a_url_is_read(text: str, url: Url) -> None:
    assert parse_url(text) == url


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not an http"),
        ("example.com", "not an http"),
        ("file:///etc/passwd", "not an http"),
        ("ftp://x.org", "not an http"),
        ("http:x.org", "not an http"),
        ("http:///x", "host is not valid"),
        ("http://user@x.org", "credentials"),
        ("http://user:pass@x.org", "credentials"),
        ("http://x.org@evil.org", "credentials"),
        ("http://x.org\\@evil.org", "credentials"),
        ("http://x.org\\.evil.org", "host is not valid"),
        ("http://x org/", "host is not valid"),
        ("http://127.1/", "host is not valid"),
        ("http://0x7f000001/", "host is not valid"),
        ("http://2130706433/", "host is not valid"),
        ("http://0177.0.0.1/", "host is not valid"),
        ("http://127.0.0.01/", "host is not valid"),
        ("http://%6c%6f/", "host is not valid"),
        ("http://[fe80::1%25eth0]/", "host is not valid"),
        ("http://[::1]x/", "host is not valid"),
        ("http://::1/", "is not valid"),
        ("http://x..org/", "host is not valid"),
        ("http://x.org:0/", "port"),
        ("http://x.org:65536/", "port"),
        ("http://x.org:٨٠/", "port"),
        ("http://x.org:-1/", "port"),
        ("http://x.org/\r\nHost: evil", "control"),
        ("http://x.org/\x00", "control"),
        ("http://x\t.org/", "control"),
        ("http://x.org/\x85", "control"),
        ("http://x.org/" + "a" * 8_192, "too long"),
    ],
)
def test_what_could_be_misread_is_refused(text: str, why: str) -> None:
    with pytest.raises(EffectRefused, match=why):
        parse_url(text)


@pytest.mark.parametrize(
    ("location", "leads_to"),
    [
        ("/b", "http://x.org:81/b"),
        ("b", "http://x.org:81/a/b"),
        ("//y.org/b", "http://y.org/b"),
        ("https://y.org", "https://y.org/"),
        ("?q", "http://x.org:81/a/a?q"),
        ("../../..", "http://x.org:81/"),
    ],
)
def test_a_redirect_is_joined(location: str, leads_to: str) -> None:
    assert str(parse_url("http://x.org:81/a/a").join(location)) == leads_to


@pytest.mark.parametrize(
    "location", ["//user@y.org", "ftp://y.org", "http://[", "/\r\nx", "javascript:x", "a" * 9_000]
)
def test_a_redirect_to_what_is_no_url_is_refused(location: str) -> None:
    with pytest.raises(EffectRefused):
        parse_url("http://x.org/").join(location)


PIECES = st.lists(
    st.sampled_from(
        "http https :// : / \\ @ ? # [ ] :: 127.0.0.1 x.org localhost %41 . ü \n 0".split(" ")
    )
    | st.text(max_size=3)
).map("".join)


@given(PIECES, st.booleans())
def test_what_is_read_has_one_meaning(rest: str, whole: bool) -> None:
    try:
        url = parse_url(rest if whole else f"http://{rest}")
    except EffectRefused:
        return
    assert parse_url(str(url)) == url
    # Another parser takes it for the same.
    other = httpcore.URL(str(url))
    assert (other.scheme.decode(), other.host.decode(), other.target.decode()) == (
        url.scheme,
        url.host,
        url.target,
    )
    assert other.origin.port == url.port
    assert url.target.isascii()
    assert url.target.isprintable()
    assert " " not in url.target
