"""A synchronous driver for ``wasmer-sdk``, the only file that imports it.

The package's interface is asynchronous, and an event loop costs more than the
guest itself. Its generated bindings take the loop that they wake from a
function, so a loop is put there whose futures are locks: a coroutine is then
driven by ``send(None)``, and whoever needs its result waits for the lock.

This leans on private names of ``wasmer-sdk`` 0.5, and belongs into a process
of its own: an abandoned guest keeps its thread, and the loop is global.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from typing import Any, Generic, TypeVar

from sen_host.errors import BackendUnavailable, EngineCreation

T = TypeVar("T")

_READ_BYTES = 1 << 16
_OPEN_FILES = "/proc/self/fd"


class SdkError(Exception):
    """``wasmer-sdk`` reported a failure. ``text`` is its text."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class Engine:
    """Wasmer, ready to load commands."""

    def __init__(self) -> None:
        """Start it.

        Raises:
            BackendUnavailable: the package cannot be imported.
            EngineCreation: it has not the names that this file leans on, or
                did not start.
        """
        try:
            import wasmer_sdk
            from wasmer_sdk import _native
        except ImportError as error:
            raise BackendUnavailable("wasmer", str(error)) from error
        try:
            _native.uniffi_set_event_loop(_Loop())  # type: ignore[arg-type]
            self._failures = (wasmer_sdk.WasmerError, _native.SdkError, _native.InternalError)
            for name in ("write_stdin", "read_stdout", "close_stdin"):
                getattr(_native.ProcessCore, name)
            self._cache = _CacheDirectory()
            try:
                self._client = wasmer_sdk.Wasmer(cache_root=self._cache.path)
            finally:
                self._cache.remove()
        except Exception as error:
            raise EngineCreation("Wasmer did not start", detail=str(error)) from error

    def load(self, wasm: bytes) -> Command:
        """Take a command's binary; it is compiled when it is first spawned.

        Raises:
            SdkError
        """
        package = self.result(self._client.packages.load(wasm))
        sandbox = self.result(self._client.sandboxes.create(packages=[package]))
        return Command(self, sandbox, package)

    def remove_cache(self) -> None:
        """Remove what the engine has written."""
        self._cache.remove()

    def result(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine of the package to its end."""
        return self.start(coroutine).result()

    def start(self, coroutine: Coroutine[Any, Any, T]) -> _Operation[T]:
        """Start a coroutine of the package."""
        return _Operation(coroutine, self._failures)


class Command:
    """A loaded command, which may be spawned many times."""

    def __init__(self, engine: Engine, sandbox: Any, package: Any) -> None:
        self._engine = engine
        self._sandbox = sandbox
        self._package = package

    def spawn(self) -> Process:
        """Compile the command, unless that was done before, and start it.

        Raises:
            SdkError: it does not compile, or an import or segment is at fault.
        """
        command = self._sandbox.command(self._package)
        try:
            process = self._engine.result(command.spawn(stdin="pipe", stdout="pipe", stderr="pipe"))
        finally:
            self._engine.remove_cache()
        return Process(self._engine, process)

    def close(self) -> None:
        """Free the command. Its processes have ended."""
        self._engine.start(self._sandbox.close()).settle()


class Process:
    """A running command with pipes. Only one thread may use it."""

    def __init__(self, engine: Engine, process: Any) -> None:
        self._engine = engine
        self._process = process
        self._core = process._core
        self._unread = b""

    def ask(self, request: bytes, reply_bytes: int) -> bytes:
        """Write to stdin and read ``reply_bytes`` bytes of the answer from stdout.

        Raises:
            EOFError: the process ended before.
        """
        # The write may not end before the guest has read it all, and nobody
        # has to wait for that: the answer tells.
        writing = self._engine.start(self._core.write_stdin(request))
        try:
            return self.read(reply_bytes)
        finally:
            writing.settle()

    def read(self, length: int) -> bytes:
        """Read ``length`` bytes from stdout.

        Raises:
            EOFError: the process ended before.
        """
        have = self._unread
        if len(have) < length:
            parts = [have]
            missing = length - len(have)
            while missing > 0:
                part = self._read(self._core.read_stdout, _READ_BYTES)
                if not part:
                    raise EOFError
                parts.append(part)
                missing -= len(part)
            have = b"".join(parts)
        self._unread = have[length:]
        return have[:length]

    def _read(self, read: Callable[[int], Coroutine[Any, Any, bytes | None]], length: int) -> bytes:
        """At least one byte and at most ``length``; none if the pipe has ended."""
        try:
            return self._engine.result(read(length)) or b""
        except SdkError:
            return b""

    def wait(self) -> None:
        """Wait for the end of the process.

        Raises:
            SdkError: it trapped; ``text`` tells how.
        """
        self._engine.result(self._process.wait())

    def end(self) -> None:
        """Close stdin, and wait for the process to take that as the end."""
        with suppress(SdkError):  # It may have trapped long ago.
            self._engine.result(self._core.close_stdin())
            self.wait()


class _Future:
    """Stands in for an asyncio future; a lock tells when it is done."""

    __slots__ = ("done", "value")

    def __init__(self) -> None:
        self.done = threading.Lock()
        self.done.acquire()
        self.value: int | None = None

    def cancelled(self) -> bool:
        return False

    def set_result(self, value: int) -> None:
        self.value = value
        self.done.release()

    def __await__(self) -> Generator[_Future, None, int | None]:
        if self.value is None:
            yield self
        return self.value


class _Loop:
    """As much of an event loop as the generated bindings ask for."""

    def create_future(self) -> _Future:
        return _Future()

    def call_soon_threadsafe(self, function: Callable[..., None], *arguments: Any) -> None:
        function(*arguments)


class _Operation(Generic[T]):
    """A coroutine that was started. Its result must be taken, or it be settled."""

    def __init__(
        self, coroutine: Coroutine[Any, Any, T], failures: tuple[type[Exception], ...]
    ) -> None:
        self._coroutine = coroutine
        self._failures = failures
        self._waiting: _Future | None = None
        self._value: T
        self._error: SdkError | None = None
        self._step()

    def _step(self) -> None:
        try:
            self._waiting = self._coroutine.send(None)
        except StopIteration as end:
            self._waiting = None
            self._value = end.value
        except self._failures as error:
            self._waiting = None
            self._error = SdkError(_text(error))

    def settle(self) -> None:
        """Wait for the end, whatever it is."""
        while self._waiting is not None:
            self._waiting.done.acquire()
            self._step()

    def result(self) -> T:
        self.settle()
        if self._error is not None:
            raise self._error
        return self._value


def _text(error: Exception) -> str:
    message = getattr(error, "message", None)
    return message if isinstance(message, str) else str(error)


class _CacheDirectory:
    """The directory for compiled code that the engine insists on; nothing is kept in it.

    The engine creates what is missing of the path whenever it writes there, so
    it is removed whenever the engine may have written. On Linux the engine gets
    the path of an open file descriptor instead: once the directory is removed,
    nothing can be created below that path, not even by a process that is killed.
    """

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="sen-host-")
        self.path = self._folder
        if os.path.isdir(_OPEN_FILES):
            # Left open: the number must not come to name another directory.
            descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
            self.path = f"{_OPEN_FILES}/{descriptor}"

    def remove(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
