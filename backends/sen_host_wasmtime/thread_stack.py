"""How much native stack the calling thread has.

Wasmtime counts ``max_wasm_stack`` from where a call starts. If the thread's
own stack ends earlier, an overflow is a segmentation fault, not a trap.
"""

from __future__ import annotations

import ctypes
import sys
import threading

from sen_host.errors import WrongThread

SPARE_BYTES = 192 * 1024
"""For the frames of Python and of the engine around the guest's own."""

_known = threading.local()


def check_thread_stack(stack_bytes: int) -> None:
    """Raise WrongThread if this thread cannot hold a guest stack of that size."""
    size: int | None = getattr(_known, "size", None)
    if size is None:
        size = _known.size = _thread_stack_bytes()
    if size < stack_bytes + SPARE_BYTES:
        raise WrongThread(
            f"this thread has a stack of {size:,} bytes, a guest stack of {stack_bytes:,} bytes"
            f" needs {stack_bytes + SPARE_BYTES:,}",
            hint=f"call threading.stack_size({_rounded(stack_bytes + SPARE_BYTES)}) before the"
            " thread starts, lower limits.stack_bytes, or use isolation='process'",
        )


def _rounded(size: int) -> int:
    return -(-size // 65_536) * 65_536


def _thread_stack_bytes() -> int:
    library = ctypes.PyDLL(None)
    if sys.platform == "darwin":
        library.pthread_self.restype = ctypes.c_void_p
        library.pthread_get_stacksize_np.restype = ctypes.c_size_t
        library.pthread_get_stacksize_np.argtypes = (ctypes.c_void_p,)
        return int(library.pthread_get_stacksize_np(library.pthread_self()))
    library.pthread_self.restype = ctypes.c_void_p
    attributes = ctypes.create_string_buffer(128)
    low, size = ctypes.c_void_p(), ctypes.c_size_t()
    failed = library.pthread_getattr_np(ctypes.c_void_p(library.pthread_self()), attributes)
    if failed:
        raise WrongThread("the stack of this thread cannot be measured")
    library.pthread_attr_getstack(attributes, ctypes.byref(low), ctypes.byref(size))
    library.pthread_attr_destroy(attributes)
    return size.value
