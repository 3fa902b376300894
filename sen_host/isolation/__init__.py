"""Run any backend in a worker process of its own (``isolation = "process"``).

A guest can then be stopped for real on a wall-clock limit, and an engine that
crashes takes the worker with it, not the host. :mod:`~sen_host.isolation.frames`
holds the rules of the protocol; the worker's side is ``worker``, the host's
``connection`` (one process) and ``process`` (the backend contract on top).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sen_host.isolation.process import ProcessBackend

__all__ = ["ProcessBackend"]


def __getattr__(name: str) -> object:
    # Resolved at first use: a worker imports this package too, and has no use for it.
    if name != "ProcessBackend":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from sen_host.isolation.process import ProcessBackend

    globals()[name] = ProcessBackend
    return ProcessBackend
