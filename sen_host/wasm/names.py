"""The names of functions in a module's name section, for messages."""

from __future__ import annotations

from sen_host.errors import ModuleCompilation
from sen_host.wasm.cursor import Cursor
from sen_host.wasm.module import ParsedModule

_FUNCTION_NAMES = 1


def function_name(module: ParsedModule, index: int) -> str | None:
    """The name of a function, imported ones counted; None if it has none.

    A custom section may hold anything, so one that is malformed has no names.
    """
    for section in module.custom_sections:
        if section.name == "name":
            try:
                return _find(Cursor(section.content, 0, len(section.content)), index)
            except ModuleCompilation:
                return None
    return None


def _find(cursor: Cursor, index: int) -> str | None:
    while cursor.offset < cursor.end:
        id = cursor.byte()
        start, end = cursor.sized()
        if id == _FUNCTION_NAMES:
            names = Cursor(cursor.data, start, end)
            for _ in range(names.count("names")):
                found, name = names.u32(), names.name()
                if found == index:
                    return name
    return None
