"""What instrumenting adds to a module, what it refuses, and what it leaves alone."""

from __future__ import annotations

import pytest

from sen_host.backend import EXHAUSTED, FUEL, RESERVED, STACK, START
from sen_host.errors import ModuleCompilation
from sen_host.wasm.instrument import instrument
from sen_host.wasm.leb128 import encode_unsigned
from sen_host.wasm.reader import parse
from tests.wasm.metered import (
    ENGINES,
    Runner,
    has_wasmer,
    instrumented,
    round_trips,
    valid_on_wasmer,
)
from tests.wasm.support import (
    function,
    generated_module,
    is_valid,
    module,
    real_modules,
    section,
    vector,
    wat,
)


class TestModules:
    @pytest.mark.parametrize("name", real_modules())
    def test_real_modules_stay_valid_and_keep_what_they_have(self, name: str) -> None:
        data = real_modules()[name]
        assert_kept(data)

    @pytest.mark.parametrize("seed", range(30))
    def test_generated_modules_stay_valid_and_keep_what_they_have(self, seed: int) -> None:
        assert_kept(generated_module(seed))

    @pytest.mark.parametrize("name", [FUEL, STACK, EXHAUSTED, START, RESERVED, RESERVED + "x"])
    def test_reserved_names_are_refused(self, name: str) -> None:
        data = wat(f'(module (func (export "{name}")))')
        with pytest.raises(ModuleCompilation, match="reserved"):
            instrument(parse(data))

    @pytest.mark.parametrize("name", ["sen-host", "Sen-host:fuel", "fuel", "", "x" + FUEL])
    def test_other_names_are_not(self, name: str) -> None:
        round_trips(f'(module (func (export "{name}")))')

    @pytest.mark.parametrize(
        "text",
        [
            "(module)",
            "(module (memory 1))",
            '(module (memory 1) (data "x"))',
            '(module (import "a" "b" (func)))',
            '(module (import "a" "b" (func (param i32))) (export "b" (func 0)))',
            '(module (import "a" "b" (func)) (start 0))',
            '(module (import "a" "b" (global i32)) (export "g" (global 0)))',
            "(module (global i32 (i32.const 1)))",
            "(module (table 1 funcref) (elem (i32.const 0) func))",
            "(module (type (func (param i32))) (func (type 0)))",
            "(module (func))",
            '(module (func) (@custom "c" "xyz"))',
            '(module (@custom "c" (before first) "xyz") (func) (start 0))',
        ],
    )
    def test_sections_that_are_missing_are_added(self, text: str) -> None:
        data = wat(text)
        assert is_valid(data)
        assert_kept(data)

    def test_sections_without_items(self) -> None:
        empty = b"\x80\x80\x00"
        data = module(*(section(id, empty) for id in (1, 2, 3, 4, 5, 6, 7, 9, 12, 10, 11)))
        assert is_valid(data)
        assert_kept(data)

    @pytest.mark.parametrize("run", ENGINES)
    def test_the_exported_function_that_reports_does_nothing(self, run: Runner) -> None:
        data = instrumented('(module (func (export "run")))').wasm
        assert run(data, EXHAUSTED).paid == 0

    def test_memory_is_limited_where_asked(self) -> None:
        data = wat('(module (memory (export "memory") 1))')
        result = instrument(parse(data), memory_bytes=3 << 16)
        assert parse(result.wasm).memories[0].limits.maximum == 3


class TestLimits:
    def test_deep_nesting(self) -> None:
        depth = 10_000
        code = b"\x02\x40" * depth + b"\x0c" + encode_unsigned(depth) + b"\x0b" * depth
        data = instrument(parse(function(b"\x00" + code + b"\x0b"))).wasm
        assert parse(data).function_bodies

    @pytest.mark.parametrize(("params", "most"), [(0, 49_997), (1_000, 48_997)])
    def test_as_many_locals_as_there_may_be(self, params: int, most: int) -> None:
        type = b"\x60" + vector([b"\x7f"] * params) + b"\0"

        def with_locals(count: int) -> bytes:
            return function(b"\x01" + encode_unsigned(count) + b"\x7f\x0b", type)

        assert is_valid(with_locals(most))
        assert is_valid(instrument(parse(with_locals(most))).wasm)
        with pytest.raises(ModuleCompilation, match=f"at most {most:,}"):
            instrument(parse(with_locals(most + 1)))

    def test_a_body_that_grows_too_large_is_refused(self) -> None:
        body = b"\x00" + b"\x41\x01\x0d\x00" * 600_000 + b"\x0b"
        with pytest.raises(
            ModuleCompilation, match=r"of 2,400,002 bytes has .* once it is metered"
        ):
            instrument(parse(function(body)))

    @pytest.mark.parametrize(
        ("most", "what"), [(4, "types"), (8, "functions"), (8, "globals"), (10, "exports")]
    )
    def test_too_many_items_are_refused(
        self, most: int, what: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With a smaller limit: a million items would take seconds."""
        counts = {"types": 1, "functions": 2, "globals": 0, "exports": 0, what: most}
        text = "".join(f"(type (func {'(param i32)' * (n + 1)}))" for n in range(counts["types"]))
        text += (
            "(func (type 0))" * counts["functions"]
            + "(global i32 (i32.const 0))" * counts["globals"]
        )
        text += "".join(f'(export "{n}" (func 0))' for n in range(counts["exports"]))
        parsed = parse(wat(f"(module {text})"))
        added = {"types": 1, "functions": 1, "globals": 2, "exports": 3}[what]
        monkeypatch.setattr("sen_host.wasm.instrument.MAX_ITEMS", most + added)
        assert is_valid(instrument(parsed).wasm)
        monkeypatch.setattr("sen_host.wasm.instrument.MAX_ITEMS", most + added - 1)
        with pytest.raises(ModuleCompilation, match=f"{most + added} {what} once"):
            instrument(parsed)


def assert_kept(data: bytes) -> None:
    before = parse(data)
    result = instrument(before)
    assert is_valid(result.wasm)
    if has_wasmer() and valid_on_wasmer(data):
        assert valid_on_wasmer(result.wasm)
    after = parse(result.wasm)
    started = () if before.start is None else (START,)
    assert after.start is None
    assert result.has_start is bool(started)
    count = len(before.exports)
    assert after.exports[:count] == before.exports
    assert tuple(item.name for item in after.exports[count:]) == (FUEL, STACK, EXHAUSTED, *started)
    if started:
        assert after.exports[-1].index == before.start
    for export in before.exports:
        assert before.type_of(export) == after.type_of(export)
    assert after.custom_sections == before.custom_sections
    assert after.imports == before.imports
    assert after.types[: len(before.types)] == before.types
    assert after.functions[: len(before.functions)] == before.functions
    assert after.globals[: len(before.globals)] == before.globals
    assert (after.tables, after.memories) == (before.tables, before.memories)
    assert len(result.frames) == len(before.functions)
