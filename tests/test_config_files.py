"""Configuration files: what is refused, with file and line; and files that are broken."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sen_host.cache.settings import CacheSettings
from sen_host.config import Config
from sen_host.config.toml_lines import key_lines
from sen_host.errors import ConfigError, InvalidLimit

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def load(directory: Path) -> Config:
    return Config.load(directory=directory, environ={"SEN_HOST_CONFIG": "none"})


def refused(directory: Path, text: str | bytes, name: str = "sen-host.toml") -> ConfigError:
    data = text.encode() if isinstance(text, str) else text
    (directory / name).write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        load(directory)
    return caught.value


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("sen-host.toml", "\n[cache]\nenabled = false", 2),
        ("sen-host.toml", 'cache.directory = "/tmp/x"', 1),
        ("sen-host.toml", "cache = {}", 1),
        ("pyproject.toml", '[tool.sen-host.cache]\ndirectory = "/tmp/x"', 1),
    ],
)
def test_a_project_has_no_say_in_the_cache(tmp_path: Path, name: str, text: str, line: int) -> None:
    error = refused(tmp_path, text, name)
    assert error.source == f"{name}:{line}"
    assert "a project may not say how compiled modules are kept" in error.message
    assert "your own configuration file" in (error.hint or "")


def user_config(tmp_path: Path, text: str) -> Config:
    file = tmp_path / "config.toml"
    file.write_text(text)
    project = tmp_path / "project"
    project.mkdir(exist_ok=True)
    return Config.load(directory=project, environ={"SEN_HOST_CONFIG": str(file)})


def test_users_say_how_their_compiled_modules_are_kept(tmp_path: Path) -> None:
    config = user_config(
        tmp_path, '[cache]\nenabled = false\ndirectory = "/x"\nmax_bytes = "2 GiB"'
    )
    assert config.cache == CacheSettings(enabled=False, directory="/x", max_bytes=2 << 30)
    assert str(config.origins["cache.enabled"]) == f"{tmp_path / 'config.toml'}:2"


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("cache = 1", "cache is 1; it must be a table", "write [cache]"),
        ("[cache]\nenabled = 1", "cache.enabled is 1; it must be true or false", ""),
        ('[cache]\nenabled = "no"', "cache.enabled is 'no'; it must be true or false", ""),
        ("[cache]\nmax_bytes = true", "cache.max_bytes is true; it must be a number", ""),
        ("[cache]\nmax_bytes = 1e9", "cache.max_bytes is 1000000000.0; it must be", ""),
        ("[cache]\ndirectory = 3", "cache.directory is 3; it must be an absolute path", ""),
        ("[cache]\nsize = 3", "unknown key 'size'", "allowed: enabled, directory, max_bytes"),
        ("max_bytes = 3", "unknown key 'max_bytes'", "max_bytes belongs in the table [cache]"),
        ("[cahce]", "unknown key 'cahce'", "did you mean 'cache'?"),
    ],
)
def test_cache_settings_are_checked(tmp_path: Path, text: str, said: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        user_config(tmp_path, text)
    assert said in caught.value.message
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("text", "line", "said", "hint"),
    [
        ('bakend = "wasmer"', 1, "unknown key 'bakend'", "did you mean 'backend'?"),
        ("\n[limits]\nfule = 1", 3, "unknown key 'fule'", "did you mean 'fuel'?"),
        ("timeout = 5", 1, "unknown key 'timeout'",
         "wall_clock_seconds belongs in the table [limits]"),
        ("[limits]\ntimeout = 5", 2, "unknown key 'timeout'",
         "did you mean 'wall_clock_seconds'? allowed: fuel"),
        ("[limits]\nresult-size = 5", 2, "unknown key 'result-size'",
         "did you mean 'result_bytes'?"),
        ("# a\nfuel = 1", 2, "unknown key 'fuel'", "fuel belongs in the table [limits]"),
        ("[limit]\nfuel = 1", 1, "unknown key 'limit'", "did you mean 'limits'?"),
        ("limits = 5", 1, "limits is 5; it must be a table", "write [limits]"),
        ("[[limits]]", 1, "it must be a table", "write [limits]"),
        ('"limits.fuel" = 1', 1, "unknown key 'limits.fuel'", "limits"),
        ("limits.limits.fuel = 1", 1, "unknown key 'limits'", "allowed: fuel"),
        ("backend = 1", 1, "backend is 1; it must be a name", None),
        ('backend = ""', 1, "backend is ''", None),
        ("backend = true", 1, "backend is true; it must be a name", None),
        ("isolation = false", 1, "isolation is false", "allowed: auto, none, process"),
        ('accept = "simd"', 1, "accept is 'simd'; it must be a list of names",
         "allowed: simd, externref-elements"),
        ("accept = [1]", 1, "accept is [1]; it must be a list of names", "allowed: simd"),
        ("accept = true", 1, "accept is true; it must be a list of names", "allowed: simd"),
        ('# a\naccept = ["simd", "smid"]', 2, "accept has 'smid', which is no exception",
         "did you mean 'simd'?"),
        ('accept = ["none"]', 1, "accept has 'none', which is no exception", "allowed: simd"),
        ('[limits]\naccept = ["simd"]', 2, "unknown key 'accept'", "allowed: fuel"),
        ('isolation = "thread"', 1, "isolation is 'thread'", "allowed: auto, none, process"),
    ],
)  # fmt: skip
def test_what_is_not_a_setting_is_refused(
    tmp_path: Path, text: str, line: int, said: str, hint: str | None
) -> None:
    error = refused(tmp_path, text)
    assert error.source == f"sen-host.toml:{line}"
    assert said in error.message
    assert (hint is None) == (error.hint is None)
    assert hint is None or hint in (error.hint or "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('fuel = "5"', "limits.fuel is '5'; it must be a whole number, or \"none\" for no limit"),
        ("fuel = 1.0", "limits.fuel is 1.0; it must be a whole number"),
        ("fuel = true", "limits.fuel is true; it must be a whole number"),
        ("fuel = -1", "limits.fuel is -1; it must be a whole number from 0 to"),
        (f"fuel = 0x{'f' * 4000}", "a number of more than 60 digits"),
        ("fuel = 2026-11-22", "it must be a whole number"),
        ("fuel = [1]", "limits.fuel is [1]"),
        ('memory_bytes = "64 MB"', "units: B, KiB, MiB, GiB"),
        ("memory_bytes = 0.5", "limits.memory_bytes is 0.5"),
        ('stack_bytes = "none"', "limits.stack_bytes is 'none'"),
        ('stack_bytes = "3 MiB"', "limits.stack_bytes is 3145728"),
        ('wall_clock_seconds = "5"', "it must be a number of seconds, or"),
        ("wall_clock_seconds = nan", "it must be a number of seconds above 0"),
        ("wall_clock_seconds = 0", "it must be a number of seconds above 0"),
    ],
)
def test_limits_of_the_wrong_type_or_range_are_refused(
    tmp_path: Path, text: str, said: str
) -> None:
    error = refused(tmp_path, f"[limits]\n{text}\n")
    assert isinstance(error, InvalidLimit)
    assert error.source == "sen-host.toml:2"
    assert said in error.message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('fuel = "none"', None),
        ("fuel = 0", 0),
        ("fuel = 0x10", 16),
        ('memory_bytes = "1 GiB"', 1 << 30),
        ("memory_bytes = 65_536", 65536),
        ("wall_clock_seconds = 2.5", 2.5),
        ('table_elements = "none"', None),
    ],
)
def test_limits_that_are_accepted(tmp_path: Path, text: str, value: object) -> None:
    (tmp_path / "sen-host.toml").write_text(f"[limits]\n{text}\n")
    key = f"limits.{text.split()[0]}"
    assert load(tmp_path).value(key) == value


@pytest.mark.parametrize(
    ("data", "source", "said"),
    [
        (b"backend = \n", "sen-host.toml:1", "not valid TOML: Invalid value"),
        (b'\n\nbackend = "a', "sen-host.toml:3", "not valid TOML: Unterminated string"),
        (b"limits.fuel = 1\nlimits.fuel = 2\n", "sen-host.toml:2", "not valid TOML"),
        (b"fuel = " + b"9" * 5000, "sen-host.toml", "not valid TOML"),
        (b"a = " + b"[" * 50_000, "sen-host.toml", "not valid TOML"),
        (b'# ok\nbackend = "\xff"\n', "sen-host.toml:2", "not text in UTF-8 (byte 0xff)"),
        ("backend = 'a'".encode("utf-16"), "sen-host.toml:1", "not text in UTF-8"),
        (b"\0asm\1\0\0\0", "sen-host.toml:1", "not valid TOML"),
        (b"#" * (1 << 20) + b"\n", "sen-host.toml", "larger than 1 MiB"),
    ],
)
def test_broken_files_are_told(tmp_path: Path, data: bytes, source: str, said: str) -> None:
    error = refused(tmp_path, data)
    assert (error.source or "").startswith(source)
    assert said in error.message
    assert len(error.message) < 300


def test_the_line_is_that_of_pyproject(tmp_path: Path) -> None:
    text = '[project]\nname = "x"\n\n[tool.sen-host.limits]\nfuel = "x"\n'
    error = refused(tmp_path, text, "pyproject.toml")
    assert error.source == "pyproject.toml:5"


def test_a_broken_pyproject_that_configures_sen_host_is_told(tmp_path: Path) -> None:
    error = refused(tmp_path, "[tool.sen-host]\nbackend =", "pyproject.toml")
    assert error.source == "pyproject.toml:2"


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    (tmp_path / "sen-host.toml").write_bytes(b'\xef\xbb\xbf# x\r\nbackend = "w"\r\n')
    config = load(tmp_path)
    assert (config.backend, str(config.origins["backend"])) == ("w", "sen-host.toml:2")


def test_a_directory_or_a_pipe_in_place_of_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "sen-host.toml").mkdir()
    with pytest.raises(ConfigError, match=r"sen-host\.toml: it is a directory"):
        load(tmp_path)
    (tmp_path / "sen-host.toml").rmdir()
    os.mkfifo(tmp_path / "sen-host.toml")
    with pytest.raises(ConfigError, match="it is not a regular file"):
        load(tmp_path)


def test_a_link_to_nowhere_is_told(tmp_path: Path) -> None:
    (tmp_path / "sen-host.toml").symlink_to("gone.toml")
    with pytest.raises(ConfigError, match="the link leads nowhere: No such file"):
        load(tmp_path)


def test_an_unreadable_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "sen-host.toml"
    path.write_text("")
    path.chmod(0)
    if os.access(path, os.R_OK):  # root reads everything

        def denied(*_: object, **__: object) -> Any:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("builtins.open", denied)
    with pytest.raises(ConfigError, match=r"sen-host\.toml: .* cannot be read: Permission denied"):
        load(tmp_path)


_words = (
    """backend limits .fuel fuel memory_bytes = [ ] [[ { } " \' 1 none # , \\ 0x - inf "1 MiB" é"""
)
_fragments = st.sampled_from([*_words.split(), " ", "\n", "\t", "\0"])


@given(
    st.binary(max_size=60) | st.lists(_fragments, max_size=25).map(lambda s: "".join(s).encode())
)
def test_any_content_is_a_configuration_or_a_clear_error(content: bytes) -> None:
    with TemporaryDirectory() as directory:
        path = Path(directory, "sen-host.toml")
        path.write_bytes(content)
        source: str | None = path.name
        try:
            load(path.parent)
        except ConfigError as error:
            source = error.source
    assert source is not None
    assert source.startswith(path.name)


# --- the lines of keys -----------------------------------------------------------


def test_lines_of_every_form_of_key_and_value() -> None:
    text = '''\
# comment = 1
a = 1
"b c" = 'x = 2' # d = 1
e.f . "g" = """
h = 1
\\""" i = 2 """"

[ j . 'k' ] # l
m = [ 1, # n = 1
  "]", { o = 1, p.q = "}" }, 1979-05-27 07:32:00,
]
r = { s = 1979-05-27 07:32:00, t = [
  2,
] , u = 3 }
v = \'\'\'
w = 1
\'\'\'\'\'
[[x]]
y = 1
[[x]]
"\\u007a" = -inf
'''
    tomllib.loads(text)
    joined = {".".join(path): line for path, line in key_lines(text).items()}
    assert joined == {
        "a": 2,
        "b c": 3,
        "e": 4,
        "e.f": 4,
        "e.f.g": 4,
        "j": 8,
        "j.k": 8,
        "j.k.m": 9,
        "j.k.m.o": 10,
        "j.k.m.p": 10,
        "j.k.m.p.q": 10,
        "j.k.r": 12,
        "j.k.r.s": 12,
        "j.k.r.t": 12,
        "j.k.r.u": 14,
        "j.k.v": 15,
        "x": 18,
        "x.y": 19,
        "x.z": 21,
    }


_scalars = st.one_of(
    st.integers(-9, 9).map(str),
    st.sampled_from(["true", "-nan", "1e3", "07:32:00", "1979-05-27 07:32:00Z", "0x1f"]),
    st.sampled_from(['"#]}=,"', "'\"[{'", '"\\""', "''", '""""k = 1\n\\""""""', "'''\n[t]\n'''''"]),
)
_values = st.recursive(
    _scalars,
    lambda values: st.one_of(
        st.lists(values, max_size=3).map(lambda items: "[ # ]\n" + ",\n".join(items) + "\n]"),
        st.lists(values, max_size=3).map(
            lambda items: "{" + ", ".join(f"i{n} = {v}" for n, v in enumerate(items)) + "}"
        ),
    ),
    max_leaves=5,
)
_names = st.sampled_from(["{}", '"{}"', "'{}'", ' "{}" ', "{}.sub", '"{}.dot" . x'])
_gaps = st.sampled_from(["", "\n", "# k = 1\n", "  \t\n\n"])


@given(st.lists(st.tuples(_gaps, st.booleans(), _names, _values), max_size=6))
def test_every_key_of_any_document_is_found_on_its_line(
    items: list[tuple[str, bool, str, str]],
) -> None:
    text = ""
    expected = {}
    for number, (gap, is_header, form, value) in enumerate(items):
        text += gap
        key = form.format(f"key{number}")
        expected[f"key{number}"] = text.count("\n") + 1
        text += f"[{key}]\n" if is_header else f"{key} = {value} # end\n"
    tomllib.loads(text)
    found: dict[str, int] = {}
    for path, line in key_lines(text).items():
        for part in path:
            name = part.removesuffix(".dot")
            if name in expected:
                found.setdefault(name, line)
    assert found == expected


@pytest.mark.parametrize(
    ("line", "quotes"),
    [
        ("backend = wasmer", True),
        ("limits.memory_bytes = 64 MiB", True),
        ("limits.memory_bytes = 64MiB # much", True),
        ("limits.fuel = none", True),
        ("limits = { memory_bytes = 1 GiB }", True),
        ('backend = "wasmer', False),
        ("limits.fuel = 1,000", False),
        ("limits.fuel = 0xZZ", False),
        ("backend", False),
        ("= 3", False),
    ],
)
def test_text_without_quotes_is_told(tmp_path: Path, line: str, quotes: bool) -> None:
    error = refused(tmp_path, f"# first\n{line}\n[limits]\n")
    assert error.message.startswith("sen-host.toml:2: not valid TOML: ")
    assert error.hint == ("put quotes around text" if quotes else None)
