"""Where configuration comes from: order, origins, files, variables, options, arguments."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sen_host.cache.settings import CacheSettings
from sen_host.config import SETTINGS, Config
from sen_host.errors import ConfigError, InvalidLimit, UnknownBackend
from sen_host.limits import Limits
from sen_host.wasm.exceptions import FEATURES

MIB = 1 << 20


@pytest.fixture
def project(tmp_path: Path) -> Path:
    directory = tmp_path / "project"
    directory.mkdir()
    return directory


@pytest.fixture
def user_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    folder = tmp_path / "home" / "sen-host"
    folder.mkdir(parents=True)
    return folder / "config.toml"


def load(directory: Path, *, environ: Mapping[str, str] | None = None, **flags: str) -> Config:
    """Load with options by key (two underscores for the dot), without the user's file."""
    return Config.load(
        directory=directory,
        environ={"SEN_HOST_CONFIG": "none"} if environ is None else environ,
        flags={key.replace("__", "."): value for key, value in flags.items()},
    )


def load_flag(directory: Path, key: str, text: str) -> Config:
    environ = {"SEN_HOST_CONFIG": "none"}
    return Config.load(directory=directory, environ=environ, flags={key: text})


def test_defaults_are_the_limits_defaults_and_look_at_nothing() -> None:
    config = Config.defaults()
    assert (config.backend, config.binding, config.isolation) == ("auto", None, "auto")
    assert config.limits == Limits()
    assert {str(origin) for origin in config.origins.values()} == {"default"}
    assert set(config.origins) == set(SETTINGS)


def test_an_empty_directory_gives_the_defaults(project: Path) -> None:
    assert load(project) == Config.defaults()


def test_each_source_beats_the_one_before(project: Path, user_file: Path) -> None:
    environ: dict[str, str] = {}
    flags: dict[str, str] = {}

    def fuel() -> tuple[int | None, str]:
        config = Config.load(directory=project, environ=environ, flags=flags)
        return config.limits.fuel, str(config.origins["limits.fuel"])

    assert fuel() == (10_000_000, "default")
    (project / "sen-host.toml").write_text("[limits]\nfuel = 1\n")
    assert fuel() == (1, "sen-host.toml:2")
    (project / "pyproject.toml").write_text("[tool.sen-host]\nlimits.fuel = 2\n")
    assert fuel() == (2, "pyproject.toml:2")
    user_file.write_text("\n\n[limits]\nfuel = 3\n")
    assert fuel() == (3, f"{user_file}:4")
    environ["SEN_HOST_LIMITS_FUEL"] = "4"
    assert fuel() == (4, "environment variable SEN_HOST_LIMITS_FUEL")
    flags["limits.fuel"] = "5"
    assert fuel() == (5, "--fuel")
    config = Config.load(directory=project, environ=environ, flags=flags)
    config = config.with_arguments(limits=Limits(fuel=6))
    assert (config.limits.fuel, str(config.origins["limits.fuel"])) == (6, "keyword argument")


def test_sources_are_merged_key_by_key(project: Path) -> None:
    (project / "sen-host.toml").write_text('backend = "wasmer"\n[limits]\nstack_bytes = 131072\n')
    (project / "pyproject.toml").write_text('[tool.sen-host.limits]\nmemory_bytes = "2 MiB"\n')
    config = load(project, limits__fuel="7")
    assert config.backend == "wasmer"
    assert config.limits == Limits(fuel=7, memory_bytes=2 * MIB, stack_bytes=131072)
    set_by_somebody = {key for key, origin in config.origins.items() if origin.layer != "default"}
    limits = {"limits.fuel", "limits.memory_bytes", "limits.stack_bytes"}
    assert set_by_somebody == limits | {"backend"}


def test_a_project_cannot_loosen_what_the_user_set(project: Path, user_file: Path) -> None:
    (project / "sen-host.toml").write_text('[limits]\nfuel = "none"\n')
    (project / "pyproject.toml").write_text('[tool.sen-host.limits]\nfuel = "none"\n')
    user_file.write_text("[limits]\nfuel = 1000\n")
    assert Config.load(directory=project, environ={}).limits.fuel == 1000


def test_the_nearest_project_file_of_the_ancestors_is_read(project: Path) -> None:
    deep = project / "a" / "b"
    deep.mkdir(parents=True)
    (project / "sen-host.toml").write_text('backend = "outer"\n')
    (project / "pyproject.toml").write_text("[tool.sen-host]\nlimits.fuel = 5\n")
    config = load(deep)
    assert (config.backend, config.limits.fuel) == ("outer", 5)
    assert str(config.origins["backend"]) == f"{project / 'sen-host.toml'}:1"
    (project / "a" / "sen-host.toml").write_text("limits.fuel = 6\n")
    config = load(deep)
    assert config.backend == "auto", "only the nearest file counts"
    assert str(config.origins["limits.fuel"]) == f"{project / 'pyproject.toml'}:2"


def test_the_current_directory_is_the_default(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "sen-host.toml").write_text('backend = "wasmer"\n')
    monkeypatch.chdir(project)
    monkeypatch.setenv("SEN_HOST_CONFIG", "none")
    assert Config.load().backend == "wasmer"


def test_a_deleted_current_directory_has_no_project_files(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    project.rmdir()
    assert Config.load(environ={"SEN_HOST_CONFIG": "none"}) == Config.defaults()


def test_a_pyproject_of_somebody_else_is_not_judged(project: Path) -> None:
    (project / "pyproject.toml").write_text('[tool.other]\nfuel = "lots"\nnot toml at all')
    assert load(project).origins == Config.defaults().origins


def test_a_pyproject_may_mention_the_package_without_configuring_it(project: Path) -> None:
    (project / "pyproject.toml").write_text('[project]\ndependencies = ["sen-host"]\n')
    assert load(project).backend == "auto"


def test_the_misspelt_table_of_pyproject_is_told(project: Path) -> None:
    (project / "pyproject.toml").write_text('[tool.sen_host]\nbackend = "wasmer"\n')
    with pytest.raises(ConfigError, match=r"pyproject\.toml:1: the table \[tool\.sen_host\]"):
        load(project)


def test_a_file_named_by_variable_replaces_the_users_file(project: Path, user_file: Path) -> None:
    user_file.write_text('backend = "home"\n')
    named = project / "mine.toml"
    named.write_text('backend = "named"\n')
    assert Config.load(directory=project, environ={}).backend == "home"
    environ = {"SEN_HOST_CONFIG": str(named)}
    assert Config.load(directory=project, environ=environ).backend == "named"
    config = Config.load(directory=project, environ={"SEN_HOST_CONFIG": "none"})
    assert config.backend == "auto"
    assert config.files == ()
    with pytest.raises(ConfigError, match=r"variable SEN_HOST_CONFIG: there is no file 'gone'"):
        Config.load(directory=project, environ={"SEN_HOST_CONFIG": "gone"})


def test_the_files_looked_at_are_listed(project: Path, user_file: Path) -> None:
    (project / "sen-host.toml").write_text("")
    files = Config.load(directory=project, environ={}).files
    assert [(file.layer, file.path, file.exists) for file in files] == [
        ("project", str(project / "sen-host.toml"), True),
        ("user", str(user_file), False),
    ]


# --- variables and options ---------------------------------------------------


@pytest.mark.parametrize("key", SETTINGS)
def test_every_setting_has_a_variable_and_an_option(project: Path, key: str) -> None:
    words = {
        "backend": "x",
        "binding": "x",
        "isolation": "process",
        "accept": "simd",
        "limits.stack_bytes": "200000",
        "cache.enabled": "false",
        "cache.directory": "/var/cache/x",
        "cache.max_bytes": "2 MiB",
    }
    text = words.get(key, "70000")
    setting = SETTINGS[key]
    environ = {"SEN_HOST_CONFIG": "none", setting.variable: text}
    by_variable = Config.load(directory=project, environ=environ)
    by_option = load_flag(project, key, text)
    assert by_variable.value(key) == by_option.value(key) != Config.defaults().value(key)
    assert setting.variable in str(by_variable.origins[key])
    assert setting.option == str(by_option.origins[key])


def test_an_empty_variable_is_as_good_as_none(project: Path) -> None:
    environ = {"SEN_HOST_CONFIG": "none", "SEN_HOST_BACKEND": ""}
    assert Config.load(directory=project, environ=environ) == Config.defaults()


def test_an_unknown_variable_is_told_with_the_nearest_one(project: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(project, environ={"SEN_HOST_CONFIG": "none", "SEN_HOST_BACKENDS": "wasmer"})
    assert caught.value.source == "environment variable SEN_HOST_BACKENDS"
    assert "did you mean 'SEN_HOST_BACKEND'?" in (caught.value.hint or "")
    with pytest.raises(ConfigError) as caught:
        load(project, environ={"SEN_HOST_CONFIG": "none", "SEN_HOST_TIMEOUT": "3"})
    assert "did you mean 'SEN_HOST_LIMITS_WALL_CLOCK_SECONDS'?" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("limits.fuel", "12", 12),
        ("limits.fuel", "10_000_000", 10_000_000),
        ("limits.fuel", " 12 ", 12),
        ("limits.fuel", "none", None),
        ("limits.memory_bytes", "none", None),
        ("limits.memory_bytes", "131072", 131072),
        ("limits.memory_bytes", "64 MiB", 64 * MIB),
        ("limits.memory_bytes", "64MiB", 64 * MIB),
        ("limits.memory_bytes", "1gib", 1024 * MIB),
        ("limits.memory_bytes", "512 KiB", MIB // 2),
        ("limits.result_bytes", "100 B", 100),
        ("limits.wall_clock_seconds", "2", 2),
        ("limits.wall_clock_seconds", "0.25", 0.25),
        ("limits.wall_clock_seconds", "none", None),
        ("limits.table_elements", "none", None),
        ("binding", "auto", None),
        ("accept", "simd", {"simd"}),
        ("accept", " simd , dead-br-table ", {"simd", "dead-br-table"}),
        ("accept", "simd,simd", {"simd"}),
        ("accept", "none", frozenset()),
        ("cache.enabled", "false", False),
        ("cache.enabled", "0", False),
        ("cache.enabled", "True", True),
        ("cache.enabled", "1", True),
        ("cache.directory", "auto", None),
        ("cache.directory", "/var/cache/x", "/var/cache/x"),
        ("cache.max_bytes", "1 GiB", 1024 * MIB),
    ],
)
def test_texts_that_are_understood(project: Path, key: str, text: str, value: object) -> None:
    assert load_flag(project, key, text).value(key) == value


@pytest.mark.parametrize(
    ("key", "text", "said"),
    [
        ("limits.fuel", "12.5", 'must be a whole number, or "none" for no limit'),
        ("limits.fuel", "-1", "must be a whole number from 0 to"),
        ("limits.fuel", "1" * 5000, "must be a whole number"),
        ("limits.fuel", "", "must be a whole number"),
        ("limits.memory_bytes", "64 MB", "units: B, KiB, MiB, GiB"),
        ("limits.memory_bytes", "1.5 GiB", "units: B, KiB, MiB, GiB"),
        ("limits.memory_bytes", "1", "from 65,536 to 4,294,967,296"),
        ("limits.memory_bytes", "9" * 50 + "GiB", "from 65,536 to"),
        ("limits.stack_bytes", "none", "it must be a number of bytes"),
        ("limits.wall_clock_seconds", "soon", "must be a number of seconds"),
        ("limits.wall_clock_seconds", "nan", "must be a number of seconds above 0"),
        ("limits.wall_clock_seconds", "inf", "must be a number of seconds above 0"),
        ("limits.wall_clock_seconds", "1e300", "must be a number of seconds"),
        ("limits.wall_clock_seconds", "0", "must be a number of seconds above 0"),
    ],
)
def test_limits_that_are_refused(project: Path, key: str, text: str, said: str) -> None:
    setting = SETTINGS[key]
    for environ, flags, source in (
        ({}, {key: text}, setting.option),
        ({setting.variable: text or " "}, {}, f"environment variable {setting.variable}"),
    ):
        with pytest.raises(InvalidLimit) as caught:
            Config.load(
                directory=project, environ={"SEN_HOST_CONFIG": "none", **environ}, flags=flags
            )
        assert caught.value.source == source
        assert caught.value.key == setting.limit
        assert said in caught.value.message
        assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    ("key", "text", "said"),
    [
        ("cache.enabled", "maybe", "must be true or false"),
        ("cache.directory", "cache", "must be an absolute path"),
        ("cache.directory", "/a\0b", "must be an absolute path"),
        ("cache.directory", "/a\ud800b", "must be an absolute path"),
        ("cache.max_bytes", "lots", "must be a number of bytes or a size"),
        ("cache.max_bytes", "1 KiB", "must be a whole number from 1,048,576"),
        ("cache.max_bytes", "9" * 100, "must be a number of bytes or a size"),
    ],
)
def test_cache_settings_that_are_refused(project: Path, key: str, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_flag(project, key, text)
    assert caught.value.source == SETTINGS[key].option
    assert caught.value.key == key
    assert said in caught.value.message


def test_the_home_directory_has_a_short_name(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/alice")
    assert load(project, cache__directory="~/modules").cache.directory == "/home/alice/modules"


def test_an_unknown_isolation_is_told_with_the_values(project: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(project, isolation="proces")
    assert caught.value.source == "--isolation"
    assert caught.value.hint == "did you mean 'process'? allowed: auto, none, process"


_numbers = st.from_regex(r"[-+]?[0-9_.eE]+ ?[a-zA-Z]{0,3}", fullmatch=True)


@given(st.sampled_from(sorted(SETTINGS)), st.text(max_size=30) | _numbers)
def test_any_text_is_a_value_or_a_clear_error(key: str, text: str) -> None:
    found: Config | ConfigError
    try:
        found = load_flag(Path("/"), key, text)
    except ConfigError as error:
        found = error
    source = found.source if isinstance(found, ConfigError) else str(found.origins[key])
    assert source == SETTINGS[key].option
    assert not isinstance(found, ConfigError) or found.message.isprintable()


# --- backend and binding belong together --------------------------------------


def test_a_stronger_backend_forgets_the_binding_of_a_weaker_one(project: Path) -> None:
    (project / "sen-host.toml").write_text('backend = "wasmer"\nbinding = "sdk"\n')
    assert load(project).binding == "sdk"
    config = load(project, backend="wasmtime")
    assert (config.binding, str(config.origins["binding"])) == (None, "default")
    assert load(project, backend="wasmer").binding == "sdk"
    assert load(project, backend="wasmtime", binding="c-api").binding == "c-api"


# --- exceptions of the profile --------------------------------------------------


def test_the_strongest_list_of_exceptions_wins(project: Path) -> None:
    (project / "sen-host.toml").write_text('backend = "wasmtime"\naccept = ["simd"]\n')
    config = load(project)
    assert config.accept == {"simd"}
    assert str(config.origins["accept"]) == "sen-host.toml:2"
    config = load(project, accept="dead-br-table")
    assert config.accept == {"dead-br-table"}
    assert str(config.origins["accept"]) == "--accept"
    assert load(project, accept="none").accept == frozenset()
    environ = {"SEN_HOST_CONFIG": "none", "SEN_HOST_ACCEPT": "global-elements,simd"}
    config = load(project, environ=environ)
    assert config.accept == {"global-elements", "simd"}
    assert config.with_arguments(accept=[]).accept == frozenset()
    config = config.with_arguments(accept={"externref-elements"})
    assert config.accept == {"externref-elements"}
    assert str(config.origins["accept"]) == "keyword argument"
    config.check_accept()


def test_exceptions_belong_to_the_backend_that_a_source_names(project: Path) -> None:
    (project / "sen-host.toml").write_text('backend = "wasmtime"\naccept = ["simd"]\n')
    config = load(project, backend="wasmer")
    assert (config.accept, str(config.origins["accept"])) == (frozenset(), "default")
    assert load(project, backend="wasmtime").accept == {"simd"}
    assert load(project, backend="wasmer", accept="simd").accept == {"simd"}
    # A source that names no backend leaves that to a stronger one.
    (project / "sen-host.toml").write_text('accept = ["simd"]\n')
    assert load(project, backend="wasmer").accept == {"simd"}


def test_exceptions_need_a_backend_that_is_named(project: Path) -> None:
    Config.defaults().check_accept()
    load(project, accept="none").check_accept()
    load(project, accept="simd", backend="wasmtime").check_accept()
    (project / "sen-host.toml").write_text('accept = ["simd", "dead-br-table"]\n')
    config = load(project)
    with pytest.raises(ConfigError, match="would load on one engine and not on another") as caught:
        config.check_accept()
    assert "accept is dead-br-table, simd, and backend is auto" in caught.value.message
    assert (caught.value.source, caught.value.key) == ("sen-host.toml:1", "accept")
    config.with_arguments(backend="wasmtime").check_accept()
    with pytest.raises(ConfigError):
        load(project, backend="wasmtime").with_arguments(
            backend="auto", accept=["simd"]
        ).check_accept()


@pytest.mark.parametrize("text", ["smid", "SIMD", "simd,", ",", "simd;dead-br-table", "none,simd"])
def test_an_unknown_exception_is_told_with_the_known_ones(project: Path, text: str) -> None:
    for environ, flags, source in (
        ({}, {"accept": text}, "--accept"),
        ({"SEN_HOST_ACCEPT": text}, {}, "environment variable SEN_HOST_ACCEPT"),
    ):
        with pytest.raises(ConfigError, match="which is no exception of the profile") as caught:
            Config.load(
                directory=project, environ={"SEN_HOST_CONFIG": "none", **environ}, flags=flags
            )
        assert (caught.value.source, caught.value.key) == (source, "accept")
        for name in FEATURES:
            assert name in (caught.value.hint or "")


# --- keyword arguments ---------------------------------------------------------


def test_limits_as_an_argument_replace_all_limits(project: Path) -> None:
    config = load(project, limits__fuel="5").with_arguments(limits=Limits(memory_bytes=MIB))
    assert config.limits == Limits(memory_bytes=MIB)


def test_no_arguments_change_nothing(project: Path) -> None:
    config = load(project, limits__fuel="5")
    assert config.with_arguments() == config


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"backend": 3}, "backend is 3; it must be a name"),
        ({"backend": ""}, "backend is ''; it must be a name"),
        ({"isolation": "thread"}, "isolation is 'thread'"),
        ({"accept": "simd"}, "accept is 'simd'; it must be a list of names"),
        ({"accept": [3]}, "accept is [3]; it must be a list of names"),
        ({"accept": ["sse"]}, "accept has 'sse', which is no exception of the profile"),
        ({"limits": {"fuel": 3}}, "it must be a Limits"),
    ],
)
def test_arguments_of_the_wrong_type_are_refused(arguments: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match="keyword argument: ") as caught:
        Config.defaults().with_arguments(**arguments)  # type: ignore[arg-type]
    assert said in caught.value.message


@pytest.mark.parametrize(
    ("values", "said", "hint"),
    [
        ({"isolation": "zzz"}, "isolation is 'zzz'", "allowed: auto, none, process"),
        ({"isolation": None}, "isolation is None", "allowed: auto, none, process"),
        ({"backend": 3}, "backend is 3; it must be a name", None),
        ({"binding": ""}, "binding is ''; it must be a name", None),
        ({"accept": None}, "accept is None; it must be a list", f"allowed: {', '.join(FEATURES)}"),
        ({"limits": {"fuel": 3}}, "limits is {'fuel': 3}; it must be a Limits", None),
        ({"cache": False}, "cache is false; it must be a CacheSettings", None),
    ],
)
def test_a_configuration_of_wrong_values_is_refused(
    values: dict[str, Any], said: str, hint: str | None
) -> None:
    with pytest.raises(ConfigError, match="keyword argument: ") as caught:
        Config(**values)
    assert said in caught.value.message
    assert caught.value.hint == hint


def test_a_configuration_can_be_made_of_values() -> None:
    config = Config(
        backend="wasmer",
        binding="auto",
        accept=frozenset({"simd"}),
        limits=Limits(fuel=5),
        cache=CacheSettings(enabled=False),
    )
    assert not config.cache.enabled
    assert str(config.origins["cache.enabled"]) == "keyword argument"
    assert config.accept == {"simd"}
    assert (config.backend, config.binding, config.limits.fuel) == ("wasmer", None, 5)
    assert str(config.origins["backend"]) == "keyword argument"
    assert str(config.origins["isolation"]) == "default"
    assert str(config.origins["limits.fuel"]) == "keyword argument"


@pytest.mark.parametrize(
    ("flags", "said", "hint"),
    [
        ({"fuel": "5"}, "unknown key 'fuel'", "did you mean 'limits.fuel'? allowed: backend,"),
        ({"timeout": None}, "unknown key 'timeout'", "'limits.wall_clock_seconds'?"),
        ({"bakend": "x"}, "unknown key 'bakend'", "did you mean 'backend'?"),
        ({"limits.fuel": 5}, "flags['limits.fuel'] is 5; it must be the text", ""),
    ],
)
def test_wrong_flags_are_refused(flags: dict[str, Any], said: str, hint: str) -> None:
    with pytest.raises(ConfigError, match="keyword argument: ") as caught:
        Config.load(flags=flags, environ={"SEN_HOST_CONFIG": "none"})
    assert said in caught.value.message
    assert hint in (caught.value.hint or "")


def test_a_directory_that_is_none_is_refused(project: Path) -> None:
    (project / "file").touch()
    for directory in (project / "gone", str(project / "file"), "", 3):
        with pytest.raises(ConfigError, match="must be a directory that exists") as caught:
            Config.load(directory=directory)  # type: ignore[arg-type]
        assert caught.value.key == "directory"


def test_the_log_names_the_files(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    (project / "sen-host.toml").touch()
    with caplog.at_level("DEBUG", "sen_host"):
        load(project)
    assert caplog.messages == [f"configuration file {project / 'sen-host.toml'}"]


def test_an_unknown_backend_is_blamed_on_its_place(project: Path) -> None:
    (project / "sen-host.toml").write_text('# first\nbackend = "wasmtine"\n')
    error = UnknownBackend("no backend 'wasmtine'", key="backend", hint="did you mean ...")
    blamed = load(project).blame(error)
    assert (blamed.source, blamed.hint) == ("sen-host.toml:2", "did you mean ...")
    assert str(blamed).startswith("sen-host.toml:2: no backend 'wasmtine'")
    assert Config.defaults().blame(error) is error


def test_a_configuration_can_be_pickled(project: Path) -> None:
    config = load(project, limits__fuel="5")
    assert pickle.loads(pickle.dumps(config)) == config


def test_configuration_without_files_imports_neither_toml_nor_click(project: Path) -> None:
    code = (
        "import sys; from sen_host.config import Config; Config.load();"
        "print({'click', 'rich', 'tomllib', 'tomli', 'difflib', 'json'} & set(sys.modules))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code],
        cwd=project,
        env={**os.environ, "SEN_HOST_CONFIG": "none", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout == "set()\n"
