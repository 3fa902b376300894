"""The ways to run a plugin on this interpreter: what there is to compare."""

from __future__ import annotations

from typing import Literal, NamedTuple

from sen_host import Config, Limits, PluginLoader, backends


class Host(NamedTuple):
    """A backend through one binding, in this process or in a worker."""

    backend: str
    binding: str
    isolation: Literal["none", "process"]

    def loader(self, limits: Limits | None = None) -> PluginLoader:
        """A loader on this host; configuration files and variables play no part."""
        return PluginLoader(
            self.backend,
            binding=self.binding,
            isolation=self.isolation,
            limits=limits,
            config=Config.defaults(),
        )

    def __str__(self) -> str:
        where = "-worker" if self.isolation == "process" else ""
        return f"{self.backend}-{self.binding}{where}"


def available_hosts() -> tuple[Host, ...]:
    """Every binding that is available, in this process where it may, and in a worker."""
    return tuple(
        Host(info.name, binding.name, isolation)
        for info in backends()
        for binding in info.bindings
        if binding.available
        for isolation in (("none", "process") if binding.isolation == "none" else ("process",))
    )
