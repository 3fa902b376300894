"""URLs, read strictly: what is checked is, part by part, what is connected to.

Nothing parses a URL again after this. A part that two parsers might read differently (a
backslash, a user name, a control character, a host in an odd form) is refused.
"""

from __future__ import annotations

from sen_host.effects.faults import EffectRefused
from sen_host.messages import NetProtocol
from sen_host.permissions.network import normal_host
from sen_host.records import NamedTuple

MAX_URL_CHARS = 8_192

_PORTS = {"https": 443, "http": 80}
_VISIBLE = "".join(map(chr, range(0x21, 0x7F)))
_KEPT = "".join(letter for letter in _VISIBLE if letter not in '"<>\\^`{|}')


class Url(NamedTuple):
    """Where a request goes.

    Attributes:
        scheme: ``https`` or ``http``.
        host: a name in lower case and IDNA form, or an address; IPv6 without brackets.
        port: 1 to 65,535.
        target: path and query, as they are sent.
    """

    scheme: str
    host: str
    port: int
    target: str

    @property
    def protocol(self) -> NetProtocol:
        """The protocol that a pattern has to grant."""
        return NetProtocol(self.scheme)

    @property
    def authority(self) -> str:
        """Host and port as the Host header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """Scheme, host and port: what may be shown of a URL that may hold secrets."""
        return f"{self.scheme}://{self.authority}"

    def __str__(self) -> str:
        return self.origin + self.target

    def join(self, location: str) -> Url:
        """The URL that a redirect from here leads to.

        Raises:
            EffectRefused: as ``parse_url``.
        """
        from urllib.parse import urljoin

        if len(location) > MAX_URL_CHARS:
            raise EffectRefused("the URL is too long")
        _check_characters(location)
        try:
            return parse_url(urljoin(str(self), location))
        except ValueError:
            raise EffectRefused("the server redirects to what is no URL") from None


def parse_url(text: str) -> Url:
    """Read a URL.

    Raises:
        EffectRefused: it is not an http or https URL, or is not written as one should be.
    """
    from urllib.parse import quote

    if len(text) > MAX_URL_CHARS:
        raise EffectRefused("the URL is too long")
    text = text.strip(" ")
    _check_characters(text)
    scheme, separator, rest = text.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in _PORTS:
        raise EffectRefused("not an http:// or https:// URL")
    end = next((at for at, letter in enumerate(rest) if letter in "/?#"), len(rest))
    authority, target = rest[:end], rest[end:].partition("#")[0]
    if "@" in authority:
        raise EffectRefused("credentials in a URL are not allowed")
    if "\\" in authority or " " in authority:
        raise EffectRefused("the URL's host is not valid")
    host, port = _split_port(authority, _PORTS[scheme])
    if not target.startswith("/"):
        target = f"/{target}"
    try:
        host = normal_host(host)
    except ValueError as error:
        raise EffectRefused("the URL's host is not valid", f"the URL's host: {error}") from None
    return Url(scheme, host, port, quote(target, safe=_KEPT, errors="replace"))


def _check_characters(text: str) -> None:
    if any(letter < " " or "\x7f" <= letter <= "\x9f" for letter in text):
        raise EffectRefused("the URL has control characters in it")


def _split_port(authority: str, default: int) -> tuple[str, int]:
    host, bracket, rest = authority.rpartition("]")
    if bracket:
        host += bracket
        colon, digits = rest[:1], rest[1:]
        if colon not in ("", ":"):
            raise EffectRefused("the URL's host is not valid")
    else:
        host, colon, digits = authority.partition(":")
    if not digits:
        return host, default
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 5):
        raise EffectRefused("the URL's port is not valid")
    port = int(digits)
    if not 1 <= port <= 65_535:
        raise EffectRefused("the URL's port is not valid")
    return host, port
