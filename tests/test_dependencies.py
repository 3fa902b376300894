"""Dependencies point one way, and each engine works with the other one absent."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# A part may import those that stand before it. Packages count as one part.
LAYERS = (
    "forks",
    "records",
    "log",
    "distributions",
    "user_dirs",
    "errors",
    "limits",
    "backend",
    "imports",
    "thread_stack",
    "messages",
    "host_functions",
    "wasm",
    "abi",
    "host_calls",
    "preparation",
    "cache",
    "isolation",
    "engines",
    "config",
    "loaded",
    "conversation",
    "plugin",
    "pool",
    "received",
    "plugin_file",
    "loader",
    "audit",
    "permissions",
    "effects",
    "registry",
    "discovery",
    "watch",
    "wasi",
    "comparison",
    "checkup",
    "cli",
    "click",
)

ENGINES = ("wasmtime", "wasmer", "wasmer_compiler_cranelift", "wasmer_sdk")
BACKENDS = ("sen_host_wasmtime", "sen_host_wasmer")


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, late imports included, except for typing."""
    tree = ast.parse(path.read_text())
    for_typing = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in for_typing:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def files(folder: str) -> list[Path]:
    found = sorted((ROOT / folder).rglob("*.py"))
    assert found, folder
    return found


def part_of(module: str) -> str | None:
    """The layer of ``sen_host`` that a module name belongs to."""
    package, _, rest = module.partition(".")
    name = rest.partition(".")[0]
    return name if package == "sen_host" and name in LAYERS else None


@pytest.mark.parametrize("path", files("sen_host"), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_host_imports_no_engine_and_only_lower_layers(path: Path) -> None:
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    own = part_of(module)
    for imported in imports(path):
        assert imported.partition(".")[0] not in (*ENGINES, *BACKENDS, "sen_host_conformance")
        other = part_of(imported)
        if own is not None and other is not None and own != other:
            assert LAYERS.index(other) < LAYERS.index(own), f"{module} imports {imported}"


def test_every_part_of_the_host_has_a_layer() -> None:
    parts = {path.stem for path in (ROOT / "sen_host").iterdir() if path.suffix in ("", ".py")}
    assert parts - {"__init__", "__main__", "__pycache__", "py"} == set(LAYERS)


@pytest.mark.parametrize("path", files("backends"), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_backend_imports_the_contract_only(path: Path) -> None:
    allowed = {"backend", "errors", "limits", "thread_stack", "wasm"} | {
        *("records", "log", "distributions")
    }
    for imported in imports(path):
        if imported.startswith("sen_host."):
            assert part_of(imported) in allowed, f"{path} imports {imported}"
        other_backends = set(BACKENDS) - {path.relative_to(ROOT / "backends").parts[0]}
        assert imported.partition(".")[0] not in other_backends


def test_importing_the_host_loads_no_engine_and_no_user_interface() -> None:
    code = "import sys, sen_host, sen_host.engines; print(*sys.modules)"
    loaded = run_python(code).split()
    for name in (*ENGINES, *BACKENDS, "click", "rich"):
        assert name not in loaded


def test_effects_load_no_library_before_the_first_request() -> None:
    loaded = run_python("import sys, sen_host.effects; print(*sys.modules)").split()
    for name in ("httpx", "httpcore", "anyio", "certifi", "asyncio", "ssl", "socket"):
        assert name not in loaded


# Each takes a millisecond or more to import, and a plugin's first answer needs none.
HEAVY = """
asyncio bz2 click contextlib copy dataclasses difflib dis email importlib.metadata
importlib.util inspect json logging lzma pathlib pickle platform re rich selectors
shutil signal socket string subprocess tempfile textwrap tomli tomllib traceback typing urllib
uuid zipfile
""".split()


def test_what_a_cached_plugin_needs_for_its_first_answer_is_little(tmp_path: Path) -> None:
    code = """
import sys
before = set(sys.modules)
from sen_host import Config, PluginLoader
config = Config.load(directory="/").with_arguments(binding="c-api")
greet = PluginLoader("wasmtime", config=config).load("plugins/greet/greet.wasm")
assert greet.execute(["Alice"]).text == "Hello, Alice!"
print(*sorted(set(sys.modules) - before))
"""
    own = {"SEN_HOST_CONFIG": "none", "XDG_CACHE_HOME": str(tmp_path)}
    cold, warm = (run_python(code, **own).split() for _ in range(2))
    assert "sen_host.wasm.instrument" in cold
    assert "sen_host.cache.entry" in warm
    assert [name for name in warm if name in HEAVY or name.startswith("sen_host.wasm")] == []


@pytest.mark.parametrize(("backend", "absent"), [("wasmtime", "wasmer"), ("wasmer", "wasmtime")])
def test_an_engine_works_with_the_other_one_absent(backend: str, absent: str) -> None:
    code = f"""
import sys
for name in {ENGINES!r}:
    if name.startswith({absent!r}):
        sys.modules[name] = None
from sen_host import Config, PluginLoader
greet = PluginLoader({backend!r}, config=Config.defaults()).load("plugins/greet/greet.wasm")
print(greet.execute(["Alice"]).text)
greet.close()
"""
    assert run_python(code).strip() == "Hello, Alice!"


def run_python(code: str, **environ: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
