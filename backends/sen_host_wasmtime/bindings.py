"""Which bindings of Wasmtime are available here, and what mends the others."""

from __future__ import annotations

from sen_host.backend import Binding
from sen_host.distributions import version

C_API = "c-api"
PUBLIC = "public"

PROVEN_FOR_C_API = ("50.0.1",)
"""Versions with which the tests and the conformance suite pass through ``c-api``.

A version that is not in this list is not touched: layouts of the C API may differ.
"""

FIRST_MAJOR, LAST_MAJOR = 45, 50
"""Major versions with which the conformance suite passes through ``public``.

45 is the first whose package can set the size of a guest's stack.
"""

INSTALL = "pip install 'sen-host[wasmtime]'"


def find_bindings() -> tuple[Binding, Binding]:
    """``c-api`` and ``public``, with what is installed looked up once for both."""
    installed = version("wasmtime")
    fault = _fault(installed)
    reason, remedy = fault, INSTALL
    if fault is None and installed not in PROVEN_FOR_C_API:
        reason = (
            f"this fast way is proven with wasmtime {', '.join(PROVEN_FOR_C_API)} only,"
            f" {installed} is installed"
        )
        remedy = f"pip install 'wasmtime=={PROVEN_FOR_C_API[-1]}'"
    return _binding(C_API, installed, reason, remedy), _binding(PUBLIC, installed, fault, INSTALL)


def _binding(name: str, installed: str | None, reason: str | None, remedy: str) -> Binding:
    known = "" if installed is None else f" {installed}"
    return Binding(
        name=name,
        engine=f"Wasmtime{known}",
        packages=(f"wasmtime{known}",),
        reason=reason,
        remedy=remedy if reason else None,
    )


def _fault(installed: str | None) -> str | None:
    """Why no binding can be used, or None."""
    from sen_host_wasmtime.capi import library_path

    if installed is None:
        return "the package wasmtime is not installed"
    major = installed.partition(".")[0]
    if not (major.isdecimal() and FIRST_MAJOR <= int(major) <= LAST_MAJOR):
        return (
            f"wasmtime {installed} is installed, this release works with"
            f" {FIRST_MAJOR} to {LAST_MAJOR}"
        )
    if library_path() is None:
        return "the installed wasmtime has no shared library for this platform"
    return None
