"""Wasmtime, in process, over the C API that its wheel ships."""

from sen_host_wasmtime.backend import WasmtimeBackend

__all__ = ["WasmtimeBackend"]
