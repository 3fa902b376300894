"""Between the core's steps and the HTTP library: what both sides, sync and async, share."""

from __future__ import annotations

from sen_host.effects.faults import Broken, StepFailed, TimedOut, Unreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

    import httpcore

    from sen_host.effects.steps import Send


_MOST_CHARS = 300


def to_request(library: ModuleType, step: Send) -> httpcore.Request:
    """The library's request. It gets the URL in parts, and so parses nothing again."""
    url = step.url
    request: httpcore.Request = library.Request(
        step.method,
        library.URL(
            scheme=url.scheme.encode(),
            host=url.host.encode(),
            port=url.port,
            target=url.target.encode(),
        ),
        headers=step.headers,
        content=step.body or b"",
        extensions={
            "timeout": {
                "connect": step.connect_seconds,
                "read": step.read_seconds,
                "write": step.seconds,
            }
        },
    )
    return request


def failed(library: ModuleType, error: Exception) -> StepFailed:
    """What an error of the library or the system means; one of our own comes back raised."""
    # It may quote what the server sent.
    text = f"{type(error).__name__}: {error}"[:_MOST_CHARS]
    if isinstance(error, (library.TimeoutException, TimeoutError)):
        return TimedOut(text)
    if isinstance(error, library.ConnectError):
        return Unreachable(text)
    if isinstance(error, (library.NetworkError, library.ProtocolError, OSError)):
        return Broken(text)
    raise error
