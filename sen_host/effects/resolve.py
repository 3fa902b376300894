"""Names to addresses, in bounded time."""

from __future__ import annotations

from sen_host.effects.faults import TimedOut, Unresolved

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import Future

    Resolver = Callable[[str, int], Iterable[str]]


def system_resolver(host: str, port: int) -> list[str]:
    """The addresses that the system knows for a name.

    Raises:
        OSError: it knows none.
    """
    import socket

    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for *_, sockaddr in found]


def ask(resolver: Resolver, host: str, port: int) -> tuple[str, ...]:
    """The resolver's answer.

    Raises:
        Unresolved: there is none.
    """
    try:
        return tuple(resolver(host, port))
    except (OSError, UnicodeError) as error:
        raise Unresolved(f"the name cannot be resolved: {error}") from error


def ask_within(resolver: Resolver, host: str, port: int, seconds: float) -> tuple[str, ...]:
    """As ``ask``, for so many seconds.

    The system cannot be told to give up, so a thread waits for it.

    Raises:
        Unresolved: there is no answer.
        TimedOut: there is none yet.
    """
    from concurrent.futures import TimeoutError as NotDone

    asking = _start(resolver, host, port)
    try:
        return asking.result(seconds)
    except NotDone:
        raise TimedOut(f"the name was not resolved in {seconds:.3g} s") from None


async def ask_async(resolver: Resolver, host: str, port: int) -> tuple[str, ...]:
    """As ``ask``; whoever cancels it need not wait.

    Raises:
        Unresolved: there is no answer.
    """
    from asyncio import wrap_future

    return await wrap_future(_start(resolver, host, port))


def _start(resolver: Resolver, host: str, port: int) -> Future[tuple[str, ...]]:
    import threading
    from concurrent.futures import Future

    # No pool: one would wait at the end of the process for a resolver that hangs.
    asking: Future[tuple[str, ...]] = Future()

    def look_up() -> None:
        if not asking.set_running_or_notify_cancel():
            return
        try:
            found = ask(resolver, host, port)
        except BaseException as error:
            asking.set_exception(error)
        else:
            asking.set_result(found)

    threading.Thread(target=look_up, name="sen-host-resolve", daemon=True).start()
    return asking
