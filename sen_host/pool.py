"""A pool of instances of one plugin, for calls that run at the same time."""

from __future__ import annotations

import os
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING

from sen_host.backend import Capability
from sen_host.conversation import MAX_EFFECTS
from sen_host.errors import ConfigError, PluginBusy, PluginClosed, WrongThread
from sen_host.forks import reset_after_fork
from sen_host.messages import Effect, EffectResult, Error, ExecuteResult, PluginManifest, Success
from sen_host.plugin import Plugin

if TYPE_CHECKING:
    from asyncio import Future


class PluginPool:
    """Calls of one plugin from many threads, each on an instance that is free.

    Instances are made when they are needed, ``size`` at most; further calls wait. Each
    keeps its memory from call to call, and which of them serves a call is not told: so
    a pool suits plugins that remember nothing. On a backend in this process the guests of
    Wasmtime run side by side; in worker processes those of every engine do, each instance
    in a process of its own.

    A conversation (``execute``, then ``resume``) needs one instance: use :meth:`run`, or
    :meth:`lease`.

    Attributes:
        size: how many instances there may be.
    """

    def __init__(self, plugin: Plugin, size: int | None = None) -> None:
        """Take over a plugin; closing the pool closes it.

        Args:
            size: how many instances there may be, at least 1; None for as many as
                there are processors.

        Raises:
            ConfigError: ``size`` is not a whole number above zero.
            WrongThread: the plugin's binding is tied to one thread.
        """
        if size is None:
            size = os.cpu_count() or 1
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise ConfigError(f"the size of a pool is {size!r}; it must be a whole number above 0")
        if not plugin.binding.has(Capability.ANY_THREAD):
            raise WrongThread(
                f"the binding {plugin.binding.name!r} of {plugin.backend} can use a plugin only in"
                " the thread that loaded it, so a pool of it cannot serve others",
                hint="use isolation='process'",
            )
        self.size = size
        self._first = plugin
        self._idle = [plugin]
        self._made = 1
        self._closed = False
        self._changed = threading.Condition()
        reset_after_fork(self)

    @property
    def manifest(self) -> PluginManifest:
        """What the plugin says about itself."""
        return self._first.manifest

    @property
    def path(self) -> str | None:
        """The plugin's file; None if it was loaded from bytes."""
        return self._first.path

    @property
    def supports_effects(self) -> bool:
        """Whether the plugin exports ``plugin_resume``."""
        return self._first.supports_effects

    @property
    def instances(self) -> int:
        """How many instances there are, 1 .. ``size``; 0 when it is closed."""
        return self._made

    def execute(self, args: Sequence[str] = (), *, timeout: float | None = None) -> ExecuteResult:
        """As ``Plugin.execute``, on an instance that is free.

        Args:
            timeout: seconds to wait for an instance; None waits as long as it takes.

        Raises:
            PluginBusy: no instance was free in time.
            Others as ``Plugin.execute``.
        """
        with self.lease(timeout=timeout) as plugin:
            return plugin.execute(args)

    def run(
        self,
        args: Sequence[str],
        handler: Callable[[Effect], EffectResult],
        *,
        max_effects: int = MAX_EFFECTS,
        timeout: float | None = None,
    ) -> Success | Error:
        """As ``Plugin.run``, on an instance that is free.

        Raises:
            PluginBusy: no instance was free in ``timeout`` seconds.
            Others as ``Plugin.run``.
        """
        with self.lease(timeout=timeout) as plugin:
            return plugin.run(args, handler, max_effects=max_effects)

    async def run_async(
        self,
        args: Sequence[str],
        handler: Callable[[Effect], Awaitable[EffectResult]],
        *,
        max_effects: int = MAX_EFFECTS,
        timeout: float | None = None,
    ) -> Success | Error:
        """As ``Plugin.run_async``, on an instance that is free; waits for one in a thread.

        Raises:
            PluginBusy: no instance was free in ``timeout`` seconds.
            Others as ``Plugin.run_async``.
        """
        import asyncio

        taking = asyncio.get_running_loop().run_in_executor(None, self._take, timeout)
        try:
            plugin = await asyncio.shield(taking)
        except asyncio.CancelledError:
            # The thread goes on waiting, and may get one that nobody wants any more.
            taking.add_done_callback(self._give_back_taken)
            raise
        try:
            return await plugin.run_async(args, handler, max_effects=max_effects)
        finally:
            self._give_back(plugin)

    @contextmanager
    def lease(self, *, timeout: float | None = None) -> Iterator[Plugin]:
        """An instance for several calls in a row, as a Plugin; not to be closed.

        Raises:
            PluginBusy: no instance was free in ``timeout`` seconds.
            PluginClosed: the pool is closed.
        """
        plugin = self._take(timeout)
        try:
            yield plugin
        finally:
            self._give_back(plugin)

    def close(self) -> None:
        """Close all instances; those in use as soon as they are given back.

        May be called more than once.
        """
        with self._changed:
            self._closed = True
            leaving, self._idle = self._idle, []
            self._made -= len(leaving)
            self._changed.notify_all()
        for plugin in leaving:
            plugin.close()

    def __enter__(self) -> PluginPool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<PluginPool of {self._made} of {self.size} instances of {self._first!r}>"

    def _take(self, timeout: float | None) -> Plugin:
        with self._changed:
            in_time = self._changed.wait_for(self._can_serve, timeout)
            if self._closed:
                raise PluginClosed("the pool is closed")
            if not in_time:
                raise PluginBusy(
                    f"all {self.size} instances of {self._first!r} are in use",
                    hint="make the pool larger, or the timeout longer",
                )
            if self._idle:
                # The one used last: its memory is in the caches.
                return self._idle.pop()
            self._made += 1
        try:
            return self._first.clone()
        except BaseException:
            with self._changed:
                self._made -= 1
                self._changed.notify()
            raise

    def _can_serve(self) -> bool:
        return bool(self._closed or self._idle or self._made < self.size)

    def _give_back(self, plugin: Plugin) -> None:
        with self._changed:
            if self._closed or plugin.closed:
                self._made -= 1
            else:
                self._idle.append(plugin)
            self._changed.notify()
            leaves = self._closed
        if leaves:
            plugin.close()

    def _give_back_taken(self, taken: Future[Plugin]) -> None:
        if not taken.cancelled() and taken.exception() is None:
            self._give_back(taken.result())

    def after_fork(self) -> None:
        """In a fork of the process: threads that had instances are not here any more."""
        self._changed = threading.Condition()
        self._made = len(self._idle)
