"""Wasmtime's C API as ctypes signatures, over the shared library in its wheel.

The public ``wasmtime`` package pays 7 to 22 microseconds a call for converting
arguments, and 27 ms for its import. These signatures take values that were
prepared once. The layouts are those of the C headers of Wasmtime 50 (`val.h`,
`extern.h`, `instance.h`), so no version is touched that it was not proven with.
"""

from __future__ import annotations

import ctypes
import os
import sys
from ctypes import (
    POINTER,
    byref,
    c_bool,
    c_int64,
    c_size_t,
    c_uint8,
    c_uint32,
    c_uint64,
    c_void_p,
)
from functools import cache

from sen_host.distributions import package_folders
from sen_host_wasmtime.configuration import BOOLEAN_SETTINGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


VALUE_KINDS = {"i32": 0, "i64": 1}
"""Kinds of the values that cross (``wasmtime_valkind_t``)."""

EXTERN_FUNC = 0
EXTERN_GLOBAL = 1
EXTERN_MEMORY = 3


class _ValueUnion(ctypes.Union):
    # The padding stands for the reference types, the widest members.
    _fields_ = (
        ("u32", c_uint32),
        ("u64", c_uint64),
        ("i64", c_int64),
        ("padding", c_uint64 * 3),
    )


class Value(ctypes.Structure):
    """``wasmtime_val_t``"""

    _fields_ = (("kind", c_uint8), ("of", _ValueUnion))
    kind: int
    of: _ValueUnion


class Function(ctypes.Structure):
    """``wasmtime_func_t``"""

    _fields_ = (("store_id", c_uint64), ("private", c_void_p))


class _MemoryHead(ctypes.Structure):
    _fields_ = (("store_id", c_uint64), ("private1", c_uint32))


class Memory(ctypes.Structure):
    """``wasmtime_memory_t``"""

    _fields_ = (("head", _MemoryHead), ("private2", c_uint32))


class Global(ctypes.Structure):
    """``wasmtime_global_t``"""

    _fields_ = (("store_id", c_uint64), ("private", c_uint32 * 3))


class _ExternUnion(ctypes.Union):
    _fields_ = (
        ("function", Function),
        ("global_", Global),
        ("memory", Memory),
        ("padding", c_uint64 * 3),
    )
    function: Function
    global_: Global
    memory: Memory


class Extern(ctypes.Structure):
    """``wasmtime_extern_t``"""

    _fields_ = (("kind", c_uint8), ("of", _ExternUnion))
    kind: int
    of: _ExternUnion


class Instance(ctypes.Structure):
    """``wasmtime_instance_t``"""

    _fields_ = (("store_id", c_uint64), ("private", c_size_t))


class ByteVector(ctypes.Structure):
    """``wasm_byte_vec_t``"""

    _fields_ = (("size", c_size_t), ("data", c_void_p))
    size: int
    data: int | None


_P = c_void_p

# name -> (result, arguments). These run guest code or take long: they let go
# of the interpreter lock.
_RELEASING: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "wasmtime_module_validate": (_P, (_P, ctypes.c_char_p, c_size_t)),
    "wasmtime_module_new": (_P, (_P, ctypes.c_char_p, c_size_t, POINTER(_P))),
    "wasmtime_module_serialize": (_P, (_P, _P)),
    "wasmtime_module_deserialize": (_P, (_P, ctypes.c_char_p, c_size_t, POINTER(_P))),
    "wasmtime_instance_new": (_P, (_P, _P, _P, c_size_t, _P, POINTER(_P))),
    "wasmtime_func_call": (_P, (_P, _P, _P, c_size_t, _P, c_size_t, _P)),
}

# These take less time than letting go of the interpreter lock would.
_HOLDING: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "wasm_config_new": (_P, ()),
    "wasm_engine_new_with_config": (_P, (_P,)),
    "wasmtime_config_max_wasm_stack_set": (None, (_P, c_size_t)),
    "wasmtime_engine_increment_epoch": (None, (_P,)),
    "wasmtime_module_delete": (None, (_P,)),
    "wasmtime_store_new": (_P, (_P, _P, _P)),
    "wasmtime_store_delete": (None, (_P,)),
    "wasmtime_store_context": (_P, (_P,)),
    "wasmtime_store_limiter": (None, (_P, c_int64, c_int64, c_int64, c_int64, c_int64)),
    "wasmtime_global_get": (None, (_P, _P, _P)),
    "wasmtime_global_set": (_P, (_P, _P, _P)),
    "wasmtime_context_set_epoch_deadline": (None, (_P, c_uint64)),
    "wasmtime_instance_export_get": (c_bool, (_P, _P, ctypes.c_char_p, c_size_t, _P)),
    "wasmtime_memory_data": (_P, (_P, _P)),
    "wasmtime_memory_data_size": (c_size_t, (_P, _P)),
    "wasm_functype_new": (_P, (_P, _P)),
    "wasm_functype_delete": (None, (_P,)),
    "wasmtime_func_new_unchecked": (None, (_P, _P, _P, _P, _P, _P)),
    "wasmtime_trap_new": (_P, (ctypes.c_char_p, c_size_t)),
    "wasmtime_trap_code": (c_bool, (_P, _P)),
    "wasm_trap_message": (None, (_P, _P)),
    "wasm_trap_delete": (None, (_P,)),
    "wasmtime_error_message": (None, (_P, _P)),
    "wasmtime_error_delete": (None, (_P,)),
    "wasm_byte_vec_delete": (None, (_P,)),
}


def library_path() -> str | None:
    """Where the installed ``wasmtime`` package keeps its shared library, or None.

    Does not import the package.
    """
    machine = os.uname().machine
    machine = {"AMD64": "x86_64", "arm64": "aarch64"}.get(machine, machine)
    name = "_libwasmtime.dylib" if sys.platform == "darwin" else "_libwasmtime.so"
    for folder in package_folders("wasmtime"):
        path = f"{folder}/{sys.platform}-{machine}/{name}"
        return path if os.path.isfile(path) else None
    return None


class CApi:
    """The functions of the C API that the backend uses, as attributes."""

    def __init__(self, path: str) -> None:
        releasing, holding = ctypes.CDLL(path), ctypes.PyDLL(path)
        for name, (result, arguments) in _RELEASING.items():
            self._add(releasing, name, result, arguments)
        for name, (result, arguments) in _HOLDING.items():
            self._add(holding, name, result, arguments)
        # Without declared arguments a call takes half of the time; those of this
        # one are made once, by whoever calls.
        self._add(releasing, "wasmtime_func_call_unchecked", _P, None)
        for setting in BOOLEAN_SETTINGS:
            self._add(holding, f"wasmtime_config_{setting}_set", None, (_P, c_bool))

    def _add(self, library: ctypes.CDLL, name: str, result: Any, arguments: Any) -> None:
        function = library[name]
        function.restype = result
        function.argtypes = arguments
        setattr(self, name, function)

    def __getattr__(self, name: str) -> ctypes._FuncPointer:
        raise AttributeError(name)

    def take_error(self, error: int) -> str:
        """The text of a ``wasmtime_error_t``, which is freed."""
        return self._take_text(error, self.wasmtime_error_message, self.wasmtime_error_delete)

    def take_trap(self, trap: int) -> tuple[int | None, str]:
        """Code (None if it has none) and text of a ``wasm_trap_t``, which is freed."""
        code = c_uint8()
        has_code = self.wasmtime_trap_code(trap, byref(code))
        text = self._take_text(trap, self.wasm_trap_message, self.wasm_trap_delete)
        return (code.value if has_code else None), text

    def _take_text(
        self, pointer: int, message: ctypes._FuncPointer, delete: ctypes._FuncPointer
    ) -> str:
        vector = ByteVector()
        message(pointer, byref(vector))
        text = self.take_bytes(vector)
        delete(pointer)
        return text.rstrip(b"\0").decode(errors="replace")

    def take_bytes(self, vector: ByteVector) -> bytes:
        """A copy of what a ``wasm_byte_vec_t`` holds, which is freed."""
        data = b""
        if vector.data:
            data = (ctypes.c_char * vector.size).from_address(vector.data).raw
        self.wasm_byte_vec_delete(byref(vector))
        return data


@cache
def load() -> CApi:
    """The C API of the installed package, loaded once.

    Raises:
        OSError: the library is missing or cannot be loaded.
    """
    path = library_path()
    if path is None:
        raise OSError("the wasmtime package has no shared library for this platform")
    return CApi(path)
