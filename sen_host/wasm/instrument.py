"""Rewrite a validated module so that fuel, stack, memory and tables are limited in bytecode.

What is added has the highest indices, so no index of the module changes, and
its name section stays right:

* two globals, exported as FUEL and STACK (see ``metering``),
* a function that does nothing, called before a trap that is ours, exported as
  EXHAUSTED, so that whoever runs the module may put something in its place,
* for functions with large frames, a small one in front that looks first,
* the start function as the export START: a host sets the globals before it.
"""

from __future__ import annotations

from dataclasses import dataclass

from sen_host.backend import EXHAUSTED, FUEL, RESERVED, STACK, START, FuncType
from sen_host.errors import ModuleCompilation
from sen_host.wasm.frames import THUNK_BYTES
from sen_host.wasm.leb128 import encode_unsigned
from sen_host.wasm.memory_limit import limit_memory
from sen_host.wasm.metering import Indices, Meter
from sen_host.wasm.module import SECTION_ORDER
from sen_host.wasm.reader import MAX_BODY_BYTES, MAX_ITEMS, ParsedModule, SectionId
from sen_host.wasm.table_limit import limit_tables
from sen_host.wasm.writer import (
    MUTABLE_I64_ZERO,
    export,
    function_type,
    longer,
    section,
    sized,
    vector,
)

_NOTHING = FuncType((), ())
_EMPTY_BODY = b"\x00\x0b"


@dataclass(frozen=True)
class Instrumented:
    """A rewritten module.

    Attributes:
        wasm: its binary.
        frames: for each function that the module defines, the bytes of stack
            that it takes; 0 where that is not counted.
        has_start: whether START is there to be called.
    """

    wasm: bytes
    frames: tuple[int, ...]
    has_start: bool


def instrument(
    module: ParsedModule, *, memory_bytes: int | None = None, table_elements: int | None = None
) -> Instrumented:
    """Rewrite a module; it must have been validated.

    Args:
        memory_bytes: limit to write into its memories, or None. Imported ones
            are not touched: who provides one limits it.
        table_elements: limit for its tables together, or None.

    Raises:
        ModuleCompilation: it exports a reserved name; or with what is added it
            would have more items or locals, or larger functions, than engines take.
        MemoryLimitExceeded: a memory starts with more than the limit.
        TableLimitExceeded: the tables start with more than the limit.
    """
    for present in module.exports:
        if present.name.startswith(RESERVED):
            raise ModuleCompilation(
                f"the module exports {present.name[:80]!r}; names that begin with"
                f" {RESERVED!r} are reserved"
            )
    replaced = {}
    if memory_bytes is not None:
        replaced[SectionId.MEMORY] = limit_memory(module, memory_bytes)
    if table_elements is not None:
        replaced[SectionId.TABLE] = limit_tables(module, table_elements)
    return _Instrumenter(module, replaced).run()


class _Instrumenter:
    def __init__(self, module: ParsedModule, replaced: dict[SectionId, bytes]) -> None:
        self.module = module
        self.replaced = replaced
        imported = [item.type for item in module.imported("function")]
        self.imported = len(imported)
        self.globals = len(module.imported("global")) + len(module.globals)
        self.functions = self.imported + len(module.functions)
        self.types = list(module.types)
        needed = [_NOTHING] + [
            FuncType((), type.results) for type in module.types if len(type.results) > 1
        ]
        known = set(module.types)
        for type in needed:
            if type not in known:
                known.add(type)
                self.types.append(type)
        type_indices = {type: index for index, type in enumerate(self.types)}
        self.nothing = type_indices[_NOTHING]
        self.indices = Indices(self.globals, self.globals + 1, self.functions)
        self.meter = Meter(
            self.types,
            [type_indices[type] for type in imported] + list(module.functions),  # type: ignore[index]
            self.indices,
            imported=self.imported,
        )

    def run(self) -> Instrumented:
        module = self.module
        # What is certain to be added is looked at before the long work.
        self.check_counts(1, 3 + (module.start is not None))
        bodies: list[bytes] = []
        moved: list[tuple[int, bytes]] = []
        frames: list[int] = []
        for index, (type_index, (start, end)) in enumerate(
            zip(module.functions, module.function_bodies, strict=True), self.imported
        ):
            type = module.types[type_index]
            body, frame = self.meter.function(index, module.data, start, end, type)
            if len(body) > MAX_BODY_BYTES:
                raise ModuleCompilation(
                    f"a function of {end - start:,} bytes has {len(body):,} once it is metered,"
                    f" at most {MAX_BODY_BYTES:,} are compiled",
                    offset=start,
                )
            frames.append(frame)
            if frame > THUNK_BYTES:
                behind = self.functions + 1 + len(moved)
                moved.append((type_index, body))
                body = self.meter.thunk(len(type.params), frame, behind)
            bodies.append(body)
        added_types = [self.nothing, *(index for index, _ in moved)]
        bodies += [_EMPTY_BODY, *(body for _, body in moved)]
        exports = [
            export(FUEL, "global", self.indices.fuel),
            export(STACK, "global", self.indices.stack),
            export(EXHAUSTED, "function", self.indices.exhausted),
        ]
        if module.start is not None:
            exports.append(export(START, "function", module.start))
        self.check_counts(len(added_types), len(exports))
        extended = {
            SectionId.TYPE: [function_type(type) for type in self.types[len(module.types) :]],
            SectionId.FUNCTION: [encode_unsigned(index) for index in added_types],
            SectionId.GLOBAL: [MUTABLE_I64_ZERO] * 2,
            SectionId.EXPORT: exports,
        }
        code = vector(map(sized, bodies))
        return Instrumented(self._assemble(extended, code), tuple(frames), module.start is not None)

    def check_counts(self, functions: int, exports: int) -> None:
        """Check that there is room for so many more functions and exports, and the rest."""
        for what, count in (
            ("types", len(self.types)),
            ("functions", self.functions + functions),
            ("globals", self.globals + 2),
            ("exports", len(self.module.exports) + exports),
        ):
            if count > MAX_ITEMS:
                raise ModuleCompilation(
                    f"the module has {count:,} {what} once it is metered, at most"
                    f" {MAX_ITEMS:,} are compiled"
                )

    def _assemble(self, extended: dict[SectionId, list[bytes]], code: bytes) -> bytes:
        data = self.module.data
        parts = [data[:8]]
        waiting = [
            id
            for id in (*extended, SectionId.CODE)
            if self.module.section(id) is None and (id is SectionId.CODE or extended[id])
        ]

        def add(id: int, content: bytes) -> None:
            parts.append(section(id, content))

        def add_missing(before: int) -> None:
            while waiting and SECTION_ORDER.index(waiting[0]) < before:
                id = waiting.pop(0)
                add(id, code if id is SectionId.CODE else vector(extended[id]))

        for present in self.module.sections:
            id = present.id
            if id == SectionId.CUSTOM:
                parts.append(data[present.start : present.end])
                continue
            add_missing(SECTION_ORDER.index(SectionId(id)))
            if id == SectionId.CODE:
                add(id, code)
            elif id == SectionId.START:
                continue
            elif SectionId(id) in self.replaced:
                add(id, self.replaced[SectionId(id)])
            elif SectionId(id) in extended:
                add(id, longer(data[present.content : present.end], extended[SectionId(id)]))
            else:
                parts.append(data[present.start : present.end])
        add_missing(len(SECTION_ORDER))
        return b"".join(parts)
