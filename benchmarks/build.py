"""Build the modules of the benchmark from their sources.

    python -m benchmarks.build            build kernels.wasm: the same sources, the same bytes
    python -m benchmarks.build --check    build aside, and compare with the file here
    python -m benchmarks.build --large    build build/large.wasm, which is not kept here

Exit codes as of plugins/build.py, whose compiler is used.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from plugins.build import HERE as PLUGINS
from plugins.build import (
    STACK_BYTES,
    WASM_CPU,
    BuildError,
    exit_code,
    require_reference_host,
    require_zig,
    run_zig,
)

HERE = Path(__file__).resolve().parent
KERNELS = HERE / "kernels" / "kernels.wasm"
LARGE_SOURCE = HERE / "large.zig"
LARGE = HERE.parent / "build" / "large.wasm"


def build_kernels(target: Path) -> None:
    """Compile all of kernels/*.c into one module. May raise BuildError or ToolchainMissing."""
    command = ["cc", *WASM_CPU, "-std=c11", "-O2", "-g0", "-ffreestanding", "-nostdlib"]
    command += ["-fno-sanitize=undefined"]
    command += ["-Wall", "-Wextra", "-Wconversion", "-Wno-sign-conversion", "-Werror"]
    command += ["-Wl,--no-entry", "-Wl,--strip-all", f"-Wl,-z,stack-size={STACK_BYTES}"]
    sources = sorted(KERNELS.parent.glob("*.c"))
    _build([*command, *map(_from_plugins, sources), "-o"], target)


def build_large() -> Path:
    """build/large.wasm, made anew if its source has changed. May raise as build_kernels."""
    if LARGE.exists() and LARGE.stat().st_mtime >= LARGE_SOURCE.stat().st_mtime:
        return LARGE
    command = ["build-exe", _from_plugins(LARGE_SOURCE), *WASM_CPU, "-O", "ReleaseSmall"]
    command += ["-fstrip", "-fsingle-threaded", "-fno-entry", "-rdynamic"]
    LARGE.parent.mkdir(exist_ok=True)
    _build(command, LARGE, output="-femit-bin=")
    return LARGE


def _build(command: list[str], target: Path, *, output: str = "") -> None:
    require_zig()
    with tempfile.TemporaryDirectory(prefix="sen-benchmarks-") as directory:
        built = Path(directory) / target.name
        run_zig([*command, f"{output}{built}"], Path(directory))
        new = target.with_suffix(".new")
        new.write_bytes(built.read_bytes())
        new.replace(target)


def _from_plugins(source: Path) -> str:
    """The path as the compiler is given it: the same wherever this folder is."""
    return os.path.relpath(source, PLUGINS)


def _check() -> None:
    require_reference_host()
    with tempfile.TemporaryDirectory(prefix="sen-benchmarks-") as directory:
        built = Path(directory) / KERNELS.name
        build_kernels(built)
        if built.read_bytes() != KERNELS.read_bytes():
            raise BuildError(f"{KERNELS.name} is not what its sources give")


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the modules of the benchmark.")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--check", action="store_true", help="compare with the file here")
    choice.add_argument("--large", action="store_true", help="build build/large.wasm")
    options = parser.parse_args()

    def work() -> None:
        if options.check:
            _check()
        elif options.large:
            print(f"{build_large()}: {LARGE.stat().st_size:,} bytes")
        else:
            build_kernels(KERNELS)
            print(f"{KERNELS}: {KERNELS.stat().st_size:,} bytes")

    return exit_code(work)


if __name__ == "__main__":
    sys.exit(main())
