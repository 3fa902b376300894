"""The structure of modules, as written by hand, as generated, and as real plugins have it."""

from __future__ import annotations

from typing import Any

import pytest
import wasmtime

from sen_host.backend import FuncType
from sen_host.errors import ModuleCompilation
from sen_host.wasm.instructions import constant_expression
from sen_host.wasm.leb128 import encode_unsigned
from sen_host.wasm.reader import (
    Export,
    ExternType,
    GlobalType,
    Import,
    Limits,
    MemoryType,
    ParsedModule,
    SectionId,
    TableType,
    parse,
)
from tests.wasm.support import (
    ENGINE,
    HEADER,
    every_section,
    generated_module,
    module,
    real_modules,
    said,
    section,
)

ADD = FuncType(("i32", "i64"), ("i32",))
PAIR = FuncType((), ("f32", "f64"))
NOTHING = FuncType((), ())


@pytest.fixture(scope="module")
def parsed() -> ParsedModule:
    return parse(every_section())


def test_types_and_imports(parsed: ParsedModule) -> None:
    assert parsed.types == (ADD, PAIR, NOTHING)
    assert parsed.imports == (
        Import("env", "add", "function", ADD),
        Import("env", "funcs", "table", TableType("funcref", Limits(1, 2))),
        Import("env", "ü", "global", GlobalType("i64", True)),
    )
    assert parsed.imported("function") == parsed.imports[:1]
    assert parsed.imported("global") == parsed.imports[2:]
    assert parsed.imported("memory") == ()


def test_definitions(parsed: ParsedModule) -> None:
    assert parsed.functions == (1, 2)
    assert parsed.tables == (TableType("externref", Limits(3, None)),)
    assert parsed.memories == (MemoryType(Limits(1, 5)),)
    assert parsed.globals == (
        GlobalType("i32", False),
        GlobalType("i64", True),
        GlobalType("v128", False),
        GlobalType("funcref", False),
        GlobalType("externref", False),
    )
    assert parsed.start == 2


def test_initialisers(parsed: ParsedModule) -> None:
    names = [
        [found[1].name for found in constant_expression(parsed.data, start, end)]
        for start, end in parsed.initialisers
    ]
    assert names == [
        [name, "end"] for name in "i32.const i64.const v128.const ref.func ref.null".split()
    ]


def test_exports(parsed: ParsedModule) -> None:
    assert {(export, parsed.type_of(export)) for export in parsed.exports} == {
        (Export("pair", "function", 1), PAIR),
        (Export("refs", "table", 1), TableType("externref", Limits(3, None))),
        (Export("memory", "memory", 0), MemoryType(Limits(1, 5))),
        (Export("other", "global", 2), GlobalType("i64", True)),
        (Export("add", "function", 0), ADD),
    }


def test_a_maximum_of_zero_is_not_no_maximum() -> None:
    parsed = parse(module(section(4, b"\x01\x70\x01\0\0"), section(5, b"\x01\x01\0\0")))
    assert parsed.tables == (TableType("funcref", Limits(0, 0)),)
    assert parsed.memories == (MemoryType(Limits(0, 0)),)


def test_sections_cover_the_module(parsed: ParsedModule) -> None:
    offset = 8
    for found in parsed.sections:
        assert found.start == offset < found.content <= found.end
        assert parsed.data[found.start] == found.id
        offset = found.end
    assert offset == len(parsed.data)
    assert [found.id for found in parsed.sections] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 10, 11, 0, 0]
    assert parsed.section(SectionId.CODE) in parsed.sections
    assert [custom.name for custom in parsed.custom_sections] == ["name", "note"]
    assert parsed.custom_sections[1].content == b"\x01\x02\x03"


def test_bodies_lie_in_the_code_section(parsed: ParsedModule) -> None:
    code = parsed.section(SectionId.CODE)
    assert code is not None
    assert len(parsed.function_bodies) == 2
    for start, end in parsed.function_bodies:
        assert code.content < start < end <= code.end
        assert parsed.data[end - 1] == 0x0B


def test_the_empty_module() -> None:
    parsed = parse(HEADER)
    assert parsed.sections == ()
    assert parsed.types == ()
    assert parsed.exports == ()
    assert parsed.start is None
    assert parsed.section(SectionId.MEMORY) is None


@pytest.mark.parametrize("kind", [0, 1, 2, 3])
def test_an_export_of_nothing_is_refused_when_it_is_looked_up(kind: int) -> None:
    parsed = parse(module(section(7, b"\x01\x01x" + bytes((kind,)) + b"\x05")))
    with pytest.raises(ModuleCompilation, match=r"'x' names .* 5, which does not exist"):
        parsed.type_of(parsed.exports[0])


def test_looking_up_many_exports_beside_many_imports_takes_linear_time() -> None:
    count = encode_unsigned(20_000)
    # At 20,000 each, a pass over all imports for each export would take minutes.
    parsed = parse(
        module(
            section(1, b"\x01\x60\x00\x00"),
            section(2, count + b"\0\0\0\0" * 20_000),
            section(7, count + b"\0\0\0" * 20_000),
        )
    )
    assert {parsed.type_of(export) for export in parsed.exports} == {NOTHING}


def test_types_read_well() -> None:
    assert str(ADD) == "(i32, i64) -> (i32)"
    assert str(TableType("funcref", Limits(1, None))) == "table 1 to any of funcref"
    assert str(MemoryType(Limits(1, 5))) == "memory 1 to 5 pages"
    assert str(GlobalType("i64", True)) == "global mutable i64"
    assert str(GlobalType("i64", False)) == "global i64"


# --- against Wasmtime's view -------------------------------------------------


def value_type(type: wasmtime.ValType) -> str:
    return "externref" if type == wasmtime.ValType.externref() else str(type)


def as_wasmtime_sees(type: Any, ours: ExternType) -> ExternType:
    """Wasmtime's type in our terms."""
    if "v128" in str(ours):
        return ours  # asking Wasmtime's binding for a v128 type aborts the process
    if isinstance(type, wasmtime.FuncType):
        return FuncType(tuple(map(value_type, type.params)), tuple(map(value_type, type.results)))
    if isinstance(type, wasmtime.TableType):
        return TableType(value_type(type.element), Limits(type.limits.min, type.limits.max))
    if isinstance(type, wasmtime.MemoryType):
        return MemoryType(Limits(type.limits.min, type.limits.max))
    assert isinstance(type, wasmtime.GlobalType)
    return GlobalType(value_type(type.content), type.mutable)


def check_against_wasmtime(data: bytes) -> None:
    parsed = parse(data)
    theirs = wasmtime.Module(ENGINE, data)
    assert [(item.module, item.name) for item in parsed.imports] == [
        (item.module, item.name) for item in theirs.imports
    ]
    for ours, their in zip(parsed.imports, theirs.imports, strict=True):
        assert ours.type == as_wasmtime_sees(their.type, ours.type)
    exports = {export.name: parsed.type_of(export) for export in parsed.exports}
    assert len(exports) == len(parsed.exports)
    assert exports == {
        their.name: as_wasmtime_sees(their.type, exports[their.name]) for their in theirs.exports
    }


@pytest.mark.parametrize("name", real_modules())
def test_real_modules_as_wasmtime_sees_them(name: str) -> None:
    check_against_wasmtime(real_modules()[name])


@pytest.mark.parametrize("block", range(10))
def test_generated_modules_as_wasmtime_sees_them(block: int) -> None:
    for seed in range(block * 30, block * 30 + 30):
        check_against_wasmtime(generated_module(seed))


# --- what later proposals bring ----------------------------------------------

TYPE = section(1, b"\x01\x60\x00\x00")


@pytest.mark.parametrize(
    ("data", "message", "offset"),
    [
        (section(1, b"\x01\x5f\x00"), "a type (0x5f) of the garbage collection", 11),
        (section(1, b"\x01\x4e\x01\x60\0\0"), "a type (0x4e) of the garbage collection", 11),
        (section(1, b"\x01\x50\x00\x60\0\0"), "a type (0x50) of the garbage collection", 11),
        (section(1, b"\x01\x5d\x00"), "a type (0x5d) of the stack switching", 11),
        (
            section(1, b"\x01\x60\x02\x64\x70\x00"),
            "a type (0x64) of the typed function references",
            13,
        ),
        (section(1, b"\x01\x60\x02\x7f\x69\x00"), "a type (0x69) of the exception handling", 14),
        (section(1, b"\x01\x60\x00\x01\x6e"), "a type (0x6e) of the garbage collection", 14),
        (TYPE + section(2, b"\x01\x01m\x01t\x04\x00\x00"), "(0x04) of the exception handling", 21),
        (TYPE + section(2, b"\x01\x01m\x00\x7f\x01"), "(0x7f) of the compact import section", 20),
        (section(2, b"\x01\x01m\x01m\x02\x05\x01"), "a memory of the memory64", 16),
        (section(4, b"\x01\x6e\x00\x00"), "a type (0x6e) of the garbage collection", 11),
        (section(4, b"\x01\x70\x04\x01"), "a table of the memory64", 12),
        (
            section(4, b"\x01\x40\x00\x70\x00\x01\xd0\x70\x0b"),
            "a table with an initialiser of the typed function references",
            11,
        ),
        (section(5, b"\x01\x03\x01\x02"), "a memory of the threads", 11),
        (section(5, b"\x01\x04\x01"), "a memory of the memory64", 11),
        (section(5, b"\x01\x08\x01\x00"), "a memory of the custom page sizes", 11),
        (section(5, b"\x02\x00\x01\x00\x01"), "a second memory of the multi-memory", 13),
        (
            section(2, b"\x01\x01m\x01m\x02\x00\x01") + section(5, b"\x01\x00\x01"),
            "a second memory of the multi-memory",
            21,
        ),
        (section(6, b"\x01\x7f\x02\x41\x00\x0b"), "a global of the shared-everything threads", 12),
        (
            section(6, b"\x01\x7f\x00\x41\x01\x41\x01\x6a\x0b"),
            "several operators in a constant expression of the extended constant expressions",
            15,
        ),
        (TYPE + section(13, b"\x01\x00\x00"), "tags of the exception handling", 14),
    ],
)
def test_later_proposals_are_refused_by_name(data: bytes, message: str, offset: int) -> None:
    with pytest.raises(ModuleCompilation) as caught:
        parse(module(data))
    assert f"{message} proposal at offset {offset:#x}" in said(caught.value)
    assert caught.value.hint is not None
