"""Write a limit into a module's table types, so that growth fails alike everywhere."""

from __future__ import annotations

from sen_host.errors import TableLimitExceeded
from sen_host.wasm.cursor import VALUE_TYPES
from sen_host.wasm.leb128 import encode_unsigned
from sen_host.wasm.reader import ParsedModule

_CODES = {name: bytes((code,)) for code, name in VALUE_TYPES.items()}


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
    content = encode_unsigned(len(module.tables))
    for table in module.tables:
        minimum, maximum = table.limits
        most = minimum + share if maximum is None else min(maximum, minimum + share)
        content += _CODES[table.element] + b"\x01"
        content += encode_unsigned(minimum) + encode_unsigned(most)
    return content
