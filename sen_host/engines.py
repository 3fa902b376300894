"""Find the installed backends and open one of them.

Backends are found through the entry-point group ``sen_host.backends``; those
that come with sen-host have no other door than a stranger's.
"""

from __future__ import annotations

from sen_host.backend import Backend, Binding
from sen_host.distributions import EntryPoint, entry_points
from sen_host.errors import BackendConflict, BackendUnavailable, ConfigError, UnknownBackend
from sen_host.records import record, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Literal

    IsolationChoice = Literal["auto", "none", "process"]
else:
    IsolationChoice = str

GROUP = "sen_host.backends"

AUTO: Literal["auto"] = "auto"
"""As a backend's name: the first of PREFERRED that is available, then any other."""

PREFERRED = ("wasmtime", "wasmer")


@record(frozen=True, slots=True)
class BackendInfo:
    """An installed backend, whether it works or not.

    Attributes:
        name: by which it is chosen.
        distribution: the package that provides it, with its version.
        bindings: its ways to reach its engine, the preferred one first.
        error: why the backend as a whole cannot be used; None if it can.
    """

    name: str
    distribution: str
    bindings: tuple[Binding, ...]
    error: str | None = None

    @property
    def available(self) -> bool:
        """Whether at least one binding can be used here."""
        return self.error is None and any(binding.available for binding in self.bindings)


def backends() -> tuple[BackendInfo, ...]:
    """All installed backends, the preferred ones first, then by name."""
    return tuple(_describe(name, found) for name, found in _found().items())


def open_backend(
    backend: str | type[Backend] = AUTO,
    *,
    binding: str | None = None,
    isolation: IsolationChoice = AUTO,
) -> Backend:
    """Open a backend by name (or by its class).

    Args:
        binding: the name of one of its bindings; None for the preferred one.
        isolation: "process" for a worker process, "none" for this process,
            "auto" for this process unless the binding needs a worker.

    Raises:
        UnknownBackend: there is no backend or binding of that name.
        BackendUnavailable: its engine cannot be used here.
        BackendConflict: two packages claim the name.
    """
    if isolation not in (AUTO, "none", "process"):
        raise ConfigError(
            f"isolation is {isolation!r}; it must be 'auto', 'none' or 'process'", key="isolation"
        )
    if isinstance(backend, type) and issubclass(backend, Backend):
        return _open(backend, f"{backend.__module__}:{backend.__qualname__}", binding, isolation)
    if not isinstance(backend, str):
        raise ConfigError(
            f"backend is {backend!r}; it must be a name or a subclass of sen_host.backend.Backend",
            key="backend",
        )
    found = _found()
    if backend == AUTO:
        backend = _first_available(found)
    if backend not in found:
        raise UnknownBackend(
            f"there is no backend {backend!r}; installed are {_listed(found)}",
            hint=_nearest(backend, found),
            key="backend",
        )
    entries = found[backend]
    if len(entries) > 1:
        raise BackendConflict(
            f"the backend {backend!r} is claimed by {_listed(entry.claim() for entry in entries)}",
            hint="uninstall one of them",
        )
    return _open(_load(backend, entries[0]), entries[0].value, binding, isolation)


def _found() -> dict[str, list[EntryPoint]]:
    by_name: dict[str, dict[str, EntryPoint]] = {}
    for entry in entry_points(GROUP):
        # One installation may be on the path twice; two targets are a conflict.
        by_name.setdefault(entry.name, {}).setdefault(entry.value, entry)
    rank = {name: position for position, name in enumerate(PREFERRED)}
    names = sorted(by_name, key=lambda name: (rank.get(name, len(rank)), name))
    return {name: list(by_name[name].values()) for name in names}


def _first_available(found: dict[str, list[EntryPoint]]) -> str:
    reasons = []
    for name, entries in found.items():
        info = _describe(name, entries)
        if info.available:
            return name
        reasons.append(f"{name}: {info.error or _mendable(info.bindings).reason}")
    raise BackendUnavailable(
        AUTO,
        f"no engine can be used here ({'; '.join(reasons) or 'no backend is installed'})",
        hint="pip install 'sen-host[wasmtime]'",
    )


def _mendable(bindings: tuple[Binding, ...]) -> Binding:
    """The first binding that a user can do something about."""
    return next((binding for binding in bindings if binding.remedy), bindings[0])


def _describe(name: str, entries: list[EntryPoint]) -> BackendInfo:
    distribution = entries[0].claim()
    if len(entries) > 1:
        claims = _listed(entry.claim() for entry in entries)
        return BackendInfo(name, distribution, (), f"it is claimed by {claims}")
    try:
        bindings = _load(name, entries[0]).bindings()
    except BackendUnavailable as error:
        return BackendInfo(name, distribution, (), error.reason)
    return BackendInfo(name, distribution, tuple(_in_its_place(b) for b in bindings))


def _in_its_place(binding: Binding) -> Binding:
    """The binding with what its worker process adds, if it only runs in one."""
    if binding.isolation == "none":
        return binding
    return binding.in_worker()


def _load(name: str, entry: EntryPoint) -> type[Backend]:
    try:
        loaded = entry.load()
    except Exception as error:
        raise BackendUnavailable(
            name, f"{entry.value} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    if not (isinstance(loaded, type) and issubclass(loaded, Backend)):
        raise BackendUnavailable(
            name, f"{entry.value} is not a subclass of sen_host.backend.Backend"
        )
    return loaded


def _open(
    backend: type[Backend], target: str, name: str | None, isolation: IsolationChoice
) -> Backend:
    binding = _choose(backend, name, isolation)
    if isolation == "process" or binding.isolation == "process":
        from sen_host.isolation import ProcessBackend

        return ProcessBackend(target, backend.name, binding)
    return backend(binding)


def _choose(backend: type[Backend], name: str | None, isolation: IsolationChoice) -> Binding:
    bindings = backend.bindings()
    if name is not None:
        names = [binding.name for binding in bindings]
        if name not in names:
            raise UnknownBackend(
                f"the backend {backend.name!r} has no binding {name!r}; it has {_listed(names)}",
                hint=_nearest(name, names) or "choose the backend along with its binding",
                key="binding",
            )
        bindings = tuple(binding for binding in bindings if binding.name == name)
    if isolation == "none":
        bindings = tuple(
            replace(
                binding,
                reason=binding.reason or "it only runs in a worker process",
                remedy=binding.remedy or "set isolation to 'auto' or 'process'",
            )
            if binding.isolation == "process"
            else binding
            for binding in bindings
        )
    for binding in bindings:
        if binding.available:
            return binding
    if not bindings:
        raise BackendUnavailable(backend.name, "it offers no binding")
    reasons = dict.fromkeys(f"{binding.name}: {binding.reason}" for binding in bindings)
    remedies = [binding.remedy for binding in bindings if binding.remedy]
    if name is not None:
        remedies.append("do not fix the binding, so that another one may serve")
    raise BackendUnavailable(
        backend.name, "; ".join(reasons), hint=remedies[0] if remedies else None
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _nearest(name: str, names: Iterable[str]) -> str | None:
    from difflib import get_close_matches

    close = get_close_matches(name, list(names), n=1)
    return f"did you mean {close[0]!r}?" if close else None
