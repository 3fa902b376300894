"""Which bindings of Wasmer can be used here, found out without importing one."""

from __future__ import annotations

import os
import sys

from sen_host.backend import Binding, Capability, Lack
from sen_host.distributions import package_folders, version

NATIVE = "native"
SDK = "sdk"

_PROVEN_NATIVE = "1.1.0"
_LAST_NATIVE_PYTHON = (3, 10)
_PROVEN_SDK = "0.5."
_SDK_REQUIREMENT = "wasmer-sdk>=0.5.0,<0.6"
_SDK_GLIBC = (2, 35)
_SDK_STACK_BYTES = 1 << 20
"""Wasmer's default; the package has no option for it."""
_INSTALL_EXTRA = "pip install 'sen-host[wasmer]'"
_INSTALL_SDK = f"pip install '{_SDK_REQUIREMENT}'"


def native_binding() -> Binding:
    """Wasmer in process, through ``wasmer`` and ``wasmer-compiler-cranelift``."""
    installed = {name: version(name) for name in ("wasmer", "wasmer-compiler-cranelift")}
    reason, remedy = _native_fault(installed)
    return Binding(
        name=NATIVE,
        engine="Wasmer 2.1" if reason is None else "Wasmer",
        packages=_labels(installed),
        reason=reason,
        remedy=remedy,
        lacks=(
            Lack(
                Capability.ANY_THREAD,
                "not possible",
                "the package's objects belong to the thread that made them",
            ),
            Lack(
                Capability.WALL_CLOCK,
                "not possible",
                "the package cannot interrupt a guest; a worker process (isolation) can",
            ),
        ),
    )


def sdk_binding() -> Binding:
    """Wasmer 7 through ``wasmer-sdk``, in a worker process."""
    installed = {"wasmer-sdk": version("wasmer-sdk")}
    reason, remedy = _sdk_fault(installed["wasmer-sdk"])
    return Binding(
        name=SDK,
        engine="Wasmer 7" if reason is None else "Wasmer",
        packages=_labels(installed),
        reason=reason,
        remedy=remedy,
        isolation="process",
        stack_bytes=_SDK_STACK_BYTES,
        lacks=(
            Lack(
                Capability.FULL_STACK,
                "not possible",
                "the package has no option for the size of a guest's stack",
            ),
            Lack(
                Capability.WALL_CLOCK,
                "not possible",
                "the package cannot interrupt a guest; its worker process can be ended",
            ),
            Lack(
                Capability.COUNTERS_AFTER_TRAP,
                "not possible",
                "a trap ends the process in which the guest runs",
            ),
        ),
    )


def _native_fault(installed: dict[str, str | None]) -> tuple[str | None, str | None]:
    if sys.implementation.name != "cpython" or sys.version_info[:2] > _LAST_NATIVE_PYTHON:
        return (
            f"the wasmer package has native wheels up to CPython 3.10, this is {_interpreter()}",
            None,
        )
    for name, found in installed.items():
        if found is None:
            return f"the package {name} is not installed", _INSTALL_EXTRA
        if found != _PROVEN_NATIVE:
            return (
                f"{name} {found} is installed; this release was proven on {_PROVEN_NATIVE}",
                _INSTALL_EXTRA,
            )
        # Where pip finds no wheel for the platform it installs a stub of the
        # same name and version, whose import fails.
        module = name.replace("-", "_")
        if not _has_native_module(module):
            return (
                f"the installed package {name} is a stub without a native module"
                f" for this platform ({_interpreter()}, {sys.platform})",
                None,
            )
    return None, None


def _sdk_fault(found: str | None) -> tuple[str | None, str | None]:
    if sys.platform not in ("linux", "darwin"):
        return f"wasmer-sdk has no wheels for {sys.platform}, only for Linux and macOS", None
    if sys.platform == "linux":
        glibc = _glibc()
        if glibc is None:
            return "wasmer-sdk needs glibc, this system has another C library", None
        if glibc < _SDK_GLIBC:
            wanted = ".".join(map(str, _SDK_GLIBC))
            return f"wasmer-sdk needs glibc {wanted} or later, this system has {glibc}", None
    if found is None:
        by_extra = sys.version_info[:2] > _LAST_NATIVE_PYTHON
        remedy = _INSTALL_EXTRA if by_extra else _INSTALL_SDK
        return "the package wasmer-sdk is not installed", remedy
    if not found.startswith(_PROVEN_SDK):
        return (
            f"wasmer-sdk {found} is installed; this release was proven on {_PROVEN_SDK}x",
            _INSTALL_SDK,
        )
    return None, None


def _labels(installed: dict[str, str | None]) -> tuple[str, ...]:
    return tuple(name if found is None else f"{name} {found}" for name, found in installed.items())


def _has_native_module(package: str) -> bool:
    from importlib.machinery import EXTENSION_SUFFIXES

    return any(
        os.path.isfile(os.path.join(folder, package + suffix))
        for folder in package_folders(package)
        for suffix in EXTENSION_SUFFIXES
    )


class _Version(tuple[int, ...]):
    def __str__(self) -> str:
        return ".".join(map(str, self))


def _glibc() -> _Version | None:
    """The version of glibc; None for another C library."""
    try:
        name, _, number = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    except (ValueError, OSError):
        return None
    if name != "glibc":
        return None
    return _Version(int(part) for part in number.split(".")[:2])


def _interpreter() -> str:
    name = "CPython" if sys.implementation.name == "cpython" else sys.implementation.name
    return f"{name} {sys.version_info.major}.{sys.version_info.minor}"
