"""Wasmer as an engine for sen-host, under the one backend name ``wasmer``.

Two bindings reach it:

* ``native``: the packages ``wasmer`` and ``wasmer-compiler-cranelift``, in
  process. They have native wheels up to CPython 3.10.
* ``sdk``: Wasmer 7 through the package ``wasmer-sdk``. It has no interface for
  calling exports and cannot stop a guest, so it runs in a worker process.

No engine is imported before a binding is used.
"""

from __future__ import annotations

from sen_host.backend import Backend, Binding, Module
from sen_host.limits import Limits
from sen_host_wasmer.bindings import NATIVE, native_binding, sdk_binding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar


class WasmerBackend(Backend):
    """Wasmer, reached through the binding that was chosen."""

    name: ClassVar[str] = "wasmer"

    def __init__(self, binding: Binding) -> None:
        """Import and start the engine.

        Raises:
            BackendUnavailable: the binding cannot be used here.
            EngineCreation: the engine refused to start.
        """
        super().__init__(binding)
        self._engine: Backend
        if binding.name == NATIVE:
            from sen_host_wasmer.native import NativeBackend

            self._engine = NativeBackend(binding)
        else:
            from sen_host_wasmer.sdk import SdkBackend

            self._engine = SdkBackend(binding)

    @classmethod
    def bindings(cls) -> tuple[Binding, ...]:
        return native_binding(), sdk_binding()

    def validate(self, wasm: bytes) -> None:
        self._engine.validate(wasm)

    def compile(self, wasm: bytes, limits: Limits) -> Module:
        return self._engine.compile(wasm, limits)

    def deserialize(self, compiled: bytes, limits: Limits) -> Module:
        return self._engine.deserialize(compiled, limits)
