"""Faults in what modules are taken, and in what a binding declares."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from sen_host.backend import Binding, Capability, Lack
from sen_host.errors import ModuleCompilation
from sen_host.wasm.features import BULK_MEMORY, MULTI_VALUE, REFERENCE_TYPES, features_used
from sen_host.wasm.reader import parse
from tests.broken.base import PlainBackend


class ValidatesNothing(PlainBackend):
    """Any module is valid as its author built it, so only the rewritten one is looked at."""

    area, says = "validation", r"^outcome: expected .*'ModuleCompilation'"

    def validate(self, wasm: bytes) -> None:
        """Nothing is wrong with it."""


class ValidatesAfterImports(ValidatesNothing):
    """Nothing is told of invalid code, so what comes next is told: the import."""

    area, says = "imports", r"^raises.error: expected 'ModuleCompilation'"


class Refusing(PlainBackend):
    """A backend that does not know a feature of WebAssembly 2.0."""

    feature: ClassVar[str]

    def validate(self, wasm: bytes) -> None:
        if self.feature in features_used(parse(wasm)):
            raise ModuleCompilation(detail=f"{self.feature} is not supported")
        super().validate(wasm)


class NoBulkMemory(Refusing):
    """Bulk operators are refused, which the binding does not declare."""

    area, says = "profile", r"^outcome: .* seen .*'ModuleCompilation'"
    feature = BULK_MEMORY


class NoMultiValue(Refusing):
    """Several results are refused, which the binding does not declare."""

    area, says = "profile", r"^outcome: .* seen .*'ModuleCompilation'"
    feature = MULTI_VALUE


class NoReferenceTypes(Refusing):
    """References are refused, which the binding does not declare."""

    area, says = "profile", r"^outcome: .* seen .*'ModuleCompilation'"
    feature = REFERENCE_TYPES


class NoSignExtension(Refusing):
    """Operators that extend the sign are refused; no binding may lack these."""

    area, says = "profile", r"^outcome: .* seen .*'ModuleCompilation'"
    feature = "sign extension"


class NoSaturation(Refusing):
    """Conversions that saturate are refused; no binding may lack these."""

    area, says = "profile", r"^outcome: .* seen .*'ModuleCompilation'"
    feature = "saturating float-to-int"


class DeclaresWhatItDoesNotLack(PlainBackend):
    """It declares that it lacks bulk memory, and has it."""

    area, says = "profile", r"^it passes, although the binding declares that it lacks bulk-memory "

    @classmethod
    def bindings(cls) -> tuple[Binding, ...]:
        lack = Lack(Capability.BULK_MEMORY, "not implemented", "nobody looked")
        return tuple(replace(binding, lacks=(lack,)) for binding in super().bindings())
