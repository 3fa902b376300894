"""The backend ``pywasm``: whether it works here, what it lacks, and the way to its modules.

This file is imported whenever somebody lists the backends. So it does not import
the engine; that happens in the methods, when the first plugin is loaded.
"""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from sen_host.backend import Backend, Binding, Capability, Lack
from sen_host.limits import Limits

if TYPE_CHECKING:
    from sen_host_pywasm.module import PywasmModule

INSTALL = "pip install 'pywasm>=2.2.3,<2.3'"

PROVEN = "2.2."
"""Only these releases: we override methods that may look different in the next one."""


class PywasmBackend(Backend):
    """pywasm, in this process or in a worker."""

    name = "pywasm"

    @classmethod
    def bindings(cls) -> tuple[Binding, ...]:
        try:
            engine = f"pywasm {version('pywasm')}"
        except PackageNotFoundError:
            engine = "pywasm"
        reason, remedy = None, None
        if engine == "pywasm":
            reason, remedy = "the package pywasm is not installed", INSTALL
        elif not engine.startswith(f"pywasm {PROVEN}"):
            reason, remedy = f"{engine} is installed, this was proven on {PROVEN}x", INSTALL
        elif sys.flags.optimize:
            reason = "pywasm checks bounds by assertions, which Python leaves out with -O"
        validation = Lack(
            Capability.VALIDATION,
            "not possible",
            "pywasm has no validator: it finds a type error when it comes to it",
        )
        return (
            Binding(
                name="interpreter",
                engine=engine,
                packages=(engine,),
                reason=reason,
                remedy=remedy,
                lacks=(validation,),
            ),
        )

    def validate(self, wasm: bytes) -> None:
        from sen_host_pywasm.decode import decode
        from sen_host_pywasm.operators import check_indices

        check_indices(decode(wasm))

    def compile(self, wasm: bytes, limits: Limits) -> PywasmModule:
        from sen_host_pywasm.decode import decode
        from sen_host_pywasm.module import PywasmModule

        return PywasmModule(decode(wasm), limits)
