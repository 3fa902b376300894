"""Write a limit into a module's table types, so that growth fails alike everywhere."""

from __future__ import annotations

from sen_host.errors import TableLimitExceeded
from sen_host.wasm.reader import ParsedModule
from sen_host.wasm.writer import TYPE_CODES, limits, vector


def limit_tables(module: ParsedModule, limit_elements: int) -> bytes:
    """The table section's content, with the maximum of each table lowered to the limit.

    What the initial sizes leave of the limit is shared equally, so that all
    tables together stay within it. The module must be valid.

    Args:
        limit_elements: for all tables together.

    Raises:
        TableLimitExceeded: the tables start with more than the limit.
    """
    initial = sum(table.limits.minimum for table in module.tables)
    if initial > limit_elements:
        raise TableLimitExceeded(initial_elements=initial, limit_elements=limit_elements)
    share = (limit_elements - initial) // max(1, len(module.tables))
    types = []
    for table in module.tables:
        minimum, maximum = table.limits
        most = minimum + share if maximum is None else min(maximum, minimum + share)
        types.append(TYPE_CODES[table.element] + limits(minimum, most))
    return vector(types)
