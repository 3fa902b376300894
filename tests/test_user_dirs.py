"""The user's directories are those of platformdirs, which is rarely imported for them."""

from __future__ import annotations

import os
import sys

import platformdirs
import pytest

from sen_host.user_dirs import user_directory
from tests.test_dependencies import run_python

VARIABLES = ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "ANDROID_DATA")


@pytest.mark.parametrize(
    "environ",
    [
        {"HOME": "/home/alice"},
        {"HOME": "/home/alice/"},
        {"HOME": "/"},
        {"HOME": "/home/alice", "XDG_CONFIG_HOME": "/etc/alice", "XDG_CACHE_HOME": "/var/alice"},
        {"HOME": "/home/alice", "XDG_CONFIG_HOME": "/etc/alice/", "XDG_CACHE_HOME": ""},
        {"HOME": "/home/alice", "XDG_CONFIG_HOME": "relative", "XDG_CACHE_HOME": " "},
        {"XDG_CONFIG_HOME": "/etc/alice"},
        {"HOME": "/home/alice", "ANDROID_DATA": "/data"},
        {},
    ],
)
def test_they_are_those_of_platformdirs(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str]
) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    config = platformdirs.user_config_dir("sen-host", appauthor=False)
    cache = platformdirs.user_cache_dir("sen-host", appauthor=False)
    assert (user_directory("config"), user_directory("cache")) == (config, cache)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere platformdirs is asked")
def test_an_ordinary_home_needs_no_platformdirs() -> None:
    code = "import sys, sen_host.user_dirs as u; u.user_directory('cache'); print(*sys.modules)"
    assert os.path.isabs(os.environ.get("HOME", ""))
    assert "platformdirs" not in run_python(code).split()
