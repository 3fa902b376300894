"""A backend that is not ours: installed by pip, found by its entry point, run like ours.

And what the guide for its authors says of the contract.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sen_host import PluginLoader
from sen_host.backend import Backend, Capability, Instance, Module
from sen_host.errors import TrapKind
from sen_host.messages import Success
from tests.wat import TRAP_SUPPORT, TRAPS, Wat

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "examples" / "pywasm-backend"
GUIDE = (ROOT / "docs" / "write-a-backend.md").read_text()

needs_pywasm = pytest.mark.skipif(
    sys.version_info < (3, 11), reason="pywasm does not import before CPython 3.11"
)


@pytest.fixture(scope="module")
def bin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of commands of a fresh environment, with sen-host and the stranger's package.

    Made once, also if several processes run these tests.
    """
    base = tmp_path_factory.getbasetemp()
    home = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "stranger"
    home.mkdir(exist_ok=True)
    with open(home / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "done").exists():
            venv = home / "venv"
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
            # As the environment's own pip would do it, which takes a while to install.
            pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", venv)
            subprocess.run([*pip, "install", "--quiet", "--no-compile", ROOT, PACKAGE], check=True)
            (home / "done").touch()
    return home / "venv/bin"


def sen_host(bin: Path, *arguments: str | Path, **environ: str) -> Any:
    """What ``sen-host`` answers there, as JSON; nothing of this environment plays a part."""
    done = subprocess.run(
        [str(bin / "sen-host"), *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=bin,
        env={"PATH": os.environ["PATH"], "SEN_HOST_CONFIG": "none", **environ},
        timeout=300,
    )
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


@needs_pywasm
def test_it_is_found(bin: Path) -> None:
    listed = {info["name"]: info for info in sen_host(bin, "backends", "--json")["backends"]}
    assert listed.keys() == {"wasmtime", "wasmer", "pywasm"}
    assert [info["available"] for info in listed.values()] == [False, False, True]
    assert listed["pywasm"]["distribution"] == "sen-host-pywasm 0.1.0"
    [binding] = listed["pywasm"]["bindings"]
    assert [lack["capability"] for lack in binding["lacks"]] == [Capability.VALIDATION]


@needs_pywasm
def test_to_list_it_does_not_import_its_engine(bin: Path) -> None:
    code = "import sys, sen_host; sen_host.backends(); print('pywasm' in sys.modules)"
    done = subprocess.run([bin / "python", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@needs_pywasm
def test_it_does_not_run_without_assertions(bin: Path) -> None:
    listed = sen_host(bin, "backends", "--json", PYTHONOPTIMIZE="1")["backends"]
    [binding] = listed[-1]["bindings"]
    assert binding["reason"] == (
        "pywasm checks bounds by assertions, which Python leaves out with -O"
    )


@needs_pywasm
@pytest.mark.parametrize("isolation", ["none", "process"])
@pytest.mark.parametrize(("plugin", "args"), [("chello", ["Alice"]), ("greet", ["Bob", "Hi"])])
def test_it_answers_like_wasmtime(bin: Path, plugin: str, args: list[str], isolation: str) -> None:
    file = ROOT / "plugins" / plugin / f"{plugin}.wasm"
    with PluginLoader("wasmtime").load(file) as here:
        expected = here.execute(args)
        fuel = here.fuel_used, here.fuel_left
    there = sen_host(
        bin, "run", "--backend", "pywasm", "--isolation", isolation, "--json", file, *args
    )
    assert isinstance(expected, Success)
    assert there["result"] == {"Success": expected.text}
    assert (there["fuel_used"], there["fuel_left"]) == fuel


FAULTS = {
    **{kind: f"{code} (i64.const 0)" for kind, code in TRAPS.items()},
    "OUT_OF_FUEL": "(loop (br 0)) (unreachable)",
}
FAIL = """
import sys
from pathlib import Path
from sen_host import Limits, PluginLoader
from sen_host.errors import SenHostError

loader = PluginLoader(sys.argv[1], limits=Limits(fuel=50_000))
for file in sorted(Path(sys.argv[2]).iterdir()):
    with loader.load(file.read_bytes()) as plugin:
        try:
            print(file.stem, plugin.execute())
        except SenHostError as error:
            print(file.stem, repr(error), plugin.fuel_used, plugin.fuel_left)
"""


@needs_pywasm
def test_it_fails_like_wasmtime(bin: Path, tmp_path: Path) -> None:
    for kind, code in FAULTS.items():
        (tmp_path / f"{kind}.wasm").write_bytes(Wat(execute=code, extra=TRAP_SUPPORT).wasm())
    here, there = (
        subprocess.run(
            [python, "-c", FAIL, backend, tmp_path], capture_output=True, text=True, check=True
        ).stdout.splitlines()
        for python, backend in ((sys.executable, "wasmtime"), (bin / "python", "pywasm"))
    )
    assert there == here
    assert len(here) == len(FAULTS)
    for kind, line in zip(sorted(FAULTS), here, strict=True):
        fault = "FuelExhausted" if kind == "OUT_OF_FUEL" else "FunctionCall"
        assert line.startswith(f"{kind} {fault}(")


@needs_pywasm
def test_it_passes_the_suite(bin: Path) -> None:
    # An area of each kind; `.ci/run` runs them all.
    areas = [f"--area={area}" for area in ("signatures", "validation", "globals")]
    report = sen_host(bin, "conformance", "--backend", "pywasm", "--json", *areas)
    assert report["passed"], [case for case in report["cases"] if case["verdict"] == "failed"]
    declared = {
        capability
        for case in report["cases"]
        if case["verdict"] == "declared"
        for capability in case["needs"]
    }
    assert declared == {Capability.VALIDATION}


# --- the guide ---------------------------------------------------------------


def rows(heading: str) -> list[list[str]]:
    """The cells of the table under a heading of the guide, without its head."""
    [section] = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", GUIDE, re.MULTILINE | re.DOTALL)
    table = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def test_the_guide_lists_all_capabilities() -> None:
    listed = [(row[0], row[1]) for row in rows("Say what it lacks")]
    assert listed == [(f"`{item.name}`", f"`{item.value}`") for item in Capability]


def test_the_guide_lists_all_methods() -> None:
    public = [
        f"{part.__name__}.{name}"
        for part in (Backend, Module, Instance)
        for name, value in vars(part).items()
        if not name.startswith("_") and (callable(value) or isinstance(value, classmethod))
    ]
    listed = re.findall(r"^\| `(\w+\.\w+)\(", GUIDE, re.MULTILINE)
    assert sorted(listed) == sorted(public)


def test_the_guide_lists_all_kinds_of_traps() -> None:
    listed = [row[0].strip("`") for row in rows("Traps")]
    assert sorted([*listed, "OUT_OF_FUEL"]) == sorted(TrapKind.__members__)
