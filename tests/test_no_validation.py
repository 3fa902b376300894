"""A backend whose engine validates nothing, and says so: invalid code is refused all the same."""

from __future__ import annotations

import pytest
from wasmtime import wat2wasm

from sen_host import Config, PluginLoader
from sen_host.backend import Backend, Binding, Capability, Lack, Module
from sen_host.engines import open_backend
from sen_host.errors import ModuleCompilation
from sen_host.limits import Limits
from tests.wat import Wat


class Credulous(Backend):
    """Wasmtime, but nothing is validated before the host rewrites it."""

    name = "credulous"

    @classmethod
    def bindings(cls) -> tuple[Binding, ...]:
        lack = Lack(Capability.VALIDATION, "not implemented", "it believes what it is told")
        return (Binding(name="only", engine="Credulous 1.0", lacks=(lack,)),)

    def validate(self, wasm: bytes) -> None:
        pass

    def compile(self, wasm: bytes, limits: Limits) -> Module:
        return open_backend("wasmtime", isolation="none").compile(wasm, limits)


class Negligent(Credulous):
    """It does not even say so."""

    @classmethod
    def bindings(cls) -> tuple[Binding, ...]:
        return (Binding(name="only", engine="Negligent 1.0"),)


def with_execute(code: bytes) -> bytes:
    """A plugin with other code for ``(drop (i32.const 0x3ffff))`` in its execute."""
    marked = Wat(execute="(drop (i32.const 0x3ffff)) (i64.const 0)").wasm()
    mark = b"\x41\xff\xff\x0f\x1a"
    assert marked.count(mark) == 1
    assert len(code) == len(mark)
    return marked.replace(mark, code)


BRANCH_TO_NOWHERE = with_execute(b"\x0c\x05\x01\x01\x01")
UNKNOWN_FUNCTION = with_execute(b"\x10\xff\x01\x01\x01")
UNBALANCED = with_execute(b"\x1a\x1a\x1a\x01\x01")


@pytest.mark.parametrize("wasm", [BRANCH_TO_NOWHERE, UNKNOWN_FUNCTION, UNBALANCED])
def test_invalid_code_is_refused(wasm: bytes) -> None:
    loader = PluginLoader(Credulous, config=Config.defaults())
    with pytest.raises(ModuleCompilation, match="the module is not valid WebAssembly"):
        loader.load(wasm)


def test_what_a_backend_does_not_declare_is_its_fault_and_not_hidden() -> None:
    with pytest.raises(IndexError):
        PluginLoader(Negligent, config=Config.defaults()).load(BRANCH_TO_NOWHERE)


def test_valid_code_works() -> None:
    with PluginLoader(Credulous, config=Config.defaults()).load(wat2wasm(Wat().text())) as plugin:
        assert plugin.execute([])
