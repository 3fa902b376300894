"""Calls from a guest up to the host, for the binding ``public``.

The package calls a function of ours within a try of its own, but a signal handler may
raise before that is reached: then its callback returns what lies on the stack, and the
engine takes that for a trap. Handlers run in the main thread alone. So the guest runs in
another one, and what it calls runs in the thread that waits for it.

The package keeps what a function raised in one place for all threads. So nothing is
raised: a flag in the guest, the global STOP, makes it trap. For that the imports are
called by functions that are added.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from sen_host.backend import RESERVED, FuncType, HostFunction
from sen_host.wasm.assembler import (
    UNREACHABLE,
    call,
    function,
    get,
    global_get,
    i64,
    i64_lt_s,
    if_,
)
from sen_host.wasm.extend import ImportedFunction, Indices, extend
from sen_host.wasm.reader import Export, parse

STOP = RESERVED + "stop"
"""Export: an i64 global, above zero when a host function has raised something."""


def attach(wasm: bytes) -> bytes:
    """Let functions of our own call what a module imports; one that imports nothing stays."""
    module = parse(wasm)
    types = [item.type for item in module.imports if isinstance(item.type, FuncType)]
    if not types:
        return wasm
    count = len(types)

    def exports(indices: Indices) -> list[Export]:
        moved = [
            Export(e.name, e.kind, e.index + count) if e.kind == "function" else e
            for e in module.exports
        ]
        return [*moved, Export(STOP, "global", indices.globals)]

    def stubs(indices: Indices) -> list[bytes]:
        stopped = i64_lt_s(i64(0), global_get(indices.globals))
        return [
            function(
                (),
                call(number, *map(get, range(len(type.params)))),
                if_(stopped, UNREACHABLE),
            )
            for number, type in enumerate(types)
        ]

    return extend(
        module,
        imports=[
            ImportedFunction(item.module, item.name, type)
            for item, type in zip(module.imports, types, strict=True)
        ],
        globals=1,
        functions=lambda _: [],
        exports=exports,
        stubs=stubs,
    )


class UpCalls:
    """The host functions of one instance."""

    def __init__(self, imports: Sequence[HostFunction]) -> None:
        self._imports = imports
        self._raised: BaseException | None = None
        self._elsewhere: _Elsewhere | None = None
        self.stop: Callable[[], object]
        """Sets STOP; to be given before a guest runs."""

    def function(self, number: int) -> Callable[..., int | None]:
        """What the package is to call for the import of that number."""
        params, results = self._imports[number].type
        masks = [(1 << _BITS[kind]) - 1 for kind in params]
        bits = _BITS[results[0]] if results else 0

        def called(*arguments: int) -> int | None:
            do = partial(
                self._do,
                self._imports[number].call,
                [value & mask for value, mask in zip(arguments, masks, strict=True)],
            )
            elsewhere = self._elsewhere
            result = do() if elsewhere is None else elsewhere.ask(do)
            if self._raised is not None:
                self.stop()
            if not bits:
                return None
            result = result or 0
            return result - (1 << bits) if result >> (bits - 1) else result

        return called

    def _do(self, call: Callable[..., int | None], arguments: list[int]) -> int | None:
        try:
            if self._raised is None:
                return call(*arguments)
        except BaseException as error:
            self._raised = error
        return None

    def run(self, enter: Callable[[], Any]) -> Any:
        """Enter the guest.

        Raises:
            What a host function raised, or a signal handler while the guest ran; else
            what ``enter`` raises.
        """
        if threading.current_thread() is threading.main_thread():
            self._elsewhere = elsewhere = _Elsewhere(enter)
            # An interrupt ends the guest when it calls up; until then it must be waited
            # for. Another one may come while the first is noted, hence two loops.
            while elsewhere.outcome is None:
                try:
                    while elsewhere.outcome is None:
                        try:
                            elsewhere.serve()
                        except BaseException as error:  # noqa: PERF203 - once an interrupt
                            self._raised = error
                except BaseException as error:  # noqa: PERF203 - once an interrupt
                    self._raised = error
            self._elsewhere, outcome = None, elsewhere.outcome
        else:
            outcome = _outcome_of(enter)
        raised, self._raised = self._raised, None
        result, failure = outcome
        try:
            if raised is not None:
                raise raised from failure
            if failure is not None:
                raise failure
            return result
        finally:
            # Their tracebacks hold this frame, which holds the instance.
            del raised, failure, outcome


class _Elsewhere:
    """A guest in a thread of its own, and what it asks the thread that waits for it.

    What is passed stands in attributes, so that an interrupt loses nothing; the queues
    only wake who waits.

    Attributes:
        outcome: what the guest came to, a result or an exception; None until then.
    """

    def __init__(self, enter: Callable[[], Any]) -> None:
        self.outcome: tuple[Any, BaseException | None] | None = None
        self._asked: tuple[int, Callable[[], int | None]] | None = None
        self._answer: tuple[int, int | None] = 0, None
        self._wake_host: SimpleQueue[None] = SimpleQueue()
        self._wake_guest: SimpleQueue[None] = SimpleQueue()
        self._enter = enter
        self._begun = threading.Lock()

    def _run(self) -> None:
        # An interrupt may come when a thread is started, but not known to be: then
        # there is a second one, and one of them does nothing.
        if self._begun.acquire(blocking=False):
            self.outcome = _outcome_of(self._enter)
            self._wake_host.put(None)

    def _start(self) -> None:
        try:
            threading.Thread(target=self._run, name="sen-host-guest", daemon=True).start()
        except RuntimeError as error:  # the system has no more threads
            if self._begun.acquire(blocking=False):
                self.outcome = None, error

    def ask(self, do: Callable[[], int | None]) -> int | None:
        """For the guest's thread: have the other one do it."""
        number = self._answer[0] + 1
        self._asked = number, do
        self._wake_host.put(None)
        while self._answer[0] != number:
            with suppress(Empty):
                self._wake_guest.get(timeout=_LOST_SECONDS)
        return self._answer[1]

    def serve(self) -> None:
        """For the thread that waits: do what was asked for until there is an outcome."""
        if not self._begun.locked():
            self._start()
        while self.outcome is None:
            asked = self._asked
            if asked is None or asked[0] == self._answer[0]:
                self._wake_host.get()
                continue
            number, do = asked
            self._answer = number, do()
            self._wake_guest.put(None)


_BITS = {"i32": 32, "i64": 64}

_LOST_SECONDS = 0.1
"""After which the guest looks again, because an interrupt came before it was woken."""


def _outcome_of(enter: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    try:
        return enter(), None
    except BaseException as error:
        return None, error
