"""``sockets``, for asyncio: connections to given addresses, and nowhere else."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import httpcore


class AsyncPinnedBackend(httpcore.AsyncNetworkBackend):
    """Connects to the first of the addresses that answers, whatever host is asked for."""

    def __init__(self, addresses: tuple[str, ...]) -> None:
        self._addresses = addresses
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,  # noqa: ARG002 - the name was resolved and checked before
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,  # noqa: ARG002
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002
    ) -> httpcore.AsyncNetworkStream:
        """A stream to one of the addresses.

        Raises:
            httpcore.ConnectError, httpcore.ConnectTimeout
        """
        assert timeout is not None
        end = time.monotonic() + timeout
        failure: Exception = httpcore.ConnectError("no address")
        for number, address in enumerate(self._addresses):
            # Each gets its share of what is left, so a silent one is not the end.
            share = max(0.0, end - time.monotonic()) / (len(self._addresses) - number)
            try:
                return await self._backend.connect_tcp(address, port, share)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure
