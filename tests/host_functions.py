"""Host functions that tests offer, and plugins that import them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sen_host import GuestExit, GuestMemory, HostFunctions, Plugin, PluginLoader
from sen_host.backend import FuncType
from sen_host_conformance.hosts import Host
from tests.wat import ANSWER, ANSWER_AT, Wat, message

FINE = message(ANSWER_AT, ANSWER)


def type_of(text: str) -> FuncType:
    """``"i32 i64 -> i32"``"""
    params, _, results = text.partition("->")
    return FuncType(tuple(params.split()), tuple(results.split()))


class Offered(HostFunctions):
    """Functions of the module ``host``: each a callable, with its type by ``->``.

    Attributes:
        seen: what happened, in this order.
    """

    def __init__(self, **functions: tuple[str, Callable[..., int | None]]) -> None:
        self._functions = functions
        self.seen: list[Any] = []

    @property
    def types(self) -> dict[tuple[str, str], FuncType]:
        return {("host", name): type_of(type) for name, (type, _) in self._functions.items()}

    def begin(self, function: str, args: Sequence[str]) -> None:
        self.seen.append(("begin", function, *args))

    def call(
        self, module: str, name: str, memory: GuestMemory, arguments: tuple[int, ...]
    ) -> int | None:
        assert module == "host"
        self.seen.append((name, *arguments))
        return self._functions[name][1](memory, *arguments)

    def end(self) -> None:
        self.seen.append("end")

    def close(self) -> None:
        self.seen.append("close")

    @property
    def calls(self) -> list[Any]:
        """What was called, with its arguments."""
        return [
            item for item in self.seen if isinstance(item, tuple) and item[0] in self._functions
        ]


def importing(*functions: str, execute: str = FINE, **parts: Any) -> bytes:
    """A plugin that imports functions, each given as ``"name: i32 -> i32"``."""
    imports = []
    for function in functions:
        name, _, type = function.partition(": ")
        params, results = type_of(type)
        kinds = f"(param {' '.join(params)}) (result {' '.join(results)})"
        imports.append(f'(import "host" "{name}" (func ${name} {kinds}))')
    return Wat(imports="\n".join(imports), execute=execute, **parts).wasm()


def loader(host: Host, functions: Callable[[], HostFunctions] | None, **terms: Any) -> PluginLoader:
    return PluginLoader(
        host.backend,
        binding=host.binding,
        isolation=host.isolation,
        host_functions=functions,
        **terms,
    )


def load(host: Host, functions: HostFunctions, wasm: bytes, **terms: Any) -> Plugin:
    """Load a plugin; each instance that it comes to have gets the same functions."""
    return loader(host, lambda: functions, **terms).load(wasm)


def exits(_: GuestMemory, code: int) -> None:
    raise GuestExit(code)


def raises(error: BaseException) -> Callable[..., int | None]:
    def function(*_: object) -> None:
        raise error

    return function
