"""Small plugins in the WebAssembly text format, right or wrong in one place each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from wasmtime import wat2wasm

from sen_host.abi import pack
from sen_host.messages import CommandSpec, PluginManifest, Success, encode

MANIFEST = encode(PluginManifest(api_version=2, command=CommandSpec(name="test", about="a test")))
ANSWER = encode(Success("fine"))

MANIFEST_AT = 1024
ANSWER_AT = 2048
HEAP_AT = 4096

BUMP_ALLOC = """
(local $pointer i32)
(local.set $pointer (global.get $next))
(global.set $next (i32.add (global.get $next) (local.get $length)))
(local.get $pointer)
"""


def data(offset: int, content: bytes) -> str:
    escaped = "".join(f"\\{byte:02x}" for byte in content)
    return f'(data (i32.const {offset}) "{escaped}")'


def message(offset: int, content: bytes) -> str:
    """The packed value of a message, as an instruction."""
    return f"(i64.const {_signed(pack(offset, len(content)))})"


def packed(pointer: int, length: int) -> str:
    return f"(i64.const {_signed(pack(pointer, length))})"


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


@dataclass(frozen=True)
class Wat:
    """A plugin by its parts: bodies of the exports, and what else is in the module."""

    imports: str = ""
    memory: str = '(memory (export "memory") 1)'
    manifest_bytes: bytes = MANIFEST
    answer_bytes: bytes = ANSWER
    alloc: str = BUMP_ALLOC
    dealloc: str = ""
    manifest: str = ""
    execute: str = ""
    resume: str | None = None
    extra: str = ""

    def text(self) -> str:
        manifest = self.manifest or message(MANIFEST_AT, self.manifest_bytes)
        execute = self.execute or message(ANSWER_AT, self.answer_bytes)
        resume = (
            ""
            if self.resume is None
            else f'(func (export "plugin_resume") (param i32 i32 i32) (result i64) {self.resume})'
        )
        return f"""
        (module
          {self.imports}
          {self.memory}
          (type $void (func))
          (global $next (mut i32) (i32.const {HEAP_AT}))
          {data(MANIFEST_AT, self.manifest_bytes)}
          {data(ANSWER_AT, self.answer_bytes)}
          (func (export "plugin_alloc") (param $length i32) (result i32) {self.alloc})
          (func (export "plugin_dealloc") (param i32 i32) {self.dealloc})
          (func (export "plugin_manifest") (result i64) {manifest})
          (func (export "plugin_execute") (param $pointer i32) (param $length i32) (result i64)
            {execute})
          {resume}
          {self.extra})
        """

    def wasm(self) -> bytes:
        return assemble(self.text())


@cache
def assemble(text: str) -> bytes:
    return bytes(wat2wasm(text))


# Each traps and leaves no value behind; $void is the type of a function
# without parameters and results.
TRAPS = {
    "UNREACHABLE": "unreachable",
    "MEMORY_OUT_OF_BOUNDS": "(drop (i32.load (i32.const 0x7ffffff0)))",
    "INTEGER_DIVIDE_BY_ZERO": "(drop (i32.div_u (i32.const 1) (i32.const 0)))",
    "INTEGER_OVERFLOW": "(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))",
    "INVALID_CONVERSION_TO_INTEGER": "(drop (i32.trunc_f32_s (f32.const nan)))",
    "UNINITIALIZED_ELEMENT": "(call_indirect (type $void) (i32.const 0))",
    "INDIRECT_CALL_TYPE_MISMATCH": "(call_indirect (type $void) (i32.const 1))",
    "TABLE_OUT_OF_BOUNDS": "(call_indirect (type $void) (i32.const 99))",
    "STACK_OVERFLOW": "(call $recurse)",
}
TRAP_SUPPORT = """
(table 2 funcref)
(elem (i32.const 1) func $other)
(func $other (result i32) (i32.const 0))
(func $recurse (call $recurse) (call $recurse))
"""
