"""One call of a command: the plugin with what it was granted, for as long as the call takes."""

from __future__ import annotations

from contextlib import ExitStack, nullcontext

from sen_host.conversation import Conversation
from sen_host.errors import PluginClosed
from sen_host.pool import PluginPool
from sen_host.registry.names import below

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from types import TracebackType
    from typing import Final, Literal

    from sen_host.audit import Audit
    from sen_host.backend import Binding
    from sen_host.limits import Limits
    from sen_host.messages import Capabilities, EffectResult, ExecuteResult, PluginManifest
    from sen_host.permissions import Permissions
    from sen_host.plugin import Plugin
    from sen_host.registry.entry import Entry
    from sen_host.registry.home import ConfinedPlugin

EXECUTE: Final = "plugin_execute"
RESUME: Final = "plugin_resume"


class Session(Conversation):
    """A plugin of a registry, for one caller: calls it as a ``Plugin``, and is not to be closed.

    Attributes:
        command: the name of its command in the registry.
        granted: what it may use since its latest ``execute``; None if nobody decides that.
    """

    def __init__(
        self,
        entry: Entry,
        words: Sequence[str],
        *,
        permissions: Permissions | None = None,
        audit: Audit | None = None,
    ) -> None:
        """Take over a hold of the entry, which ``end`` releases.

        Args:
            words: put before the arguments of each execute.
            permissions: decides at each execute what the plugin may use.
            audit: is told of each call.
        """
        self.command = entry.command
        self.granted: Capabilities | None = None
        self._entry = entry
        self._words = words
        self._permissions = permissions
        self._audit = audit
        self._authorized: list[str] | None = None
        # Between a grant, its call and the fuel of that, no other caller may come.
        self._turn: AbstractContextManager[object] = (
            nullcontext() if permissions is None and audit is None else entry.calling
        )
        with ExitStack() as stack:
            stack.callback(entry.release)
            self._plugin: Plugin | ConfinedPlugin
            if isinstance(entry.plugin, PluginPool):
                self._plugin = stack.enter_context(entry.plugin.lease())
                self._turn = nullcontext()  # the instance is this caller's alone
            else:
                self._plugin = entry.plugin
            self._ending = stack.pop_all()

    @property
    def path(self) -> str | None:  # type: ignore[override]
        """Where the plugin was loaded from; None if from bytes."""
        return self._plugin.path

    @property
    def binding(self) -> Binding:  # type: ignore[override]
        """The backend's binding."""
        return self._plugin.binding

    @property
    def limits(self) -> Limits:
        """The limits in force."""
        return self._plugin.limits

    @property
    def manifest(self) -> PluginManifest:  # type: ignore[override]
        """What the plugin says about itself."""
        return self._plugin.manifest

    @property
    def sha256(self) -> str:
        """SHA-256 of its binary."""
        return self._plugin.sha256

    @property
    def fuel_used(self) -> int | None:
        """Fuel that the plugin's latest call used."""
        return self._plugin.fuel_used

    @property
    def supports_effects(self) -> bool:
        """Whether the plugin exports ``plugin_resume``."""
        return self._plugin.supports_effects

    def authorize(self, args: Sequence[str]) -> Capabilities | None:
        """Have it decided what the plugin may use in the next execute, which has these arguments.

        Returns:
            What is granted; None if nobody decides that.

        Raises:
            PermissionDenied: it may not run. Others as ``Permissions.check``.
        """
        if self._permissions is None:
            return None
        given = [*self._words, *args]
        manifest = self.manifest
        self.granted = self._permissions.check(
            self.command,
            manifest.capabilities,
            sha256=self.sha256,
            command_path=tuple(below(manifest.command, given)),
        )
        self._authorized = given
        return self.granted

    def execute(self, args: Sequence[str] = ()) -> ExecuteResult:
        """As ``Plugin.execute``.

        Raises:
            PermissionDenied: it may not run. Others as ``Plugin.execute``.
        """
        given = [*self._words, *args]
        if self._authorized != given:
            self.authorize(args)
        self._authorized = None
        return self._call(EXECUTE, given, lambda: self._plugin.execute(given))

    def resume(self, effect_id: int, result: EffectResult) -> ExecuteResult:
        """As ``Plugin.resume``."""
        return self._call(RESUME, None, lambda: self._plugin.resume(effect_id, result))

    def end(self) -> None:
        """Give the plugin back."""
        self._ending.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end()

    def _call(
        self,
        function: Literal["plugin_execute", "plugin_resume"],
        args: Sequence[str] | None,
        work: Callable[[], ExecuteResult],
    ) -> ExecuteResult:
        # A call in a thread may go on when the coroutine that waited for it was cancelled.
        if not self._entry.hold():
            raise PluginClosed("the plugin is closed")
        try:
            with self._turn:
                if self.granted is not None:
                    self._plugin.grant(self.granted)
                if self._audit is None:
                    return work()
                return self._audit.call(self, function, args, work)
        finally:
            self._entry.release()

    async def _call_async(
        self, method: Callable[..., ExecuteResult], *arguments: object
    ) -> ExecuteResult:
        return await self._plugin._call_async(method, *arguments)
