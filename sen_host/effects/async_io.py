"""The steps of effects, awaited. Cancelling one closes its connection."""

from __future__ import annotations

from sen_host.effects.exchange import failed, to_request
from sen_host.effects.faults import TimedOut
from sen_host.effects.resolve import ask_async
from sen_host.effects.steps import HangUp, Head, Pause, Read, Resolve, Send

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from types import ModuleType
    from typing import Any

    import httpcore

    from sen_host.effects.resolve import Resolver
    from sen_host.effects.steps import Step


class AsyncIO:
    """As ``SyncIO``, for asyncio; the resolver runs in a thread of its own."""

    def __init__(
        self,
        resolver: Resolver,
        tls: Callable[[], ssl.SSLContext],
        sleep: Callable[[float], Awaitable[object]],
    ) -> None:
        self._resolver = resolver
        self._tls = tls
        self._sleep = sleep
        self._connection: httpcore.AsyncHTTPConnection | None = None
        self._pieces: AsyncGenerator[bytes, None] | None = None

    async def do(self, step: Step) -> object:
        """Do a step and return its outcome.

        Raises:
            StepFailed
        """
        match step:
            case Pause(seconds):
                return await self._sleep(seconds)
            case HangUp():
                await self.close()
                return None
            case Resolve() | Send() | Read():
                return await self._within(step)

    async def _within(self, step: Resolve | Send | Read) -> object:
        from sen_host.effects.extra import httpcore

        library = httpcore()
        import anyio

        try:
            with anyio.fail_after(step.seconds):
                match step:
                    case Resolve(host, port):
                        return await ask_async(self._resolver, host, port)
                    case Send():
                        return await self._send(library, step)
                    case Read():
                        return await self._read(library)
        except TimeoutError as error:
            raise TimedOut(f"not done in {step.seconds:.3g} s") from error

    async def _send(self, library: ModuleType, step: Send) -> Head:
        from sen_host.effects.async_sockets import AsyncPinnedBackend

        request = to_request(library, step)
        self._connection = library.AsyncHTTPConnection(
            request.url.origin,
            ssl_context=self._tls() if step.url.scheme == "https" else None,
            network_backend=AsyncPinnedBackend(step.addresses),
        )
        try:
            response = await self._connection.handle_async_request(request)
        except Exception as error:
            raise failed(library, error) from error
        stream: Any = response.stream
        self._pieces = aiter(stream)
        return Head(response.status, response.headers)

    async def _read(self, library: ModuleType) -> bytes:
        assert self._pieces is not None
        try:
            return await anext(self._pieces, b"")
        except Exception as error:
            raise failed(library, error) from error

    async def close(self) -> None:
        """Close the connection, if there is one."""
        pieces, self._pieces = self._pieces, None
        connection, self._connection = self._connection, None
        try:
            if pieces is not None:
                await pieces.aclose()
        finally:
            if connection is not None:
                await connection.aclose()
