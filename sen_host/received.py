"""Plugins that came to this process by ``pickle``.

What is sent is the module as its author built it, and the terms that it was loaded
with. Whoever receives it checks, rewrites and compiles it himself: once for each process,
and not even that if his compile cache has it. Each plugin that is received has an instance
of its own, so what the sender's remembered stays there.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256

from sen_host.forks import reset_after_fork
from sen_host.loaded import Terms
from sen_host.plugin import Plugin

KEPT_MODULES = 64
"""How many modules are kept ready for more plugins of the same, those used last."""


class _Received:
    def __init__(self) -> None:
        self._plugins: OrderedDict[object, Plugin] = OrderedDict()
        self._lock = threading.Lock()
        reset_after_fork(self)

    def plugin(self, wasm: bytes, terms: Terms, load: Callable[[], Plugin]) -> Plugin:
        """A plugin of that module; ``load`` is called if there is none yet."""
        key = sha256(wasm).digest(), terms
        with self._lock:
            known = self._plugins.get(key)
            if known is None or not known.usable_here():
                known = self._plugins[key] = load()
            self._plugins.move_to_end(key)
            if len(self._plugins) > KEPT_MODULES:
                # It is not closed: plugins of its module may still be in use.
                self._plugins.popitem(last=False)
            return known.sibling()

    def after_fork(self) -> None:
        """In a fork of the process: another thread may have held the lock."""
        self._lock = threading.Lock()


received = _Received()
