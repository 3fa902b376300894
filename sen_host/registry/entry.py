"""One command of a registry, and who is calling it."""

from __future__ import annotations

import threading

from sen_host import log
from sen_host.errors import SenHostError
from sen_host.forks import reset_after_fork

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sen_host.plugin import Plugin
    from sen_host.pool import PluginPool
    from sen_host.registry.home import ConfinedPlugin


class Entry:
    """A plugin under the name of its command, closed when it is retired and its calls are over.

    Attributes:
        command: the name, with its prefix.
        plugin: it, or a pool of its instances.
        path: the file it came from, absolute; None if it cannot be reloaded from there.
        prefix: what stands before the plugin's own name, or None.
        first: the plugin itself, also of a pool.
        calling: held during a call by those who ask for more than the answer.
    """

    __slots__ = (
        "__weakref__",
        "_holders",
        "_lock",
        "_retired",
        "calling",
        "command",
        "first",
        "path",
        "plugin",
        "prefix",
    )

    def __init__(
        self,
        command: str,
        plugin: Plugin | ConfinedPlugin | PluginPool,
        *,
        first: Plugin | ConfinedPlugin,
        path: str | None,
        prefix: str | None,
    ) -> None:
        self.command = command
        self.plugin = plugin
        self.first = first
        self.path = path
        self.prefix = prefix
        self._holders = 0
        self._retired = False
        self.after_fork()
        reset_after_fork(self)

    def hold(self) -> bool:
        """Keep it open until ``release``; False if it is too late for that."""
        with self._lock:
            if self._retired and not self._holders:
                return False
            self._holders += 1
            return True

    def release(self) -> None:
        """End what a ``hold`` that was granted has begun."""
        with self._lock:
            self._holders -= 1
            last = self._retired and not self._holders
        if last:
            self._close()

    def retire(self) -> None:
        """Close it when nobody holds it any more: perhaps at once. Called once."""
        with self._lock:
            self._retired = True
            free = not self._holders
        if free:
            self._close()

    def _close(self) -> None:
        try:
            self.plugin.close()
        except SenHostError as error:
            # Whoever happened to leave last has asked for something else.
            log.warning("the plugin of the command %s could not be closed: %s", self.command, error)

    def after_fork(self) -> None:
        """In a fork of the process: another thread may have held a lock."""
        # A signal handler or a finalizer may come between: it must not wait for itself.
        self._lock = threading.RLock()
        self.calling = threading.RLock()
