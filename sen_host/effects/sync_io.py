"""The steps of effects, done in the thread that asks."""

from __future__ import annotations

from sen_host.effects.exchange import failed, to_request
from sen_host.effects.resolve import ask_within
from sen_host.effects.steps import HangUp, Head, Pause, Read, Resolve, Send

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator
    from typing import Any

    import httpcore

    from sen_host.effects.resolve import Resolver
    from sen_host.effects.sockets import Deadline
    from sen_host.effects.steps import Step


class SyncIO:
    """Does the steps of one effect, with one connection at a time.

    Args:
        resolver: from a name and a port to addresses; may raise OSError.
        tls: makes the settings for TLS.
        sleep: for pauses, in seconds.
    """

    def __init__(
        self,
        resolver: Resolver,
        tls: Callable[[], ssl.SSLContext],
        sleep: Callable[[float], object],
    ) -> None:
        self._resolver = resolver
        self._tls = tls
        self._sleep = sleep
        self._connection: httpcore.HTTPConnection | None = None
        self._pieces: Iterator[bytes] = iter(())
        self._deadline: Deadline | None = None

    def do(self, step: Step) -> object:
        """Do a step and return its outcome.

        Raises:
            StepFailed
        """
        match step:
            case Pause(seconds):
                return self._sleep(seconds)
            case Resolve(host, port, seconds):
                return ask_within(self._resolver, host, port, seconds)
            case Send():
                return self._send(step)
            case Read(seconds):
                return self._read(seconds)
            case HangUp():
                self.close()
                return None

    def close(self) -> None:
        """Close the connection, if there is one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _send(self, step: Send) -> Head:
        from sen_host.effects.extra import httpcore

        library = httpcore()
        from sen_host.effects.sockets import Deadline, PinnedBackend

        self._deadline = Deadline()
        self._deadline.set(step.seconds)
        request = to_request(library, step)
        self._connection = library.HTTPConnection(
            request.url.origin,
            ssl_context=self._tls() if step.url.scheme == "https" else None,
            network_backend=PinnedBackend(step.addresses, self._deadline),
        )
        try:
            response = self._connection.handle_request(request)
        except Exception as error:
            raise failed(library, error) from error
        stream: Any = response.stream
        self._pieces = iter(stream)
        return Head(response.status, response.headers)

    def _read(self, seconds: float) -> bytes:
        from sen_host.effects.extra import httpcore

        assert self._deadline is not None
        self._deadline.set(seconds)
        try:
            return next(self._pieces, b"")
        except Exception as error:
            raise failed(httpcore(), error) from error
