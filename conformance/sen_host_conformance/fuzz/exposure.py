"""Make every function of a module callable with integers, and its state visible.

Only integers cross the border between host and guest, and at most one result.
So functions of other types get an adapter: floats cross by their bits, several
results are folded into one i64, and any NaN counts as the same. At most three
arguments cross.
"""

from __future__ import annotations

from typing import NamedTuple

from sen_host.backend import FuncType
from sen_host.wasm.leb128 import encode_unsigned
from sen_host.wasm.module import SECTION_ORDER
from sen_host.wasm.reader import MAGIC, VERSION, ParsedModule, SectionId, parse
from sen_host.wasm.writer import export, function_type, longer, section, sized
from sen_host_conformance.fuzz.encoding import EMPTY, END, body, const, default, op
from sen_host_conformance.fuzz.operands import CANONICAL_NAN, canonical

STATE = "state"
"""The function that folds globals and tables into one i64."""

MAX_ARGUMENTS = 3
"""Not every binding passes more."""

_INTEGERS = ("i32", "i64")
_CARRIERS = {"i32": "i32", "i64": "i64", "f32": "i32", "f64": "i64"}
_CONVERSIONS = {
    ("i32", "i32"): b"",
    ("i64", "i64"): b"",
    ("i32", "i64"): op("i64.extend_i32_u"),
    ("i64", "i32"): op("i32.wrap_i64"),
}
_FACTOR = 0x9E37_79B9_7F4A_7C15


class Target(NamedTuple):
    """A module of which every function can be called.

    Attributes:
        functions: type of each function by the name of its export.
    """

    wasm: bytes
    functions: dict[str, FuncType]


def expose(wasm: bytes) -> Target:
    """Replace a module's exports: function number n is ``f<n>``, by an adapter if need be.

    The module must be valid, have a memory and import nothing. ``memory`` and
    STATE are exported as well.
    """
    module = parse(wasm)
    types = list(module.types)
    new_types: list[FuncType] = []
    new_functions: list[tuple[FuncType, bytes]] = []
    exports = [export("memory", "memory", 0)]
    functions: dict[str, FuncType] = {}

    def add(name: str, type: FuncType, code: bytes) -> None:
        if type not in types:
            types.append(type)
            new_types.append(type)
        exports.append(export(name, "function", len(module.functions) + len(new_functions)))
        new_functions.append((type, code))
        functions[name] = type

    for index, type_index in enumerate(module.functions):
        type = module.types[type_index]
        plain = len(type.results) <= 1 and {*type.params, *type.results} <= {*_INTEGERS}
        if plain and len(type.params) <= MAX_ARGUMENTS:
            exports.append(export(f"f{index}", "function", index))
            functions[f"f{index}"] = type
        else:
            add(f"f{index}", *_adapter(index, type))
    add(STATE, FuncType((), ("i64",)), _state(module))
    sections = {item.id: wasm[item.content : item.end] for item in module.sections if item.id}
    more = {
        SectionId.TYPE: [function_type(type) for type in new_types],
        SectionId.FUNCTION: [encode_unsigned(types.index(type)) for type, _ in new_functions],
        SectionId.CODE: [sized(code) for _, code in new_functions],
    }
    for id, items in more.items():
        sections[id] = longer(sections.get(id, b"\x00"), items)
    sections[SectionId.EXPORT] = longer(b"\x00", exports)
    written = b"".join(section(id, sections[id]) for id in SECTION_ORDER if id in sections)
    customs = b"".join(wasm[item.start : item.end] for item in module.sections if not item.id)
    return Target(MAGIC + VERSION + written + customs, functions)


class _Fold:
    """Code that folds values of any type into a local of type i64."""

    def __init__(self, params: int) -> None:
        # One local of each type that a value may have to rest in.
        self.declarations = [(1, "i64"), (1, "f32"), (1, "f64")]
        self.sum = params
        self._rest = {"f32": params + 1, "f64": params + 2}
        self._add = (
            op("local.get", self.sum)
            + const("i64", _FACTOR)
            + op("i64.mul")
            + op("i64.add")
            + op("local.set", self.sum)
        )

    def value(self, type: str) -> bytes:
        """Take the value on top of the stack."""
        if type in CANONICAL_NAN:
            integer = _CARRIERS[type]
            reinterpreted = op(f"{integer}.reinterpret_{type}")
            return canonical(type, self._rest[type]) + reinterpreted + self.value(integer)
        if type in ("funcref", "externref"):
            return op("ref.is_null") + self.value("i32")
        return (op("i64.extend_i32_u") if type == "i32" else b"") + self._add


def _adapter(index: int, type: FuncType) -> tuple[FuncType, bytes]:
    params = tuple(_CARRIERS[name] for name in type.params if name in _CARRIERS)[:MAX_ARGUMENTS]
    code = []
    crossed = 0
    for name in type.params:
        if name not in _CARRIERS:
            code.append(default(name))
            continue
        # What is too much to cross takes one of the arguments again.
        argument = crossed % MAX_ARGUMENTS
        code.append(op("local.get", argument))
        code.append(_CONVERSIONS[params[argument], _CARRIERS[name]])
        crossed += 1
        if name in CANONICAL_NAN:
            code.append(op(f"{name}.reinterpret_{_CARRIERS[name]}"))
    code.append(op("call", index))
    results: tuple[str, ...] = ()
    fold = _Fold(len(params))
    if type.results:
        results = ("i64",)
        code += [fold.value(name) for name in reversed(type.results)]
        code.append(op("local.get", fold.sum))
    return FuncType(params, results), body(fold.declarations, b"".join(code) + END)


def _state(module: ParsedModule) -> bytes:
    fold = _Fold(0)
    index = len(fold.declarations)
    code = []
    for number, type in enumerate(module.globals):
        code += [op("global.get", number), fold.value(type.value)]
    for number, table in enumerate(module.tables):
        code += [
            op("table.size", number),
            fold.value("i32"),
            const("i32", 0),
            op("local.set", index),
            op("block") + EMPTY + op("loop") + EMPTY,
            op("local.get", index),
            op("table.size", number),
            op("i32.ge_u"),
            op("br_if", 1),
            op("local.get", index),
            op("table.get", number),
            fold.value(table.element),
            op("local.get", index),
            const("i32", 1),
            op("i32.add"),
            op("local.set", index),
            op("br", 0),
            END + END,
        ]
    code.append(op("local.get", fold.sum))
    return body([*fold.declarations, (1, "i32")], b"".join(code) + END)
