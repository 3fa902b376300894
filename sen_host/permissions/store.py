"""Where grants are kept: the interface, and the stores that need no file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from threading import Lock

from sen_host.errors import PermissionStoreError
from sen_host.forks import reset_after_fork
from sen_host.permissions.grant import StoredGrant

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class PermissionStore(ABC):
    """Grants by plugin and command. All methods may be called from any thread.

    Raises:
        PermissionStoreError: by every method, if the grants cannot be read or written.
    """

    @property
    def writable(self) -> bool:
        """Whether grants can be added; then a prompt offers to grant for ever."""
        return True

    @abstractmethod
    def grants(self) -> tuple[StoredGrant, ...]:
        """All grants, sorted by plugin and command."""

    @abstractmethod
    def put(self, grant: StoredGrant) -> None:
        """Keep a grant, in place of one for the same plugin and command."""

    @abstractmethod
    def remove(self, plugin: str, command: tuple[str, ...] | None = None) -> int:
        """Forget the grants of a plugin: that of one command, or with None all of them.

        Returns:
            How many there were.
        """

    def get(self, plugin: str, command: tuple[str, ...] = ()) -> StoredGrant | None:
        """The grant for exactly this plugin and command."""
        for grant in self.grants():
            if (grant.plugin, grant.command) == (plugin, command):
                return grant
        return None

    def clear(self) -> int:
        """Forget all grants, and tell how many there were."""
        return sum(self.remove(plugin) for plugin in {grant.plugin for grant in self.grants()})


class MemoryPermissionStore(PermissionStore):
    """Grants for as long as this object lives."""

    def __init__(self, grants: Iterable[StoredGrant] = ()) -> None:
        self._grants = {(grant.plugin, grant.command): grant for grant in grants}
        self._lock = Lock()
        reset_after_fork(self)

    def after_fork(self) -> None:
        self._lock = Lock()

    def grants(self) -> tuple[StoredGrant, ...]:
        with self._lock:
            return tuple(grant for _, grant in sorted(self._grants.items()))

    def put(self, grant: StoredGrant) -> None:
        with self._lock:
            self._grants[grant.plugin, grant.command] = grant

    def remove(self, plugin: str, command: tuple[str, ...] | None = None) -> int:
        with self._lock:
            gone = [key for key in self._grants if key[0] == plugin and command in (None, key[1])]
            for key in gone:
                del self._grants[key]
            return len(gone)


class ReadOnlyPermissionStore(PermissionStore):
    """The grants of another store, which stay as they are."""

    def __init__(self, store: PermissionStore) -> None:
        self._store = store

    @property
    def writable(self) -> bool:
        return False

    def grants(self) -> tuple[StoredGrant, ...]:
        return self._store.grants()

    def put(self, grant: StoredGrant) -> None:
        raise PermissionStoreError(
            f"the grant of {grant.plugin!r} cannot be kept, these grants are read-only",
            path=None,
            hint="grant it beforehand, with `sen-host permissions grant`",
        )

    def remove(self, plugin: str, command: tuple[str, ...] | None = None) -> int:  # noqa: ARG002
        raise PermissionStoreError(
            f"the grant of {plugin!r} cannot be revoked, these grants are read-only", path=None
        )
