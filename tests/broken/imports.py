"""Faults in how a guest comes to the functions of the host."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sen_host import backend as contract
from sen_host.backend import FuncType, HostFunction, Trap
from sen_host.errors import TrapKind
from tests.broken.base import PlainBackend, PlainInstance, PlainModule


def changing(change: Callable[[HostFunction], HostFunction]) -> type[PlainModule]:
    """Modules that get other functions than the host has given."""

    class Changing(PlainModule):
        def instantiate_with(self, imports: Sequence[HostFunction]) -> contract.Instance:
            return super().instantiate_with([change(item) for item in imports])

    return Changing


class ArgumentsSwapped(PlainBackend):
    """The host gets the arguments in the reverse order, where their types allow it."""

    area, says = (
        "host-functions",
        r"^called: expected \[\['subtract', 3, 5\]\], seen \[\['subtract', 5, 3\]",
    )
    Module = changing(
        lambda item: (
            item
            if item.type.params != item.type.params[::-1]
            else item._replace(call=lambda *arguments: item.call(*arguments[::-1]))
        )
    )


class ArgumentsSigned(PlainBackend):
    """The host gets the engine's signed integers."""

    area, says = (
        "host-functions",
        r"^called: expected \[\['note', 4294967295\]\], seen \[\['note', -1\]\]",
    )
    Module = changing(
        lambda item: item._replace(call=lambda *arguments: item.call(*map(_signed, arguments)))
    )


def _signed(value: int) -> int:
    return value - 2**32 if 2**31 <= value < 2**32 else value


class HostErrorIsLost(PlainBackend):
    """What a host function raises does not come through: the call just returns."""

    area, says = "host-functions", r"^outcome: expected .*seen"

    class Instance(PlainInstance):
        def call(self, name: str, type: FuncType, *arguments: int) -> int | None:
            try:
                return super().call(name, type, *arguments)
            except Trap as trap:
                if trap.kind not in (TrapKind.EXIT, TrapKind.UNKNOWN):
                    raise
                return 0 if type.results else None


class WideArgumentsCut(PlainBackend):
    """The host gets the lower halves of arguments of 64 bits."""

    area, says = "host-functions", r"^called: expected .*18446744073709551615"
    Module = changing(
        lambda item: item._replace(
            call=lambda *arguments: item.call(*(value & 0xFFFF_FFFF for value in arguments))
        )
    )


class HostWritesAreLost(PlainBackend):
    """What a function of the host writes to the memory does not reach the guest."""

    area, says = "wasi", r"^bytes: expected '08000000', seen '00000000'$"

    class Module(PlainModule):
        called = False

        def instantiate_with(self, imports: Sequence[HostFunction]) -> contract.Instance:
            def noting(item: HostFunction) -> HostFunction:
                def call(*arguments: int) -> int | None:
                    self.called = True
                    try:
                        return item.call(*arguments)
                    finally:
                        self.called = False

                return item._replace(call=call)

            return super().instantiate_with([noting(item) for item in imports])

    class Instance(PlainInstance):
        def write(self, offset: int, data: bytes) -> None:
            if not getattr(self.module, "called", False):
                super().write(offset, data)
