#!/usr/bin/env python3
"""Build the plugins in this directory: the same sources give the same bytes.

    python plugins/build.py                 build all: plugins/NAME/NAME.wasm
    python plugins/build.py echo wordcount  build some
    python plugins/build.py --check         build aside, compare with these files
    python plugins/build.py --install       fetch a missing toolchain first

Exit codes: 0 done, 1 a build failed or --check found a difference, 2 wrong usage,
3 a toolchain is missing (stderr says which, and the command that gets it) or
--check is asked of a machine unlike the one that made the committed files.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent

RUST_PLUGINS = ("hello", "greet", "fetch")
C_PLUGINS = ("chello", "wordcount")
ZIG_PLUGINS = ("echo",)
RUST_WASI_PLUGINS = ("survey",)
ZIG_WASI_PLUGINS = ("probe",)
PLUGINS = RUST_PLUGINS + C_PLUGINS + ZIG_PLUGINS + RUST_WASI_PLUGINS + ZIG_WASI_PLUGINS

REFERENCE_HOST = "x86_64 Linux"

# The toolchains that made the committed bytes. Rust is that of Debian 12, with
# the crates that Debian packages.
ZIG_VERSION = "0.15.2"
ZIG_HOME = HERE / ".toolchain"
RUSTC_VERSION = "1.63.0"
RUST_LLVM_VERSION = "14.0.6"
RUSTC = Path("/usr/bin/rustc")
CARGO = Path("/usr/bin/cargo")
WASM_LD = Path("/usr/bin/wasm-ld")
RUST_STD = Path("/usr/lib/rustlib")
RUST_TARGET = "wasm32-unknown-unknown"
RUST_WASI_TARGET = "wasm32-wasi"
CRATES = Path("/usr/share/cargo/registry")
DEBIAN_PACKAGES = (
    "rustc",
    "cargo",
    "libstd-rust-dev-wasm32",
    "lld",
    "librust-serde-dev",
    "librust-serde-derive-dev",
    "librust-rmp-serde-dev",
)

# Plain WebAssembly, and memory.copy: what every engine of the last years runs.
WASM_CPU = ("-target", "wasm32-freestanding", "-mcpu=mvp+bulk_memory")
WASI_CPU = ("-target", "wasm32-wasi", "-mcpu=mvp+bulk_memory")
ZIG_OPTIONS = ("-O", "ReleaseSmall", "-fstrip", "-fsingle-threaded")
STACK_BYTES = 16 * 1024
WASI_STACK_BYTES = 64 * 1024  # paths are put together on the stack

EXIT_FAILED = 1
EXIT_NO_TOOLCHAIN = 3


class BuildError(Exception):
    """A compiler refused, or the bytes differ."""


class WrongHost(Exception):
    """This machine's compilers may rightly give other bytes."""


class ToolchainMissing(Exception):
    """What is missing, and the command that gets it."""

    def __init__(self, what: str, command: list[str]) -> None:
        super().__init__(f"{what}; to get it: {shlex.join(command)}")
        self.command = command


def exit_code(work: Callable[[], None]) -> int:
    """Do the work; what fails goes to stderr and gives its code."""
    try:
        work()
    except (ToolchainMissing, WrongHost) as missing:
        print(missing, file=sys.stderr)
        return EXIT_NO_TOOLCHAIN
    except BuildError as failure:
        print(failure, file=sys.stderr)
        return EXIT_FAILED
    return 0


def require_reference_host() -> None:
    """Only there the bytes are those of the committed files."""
    host = f"{platform.machine()} {platform.system()}"
    if host != REFERENCE_HOST:
        raise WrongHost(
            f"--check needs {REFERENCE_HOST}, as the committed files do; this is {host}"
        )


def run(command: list[str], *, cwd: Path, env: dict[str, str]) -> None:
    done = subprocess.run(
        command, cwd=cwd, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if done.returncode != 0:
        raise BuildError(f"{shlex.join(command)}\n{done.stdout.rstrip()}")


def answer(command: list[str], env: dict[str, str] | None = None) -> str:
    """What a command prints; nothing if there is no such command."""
    try:
        return subprocess.run(command, env=env, capture_output=True, text=True).stdout
    except OSError:
        return ""


def zig_environment() -> dict[str, str]:
    own = os.pathsep.join(filter(None, [str(ZIG_HOME), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": own}


def require_zig() -> None:
    found = answer([sys.executable, "-m", "ziglang", "version"], zig_environment()).strip()
    if found != ZIG_VERSION:
        raise ToolchainMissing(
            f"Zig {ZIG_VERSION} (the ziglang wheel) is needed, {found or 'none'} found",
            [
                *(sys.executable, "-m", "pip", "install", "--upgrade"),
                *("--target", str(ZIG_HOME), f"ziglang=={ZIG_VERSION}"),
            ],
        )


def require_rust() -> None:
    """Debian's own files, whatever else is called rustc on the PATH."""
    wanted = {
        f"rustc {RUSTC_VERSION}": f"release: {RUSTC_VERSION}\n" in answer([str(RUSTC), "-vV"]),
        f"LLVM {RUST_LLVM_VERSION}": f": {RUST_LLVM_VERSION}\n" in answer([str(RUSTC), "-vV"]),
        "cargo": CARGO.exists(),
        f"wasm-ld {RUST_LLVM_VERSION}": RUST_LLVM_VERSION in answer([str(WASM_LD), "--version"]),
        "the wasm32 standard libraries": all(
            (RUST_STD / target).is_dir() for target in (RUST_TARGET, RUST_WASI_TARGET)
        ),
    }
    lock = (HERE / "Cargo.lock").read_text(encoding="utf-8")
    crates = re.findall(r'name = "(.+)"\nversion = "(.+)"\nsource = ', lock)
    wanted |= {f"crate {n} {v}": (CRATES / f"{n}-{v}").is_dir() for n, v in crates}
    missing = [name for name, there in wanted.items() if not there]
    if missing:
        as_root = [] if os.geteuid() == 0 else ["sudo"]
        raise ToolchainMissing(
            f"Rust as Debian 12 packages it is needed, missing: {', '.join(missing)}",
            [*as_root, "apt-get", "install", "-y", "--no-install-recommends", *DEBIAN_PACKAGES],
        )


def build_rust(names: list[str], out: Path, scratch: Path, target: str = RUST_TARGET) -> None:
    # A home, a PATH and a working directory of its own: no settings of the
    # user's, and no rustup, have a say.
    env = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(scratch),
        "CARGO_HOME": str(scratch / "cargo-home"),
        "RUSTC": str(RUSTC),
        "CARGO_ENCODED_RUSTFLAGS": "\x1f".join(
            [
                f"-Clinker={WASM_LD}",
                f"--remap-path-prefix={HERE}=plugins",
                f"--remap-path-prefix={CRATES}=crates",
            ]
        ),
    }
    built_in = scratch / "target"
    command = [str(CARGO), "build", "--release", "--locked", "--offline", "--quiet"]
    command += ["--manifest-path", str(HERE / "Cargo.toml"), "--target-dir", str(built_in)]
    command += ["--target", target]
    command += ["--config", 'source.crates-io.replace-with="debian"']
    command += ["--config", f'source.debian.directory="{CRATES}"']
    for name in names:
        command += ["--package", name]
    run(command, cwd=scratch, env=env)
    for name in names:
        built = built_in / target / "release" / f"{name}.wasm"
        (out / built.name).write_bytes(built.read_bytes())


def build_rust_wasi(names: list[str], out: Path, scratch: Path) -> None:
    build_rust(names, out, scratch, RUST_WASI_TARGET)


def run_zig(arguments: list[str], scratch: Path) -> None:
    caches = {f"ZIG_{kind}_CACHE_DIR": str(scratch / "zig") for kind in ("GLOBAL", "LOCAL")}
    command = [sys.executable, "-m", "ziglang", *arguments]
    run(command, cwd=HERE, env=zig_environment() | caches)


def build_c(names: list[str], out: Path, scratch: Path) -> None:
    guest = [f"guest-c/{part}.c" for part in ("memory", "read", "write")]
    for name in names:
        command = ["cc", *WASM_CPU, "-std=c11", "-Os", "-flto", "-g0", "-ffreestanding"]
        command += ["-nostdlib", "-fno-sanitize=undefined", "-Iguest-c"]
        command += ["-Wall", "-Wextra", "-Wconversion", "-Wno-sign-conversion", "-Werror"]
        command += ["-Wl,--no-entry", "-Wl,--strip-all", f"-Wl,-z,stack-size={STACK_BYTES}"]
        run_zig([*command, f"{name}/{name}.c", *guest, "-o", str(out / f"{name}.wasm")], scratch)


def build_zig(names: list[str], out: Path, scratch: Path) -> None:
    for name in names:
        command = ["build-exe", f"{name}/{name}.zig", *WASM_CPU, *ZIG_OPTIONS]
        command += ["-flto", "-fno-entry", "-rdynamic", "-fno-compiler-rt"]
        run_zig([*command, "--stack", str(STACK_BYTES), f"-femit-bin={out / name}.wasm"], scratch)


def build_zig_wasi(names: list[str], out: Path, scratch: Path) -> None:
    for name in names:
        # Target and options are those of the module that follows.
        command = ["build-exe", *WASI_CPU, *ZIG_OPTIONS, "--dep", "msgpack"]
        command += [f"-Mroot={name}/{name}.zig", "-Mmsgpack=echo/msgpack.zig"]
        command += ["-flto", "-fno-entry", "-rdynamic", "--stack", str(WASI_STACK_BYTES)]
        run_zig([*command, f"-femit-bin={out / name}.wasm"], scratch)


Builder = Callable[[list[str], Path, Path], None]
GROUPS: tuple[tuple[str, tuple[str, ...], Callable[[], None], Builder], ...] = (
    ("Rust", RUST_PLUGINS, require_rust, build_rust),
    ("C", C_PLUGINS, require_zig, build_c),
    ("Zig", ZIG_PLUGINS, require_zig, build_zig),
    ("Rust with WASI", RUST_WASI_PLUGINS, require_rust, build_rust_wasi),
    ("Zig with WASI", ZIG_WASI_PLUGINS, require_zig, build_zig_wasi),
)


def require(check: Callable[[], None], *, install: bool) -> None:
    try:
        check()
    except ToolchainMissing as missing:
        if not install:
            raise
        print(f"+ {shlex.join(missing.command)}", flush=True)
        if subprocess.run(missing.command).returncode != 0:
            raise BuildError(f"could not install: {missing}") from None
        check()


def deliver(built: Path, *, check: bool) -> str:
    """Put a built file in its place, or compare it; says what became of it."""
    data = built.read_bytes()
    place = HERE / built.stem / built.name
    before = place.read_bytes() if place.exists() else None
    if data == before:
        return "unchanged"
    if check:
        size = "is not there" if before is None else f"has {len(before):,} other bytes"
        raise BuildError(f"{built.name}: built {len(data):,} bytes, {place} {size}")
    new = place.with_suffix(".new")
    new.write_bytes(data)
    new.replace(place)
    return "new" if before is None else "changed"


def build(wanted: list[str], *, check: bool, install: bool) -> None:
    if check:
        require_reference_host()
    for language, plugins, requirement, builder in GROUPS:
        names = [name for name in plugins if name in wanted]
        if not names:
            continue
        require(requirement, install=install)
        print(f"{language}: building {', '.join(names)}", flush=True)
        with tempfile.TemporaryDirectory(prefix="sen-plugins-") as directory:
            scratch = Path(directory)
            out = scratch / "out"
            out.mkdir()
            builder(names, out, scratch)
            for name in names:
                built = out / f"{name}.wasm"
                size = built.stat().st_size
                print(f"  {name:<10} {size:>8,} bytes  {deliver(built, check=check)}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the plugins in this directory.")
    parser.add_argument("plugins", nargs="*", metavar="PLUGIN", help=f"{', '.join(PLUGINS)}")
    parser.add_argument(
        "--check", action="store_true", help="build aside and compare with the files here"
    )
    parser.add_argument("--install", action="store_true", help="fetch a missing toolchain")
    options = parser.parse_args()
    unknown = sorted(set(options.plugins) - set(PLUGINS))
    if unknown:
        parser.error(f"no such plugin: {', '.join(unknown)}; there are {', '.join(PLUGINS)}")
    wanted = options.plugins or list(PLUGINS)
    return exit_code(lambda: build(wanted, check=options.check, install=options.install))


if __name__ == "__main__":
    sys.exit(main())
