"""An HTTP server on this machine that behaves as badly as a test wants."""

from __future__ import annotations

import gzip
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

PIECE = b"x" * 65_536
BOMB = gzip.compress(bytes(64 << 20))


class Request(NamedTuple):
    """What the server got."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class Server:
    """Answers each request by the function that stands for its path.

    Such a function writes to the socket itself, and returns when the connection is over.

    Attributes:
        port: where it listens, on 127.0.0.1.
        requests: all that it got, in order.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self.connections = 0
        self._tls = tls
        self._over = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        scheme = "http" if self._tls is None else "https"
        return f"{scheme}://{host}:{self.port}{path}"

    def close(self) -> None:
        self._over.set()
        # Wakes the thread that accepts.
        socket.create_connection(("127.0.0.1", self.port)).close()
        for thread in self._threads:
            thread.join(5)
        self._listening.close()

    def idle(self, within: float) -> bool:
        """Whether all connections are over, or will be in so many seconds."""
        for thread in self._threads[1:]:
            thread.join(within)
        return not any(thread.is_alive() for thread in self._threads[1:])

    def _accept(self) -> None:
        while True:
            connection, _ = self._listening.accept()
            if self._over.is_set():
                connection.close()
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            connection.settimeout(10)
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            request = _read(connection)
            if request is not None:
                self.requests.append(request)
                path, _, query = request.target.partition("?")
                getattr(self, f"do_{path.strip('/') or 'plain'}")(connection, request, query)
        except OSError:
            pass  # the client went away, which is what many tests are about
        finally:
            connection.close()

    # What the paths do.

    def do_plain(self, to: socket.socket, request: Request, query: str) -> None:
        to.sendall(response(b"hello", "content-type: text/plain"))

    def do_echo(self, to: socket.socket, request: Request, query: str) -> None:
        to.sendall(response(request.body, f"content-type: {request.headers['content-type']}"))

    def do_status(self, to: socket.socket, request: Request, query: str) -> None:
        to.sendall(response(b"", status=f"{query} As Wanted"))

    def do_redirect(self, to: socket.socket, request: Request, query: str) -> None:
        code, _, location = query.partition(",")
        to.sendall(response(b"", f"location: {location}", status=f"{code} Elsewhere"))

    def do_forever(self, to: socket.socket, request: Request, query: str) -> None:
        to.sendall(response(b"", f"location: /forever?{len(self.requests)}", status="302 Found"))

    def do_hang(self, to: socket.socket, request: Request, query: str) -> None:
        self._over.wait(10)

    def do_drip(self, to: socket.socket, request: Request, query: str) -> None:
        to.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
        self._drip(to)

    def do_drip_head(self, to: socket.socket, request: Request, query: str) -> None:
        to.sendall(b"HTTP/1.1 200 OK\r\nslow: ")
        self._drip(to)

    def _drip(self, to: socket.socket) -> None:
        while not self._over.wait(0.02):
            to.sendall(b"x")

    def do_huge(self, to: socket.socket, request: Request, query: str) -> None:
        to.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 10000000000\r\n\r\n")
        for _ in range(10_000_000_000 // len(PIECE)):
            to.sendall(PIECE)

    def do_bomb(self, to: socket.socket, request: Request, query: str) -> None:
        to.sendall(response(BOMB, "content-encoding: gzip"))

    def do_gzip(self, to: socket.socket, request: Request, query: str) -> None:
        to.sendall(response(gzip.compress(b"zipped"), "content-encoding: gzip"))

    def do_cut_gzip(self, to: socket.socket, request: Request, query: str) -> None:
        to.sendall(response(gzip.compress(b"zipped")[:-9], "content-encoding: gzip"))

    def do_brotli(self, to: socket.socket, request: Request, query: str) -> None:
        to.sendall(response(b"\x0b\x02\x80hi\x03", "content-encoding: br"))

    def do_many_headers(self, to: socket.socket, request: Request, query: str) -> None:
        to.sendall(response(b"", *(f"h{number}: v" for number in range(int(query)))))

    def do_long_header(self, to: socket.socket, request: Request, query: str) -> None:
        to.sendall(response(b"", "long: " + "v" * int(query)))

    def do_garbage(self, to: socket.socket, request: Request, query: str) -> None:
        to.sendall(b"220 mail.example.com ESMTP at your service\r\n\r\n")

    def do_long_status(self, to: socket.socket, request: Request, query: str) -> None:
        to.sendall(b"220 " + b"x" * 60_000 + b"\r\n\r\n")

    def do_reset(self, to: socket.socket, request: Request, query: str) -> None:
        to.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
        to.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def do_short(self, to: socket.socket, request: Request, query: str) -> None:
        to.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")

    def do_keep_alive(self, to: socket.socket, request: Request, query: str) -> None:
        to.sendall(response(b"kept", "connection: keep-alive"))
        self._over.wait(10)

    def do_chunked(self, to: socket.socket, request: Request, query: str) -> None:
        to.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        to.sendall(b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")

    def do_unicode(self, to: socket.socket, request: Request, query: str) -> None:
        charset, _, code = query.partition(",")
        body = "grüße €".encode(code)
        to.sendall(response(body, f"content-type: text/plain; charset={charset}"))

    def do_switch(self, to: socket.socket, request: Request, query: str) -> None:
        to.sendall(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: other\r\n\r\n")
        self._over.wait(10)

    def do_cookie(self, to: socket.socket, request: Request, query: str) -> None:
        head = ("set-cookie: sid=secret; Path=/", "location: /plain")
        to.sendall(response(b"", *head, status="302 Found"))


def response(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """A whole response, with its length."""
    lines = [f"HTTP/1.1 {status}", *headers, f"content-length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def _read(connection: socket.socket) -> Request | None:
    with connection.makefile("rb") as stream:
        start = stream.readline().decode().split()
        if len(start) != 3:
            return None
        headers: dict[str, str] = {}
        while (line := stream.readline().decode().strip()) != "":
            name, _, value = line.partition(":")
            assert name.lower() not in headers, f"{name} twice"
            headers[name.lower()] = value.strip()
        body = stream.read(int(headers.get("content-length", 0)))
        return Request(start[0], start[1], headers, body)


@contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """A server for the time of a test."""
    server = Server(tls)
    try:
        yield server
    finally:
        server.close()


def resolving(**names: str | list[str]) -> Callable[[str, int], list[str]]:
    """A resolver that knows these names only; ``_`` stands for a dot."""
    known = {name.replace("_", "."): answer for name, answer in names.items()}

    def resolve(host: str, port: int) -> list[str]:
        if host not in known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        answer = known[host]
        return [answer] if isinstance(answer, str) else answer

    return resolve
