"""Limits and patterns are checked when they are given."""

from __future__ import annotations

import pickle

import pytest

from sen_host import EffectDriver, EffectLimits
from sen_host.effects import parse_pattern
from sen_host.effects.limits import EFFECT_LIMITS
from sen_host.errors import ConfigError, InvalidLimit
from sen_host.messages import NetPattern, NetProtocol


def test_the_defaults_are_valid_and_small() -> None:
    limits = EffectLimits()
    assert limits.effects == 1_000
    assert limits.body_bytes == 8 << 20
    assert pickle.loads(pickle.dumps(limits)) == limits


@pytest.mark.parametrize("name", EFFECT_LIMITS)
@pytest.mark.parametrize("value", [-1, 2**32, True, None, "1", float("nan"), float("inf")])
def test_what_is_out_of_range_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(InvalidLimit, match=rf"EffectLimits\.{name} is .*; it must be") as caught:
        EffectLimits(**{name: value})  # type: ignore[arg-type]
    assert caught.value.key == name


def test_only_sleeps_may_take_no_time() -> None:
    assert EffectLimits(sleep_seconds=0, total_sleep_seconds=0).sleep_seconds == 0
    with pytest.raises(InvalidLimit, match="above 0"):
        EffectLimits(read_seconds=0)


@pytest.mark.parametrize(
    ("text", "host", "port", "protocol"),
    [
        ("example.com", "example.com", None, NetProtocol.HTTPS),
        ("EXAMPLE.com.:8443", "example.com", 8443, NetProtocol.HTTPS),
        ("https://*.example.com", "*.example.com", None, NetProtocol.HTTPS),
        ("http://localhost:8000/", "localhost", 8000, NetProtocol.HTTP),
        ("HTTP://*", "*", None, NetProtocol.HTTP),
        ("http://[::1]:80", "::1", 80, NetProtocol.HTTP),
        ("[2001:DB8::1]", "2001:db8::1", None, NetProtocol.HTTPS),
        ("127.0.0.1:1", "127.0.0.1", 1, NetProtocol.HTTPS),
    ],
)
def test_a_pattern_is_read(text: str, host: str, port: int | None, protocol: NetProtocol) -> None:
    assert parse_pattern(text) == NetPattern(host, port, protocol)


@pytest.mark.parametrize(
    "text",
    "ftp://x https:// x:0 x:65536 x:http x: ::1 [::1 127.1 0x7f.1 a.*.b *.127.0.0.1"
    " http://x/path user@x x:٣ \x1b[2J".split(" "),
)
def test_a_pattern_that_is_not_one_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is not valid") as caught:
        parse_pattern(text)
    assert "\x1b" not in str(caught.value)
    assert "http://localhost:8000" in str(caught.value)


def test_a_driver_refuses_what_could_never_be_granted() -> None:
    with pytest.raises(ConfigError, match=r"'https://example\.com' is not valid"):
        EffectDriver([NetPattern("https://example.com")])
    with pytest.raises(ConfigError, match="is of type str"):
        EffectDriver(["example.com"])  # type: ignore[list-item]
    with pytest.raises(ConfigError, match=r"private_networks: .*host bits set"):
        EffectDriver(private_networks=["10.0.0.1/8"])
    with pytest.raises(ConfigError, match="is a string"):
        EffectDriver(private_networks="10.0.0.0/8")


def test_patterns_that_a_plugin_was_granted_may_be_anything() -> None:
    asked = (NetPattern("not a host"),)
    driver = EffectDriver(limits=EffectLimits(effects=3)).with_net(asked)
    assert driver.net == asked
    assert driver.limits.effects == 3
