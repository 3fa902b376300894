"""Network patterns as people write them: ``example.com``, ``http://localhost:8000``."""

from __future__ import annotations

from sen_host.errors import ConfigError
from sen_host.messages import NetPattern, NetProtocol
from sen_host.permissions.network import normal_pattern

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def parse_pattern(text: str) -> NetPattern:
    """Read ``[https://|http://]HOST[:PORT]``; without a scheme it is HTTPS.

    HOST is a name, ``*.`` and a name for all below it, ``*`` for all, or an address
    (IPv6 in brackets).

    Raises:
        ConfigError: it is not written so.
    """
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "https", text
    rest = rest.removesuffix("/")
    host, port = rest, ""
    if not rest.endswith("]") and ":" in rest:
        host, _, port = rest.rpartition(":")
    if scheme.lower() not in ("https", "http"):
        raise _wrong(text, "the scheme must be https or http")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise _wrong(text, "an IPv6 address stands in brackets")
    if host != rest and not (
        port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65_535
    ):
        raise _wrong(text, "the port must be a number from 1 to 65,535")
    try:
        host = normal_pattern(host)
    except ValueError as error:
        raise _wrong(text, str(error)) from None
    return NetPattern(host, int(port) if port else None, NetProtocol(scheme.lower()))


def check_patterns(net: Iterable[NetPattern]) -> tuple[NetPattern, ...]:
    """The patterns, each with a host that can be admitted.

    Raises:
        ConfigError: one is no pattern, or its host is not valid.
    """
    patterns = tuple(net)
    for pattern in patterns:
        if not isinstance(pattern, NetPattern):
            raise ConfigError(
                f"a network pattern is of type {type(pattern).__name__}",
                key="net",
                hint="make one of a text with sen_host.effects.parse_pattern",
            )
        try:
            normal_pattern(pattern.host)
        except ValueError as error:
            raise _wrong(pattern.host, str(error)) from None
    return patterns


def _wrong(text: str, why: str) -> ConfigError:
    return ConfigError(
        f"the network pattern {text[:200]!r} is not valid: {why}",
        key="net",
        hint="write [https://|http://]HOST[:PORT], e.g. example.com or http://localhost:8000",
    )
