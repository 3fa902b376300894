"""What Wasmer 2.1 compiles and runs wrong: why the profile refuses SIMD."""

from __future__ import annotations

import pytest

from sen_host.wasm.instrument import instrument
from sen_host.wasm.reader import parse
from tests.wasm.metered import has_wasmer, on_wasmer, on_wasmtime
from tests.wasm.support import wat

pytestmark = pytest.mark.skipif(
    not has_wasmer(), reason="wasmer 1.1 is not here; it needs CPython 3.10 or earlier"
)

WRONG = [
    "local.get $a local.get $b i32.const 1 select",
    "local.get $a local.get $b i32.const 1 select (result v128)",
    "local.get $a i32.const 0 f64.load f64x2.replace_lane 0",
]
RIGHT = ["local.get $a i32.const 0 f64.load f64x2.replace_lane 1"]


def halves(code: str) -> bytes:
    """A module with an export that gives both halves of the v128 that the code pushes."""
    return instrument(
        parse(
            wat(
                f"""
                (module
                  (memory 1) (data (i32.const 0) "\\01\\02\\03\\04\\05\\06\\07\\08")
                  (func (export "halves") (param i64 i64 i64 i64) (result i64 i64)
                    (local $a v128) (local $b v128)
                    local.get 0 i64x2.splat local.get 1 i64x2.replace_lane 1 local.set $a
                    local.get 2 i64x2.splat local.get 3 i64x2.replace_lane 1 local.set $b
                    {code} local.tee $a i64x2.extract_lane 0 local.get $a i64x2.extract_lane 1))
                """
            )
        )
    ).wasm


NUMBERS = (0x1112131415161718, 0x2122232425262728, 0x3132333435363738, 0x4142434445464748)


@pytest.mark.parametrize("code", WRONG)
def test_what_wasmer_2_runs_wrong(code: str) -> None:
    metered = halves(code)
    wasmtime, wasmer = (run(metered, "halves", *NUMBERS) for run in (on_wasmtime, on_wasmer))
    assert wasmtime.results != wasmer.results
    assert wasmtime.paid == wasmer.paid


@pytest.mark.parametrize("code", RIGHT)
def test_what_looks_alike_and_is_right(code: str) -> None:
    metered = halves(code)
    assert on_wasmtime(metered, "halves", *NUMBERS) == on_wasmer(metered, "halves", *NUMBERS)
