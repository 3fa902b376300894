"""The same plugin for Extism, run by its Python SDK with a limit of fuel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgpack

from benchmarks.speed.peers import Missing

FUEL = 10_000_000


@dataclass(frozen=True)
class Success:
    """The plugin did what it was asked for."""

    text: str


def require() -> None:
    """May raise Missing."""
    try:
        import extism  # noqa: F401
    except ImportError as error:
        raise Missing(f"{error} (make bench installs it)") from error


class ExtismPlugin:
    """A loaded plugin that exports ``run``.

    Raises:
        Missing: the SDK is not installed.
    """

    def __init__(self, wasm: bytes) -> None:
        require()
        import extism
        from extism.extism import CompiledPlugin
        from extism_sys import ffi, lib

        class Fuelled(CompiledPlugin):  # type: ignore[misc]
            """The SDK gives no name to this function of the library that it ships."""

            def __init__(self) -> None:
                fault = ffi.new("char**")
                self.pointer = lib.extism_compiled_plugin_new_with_fuel_limit(
                    wasm, len(wasm), ffi.NULL, 0, False, FUEL, fault
                )
                if self.pointer == ffi.NULL:
                    raise extism.Error(ffi.string(fault[0]).decode())

        self._plugin = extism.Plugin(Fuelled())

    def execute(self, args: Sequence[str]) -> Success:
        """Run the plugin's command."""
        [(variant, value)] = msgpack.unpackb(self._plugin.call("run", msgpack.packb(args))).items()
        if variant != "Success":
            raise ValueError(f"the result is {variant!r}")
        return Success(value)
