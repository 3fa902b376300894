"""What pywasm 2.2 does wrong or does not tell, done otherwise.

A decoded module is a tree of instructions. Those whose operators are listed here are
replaced by calls of functions that work on the machine's stack, see
``Machine.add_operators``. The right results are those of the WebAssembly specification.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from pywasm import opcode
from pywasm.core import Inst, ModuleDesc, ValInst

from sen_host.backend import Trap
from sen_host.errors import ModuleCompilation, TrapKind
from sen_host_pywasm.machine import Machine, Operator


def replace_operators(description: ModuleDesc) -> list[Operator]:
    """Replace them in a module that imports functions at most. Returns what it calls now."""
    found: dict[tuple[int, ...], int] = {}
    functions = len(description.imps) + len(description.func)
    for function in description.func:
        for instruction in _instructions(function.expr.data):
            if instruction.opcode in _OPERATORS:
                key = (instruction.opcode, *instruction.args)
                index = found.setdefault(key, functions + len(found))
                instruction.opcode, instruction.args = opcode.call, [index]
    return [Operator(_OPERATORS[code], immediates) for code, *immediates in found]


def check_indices(description: ModuleDesc) -> None:
    """Check that the functions, types, tables and globals exist that the code names.

    pywasm has no validator. This much of one there must be: the host puts functions
    and globals behind those of the module, and no code of a plugin may reach them.

    Raises:
        ModuleCompilation: one does not exist.
    """
    own = (description.func, description.tabl, description.mems, description.glob)
    functions, tables, _, variables = (
        len(items) + sum(item.kind == kind for item in description.imps)
        for kind, items in enumerate(own)
    )
    sizes = {
        opcode.call: (functions,),
        opcode.ref_func: (functions,),
        opcode.call_indirect: (len(description.type), tables),
        opcode.global_get: (variables,),
        opcode.global_set: (variables,),
    }
    for function in description.func:
        for instruction in _instructions(function.expr.data):
            known = sizes.get(instruction.opcode, ())
            for index, size in zip(instruction.args, known, strict=False):
                if index >= size:
                    raise ModuleCompilation(detail=f"{instruction}: there are {size}")


def _instructions(code: list[Inst]) -> Iterator[Inst]:
    """All instructions of a function, those in blocks too."""
    waiting = [code]
    while waiting:
        for instruction in waiting.pop():
            yield instruction
            if instruction.opcode in (opcode.block, opcode.loop, opcode.if_then):
                waiting += instruction.args[1:]


def _memory_grow(machine: Machine, index: int) -> None:
    """pywasm stops at 64 MiB, and takes a maximum of 0 for none."""
    memory = machine.store.mems[machine.module.mems[index]]
    pages = machine.stack.value.pop().into_u32()
    before = memory.size if memory.size + pages <= memory.type.limits.m else -1
    if before >= 0:
        memory.grow(pages)
    machine.stack.value.append(ValInst.from_i32(before))


def _memory_fill(machine: Machine) -> None:
    """pywasm writes byte by byte, and no clock can stop it."""
    memory = machine.store.mems[machine.module.mems[0]]
    length = machine.stack.value.pop().into_u32()
    byte = machine.stack.value.pop().data[:1]
    start = machine.stack.value.pop().into_u32()
    if start + length > len(memory.data):
        raise Trap(TrapKind.MEMORY_OUT_OF_BOUNDS)
    memory.data[start : start + length] = byte * length


def _table_grow(machine: Machine, index: int) -> None:
    """pywasm stops at 1,024 elements, and takes a maximum of 0 for none."""
    table = machine.store.tabl[machine.module.tabl[index]]
    elements = machine.stack.value.pop().into_u32()
    initial = machine.stack.value.pop()
    before = table.size if table.size + elements <= table.type.limits.m else -1
    if before >= 0:
        table.grow(elements, initial)
    machine.stack.value.append(ValInst.from_i32(before))


def _call_indirect(machine: Machine, type_index: int, table_index: int) -> None:
    """pywasm raises the same for an element that is null and one of another type."""
    elements = machine.store.tabl[machine.module.tabl[table_index]].elem
    index = machine.stack.value.pop().into_u32()
    if index >= len(elements):
        raise Trap(TrapKind.TABLE_OUT_OF_BOUNDS)
    if elements[index] == ValInst.zero(elements[index].type):
        raise Trap(TrapKind.UNINITIALIZED_ELEMENT)
    address = elements[index].into_ref()
    if machine.store.func[address].type != machine.module.type[type_index]:
        raise Trap(TrapKind.INDIRECT_CALL_TYPE_MISMATCH)
    machine.evaluate_call(address)


def _quotient(a: int, b: int) -> int:
    """pywasm fails if it is 2**63 or more."""
    if b == 0:
        raise Trap(TrapKind.INTEGER_DIVIDE_BY_ZERO)
    return a // b


def _odd(integer: int) -> float:
    """pywasm rounds to double first. A last bit that is odd keeps that from doing harm."""
    magnitude = abs(integer)
    if magnitude >> 53:
        magnitude = (magnitude >> 11 | bool(magnitude & 0x7FF)) << 11
    return math.copysign(magnitude, integer)


def _keeping_sign(to_integer: Callable[[float], int]) -> Callable[[float], float]:
    """pywasm makes 0.0 of what should be -0.0."""

    def rounded(a: float) -> float:
        return math.copysign(to_integer(a), a) if math.isfinite(a) else a

    return rounded


def _first(order: Callable[..., float]) -> Callable[[float, float], float]:
    """pywasm takes the first of 0.0 and -0.0."""

    def chosen(a: float, b: float) -> float:
        if math.isnan(a) or math.isnan(b):
            return math.nan
        return order(a, b, key=lambda value: (value, math.copysign(1, value)))

    return chosen


def _copysign(last: int) -> Callable[[Machine], None]:
    """pywasm changes other bits of a NaN. ``last`` is the byte with the sign."""

    def copysign(machine: Machine) -> None:
        sign = machine.stack.value.pop().data[last] & 0x80
        value = machine.stack.value.pop()
        data = value.data.copy()
        data[last] = data[last] & 0x7F | sign
        machine.stack.value.append(ValInst(value.type, data))

    return copysign


def _numeric(function: Callable[..., Any], give: Any, *take: Any) -> Callable[[Machine], None]:
    """An operator from a function on numbers."""

    def numeric(machine: Machine) -> None:
        operands = [machine.stack.value.pop() for _ in take][::-1]
        numbers = (get(operand) for get, operand in zip(take, operands, strict=True))
        machine.stack.value.append(give(function(*numbers)))

    return numeric


_U64 = (ValInst.from_u64, ValInst.into_u64)
_F32 = (ValInst.from_f32, ValInst.into_f32)
_F64 = (ValInst.from_f64, ValInst.into_f64)

_OPERATORS: dict[int, Callable[..., None]] = {
    opcode.memory_grow: _memory_grow,
    opcode.memory_fill: _memory_fill,
    opcode.table_grow: _table_grow,
    opcode.call_indirect: _call_indirect,
    opcode.i64_div_u: _numeric(_quotient, *_U64, ValInst.into_u64),
    opcode.f32_convert_i64_s: _numeric(_odd, ValInst.from_f32, ValInst.into_i64),
    opcode.f32_convert_i64_u: _numeric(_odd, ValInst.from_f32, ValInst.into_u64),
    opcode.f32_ceil: _numeric(_keeping_sign(math.ceil), *_F32),
    opcode.f64_ceil: _numeric(_keeping_sign(math.ceil), *_F64),
    opcode.f32_floor: _numeric(_keeping_sign(math.floor), *_F32),
    opcode.f64_floor: _numeric(_keeping_sign(math.floor), *_F64),
    opcode.f32_trunc: _numeric(_keeping_sign(math.trunc), *_F32),
    opcode.f64_trunc: _numeric(_keeping_sign(math.trunc), *_F64),
    opcode.f32_nearest: _numeric(_keeping_sign(round), *_F32),
    opcode.f64_nearest: _numeric(_keeping_sign(round), *_F64),
    opcode.f32_min: _numeric(_first(min), *_F32, ValInst.into_f32),
    opcode.f64_min: _numeric(_first(min), *_F64, ValInst.into_f64),
    opcode.f32_max: _numeric(_first(max), *_F32, ValInst.into_f32),
    opcode.f64_max: _numeric(_first(max), *_F64, ValInst.into_f64),
    opcode.f32_copysign: _copysign(3),
    opcode.f64_copysign: _copysign(7),
}
