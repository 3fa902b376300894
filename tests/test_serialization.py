"""Compiled modules as bytes: what the contract says of them, on every backend and in workers."""

from __future__ import annotations

import signal

import pytest

from sen_host import Limits
from sen_host.abi import EXECUTE, Guest
from sen_host.backend import Backend, Module, Trap
from sen_host.errors import EngineFault, TrapKind, WallClockExceeded, WorkerDied
from sen_host.isolation import process
from sen_host.messages import encode_args
from sen_host.preparation import rewrite
from sen_host.wasm.reader import parse
from sen_host_conformance.hosts import Host
from tests.guests import COUNTING, ENDLESS
from tests.isolation_host import backend as rogue
from tests.isolation_host import compiled, execute, pid_of, run

LIMITS = Limits(fuel=10_000)
NO_ARGUMENTS = encode_args([])


def compile_for(backend: Backend, wasm: bytes, limits: Limits = LIMITS) -> Module:
    return backend.compile(rewrite(parse(wasm), limits, backend.binding).wasm, limits)


def answers(module: Module, calls: int) -> list[tuple[bytes, int | None]]:
    """What the guest's execute answers, and its fuel."""
    guest = Guest(module.instantiate(), LIMITS, has_resume=False)
    try:
        return [(guest.execute(NO_ARGUMENTS), guest.fuel_used) for _ in range(calls)]
    finally:
        guest.close()


def test_a_deserialized_module_is_the_module(host: Host) -> None:
    backend = host.open(LIMITS)
    module = compile_for(backend, COUNTING)
    data = module.serialize()
    if data is None:
        module.close()
        pytest.skip(f"{host} does not serialize modules")
    revived = backend.deserialize(data, LIMITS)
    try:
        assert answers(revived, 3) == answers(module, 3)
        assert answers(revived, 1) == answers(module, 1), "instances share nothing"
        assert revived.serialize() is not None
    finally:
        module.close()
        revived.close()


def test_a_deserialized_module_has_the_wall_clock(host: Host) -> None:
    limits = Limits(fuel=None, wall_clock_seconds=0.3)
    try:
        backend = host.open(limits)
    except Exception as error:
        pytest.skip(f"{host}: {error}")
    module = compile_for(backend, ENDLESS, limits)
    data = module.serialize()
    module.close()
    if data is None:
        pytest.skip(f"{host} does not serialize modules")
    revived = backend.deserialize(data, limits)
    guest = Guest(revived.instantiate(), limits, has_resume=False)
    with pytest.raises(WallClockExceeded):
        guest.execute(NO_ARGUMENTS)
    guest.close()
    revived.close()


def test_wasmtime_refuses_what_it_did_not_serialize() -> None:
    backend = Host("wasmtime", "c-api", "none").open(LIMITS)
    for data in (b"", b"\0asm\1\0\0\0", b"x" * 10_000):
        with pytest.raises(EngineFault, match="Wasmtime refused a compiled module"):
            backend.deserialize(data, LIMITS)


# --- in a worker process ------------------------------------------------------


def test_a_worker_hands_over_its_module_and_takes_it_back() -> None:
    module = compiled(b"a module")
    data = module.serialize()
    assert data == b"compiled a module"
    revived = rogue().deserialize(data, LIMITS)
    assert pid_of(revived.instantiate()) != pid_of(module.instantiate())
    module.close()
    revived.close()


def test_the_next_worker_gets_the_module_from_the_same_bytes() -> None:
    module = rogue().deserialize(b"compiled a module", LIMITS)
    with pytest.raises(WorkerDied, match="SIGKILL"):
        run(module.instantiate(), "signal", signal.SIGKILL)
    assert execute(module.instantiate()).data == b"alive"
    assert module.serialize() == b"compiled a module"
    module.close()


def test_a_worker_of_an_engine_that_cannot_serialize_says_so() -> None:
    module = compiled(b"not to be kept")
    assert module.serialize() is None
    module.close()


def test_a_module_that_is_too_large_stays_in_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "SERIALIZED_BYTES", 1_000_000)
    module = compiled(b"large")
    assert module.serialize() is None
    assert execute(module.instantiate()).data == b"alive"
    module.close()


@pytest.mark.parametrize("lie", [b"not bytes", b"longer than agreed"])
def test_a_worker_that_lies_about_a_module_is_ended(
    lie: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "SERIALIZED_BYTES", 1_000_000)
    module = compiled(lie)
    with pytest.raises(WorkerDied, match="broke the protocol"):
        module.serialize()
    assert execute(module.instantiate()).data == b"alive", "the next worker has the module"
    module.close()


def test_a_worker_refuses_crashes_and_hangs_without_harm() -> None:
    backend = rogue()
    with pytest.raises(EngineFault, match="the engine refused it"):
        backend.deserialize(b"refused", LIMITS)
    with pytest.raises(WorkerDied, match="SIGSEGV"):
        backend.deserialize(b"crash", LIMITS)
    with pytest.raises(WallClockExceeded):
        backend.deserialize(b"endless", Limits(wall_clock_seconds=0.3))
    module = backend.deserialize(b"compiled a module", LIMITS)
    assert execute(module.instantiate()).data == b"alive"
    module.close()


def test_the_wall_clock_kills_a_guest_of_a_deserialized_module() -> None:
    module = rogue().deserialize(b"compiled a module", LIMITS)
    with pytest.raises(Trap) as caught:
        execute(module.instantiate(), b"!spin", seconds=0.3)
    assert (caught.value.kind, caught.value.function) == (TrapKind.INTERRUPTED, EXECUTE)
    module.close()
