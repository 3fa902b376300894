"""The ways to run a plugin on this interpreter: what there is to compare."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Literal, NamedTuple, NoReturn

from sen_host import Config, Limits, PluginLoader, backends, open_backend
from sen_host.backend import Backend, Binding
from sen_host.errors import BackendUnavailable, ConfigError, UnknownBackend
from sen_host.host_functions import HostFunctions


class Host(NamedTuple):
    """A backend through one binding, in this process or in a worker.

    ``backend`` is the name of an installed one, or a class, as ``MODULE:CLASS``.
    """

    backend: str
    binding: str
    isolation: Literal["none", "process"]

    def loader(
        self,
        limits: Limits | None = None,
        host_functions: Callable[[], HostFunctions] | None = None,
    ) -> PluginLoader:
        """A loader on this host; configuration files, variables and the cache play no part."""
        return PluginLoader(
            _class(self.backend) if ":" in self.backend else self.backend,
            binding=self.binding,
            isolation=self.isolation,
            limits=limits,
            cache=False,
            host_functions=host_functions,
            config=Config.defaults(),
        )

    def open(self, limits: Limits) -> Backend:
        """The backend, after the checks that a loader makes of what it can enforce."""
        self.loader(limits)
        return open_backend(
            _class(self.backend) if ":" in self.backend else self.backend,
            binding=self.binding,
            isolation=self.isolation,
        )

    def describe(self) -> Binding:
        """The binding, as it is in its place; the backend is not opened."""
        bindings = (
            _bindings(self.backend)
            if ":" in self.backend
            else next(info.bindings for info in backends() if info.name == self.backend)
        )
        (binding,) = (item for item in bindings if item.name == self.binding)
        return binding.in_worker() if self.isolation == "process" else binding

    def __str__(self) -> str:
        where = "-worker" if self.isolation == "process" else ""
        name = self.backend.rpartition(":")[2]
        return f"{name}-{self.binding}{where}"


def available_hosts() -> tuple[Host, ...]:
    """Every binding that is available, in this process where it may, and in a worker."""
    return tuple(host for info in backends() for host in _hosts(info.name, info.bindings, True))


def find_hosts(names: Iterable[str] = (), *, workers: bool = False) -> tuple[Host, ...]:
    """The hosts that names stand for; all that are available if there are no names.

    Args:
        names: of a backend (all its bindings), of one host (as it prints), or a class
            of a backend that is not installed, as ``MODULE:CLASS``.
        workers: whether a binding that works in this process is taken in a worker
            process as well.

    Raises:
        UnknownBackend: there is no such backend or host.
        ConfigError: two of them print alike.
        BackendUnavailable: there is, but it cannot be used here.
    """
    wanted = list(names)
    if not wanted:
        found = [host for info in backends() for host in _hosts(info.name, info.bindings, workers)]
        if not found:
            raise BackendUnavailable(
                "auto",
                "no engine can be used here",
                hint="pip install 'sen-host[all]'",
            )
        return tuple(found)
    hosts = tuple(dict.fromkeys(host for name in wanted for host in _named(name, workers)))
    for host, count in Counter(map(str, hosts)).items():
        if count > 1:
            raise ConfigError(f"{count} of the backends are called {host!r}", key="backend")
    return hosts


def _named(name: str, workers: bool) -> list[Host]:
    if ":" in name:
        bindings = _bindings(name)
        return _hosts(name, bindings, workers) or _unavailable(name, None, bindings)
    by_name = {str(host): host for host in available_hosts()}
    if name in by_name:
        host = by_name[name]
        more = workers and host.isolation == "none"
        return [host, host._replace(isolation="process")] if more else [host]
    for info in backends():
        if info.name == name:
            hosts = _hosts(name, info.bindings, workers)
            return hosts or _unavailable(name, info.error, info.bindings)
    listed = ", ".join((*(info.name for info in backends()), *by_name))
    raise UnknownBackend(
        f"there is no backend {name!r}", hint=f"there are {listed}, or MODULE:CLASS", key="backend"
    )


def _hosts(backend: str, bindings: Iterable[Binding], workers: bool) -> list[Host]:
    hosts = []
    for binding in bindings:
        if binding.available:
            hosts.append(Host(backend, binding.name, binding.isolation))
            if workers and binding.isolation == "none":
                hosts.append(Host(backend, binding.name, "process"))
    return hosts


def _bindings(target: str) -> tuple[Binding, ...]:
    try:
        return _class(target).bindings()
    except BackendUnavailable:
        raise
    except Exception as error:
        raise BackendUnavailable(
            target, f"its bindings() failed: {type(error).__name__}: {error}"
        ) from error


def _unavailable(name: str, error: str | None, bindings: Iterable[Binding]) -> NoReturn:
    reasons = "; ".join(f"{item.name}: {item.reason}" for item in bindings)
    raise BackendUnavailable(name, error or reasons or "it offers no binding")


def _class(target: str) -> type[Backend]:
    module, _, name = target.partition(":")
    try:
        found = getattr(import_module(module), name)
    except Exception as error:
        raise BackendUnavailable(
            target, f"it cannot be imported: {type(error).__name__}: {error}"
        ) from error
    if not (isinstance(found, type) and issubclass(found, Backend)):
        raise BackendUnavailable(target, "it is not a subclass of sen_host.backend.Backend")
    return found
