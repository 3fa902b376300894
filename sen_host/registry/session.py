"""One call of a command: the plugin with what it was granted, for as long as the call takes."""

from __future__ import annotations

from contextlib import ExitStack

from sen_host.conversation import Conversation
from sen_host.errors import PluginClosed
from sen_host.pool import PluginPool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from sen_host.backend import Binding
    from sen_host.limits import Limits
    from sen_host.messages import EffectResult, ExecuteResult, PluginManifest
    from sen_host.plugin import Plugin
    from sen_host.registry.entry import Entry
    from sen_host.registry.home import ConfinedPlugin


class Session(Conversation):
    """A plugin of a registry, for one caller: calls it as a ``Plugin``, and is not to be closed.

    Attributes:
        command: the name of its command in the registry.
    """

    def __init__(self, entry: Entry, words: Sequence[str]) -> None:
        """Take over a hold of the entry, which ``end`` releases.

        Args:
            words: put before the arguments of each execute.
        """
        self.command = entry.command
        self._entry = entry
        self._words = words
        with ExitStack() as stack:
            stack.callback(entry.release)
            self._plugin: Plugin | ConfinedPlugin
            if isinstance(entry.plugin, PluginPool):
                self._plugin = stack.enter_context(entry.plugin.lease())
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
    def manifest(self) -> PluginManifest:
        """What the plugin says about itself."""
        return self._plugin.manifest

    @property
    def sha256(self) -> str:
        """SHA-256 of its binary."""
        return self._plugin.sha256

    @property
    def supports_effects(self) -> bool:
        """Whether the plugin exports ``plugin_resume``."""
        return self._plugin.supports_effects

    def execute(self, args: Sequence[str] = ()) -> ExecuteResult:
        """As ``Plugin.execute``."""
        return self._call(self._plugin.execute, [*self._words, *args])

    def resume(self, effect_id: int, result: EffectResult) -> ExecuteResult:
        """As ``Plugin.resume``."""
        return self._call(self._plugin.resume, effect_id, result)

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

    def _call(self, method: Callable[..., ExecuteResult], *arguments: object) -> ExecuteResult:
        # A call in a thread may go on when the coroutine that waited for it was cancelled.
        if not self._entry.hold():
            raise PluginClosed("the plugin is closed")
        try:
            return method(*arguments)
        finally:
            self._entry.release()

    async def _call_async(
        self, method: Callable[..., ExecuteResult], *arguments: object
    ) -> ExecuteResult:
        return await self._plugin._call_async(method, *arguments)
