"""Faults in arguments, results and names."""

from __future__ import annotations

from collections.abc import Callable
from unicodedata import normalize

from sen_host.backend import FuncType
from tests.broken.base import PlainBackend, PlainInstance


class ResultsSignedI32(PlainBackend):
    """Results of 32 bits are signed."""

    area, says = "arithmetic", r"^returns: expected \[\d+\], seen \[-\d+\]$"

    class Instance(PlainInstance):
        def call(self, name: str, type: FuncType, *arguments: int) -> int | None:
            result = super().call(name, type, *arguments)
            wraps = type.results == ("i32",) and result is not None and result >= 2**31
            return result - 2**32 if result is not None and wraps else result


class ResultsSignedI64(PlainBackend):
    """Results of 64 bits are signed, so pointers above 2 GiB are below zero."""

    area, says = "packing", r"^returns: expected \[\d+\], seen \[-\d+\]$"

    class Instance(PlainInstance):
        def call(self, name: str, type: FuncType, *arguments: int) -> int | None:
            result = super().call(name, type, *arguments)
            return result if result is None or result < 2**63 else result - 2**64


class PointersSigned(PlainBackend):
    """What plugin_alloc and others return in 32 bits is sign-extended to 64."""

    area, says = "packing", r"^(outcome|raises.pointer|returns|raises): "

    class Instance(PlainInstance):
        def call(self, name: str, type: FuncType, *arguments: int) -> int | None:
            result = super().call(name, type, *arguments)
            if result is None or type.results == ("i64",) or result < 2**31:
                return result
            return result | 0xFFFF_FFFF_0000_0000


class ResultsOf53Bits(PlainBackend):
    """Results go through floating-point numbers."""

    area, says = "packing", r"^(outcome|raises.length|raises.pointer|returns): "

    class Instance(PlainInstance):
        def call(self, name: str, type: FuncType, *arguments: int) -> int | None:
            result = super().call(name, type, *arguments)
            return None if result is None else int(float(result)) % 2**64


class ResultsOf32Bits(PlainBackend):
    """The upper half of results is lost."""

    area, says = "packing", r"^(outcome|raises.pointer|returns|bytes): "

    class Instance(PlainInstance):
        def call(self, name: str, type: FuncType, *arguments: int) -> int | None:
            result = super().call(name, type, *arguments)
            return None if result is None else result & 0xFFFF_FFFF


class NoResult(PlainBackend):
    """A function returns None where it has a result."""

    area, says = "arithmetic", r"^returns: expected \[\d+\], seen \[\]$"

    class Instance(PlainInstance):
        def call(self, name: str, type: FuncType, *arguments: int) -> int | None:
            super().call(name, type, *arguments)
            return None


class ArgumentsOf31Bits(PlainBackend):
    """Arguments lose their highest bit."""

    area, says = "arithmetic", r"^(returns|outcome): "

    class Instance(PlainInstance):
        def call(self, name: str, type: FuncType, *arguments: int) -> int | None:
            bits = [31 if param == "i32" else 63 for param in type.params]
            low = (value % 2**count for value, count in zip(arguments, bits, strict=True))
            return super().call(name, type, *low)


class ArgumentsOf32Bits(PlainBackend):
    """Arguments lose what is above 32 bits."""

    area, says = "arithmetic", r"^(returns|outcome): "

    class Instance(PlainInstance):
        def call(self, name: str, type: FuncType, *arguments: int) -> int | None:
            return super().call(name, type, *(value % 2**32 for value in arguments))


class ArgumentsClamped(PlainBackend):
    """Arguments above the largest signed number become that number."""

    area, says = "arithmetic", r"^(returns|outcome): "

    class Instance(PlainInstance):
        def call(self, name: str, type: FuncType, *arguments: int) -> int | None:
            most = [2**31 - 1 if param == "i32" else 2**63 - 1 for param in type.params]
            return super().call(name, type, *map(min, arguments, most))


class ArgumentsReversed(PlainBackend):
    """Functions get their last argument first."""

    area, says = "arithmetic", r"^(returns|outcome): "

    class Instance(PlainInstance):
        def call(self, name: str, type: FuncType, *arguments: int) -> int | None:
            if len(set(type.params)) > 1:
                return super().call(name, type, *arguments)
            return super().call(name, type, *reversed(arguments))


class NamesFoldCase(PlainBackend):
    """Exports that differ in case only are taken for each other."""

    area, says = "signatures", r"^returns: expected \[2\], seen \[1\]$"

    class Instance(PlainInstance):
        known: dict[str, str]

        def function(self, name: str, type: FuncType) -> Callable[..., int | None]:
            if not hasattr(self, "known"):
                self.known = {}
            return super().function(self.known.setdefault(name.lower(), name), type)


class NamesEndAtZero(PlainBackend):
    """Names of exports are taken for C strings."""

    area, says = "signatures", r"^returns: expected \[8\], seen \[1\]$"

    class Instance(PlainInstance):
        def function(self, name: str, type: FuncType) -> Callable[..., int | None]:
            return super().function(name.partition("\0")[0], type)


class NamesNormalised(PlainBackend):
    """Names of exports are brought to one form of Unicode."""

    area, says = "signatures", r"^returns: expected \[12\], seen \[11\]$"

    class Instance(PlainInstance):
        def function(self, name: str, type: FuncType) -> Callable[..., int | None]:
            return super().function(normalize("NFC", name), type)
