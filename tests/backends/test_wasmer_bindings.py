"""Which binding of Wasmer is offered where, and what is said where one is not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import SimpleNamespace

import pytest

from sen_host.backend import Binding, Capability
from sen_host_wasmer import WasmerBackend, bindings

Place = Callable[..., tuple[Binding, Binding]]


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Place:
    """Ask for the bindings as if on another interpreter, with other packages."""

    def ask(
        python: tuple[int, int] = (3, 11),
        implementation: str = "cpython",
        platform: str = "linux",
        libc: str = "glibc 2.36",
        stub: bool = False,
        **packages: str,
    ) -> tuple[Binding, Binding]:
        installed = {name.replace("_", "-"): number for name, number in packages.items()}

        def package_folders(name: str) -> list[str]:
            folder = tmp_path / name
            folder.mkdir(exist_ok=True)
            if not stub:
                (folder / (name + EXTENSION_SUFFIXES[0])).touch()
            return [str(folder)]

        class VersionInfo(tuple[int, ...]):
            major, minor = python

        fake_sys = SimpleNamespace(
            version_info=VersionInfo(python),
            platform=platform,
            implementation=SimpleNamespace(name=implementation),
        )
        monkeypatch.setattr(bindings, "sys", fake_sys)
        monkeypatch.setattr(bindings, "version", installed.get)
        monkeypatch.setattr(bindings, "package_folders", package_folders)
        monkeypatch.setattr(os, "confstr", lambda name: libc)
        native, sdk = WasmerBackend.bindings()
        return native, sdk

    return ask


def test_the_native_binding_needs_no_worker(place: Place) -> None:
    native, _ = place((3, 10), wasmer="1.1.0", wasmer_compiler_cranelift="1.1.0")
    assert native.available
    assert (native.name, native.engine) == ("native", "Wasmer 2.1")
    assert native.packages == ("wasmer 1.1.0", "wasmer-compiler-cranelift 1.1.0")
    assert (native.isolation, native.has(Capability.ANY_THREAD)) == ("none", False)


def test_the_sdk_binding_asks_for_a_worker(place: Place) -> None:
    _, sdk = place(wasmer_sdk="0.5.0")
    assert sdk.available
    assert (sdk.name, sdk.engine) == ("sdk", "Wasmer 7")
    assert sdk.packages == ("wasmer-sdk 0.5.0",)
    assert sdk.isolation == "process"


def test_from_python_3_11_on_the_native_binding_names_the_interpreter(place: Place) -> None:
    native, _ = place((3, 12), wasmer="1.1.0", wasmer_compiler_cranelift="1.1.0")
    assert native.reason is not None
    assert "CPython 3.12" in native.reason
    assert native.remedy is None


@pytest.mark.parametrize(
    ("where", "reason", "remedy"),
    [
        ({}, "wasmer is not installed", "pip install 'sen-host[wasmer]'"),
        ({"wasmer": "1.1.0"}, "wasmer-compiler-cranelift is not installed", "sen-host[wasmer]"),
        ({"wasmer": "1.0.0"}, "wasmer 1.0.0 is installed", "sen-host[wasmer]"),
        ({"wasmer": "1.1.0", "stub": True}, "wasmer is a stub", None),
        ({"implementation": "pypy"}, "pypy 3.10", None),
    ],
)
def test_why_the_native_binding_is_not_available(
    place: Place, where: dict[str, str], reason: str, remedy: str | None
) -> None:
    native, _ = place((3, 10), **where)
    assert native.reason is not None
    assert reason in native.reason
    assert native.remedy == remedy or (remedy is not None and remedy in (native.remedy or ""))


@pytest.mark.parametrize(
    ("where", "reason", "remedy"),
    [
        ({}, "wasmer-sdk is not installed", "pip install 'sen-host[wasmer]'"),
        ({"python": (3, 10)}, "wasmer-sdk is not installed", "pip install 'wasmer-sdk>=0.5.0"),
        ({"wasmer_sdk": "0.6.0"}, "0.6.0 is installed; this release was proven on 0.5.x", "<0.6'"),
        (
            {"wasmer_sdk": "0.5.0", "libc": "glibc 2.31"},
            "glibc 2.35 or later, this system has 2.31",
            None,
        ),
        ({"wasmer_sdk": "0.5.0", "libc": ""}, "another C library", None),
        ({"wasmer_sdk": "0.5.0", "platform": "win32"}, "win32", None),
    ],
)
def test_why_the_sdk_binding_is_not_available(
    place: Place, where: dict[str, str], reason: str, remedy: str | None
) -> None:
    _, sdk = place(**where)
    assert sdk.reason is not None
    assert reason in sdk.reason
    assert sdk.remedy == remedy or (remedy is not None and remedy in (sdk.remedy or ""))


def test_asking_imports_no_engine() -> None:
    code = (
        "import sys; from sen_host_wasmer import WasmerBackend; WasmerBackend.bindings();"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert "sen_host_wasmer.bindings" in loaded
    assert not {"wasmer", "wasmer_compiler_cranelift", "wasmer_sdk", "asyncio"} & set(loaded)
