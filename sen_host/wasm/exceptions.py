"""Where the engines differ: the exceptions of the accepted profile, as data.

A module is accepted if Wasmtime 50, Wasmer 2.1 (the package ``wasmer``) and
Wasmer 7 (``wasmer-sdk``) all run it, and alike. That is WebAssembly 2.0 without
what stands here. Each entry was found by giving the same modules to the three engines.
"""

from __future__ import annotations

from typing import NamedTuple


class Feature(NamedTuple):
    """A part of WebAssembly 2.0 that not every engine runs, or runs right.

    Attributes:
        name: what a configuration accepts it by.
        what: what is refused.
        proposal: the proposal that brought it.
        engines: those that run it right.
        remedy: how a plugin does without it.
    """

    name: str
    what: str
    proposal: str
    engines: tuple[str, ...]
    remedy: str


class Bound(NamedTuple):
    """A size up to which every engine goes along. No configuration widens it.

    Attributes:
        what: what is counted.
        most: the largest number that is accepted.
        reason: the engine that goes no further, and where it ends.
        remedy: how a plugin stays below it.
    """

    what: str
    most: int
    reason: str
    remedy: str


SIMD = "simd"
EXTERNREF_ELEMENTS = "externref-elements"
GLOBAL_ELEMENTS = "global-elements"
DEAD_BR_TABLE = "dead-br-table"

FEATURES: dict[str, Feature] = {
    feature.name: feature
    for feature in (
        # Wasmer 2.1 lacks 27 operators, and compiles others wrong or panics, by what stands
        # around them: no list of operators would hold.
        Feature(
            SIMD,
            "all of it: v128 and its operators",
            "SIMD",
            ("Wasmtime 50", "Wasmer 7"),
            "compile the plugin without SIMD"
            " (clang: -mno-simd128, rustc: -C target-feature=-simd128)",
        ),
        Feature(
            EXTERNREF_ELEMENTS,
            "element segments of externref, empty ones too",
            "reference types",
            ("Wasmtime 50", "Wasmer 7"),
            "fill tables of externref with table.set or table.fill",
        ),
        Feature(
            GLOBAL_ELEMENTS,
            "elements that are read from an imported global",
            "reference types",
            ("Wasmtime 50",),
            "name the functions with ref.func, or set the elements with table.set",
        ),
        Feature(
            DEAD_BR_TABLE,
            "a br_table whose targets take values of different types,"
            " which is valid in unreachable code alone",
            "reference types",
            ("Wasmtime 50", "Wasmer 7"),
            "remove the unreachable code (wasm-opt --dce)",
        ),
    )
}
"""By name, in the order of the documentation."""

# Wasmer 2.1 makes a trampoline for each function type, with a place of up to 16
# bytes for each value. One whose frame is over a page makes it panic, and two
# panics at once abort the process. The smallest that failed has 271 values of
# v128; 140, if a function of that type is imported.
SIGNATURE = Bound(
    "parameters and results of a function type together",
    128,
    "Wasmer 2.1 panics, from 271 on if they are all v128, else from 521 on",
    "pass the values in memory",
)
LABELS = Bound(
    "targets of a br_table, besides the default",
    65_520,
    "Wasmtime compiles no more",
    "split the switch",
)
TABLE_MINIMUM = Bound(
    "elements that a table starts with",
    10_000_000,
    "Wasmer 2.1 takes no more",
    "start with a smaller table",
)
TABLE_MAXIMUM = Bound(
    "elements that a table declares as its maximum",
    1 << 27,
    "Wasmer 7 takes no more",
    "declare a smaller maximum, or none",
)
# What instrumentation exports counts 6, and Wasmer 2.1 itself ends at 99,999.
EXPORTS = Bound(
    "exports, where a function counts one more for each parameter and result, and anything else 2",
    99_000,
    "Wasmer 2.1 takes no more than 99,999, and metering adds some",
    "export fewer functions",
)
BOUNDS = (SIGNATURE, LABELS, TABLE_MINIMUM, TABLE_MAXIMUM, EXPORTS)
