"""Headers and bodies, by themselves."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import httpcore
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sen_host import EffectLimits
from sen_host.effects.body import BodyReader, text_of
from sen_host.effects.faults import EffectRefused
from sen_host.effects.headers import request_headers, response_headers
from sen_host.effects.sockets import Deadline, Stream

LIMITS = EffectLimits(header_count=3, header_bytes=100)


def ask(*headers: tuple[str, str], content_type: str | None = None) -> tuple[tuple[str, str], ...]:
    return request_headers(headers, content_type, has_body=True, limits=LIMITS)


class TestHeaders:
    def test_names_are_lower_case_and_values_stripped(self) -> None:
        json = ("content-type", "application/json")
        assert ask(("X-A", " b\t"), ("x-a", "c")) == (("x-a", "b"), ("x-a", "c"), json)
        assert request_headers((("a", "b"),), None, has_body=False, limits=LIMITS) == (("a", "b"),)
        assert ask(("Content-Type", "text/x")) == (("content-type", "text/x"),)
        assert ask(content_type="text/x") == (("content-type", "text/x"),)

    @pytest.mark.parametrize(
        "name",
        "Host Content-Length transfer-encoding CONNECTION Keep-Alive TE Trailer Upgrade Expect"
        " Accept-Encoding Content-Encoding Proxy-Authorization Proxy-Anything".split(),
    )
    def test_what_frames_a_request_is_not_for_plugins(self, name: str) -> None:
        with pytest.raises(EffectRefused, match="not for plugins"):
            ask((name, "1"))

    @pytest.mark.parametrize("name", ["", " ", "a b", "a:", "a\r\nb", "ü", "a\x00", "(a)"])
    def test_a_name_that_is_none(self, name: str) -> None:
        with pytest.raises(EffectRefused, match="not valid"):
            ask((name, "1"))

    @pytest.mark.parametrize("value", ["a\r\nHost: evil", "a\nb", "\x00", "\x7f", "ü", "\x1b[2J"])
    def test_a_value_that_injects(self, value: str) -> None:
        with pytest.raises(EffectRefused, match="printable ASCII"):
            ask(("x", value))
        with pytest.raises(EffectRefused, match="printable ASCII"):
            ask(content_type=value)

    def test_one_content_type(self) -> None:
        with pytest.raises(EffectRefused, match="twice"):
            ask(("Content-Type", "a/b"), content_type="a/b")

    def test_not_too_many_and_not_too_large(self) -> None:
        with pytest.raises(EffectRefused, match="the request has more than 3 headers"):
            ask(*[("a", "b")] * 4)
        with pytest.raises(EffectRefused, match="more than 100 bytes"):
            ask(("a", "b" * 100))
        with pytest.raises(EffectRefused, match="the response has more than 3 headers"):
            response_headers([(b"a", b"b")] * 4, LIMITS)

    @given(st.lists(st.tuples(st.binary(), st.binary())))
    def test_any_bytes_of_a_server_become_text(self, raw: list[tuple[bytes, bytes]]) -> None:
        wide = EffectLimits(header_count=1_000)
        headers = response_headers(raw, wide)
        assert len(headers) == len(raw)
        for text in (part for pair in headers for part in pair):
            text.encode()


class TestBody:
    @given(st.lists(st.binary(max_size=200)), st.booleans(), st.integers(1, 50))
    def test_a_body_comes_out_as_it_went_in(
        self, members: list[bytes], zipped: bool, size: int
    ) -> None:
        sent = b"".join(gzip.compress(member) if zipped else member for member in members)
        body = b"".join(members)
        reader = BodyReader("gzip" if zipped else None, max(len(body), 1) * 10 + 2_000)
        for at in range(0, len(sent), size):
            reader.feed(sent[at : at + size])
        assert reader.end() == body

    @given(st.binary(min_size=1, max_size=300), st.integers(0, 299))
    def test_the_limit_is_exact(self, body: bytes, most: int) -> None:
        for encoding, sent in ((None, body), ("gzip", gzip.compress(body))):
            reader = BodyReader(encoding, most)
            if len(body) <= most:
                reader.feed(sent)
                assert reader.end() == body
            else:
                with pytest.raises(EffectRefused, match=f"more than {most:,} bytes"):
                    reader.feed(sent)

    def test_a_bomb_is_never_unpacked(self) -> None:
        bomb = gzip.compress(bytes(32 << 20))
        reader = BodyReader("gzip", 100_000)
        tracemalloc.start()
        try:
            with pytest.raises(EffectRefused, match="more than 100,000 bytes"):
                reader.feed(bomb)
            assert tracemalloc.get_traced_memory()[1] < 1 << 20
        finally:
            tracemalloc.stop()

    def test_compressed_data_without_end_that_unpacks_to_nothing(self) -> None:
        reader = BodyReader("gzip", 1_000)
        with pytest.raises(EffectRefused, match="more than 1,000 bytes"):
            reader.feed(gzip.compress(b"") * 1_000)

    @given(st.binary(min_size=1))
    def test_garbage_is_not_gzip(self, garbage: bytes) -> None:
        reader = BodyReader("gzip", 1 << 20)
        try:
            expected = zlib.decompress(garbage, 31)
        except zlib.error:
            expected = None
        if expected is None:
            with pytest.raises(EffectRefused, match=r"gzip|too early"):
                _all(reader, garbage)

    @pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "zstd", "x" * 1_000])
    def test_an_encoding_that_was_not_asked_for(self, encoding: str) -> None:
        with pytest.raises(EffectRefused, match="not asked for"):
            BodyReader(encoding, 1)


def _all(reader: BodyReader, sent: bytes) -> bytes:
    reader.feed(sent)
    return reader.end()


class TestText:
    @pytest.mark.parametrize(
        ("body", "content_type", "text"),
        [
            ("ü".encode(), None, "ü"),
            ("ü".encode(), "text/html", "ü"),
            ("ü€".encode("cp1252"), "text/html; charset=ISO-8859-1", "ü€"),
            ("ü".encode("latin-1"), 'text/html; charset="latin1"', "ü"),
            ("ж".encode("koi8-r"), "text/html; Charset=KOI8-R; x=y", "ж"),
            ("日本".encode("cp932"), "text/html;charset=Shift_JIS", "日本"),
            ("日本".encode("gb18030"), "text/html;charset=gb2312", "日本"),
            ("ü".encode("utf-16-le"), "text/html; charset=utf-16", "ü"),
            (b"\xef\xbb\xbf\xc3\xbc", "text/html; charset=latin1", "ü"),
            (b"\xff\xfe\xfc\x00", None, "ü"),
            (b"\xfe\xff\x00\xfc", None, "ü"),
            (b"a\xffb", None, "a\ufffdb"),
            (b"a", "text/html; charset=none-such", "a"),
            (b"a", "text/html; charset=", "a"),
            (b"YQ==", "text/html; charset=base64", "YQ=="),
            (b"\\u0041", "text/html; charset=unicode_escape", "\\u0041"),
            (b"+AGE-", "text/html; charset=utf-7", "+AGE-"),
        ],
    )
    def test_the_charset_decides(self, body: bytes, content_type: str | None, text: str) -> None:
        assert text_of(body, content_type) == text

    @given(st.binary(), st.sampled_from(["latin1", "euc-kr", "big5", "utf-16be", "tis-620", "866"]))
    def test_any_bytes_are_some_text(self, body: bytes, charset: str) -> None:
        text_of(body, f"text/plain; charset={charset}").encode()

    @given(st.text())
    def test_no_content_type_of_a_server_is_an_error(self, content_type: str) -> None:
        assert text_of(b"a", f"text/plain; charset={content_type}") in ("a", "\ufffd")


class SippingSocket:
    """A socket that takes a byte a second; ``sendall`` is that of one with TLS."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timeout = 0.0

    def settimeout(self, seconds: float) -> None:
        self.timeout = seconds

    def send(self, data: bytes | memoryview) -> int:
        if self.timeout < 1:
            raise TimeoutError("timed out")
        self.now += 1
        return min(1, len(data))

    def sendall(self, data: bytes) -> None:
        for _ in data:
            self.send(data)


def test_a_server_that_reads_slowly_does_not_outlive_the_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slow = SippingSocket()
    monkeypatch.setattr("time.monotonic", lambda: slow.now)
    deadline = Deadline()
    deadline.set(5)
    stream = Stream(slow, deadline)  # type: ignore[arg-type]
    stream.write(b"abc")
    with pytest.raises(httpcore.WriteTimeout):
        stream.write(bytes(1_000))
    assert slow.now == 5
