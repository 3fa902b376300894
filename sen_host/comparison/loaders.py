"""The backends and bindings that can be used here, as loaders."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from sen_host.backend import Binding
from sen_host.config import Config
from sen_host.engines import BackendInfo, backends, open_backend
from sen_host.errors import ConfigError, EnvironmentFault
from sen_host.loader import PluginLoader
from sen_host.wasi import FixedClock, Wasi

_REPEATABLE = Wasi(
    working_directory="/",
    environ={},
    stdin=b"",
    clock=FixedClock(),
    random_seed=0,
)


def available_loaders(config: Config, names: Collection[str] = ()) -> tuple[PluginLoader, ...]:
    """A loader on each engine that is available, the preferred ones first.

    Plugins may import WASI, where nothing is granted and every call sees the same clock
    and random numbers, so that repeated calls can be compared.

    A backend that reaches several engines has one on each. One engine through two
    bindings is no comparison of engines, so the preferred binding of it is taken.

    Args:
        config: limits and isolation for all of them. Its backend and binding are
            not looked at, except that what it accepts goes with a backend:
            exceptions of the profile hold on the backend that it names.
        names: of the backends to use; all if there are none. The exceptions of
            the profile then hold on all of these.

    Raises:
        UnknownBackend: there is no backend of a name.
        BackendUnavailable: one that is named, or every one, cannot be used here.
        ConfigError, LimitNotEnforceable: as ``PluginLoader``.
    """
    if not names:
        config.check_accept()
    isolation = config.isolation
    chosen = {open_backend(name, isolation=isolation).name for name in names}
    found = tuple(
        PluginLoader(
            config=config.with_arguments(
                backend=info.name,
                binding=binding.name,
                accept=config.accept if info.name in chosen else None,
            ),
            host_functions=_REPEATABLE,
        )
        for info in backends()
        if not chosen or info.name in chosen
        for binding in _usable(info, config)
    )
    if not found:
        open_backend(isolation=isolation)  # raises, with the reasons and the remedy
    return found


def loaders_to_compare(config: Config, names: Collection[str] = ()) -> tuple[PluginLoader, ...]:
    """As ``available_loaders``, at least two.

    Raises:
        ConfigError: ``names`` leave no more than one.
        EnvironmentFault: there is only one here.
        Others as ``available_loaders``.
    """
    found = available_loaders(config, names)
    if len(found) > 1:
        return found
    only = label(found[0].backend, found[0].binding)
    if names and len(available_loaders(config)) > 1:
        raise ConfigError(
            f"only {only} was chosen, so there is nothing to compare it with",
            source="command line",
            key="backend",
            hint="name another backend as well, or none to compare all",
        )
    missing = [
        (info.name, binding)
        for info in backends()
        for binding in info.bindings
        if not binding.available
    ]
    why = "".join(f"; {label(name, binding)}: {binding.reason}" for name, binding in missing)
    remedies = [binding.remedy for _, binding in missing if binding.remedy]
    raise EnvironmentFault(
        f"only {only} can be used here, so there is nothing to compare it with{why}",
        hint=remedies[0] if remedies else "install another engine: pip install 'sen-host[all]'",
    )


def label(backend: str, binding: Binding) -> str:
    """What a backend through one binding is called in reports."""
    return f"{backend} ({binding.name})"


def _usable(info: BackendInfo, config: Config) -> Iterator[Binding]:
    engines = set()
    for binding in info.bindings:
        if (
            binding.available
            and (config.isolation != "none" or binding.isolation == "none")
            and binding.engine not in engines
        ):
            engines.add(binding.engine)
            yield binding
