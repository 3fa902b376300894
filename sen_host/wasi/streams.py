"""The standard streams of a guest: where its input comes from, where its output goes."""

from __future__ import annotations

import io
import sys

from sen_host.wasi.errno import Errno, WasiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, BinaryIO

    Source = bytes | Callable[[int], bytes] | BinaryIO
    Sink = Callable[[bytes], object] | BinaryIO
else:
    Source = Sink = str


class Input:
    """Standard input. Without a source it is at its end."""

    def __init__(self, source: Source | None) -> None:
        self._read: Callable[[int], bytes] | None = None
        self._rest = b""
        if isinstance(source, bytes):
            self._rest = source
        elif source is not None:
            self._read = _reader(source)

    def read(self, length: int) -> bytes:
        """At most ``length`` bytes; none at the end of the input."""
        if not self._rest and self._read is not None and length:
            try:
                self._rest = bytes(self._read(length))
            except ValueError:  # it is closed
                raise WasiError(Errno.IO) from None
        data, self._rest = self._rest[:length], self._rest[length:]
        return data


class Output:
    """Standard output or error. Without a sink what is written is dropped."""

    def __init__(self, sink: Sink | None) -> None:
        self._write = None if sink is None else _writer(sink)

    def write(self, data: bytes) -> None:
        """Write all, and flush."""
        if self._write is None or not data:
            return
        try:
            self._write(data)
        except ValueError:  # it is closed
            raise WasiError(Errno.IO) from None


def process_input() -> Source:
    """The process's standard input, empty if it has none."""
    stream: Any = sys.stdin
    if stream is None or hasattr(stream, "buffer"):
        return b"" if stream is None else stream.buffer
    return lambda length: stream.read(max(1, length // 4)).encode()  # text alone


def process_output(name: str) -> Sink | None:
    """``stdout`` or ``stderr`` of the process, as it is now."""
    stream = getattr(sys, name)
    return stream if stream is None else _through_text(stream)


def _reader(source: Any) -> Callable[[int], bytes]:
    # A terminal gives a line at a time: `read` would wait until the buffer is full.
    read = getattr(source, "read1", None) or getattr(source, "read", None) or source

    def take(length: int) -> bytes:
        return read(length) or b""

    return take


def _writer(sink: Any) -> Callable[[bytes], object]:
    if not hasattr(sink, "write"):
        call: Callable[[bytes], object] = sink
        return call

    def put(data: bytes) -> None:
        rest = memoryview(data)
        while rest:  # a raw file may take less than all
            taken = sink.write(rest)
            rest = rest[len(rest) if taken is None else taken :]
        if hasattr(sink, "flush"):
            sink.flush()

    return put


def _through_text(stream: Any) -> Callable[[bytes], object]:
    def put(data: bytes) -> None:
        stream.flush()  # what the program printed before comes first
        if hasattr(stream, "buffer"):
            stream.buffer.write(data)
            stream.buffer.flush()
        else:
            stream.write(data.decode(errors="replace"))

    return put


def is_source(value: object) -> bool:
    """Whether a value may be given as ``stdin``."""
    return isinstance(value, bytes) or callable(value) or _is_file(value, "read")


def is_sink(value: object) -> bool:
    """Whether a value may be given as ``stdout`` or ``stderr``."""
    return callable(value) or _is_file(value, "write")


def _is_file(value: object, method: str) -> bool:
    return hasattr(value, method) and not isinstance(value, io.TextIOBase)
