"""Read the immediates of instructions as ``tokens.split`` finds them."""

from __future__ import annotations

from collections.abc import Sequence

from sen_host.backend import FuncType
from sen_host.wasm.cursor import VALUE_TYPES
from sen_host.wasm.leb128 import decode_signed, decode_unsigned

_PLAIN_BLOCK_TYPES = {
    0x40: FuncType((), ()),
    **{code: FuncType((), (type,)) for code, type in VALUE_TYPES.items()},
}


def block_type(token: bytes, types: Sequence[FuncType]) -> FuncType:
    """The type of a block, a loop or an if.

    Raises:
        IndexError: it is not among the types of the module.
        ValueError: its index is too long or too large.
    """
    plain = _PLAIN_BLOCK_TYPES.get(token[1])
    if plain is not None:
        return plain
    index, _ = decode_signed(token, 1, 33)
    if index < 0:
        raise IndexError(index)
    return types[index]


def table_labels(token: bytes) -> tuple[int, set[int]]:
    """How many targets a br_table has, and the labels of them and of the default.

    Raises:
        ValueError: an integer is too long or too large.
    """
    count, offset = decode_unsigned(token, 1)
    if len(token) == offset + count + 1:  # a byte for each
        return count, set(token[offset:])
    labels = set()
    for _ in range(count + 1):
        label, offset = decode_unsigned(token, offset)
        labels.add(label)
    return count, labels
