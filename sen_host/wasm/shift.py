"""Make room for new functions at the front of a module's function indices.

Imported functions come first in the index space, so a module that gets a new
import needs all its function indices moved up: in calls, ``ref.func``, element
segments and initialisers (exports and the start function are the caller's).

Whoever moves indices also appends functions and types. Code that names an
index behind the last one is invalid and must not become valid by that, so the
ranges are checked here.
"""

from __future__ import annotations

from sen_host.errors import ModuleCompilation
from sen_host.wasm.instructions import Instruction, constant_expression, instructions, read_locals
from sen_host.wasm.leb128 import decode_signed, decode_unsigned, encode_unsigned
from sen_host.wasm.operators import Immediate
from sen_host.wasm.reader import ParsedModule, SectionId
from sen_host.wasm.segments import ElementSegment, Mode, element_segments
from sen_host.wasm.writer import TYPE_CODES

_FUNCTION_KIND = b"\x00"
_PLAIN_BLOCK_TYPES = range(0x40, 0x80)
_FORMS = {Mode.ACTIVE: 0, Mode.PASSIVE: 1, Mode.DECLARATIVE: 3}
_TABLE_NAMED = 2
_EXPRESSIONS = 4


class FunctionShift:
    """Moves the function indices of one module up."""

    def __init__(self, module: ParsedModule, by: int) -> None:
        """``by`` is the number of functions that come to stand in front."""
        self._module = module
        self._data = module.data
        self._by = by
        self._functions = len(module.imported("function")) + len(module.functions)

    def index(self, index: int, offset: int) -> int:
        """The new index of a function that is named at ``offset``.

        Raises:
            ModuleCompilation: the module has no such function.
        """
        if index >= self._functions:
            raise _out_of_range("function", index, offset)
        return index + self._by

    def body(self, start: int, end: int) -> bytes:
        """A function body: the declarations of its locals, then its code."""
        _, code = read_locals(self._data, start, end)
        return self._data[start:code] + self._code(code, end)

    def globals(self) -> bytes:
        """The content of the global section, without the count."""
        section = self._module.section(SectionId.GLOBAL)
        if section is None:
            return b""
        _, offset = decode_unsigned(self._data, section.content)
        parts = []
        for _ in self._module.globals:
            start = offset + 2  # behind the value type and the mutability
            for instruction in constant_expression(self._data, start, section.end):
                end = instruction[3]
            parts += [self._data[offset:start], self._code(start, end)]
            offset = end
        return b"".join(parts)

    def elements(self) -> list[bytes]:
        """The element segments."""
        return [self._segment(segment) for segment in element_segments(self._module)]

    def _code(self, start: int, end: int) -> bytes:
        data = self._data
        parts = []
        copied = start
        for instruction in instructions(data, start, end):
            immediate = instruction[1].immediate
            if immediate is Immediate.FUNCTION:
                offset, _, immediates, after = instruction
                index, _ = decode_unsigned(data, immediates)
                parts += [data[copied:immediates], encode_unsigned(self.index(index, offset))]
                copied = after
            elif immediate is Immediate.TYPE_TABLE or immediate is Immediate.BLOCK:
                self._check_type(instruction)
        parts.append(data[copied:end])
        return b"".join(parts)

    def _check_type(self, instruction: Instruction) -> None:
        """Check the type index of an indirect call or a block."""
        offset, operator, immediates, _ = instruction
        if operator.immediate is Immediate.TYPE_TABLE:
            index, _ = decode_unsigned(self._data, immediates)
        elif self._data[immediates] in _PLAIN_BLOCK_TYPES:
            return
        else:
            index, _ = decode_signed(self._data, immediates, 33)
        if not 0 <= index < len(self._module.types):
            raise _out_of_range("type", index, offset)

    def _segment(self, segment: ElementSegment) -> bytes:
        form = _FORMS[segment.mode]
        parts = [b""]
        if segment.table is not None:
            form |= _TABLE_NAMED
            parts.append(encode_unsigned(segment.table))
        if segment.offset is not None:
            parts.append(self._code(*segment.offset))
        if form:
            parts.append(TYPE_CODES[segment.element] if segment.expressions else _FUNCTION_KIND)
        parts.append(encode_unsigned(segment.length))
        start, end = segment.items
        if segment.expressions:
            form |= _EXPRESSIONS
            parts.append(self._code(start, end))
        else:
            parts.append(self._indices(start, segment.length))
        parts[0] = encode_unsigned(form)
        return b"".join(parts)

    def _indices(self, start: int, count: int) -> bytes:
        parts = []
        offset = start
        for _ in range(count):
            index, after = decode_unsigned(self._data, offset)
            parts.append(encode_unsigned(self.index(index, offset)))
            offset = after
        return b"".join(parts)


def _out_of_range(what: str, index: int, offset: int) -> ModuleCompilation:
    return ModuleCompilation(
        f"the module names {what} {index} at offset {offset:#x}, which does not exist",
        offset=offset,
    )
