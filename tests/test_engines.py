"""Finding backends through entry points, and choosing one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sen_host import backends, open_backend
from sen_host.errors import BackendConflict, BackendUnavailable, UnknownBackend

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Make a distribution with one backend visible, as pip would."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(distribution: str, name: str, target: str, **modules: str) -> None:
        info = tmp_path / f"{distribution}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n"
        )
        (info / "entry_points.txt").write_text(f"[sen_host.backends]\n{name} = {target}\n")
        for module, code in modules.items():
            (tmp_path / f"{module}.py").write_text(code)
            monkeypatch.delitem(sys.modules, module, raising=False)

    return install


WORKING = """
from sen_host.backend import Backend, Binding

class Stranger(Backend):
    name = "stranger"

    @classmethod
    def bindings(cls):
        return (
            Binding(name="broken", engine="Stranger", reason="its engine is missing",
                    remedy="pip install strange-engine"),
            Binding(name="fine", engine="Stranger 1.0"),
            Binding(name="away", engine="Stranger 1.0", isolation="process"),
        )

    def validate(self, wasm): ...
    def compile(self, wasm, limits): ...
"""


def test_both_engines_are_here_on_every_interpreter() -> None:
    found = {info.name: info for info in backends()}
    assert list(found)[:2] == ["wasmtime", "wasmer"]
    assert found["wasmtime"].available
    assert found["wasmer"].available
    native, sdk = found["wasmer"].bindings
    if sys.version_info < (3, 11):
        assert native.available
    else:
        assert native.reason is not None
        assert "3.10" in native.reason
        assert sdk.available


def test_a_strangers_backend_is_found_and_opened(install: Install) -> None:
    install("strange", "stranger", "stranger_backend:Stranger", stranger_backend=WORKING)
    info = next(info for info in backends() if info.name == "stranger")
    assert info.available
    assert info.distribution == "strange 1.0"
    opened = open_backend("stranger")
    assert (opened.name, opened.binding.name) == ("stranger", "fine")


def test_a_class_serves_as_well_as_a_name() -> None:
    from sen_host_wasmtime import WasmtimeBackend

    assert isinstance(open_backend(WasmtimeBackend), WasmtimeBackend)


def test_auto_is_the_first_that_is_available() -> None:
    assert open_backend("auto").name == "wasmtime"


def test_an_unknown_backend_gets_the_nearest_spelling() -> None:
    with pytest.raises(UnknownBackend) as caught:
        open_backend("wasmtine")
    assert "there is no backend 'wasmtine'" in str(caught.value)
    assert caught.value.hint == "did you mean 'wasmtime'?"


def test_an_unknown_binding_gets_the_nearest_spelling() -> None:
    with pytest.raises(UnknownBackend) as caught:
        open_backend("wasmer", binding="nativ")
    assert "it has native, sdk" in str(caught.value)
    assert caught.value.hint == "did you mean 'native'?"


def test_a_binding_that_is_not_available_says_why_and_the_remedy(install: Install) -> None:
    install("strange", "stranger", "stranger_backend:Stranger", stranger_backend=WORKING)
    with pytest.raises(BackendUnavailable) as caught:
        open_backend("stranger", binding="broken")
    assert "broken: its engine is missing" in str(caught.value)
    assert caught.value.hint == "pip install strange-engine"


def test_a_binding_for_workers_is_not_run_in_this_process(install: Install) -> None:
    install("strange", "stranger", "stranger_backend:Stranger", stranger_backend=WORKING)
    with pytest.raises(BackendUnavailable, match="it only runs in a worker process"):
        open_backend("stranger", binding="away", isolation="none")


def test_two_packages_that_claim_one_name_are_both_named(install: Install) -> None:
    install("strange", "stranger", "stranger_backend:Stranger", stranger_backend=WORKING)
    install("stranger-still", "stranger", "other_backend:Stranger", other_backend=WORKING)
    with pytest.raises(BackendConflict) as caught:
        open_backend("stranger")
    assert "strange 1.0" in str(caught.value)
    assert "stranger-still 1.0" in str(caught.value)
    info = next(info for info in backends() if info.name == "stranger")
    assert not info.available
    assert open_backend("wasmtime").name == "wasmtime", "the others are not affected"


@pytest.mark.parametrize(
    ("target", "module", "reason"),
    [
        ("missing_module:Backend", "x = 1", "No module named 'missing_module'"),
        ("broken_backend:Backend", "1 / 0", "ZeroDivisionError"),
        ("broken_backend:Missing", "x = 1", "AttributeError"),
        ("broken_backend:x", "x = 1", "not a subclass of sen_host.backend.Backend"),
    ],
)
def test_a_backend_that_cannot_be_imported_is_listed_with_the_reason(
    install: Install, target: str, module: str, reason: str
) -> None:
    install("strange", "stranger", target, broken_backend=module)
    info = next(info for info in backends() if info.name == "stranger")
    assert info.error is not None
    assert reason in info.error
    with pytest.raises(BackendUnavailable, match="stranger"):
        open_backend("stranger")
