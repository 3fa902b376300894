"""The file of one entry.

    8 bytes   magic
    4 bytes   CRC-32 of all that follows
    4 bytes   version of this format
    4 bytes   length of the description
    8 bytes   length of the data
    ...       the description, a MessagePack map
    ...       the data

Numbers are little-endian. CRC-32 finds every change of up to 32 neighbouring bits and
all but one in 2**32 of the others. BLAKE2b takes four times as long, a third of what
loading a module takes; SHA-256 is quick only in OpenSSL, whose import takes 4 ms.
"""

from __future__ import annotations

import os
import struct
from zlib import crc32

import msgpack

from sen_host.backend import FuncType, Import
from sen_host.cache.directory import Foreign
from sen_host.records import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal

    Kind = Literal["compiled", "rewritten"]
    """What the data are: what the engine serialized, or the module as the host rewrote it."""

MOST_BYTES = 1 << 30
"""A larger file is no entry."""

_MAGIC = b"SEN-MOD\n"
_FORMAT = 2
_CHECKED = struct.Struct("<IIQ")
_HEAD_BYTES = len(_MAGIC) + 4 + _CHECKED.size
_MOST_DESCRIPTION_BYTES = 64 * 1024


class Damaged(Exception):
    """A file is not the entry that it should be. The text tells why."""


UNUSABLE = (Damaged, Foreign, OSError, MemoryError)
"""What reading a file of the cache can come to, if it is not an entry to be used."""


class Description(NamedTuple):
    """What an entry says about itself.

    Attributes:
        key: its key.
        kind: what its data are.
        has_start: whether the module has a start function, to be called by the host.
        has_resume: whether it exports ``plugin_resume``.
        imports: the functions that it imports.
        plugin: the name of the plugin's command.
        engine: backend, binding and engine, for people.
        module_bytes: size of the module as its author built it.
    """

    key: str
    kind: Kind
    has_start: bool
    has_resume: bool
    imports: tuple[Import, ...]
    plugin: str
    engine: str
    module_bytes: int


_TYPES = (str, str, bool, bool, tuple, str, str, int)


def encode(description: Description, data: bytes) -> bytes:
    """All of the file in front of ``data``."""
    about: bytes = msgpack.packb(description._asdict(), unicode_errors="surrogatepass")
    checked = _CHECKED.pack(_FORMAT, len(about), len(data)) + about
    checksum = crc32(data, crc32(checked))
    return _MAGIC + checksum.to_bytes(4, "little") + checked


def read(file: int, key: str) -> tuple[Description, bytes]:
    """Read the entry of ``key`` from an open file, and check all of it.

    Raises:
        Damaged: it is not intact, or not that entry.
        OSError: it cannot be read.
    """
    head, about, data_bytes = _read_front(file)
    data = _read(file, data_bytes)
    checksum = crc32(data, crc32(about, crc32(head[-_CHECKED.size :])))
    if checksum.to_bytes(4, "little") != head[len(_MAGIC) : len(_MAGIC) + 4]:
        raise Damaged("its checksum is wrong")
    description = _decode(about)
    if description.key != key:
        raise Damaged("it is the entry of another module")
    return description, data


def describe(file: int) -> Description:
    """What an entry says about itself; its checksum is not looked at.

    Raises:
        Damaged: it says nothing that makes sense.
        OSError: it cannot be read.
    """
    _, about, _ = _read_front(file)
    return _decode(about)


def _read_front(file: int) -> tuple[bytes, bytes, int]:
    """The head, the description as it stands there, and the length of the data."""
    size = os.fstat(file).st_size
    if size > MOST_BYTES:
        raise Damaged("it is too large")
    head = _read(file, _HEAD_BYTES)
    if not head.startswith(_MAGIC):
        raise Damaged("it does not begin as an entry does")
    version, about_bytes, data_bytes = _CHECKED.unpack(head[-_CHECKED.size :])
    if version != _FORMAT:
        raise Damaged("it is of another version")
    if about_bytes > _MOST_DESCRIPTION_BYTES or _HEAD_BYTES + about_bytes + data_bytes != size:
        raise Damaged("it is not as long as it says")
    return head, _read(file, about_bytes), data_bytes


def _read(file: int, length: int) -> bytes:
    data = os.read(file, length)
    if len(data) == length:
        return data
    parts = [data]
    missing = length - len(data)
    while missing > 0:
        part = os.read(file, missing)
        if not part:
            raise Damaged("it is cut off")
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _decode(about: bytes) -> Description:
    try:
        found: Any = msgpack.unpackb(about, unicode_errors="surrogatepass", use_list=False)
        description = Description(**found)
        if description.imports:
            imports = tuple(map(_decode_import, description.imports))
            description = description._replace(imports=imports)
    except Exception as error:
        raise Damaged(f"its description makes no sense: {error}") from error
    if tuple(map(type, description)) != _TYPES or description.kind not in ("compiled", "rewritten"):
        raise Damaged("its description is of the wrong types")
    return description


def _decode_import(item: Any) -> Import:
    module, name, (params, results) = item
    types = (*params, *results)
    if {str} != {type(text) for text in (module, name, *types)}:
        raise ValueError("an import that is not of strings")
    return Import(module, name, FuncType(params, results))
