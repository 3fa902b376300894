"""From bytes to pywasm's description of a module."""

from __future__ import annotations

from io import BytesIO

from pywasm import leb128
from pywasm.core import ModuleDesc

from sen_host.errors import ModuleCompilation


def decode(wasm: bytes) -> ModuleDesc:
    """Decode a module.

    Raises:
        ModuleCompilation: pywasm cannot read it.
    """
    try:
        return ModuleDesc.from_reader(BytesIO(_without_custom_sections(wasm)))
    except RecursionError as error:
        raise ModuleCompilation("pywasm cannot read code that is nested so deep") from error
    except Exception as error:
        raise ModuleCompilation(detail=f"{type(error).__name__}: {error}") from error


def _without_custom_sections(wasm: bytes) -> bytes:
    """pywasm reads the first 32 sections, and without a word none of the others."""
    reader = BytesIO(wasm)
    kept = [reader.read(8)]
    while kind := reader.read(1):
        size, _ = leb128.u.decode_reader(reader)
        content = reader.read(size)
        if kind != b"\0":
            kept += [kind, leb128.u.encode(size), content]
    return b"".join(kept)
