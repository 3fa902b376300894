"""Where a user's own files are."""

from __future__ import annotations

import sys

import pytest

from sen_host.config import Config
from sen_host.user_dirs import user_directory

HOME = {"HOME": "/home/alice"}


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "SEN_HOST_CONFIG"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("system", "environ", "config", "cache"),
    [
        ("linux", HOME, "/home/alice/.config/sen-host", "/home/alice/.cache/sen-host"),
        ("linux", {"HOME": "/"}, "/.config/sen-host", "/.cache/sen-host"),
        (
            "linux",
            HOME | {"XDG_CONFIG_HOME": "/etc/alice", "XDG_CACHE_HOME": "/var/alice/"},
            "/etc/alice/sen-host",
            "/var/alice/sen-host",
        ),
        (
            "linux",
            HOME | {"XDG_CONFIG_HOME": "relative", "XDG_CACHE_HOME": ""},
            "/home/alice/.config/sen-host",
            "/home/alice/.cache/sen-host",
        ),
        (
            "darwin",
            {"HOME": "/Users/alice"},
            "/Users/alice/Library/Application Support/sen-host",
            "/Users/alice/Library/Caches/sen-host",
        ),
        (
            "darwin",
            {"HOME": "/Users/alice", "XDG_CONFIG_HOME": "/etc/alice"},
            "/etc/alice/sen-host",
            "/Users/alice/Library/Caches/sen-host",
        ),
        ("linux", {"HOME": "relative"}, None, None),
    ],
)
def test_they_follow_the_rules_of_the_system(
    monkeypatch: pytest.MonkeyPatch,
    system: str,
    environ: dict[str, str],
    config: str | None,
    cache: str | None,
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert (user_directory("config"), user_directory("cache")) == (config, cache)


def test_a_user_without_a_home_has_no_configuration_of_his_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", "nowhere")
    assert Config.load(directory="/").files == ()
