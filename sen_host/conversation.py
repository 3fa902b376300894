"""Execute and resume in turns, until the plugin has come to an end."""

from __future__ import annotations

from sen_host.backend import Capability
from sen_host.errors import EffectLimitExceeded, Serialization
from sen_host.messages import Effect, Error, Success

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from sen_host.backend import Binding
    from sen_host.messages import EffectResult, ExecuteResult, PluginManifest

MAX_EFFECTS = 1_000
"""How many effects a plugin may ask for in one run, unless said otherwise."""


class Conversation:
    """What runs a plugin to its end, for those that have ``execute`` and ``resume``."""

    path: str | None
    binding: Binding
    manifest: PluginManifest

    @property
    def supports_effects(self) -> bool:
        """Whether the plugin exports ``plugin_resume``."""
        raise NotImplementedError

    def execute(self, args: Sequence[str] = ()) -> ExecuteResult:
        """Run the plugin's command; see ``Plugin.execute``."""
        raise NotImplementedError

    def resume(self, effect_id: int, result: EffectResult) -> ExecuteResult:
        """Hand the plugin the result of an effect; see ``Plugin.resume``."""
        raise NotImplementedError

    def run(
        self,
        args: Sequence[str],
        handler: Callable[[Effect], EffectResult],
        *,
        max_effects: int = MAX_EFFECTS,
    ) -> Success | Error:
        """Run the plugin's command and do its effects until it comes to an end.

        Args:
            args: the arguments, without the command's name.
            handler: does an effect and returns its result. What it raises
                goes through to the caller.
            max_effects: how many effects the plugin may ask for.

        Raises:
            EffectLimitExceeded: the plugin asked for more than ``max_effects``.
            Others as :meth:`execute` and :meth:`resume`.
        """
        result = self.execute(args)
        for _ in range(max_effects):
            if not isinstance(result, Effect):
                break
            result = self.resume(result.id, handler(result))
        return self._final(result, max_effects)

    async def run_async(
        self,
        args: Sequence[str],
        handler: Callable[[Effect], Awaitable[EffectResult]],
        *,
        max_effects: int = MAX_EFFECTS,
    ) -> Success | Error:
        """As :meth:`run`, with a handler that is awaited.

        The guest itself runs in a thread of the event loop's executor, unless
        its binding is tied to one thread: then it runs in this one. Cancelling
        does not stop a guest that runs; a limit does, and closing the plugin if it
        runs in a worker process.
        """
        result = await self._call_async(self.execute, args)
        for _ in range(max_effects):
            if not isinstance(result, Effect):
                break
            outcome = handler(result)
            if not is_awaitable(outcome):
                raise Serialization(
                    f"the handler returned {type(outcome).__name__}, which cannot be awaited",
                    hint="for a handler that is not async, use run",
                )
            result = await self._call_async(self.resume, result.id, await outcome)
        return self._final(result, max_effects)

    async def _call_async(
        self, method: Callable[..., ExecuteResult], *arguments: object
    ) -> ExecuteResult:
        if self.binding.has(Capability.ANY_THREAD):
            import asyncio

            return await asyncio.to_thread(method, *arguments)
        return method(*arguments)

    def _final(self, result: ExecuteResult, max_effects: int) -> Success | Error:
        if isinstance(result, (Success, Error)):
            return result
        error = EffectLimitExceeded(max_effects)
        error.plugin = self.path
        raise error


def is_awaitable(value: object) -> bool:
    """Whether ``await`` takes it."""
    from inspect import isawaitable

    return isawaitable(value)
