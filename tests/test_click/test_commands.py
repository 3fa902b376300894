"""Commands from manifests: what is handed on, what is refused, what is told."""

from __future__ import annotations

import click
import pytest
from click.shell_completion import ShellComplete
from hypothesis import given, settings
from hypothesis import strategies as st

from sen_host import errors
from sen_host.cli import failure
from sen_host.click import mount
from sen_host.errors import TrapKind
from sen_host.messages import ArgSpec, CommandSpec, Error, Success
from tests.test_click.support import Fakes, application, call

TOOL = CommandSpec(
    "tool",
    "Does things",
    version="1.2",
    args=(
        ArgSpec("mode", required=True, possible_values=("fast", "slow"), help="How"),
        ArgSpec("place", default_value="here"),
        ArgSpec("level", long="level", short="l", value_name="N", help="How much"),
        ArgSpec("colour", long="colour", possible_values=("red", "blue"), default_value="red"),
        ArgSpec("quiet", long="quiet", short="q"),
        ArgSpec("very", short="v"),
    ),
)
TREE = CommandSpec(
    "db",
    "A database",
    subcommands=(
        CommandSpec("create", "Make one", args=(ArgSpec("name", required=True),)),
        CommandSpec("user", "Users", subcommands=(CommandSpec("add", "Add a user"),)),
    ),
)


@pytest.mark.parametrize(
    "words",
    [
        ["fast"],
        ["--level", "3", "fast", "there"],
        ["fast", "--level=3"],
        ["fast", "-l3", "-l", "4"],
        ["fast", "--level", "-3"],
        ["fast", "-5"],
        ["fast", "-qv"],
        ["fast", "--", "--level"],
        ["--colour", "blue", "fast"],
        ["fast", "here", "more", "words"],
        ["-q", "anything", "fast"],  # it may be the value of -q
        ["fast", ""],
    ],
    ids=" ".join,
)
def test_a_plugin_gets_the_words_as_they_were_typed(words: list[str]) -> None:
    plugins = Fakes(TOOL)

    done = call(plugins, "tool", *words)

    assert (done.exit_code, done.stdout) == (0, "|".join(words) + "\n")
    assert plugins.calls == [("tool", tuple(words))]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "argument MODE is required"),
        (["quick"], "argument MODE is 'quick', it must be one of: fast, slow"),
        (["fast", "--levle", "3"], "there is no option --levle, did you mean --level?"),
        (["fast", "-x"], "there is no option -x"),
        (["fast", "--level"], "option -l/--level needs a value"),
        (["fast", "--colour=green"], "option --colour is 'green', it must be one of: red, blue"),
        (["fast", "--colour", "red", "--colour", "green"], "is 'green'"),
    ],
)
def test_what_is_surely_wrong_never_reaches_the_plugin(words: list[str], told: str) -> None:
    plugins = Fakes(TOOL)

    done = call(plugins, "tool", *words)

    assert (done.exit_code, plugins.calls) == (2, [])
    assert told in done.stderr
    assert "Try 'app tool --help'" in done.stderr


def test_a_required_option_is_required() -> None:
    spec = CommandSpec("t", "", args=(ArgSpec("key", long="key", required=True),))

    assert "option --key is required" in call(Fakes(spec), "t").stderr
    assert call(Fakes(spec), "t", "--key", "k").exit_code == 0


def test_a_manifest_without_arguments_rules_nothing_out() -> None:
    assert call(Fakes(CommandSpec("t", "")), "t", "--any", "-x", "y").stdout == "--any|-x|y\n"


def test_help_tells_all_that_the_manifest_says() -> None:
    plugins = Fakes(TOOL)

    done = call(plugins, "tool", "quick", "--help")

    assert done.exit_code == 0
    rows = [" ".join(row.split()) for row in done.stdout.splitlines() if row]
    assert rows == [
        "Usage: app tool [OPTIONS] MODE [PLACE]",
        "Does things",
        "Arguments:",
        "MODE How [one of: fast, slow; required]",
        "PLACE [default: here]",
        "Options:",
        "-l, --level N How much",
        "--colour COLOUR [one of: red, blue; default: red]",
        "-q, --quiet",
        "-v",
        "--version Show the version and exit.",
        "--help Show this message and exit.",
    ]
    assert plugins.calls == []
    assert call(plugins, "tool", "--version").stdout == "app tool 1.2\n"


def test_subcommands_are_followed_and_handed_on() -> None:
    plugins = Fakes(TREE)

    assert call(plugins, "db", "create", "x").stdout == "create|x\n"
    assert call(plugins, "db", "user", "add").stdout == "user|add\n"
    assert "Usage: app db create [OPTIONS] NAME" in call(plugins, "db", "create", "--help").stdout
    assert "there is no command drop" in call(plugins, "db", "drop").stderr
    assert "argument NAME is required" in call(plugins, "db", "create").stderr
    assert "create  Make one" in call(plugins, "db", "--help").stdout
    assert call(plugins, "db").exit_code == failure.USAGE
    assert len(plugins.calls) == 2


@pytest.mark.parametrize(
    ("answer", "code"), [(Error(7, "no"), 7), (Error(0, "no"), 1), (Error(255, "no"), 255)]
)
def test_an_error_of_the_plugin_is_on_stderr_with_its_code(answer: Error, code: int) -> None:
    done = call(Fakes(TOOL, answer=lambda _: answer), "tool", "fast")

    assert (done.exit_code, done.stdout, done.stderr) == (code, "", "no\n")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.FuelExhausted("plugin_execute", budget=10), failure.OVER_LIMIT),
        (errors.FunctionCall("plugin_execute", TrapKind.UNREACHABLE), failure.BROKE_OFF),
        (errors.PermissionDenied("notes", ["read x"], "the answer was no"), failure.DENIED),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_a_failure_is_one_message_and_the_exit_code_of_sen_host(
    error: errors.SenHostError, code: int
) -> None:
    def fail(_: object) -> Success:
        raise error

    done = call(Fakes(TOOL, answer=fail), "tool", "fast")

    assert done.exit_code == code
    assert done.stderr.startswith(f"error: tool: {error.message}\n")
    assert "Traceback" not in done.output


def test_a_plugin_never_takes_the_place_of_a_command() -> None:
    plugins = Fakes(CommandSpec("own", "FORGED"), TOOL)

    assert call(plugins, "own").stdout == "the application's own\n"
    listed = call(plugins, "--help").stdout
    assert "FORGED" not in listed
    assert "Plugins whose names the application has already are not commands: own." in listed


def test_mounting_into_a_group_that_exists(caplog: pytest.LogCaptureFixture) -> None:
    plugins = Fakes(CommandSpec("own", "FORGED"), CommandSpec("a\x1b[2J", ""), TOOL)
    group = click.Group("app", {"own": click.Command("own", help="mine")})

    assert mount(group, plugins) == ("own", "a\x1b[2J")
    assert set(group.commands) == {"own", "tool"}
    assert group.commands["own"].help == "mine"
    assert "are not commands: own, a\\x1b[2J" in caplog.text


@pytest.mark.parametrize(
    ("words", "start", "expected"),
    [
        ([], "", ["own", "tool", "db"]),
        (["tool"], "", ["fast", "slow"]),
        (["tool"], "--", ["--level", "--colour", "--quiet", "--version", "--help"]),
        (["tool", "--colour"], "b", ["blue"]),
        (["tool", "--level"], "", []),
        (["tool", "fast"], "", []),
        (["db"], "", ["create", "user"]),
        (["db", "user"], "", ["add"]),
    ],
)
def test_completion(words: list[str], start: str, expected: list[str]) -> None:
    plugins = Fakes(TOOL, TREE)
    found = ShellComplete(application(plugins), {}, "app", "_APP").get_completions(words, start)

    assert [item.value for item in found] == expected
    assert plugins.calls == []


# --- any words, any manifest ---------------------------------------------------

NASTY = [
    "\x1b[31mred",
    "a\nError: forged",
    "--help",
    "-h",
    "\u202e",
    "[bold]x",
    "a=b",
    "=",
    "ok",
    "",
]
TEXTS = st.one_of(st.text(max_size=12), st.sampled_from(NASTY))
SHORTS = st.one_of(st.none(), st.characters(codec="utf-8"))
ARGS = st.builds(
    ArgSpec,
    name=TEXTS,
    long=st.none() | TEXTS,
    short=SHORTS,
    required=st.booleans(),
    help=TEXTS,
    value_name=st.none() | TEXTS,
    default_value=st.none() | TEXTS,
    possible_values=st.none() | st.lists(TEXTS, max_size=3).map(tuple),
)
WORDS = st.lists(
    st.one_of(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6),
        st.sampled_from(["--", "-", "--a=b", "-q", "fast", "--level", "-3", "--help"]),
    ),
    max_size=6,
)


@settings(max_examples=60, deadline=None)
@given(
    args=st.lists(ARGS, max_size=5),
    about=TEXTS,
    below=st.lists(TEXTS, max_size=2),
    words=WORDS,
)
def test_a_hostile_manifest_neither_breaks_nor_forges_anything(
    args: list[ArgSpec], about: str, below: list[str], words: list[str]
) -> None:
    subcommands = tuple(CommandSpec(name, about) for name in below)
    plugins = Fakes(
        CommandSpec("t", about, version=about, args=tuple(args), subcommands=subcommands)
    )
    for line in (["--help"], ["t", "--help"], ["t", *words]):
        done = call(plugins, *line)
        assert done.exception is None or isinstance(done.exception, SystemExit)
        assert done.exit_code in (0, 2, failure.USAGE)
        if not plugins.calls:
            shown = done.output
            assert not any(ord(letter) < 32 and letter != "\n" for letter in shown)
            assert "\u202e" not in shown
            assert not any(row.startswith("Error: forged") for row in shown.splitlines())
    for name, given_words in plugins.calls:
        assert (name, given_words) == ("t", tuple(words))


@settings(max_examples=150, deadline=None)
@given(
    level=st.none() | st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1),
    mode=st.sampled_from(["fast", "slow"]),
    place=st.none() | st.text(min_size=1).filter(lambda text: not text.startswith("-")),
    joined=st.booleans(),
    first=st.booleans(),
)
def test_what_is_written_by_the_manifest_is_read_so(
    level: str | None, mode: str, place: str | None, joined: bool, first: bool
) -> None:
    from sen_host.click.syntax import Syntax

    words = [mode] if place is None else [mode, place]
    option = [] if level is None else [f"--level={level}"] if joined else ["--level", level]
    words = [*option, *words] if first else [*words, *option]

    syntax = Syntax(TOOL)
    scanned = syntax.scan(words)
    syntax.check(scanned)

    assert scanned.positionals == ((mode,) if place is None else (mode, place))
    assert scanned.values == ({} if level is None else {("-l", "--level"): [level]})


def test_many_options_and_deep_subcommands() -> None:
    many = tuple(ArgSpec(f"o{n}", long=f"option-{n}", short="o") for n in range(3000))
    spec = CommandSpec("leaf", "the leaf")
    for _ in range(62):
        spec = CommandSpec("n", "", subcommands=(spec,))
    plugins = Fakes(CommandSpec("many", "", args=many), spec)

    assert call(plugins, "many", "--option-2999").stdout == "--option-2999\n"
    assert "--option-2999" in call(plugins, "many", "--help").stdout
    deep = [*["n"] * 61, "leaf"]
    assert call(plugins, "n", *deep).stdout == "|".join(deep) + "\n"
    assert "the leaf" in call(plugins, "n", *deep, "--help").stdout
