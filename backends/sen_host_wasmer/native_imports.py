"""Calls from a guest up to the host, for the binding ``native``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sen_host.backend import HostFunction
from sen_host_wasmer.native import Memory

Raised = list[BaseException | None]
"""What a host function raised, until it is taken."""

_BITS = {"i32": 32, "i64": 64}


class UpCalls:
    """The host functions of one instance.

    Attributes:
        given: what the engine takes for the imports.
        raised: what a host function raised, until somebody takes it.
        memory: of the instance, as soon as there is one.
    """

    def __init__(self, wasmer: Any, store: Any, imports: Sequence[HostFunction]) -> None:
        self.raised: Raised = [None]
        self.memory: Memory | None = None
        self.given = wasmer.ImportObject()
        types = {"i32": wasmer.Type.I32, "i64": wasmer.Type.I64}
        modules: dict[str, dict[str, Any]] = {}
        for item in imports:
            params, results = ([types[kind] for kind in kinds] for kinds in item.type)
            function = wasmer.Function(
                store, self._callable(item), wasmer.FunctionType(params, results)
            )
            modules.setdefault(item.module, {})[item.name] = function
        for name, functions in modules.items():
            self.given.register(name, functions)

    def _callable(self, item: HostFunction) -> Callable[..., int | None]:
        """The function as the engine calls it, with signed integers."""
        called, raised = item.call, self.raised
        masks = [(1 << _BITS[kind]) - 1 for kind in item.type.params]
        bits = _BITS[item.type.results[0]] if item.type.results else 0

        def call(*arguments: int) -> int | None:
            try:
                result = called(*(value & mask for value, mask in zip(arguments, masks)))  # noqa: B905
                # The guest that goes on may let its memory grow.
                assert self.memory is not None
                self.memory.may_have_grown = True
                if result is None:
                    return None
                return result - (1 << bits) if result >> (bits - 1) else result
            except BaseException as error:
                raised[0] = error
            # The engine makes a trap of it.
            raise RuntimeError("ended by the host")

        return call
