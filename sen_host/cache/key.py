"""The key of an entry: a digest of everything that it depends on."""

from __future__ import annotations

import os
import sys
from functools import lru_cache

import sen_host
from sen_host.limits import FUEL_SCHEDULE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sen_host.backend import Backend
    from sen_host.limits import Limits

try:
    # hashlib would load OpenSSL, which takes longer than to load a plugin.
    from _blake2 import blake2b
except ImportError:  # an interpreter that keeps it elsewhere
    from hashlib import blake2b

_CODE = (".py", ".so", ".dylib")


class NoCode(Exception):
    """What a backend's code is cannot be told, so changes to it would go unnoticed."""


class Keys:
    """Makes the keys of all modules for one backend, one set of limits."""

    def __init__(self, backend: Backend, limits: Limits, accept: frozenset[str]) -> None:
        """``accept`` are the accepted exceptions of the profile.

        Raises:
            NoCode: the backend is defined in an interactive session, say, or within a
                function, which may make another one of the same name.
        """
        binding = backend.binding
        code = _code_of_module(backend.home.partition(":")[0])
        if code is None or "<locals>" in backend.home:
            raise NoCode(backend.home)
        facts = (
            _here(),
            (backend.home, code),
            (backend.name, binding.name, binding.engine, binding.packages),
            # What comes out of a worker goes back into a worker only: who has got out
            # of a sandbox there cannot plant code that this process would run.
            binding.isolation,
            limits.memory_bytes,
            limits.table_elements,
            limits.stack_bytes,
            limits.wall_clock_seconds is not None,
            sorted(accept),
        )
        text = repr(facts).encode("utf-8", "backslashreplace")
        self._base = blake2b(digest_size=32)
        self._base.update(len(text).to_bytes(8, "little") + text)

    def key(self, module: bytes) -> str:
        """The key of a module, given as its author built it: 64 hexadecimal digits."""
        digest = self._base.copy()
        digest.update(module)
        return digest.hexdigest()


@lru_cache(maxsize=1)
def _here() -> tuple[object, ...]:
    """This version of the host, on this machine."""
    home = os.path.dirname(os.path.abspath(sen_host.__file__))
    machine = os.uname()
    return (
        sen_host.__version__,
        FUEL_SCHEDULE,
        _code(home),
        _code(os.path.join(home, "wasm")),
        (machine.sysname, machine.machine, sys.byteorder, sys.maxsize),
        _processor(machine.nodename),
    )


def _processor(otherwise: str) -> str:
    """What the processor can do, which is what compilers generate code for.

    Where the system does not tell, the machine's name stands for it.
    """
    try:
        with open("/proc/cpuinfo", "rb") as file:
            for line in file:
                if line.startswith((b"flags", b"Features")):
                    return line.decode(errors="replace")
    except OSError:
        return otherwise
    return otherwise


@lru_cache(maxsize=16)
def _code_of_module(name: str) -> object:
    """As ``_code``, of the package that a module is in, or of the module itself."""
    module = sys.modules.get(name)
    if module is None:
        from importlib.util import find_spec

        spec = find_spec(name)
    else:
        spec = module.__spec__
    if spec is None or not spec.origin:
        return None
    if spec.parent:
        return _code(os.path.dirname(spec.origin))
    return _code(os.path.dirname(spec.origin), only=os.path.basename(spec.origin))


def _code(folder: str, *, only: str | None = None) -> object:
    """Names, sizes and times of the files of code in a folder.

    An editable installation changes without changing its version.
    """
    try:
        with os.scandir(folder) as found:
            files = [
                (item.name, item.stat().st_size, item.stat().st_mtime_ns)
                for item in found
                if item.name.endswith(_CODE) and only in (None, item.name)
            ]
    except OSError:  # a zip file, whose version has to do
        return None
    return sorted(files)
