"""Which addresses a name may lead to."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sen_host.effects.addresses import embedded, kind_of, parse_address, parse_networks, refusal

SPECIAL = """
0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.100.100.200 127.0.0.1 127.255.255.254 168.63.129.16
169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.192 192.0.2.1 192.88.99.1
192.168.0.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.250
240.0.0.1 255.255.255.255
:: ::1 ::7f00:1 ::ffff:8.8.8.8 ::ffff:127.0.0.1 64:ff9b::8.8.8.8 64:ff9b::7f00:1
64:ff9b:1::1 100::1 2001::1 2001:db8::1 2002:7f00:1::1 2002:808:808::1 3fff::1 5f00::1
fc00::1 fd00:ec2::254 fe80::1 fe80::1%eth0 fec0::1 ff02::1 4000::1
""".split()

PUBLIC = """
1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0
168.63.129.15 169.253.255.255 172.15.255.255 172.32.0.0 192.167.255.255 223.255.255.255
2001:4860:4860::8888 2606:4700::1111 2a00:1450::1 2003::1
""".split()


@pytest.mark.parametrize("text", SPECIAL)
def test_what_is_special_is_refused(text: str) -> None:
    address = parse_address(text)
    assert address is not None
    assert refusal(address, ()) is not None


@pytest.mark.parametrize("text", PUBLIC)
def test_what_is_public_is_allowed(text: str) -> None:
    address = parse_address(text)
    assert address is not None
    assert refusal(address, ()) is None


@given(st.ip_addresses())
def test_nothing_that_python_takes_for_private_is_allowed(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if refusal(address, ()) is None:
        assert address.is_global
        assert not address.is_multicast
        assert not address.is_reserved


@given(st.ip_addresses(v=4), st.sampled_from(["::ffff:0:0", "64:ff9b::", "::"]))
def test_an_address_within_another_is_found(inner: ipaddress.IPv4Address, outer: str) -> None:
    whole = ipaddress.IPv6Address(int(ipaddress.IPv6Address(outer)) + int(inner))
    if int(whole) > 1:
        assert embedded(whole) == inner
    # Not even granting the outer network opens the way to a special address inside.
    granted = parse_networks(["::/96", "::ffff:0:0/96", "64:ff9b::/96"])
    assert (refusal(whole, granted) is None) == (kind_of(inner) is None or int(whole) <= 1)


@given(st.ip_addresses(v=4))
def test_6to4_hides_no_address(inner: ipaddress.IPv4Address) -> None:
    whole = ipaddress.IPv6Address((0x2002 << 112) | (int(inner) << 80) | 1)
    assert embedded(whole) == inner
    assert refusal(whole, parse_networks(["2002::/16"])) == refusal(inner, ())


def test_a_granted_network_is_allowed_and_no_other() -> None:
    granted = parse_networks(["10.1.0.0/16", "fd00::/8"])
    assert refusal(ipaddress.ip_address("10.1.2.3"), granted) is None
    assert refusal(ipaddress.ip_address("fd00::1"), granted) is None
    assert refusal(ipaddress.ip_address("10.2.0.1"), granted) == "10.2.0.1 is a private address"
    assert refusal(ipaddress.ip_address("127.0.0.1"), granted) == "127.0.0.1 is a loopback address"
