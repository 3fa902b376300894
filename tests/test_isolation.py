"""A backend in a worker process behaves as it does in process."""

from __future__ import annotations

import inspect
import os
import random
import sys
import typing
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sen_host import errors
from sen_host.abi import EXECUTE, FUNCTIONS
from sen_host.backend import FUEL, STACK, Capability, Exchanged, Trap
from sen_host.errors import (
    BackendUnavailable,
    EngineCreation,
    EngineFault,
    FunctionNotFound,
    ModuleCompilation,
    SenHostError,
    TrapKind,
)
from sen_host.isolation.faults import decode_fault, encode_fault
from sen_host.isolation.process import ProcessInstance, ProcessModule
from sen_host.limits import MIB, PAGE_BYTES, Limits
from tests.isolation_engine import PAGES, TARGET
from tests.isolation_host import backend, compiled, execute, run, run_host

MEMORY_BYTES = PAGES * PAGE_BYTES


@pytest.fixture
def module() -> Iterator[ProcessModule]:
    module = compiled()
    yield module
    module.close()


@pytest.fixture
def instance(module: ProcessModule) -> ProcessInstance:
    return module.instantiate()


# --- the contract -------------------------------------------------------------


def test_the_binding_says_what_the_worker_adds() -> None:
    binding = backend().binding
    assert (binding.name, binding.engine) == ("rogue", "Rogue 1.0")
    assert binding.isolation == "process"
    assert binding.has(Capability.WALL_CLOCK)
    assert binding.has(Capability.ANY_THREAD)


def test_the_engine_runs_in_another_process(instance: ProcessInstance) -> None:
    assert run(instance, "pid") != os.getpid()


def test_an_exchange_is_what_it_is_in_process(instance: ProcessInstance) -> None:
    facts = execute(instance, b"hello")
    assert facts == Exchanged(
        pointer=PAGE_BYTES,
        packed=PAGE_BYTES << 32 | 5,
        memory_bytes=MEMORY_BYTES,
        data=b"hello",
        fuel_left=100,
    )


def test_the_primitives(instance: ProcessInstance) -> None:
    assert instance.memory_size() == MEMORY_BYTES
    instance.write(10, b"abc")
    assert instance.read(9, 5) == b"\0abc\0"
    assert instance.read(0, 0) == b""
    for value in (0, 2**63 - 1):
        instance.set_global(FUEL, value)
        assert instance.get_global(FUEL) == value
    assert instance.get_global(STACK) == 0
    assert run(instance, "sum", 2**64 - 1, 1, 7) == 7
    assert instance.function("plugin_dealloc", FUNCTIONS["plugin_dealloc"])(1, 2) is None


def test_large_payloads_go_both_ways(instance: ProcessInstance) -> None:
    payload = random.Random(1).randbytes(8 * MIB)
    assert execute(instance, payload).data == payload
    instance.write(3 * MIB, payload)
    assert instance.read(3 * MIB, 8 * MIB) == payload
    assert execute(instance, b"x" * 16 * MIB, seconds=60).data == b"x" * 16 * MIB


def test_a_message_over_the_cap_does_not_cross(instance: ProcessInstance) -> None:
    facts = instance.exchange(
        EXECUTE, (), b"12345", result_bytes=4, fuel=100, stack=1000, seconds=None
    )
    assert (facts.packed, facts.data) == (PAGE_BYTES << 32 | 5, None)


def test_instances_of_one_module_share_a_worker(module: ProcessModule) -> None:
    first, second = module.instantiate(), module.instantiate()
    assert run(first, "pid") == run(second, "pid")
    first.write(0, b"mine")
    assert second.read(0, 4) == b"\0\0\0\0"


def test_each_module_has_a_worker_of_its_own() -> None:
    engine = backend()
    one, two = engine.compile(b"1", Limits()), engine.compile(b"2", Limits())
    assert run(one.instantiate(), "pid") != run(two.instantiate(), "pid")
    one.close()
    two.close()


def test_validation_and_compilation_share_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = backend()
    engine.validate(b"a module")
    monkeypatch.setattr(sys, "executable", "/not/there")  # no second one could be started
    engine.compile(b"a module", Limits()).close()


def test_closed_instances_are_freed(module: ProcessModule) -> None:
    keeper, closed = module.instantiate(), module.instantiate()
    assert run(keeper, "live") == 2
    closed.close()
    assert run(keeper, "live") == 1


def test_lost_instances_are_freed_by_the_next_instantiate(module: ProcessModule) -> None:
    module.instantiate()
    module.instantiate()
    assert run(module.instantiate(), "live") == 1


def test_the_engine_gets_the_wall_clock_limit_only_if_it_has_a_clock() -> None:
    module = backend().compile(b"a module", Limits(wall_clock_seconds=5))
    assert run(module.instantiate(), "has_wall_clock") == 0
    module.close()


# --- errors that cross --------------------------------------------------------


def test_a_trap_crosses_with_all_that_it_says(instance: ProcessInstance) -> None:
    with pytest.raises(Trap) as caught:
        run(instance, "trap")
    trap = caught.value
    assert (trap.kind, trap.detail) == (TrapKind.INTEGER_DIVIDE_BY_ZERO, "division")
    assert (trap.function, trap.fuel_left, trap.stack_left) == ("inner", None, None)
    assert execute(instance, b"alive").data == b"alive"


def test_an_invalid_module_is_refused_and_the_worker_serves_the_next() -> None:
    engine = backend()
    for attempt in (engine.validate, lambda wasm: engine.compile(wasm, Limits())):
        with pytest.raises(ModuleCompilation) as caught:
            attempt(b"invalid")
        assert (caught.value.detail, caught.value.offset) == ("it says so itself", 3)
    engine.compile(b"valid", Limits()).close()


def test_an_error_of_sen_host_crosses_as_itself(instance: ProcessInstance) -> None:
    with pytest.raises(FunctionNotFound) as caught:
        run(instance, "refuse")
    error = caught.value
    assert (error.message, error.function, error.hint) == ("a message", "refuse", "a remedy")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("panic", "isolation_engine.Panic: index out of range"),
        ("leave", "SystemExit"),
        ("mute", "_Mute: (its text cannot be had)"),
        ("no_such_function", "KeyError: 'no_such_function'"),
    ],
)
def test_any_other_exception_is_an_engine_fault(
    instance: ProcessInstance, name: str, text: str
) -> None:
    with pytest.raises(EngineFault) as caught:
        run(instance, name)
    assert caught.value.detail is not None
    assert text in caught.value.detail
    assert len(caught.value.detail) < 5000
    assert execute(instance, b"alive").data == b"alive"


CLASSES = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, SenHostError)
]
VALUES: dict[object, Any] = {
    str: "text",
    int: 7,
    float: 0.5,
    TrapKind: TrapKind.UNREACHABLE,
    type(None): None,
    Iterable[tuple[str, str, str]]: [("env", f"f{i}", "function") for i in range(20)],
}


@pytest.mark.parametrize("position", [0, -1], ids=["set", "optional left out"])
@pytest.mark.parametrize("kind", CLASSES)
def test_every_class_of_errors_keeps_its_attributes(
    kind: type[SenHostError], position: int
) -> None:
    """``position`` picks one type of a union, e.g. of ``int | None``."""
    hints = typing.get_type_hints(kind.__init__)
    arguments = {
        name: VALUES[(typing.get_args(hint) or (hint,))[position] if hint not in VALUES else hint]
        for name, hint in hints.items()
        if name != "return"
    }
    error = kind(**arguments)
    name, attributes = encode_fault(error)
    copy = decode_fault(name, attributes)
    assert type(copy) is kind
    assert vars(copy) == vars(error)
    assert str(copy) == str(error)


# --- starting -----------------------------------------------------------------


def test_an_engine_that_cannot_be_imported_is_unavailable() -> None:
    with pytest.raises(BackendUnavailable, match="no_such_package"):
        backend("no_such_package:Backend").validate(b"")


def test_a_backend_that_refuses_to_start_says_why() -> None:
    with pytest.raises(EngineCreation, match="the cache is read-only"):
        backend("tests.isolation_engine:RaisesAtStart").validate(b"")


def test_a_crash_at_the_start_is_reported_with_the_last_words() -> None:
    with pytest.raises(EngineCreation, match=r"(?s)SIGILL.*no such instruction"):
        backend("tests.isolation_engine:CrashesAtStart").validate(b"")


def test_the_start_has_a_timeout() -> None:
    with pytest.raises(EngineCreation, match=r"(?s)did not reply within 1 s"):
        backend("tests.isolation_engine:HangsAtStart", start_seconds=1).validate(b"")


@pytest.mark.parametrize(
    ("attribute", "value", "error", "text"),
    [
        ("executable", "/not/there/python", EngineCreation, "/not/there/python"),
        ("executable", "", BackendUnavailable, "sys.executable is empty"),
        ("frozen", True, BackendUnavailable, "frozen"),
    ],
)
def test_a_host_that_cannot_start_python_says_why(
    monkeypatch: pytest.MonkeyPatch,
    attribute: str,
    value: object,
    error: type[SenHostError],
    text: str,
) -> None:
    monkeypatch.setattr(sys, attribute, value, raising=False)
    with pytest.raises(error, match=text):
        backend().validate(b"")


@pytest.mark.parametrize("target", ["__main__:Engine", "tests.x:make.<locals>.Engine"])
def test_a_class_that_no_worker_can_import_is_refused(target: str) -> None:
    with pytest.raises(BackendUnavailable, match="cannot import"):
        backend(target)


def engine_source() -> str:
    return f"from {TARGET.partition(':')[0]} import RogueBackend as Elsewhere\n"


def test_the_worker_finds_what_the_host_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "engine_on_a_path.py").write_text(engine_source())
    monkeypatch.syspath_prepend(str(tmp_path))
    backend("engine_on_a_path:Elsewhere").validate(b"")


def test_the_worker_finds_what_only_import_hooks_find(tmp_path: Path) -> None:
    # As some editable installations do it: a hook that the site module sets up.
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "engine_behind_a_hook.py").write_text(engine_source())
    (tmp_path / "sitecustomize.py").write_text(f"""
import sys
from importlib.machinery import PathFinder
class Hook:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "engine_behind_a_hook":
            return PathFinder.find_spec(name, [{str(hidden)!r}])
sys.meta_path.append(Hook)
""")
    code = 'backend("engine_behind_a_hook:Elsewhere").validate(b""); print("found")'
    assert run_host(code, path=[str(tmp_path)]) == "found\n"
