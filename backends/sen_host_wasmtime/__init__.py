"""Wasmtime, in process, under the one backend name ``wasmtime``.

Two bindings reach it, both through the package ``wasmtime``:

* ``c-api``: signatures of our own over the shared library in its wheel. It is much the
  faster one, and only serves with the versions that it was proven with.
* ``public``: what the package offers to everybody, with any version in a range.

No engine is loaded before a binding is used.
"""

from __future__ import annotations

from sen_host.backend import Backend, Binding, Module
from sen_host.errors import BackendUnavailable
from sen_host.limits import Limits
from sen_host_wasmtime.bindings import PUBLIC, find_bindings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar

__all__ = ["WasmtimeBackend"]


class WasmtimeBackend(Backend):
    """Wasmtime, reached through the binding that was chosen."""

    name: ClassVar[str] = "wasmtime"

    def __init__(self, binding: Binding) -> None:
        """Import what the binding needs.

        Raises:
            BackendUnavailable: the package ``wasmtime`` cannot be imported.
        """
        super().__init__(binding)
        self._engine: Backend
        if binding.name == PUBLIC:
            try:
                from sen_host_wasmtime.public import PublicBackend
            # It loads its library as it is imported, and looks every function up.
            except (ImportError, OSError, RuntimeError, AttributeError) as error:
                raise BackendUnavailable(
                    self.name,
                    f"the package wasmtime cannot be imported: {type(error).__name__}: {error}",
                ) from error
            self._engine = PublicBackend(binding)
        else:
            from sen_host_wasmtime.backend import CApiBackend

            self._engine = CApiBackend(binding)

    @classmethod
    def bindings(cls) -> tuple[Binding, ...]:
        return find_bindings()

    def validate(self, wasm: bytes) -> None:
        self._engine.validate(wasm)

    def compile(self, wasm: bytes, limits: Limits) -> Module:
        return self._engine.compile(wasm, limits)

    def deserialize(self, compiled: bytes, limits: Limits) -> Module:
        return self._engine.deserialize(compiled, limits)
