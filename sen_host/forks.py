"""What has to be set right in a fork of the process, where only one thread lives on."""

from __future__ import annotations

import os
import weakref

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class ForkAware(Protocol):
        def after_fork(self) -> None:
            """Called in the new process: another thread may have been in the middle of it."""


_things: weakref.WeakSet[ForkAware] = weakref.WeakSet()


def reset_after_fork(thing: ForkAware) -> None:
    """Have ``thing.after_fork()`` called in each fork of this process."""
    _things.add(thing)


def _after_fork() -> None:
    for thing in list(_things):
        thing.after_fork()


os.register_at_fork(after_in_child=_after_fork)
