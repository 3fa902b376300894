"""Plugins of bindings that are tied to one thread, for callers in every thread."""

from __future__ import annotations

import threading

from sen_host import log
from sen_host.conversation import Conversation
from sen_host.errors import PluginClosed, WrongThread
from sen_host.forks import reset_after_fork

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future, ThreadPoolExecutor
    from typing import ParamSpec, TypeVar

    from sen_host.backend import Binding
    from sen_host.limits import Limits
    from sen_host.messages import Capabilities, EffectResult, ExecuteResult, PluginManifest
    from sen_host.plugin import Plugin

    P = ParamSpec("P")
    T = TypeVar("T")


class HomeThread:
    """A thread that loads, calls and closes plugins for others.

    It starts at its first use, and ends when it was told to and its last plugin is closed.
    """

    def __init__(self) -> None:
        self._executor: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()
        self._plugins = 0
        self._closing = False
        self._forked = False
        reset_after_fork(self)

    def do(self, work: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        """What ``work`` returns or raises there.

        Raises:
            PluginClosed: the thread has ended.
            WrongThread: this is a fork of the process that the thread is in.
        """
        with self._lock:
            future = self._submit(work, *args, **named)
        return future.result()

    def load(self, load: Callable[[], Plugin]) -> Plugin:
        """A plugin that is loaded there, and to be given to ``close_plugin``."""
        plugin = self.do(load)
        with self._lock:
            self._plugins += 1
        return plugin

    def close_plugin(self, plugin: Plugin) -> None:
        """Close it when the thread comes to it."""
        with self._lock:
            self._submit(plugin.close).add_done_callback(_tell_failure)
            self._plugins -= 1
            self._end_if_unused()

    def close(self) -> None:
        """Let it end with its last plugin. May be called more than once."""
        with self._lock:
            self._closing = True
            self._end_if_unused()

    def _submit(self, work: Callable[P, T], *args: P.args, **named: P.kwargs) -> Future[T]:
        if self._forked:
            raise WrongThread(
                "the thread that this plugin is tied to is not in this fork of the process",
                hint="make the registry in the process that uses it, or use isolation='process'",
            )
        if self._executor is None:
            if self._closing:
                raise PluginClosed("the registry of this plugin is closed")
            from concurrent.futures import ThreadPoolExecutor

            self._executor = ThreadPoolExecutor(1, "sen-host-plugins")
        return self._executor.submit(work, *args, **named)

    def _end_if_unused(self) -> None:
        if self._closing and not self._plugins and self._executor is not None:
            self._executor.shutdown(wait=False)
            self._executor = None

    def after_fork(self) -> None:
        """In a fork of the process: the thread is not here."""
        self._lock = threading.Lock()
        if self._executor is not None:
            self._executor = None
            self._forked = True


def _tell_failure(closing: Future[None]) -> None:
    error = closing.exception()
    if error is not None:
        log.warning("a plugin could not be closed: %s", error)


class ConfinedPlugin(Conversation):
    """A plugin whose every call is made in its home thread, whichever thread asks for it."""

    def __init__(self, home: HomeThread, load: Callable[[], Plugin]) -> None:
        self._home = home
        self._plugin = home.load(load)
        self.path = self._plugin.path
        self.binding: Binding = self._plugin.binding
        self.backend = self._plugin.backend
        self.limits: Limits = self._plugin.limits

    @property
    def manifest(self) -> PluginManifest:  # type: ignore[override]
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

    @property
    def fuel_used(self) -> int | None:
        """Fuel that the latest call used."""
        return self._home.do(lambda: self._plugin.fuel_used)

    @property
    def fuel_left(self) -> int | None:
        """What the latest call left of its budget."""
        return self._home.do(lambda: self._plugin.fuel_left)

    def grant(self, capabilities: Capabilities) -> None:
        """As ``Plugin.grant``."""
        self._plugin.grant(capabilities)

    def execute(self, args: Sequence[str] = ()) -> ExecuteResult:
        """As ``Plugin.execute``."""
        return self._home.do(self._plugin.execute, args)

    def resume(self, effect_id: int, result: EffectResult) -> ExecuteResult:
        """As ``Plugin.resume``."""
        return self._home.do(self._plugin.resume, effect_id, result)

    def close(self) -> None:
        """As ``Plugin.close``, but without waiting. Called once."""
        self._home.close_plugin(self._plugin)

    async def _call_async(
        self, method: Callable[..., ExecuteResult], *arguments: object
    ) -> ExecuteResult:
        import asyncio

        return await asyncio.to_thread(method, *arguments)
