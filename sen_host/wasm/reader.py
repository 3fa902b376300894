"""Read the structure of a binary module (WebAssembly 2.0, chapter 5).

The reader leaves function bodies, segments and initialisers as byte ranges. It
refuses what it does not understand, by name and offset, and numbers of things
that engines refuse as well, so that a small file cannot take much memory. It
does not validate: engines do that.
"""

from __future__ import annotations

from sen_host.backend import FuncType
from sen_host.errors import ModuleCompilation
from sen_host.wasm.cursor import (
    FUNCTION_TYPE_FORM,
    VALUE_TYPES,
    Cursor,
    malformed,
    unknown_type,
    unsupported,
)
from sen_host.wasm.instructions import constant_expression
from sen_host.wasm.module import (
    EXTERN_KINDS,
    SECTION_ORDER,
    CustomSection,
    Export,
    ExternType,
    GlobalType,
    Import,
    Limits,
    MemoryType,
    ParsedModule,
    Section,
    SectionId,
    TableType,
)

__all__ = [
    "EXTERN_KINDS",
    "HEADER_BYTES",
    "MAGIC",
    "VALUE_TYPES",
    "VERSION",
    "CustomSection",
    "Export",
    "ExternType",
    "FuncType",
    "GlobalType",
    "Import",
    "Limits",
    "MemoryType",
    "ParsedModule",
    "Section",
    "SectionId",
    "TableType",
    "check_header",
    "parse",
    "skip_constant_expression",
]

MAGIC = b"\0asm"
VERSION = b"\x01\0\0\0"
HEADER_BYTES = 8

# How many of each kind a module may have. Engines have the same limits, which
# are those that the WebAssembly JavaScript interface sets (its section 8), or
# lower ones; that on custom sections is ours.
MAX_PARAMS = MAX_RESULTS = 1_000
MAX_ITEMS = 1_000_000
MAX_TABLES = 100
MAX_MEMORIES = 1
MAX_BODY_BYTES = 7_654_321
MAX_CUSTOM_SECTIONS = 100_000


_ORDER = {section: position for position, section in enumerate(SECTION_ORDER)}

_TAG_SECTION = 13
_TABLE_WITH_INITIALISER = b"\x40\x00"
_SHARED_MUTABILITIES = (2, 3)
_PROPOSALS_OF_KINDS = {
    0x04: "exception handling",
    0x20: "custom descriptors",
    0x7E: "compact import section",
    0x7F: "compact import section",
}
_PROPOSALS_OF_LIMITS = {
    **dict.fromkeys((2, 3), "threads"),
    **dict.fromkeys((4, 5, 6, 7), "memory64"),
    **dict.fromkeys(range(8, 16), "custom page sizes"),
}


def check_header(data: bytes) -> None:
    """Check that the data starts like a core module of version 1.

    Raises:
        ModuleCompilation: it is empty, text, a component, or of another version.
    """
    if not data:
        raise ModuleCompilation("the module is empty", offset=0)
    if len(data) < HEADER_BYTES and (MAGIC + VERSION).startswith(data):
        raise ModuleCompilation("the module is truncated within its header", offset=len(data))
    if data[:4] != MAGIC:
        text = data[:4096].lstrip()[:1] in (b"(", b";")
        raise ModuleCompilation(
            "the module is text, not a WebAssembly binary"
            if text
            else "the module is not a WebAssembly binary: it does not start with '\\0asm'",
            hint="compile it with `wat2wasm` or `wasm-tools parse` first" if text else None,
            offset=0,
        )
    if data[4:8] != VERSION:
        if data[6:8] == b"\x01\0":
            raise ModuleCompilation(
                "this is a WebAssembly component, not a core module",
                hint="build the plugin as a core module, e.g. for wasm32-unknown-unknown",
                offset=4,
            )
        version = int.from_bytes(data[4:8], "little")
        raise ModuleCompilation(
            f"the module has binary version {version}, this host reads version 1", offset=4
        )


def parse(data: bytes) -> ParsedModule:
    """Read the structure of a binary module.

    Raises:
        ModuleCompilation: the module is malformed, or uses what the reader
            does not know; ``offset`` tells where.
    """
    check_header(data)
    return _ModuleReader(data).read()


class _ModuleReader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.cursor = Cursor(data, HEADER_BYTES, len(data))
        self.types: tuple[FuncType, ...] = ()
        self.imports: tuple[Import, ...] = ()
        self.functions: tuple[int, ...] = ()
        self.tables: tuple[TableType, ...] = ()
        self.memories: tuple[MemoryType, ...] = ()
        self.memory_count = 0
        self.globals: tuple[GlobalType, ...] = ()
        self.exports: tuple[Export, ...] = ()
        self.start: int | None = None
        self.bodies: tuple[tuple[int, int], ...] = ()
        self.customs: list[CustomSection] = []
        self.initialisers: list[tuple[int, int]] = []

    def read(self) -> ParsedModule:
        top = self.cursor
        sections: list[Section] = []
        last = -1
        while top.offset < top.end:
            start = top.offset
            id = top.byte()
            content, end = top.sized()
            sections.append(Section(id, start, content, end))
            self.cursor = Cursor(self.data, content, end)
            if id == SectionId.CUSTOM:
                self.custom_section(start)
                continue
            if id == _TAG_SECTION:
                raise unsupported("tags", "exception handling", start)
            if id not in _ORDER:
                raise malformed(f"unknown section id {id}", start)
            position = _ORDER[SectionId(id)]
            if position <= last:
                raise malformed(f"section {id} is out of order or stands twice", start)
            last = position
            self.read_section(SectionId(id))
        if len(self.functions) != len(self.bodies):
            raise malformed(
                f"{len(self.functions):,} functions are declared, {len(self.bodies):,} have a body",
                top.offset,
            )
        return ParsedModule(
            self.data,
            tuple(sections),
            self.types,
            self.imports,
            self.functions,
            self.tables,
            self.memories,
            self.globals,
            self.exports,
            self.start,
            self.bodies,
            tuple(self.customs),
            tuple(self.initialisers),
        )

    def custom_section(self, start: int) -> None:
        if len(self.customs) == MAX_CUSTOM_SECTIONS:
            raise malformed(f"more than {MAX_CUSTOM_SECTIONS:,} custom sections", start)
        name = self.cursor.name()
        self.customs.append(CustomSection(name, self.data[self.cursor.offset : self.cursor.end]))

    def read_section(self, id: SectionId) -> None:
        cursor = self.cursor
        if id is SectionId.TYPE:
            self.types = cursor.vector(self.function_type, "types", MAX_ITEMS)
        elif id is SectionId.IMPORT:
            self.imports = cursor.vector(self.import_, "imports", MAX_ITEMS)
        elif id is SectionId.FUNCTION:
            self.functions = cursor.vector(self.type_index, "functions", MAX_ITEMS)
        elif id is SectionId.TABLE:
            self.tables = cursor.vector(self.table_type, "tables", MAX_TABLES)
        elif id is SectionId.MEMORY:
            self.memories = cursor.vector(self.memory_type, "memories", MAX_ITEMS)
        elif id is SectionId.GLOBAL:
            self.globals = cursor.vector(self.global_, "globals", MAX_ITEMS)
        elif id is SectionId.EXPORT:
            self.exports = cursor.vector(self.export, "exports", MAX_ITEMS)
        elif id is SectionId.START:
            self.start = cursor.u32()
        elif id is SectionId.CODE:
            self.bodies = cursor.vector(self.body, "function bodies", MAX_ITEMS)
        elif id is SectionId.DATA_COUNT:
            cursor.u32()
        else:
            return
        if cursor.offset != cursor.end:
            raise malformed(f"section {int(id)} is longer than its content", cursor.offset)

    def function_type(self) -> FuncType:
        offset = self.cursor.offset
        form = self.cursor.byte()
        if form != FUNCTION_TYPE_FORM:
            raise unknown_type("function type", form, offset)
        return FuncType(
            self.cursor.value_types("parameters", MAX_PARAMS),
            self.cursor.value_types("results", MAX_RESULTS),
        )

    def type_index(self) -> int:
        offset = self.cursor.offset
        index = self.cursor.u32()
        if index >= len(self.types):
            raise malformed(f"type {index} does not exist", offset)
        return index

    def import_(self) -> Import:
        module, name = self.cursor.name(), self.cursor.name()
        kind = self.extern_kind()
        type: ExternType
        if kind == "function":
            type = self.types[self.type_index()]
        elif kind == "table":
            type = self.table_type()
        elif kind == "memory":
            type = self.memory_type()
        else:
            type = self.global_type()
        return Import(module, name, kind, type)

    def extern_kind(self) -> str:
        offset = self.cursor.offset
        code = self.cursor.byte()
        if code >= len(EXTERN_KINDS):
            proposal = _PROPOSALS_OF_KINDS.get(code)
            if proposal is not None:
                raise unsupported(f"an import or export ({code:#04x})", proposal, offset)
            raise malformed(f"unknown kind of import or export {code:#04x}", offset)
        return EXTERN_KINDS[code]

    def limits(self, what: str) -> Limits:
        offset = self.cursor.offset
        flags = self.cursor.byte()
        if flags > 1:
            if flags not in _PROPOSALS_OF_LIMITS:
                raise malformed(f"unknown limits {flags:#04x} of a {what}", offset)
            raise unsupported(f"a {what}", _PROPOSALS_OF_LIMITS[flags], offset)
        return Limits(self.cursor.u32(), self.cursor.u32() if flags else None)

    def table_type(self) -> TableType:
        if self.data[self.cursor.offset : self.cursor.offset + 2] == _TABLE_WITH_INITIALISER:
            raise unsupported(
                "a table with an initialiser", "typed function references", self.cursor.offset
            )
        return TableType(self.cursor.reference_type(), self.limits("table"))

    def memory_type(self) -> MemoryType:
        self.memory_count += 1
        if self.memory_count > MAX_MEMORIES:
            raise unsupported("a second memory", "multi-memory", self.cursor.offset)
        return MemoryType(self.limits("memory"))

    def global_type(self) -> GlobalType:
        value = self.cursor.value_type()
        offset = self.cursor.offset
        mutability = self.cursor.byte()
        if mutability > 1:
            if mutability in _SHARED_MUTABILITIES:
                raise unsupported("a global", "shared-everything threads", offset)
            raise malformed(f"unknown mutability {mutability:#04x}", offset)
        return GlobalType(value, bool(mutability))

    def global_(self) -> GlobalType:
        type = self.global_type()
        start = self.cursor.offset
        skip_constant_expression(self.cursor)
        self.initialisers.append((start, self.cursor.offset))
        return type

    def export(self) -> Export:
        return Export(self.cursor.name(), self.extern_kind(), self.cursor.u32())

    def body(self) -> tuple[int, int]:
        offset = self.cursor.offset
        start, end = self.cursor.sized()
        if end - start > MAX_BODY_BYTES:
            raise malformed(
                f"a function of {end - start:,} bytes, at most {MAX_BODY_BYTES:,} are read", offset
            )
        return start, end


def skip_constant_expression(cursor: Cursor) -> None:
    """Step over a constant expression (section 3.3.8), its end included."""
    for instruction in constant_expression(cursor.data, cursor.offset, cursor.end):
        cursor.offset = instruction[3]
