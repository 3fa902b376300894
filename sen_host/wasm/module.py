"""The structure of a binary module, as the reader finds it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import NamedTuple

from sen_host.backend import FuncType
from sen_host.errors import ModuleCompilation

EXTERN_KINDS = ("function", "table", "memory", "global")


class SectionId(IntEnum):
    """Section ids (section 5.5.2)."""

    CUSTOM = 0
    TYPE = 1
    IMPORT = 2
    FUNCTION = 3
    TABLE = 4
    MEMORY = 5
    GLOBAL = 6
    EXPORT = 7
    START = 8
    ELEMENT = 9
    CODE = 10
    DATA = 11
    DATA_COUNT = 12


SECTION_ORDER = (
    SectionId.TYPE,
    SectionId.IMPORT,
    SectionId.FUNCTION,
    SectionId.TABLE,
    SectionId.MEMORY,
    SectionId.GLOBAL,
    SectionId.EXPORT,
    SectionId.START,
    SectionId.ELEMENT,
    SectionId.DATA_COUNT,
    SectionId.CODE,
    SectionId.DATA,
)
"""The order in which sections stand (section 5.5.16); custom ones stand anywhere."""


class Section(NamedTuple):
    """A section: its id, where it starts, where its content starts, where it ends."""

    id: int
    start: int
    content: int
    end: int


class Limits(NamedTuple):
    """Limits of a memory (in pages) or a table (in elements)."""

    minimum: int
    maximum: int | None


class TableType(NamedTuple):
    element: str
    limits: Limits

    def __str__(self) -> str:
        return f"table {_span(self.limits)} of {self.element}"


class MemoryType(NamedTuple):
    limits: Limits

    def __str__(self) -> str:
        return f"memory {_span(self.limits)} pages"


class GlobalType(NamedTuple):
    value: str
    mutable: bool

    def __str__(self) -> str:
        return f"global {'mutable ' if self.mutable else ''}{self.value}"


ExternType = FuncType | TableType | MemoryType | GlobalType


class Import(NamedTuple):
    module: str
    name: str
    kind: str
    type: ExternType


@dataclass(frozen=True, slots=True)
class Export:
    name: str
    kind: str
    index: int


class CustomSection(NamedTuple):
    name: str
    content: bytes


@dataclass(frozen=True)
class ParsedModule:
    """The structure of a module. Ranges are (start, end) offsets into ``data``.

    Attributes:
        types: the function types.
        functions: type index of each function that the module defines.
        function_bodies: range of each body, from its locals to its last end.
        start: index of the start function, or None.
        initialisers: range of the constant expression of each global that the
            module defines, its end included.
    """

    data: bytes
    sections: tuple[Section, ...]
    types: tuple[FuncType, ...]
    imports: tuple[Import, ...]
    functions: tuple[int, ...]
    tables: tuple[TableType, ...]
    memories: tuple[MemoryType, ...]
    globals: tuple[GlobalType, ...]
    exports: tuple[Export, ...]
    start: int | None
    function_bodies: tuple[tuple[int, int], ...]
    custom_sections: tuple[CustomSection, ...]
    initialisers: tuple[tuple[int, int], ...] = ()

    def imported(self, kind: str) -> tuple[Import, ...]:
        """The imports of one kind, in the order of their indices."""
        return self._imports_by_kind[kind]

    @cached_property
    def _imports_by_kind(self) -> dict[str, tuple[Import, ...]]:
        return {
            kind: tuple(item for item in self.imports if item.kind == kind) for kind in EXTERN_KINDS
        }

    def section(self, id: SectionId) -> Section | None:
        """The section with that id, which must not be CUSTOM."""
        return next((section for section in self.sections if section.id == id), None)

    def type_of(self, export: Export) -> ExternType:
        """The type of an exported item.

        Raises:
            ModuleCompilation: the export's index is out of range.
        """
        imported = self.imported(export.kind)
        try:
            if export.index < len(imported):
                return imported[export.index].type
            index = export.index - len(imported)
            if export.kind == "function":
                return self.types[self.functions[index]]
            if export.kind == "table":
                return self.tables[index]
            if export.kind == "memory":
                return self.memories[index]
            return self.globals[index]
        except IndexError:
            raise ModuleCompilation(
                f"the export {_short(export.name)} names {export.kind} {export.index}"
                ", which does not exist"
            ) from None


def _span(limits: Limits) -> str:
    return f"{limits.minimum} to {'any' if limits.maximum is None else limits.maximum}"


def _short(name: str) -> str:
    return repr(name if len(name) <= 80 else name[:77] + "...")
