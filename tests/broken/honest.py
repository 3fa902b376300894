"""A backend that lacks much, and says so. It must fail nothing."""

from __future__ import annotations

import threading
from dataclasses import replace

from sen_host import backend as contract
from sen_host.backend import Binding, Capability, FuncType, Lack, Trap
from sen_host.errors import EngineFault, ModuleCompilation, TrapKind
from sen_host.limits import MIB
from sen_host.wasm.features import BULK_MEMORY, MULTI_VALUE, REFERENCE_TYPES, features_used
from sen_host.wasm.reader import parse
from tests.broken.base import PlainBackend, PlainInstance, PlainModule

LACKS = tuple(
    Lack(capability, "not implemented", "it is a test")
    for capability in Capability
    # Whatever a backend skips, Wasmtime validates what it compiles.
    if capability is not Capability.VALIDATION
)


class LacksMuch(PlainBackend):
    """Lacks every capability but validation, and declares all of it."""

    @classmethod
    def bindings(cls) -> tuple[Binding, ...]:
        return tuple(
            replace(binding, lacks=LACKS, stack_bytes=MIB) for binding in super().bindings()
        )

    def validate(self, wasm: bytes) -> None:
        for feature in features_used(parse(wasm)):
            if feature in (BULK_MEMORY, MULTI_VALUE, REFERENCE_TYPES):
                raise ModuleCompilation(detail=f"{feature} is not supported")
        super().validate(wasm)

    class Module(PlainModule):
        def instantiate(self) -> contract.Instance:
            try:
                return super().instantiate()
            except Trap as trap:
                raise unknown(trap) from trap

    class Instance(PlainInstance):
        trapped = False
        thread: int | None = None

        def call(self, name: str, type: FuncType, *arguments: int) -> int | None:
            if self.thread not in (None, threading.get_ident()):
                raise EngineFault("an instance was used in another thread")
            self.thread = threading.get_ident()
            try:
                return super().call(name, type, *arguments)
            except Trap as trap:
                self.trapped = trap.kind is not TrapKind.UNREACHABLE
                raise unknown(trap) from trap

        def get_global(self, name: str) -> int | None:
            return None if self.trapped else super().get_global(name)

        def set_deadline(self, seconds: float) -> None:
            raise NotImplementedError("the binding lacks a wall clock")


def unknown(trap: Trap) -> Trap:
    """The trap without its kind, except ``unreachable``."""
    known = trap.kind is TrapKind.UNREACHABLE
    return Trap(TrapKind.UNREACHABLE if known else TrapKind.UNKNOWN, trap.detail)
