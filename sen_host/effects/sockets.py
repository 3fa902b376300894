"""Connections to given addresses, and nowhere else, each operation with an end in time."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterable
from typing import Any

import httpcore


class Deadline:
    """A moment by which what is being done must be over."""

    def __init__(self) -> None:
        self._end = 0.0

    def set(self, seconds: float) -> None:
        """It is so many seconds from now."""
        self._end = time.monotonic() + seconds

    def left(self, timeout: float | None) -> float:
        """Seconds until then, or ``timeout`` if that is less.

        Raises:
            TimeoutError: it has passed.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time is up")
        return left if timeout is None else min(left, timeout)


class PinnedBackend(httpcore.NetworkBackend):
    """Connects to the first of the addresses that answers, whatever host is asked for."""

    def __init__(self, addresses: tuple[str, ...], deadline: Deadline) -> None:
        self._addresses = addresses
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,  # noqa: ARG002 - the name was resolved and checked before
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,  # noqa: ARG002
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        """A stream to one of the addresses.

        Raises:
            httpcore.ConnectError, httpcore.ConnectTimeout
        """
        end = Deadline()
        end.set(self._deadline.left(timeout))
        failure: OSError = OSError("no address")
        for number, address in enumerate(self._addresses):
            try:
                # Each gets its share of what is left, so a silent one is not the end.
                share = end.left(None) / (len(self._addresses) - number)
                connected = socket.create_connection((address, port), share)
            except OSError as error:  # noqa: PERF203 - the next one may answer
                failure = error
            else:
                connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return Stream(connected, self._deadline)
        if isinstance(failure, TimeoutError):
            raise httpcore.ConnectTimeout(failure) from failure
        raise httpcore.ConnectError(failure) from failure


class Stream(httpcore.NetworkStream):
    """A socket. A server that sends byte after byte for ever does not outlive the deadline."""

    def __init__(self, connected: socket.socket, deadline: Deadline) -> None:
        self._socket = connected
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Up to so many bytes; none at the end.

        Raises:
            httpcore.ReadError, httpcore.ReadTimeout
        """
        try:
            self._socket.settimeout(self._deadline.left(timeout))
            return self._socket.recv(max_bytes)
        except TimeoutError as error:
            raise httpcore.ReadTimeout(error) from error
        except OSError as error:
            raise httpcore.ReadError(error) from error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        """All of the bytes.

        Raises:
            httpcore.WriteError, httpcore.WriteTimeout
        """
        try:
            # Not sendall: that of a socket with TLS takes the timeout for each record anew.
            rest = memoryview(buffer)
            while rest:
                self._socket.settimeout(self._deadline.left(None))
                rest = rest[self._socket.send(rest) :]
        except TimeoutError as error:
            raise httpcore.WriteTimeout(error) from error
        except OSError as error:
            raise httpcore.WriteError(error) from error

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        """The same connection, with TLS.

        Raises:
            httpcore.ConnectError, httpcore.ConnectTimeout
        """
        try:
            self._socket.settimeout(self._deadline.left(timeout))
            wrapped = ssl_context.wrap_socket(self._socket, server_hostname=server_hostname)
        except TimeoutError as error:
            self.close()
            raise httpcore.ConnectTimeout(error) from error
        except (OSError, ValueError) as error:
            self.close()
            raise httpcore.ConnectError(error) from error
        return Stream(wrapped, self._deadline)

    def get_extra_info(self, info: str) -> Any:  # noqa: ARG002
        """Nothing: HTTP/2, for which it would be asked, is off."""
        return None
