"""How much native stack the calling thread has left, for engines that run on it.

If the thread's own stack ends before the limit that the host gave the guest, the
guest overflows earlier than on another engine; on Wasmtime, which trusts its own
figure, that is a segmentation fault.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading

from sen_host.errors import WrongThread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

SPARE_BYTES = 128 * 1024
"""For the engine's frames around the guest's, and signal handlers."""

HOST_BYTES = 1 << 20
"""What the frames of the host are taken for, where the stack pointer is not known."""

AMPLE_BYTES = 4 << 20
"""With this much more than the guest's stack, the interpreter's recursion limit comes first."""

# Where getcontext stores the stack pointer: ucontext_t of the C libraries.
_POINTER_OFFSETS = {"x86_64": 160, "aarch64": 432}

_known = threading.local()


def check_thread_stack(stack_bytes: int) -> None:
    """Raise WrongThread if this thread has no room left for a guest stack of that size."""
    try:
        size = _known.size
    except AttributeError:
        _known.low, size = _thread_stack()
        _known.size = size
    if size >= stack_bytes + AMPLE_BYTES:
        return
    left = size - HOST_BYTES if _stack_pointer is None else _stack_pointer() - _known.low
    if left < stack_bytes + SPARE_BYTES:
        wanted = -(-(stack_bytes + AMPLE_BYTES) // 65_536) * 65_536
        raise WrongThread(
            f"this thread has {max(left, 0):,} bytes of its stack left, a guest stack of"
            f" {stack_bytes:,} bytes needs {stack_bytes + SPARE_BYTES:,}",
            hint=f"call threading.stack_size({wanted}) before the thread starts, lower"
            " limits.stack_bytes, or use isolation='process'",
        )


def _thread_stack() -> tuple[int, int]:
    """The lowest address of this thread's stack, and its size in bytes."""
    library = ctypes.PyDLL(None)
    library.pthread_self.restype = ctypes.c_void_p
    thread = ctypes.c_void_p(library.pthread_self())
    if sys.platform == "darwin":
        library.pthread_get_stacksize_np.restype = ctypes.c_size_t
        library.pthread_get_stackaddr_np.restype = ctypes.c_size_t
        size = int(library.pthread_get_stacksize_np(thread))
        return int(library.pthread_get_stackaddr_np(thread)) - size, size
    attributes = ctypes.create_string_buffer(128)
    low, length = ctypes.c_void_p(), ctypes.c_size_t()
    if library.pthread_getattr_np(thread, attributes):
        raise WrongThread("the stack of this thread cannot be measured")
    library.pthread_attr_getstack(attributes, ctypes.byref(low), ctypes.byref(length))
    library.pthread_attr_destroy(attributes)
    return low.value or 0, length.value


def _stack_pointer_reader() -> Callable[[], int] | None:
    offset = _POINTER_OFFSETS.get(os.uname().machine)
    if sys.platform != "linux" or offset is None or not _has_glibc():
        return None
    getcontext = ctypes.PyDLL(None).getcontext

    def stack_pointer() -> int:
        context = ctypes.create_string_buffer(8192)
        getcontext(context)
        return int.from_bytes(context.raw[offset : offset + 8], sys.byteorder)

    return stack_pointer


def _has_glibc() -> bool:
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (ValueError, OSError):  # another C library does not know the name
        return False


_stack_pointer = _stack_pointer_reader()
