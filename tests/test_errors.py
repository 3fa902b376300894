"""Errors: documented, picklable, readable."""

from __future__ import annotations

import inspect
import pickle
import re
from pathlib import Path

import pytest

from sen_host import errors
from sen_host.errors import SenHostError, TrapKind

DOCS = (Path(__file__).parent.parent / "docs" / "errors.md").read_text()

BRANCHES = (errors.PluginFault, errors.CallerFault, errors.EnvironmentFault)
CLASSES = [
    value
    for value in vars(errors).values()
    if inspect.isclass(value) and issubclass(value, SenHostError)
]

EXAMPLES = [
    errors.ModuleCompilation(detail="bad", offset=7),
    errors.Instantiation("it trapped", trap=TrapKind.UNREACHABLE),
    errors.ImportNotGranted([("env", "log", "function")]),
    errors.MemoryLimitExceeded(initial_bytes=2, limit_bytes=1),
    errors.TableLimitExceeded(initial_elements=2, limit_elements=1),
    errors.FunctionNotFound("plugin_alloc"),
    errors.SignatureMismatch("plugin_alloc", expected="a", actual="b"),
    errors.FunctionCall("plugin_execute", TrapKind.STACK_OVERFLOW, detail="deep"),
    errors.FuelExhausted("plugin_execute", budget=5),
    errors.WallClockExceeded("plugin_execute", seconds=0.5),
    errors.MemoryAccess("outside", pointer=1, length=2, memory_bytes=3),
    errors.ResultTooLarge("plugin_execute", length=2, limit_bytes=1),
    errors.ApiVersionMismatch(expected=2, actual=3),
    errors.Deserialization("ExecuteResult", "a.b", "expected a string"),
    errors.EffectLimitExceeded(3),
    errors.InvalidCommandName("a b", "it has a space"),
    errors.ConfigError("unknown key", source="sen-host.toml:3", key="k", hint="try this"),
    errors.UnknownBackend("no such backend"),
    errors.InvalidLimit("too small"),
    errors.LimitNotEnforceable("fuel", backend="x", hint="use y"),
    errors.Serialization("not a string"),
    errors.EffectsNotSupported("no resume"),
    errors.PluginBusy("busy"),
    errors.PluginClosed("closed"),
    errors.WrongThread("other thread"),
    errors.CommandNotFound("gret", hint="did you mean 'greet'?"),
    errors.PermissionDenied("notes", ["read x"], "the answer was no", hint="grant it"),
    errors.PluginFileError("missing", path="x.wasm"),
    errors.BackendUnavailable("wasmer", "not installed", hint="pip install it"),
    errors.BackendConflict("two of them"),
    errors.EngineCreation("refused"),
    errors.EngineFault("broken"),
    errors.WorkerDied("gone", exit_code=-11),
    errors.GrantNotUsable("data", "it is gone"),
    errors.CommandConflict("greet", path="b.wasm", holder="a.wasm"),
    errors.PluginDirectoryError("there is none", path="/plugins"),
    errors.MissingLibrary("httpcore", extra="http", purpose="HTTP effects"),
    errors.PermissionStoreError("not writable", path="x.json"),
    errors.PermissionStoreCorrupt("not JSON", path="x.json", hint="repair it"),
    errors.PermissionStoreLocked("too long", path="x.json"),
    errors.GrantNotUsable("../data", "it leads out of the working directory"),
    errors.AuditError("audit.jsonl", detail="No space left on device"),
]


def test_every_class_has_an_example_and_stands_in_one_branch() -> None:
    leaves = set(CLASSES) - {SenHostError, *BRANCHES}
    assert {type(example) for example in EXAMPLES} == leaves
    for leaf in leaves:
        assert sum(issubclass(leaf, branch) for branch in BRANCHES) == 1


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_a_pickled_error_is_the_same(error: SenHostError) -> None:
    error.plugin = "greet.wasm"
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert copy.__dict__ == error.__dict__
    assert str(copy) == str(error)


def test_the_text_names_plugin_message_detail_and_hint() -> None:
    error = errors.BackendUnavailable("wasmer", "it is not installed", hint="pip install it")
    error.plugin = "greet.wasm"
    error.detail = "no module"
    assert str(error) == (
        "greet.wasm: the backend 'wasmer' is not available: it is not installed: no module\n"
        "hint: pip install it"
    )


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_the_documentation_has_every_class_with_its_attributes(error: SenHostError) -> None:
    row = re.search(rf"^\| `{type(error).__name__}` \|.*$", DOCS, re.MULTILINE)
    assert row, "every error has a row"
    own = set(error.__dict__) - {"message", "detail", "hint", "plugin"}
    listed = set(re.findall(r"`(\w+)`", row[0].rpartition("| ")[0].rpartition("| ")[2]))
    inherited = {"source", "key", "trap", "function"}
    assert own - inherited <= listed | set(re.findall(r"`(\w+)`", row[0]))


def test_the_documentation_has_every_trap_kind() -> None:
    for kind in TrapKind:
        assert f"| `{kind.name}` | {kind.value} |" in DOCS
