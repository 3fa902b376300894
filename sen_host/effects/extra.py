"""The optional libraries for HTTP, imported when the first request is made."""

from __future__ import annotations

from sen_host.errors import MissingLibrary

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from types import ModuleType


def httpcore() -> ModuleType:
    """The HTTP library: the lower half of httpx.

    It is used without httpx, which would parse URLs a second time, decompress without a
    limit, and has no public way to say where to connect.

    Raises:
        MissingLibrary: it is not installed.
    """
    try:
        import anyio  # noqa: F401 - the async half needs it
        import httpcore
    except ImportError as error:
        raise MissingLibrary("httpcore", extra="http", purpose="HTTP effects") from error
    return httpcore


def default_tls() -> ssl.SSLContext:
    """TLS as httpx has it: the certificates of ``certifi``, whatever the environment says.

    Raises:
        MissingLibrary: certifi is not installed.
    """
    import ssl

    try:
        import certifi
    except ImportError as error:
        raise MissingLibrary("certifi", extra="http", purpose="HTTP effects") from error
    return ssl.create_default_context(cafile=certifi.where())
