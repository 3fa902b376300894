"""The host's end of a worker: round trips with it, and what becomes of it when one fails."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from sen_host.backend import Binding
from sen_host.errors import BackendUnavailable, EngineCreation, EngineFault, WorkerDied
from sen_host.forks import reset_after_fork
from sen_host.isolation import frames, replies
from sen_host.isolation.child import Child, OutOfTime
from sen_host.isolation.faults import decode_fault

T = TypeVar("T")

Serve = Callable[[tuple[Any, ...]], tuple[object, ...]]
"""Does what a guest calls up for; see ``Connection.request``."""

ANSWER_SECONDS = 30.0
"""How long a worker may take for what runs no guest."""

_END_SECONDS = 1.0


class Overrun(WorkerDied):
    """The worker was killed because it did not reply in time."""


class Connection:
    """One worker process, ready for requests.

    Its methods may be called from any thread; requests wait for each other. A
    failure in the middle of a round trip ends the worker, and from then on
    every request raises WorkerDied.
    """

    def __init__(self, target: str, binding: Binding, *, start_seconds: float) -> None:
        """Start a worker with the backend ``target``, given as ``module:Class``.

        Args:
            start_seconds: how long that may take.

        Raises:
            BackendUnavailable: the backend cannot be imported there, or this
                program cannot start workers at all.
            EngineCreation: the process or the engine could not be started.
        """
        self._engine = binding.engine
        self._lock = threading.Lock()
        self._owner: int | None = None
        self._serving = False
        self._deadline: float | None = None
        self._ended = False
        self._obituary: tuple[str, int | None, str | None] | None = None
        self._child: Child
        _check_host(binding)
        try:
            _shielded(self._start_child)
            self._start(target, binding, start_seconds)
        except BaseException:
            # Whoever comes second, this or a thread that still starts the child,
            # sees what the first has left.
            self._ended = True
            if hasattr(self, "_child"):
                self._child.release()
            raise

    def _start_child(self) -> None:
        with _fork_lock:
            try:
                child = self._child = Child()
            except OSError as error:
                raise EngineCreation(
                    f"the worker process for {self._engine} could not be started",
                    detail=str(error),
                ) from error
            reset_after_fork(self)
            weakref.finalize(self, child.release)
        if self._ended:
            child.release()

    def _start(self, target: str, binding: Binding, seconds: float) -> None:
        fields = {
            "name": binding.name,
            "engine": binding.engine,
            "packages": binding.packages,
            "reason": binding.reason,
            "remedy": binding.remedy,
            "isolation": binding.isolation,
            "stack_bytes": binding.stack_bytes,
            "lacks": [(lack.capability.value, lack.why, lack.reason) for lack in binding.lacks],
        }
        message = (frames.START, frames.PROTOCOL, target, fields)
        try:
            protocol = self.request(message, replies.unsigned, seconds=seconds)
        except WorkerDied as error:
            raise EngineCreation(
                f"the worker process for {self._engine} could not be started",
                detail=f"{error.message}: {error.detail}" if error.detail else error.message,
            ) from error
        if protocol != frames.PROTOCOL:
            raise EngineCreation(
                "the worker process runs another version of sen-host",
                hint="restart this program: sen-host was replaced while it ran",
            )

    @property
    def pid(self) -> int:
        """The worker's process id."""
        return self._child.pid

    def is_alive(self) -> bool:
        """Whether there is a worker to make requests to."""
        return self._obituary is None and not self._ended and self._child.is_running()

    def request(
        self,
        message: tuple[object, ...],
        check: Callable[[Any], T],
        *,
        data_bytes: int = 0,
        seconds: float | None = ANSWER_SECONDS,
        serve: Serve | None = None,
    ) -> T:
        """One round trip.

        Args:
            message: the operation and its arguments, see ``frames``.
            check: returns the reply's value in its type, or raises Malformed.
            data_bytes: cap on the data in the reply.
            seconds: kill the worker if it has not replied by then; None waits.
            serve: does what a guest calls up for. It is given what follows the tag,
                and returns the message to go on with.

        Raises:
            Trap, SenHostError: what the backend raised in the worker.
            Overrun: the worker was killed because the time was over.
            WorkerDied: the worker is gone, or broke the protocol.
        """
        frame = frames.encode(message)
        if self._owner == threading.get_ident() and self._lock.locked():
            raise EngineFault(
                f"the worker process of {self._engine} is in the middle of a call of this thread",
                hint="do not call a plugin in a signal handler or in a finalizer",
            )
        with self._lock:
            return self._round_trip(frame, check, data_bytes, seconds, serve)

    def request_within(
        self, message: tuple[object, ...], check: Callable[[Any], T], *, data_bytes: int = 0
    ) -> T:
        """One round trip in the middle of another one, while that serves a guest.

        Raises:
            SenHostError: what the backend raised in the worker.
            WorkerDied: the worker is gone, or broke the protocol.
        """
        if not self._serving or self._owner != threading.get_ident():
            raise RuntimeError("the memory of a guest can only be used during its call")
        self._serving = False
        now = time.monotonic()
        seconds = ANSWER_SECONDS
        if self._deadline is not None:
            # A host function that took too long may still look at the memory.
            seconds = min(seconds, max(_END_SECONDS, self._deadline - now))
        try:
            return self._turn(frames.encode(message), check, data_bytes, seconds, now + seconds)
        finally:
            self._serving = True

    def try_request(self, message: tuple[object, ...]) -> bool:
        """A round trip that replies nothing, unless one is under way; whether it was made."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            self._round_trip(frames.encode(message), replies.nothing, 0, ANSWER_SECONDS)
        finally:
            self._lock.release()
        return True

    def _round_trip(
        self,
        frame: bytes,
        check: Callable[[Any], T],
        data_bytes: int,
        seconds: float | None,
        serve: Serve | None = None,
    ) -> T:
        deadline = None if seconds is None else time.monotonic() + seconds
        try:
            self._owner = threading.get_ident()
            return self._turn(frame, check, data_bytes, seconds, deadline, serve)
        finally:
            self._owner = None

    def _turn(
        self,
        frame: bytes,
        check: Callable[[Any], T],
        data_bytes: int,
        seconds: float | None,
        deadline: float | None,
        serve: Serve | None = None,
    ) -> T:
        if self._obituary is not None:
            raise self._dead()
        ending = False
        try:
            while True:
                self._child.send(frame, deadline)
                body = self._child.receive(data_bytes + frames.OVERHEAD_BYTES, deadline)
                reply = replies.decode(body)
                if reply[0] == frames.DONE and len(reply) == 2:
                    return check(reply[1])
                if reply[0] != frames.UPCALL or serve is None:
                    break
                if ending:
                    raise frames.Malformed("a guest that was ended calls a host function")
                message = self._served(serve, reply[1:], deadline)
                if self._obituary is not None:
                    raise self._dead()
                ending = message[0] == frames.RAISE
                if ending and deadline is not None:
                    # The guest ends at once, and is to tell what it has used.
                    deadline = max(deadline, time.monotonic() + _END_SECONDS)
                frame = frames.encode(message)
            outcome = _outcome(reply)
        except BaseException as error:
            self._fail(error, seconds)
        raise outcome

    def _served(
        self, serve: Serve, items: tuple[Any, ...], deadline: float | None
    ) -> tuple[object, ...]:
        self._serving, self._deadline = True, deadline
        try:
            return serve(items)
        finally:
            self._serving = False

    def _fail(self, error: BaseException, seconds: float | None) -> NoReturn:
        """Bury the worker after a round trip that did not come to its end."""
        if self._obituary is not None:  # it went while a guest was served
            raise error
        who = f"the worker process of {self._engine}"
        code: int | None = None
        if self._ended:
            message = f"{who} was ended in the middle of a call"
        elif isinstance(error, OutOfTime):
            self._child.kill()
            message = f"{who} did not reply within {seconds:g} s and was killed"
        elif isinstance(error, frames.HangUp):
            code = self._child.exit_code()
            message = f"{who} {_manner(code)}"
        elif isinstance(error, frames.Malformed):
            self._child.kill()
            message = f"{who} broke the protocol and was killed: {error}"
        else:
            self._child.kill()
            message = f"{who} was killed, because a call was interrupted: {error!r}"
        self._obituary = message, code, self._child.stderr_tail()
        self._child.release()
        if isinstance(error, OutOfTime) and not self._ended:
            raise self._dead(Overrun) from None
        if isinstance(error, (OutOfTime, frames.HangUp, frames.Malformed)):
            raise self._dead() from None
        raise error

    def _dead(self, kind: type[WorkerDied] = WorkerDied) -> WorkerDied:
        assert self._obituary is not None
        message, code, detail = self._obituary
        return kind(message, exit_code=code, detail=detail)

    def end(self) -> None:
        """End the worker; ask it first to free what it holds, if it is idle. Never hangs.

        Raises:
            SenHostError: what the backend raised while it freed something.
        """
        self._ended = True
        # A worker in the middle of a call is not waited for: its guest may
        # never end, or this is a finalizer that runs within that call.
        if not self._lock.acquire(blocking=False):
            # Whoever is in the call sees the hang-up and cleans up.
            self._child.kill()
            return
        try:
            if self._obituary is None and self._child.is_running():
                self._round_trip(frames.encode((frames.END,)), replies.nothing, 0, _END_SECONDS)
        except WorkerDied:
            return
        finally:
            if self._obituary is None:
                self._obituary = f"the worker process of {self._engine} was ended", None, None
            self._child.release()
            self._lock.release()

    def after_fork(self) -> None:
        """In a fork of the host: the worker stays with the parent."""
        self._lock = threading.Lock()
        self._owner = None
        self._serving = False
        self._child.forget()
        message = "the worker process belongs to the process from which this one was forked"
        self._obituary = message, None, None


def _shielded(action: Callable[[], None]) -> None:
    """Run ``action`` where no signal handler can stop it half-way.

    Handlers run in the main thread, whichever thread the signal is blocked in.
    So it is only the wait for another thread that they can stop.
    """
    if threading.current_thread() is not threading.main_thread():
        action()
        return
    failures: list[BaseException] = []

    def run() -> None:
        try:
            action()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run, name="sen-host-start-worker", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # no more threads: the system's cap, or the interpreter shuts down
        action()
        return
    thread.join()
    if failures:
        raise failures.pop()


def _outcome(reply: tuple[Any, ...]) -> Exception:
    if reply[0] == frames.TRAP:
        return replies.trap(reply[1:])
    if reply[0] == frames.FAULT and len(reply) == 3:
        return decode_fault(reply[1], reply[2])
    raise frames.Malformed("a reply of an unknown form")


def _manner(code: int | None) -> str:
    if code is None:
        return "closed its channel and was killed"
    if code >= 0:
        return f"exited with code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"was killed by {name}" + (" (out of memory?)" if -code == signal.SIGKILL else "")


def _check_host(binding: Binding) -> None:
    if getattr(sys, "frozen", False):
        # sys.executable is the frozen program, which would start once more.
        reason = "a frozen program cannot start worker processes"
    elif not sys.executable:
        reason = "the path of the Python interpreter is not known (sys.executable is empty)"
    elif os.name != "posix":
        reason = "worker processes need a POSIX system"
    else:
        return
    raise BackendUnavailable(binding.engine, reason)


# --- forks of the host --------------------------------------------------------


# Held while a worker is started, so that no fork gets hold of half of one.
_fork_lock = threading.RLock()

os.register_at_fork(
    before=_fork_lock.acquire,
    after_in_parent=_fork_lock.release,
    after_in_child=_fork_lock.release,
)
