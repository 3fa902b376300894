"""A run that is told to an audit file."""

from __future__ import annotations

from time import perf_counter

from sen_host.abi import EXECUTE, RESUME
from sen_host.audit import Audit, FileAuditSink
from sen_host.conversation import Conversation
from sen_host.errors import SenHostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sen_host.loader import PluginLoader
    from sen_host.messages import EffectResult, ExecuteResult
    from sen_host.plugin import Plugin


class Audited(Conversation):
    """A plugin whose calls are told of."""

    def __init__(self, plugin: Plugin, audit: Audit) -> None:
        self.command = plugin.manifest.command.name
        self.sha256 = plugin.sha256
        self.path = plugin.path
        self.binding = plugin.binding
        self.manifest = plugin.manifest
        self._plugin = plugin
        self._audit = audit

    @property
    def fuel_used(self) -> int | None:
        """Fuel that the latest call used."""
        return self._plugin.fuel_used

    def execute(self, args: Sequence[str] = ()) -> ExecuteResult:
        """As ``Plugin.execute``."""
        return self._audit.call(self, EXECUTE, args, lambda: self._plugin.execute(args))

    def resume(self, effect_id: int, result: EffectResult) -> ExecuteResult:
        """As ``Plugin.resume``."""
        return self._audit.call(self, RESUME, None, lambda: self._plugin.resume(effect_id, result))


def open_audit(path: str) -> Audit:
    """An audit in a file. One that cannot be written is an error: it was asked for.

    Raises:
        AuditError: the file cannot be opened.
    """
    return Audit(FileAuditSink(path, strict=True))


def load(loader: PluginLoader, path: str, audit: Audit) -> Plugin:
    """Load a plugin, and tell how that went.

    Raises:
        As ``PluginLoader.load``; AuditError: the file cannot be written.
    """
    started = perf_counter()
    try:
        plugin = loader.load(path)
    except SenHostError as error:
        audit.plugin("load-failed", "", path=path, reason=error.message)
        raise
    name = plugin.manifest.command.name
    seconds = perf_counter() - started
    try:
        audit.plugin("loaded", name, path=path, sha256=plugin.sha256, seconds=seconds)
    except BaseException:
        plugin.close()
        raise
    return plugin
