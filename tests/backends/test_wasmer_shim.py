"""Adding imports and functions to a module changes nothing but indices."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import wasmtime

from sen_host.backend import FuncType
from sen_host.errors import ModuleCompilation
from sen_host.wasm.extend import ImportedFunction, Indices, NewFunction, extend
from sen_host.wasm.reader import Export, Limits, parse
from sen_host_wasmer.shim import attach
from sen_host_wasmer.validation import poison
from tests.wasm.support import (
    generated_module,
    is_valid,
    module,
    real_modules,
    section,
    vector,
    wat,
)

ODD_TYPE = FuncType(("i64", "i32", "i64", "i32"), ("i64",))
IMPORTS = (
    ImportedFunction("host", "one", ODD_TYPE),
    ImportedFunction("host", "two", FuncType((), ())),
    ImportedFunction("host", "three", ODD_TYPE),
)


def extended(wasm: bytes, *more: Export) -> bytes:
    """A module with three imports in front, a function and a memory behind.

    All exports are kept; those given are added.
    """
    original = parse(wasm)

    def functions(indices: Indices) -> list[NewFunction]:
        # memory.size of the new memory; a call of the last import
        body = bytes((0, 0x3F, indices.memories, 0x1A, 0x10, 1, 0x0B))
        return [NewFunction(FuncType((), ()), body)]

    def exports(indices: Indices) -> list[Export]:
        kept = [
            Export(
                export.name,
                export.kind,
                export.index + (indices.shift if export.kind == "function" else 0),
            )
            for export in (*original.exports, *more)
        ]
        return [*kept, Export("\0new", "function", indices.functions)]

    return extend(
        original, imports=IMPORTS, memories=[Limits(1, 2)], functions=functions, exports=exports
    )


def with_several_memories() -> wasmtime.Engine:
    config = wasmtime.Config()
    config.wasm_multi_memory = True
    return wasmtime.Engine(config)


ENGINE = with_several_memories()


@pytest.mark.parametrize("seed", range(40))
def test_generated_modules_stay_valid(seed: int) -> None:
    wasm = generated_module(seed)
    assert is_valid(wasm)
    wasmtime.Module.validate(ENGINE, extended(wasm))


@pytest.mark.parametrize("name", real_modules())
def test_real_modules_stay_valid(name: str) -> None:
    wasm = real_modules()[name]
    wasmtime.Module.validate(ENGINE, extended(wasm))
    if all(isinstance(item.type, FuncType) for item in parse(wasm).imports):
        wasmtime.Module.validate(ENGINE, attach(parse(wasm)).wasm)


# Functions number 0 to 5 return 100 to 105. Each place of the table is filled
# by another form of segment, or at run time.
EVERY_WAY_TO_NAME_A_FUNCTION = """(module
    (type $number (func (result i32)))
    (memory (export "memory") 1)
    (func $f0 (result i32) i32.const 100)
    (func $f1 (result i32) i32.const 101)
    (func $f2 (result i32) i32.const 102)
    (func $f3 (result i32) i32.const 103)
    (func $f4 (result i32) i32.const 104)
    (func $f5 (result i32) i32.const 105)
    (table $t 20 funcref)
    (table $other 4 funcref)
    (global $g (mut funcref) (ref.func $f4))
    (elem (i32.const 0) $f0 $f1)
    (elem $passive func $f2 $f3)
    (elem (table $other) (i32.const 1) func $f5)
    (elem declare func $f1)
    (elem (i32.const 2) funcref (ref.func $f1) (ref.null func))
    (elem $expressions funcref (ref.func $f0))
    (elem (table $other) (i32.const 2) funcref (ref.func $f3))
    (elem declare funcref (ref.func $f2))
    (func $start
        (table.init $passive (i32.const 4) (i32.const 0) (i32.const 2))
        (table.init $expressions (i32.const 6) (i32.const 0) (i32.const 1))
        (table.copy $t $other (i32.const 7) (i32.const 1) (i32.const 2))
        (table.set (i32.const 9) (global.get $g))
        (table.set (i32.const 10) (ref.func $f1))
        (table.set (i32.const 11) (select (result funcref)
            (ref.func $f2) (ref.func $f1) (i32.const 1)))
        (i32.store8 (i32.const 0) (call $f5)))
    (start $start)
    (func (export "started") (result i32) (i32.load8_u (i32.const 0)))
    (func (export "at") (param i32) (result i32)
        (block $null (result i32)
            (drop (br_if $null (i32.const -1) (ref.is_null (table.get (local.get 0)))))
            (call_indirect (type $number) (local.get 0))))
)"""
EXPECTED = [100, 101, 101, -1, 102, 103, 100, 105, 103, 104, 101, 102]


def instantiate(wasm: bytes, imports: int = 0) -> tuple[wasmtime.Store, wasmtime.Instance]:
    store = wasmtime.Store(ENGINE)
    compiled = wasmtime.Module(ENGINE, wasm)
    stubs = [
        wasmtime.Func(store, item.type, lambda *arguments: arguments[0] if arguments else None)
        for item in compiled.imports
        if isinstance(item.type, wasmtime.FuncType)
    ]
    assert len(stubs) == imports
    return store, wasmtime.Instance(store, compiled, stubs)


def function(
    store: wasmtime.Store, instance: wasmtime.Instance, name: str
) -> Callable[..., int | None]:
    found = instance.exports(store)[name]
    assert isinstance(found, wasmtime.Func)
    return found


def numbers(wasm: bytes, imports: int) -> list[int | None]:
    store, instance = instantiate(wasm, imports)
    at = function(store, instance, "at")
    return [at(store, place) for place in range(len(EXPECTED))]


def test_every_way_to_name_a_function_names_the_same_one() -> None:
    wasm = wat(EVERY_WAY_TO_NAME_A_FUNCTION)
    assert numbers(wasm, 0) == EXPECTED
    # The start function is the caller's: it is dropped, so it is called by hand.
    original = parse(wasm)
    assert original.start is not None
    by_hand = extended(wasm, Export("start", "function", original.start))
    store, instance = instantiate(by_hand, len(IMPORTS))
    start, at, started = (function(store, instance, name) for name in ("start", "at", "started"))
    assert started(store) == 0
    start(store)
    assert [at(store, place) for place in range(len(EXPECTED))] == EXPECTED
    assert started(store) == 105


def test_overlong_indices_are_read() -> None:
    """What Rust's linker writes: five bytes for each index."""
    seven = b"\x00\x41\x07\x0b"
    call = b"\x00\x10\x80\x80\x80\x80\x00\x0b"
    bodies = [bytes((len(body),)) + body for body in (seven, call)]
    wasm = module(
        section(1, vector([b"\x60\0\x01\x7f"])),
        section(3, vector([b"\x80\x80\x80\x80\x00", b"\0"])),
        section(7, b"\x81\x80\0" + b"\x01f\0\x81\x80\x80\x80\x00"),
        section(10, vector(bodies)),
    )
    store, instance = instantiate(extended(wasm), len(IMPORTS))
    assert function(store, instance, "f")(store) == 7


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("(func (call 1))", "function 1 "),
        ("(func (call 4))", "function 4 "),
        ("(func (drop (ref.func 3)))", "function 3 "),
        ("(global funcref (ref.func 0))", "function 0 "),
        ("(table 1 funcref) (elem (i32.const 0) 7)", "function 7 "),
        ("(elem funcref (ref.func 7))", "function 7 "),
        ("(table 1 funcref) (func (call_indirect (type 1) (i32.const 0)))", "type 1 "),
        ("(func (block (type 1)))", "type 1 "),
        ("(func (drop (memory.size 1)))", "multi-memory"),
    ],
)
def test_what_is_out_of_range_does_not_become_valid(text: str, what: str) -> None:
    wasm = wat(f'(module (memory (export "memory") 1) {text})')
    assert not is_valid(wasm)
    with pytest.raises(ModuleCompilation, match=what):
        extended(wasm)


def test_what_the_shim_calls_must_exist() -> None:
    text = '(module (memory (export "memory") 1) (func) (export "f" (func 1)))'
    with pytest.raises(ModuleCompilation, match="function 1"):
        attach(parse(wat(text)))


def test_a_plugin_without_a_memory_is_refused() -> None:
    with pytest.raises(ModuleCompilation, match="'memory'"):
        attach(parse(wat('(module (func (export "memory")))')))


def test_the_plugin_s_memory_is_not_exported() -> None:
    text = '(module (memory (export "memory") (export "again") 3 7) (func (export "f")))'
    shim = attach(parse(wat(text)))
    compiled = wasmtime.Module(ENGINE, shim.wasm)
    assert {item.name for item in compiled.imports} == {"fd_read", "fd_write"}
    assert {item.name for item in compiled.exports} == {"memory", "_start", "0"}
    [memory] = [item.type for item in compiled.exports if item.name == "memory"]
    assert isinstance(memory, wasmtime.MemoryType)
    assert memory.limits.min > 7
    assert shim.functions == {"f": 0}


@pytest.mark.parametrize("name", real_modules())
def test_a_poisoned_module_is_wrong_in_one_place_only(name: str) -> None:
    poisoned = poison(parse(real_modules()[name]))
    with pytest.raises(wasmtime.WasmtimeError) as caught:
        wasmtime.Module.validate(ENGINE, poisoned.wasm)
    assert "operators remaining after end of function" in str(caught.value)
    assert f"offset {poisoned.offset:#x}" in str(caught.value)


@pytest.mark.parametrize(
    "names",
    [
        ("_start",),
        ("_start", "\\00start", "_start_", "_start__"),
        ("_start_", "\\06_start", "_start"),
    ],
)
def test_poisoning_makes_room_for_an_entry_point(names: tuple[str, ...]) -> None:
    exports = "".join(f'(export "{name}" (global 0))' for name in names)
    wasm = wat(f'(module (global i32 (i32.const 0)) (func) (export "f" (func 0)) {exports})')
    poisoned = poison(parse(wasm))
    with pytest.raises(wasmtime.WasmtimeError, match="after end of function") as caught:
        wasmtime.Module.validate(ENGINE, poisoned.wasm)
    assert f"offset {poisoned.offset:#x}" in str(caught.value)


def test_poisoning_does_not_mend_exports_of_one_name() -> None:
    start = b"\x06_start\x03\0"  # the global
    wasm = module(
        section(1, vector([b"\x60\0\0"])),
        section(3, vector([b"\0"])),
        section(6, vector([b"\x7f\0\x41\0\x0b"])),
        section(7, vector([start, start])),
        section(10, vector([b"\x02\0\x0b"])),
    )
    poisoned = poison(parse(wasm))
    with pytest.raises(wasmtime.WasmtimeError, match="duplicate export"):
        wasmtime.Module.validate(ENGINE, poisoned.wasm)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("(module)", None),
        ('(module (memory 1 2) (global i32 (i32.const 1)) (data (i32.const 9) "a"))', None),
        ("(module (memory 1 65537))", "memory size"),
        ("(module (global i32 (i64.const 1)))", "type mismatch"),
    ],
)
def test_a_module_without_functions_is_given_one_to_poison(text: str, fault: str | None) -> None:
    poisoned = poison(parse(wat(text)))
    with pytest.raises(wasmtime.WasmtimeError, match=fault or "after end of function"):
        wasmtime.Module.validate(ENGINE, poisoned.wasm)
