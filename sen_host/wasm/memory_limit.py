"""Write a limit into a module's memory types, so that growth fails alike everywhere."""

from __future__ import annotations

from sen_host.errors import MemoryLimitExceeded
from sen_host.limits import PAGE_BYTES
from sen_host.wasm.reader import ParsedModule
from sen_host.wasm.writer import limits, vector

MAX_PAGES = 65_535
"""One less than 32-bit addresses allow: Wasmer 2.1 does not grow to the last one."""


def limit_memory(module: ParsedModule, limit_bytes: int) -> bytes:
    """The memory section's content, with the maximum of each memory lowered to the limit.

    A maximum that is not above the limit stays. The module must be valid, since
    the rewriting would mend a maximum above 4 GiB.

    Args:
        limit_bytes: rounded down to whole pages of 64 KiB, MAX_PAGES at most.

    Raises:
        MemoryLimitExceeded: a memory starts with more than the limit.
    """
    limit_pages = min(MAX_PAGES, limit_bytes // PAGE_BYTES)
    types = []
    for memory in module.memories:
        minimum, maximum = memory.limits
        if minimum > limit_pages:
            raise MemoryLimitExceeded(
                initial_bytes=minimum * PAGE_BYTES, limit_bytes=limit_pages * PAGE_BYTES
            )
        pages = limit_pages if maximum is None else min(maximum, limit_pages)
        types.append(limits(minimum, pages))
    return vector(types)
