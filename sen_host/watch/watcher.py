"""The watcher: a thread that steps when something changes, or has settled."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable, Iterable
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING

from sen_host import log
from sen_host.discovery import find_plugins
from sen_host.errors import ConfigError, MissingLibrary
from sen_host.watch.follower import Follower, WatchEvent
from sen_host.watch.signals import Signals

if TYPE_CHECKING:
    from sen_host.registry import PluginRegistry

SETTLE_SECONDS = 0.2
"""How long a file has to stay as it is, unless said otherwise."""

_LOOK_SECONDS = 1.0
_REST = 50
"""After looking for a second, it looks again without a signal after so many seconds."""


class HotReloadWatcher:
    """Keeps a registry up to date with the plugin files in directories.

    New files are loaded, changed ones reloaded, removed ones unloaded. A file is loaded
    when it has stayed as it is for the settling time, so never half-written. What fails is
    told, and what served before serves on. Calls that run finish on the old version.

    A directory that does not exist yet, or disappears and comes back, is followed from
    when it is there. Several watchers may follow one directory.

    Args:
        registry: what is kept up to date.
        directories: one, or several.
        load_existing: whether ``start`` loads what is there already.
        settle_seconds: the settling time, 0 to 60.
        depth: how many levels of directories below count as well, 0 to 32.
        on_event: called with each WatchEvent, in the watcher's thread; by ``start`` in the
            caller's. What it raises is logged.

    Raises:
        ConfigError: an argument is out of range.
        MissingLibrary: ``watchfiles`` is not installed.
    """

    def __init__(
        self,
        registry: PluginRegistry,
        directories: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
        *,
        load_existing: bool = True,
        settle_seconds: float = SETTLE_SECONDS,
        depth: int = 0,
        on_event: Callable[[WatchEvent], object] | None = None,
    ) -> None:
        try:
            import watchfiles  # noqa: F401 - whether it is there
        except ImportError as error:
            raise MissingLibrary(
                "watchfiles", extra="watch", purpose="watchers of directories"
            ) from error
        if isinstance(directories, (str, os.PathLike)):
            directories = [directories]
        self.directories = tuple(os.path.abspath(path) for path in directories)
        if not self.directories:
            raise ConfigError("there is no directory to watch")
        if not 0 <= settle_seconds <= 60:
            raise ConfigError(f"settle_seconds is {settle_seconds!r}; it must be from 0 to 60")
        find_plugins((), depth=depth)
        self.registry = registry
        self._load_existing = load_existing
        self._on_event = on_event
        self._changed = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._follower = Follower(
            registry,
            self.directories,
            settle_seconds=settle_seconds,
            depth=depth,
            tell=self._tell,
        )
        self._signals = Signals(self.directories, recursive=depth > 0, changed=self._changed)

    @property
    def running(self) -> bool:
        """Whether it was started, and not stopped."""
        return self._thread is not None

    def start(self) -> None:
        """Load what is there, if that was asked for, and follow what changes from now on."""
        if self._thread is not None:
            return
        self._stop = threading.Event()
        if self._load_existing:
            self._follower.load_existing(monotonic())
        else:
            self._follower.skip_existing()
        # Not waited for by an interpreter that ends: it is stopped by then.
        self._thread = threading.Thread(
            target=self._work, args=(self._stop,), name="sen-host-watch", daemon=True
        )
        atexit.register(self.stop)
        self._thread.start()

    def stop(self) -> None:
        """Stop following. The registry keeps its plugins.

        A load that is under way is waited for. May be called more than once, and in
        ``on_event``.
        """
        thread, self._thread = self._thread, None
        self._stop.set()
        self._changed.set()
        atexit.unregister(self.stop)
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def __enter__(self) -> HotReloadWatcher:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    async def __aenter__(self) -> HotReloadWatcher:
        import asyncio

        await asyncio.to_thread(self.start)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        import asyncio

        await asyncio.to_thread(self.stop)

    def _work(self, stop: threading.Event) -> None:
        try:
            while not stop.is_set():
                self._changed.clear()
                self._signals.follow()
                started = monotonic()
                due = self._step(started)
                ended = monotonic()
                rest = max(_LOOK_SECONDS, (ended - started) * _REST)
                if not stop.is_set():
                    self._changed.wait(rest if due is None else max(0, min(rest, due - ended)))
        finally:
            self._signals.stop()

    def _step(self, now: float) -> float | None:
        try:
            return self._follower.step(now)
        except Exception as error:
            # One that cannot go on would leave the registry as it is, without a word.
            log.warning("hot reload could not follow a change: %r", error)
            return None

    def _tell(self, event: WatchEvent) -> None:
        if event.error is None:
            log.debug("hot reload: %s %s from %s", event.kind, event.command, event.path)
        else:
            log.debug("hot reload: %s failed: %s", event.path, event.error)
        if self._on_event is None:
            return
        try:
            self._on_event(event)
        except Exception as error:
            log.warning("on_event of hot reload raised %r", error)
