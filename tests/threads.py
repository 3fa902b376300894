"""Do something in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def in_thread(work: Callable[[], T], *, stack_bytes: int = 0) -> T:
    """What ``work`` returns or raises in another thread.

    Args:
        stack_bytes: the size of the thread's stack; 0 for the usual one.
    """
    returned: list[T] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            returned.append(work())
        except BaseException as error:
            raised.append(error)

    before = threading.stack_size(stack_bytes)
    try:
        thread = threading.Thread(target=run)
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join()
    if raised:
        raise raised[0]
    return returned[0]


def failure_in_thread(work: Callable[[], object]) -> BaseException | None:
    """What ``work`` raises in another thread, if it raises anything."""
    try:
        in_thread(work)
    except BaseException as error:
        return error
    return None
