"""Network patterns: which peers a pattern admits, and which patterns it covers.

A pattern names one host exactly, or with ``*.`` in front all names below one, or with
``*`` alone every host. An address is never below a name. Hosts are compared in one
normal form, so that letter case, a final dot, IDNA and the many ways to write an IPv6
address make no difference. What has no normal form is admitted by nothing.
"""

from __future__ import annotations

import re

from sen_host.messages.types import NetPattern, NetProtocol

_MOST_CHARACTERS = 300
"""Longer than every name and address, in every way to write it."""

_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9_-]{1,63}(?<!-))*\Z")

# Some resolvers read every name that ends in a number as an IPv4 address: 127.1, 0x7f000001.
_LIKE_IPV4 = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)\Z")


def admits(pattern: NetPattern, protocol: NetProtocol, host: str, port: int) -> bool:
    """Whether the pattern allows a connection with that protocol to that host and port.

    The protocol has to be the same: a pattern for HTTPS admits no HTTP, one for TCP
    neither. A pattern without a port admits all ports.

    Args:
        pattern: what is granted.
        protocol: what is spoken.
        host: a name or an address as it stands in a URL; brackets are optional.
        port: 0 to 65,535.
    """
    if pattern.protocol != protocol or pattern.port not in (None, port):
        return False
    return _below(_normal(pattern.host, wildcard=True), _normal(host))


def covers(granted: NetPattern, asked: NetPattern) -> bool:
    """Whether all that ``asked`` means is meant by ``granted`` too.

    A pattern without a valid host is covered by an equal one only. One that spells out an
    address or ``localhost`` grants that even if it is private, which no ``*`` does: so
    none covers it.
    """
    if granted == asked:
        return True
    if granted.protocol != asked.protocol or granted.port not in (None, asked.port):
        return False
    above, below = _normal(granted.host, wildcard=True), _normal(asked.host, wildcard=True)
    if above == "*" and below is not None and _is_spelled_out(below):
        return False
    return _below(above, below)


def normal_host(host: str) -> str:
    """The one form in which hosts are compared and shown.

    A name is in lower case, in ASCII, without a final dot; an IPv4 address has four
    decimal numbers; an IPv6 address is compressed, without brackets. An IPv4 address
    within IPv6 (``::ffff:127.0.0.1``) is an IPv4 address.

    Raises:
        ValueError: it is neither a name nor an address. Other ways to write an IPv4
            address, such as ``127.1`` or ``0x7f.0.0.1``, are refused, and IPv6 zones.
    """
    if len(host) > _MOST_CHARACTERS:
        raise ValueError("it is too long for a host")
    if ":" in host:
        return _normal_ipv6(host)
    name = host.lower() if host.isascii() else _idna(host)
    if name.endswith("."):
        name = name[:-1]
    if len(name) > 253 or not _NAME.match(name):
        raise ValueError("it is not the name of a host")
    if _LIKE_IPV4.match(name):
        from ipaddress import IPv4Address

        try:
            return str(IPv4Address(name))
        except ValueError as error:
            raise ValueError("an IPv4 address has four decimal numbers") from error
    return name


def normal_pattern(host: str) -> str:
    """``normal_host`` for the host of a pattern: ``*`` and a leading ``*.`` stay.

    Raises:
        ValueError: it is no valid pattern.
    """
    if host == "*":
        return host
    if not host.startswith("*."):
        return normal_host(host)
    parent = normal_host(host[2:])
    if ":" in parent or _LIKE_IPV4.match(parent):
        raise ValueError("there is nothing below an address")
    return f"*.{parent}"


def _normal(host: str, *, wildcard: bool = False) -> str | None:
    try:
        return normal_pattern(host) if wildcard else normal_host(host)
    except ValueError:
        return None


def _below(pattern: str | None, host: str | None) -> bool:
    """Whether a host, or all hosts of a pattern, are admitted. Both are in normal form."""
    if pattern is None or host is None:
        return False
    if pattern in ("*", host):
        return True
    if not pattern.startswith("*."):
        return False
    # `*.b.c` is below `*.c` as the name `a.b.c` is. An address ends in no name.
    return host.endswith(pattern[1:])


def _is_spelled_out(host: str) -> bool:
    """Whether a host, in normal form, stands for itself wherever it is."""
    return host == "localhost" or ":" in host or _LIKE_IPV4.match(host) is not None


def _normal_ipv6(host: str) -> str:
    from ipaddress import IPv6Address

    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if "%" in host:
        raise ValueError("an address with a zone belongs to one machine")
    address = IPv6Address(host)
    return str(address.ipv4_mapped or address.compressed)


def _idna(host: str) -> str:
    # The codec of the standard library follows an older standard, by which some names lead
    # to other hosts than where HTTP clients go.
    try:
        import idna
    except ImportError as error:
        raise ValueError(
            "a name that is not ASCII needs `pip install 'sen-host[http]'`,"
            " or its form that begins with xn--"
        ) from error
    try:
        return idna.encode(host.lower()).decode("ascii")
    except UnicodeError as error:
        raise ValueError(f"it is not the name of a host: {error}") from error
