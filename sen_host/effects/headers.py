"""Headers: what a plugin may send, and what it gets to see."""

from __future__ import annotations

from sen_host.effects.faults import EffectRefused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from sen_host.effects.limits import EffectLimits
    from sen_host.effects.url import Url
    from sen_host.messages import Headers

DEFAULT_CONTENT_TYPE = "application/json"
"""Of a POST that says nothing of it, as the Rust crate documents."""

_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")

# The host writes them itself: they say where a request ends, and for whom it is.
_RESERVED = frozenset(
    "accept-encoding connection content-encoding content-length expect host http2-settings"
    " keep-alive te trailer transfer-encoding upgrade".split()
)

_FOR_ANY_ORIGIN = frozenset(("accept", "accept-language", "user-agent", "content-type"))
"""What goes on to another origin; all else may be a secret for the first one."""

# They describe the body as it was sent, not as the plugin gets it.
_OF_TRANSFER = frozenset(("content-encoding", "content-length", "transfer-encoding"))


def request_headers(
    asked: Headers, content_type: str | None, *, has_body: bool, limits: EffectLimits
) -> Headers:
    """The headers that a plugin asked for, checked, with lower-case names.

    Raises:
        EffectRefused: a name or a value is not valid, or is not for plugins to set.
    """
    checked = [(_name(name), _value(name, value)) for name, value in asked]
    if has_body:
        named = any(name == "content-type" for name, _ in checked)
        if named and content_type is not None:
            raise EffectRefused("the header 'content-type' is given twice")
        if not named:
            value = _value("content-type", content_type or DEFAULT_CONTENT_TYPE)
            checked.append(("content-type", value))
    _check_size(checked, limits, "the request")
    return tuple(checked)


def for_redirect(headers: Headers, *, same_origin: bool, has_body: bool) -> Headers:
    """Those that go on with a redirect."""
    return tuple(
        (name, value)
        for name, value in headers
        if (same_origin or name in _FOR_ANY_ORIGIN) and (has_body or name != "content-type")
    )


def on_the_wire(headers: Headers, url: Url, body: bytes | None) -> list[tuple[bytes, bytes]]:
    """All headers of a request, those of the host among them."""
    from sen_host import __version__

    own = {
        "accept": "*/*",
        "user-agent": f"sen-host/{__version__}",
    }
    given = {name for name, _ in headers}
    lines = [
        ("host", url.authority),
        *headers,
        *((name, value) for name, value in own.items() if name not in given),
        ("accept-encoding", "gzip"),
        ("connection", "close"),
    ]
    if body is not None:
        lines.append(("content-length", str(len(body))))
    return [(name.encode("ascii"), value.encode("ascii")) for name, value in lines]


def response_headers(raw: Iterable[tuple[bytes, bytes]], limits: EffectLimits) -> Headers:
    """A response's headers as text, with lower-case names.

    Raises:
        EffectRefused: there are too many of them.
    """
    headers = [(name.decode("latin-1").lower(), as_text(value)) for name, value in raw]
    _check_size(headers, limits, "the response")
    return tuple(headers)


def for_plugin(headers: Headers) -> Headers:
    """Those that fit the body as the plugin gets it."""
    return tuple((name, value) for name, value in headers if name not in _OF_TRANSFER)


def find(headers: Headers, name: str) -> str | None:
    """The first value of a header; None if it is not there."""
    return next((value for key, value in headers if key == name), None)


def as_text(value: bytes) -> str:
    """A header's value: UTF-8 if it is that, else Latin-1, which anything is."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _name(name: str) -> str:
    lower = name.lower()
    shown = repr(name[:80])
    if not lower or not _TOKEN.issuperset(lower):
        raise EffectRefused(f"the header name {shown} is not valid")
    if lower in _RESERVED or lower.startswith("proxy-"):
        raise EffectRefused(f"the header {shown} is not for plugins to set")
    return lower


def _value(name: str, value: str) -> str:
    stripped = value.strip(" \t")
    if any(not (" " <= letter <= "~" or letter == "\t") for letter in stripped):
        raise EffectRefused(
            f"the value of the header {name[:80]!r} has characters other than printable ASCII"
        )
    return stripped


def _check_size(headers: list[tuple[str, str]], limits: EffectLimits, whose: str) -> None:
    if len(headers) > limits.header_count:
        raise EffectRefused(f"{whose} has more than {limits.header_count:,} headers")
    if sum(len(name) + len(value) for name, value in headers) > limits.header_bytes:
        raise EffectRefused(f"the headers of {whose} have more than {limits.header_bytes:,} bytes")
