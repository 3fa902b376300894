"""Bodies of responses: decompressed within the limit as they come, then read as text."""

from __future__ import annotations

from sen_host.effects.faults import EffectRefused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# The labels that the web knows (WHATWG Encoding Standard), by Python's name of the codec.
# Python knows others that are no charsets of text, and some that decompress.
_CODECS = {
    "utf-8": "utf-8",
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    **{f"iso8859-{part}": f"iso8859-{part}" for part in (2, 3, 4, 5, 6, 7, 8, 10, 13, 14, 15, 16)},
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    **{f"cp{page}": f"cp{page}" for page in (866, 874, *range(1250, 1259))},
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "gb18030": "gb18030",
    "big5": "big5hkscs",
    "euc_jp": "euc_jp",
    "shift_jis": "cp932",
    "cp932": "cp932",
    "iso2022_jp": "iso2022_jp",
    "euc_kr": "cp949",
    "koi8-r": "koi8-r",
    "koi8-u": "koi8-u",
    "mac-roman": "mac-roman",
    "mac-cyrillic": "mac-cyrillic",
    "utf-16": "utf-16-le",
    "utf-16-le": "utf-16-le",
    "utf-16-be": "utf-16-be",
}
_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))

_GZIP = 31
"""The argument by which zlib reads gzip, and nothing else."""


class BodyReader:
    """Takes a body piece by piece; never holds more than the limit and one piece.

    Args:
        content_encoding: the header's value, or None.
        most: how many bytes the body may have, compressed and decompressed.

    Raises:
        EffectRefused: the body is compressed in a way that was not asked for.
    """

    def __init__(self, content_encoding: str | None, most: int) -> None:
        encoding = (content_encoding or "").strip().lower()
        if encoding not in ("", "identity", "gzip", "x-gzip"):
            raise EffectRefused("the response is compressed in a way that was not asked for")
        self._zipped = encoding in ("gzip", "x-gzip")
        self._most = most
        # What gzip adds to data that it cannot compress.
        self._most_raw = most + most // 1000 + 1024 if self._zipped else most
        self._raw = 0
        self._body = bytearray()
        self._member: Any = None

    def feed(self, piece: bytes) -> None:
        """Take the next piece.

        Raises:
            EffectRefused: the body is too large, or is not gzip as it should be.
        """
        self._raw += len(piece)
        if self._raw > self._most_raw:
            raise self._too_large()
        if self._zipped:
            self._unzip(piece)
        else:
            self._body += piece

    def end(self) -> bytes:
        """The body, when all pieces are fed.

        Raises:
            EffectRefused: compressed data ended too early.
        """
        if self._member is not None:
            raise EffectRefused("the response's compressed body ends too early")
        return bytes(self._body)

    def _unzip(self, piece: bytes) -> None:
        import zlib

        while piece:
            if self._member is None:
                self._member = zlib.decompressobj(_GZIP)
            try:
                self._body += self._member.decompress(piece, self._most - len(self._body) + 1)
            except zlib.error:
                raise EffectRefused("the response's body is not valid gzip") from None
            if len(self._body) > self._most:
                raise self._too_large()
            piece = self._member.unconsumed_tail
            if self._member.eof:
                piece, self._member = self._member.unused_data, None

    def _too_large(self) -> EffectRefused:
        return EffectRefused(f"the response's body has more than {self._most:,} bytes")


def text_of(body: bytes, content_type: str | None) -> str:
    """The body as text.

    A byte order mark decides, then the charset of ``content_type`` if the web knows it,
    else it is UTF-8. What is not valid becomes U+FFFD, as in reqwest's ``text()``.
    """
    for mark, codec in _MARKS:
        if body.startswith(mark):
            return body[len(mark) :].decode(codec, "replace")
    return body.decode(_codec(content_type), "replace")


def _codec(content_type: str | None) -> str:
    import codecs

    for parameter in (content_type or "").split(";")[1:]:
        key, _, value = parameter.partition("=")
        if key.strip().lower() == "charset":
            try:
                name = codecs.lookup(value.strip().strip("\"'")[:40]).name
            except (LookupError, ValueError, UnicodeError):
                return "utf-8"
            return _CODECS.get(name, "utf-8")
    return "utf-8"
