"""Run scenarios on the bindings of Wasmer.

A scenario is a function that takes the backend and returns plain values. The
binding ``native`` runs it here; ``sdk`` runs it in a child process that ends
with ``os._exit``, as the worker process of the host does.
"""

from __future__ import annotations

import multiprocessing
import os
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from sen_host.backend import Backend, FuncType, Instance, Module, Trap
from sen_host.errors import SenHostError
from sen_host.limits import Limits
from sen_host.wasm.instrument import instrument
from sen_host.wasm.reader import parse
from sen_host_wasmer import WasmerBackend

PAGE = 65_536
NOTHING = FuncType((), ())
BINDINGS = {binding.name: binding for binding in WasmerBackend.bindings()}

Run = Callable[..., Any]


def wat(text: str) -> bytes:
    from wasmtime import wat2wasm

    return bytes(wat2wasm(text))


def serve(name: str, channel: Connection, cwd: str) -> None:
    """The child: run scenarios until None comes."""
    os.chdir(cwd)
    os.environ["TMPDIR"] = cwd
    # Wasmer prints each trap there.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    backend = WasmerBackend(BINDINGS[name])
    while (job := channel.recv()) is not None:
        scenario, arguments = job
        try:
            answer = (True, scenario(backend, *arguments))
        except BaseException as error:
            error.__traceback__, text = None, traceback.format_exc()
            answer = (False, (error, text))
        channel.send(answer)
    os._exit(0)


def start_child(name: str, cwd: Path) -> tuple[Run, Callable[[], int | None]]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=serve, args=(name, theirs, str(cwd)), daemon=True)
    child.start()
    theirs.close()

    def run(scenario: Callable[..., Any], *arguments: Any) -> Any:
        ours.send((scenario, arguments))
        done, value = ours.recv()
        if done:
            return value
        error, text = value
        if not isinstance(error, (SenHostError, Trap)):
            print(text)
        raise error

    def stop() -> int | None:
        ours.send(None)
        child.join(30)
        return child.exitcode

    return run, stop


def need(name: str) -> None:
    reason = BINDINGS[name].reason
    if reason is not None:
        pytest.skip(f"wasmer:{name} is not available here: {reason}")


MEMORY = '(memory (export "memory") 1)'


def compiled(backend: Backend, text: str) -> Module:
    wasm = wat(text)
    backend.validate(wasm)
    return backend.compile(wasm, Limits())


def instrumented(backend: Backend, wasm: bytes) -> Module:
    backend.validate(wasm)
    return backend.compile(instrument(parse(wasm)).wasm, Limits())


def fresh(backend: Backend, text: str) -> Instance:
    return compiled(backend, text).instantiate()


def call(backend: Backend, text: str, type: FuncType, *arguments: int) -> int | None:
    module = compiled(backend, f"(module {MEMORY} {text})")
    instance = module.instantiate()
    result = instance.function("f", type)(*arguments)
    instance.close()
    module.close()
    return result
