"""What a case is: data, no code. ``reader`` makes cases from files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from sen_host import Limits
from sen_host.backend import Capability

ANY = "any"
"""An expected figure that may be anything, because no rule fixes it."""


ASKED = "asked"
"""Grants that a plugin is given what its manifest asks for."""

TEST: Literal["test"] = "test"
WASI: Literal["wasi"] = "wasi"
"""What a module can be offered to import: the suite's own functions, or those of WASI."""


class File(NamedTuple):
    """A file that is there when a case begins.

    Attributes:
        path: relative, with ``/``.
        kind: what ``content`` is: a text, hexadecimal digits, where a link leads, or
            nothing for an empty folder.
    """

    path: str
    kind: Literal["text", "hex", "link", "folder"]
    content: str


@dataclass(frozen=True)
class World:
    """What the host offers to a module.

    Attributes:
        functions: TEST or WASI; the rest is for WASI.
        files: in the working directory.
        environ: variables of the environment, name and value.
        stdin: the standard input.
    """

    functions: Literal["test", "wasi"]
    files: tuple[File, ...] = ()
    environ: tuple[tuple[str, str], ...] = ()
    stdin: str = ""


@dataclass(frozen=True)
class Fixture:
    """The module that a case runs.

    Attributes:
        name: of the fixture, or of one of the plugins that come with sen-host.
        binary: path of the binary module.
        text: path of its source, if that is in the text format.
        is_plugin: whether it is loaded as a plugin; if not, its exports are called.
    """

    name: str
    binary: Path
    text: Path | None
    is_plugin: bool


@dataclass(frozen=True)
class Step:
    """One thing to do with the fixture, and what must come of it.

    Attributes:
        do: what to do, a key of ``reader.STEPS``.
        arguments: how, by name.
        expect: what must be seen: a subset of ``Seen``'s fields.
        thread: "own" to do it in the thread that did all before, "other" in a new
            one, "each" for all instances at the same time, each in a new one; or a
            number of threads that do it at the same time with one instance.
    """

    do: str
    arguments: Mapping[str, Any]
    expect: Mapping[str, Any]
    thread: str | int = "own"

    @property
    def title(self) -> str:
        """What it does, in a line."""
        shown = ", ".join(f"{name}={_short(value)}" for name, value in self.arguments.items())
        threads = "" if self.thread == "own" else f", thread: {self.thread}"
        return f"{self.do}({shown}){threads}"


@dataclass(frozen=True)
class Case:
    """One thing that every backend must do in the same way.

    Attributes:
        area: the folder that it stands in.
        name: unique within its area.
        shows: what it shows, in a sentence.
        rule: the rule that this rests on: a specification, a page of the documentation.
        fixture: the module that it runs.
        limits: under which it runs.
        needs: capabilities without which it must fail.
        instances: how many of the fixture are loaded and take each step in turn.
        steps: the first one loads the fixture.
        source: the file that it stands in.
        world: what the module may import; None for nothing.
    """

    area: str
    name: str
    shows: str
    rule: str
    fixture: Fixture
    limits: Limits
    needs: tuple[Capability, ...]
    instances: int
    steps: tuple[Step, ...]
    source: Path = field(compare=False)
    world: World | None = None

    @property
    def id(self) -> str:
        """``area/name``, unique."""
        return f"{self.area}/{self.name}"

    @property
    def loads(self) -> tuple[object, ...]:
        """What it loads: equal for cases that could share it."""
        return self.fixture, self.limits, self.world


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:40]}... ({len(text)} characters)"
