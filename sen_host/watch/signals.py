"""Being woken when something changes in directories, which may come and go."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable

from sen_host import log
from sen_host.discovery import SUFFIX

_QUIET_MILLISECONDS = 50
_MOST_MILLISECONDS = 200


class Signals:
    """Sets an event when a plugin file changes in directories.

    A lost signal, or none at all, is no harm: whoever waits for the event looks now and
    then without it.
    """

    def __init__(
        self, directories: Iterable[str], *, recursive: bool, changed: threading.Event
    ) -> None:
        self._directories = tuple(directories)
        self._recursive = recursive
        self._changed = changed
        self._followed: dict[str, tuple[int, int]] = {}
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    def follow(self) -> None:
        """Follow those of the directories that exist now; to be called again and again."""
        there = {path: found for path in self._directories if (found := _identity(path))}
        if there == self._followed:
            return
        self.stop()
        self._followed = there
        if there:
            self._stop = threading.Event()
            self._thread = threading.Thread(
                target=self._watch,
                args=(tuple(there), self._stop),
                name="sen-host-watch-signals",
                daemon=True,
            )
            self._thread.start()

    def stop(self) -> None:
        """Stop, and wait for it."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._followed = {}

    def _watch(self, directories: tuple[str, ...], stop: threading.Event) -> None:
        import watchfiles

        def matters(_change: watchfiles.Change, path: str) -> bool:
            return path.endswith(SUFFIX) or path in directories

        try:
            for _ in watchfiles.watch(
                *directories,
                watch_filter=matters,
                debounce=_MOST_MILLISECONDS,
                step=_QUIET_MILLISECONDS,
                stop_event=stop,
                recursive=self._recursive,
                raise_interrupt=False,
                ignore_permission_denied=True,
            ):
                self._changed.set()
        except (OSError, RuntimeError) as error:
            # Too many watches, or a directory that has just gone.
            log.warning("changes are seen by looking only, the system tells of none: %s", error)


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino
