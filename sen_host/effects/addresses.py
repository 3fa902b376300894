"""Which addresses a name may stand for.

A name that a plugin may talk to can be made to resolve to anything by whoever owns its
zone. So an address is refused unless it is a public one, or in a network that is granted
explicitly. The table is that of the IANA registries of special addresses, written out
here: what ``ipaddress`` takes for global differs between versions of Python.
"""

from __future__ import annotations

from functools import cache

from sen_host.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

    Address = IPv4Address | IPv6Address
    Network = IPv4Network | IPv6Network

_SPECIAL_V4 = {
    "0.0.0.0/8": "unspecified",
    "10.0.0.0/8": "private",
    "100.64.0.0/10": "carrier-grade NAT",
    "127.0.0.0/8": "loopback",
    "168.63.129.16/32": "cloud metadata",
    "169.254.0.0/16": "link-local",
    "172.16.0.0/12": "private",
    "192.0.0.0/24": "special",
    "192.0.2.0/24": "documentation",
    "192.31.196.0/24": "special",
    "192.52.193.0/24": "special",
    "192.88.99.0/24": "6to4 relay",
    "192.168.0.0/16": "private",
    "192.175.48.0/24": "special",
    "198.18.0.0/15": "benchmarking",
    "198.51.100.0/24": "documentation",
    "203.0.113.0/24": "documentation",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved",
}

# Of IPv6, only what is allotted for public use is taken; this is the rest of that.
_PUBLIC_V6 = "2000::/3"
_SPECIAL_V6 = {
    "2001::/23": "special",
    "2001:db8::/32": "documentation",
    "2002::/16": "6to4",
    "2620:4f:8000::/48": "special",
    "3fff::/20": "documentation",
}
_NAMED_V6 = {
    "::/128": "unspecified",
    "::1/128": "loopback",
    "::ffff:0:0/96": "IPv4-mapped",
    "64:ff9b::/96": "NAT64",
    "64:ff9b:1::/48": "NAT64",
    "fc00::/7": "private",
    "fe80::/10": "link-local",
    "ff00::/8": "multicast",
}


@cache
def _tables() -> tuple[list[tuple[Network, str]], list[tuple[Network, str]], Network]:
    from ipaddress import ip_network

    v4: list[tuple[Network, str]] = [(ip_network(net), kind) for net, kind in _SPECIAL_V4.items()]
    v6: list[tuple[Network, str]] = [
        (ip_network(net), kind) for net, kind in (_SPECIAL_V6 | _NAMED_V6).items()
    ]
    return v4, v6, ip_network(_PUBLIC_V6)


def parse_address(text: str) -> Address | None:
    """An address as the resolver or a URL writes it, without its zone; None if it is none."""
    from ipaddress import ip_address

    try:
        return ip_address(text.partition("%")[0])
    except ValueError:
        return None


def kind_of(address: Address) -> str | None:
    """What a special address is for, e.g. ``loopback``; None for a public one."""
    v4, v6, public_v6 = _tables()
    for network, kind in v4 if address.version == 4 else v6:
        if address in network:
            return kind
    return "reserved" if address.version == 6 and address not in public_v6 else None


def embedded(address: Address) -> IPv4Address | None:
    """The IPv4 address that is written into an IPv6 address, as NAT64 does; else None."""
    from ipaddress import IPv4Address, IPv6Address

    if not isinstance(address, IPv6Address):
        return None
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    high = int(address) >> 32
    if high in (0, 0xFFFF, 0x64FF9B << 64) and int(address) > 1:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def parse_networks(networks: Iterable[str]) -> tuple[Network, ...]:
    """Networks such as ``10.0.0.0/8``.

    Raises:
        ConfigError: one is not a network, or has bits beyond its length.
    """
    if isinstance(networks, str):
        raise ConfigError(
            "private_networks is a string; it must be several", hint=f"write ({networks!r},)"
        )
    return tuple(_parse_network(text) for text in networks)


def _parse_network(text: str) -> Network:
    from ipaddress import ip_network

    try:
        return ip_network(text)
    except ValueError as error:
        raise ConfigError(
            f"private_networks: {error}",
            key="private_networks",
            hint="write an address and a length, e.g. '10.0.0.0/8'",
        ) from None


def refusal(address: Address, granted: tuple[Network, ...]) -> str | None:
    """Why a name must not stand for the address; None if it may.

    Of an address with another one in it, both have to be public or granted.
    """
    for each in (address, embedded(address)):
        if each is None:
            continue
        kind = kind_of(each)
        if kind is not None and not any(each in network for network in granted):
            return f"{each} is a {kind} address"
    return None
