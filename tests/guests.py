"""Plugins that tests run, and what they ask of the ways to run them."""

from __future__ import annotations

from sen_host.backend import Capability
from sen_host.messages import Sleep, encode
from sen_host_conformance.hosts import Host
from tests.wat import ANSWER, ANSWER_AT, HEAP_AT, Wat, packed

GOOD = Wat().wasm()

WITH_WASI = ("probe", "survey")
"""Those of the repository's plugins that need functions of the host."""

# Each of its functions costs 2 at most: the entry and one constant.
FRUGAL = Wat(alloc=f"(i32.const {HEAP_AT})").wasm()

# Counts its calls in memory and answers with the count as one character.
COUNTING = Wat(
    execute=f"""
    (i32.store8 (i32.const {ANSWER_AT + len(ANSWER) - 1})
      (i32.add (i32.const 1) (i32.load8_u (i32.const {ANSWER_AT + len(ANSWER) - 1}))))
    (if (i32.gt_u (local.get $length) (i32.const 1)) (then unreachable))
    {packed(ANSWER_AT, len(ANSWER))}""",
).wasm()

SLEEPING = Wat(
    answer_bytes=encode(Sleep(id=7, duration_ms=5)),
    extra='(data (i32.const 3072) "\\81\\a7Success\\a4done")',
    resume="""
    (if (result i64) (i32.eq (local.get 0) (i32.const 7))
      (then (i64.const 0x00000c000000000e))
      (else unreachable))""",
).wasm()

ENDLESS = Wat(execute="(loop $again (br $again)) unreachable").wasm()

ENDLESS_ON_REQUEST = Wat(
    execute=f"""
    (if (i32.gt_u (local.get $length) (i32.const 1)) (then (loop $again (br $again))))
    {packed(ANSWER_AT, len(ANSWER))}""",
).wasm()


def interrupts(host: Host) -> bool:
    from sen_host import open_backend

    backend = open_backend(host.backend, binding=host.binding, isolation=host.isolation)
    return backend.binding.has(Capability.WALL_CLOCK)
