"""A module and calls on which backends differed: kept as a file, run again from it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from sen_host.backend import START, FuncType
from sen_host.wasm.reader import parse
from sen_host_conformance.fuzz.arena import (
    COMPLETED,
    START_TYPE,
    Arena,
    Call,
    Difference,
    Outcome,
)

_FORMAT = 1


@dataclass(frozen=True)
class Found:
    """Where a case comes from.

    Attributes:
        command: what makes the module again from which the case was shrunk.
        field: in what the backends differed.
        seen: what each backend came to.
    """

    command: str
    field: str
    seen: dict[str, str]


@dataclass(frozen=True)
class Case:
    """A module, and calls on one fresh instance of it.

    Attributes:
        known: by the beginning of an engine's name and version, why it is known to
            differ: a fault of that engine which the host does not mend.
        refused: the exception of the profile that keeps such modules out since; a
            replay of them ends with LeftOut.
    """

    wasm: bytes
    calls: tuple[Call, ...]
    found: Found
    known: dict[str, str] = field(default_factory=dict)
    refused: str | None = None

    def reasons(self, engines: Iterable[str]) -> list[str]:
        """Why these engines, such as ``Wasmer 2.1``, are known to differ."""
        return [
            f"{engine}: {reason}"
            for engine in engines
            for name, reason in self.known.items()
            if engine.startswith(name)
        ]

    def write(self, path: Path, wasm_tools: str | None) -> None:
        """Write ``path`` (JSON), the module beside it, and its text if there is a tool for it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        binary = path.with_suffix(".wasm")
        binary.write_bytes(self.wasm)
        calls = [call._asdict() for call in self.calls]
        content: dict[str, object] = {
            "format": _FORMAT,
            "calls": calls,
            "found": asdict(self.found),
        }
        if self.known:
            content["known"] = self.known
        if self.refused is not None:
            content["refused"] = self.refused
        path.write_text(json.dumps(content, indent=2) + "\n")
        if wasm_tools is not None:
            text = str(path.with_suffix(".wat"))
            subprocess.run([wasm_tools, "print", str(binary), "-o", text], check=True)

    @classmethod
    def read(cls, path: Path) -> Case:
        """Read what ``write`` has written.

        Raises:
            OSError: a file is not there.
            ValueError: it is not a case.
        """
        content = json.loads(path.read_text())
        if not isinstance(content, dict) or content.get("format") != _FORMAT:
            raise ValueError(f"{path} is not a case of format {_FORMAT}")
        calls = tuple(
            Call(item["function"], tuple(item["arguments"]), item["fuel"], item["stack"])
            for item in content["calls"]
        )
        return cls(
            path.with_suffix(".wasm").read_bytes(),
            calls,
            Found(**content["found"]),
            content.get("known", {}),
            content.get("refused"),
        )


def replay(arena: Arena, wasm: bytes, calls: Sequence[Call]) -> list[Outcome]:
    """Make calls on fresh instances.

    Returns:
        What all backends saw of each call; nothing if no instance can be made.

    Raises:
        Difference: backends differ.
        LeftOut: the module cannot serve.
    """
    arena.enter(wasm)
    module = parse(wasm)
    types: dict[str, FuncType] = {START: START_TYPE}
    for item in module.exports:
        type = module.type_of(item)
        if isinstance(type, FuncType):
            types[item.name] = type
    if arena.start_over() != COMPLETED:
        return []
    outcomes = []
    for call in calls:
        if arena.lost:
            arena.start_over()
        outcomes.append(arena.call(call, types[call.function]))
    return outcomes


def difference(arena: Arena, wasm: bytes, calls: Sequence[Call]) -> Difference | None:
    """The difference that these calls come to, if any.

    Raises:
        LeftOut: the module cannot serve.
    """
    try:
        replay(arena, wasm, calls)
    except Difference as found:
        return found
    return None
