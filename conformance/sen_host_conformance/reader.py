"""Cases from TOML files, checked as they are read. docs/conformance.md has the format."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from sen_host import Limits, errors
from sen_host.backend import Capability
from sen_host.errors import CallerFault, InvalidLimit, SenHostError
from sen_host_conformance.case import ANY, TEST, WASI, Case, File, Fixture, Step, World
from sen_host_conformance.fixtures import CASES, find_fixture
from sen_host_conformance.offered import RAISED, TRACES

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

NONE = "none"
"""In a file, what Python calls None."""


class CaseError(Exception):
    """A case file is wrong; the text names the file, the case, the fault and the remedy."""


@dataclass(frozen=True)
class _StepForm:
    """What a step needs, what it may have besides, and what may come of it."""

    needs: tuple[str, ...] = ()
    may: tuple[str, ...] = ()
    outcome: str = "done"
    enters_guest: bool = False


PLUGIN_STEPS: Mapping[str, _StepForm] = {
    "load": _StepForm(outcome="manifest"),
    "grant": _StepForm(("capabilities",)),
    "execute": _StepForm(("args",), outcome="result", enters_guest=True),
    "resume": _StepForm(("effect_id", "result"), outcome="result", enters_guest=True),
    "close": _StepForm(),
}
MODULE_STEPS: Mapping[str, _StepForm] = {
    "load": _StepForm(),
    "instantiate": _StepForm(),
    "call": _StepForm(
        ("function",), ("args", "fuel", "stack"), outcome="returns", enters_guest=True
    ),
    "exchange": _StepForm(
        ("function",), ("payload", "effect_id"), outcome="bytes", enters_guest=True
    ),
    "read": _StepForm(("at", "length"), outcome="bytes"),
    "write": _StepForm(("at", "bytes")),
    "close": _StepForm(),
}
"""What can be done with a fixture, by what it is loaded as."""

_FIGURES = ("fuel_used", "fuel_left", "memory_bytes")
_SHARED_KEYS = ("rule", "limits", "needs", "plugin", "module", "functions", "world")
_CASE_KEYS = ("name", "shows", "instances", "step", *_SHARED_KEYS)
_WORLD_KEYS = ("files", "environ", "stdin")
_REPEAT_KEYS = ("repeat", "times", "before", "after")
_HEX_ARGUMENTS = ("payload", "bytes")
_ARGUMENTS = {
    "args": list,
    "function": str,
    "at": int,
    "length": int,
    "fuel": int,
    "stack": int,
}
_LONGEST_REPEAT = 64 << 20


def read_cases(folder: Path = CASES) -> tuple[Case, ...]:
    """All cases below a folder: ``AREA/*.toml``, with ``../fixtures`` or ``fixtures`` beside.

    Raises:
        CaseError: a file is no case file, or two cases have one id.
        OSError: a file cannot be read.
    """
    if not folder.is_dir():
        raise CaseError(f"{folder} is not a folder; it must hold AREA/*.toml")
    found: dict[str, Case] = {}
    for path in sorted(folder.glob("*/*.toml")):
        for case in read_file(path):
            if case.id in found:
                raise CaseError(f"{path}: the case {case.id!r} is in {found[case.id].source} too")
            found[case.id] = case
    if not found:
        raise CaseError(f"{folder} holds no cases; they stand in AREA/*.toml")
    return tuple(found.values())


def read_file(path: Path, text: str | None = None) -> tuple[Case, ...]:
    """The cases of one file; its folder is their area.

    Args:
        text: read this in place of what the file holds.

    Raises:
        CaseError
        OSError
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8") if text is None else text)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CaseError(f"{path}: {error}") from error
    _check_keys(f"{path}", content, (*_SHARED_KEYS, "case"))
    tables = content.pop("case", None)
    if not isinstance(tables, list) or not tables:
        raise CaseError(f"{path}: it needs at least one [[case]]")
    return tuple(_Reader(path, content).case(number, table) for number, table in enumerate(tables))


class _Reader:
    def __init__(self, path: Path, shared: Mapping[str, Any]) -> None:
        self._path = path
        self._shared = shared
        self._where = str(path)

    def case(self, number: int, table: Any) -> Case:
        self._where = f"{self._path}: case {number + 1}"
        self._check(isinstance(table, dict), "it is not a table")
        name = self._text(table, "name")
        self._where = f"{self._path}: case {name!r}"
        _check_keys(self._where, table, _CASE_KEYS)
        table = {**self._shared, **table}
        if "limits" in self._shared:
            both = isinstance(self._shared["limits"], dict) and isinstance(table["limits"], dict)
            self._check(both, "limits must be a table")
            table["limits"] = {**self._shared["limits"], **table["limits"]}
        fixture = self._fixture(table)
        world = self._world(table)
        limits = self._limits(table.get("limits", {}))
        steps = table.get("step")
        self._check(isinstance(steps, list) and bool(steps), "it has no [[case.step]]")
        instances = table.get("instances", 1)
        self._check(_is_count(instances), "instances must be 1 or more")
        read = tuple(
            self._step(step, position, fixture, world) for position, step in enumerate(steps)
        )
        for step in read[:-1]:
            refused = step.do == "load" and "raises" in step.expect
            self._check(not refused, "a load that is refused must be the last step")
        at_once = any(step.thread == "each" for step in read)
        self._check(not at_once or instances > 1, "thread = 'each' needs more instances than one")
        if read[0].do != "load":
            read = (Step("load", {}, {"done": True}), *read)
        return Case(
            area=self._path.parent.name,
            name=name,
            shows=self._text(table, "shows"),
            rule=self._text(table, "rule"),
            fixture=fixture,
            limits=limits,
            needs=tuple(self._needs(table.get("needs", []))),
            instances=instances,
            steps=read,
            source=self._path,
            world=world,
        )

    def _fixture(self, table: Mapping[str, Any]) -> Fixture:
        kinds = [kind for kind in ("plugin", "module") if kind in table]
        self._check(len(kinds) == 1, "it needs either a plugin or a module")
        name = self._text(table, kinds[0])
        try:
            binary, text = find_fixture(name, self._path.parent.parent)
        except FileNotFoundError as error:
            raise CaseError(f"{self._where}: {error}") from error
        return Fixture(name, binary, text, is_plugin=kinds == ["plugin"])

    def _world(self, table: Mapping[str, Any]) -> World | None:
        functions = table.get("functions")
        self._check("world" not in table or functions == WASI, "a world needs functions = 'wasi'")
        if functions is None:
            return None
        self._check(functions in (TEST, WASI), f"functions must be {TEST!r} or {WASI!r}")
        content = self._expand(table.get("world", {}))
        self._check(isinstance(content, dict), "world must be a table")
        _check_keys(f"{self._where}: world", content, _WORLD_KEYS)
        files, environ, stdin = (content.get(key, {}) for key in _WORLD_KEYS)
        self._check(isinstance(files, dict), "world.files must be a table")
        texts = isinstance(environ, dict) and all(
            isinstance(item, str) for item in environ.values()
        )
        self._check(texts, "world.environ must be a table of texts")
        self._check(not stdin or isinstance(stdin, str), "world.stdin must be a text")
        return World(
            functions,
            tuple(self._file(path, value) for path, value in files.items()),
            tuple(environ.items()),
            stdin or "",
        )

    def _file(self, path: str, value: Any) -> File:
        where = f"world.files: {path!r}"
        inside = not path.startswith("/") and ".." not in path.split("/")
        self._check(inside, f"{where} must be a path below the working directory")
        if path.endswith("/"):
            self._check(value == "", f"{where} is a folder: its content must be ''")
            return File(path, "folder", "")
        if isinstance(value, str):
            return File(path, "text", value)
        known = isinstance(value, dict) and list(value) in (["link"], ["hex"])
        self._check(known, f"{where} must be a text, or a table with link or hex")
        ((kind, content),) = value.items()
        self._check(isinstance(content, str), f"{where}: {kind} must be a text")
        if kind == "hex":
            self._bytes(where, content)
        return File(path, kind, content)

    def _limits(self, table: Any) -> Limits:
        self._check(isinstance(table, dict), "limits must be a table")
        names = tuple(Limits.__dataclass_fields__)
        _check_keys(f"{self._where}: limits", table, names)
        given: dict[str, Any] = {
            name: None if value == NONE else value for name, value in table.items()
        }
        try:
            return Limits(**given)
        except InvalidLimit as error:
            raise CaseError(f"{self._where}: {error.message}") from error

    def _needs(self, names: Any) -> Iterator[Capability]:
        self._check(isinstance(names, list), "needs must be a list")
        known = {str(capability): capability for capability in Capability}
        for name in names:
            self._check(name in known, f"there is no capability {name!r}{_hint(name, known)}")
            yield known[name]

    def _step(self, table: Any, position: int, fixture: Fixture, world: World | None) -> Step:
        outer, self._where = self._where, f"{self._where}: step {position + 1}"
        self._check(isinstance(table, dict), "it is not a table")
        do = self._text(table, "do")
        forms = PLUGIN_STEPS if fixture.is_plugin else MODULE_STEPS
        kind = "plugin" if fixture.is_plugin else "module"
        self._check(do in forms, f"a {kind} has no step {do!r}{_hint(do, forms)}")
        form = forms[do]
        _check_keys(self._where, table, ("do", "expect", "thread", *form.needs, *form.may))
        for name in form.needs:
            self._check(name in table, f"{do} needs {name!r}")
        given = {name: table[name] for name in (*form.needs, *form.may) if name in table}
        arguments = {name: self._argument(name, value) for name, value in given.items()}
        thread = table.get("thread", "own")
        known = thread in ("own", "other", "each") or (_is_count(thread) and thread > 1)
        self._check(known, "thread must be 'own', 'other', 'each', or a number above 1")
        expect = self._expectation(table.get("expect"), form, world)
        self._where = outer
        return Step(do, arguments, expect, thread)

    def _argument(self, name: str, value: Any) -> Any:
        expanded = self._expand(value)
        kind = _ARGUMENTS.get(name)
        if kind is not None:
            self._check(type(expanded) is kind, f"{name} must be of the type {kind.__name__}")
        return self._bytes(name, expanded) if name in _HEX_ARGUMENTS else expanded

    def _expectation(self, table: Any, form: _StepForm, world: World | None) -> dict[str, Any]:
        self._check(isinstance(table, dict), "it expects nothing; say what must come of it")
        traces = () if world is None else TRACES[world.functions]
        outcomes = dict.fromkeys((form.outcome, "done", "raises"))
        _check_keys(f"{self._where}: expect", table, (*outcomes, *_FIGURES, *traces))
        given = [name for name in outcomes if name in table]
        self._check(len(given) == 1, f"it must expect one of {', '.join(outcomes)}")
        expanded: dict[str, Any] = self._expand(table)
        if "done" in given:
            self._check(form.outcome in ("done", "manifest"), "done tells too little here")
            self._check(table["done"] is True, "done can only be true")
        if "bytes" in given:
            expanded["bytes"] = self._bytes("bytes", expanded["bytes"])
        raises = expanded.get("raises")
        if raises is not None:
            self._check_raises(raises)
        for name in _FIGURES:
            value = expanded.get(name, 0)
            figure = isinstance(value, int) and not isinstance(value, bool) and value >= 0
            self._check(
                figure or value in (ANY, NONE),
                f"{name} must be a whole number from 0 on, {ANY!r} or {NONE!r}",
            )
            if value == NONE:
                expanded[name] = None
        by_caller = raises is not None and issubclass(_error(raises["error"]), CallerFault)
        if form.enters_guest and not by_caller:
            self._check("fuel_used" in table, "it calls the guest, so it must expect fuel_used")
        return expanded

    def _check_raises(self, raises: Any) -> None:
        self._check(
            isinstance(raises, dict) and isinstance(raises.get("error"), str),
            "raises must be a table with the error's class as error",
        )
        known = [name for name, value in vars(errors).items() if _is_error(value)]
        known += RAISED
        name = raises["error"]
        self._check(name in known, f"there is no error {name!r}{_hint(name, known)}")

    def _expand(self, value: Any) -> Any:
        """Write out what stands for a long text."""
        if isinstance(value, dict):
            if "repeat" in value:
                _check_keys(f"{self._where}: repeat", value, _REPEAT_KEYS)
                times, unit = value.get("times"), value["repeat"]
                if not isinstance(unit, str) or not isinstance(times, int):
                    raise CaseError(f"{self._where}: repeat needs a text and times, a number")
                self._check(0 < len(unit) * times <= _LONGEST_REPEAT, "repeat is too long")
                whole: str = value.get("before", "") + unit * times + value.get("after", "")
                return whole
            return {key: self._expand(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._expand(item) for item in value]
        return value

    def _bytes(self, name: str, value: Any) -> bytes:
        try:
            return bytes.fromhex(value)
        except (TypeError, ValueError) as error:
            raise CaseError(f"{self._where}: {name} must be hexadecimal digits") from error

    def _text(self, table: Mapping[str, Any], key: str) -> str:
        value = table.get(key)
        self._check(isinstance(value, str) and bool(value), f"it needs {key!r}, a text")
        assert isinstance(value, str)
        return value

    def _check(self, holds: bool, fault: str) -> None:
        if not holds:
            raise CaseError(f"{self._where}: {fault}")


def _check_keys(where: str, table: Mapping[str, Any], known: Sequence[str]) -> None:
    for key in table:
        if key not in known:
            listed = ", ".join(known)
            raise CaseError(f"{where}: there is no key {key!r} here; it may have {listed}")


def _hint(name: Any, known: Any) -> str:
    close = get_close_matches(str(name), list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else f"; there are {', '.join(known)}"


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_error(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, SenHostError)


def _error(name: str) -> type[Exception]:
    found: type[Exception] = RAISED.get(name) or getattr(errors, name)
    return found
