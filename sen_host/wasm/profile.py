"""What every engine takes: the operators and constant expressions of WebAssembly 2.0."""

from __future__ import annotations

from sen_host.errors import ModuleCompilation
from sen_host.wasm.instructions import constant_expression, read_locals
from sen_host.wasm.leb128 import decode_unsigned
from sen_host.wasm.module import ParsedModule
from sen_host.wasm.segments import data_segments, element_segments
from sen_host.wasm.tokens import split

_GLOBAL_GET = 0x23


def check_profile(module: ParsedModule) -> None:
    """Refuse what some engine would not take, before any engine sees it.

    Raises:
        ModuleCompilation: the code or a constant expression uses an operator
            of a later proposal, or is malformed.
    """
    for start, end in module.initialisers:
        _check_constant(module, start, end)
    for element in element_segments(module):
        if element.offset is not None:
            _check_constant(module, *element.offset)
        if element.expressions:
            start, end = element.items
            for _ in range(element.length):
                start = _check_constant(module, start, end)
    for data in data_segments(module):
        if data.offset is not None:
            _check_constant(module, *data.offset)
    for start, end in module.function_bodies:
        split(module.data, read_locals(module.data, start, end)[1], end)


def _check_constant(module: ParsedModule, start: int, end: int) -> int:
    """Check one constant expression; the offset behind it."""
    after = start
    for offset, operator, immediates, after in constant_expression(  # noqa: B007
        module.data, start, end
    ):
        if operator.code == _GLOBAL_GET:
            index, _ = decode_unsigned(module.data, immediates)
            if index >= len(module.imported("global")):
                raise ModuleCompilation(
                    f"a constant expression reads global {index}, which is not imported,"
                    f" at offset {offset:#x}",
                    hint="only WebAssembly after 2.0 allows that",
                    offset=offset,
                )
    return after
