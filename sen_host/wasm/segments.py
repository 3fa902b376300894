"""Read element and data segments (WebAssembly 2.0, sections 5.5.12 and 5.5.14)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from typing import NamedTuple, TypeVar

from sen_host.wasm.cursor import Cursor, malformed, unknown_type, unsupported
from sen_host.wasm.reader import ParsedModule, SectionId, skip_constant_expression

T = TypeVar("T")

MAX_SEGMENTS = 100_000

_FUNCTION_KIND = 0x00


class Mode(Enum):
    """When a segment is copied."""

    ACTIVE = "when the module is instantiated"
    PASSIVE = "by memory.init or table.init"
    DECLARATIVE = "never; it only declares references"


class ElementSegment(NamedTuple):
    """A segment of references. Ranges are (start, end) offsets into the module.

    Attributes:
        table: index of the table, if the segment is active and names one.
        offset: range of the constant expression for the place in the table, if active.
        element: type of the references.
        expressions: True if the items are constant expressions, else function indices.
        length: the number of items.
        items: range of all items.
    """

    mode: Mode
    table: int | None
    offset: tuple[int, int] | None
    element: str
    expressions: bool
    length: int
    items: tuple[int, int]


class DataSegment(NamedTuple):
    """A segment of bytes. Ranges are (start, end) offsets into the module.

    Attributes:
        named_memory: True if an active segment names its memory, which must be 0.
        offset: range of the constant expression for the address, if active.
        content: range of the bytes.
    """

    mode: Mode
    named_memory: bool
    offset: tuple[int, int] | None
    content: tuple[int, int]


def element_segments(module: ParsedModule) -> Iterator[ElementSegment]:
    """The element segments, in the order of their indices.

    Raises:
        ModuleCompilation: the section is malformed, or not of WebAssembly 2.0.
    """
    return _segments(module, SectionId.ELEMENT, "element segments", _element_segment)


def data_segments(module: ParsedModule) -> Iterator[DataSegment]:
    """The data segments, in the order of their indices.

    Raises:
        ModuleCompilation: the section is malformed, or not of WebAssembly 2.0.
    """
    return _segments(module, SectionId.DATA, "data segments", _data_segment)


def _segments(
    module: ParsedModule, id: SectionId, what: str, segment: Callable[[Cursor], T]
) -> Iterator[T]:
    section = module.section(id)
    if section is None:
        return
    cursor = Cursor(module.data, section.content, section.end)
    for _ in range(cursor.count(what, MAX_SEGMENTS)):
        yield segment(cursor)
    if cursor.offset != cursor.end:
        raise malformed(f"section {section.id} is longer than its content", cursor.offset)


def _element_segment(cursor: Cursor) -> ElementSegment:
    at = cursor.offset
    flags = cursor.u32()
    if flags > 7:
        raise malformed(f"unknown form {flags} of an element segment", at)
    expressions = bool(flags & 4)
    table = offset = None
    if flags & 1:
        mode = Mode.DECLARATIVE if flags & 2 else Mode.PASSIVE
    else:
        mode = Mode.ACTIVE
        table = cursor.u32() if flags & 2 else None
        offset = _expression(cursor)
    element = "funcref"
    if flags & 3:
        if expressions:
            element = cursor.reference_type()
        else:
            kind_at = cursor.offset
            kind = cursor.byte()
            if kind != _FUNCTION_KIND:
                raise unknown_type("kind of element", kind, kind_at)
    count = cursor.count("elements")
    start = cursor.offset
    for _ in range(count):
        if expressions:
            _expression(cursor)
        else:
            cursor.u32()
    return ElementSegment(mode, table, offset, element, expressions, count, (start, cursor.offset))


def _data_segment(cursor: Cursor) -> DataSegment:
    at = cursor.offset
    flags = cursor.u32()
    if flags > 2:
        raise malformed(f"unknown form {flags} of a data segment", at)
    if flags == 1:
        return DataSegment(Mode.PASSIVE, False, None, cursor.sized())
    if flags == 2:
        at = cursor.offset
        memory = cursor.u32()
        if memory:
            raise unsupported(f"memory {memory}", "multi-memory", at)
    return DataSegment(Mode.ACTIVE, flags == 2, _expression(cursor), cursor.sized())


def _expression(cursor: Cursor) -> tuple[int, int]:
    start = cursor.offset
    skip_constant_expression(cursor)
    return start, cursor.offset
