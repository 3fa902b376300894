"""Build the modules of the benchmark from their sources.

    python -m benchmarks.build                build all that is kept here: the same
                                              sources, the same bytes
    python -m benchmarks.build pipe.wasm      build some of it
    python -m benchmarks.build --check        build aside, and compare with the files here
    python -m benchmarks.build --large        build build/large.wasm, which is not kept here

Exit codes as of plugins/build.py, whose compiler is used.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterable
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
MODULES = HERE / "modules"
ECHO = MODULES / "echo.wasm"
LARGE_ECHO = MODULES / "large_echo.wasm"
EXTISM_ECHO = MODULES / "extism_echo.wasm"
LARGE_EXTISM_ECHO = MODULES / "large_extism_echo.wasm"
PIPE = MODULES / "pipe.wasm"
LARGE_SOURCE = MODULES / "large.zig"
LARGE = HERE.parent / "build" / "large.wasm"

_C = ("-std=c11", "-g0", "-ffreestanding", "-nostdlib", "-fno-sanitize=undefined")
_C_WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Wno-sign-conversion", "-Werror")
_C_LINK = ("-Wl,--no-entry", "-Wl,--strip-all", f"-Wl,-z,stack-size={STACK_BYTES}")
_ZIG = (*WASM_CPU, "-O", "ReleaseSmall", "-fstrip", "-fsingle-threaded")


def build_kernels(target: Path) -> None:
    """Compile all of kernels/*.c into one module. May raise BuildError or ToolchainMissing."""
    sources = sorted(KERNELS.parent.glob("*.c"))
    _build_c(sources, target, "-O2")


def build_pipe(target: Path) -> None:
    """Compile modules/pipe.c. May raise as build_kernels."""
    _build_c([PIPE.with_suffix(".c")], target, "-Os")


def build_zig(target: Path) -> None:
    """Compile modules/NAME.zig, for a target NAME.wasm. May raise as build_kernels."""
    source = _from_plugins(MODULES / f"{target.stem}.zig")
    command = ["build-exe", source, *_ZIG, "-fno-entry", "-rdynamic"]
    _build([*command, "--stack", str(STACK_BYTES)], target, output="-femit-bin=")


KEPT: dict[Path, Callable[[Path], None]] = {
    KERNELS: build_kernels,
    PIPE: build_pipe,
    ECHO: build_zig,
    LARGE_ECHO: build_zig,
    EXTISM_ECHO: build_zig,
    LARGE_EXTISM_ECHO: build_zig,
}
"""The modules that are kept here, and how each is built."""


def build_large() -> Path:
    """build/large.wasm, made anew if its source has changed. May raise as build_kernels."""
    if LARGE.exists() and LARGE.stat().st_mtime >= LARGE_SOURCE.stat().st_mtime:
        return LARGE
    command = ["build-exe", _from_plugins(LARGE_SOURCE), *_ZIG, "-fno-entry", "-rdynamic"]
    LARGE.parent.mkdir(exist_ok=True)
    _build(command, LARGE, output="-femit-bin=")
    return LARGE


def _build_c(sources: list[Path], target: Path, optimize: str) -> None:
    command = ["cc", *WASM_CPU, optimize, *_C, *_C_WARNINGS, *_C_LINK]
    _build([*command, *map(_from_plugins, sources), "-o"], target)


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


def _check(chosen: Iterable[Path]) -> None:
    require_reference_host()
    with tempfile.TemporaryDirectory(prefix="sen-benchmarks-") as directory:
        for kept in chosen:
            built = Path(directory) / kept.name
            KEPT[kept](built)
            if built.read_bytes() != kept.read_bytes():
                raise BuildError(f"{kept.name} is not what its sources give")


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the modules of the benchmark.")
    names = [kept.name for kept in KEPT]
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=", ".join(names))
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--check", action="store_true", help="compare with the files here")
    choice.add_argument("--large", action="store_true", help="build build/large.wasm")
    options = parser.parse_args()
    if unknown := set(options.modules) - set(names):
        parser.error(f"no such module: {', '.join(sorted(unknown))}")
    chosen = [kept for kept in KEPT if kept.name in (options.modules or names)]

    def work() -> None:
        if options.check:
            _check(chosen)
        elif options.large:
            print(f"{build_large()}: {LARGE.stat().st_size:,} bytes")
        else:
            for kept in chosen:
                KEPT[kept](kept)
                print(f"{kept}: {kept.stat().st_size:,} bytes")

    return exit_code(work)


if __name__ == "__main__":
    sys.exit(main())
