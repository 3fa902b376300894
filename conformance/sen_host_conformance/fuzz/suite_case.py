"""From a difference that the fuzzer found to a case of the conformance suite.

What is expected is what the first backend does; which one is right, is for a
person to say before the case is kept.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sen_host.backend import START
from sen_host.errors import SenHostError
from sen_host_conformance.case import Case as SuiteCase
from sen_host_conformance.case import Fixture
from sen_host_conformance.fuzz.arena import LIMITS, STACK_BYTES, Call, Side
from sen_host_conformance.fuzz.case import Case
from sen_host_conformance.hosts import Host
from sen_host_conformance.player import present
from sen_host_conformance.subject import ModuleSubject

_AREA = "fuzz"
_LIMITS = ("memory_bytes", "table_elements")
_TOLD = ("error", "trap", "function")


def write_suite_case(case: Case, side: Side, folder: Path, name: str, tool: str | None) -> Path:
    """Write ``folder/cases/fuzz/NAME.toml``, and the module into ``folder/fixtures``.

    Args:
        side: whose outcomes are expected.
        tool: path of wasm-tools, which makes the module's text; None for none.

    Returns:
        The path of the case. ``sen-host conformance --cases folder/cases`` runs it.
    """
    fixture = f"{_AREA}-{name}"
    binary = folder / "fixtures" / f"{fixture}.wasm"
    binary.parent.mkdir(parents=True, exist_ok=True)
    binary.write_bytes(case.wasm)
    if tool is not None:
        text = str(binary.with_suffix(".wat"))
        subprocess.run([tool, "print", str(binary), "-o", text], check=True)
    path = folder / "cases" / _AREA / f"{name}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(_lines(case, side, binary, name)) + "\n", encoding="utf-8")
    return path


def _lines(case: Case, side: Side, binary: Path, name: str) -> Iterator[str]:
    yield f"# Found by: {case.found.command}"
    yield f"# The backends differed in: {case.found.field}"
    for backend, seen in case.found.seen.items():
        yield f"#   {backend}: {' '.join(seen.split())}"
    yield f"# What is expected here is what {side.name} does. Is it right?"
    yield ""
    yield f"module = {_toml(binary.stem)}"
    yield 'rule = "WebAssembly 2.0, chapter 4; docs/fuel.md"'
    for limit in _LIMITS:
        yield f"limits.{limit} = {getattr(LIMITS, limit)}"
    yield ""
    yield "[[case]]"
    yield f"name = {_toml(name)}"
    yield f"shows = {_toml(f'backends agree in {case.found.field}')}"
    for step in _steps(case, side, binary):
        yield ""
        yield "[[case.step]]"
        yield from (f"{key} = {_toml(value)}" for key, value in step.items())


def _steps(case: Case, side: Side, binary: Path) -> Iterator[dict[str, Any]]:
    binding = side.backend.binding
    host = Host(side.name.partition(":")[0], binding.name, binding.isolation)
    subject = ModuleSubject(_subject_case(binary), host)
    try:
        yield {"do": "load", **_expected(subject, "load", {})}
        for call in case.calls:
            if call.function == START:  # a fresh instance has called it
                continue
            arguments = _arguments(call)
            expected = _expected(subject, "call", arguments)
            yield {"do": "call", **arguments, **expected}
            if "expect.raises.error" in expected:
                yield {"do": "instantiate", **_expected(subject, "instantiate", {})}
    finally:
        subject.close()


def _subject_case(binary: Path) -> SuiteCase:
    fixture = Fixture(binary.stem, binary, None, is_plugin=False)
    return SuiteCase(_AREA, binary.stem, "", "", fixture, LIMITS, (), 1, (), binary)


def _arguments(call: Call) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "function": call.function,
        "args": list(call.arguments),
        "fuel": call.fuel,
    }
    if call.stack != STACK_BYTES:
        arguments["stack"] = call.stack
    return arguments


def _expected(subject: ModuleSubject, step: str, arguments: dict[str, Any]) -> dict[str, Any]:
    try:
        name, outcome = subject.do(step, arguments)
        expected = {f"expect.{name}": outcome}
    except SenHostError as error:
        seen = {"error": type(error).__name__, **vars(error)}
        expected = {
            f"expect.raises.{key}": present(seen[key]) for key in _TOLD if seen.get(key) is not None
        }
    if step == "call":
        used = subject.figures()[0]
        expected["expect.fuel_used"] = "any" if used is None else used
    return expected


def _toml(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
