"""Have Wasmer validate a module without compiling or running it.

``wasmer-sdk`` validates a module only when it starts a command, before it
compiles it. So the module is made invalid in one place that is looked at last:
a byte behind the ``end`` of the last function. If that byte is what Wasmer
complains about, all the rest is valid. No index space changes by this.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass

from sen_host.backend import FuncType
from sen_host.errors import EngineFault, ModuleCompilation
from sen_host.wasm import writer
from sen_host.wasm.cursor import Cursor
from sen_host.wasm.leb128 import encode_unsigned
from sen_host.wasm.module import SECTION_ORDER
from sen_host.wasm.reader import (
    HEADER_BYTES,
    MAGIC,
    VERSION,
    ParsedModule,
    Section,
    SectionId,
    parse,
)
from sen_host_wasmer.traps import first_line

COMPILATION = "compile error: "
"""What the text of a module that does not compile contains."""

_START = "_start"
"""The export that makes a module a command."""

_POISON = b"\x01"  # nop
_EMPTY_BODY = b"\0\x0b"
_VERDICT = "operators remaining after end of function"
_QUOTED = re.compile(r'compile error: \w+\("(.*)"\)')
_OFFSET = re.compile(r" \(at offset 0x([0-9a-f]+)\)")
_BEHIND_EXPORTS = frozenset(
    {
        SectionId.START,
        SectionId.ELEMENT,
        SectionId.DATA_COUNT,
        SectionId.CODE,
        SectionId.DATA,
    }
)


def compilation_reason(text: str) -> str:
    """Wasmer's reason for not compiling a module, out of its whole text."""
    quoted = _QUOTED.search(text)
    return first_line(quoted[1] if quoted else text.partition(COMPILATION)[2])


@dataclass(frozen=True)
class Poisoned:
    """A module made invalid in one place.

    Attributes:
        wasm: the binary.
        offset: of the byte that makes it invalid.
        pieces: offsets in ``wasm`` and in the original, where copying started; none
            if it was written anew.
    """

    wasm: bytes
    offset: int
    pieces: tuple[tuple[int, int], ...]

    def fault(self, text: str) -> ModuleCompilation | EngineFault | None:
        """What the engine's text says about the original module; None if it is valid."""
        if COMPILATION not in text:
            return EngineFault("Wasmer failed", detail=first_line(text))
        reason = compilation_reason(text)
        found = _OFFSET.search(reason)
        if found is None:
            return ModuleCompilation(detail=reason)
        at = int(found[1], 16)
        if at == self.offset and reason.startswith(_VERDICT):
            return None
        if not self.pieces:
            return ModuleCompilation(detail=_OFFSET.sub("", reason))
        offset = self._original_offset(at)
        return ModuleCompilation(
            detail=_OFFSET.sub(f" (at offset {offset:#x})", reason), offset=offset
        )

    def _original_offset(self, offset: int) -> int:
        piece = bisect_right(self.pieces, (offset, 1 << 64)) - 1
        new, old = self.pieces[max(piece, 0)]
        return old + offset - new


def poison(module: ParsedModule) -> Poisoned:
    """Make a module invalid behind its last function.

    A module that defines none gets one. What names that function, which is not
    there, is not noticed; all else is.
    """
    if not module.function_bodies:
        given = poison(parse(_with_function(module)))
        return Poisoned(given.wasm, given.offset, ())
    copier = _Copier(module.data)
    copier.copy(0, HEADER_BYTES)
    # A command needs an export of that name. It is never run, so any function
    # will do. One that is exported already may be named by ref.func anyway;
    # only where none is exported, which no plugin is, one more comes to be.
    missing_start = all(
        (export.name, export.kind) != (_START, "function") for export in module.exports
    )
    offset = 0
    for section in module.sections:
        if missing_start and section.id == SectionId.EXPORT:
            _add_start(copier, module, section)
            missing_start = False
            continue
        if missing_start and section.id in _BEHIND_EXPORTS:
            copier.add(writer.section(SectionId.EXPORT, writer.vector([_start_export(0)])))
            missing_start = False
        if section.id == SectionId.CODE:
            offset = _add_poison(copier, module, section)
        else:
            copier.copy(section.start, section.end)
    return Poisoned(bytes(copier.out), offset, tuple(copier.pieces))


def _with_function(module: ParsedModule) -> bytes:
    contents = {
        section.id: module.data[section.content : section.end]
        for section in module.sections
        if section.id != SectionId.CUSTOM
    }
    nothing = writer.function_type(FuncType((), ()))
    contents[SectionId.TYPE] = writer.longer(contents.get(SectionId.TYPE, b"\0"), [nothing])
    contents[SectionId.FUNCTION] = writer.vector([encode_unsigned(len(module.types))])
    contents[SectionId.CODE] = writer.vector([writer.sized(_EMPTY_BODY)])
    written = (writer.section(id, contents[id]) for id in SECTION_ORDER if id in contents)
    return MAGIC + VERSION + b"".join(written)


class _Copier:
    """A binary in the making that remembers what was copied from where."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.out = bytearray()
        self.pieces: list[tuple[int, int]] = []

    def copy(self, start: int, end: int) -> None:
        self.pieces.append((len(self.out), start))
        self.out += self._data[start:end]

    def add(self, data: bytes) -> None:
        self.out += data


def _add_start(copier: _Copier, module: ParsedModule, section: Section) -> None:
    exported = next((e.index for e in module.exports if e.kind == "function"), 0)
    export = _start_export(exported)
    cursor = Cursor(module.data, section.content, section.end)
    cursor.u32()
    items = cursor.offset
    names = []
    for present in module.exports:
        name_start = cursor.offset
        cursor.sized()
        if present.name == _START:  # a global, say: it has to step aside
            names.append((name_start, cursor.offset))
        cursor.skip(1)
        cursor.u32()
    aside = writer.name(_unused_name(module))
    growth = sum(len(aside) - (name_end - name_start) for name_start, name_end in names)
    count = encode_unsigned(len(module.exports) + 1)
    copier.add(bytes((section.id,)))
    copier.add(encode_unsigned(len(count) + section.end - items + growth + len(export)) + count)
    copied = items
    for name_start, name_end in names:
        copier.copy(copied, name_start)
        copier.add(aside)
        copied = name_end
    copier.copy(copied, section.end)
    copier.add(export)


def _unused_name(module: ParsedModule) -> str:
    """A name that no export has."""
    taken = {export.name for export in module.exports}
    name = _START
    while name in taken:
        name += "_"
    return name


def _add_poison(copier: _Copier, module: ParsedModule, section: Section) -> int:
    """Copy the code section with a byte more; the offset of that byte."""
    start, end = module.function_bodies[-1]
    others_end = module.function_bodies[-2][1] if len(module.function_bodies) > 1 else None
    if others_end is None:
        others_end = _behind_integer(module.data, section.content)
    size = encode_unsigned(end + len(_POISON) - start)
    content = others_end - section.content + len(size) + end + len(_POISON) - start
    copier.add(bytes((section.id,)) + encode_unsigned(content))
    copier.copy(section.content, others_end)
    copier.add(size)
    copier.copy(start, end)
    copier.add(_POISON)
    return len(copier.out) - len(_POISON)


def _start_export(function: int) -> bytes:
    return writer.export(_START, "function", function)


def _behind_integer(data: bytes, offset: int) -> int:
    while data[offset] & 0x80:
        offset += 1
    return offset + 1
