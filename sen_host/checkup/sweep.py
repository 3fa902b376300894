"""Arguments to try on a plugin: what its manifest asks for, and what users mistype."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sen_host.checkup.manifest import is_option
from sen_host.messages import ArgSpec, CommandSpec

MANY_ARGUMENTS = 1_000
LONG_CHARACTERS = 10_000
LONGEST_CHARACTERS = 100_000

MOST_PROBES = 2_000
"""A manifest may declare any number of arguments, a check has to end."""


class Probe(NamedTuple):
    """One call to try.

    Attributes:
        args: the arguments.
        what: what they are, in words.
        large: whether they are so large that a plugin may run out of fuel over them.
    """

    args: tuple[str, ...]
    what: str
    large: bool = False


class _Value(NamedTuple):
    text: str
    what: str
    large: bool = False


_HOSTILE = (
    _Value("", "an empty text"),
    _Value("x" * LONG_CHARACTERS, f"{LONG_CHARACTERS:,} characters", large=True),
    _Value("Grüße 👋🏽 e\u0301 \u202eא", "Unicode"),
    _Value("a\0b", "a NUL"),
    _Value("\x1b[2J\r\n\t", "control characters"),
    _Value("0", "zero"),
    _Value("-1", "a negative number"),
    _Value("99999999999999999999", "a number beyond 64 bits"),
    _Value("1e400", "a number beyond floats"),
    _Value("%s%n{0}${x}", "format placeholders"),
    _Value("-", "a lone dash"),
)

_PLAUSIBLE = (_Value("text", "a word"), _Value("1", "a small number"))


def sweep(command: CommandSpec) -> tuple[Probe, ...]:
    """The calls to try, each once: any plugin's first, then those of its own arguments.

    There are at most MOST_PROBES.
    """
    probes: dict[tuple[str, ...], Probe] = {}
    for probe in _all(command):
        probes.setdefault(probe.args, probe)
        if len(probes) == MOST_PROBES:
            break
    return tuple(probes.values())


def usual(command: CommandSpec) -> tuple[str, ...]:
    """A plausible call: every required argument, and nothing else."""
    return tuple(word for argument in command.args for word in _plain(argument))


def _all(command: CommandSpec) -> Iterator[Probe]:
    yield Probe((), "no arguments")
    yield Probe(usual(command), "the required arguments")
    for text, what, large in (*_PLAUSIBLE, *_HOSTILE):
        yield Probe((text,), what, large)
    longest = "x" * LONGEST_CHARACTERS
    yield Probe((longest,), f"{LONGEST_CHARACTERS:,} characters", large=True)
    yield Probe(("--help",), "--help")
    yield Probe(("-h",), "-h")
    yield Probe(("--no-such-option",), "an unknown option")
    yield Probe(("--no-such-option=1",), "an unknown option with a value")
    yield Probe(("-?",), "an unknown short option")
    yield Probe(("--",), "two dashes")
    many = ("x",) * MANY_ARGUMENTS
    yield Probe(many, f"{MANY_ARGUMENTS:,} arguments", large=True)
    yield from _of_command(command, ())


def _of_command(command: CommandSpec, path: tuple[str, ...]) -> Iterator[Probe]:
    where = " ".join((*path, ""))
    yield Probe((*path, *usual(command)), f"{where}with the required arguments")
    for argument in command.args:
        others = [word for other in command.args if other is not argument for word in _plain(other)]
        for text, what, large in _values(argument):
            for words, form in _forms(argument, text):
                args = (
                    (*path, *others, *words)
                    if is_option(argument)
                    else (*path, *_positional(command, argument, text))
                )
                yield Probe(args, f"{where}{form}: {what}", large)
        for name in _option_names(argument):
            yield Probe((*path, *others, name), f"{where}{name} without a value")
            yield Probe((*path, *others, name, "1", name, "2"), f"{where}{name} given twice")
    for sub in command.subcommands:
        yield Probe((*path, sub.name), f"{where}{sub.name} alone")
        yield from _of_command(sub, (*path, sub.name))


def _positional(command: CommandSpec, argument: ArgSpec, text: str) -> Iterator[str]:
    """The text in an argument's place, all arguments in front of it given as well."""
    for other in command.args:
        if other is argument:
            yield text
        elif is_option(other):
            yield from _plain(other)
        elif other.required or command.args.index(other) < command.args.index(argument):
            yield _values(other)[0].text


def _plain(argument: ArgSpec) -> tuple[str, ...]:
    if not argument.required:
        return ()
    words, _ = next(_forms(argument, _values(argument)[0].text))
    return words


def _forms(argument: ArgSpec, text: str) -> Iterator[tuple[tuple[str, ...], str]]:
    if not is_option(argument):
        yield (text,), argument.name
    if argument.long is not None:
        yield (f"--{argument.long}", text), f"--{argument.long}"
        yield (f"--{argument.long}={text}",), f"--{argument.long}="
    if argument.short is not None:
        yield (f"-{argument.short}", text), f"-{argument.short}"


def _option_names(argument: ArgSpec) -> Iterator[str]:
    if argument.long is not None:
        yield f"--{argument.long}"
    if argument.short is not None:
        yield f"-{argument.short}"


def _values(argument: ArgSpec) -> tuple[_Value, ...]:
    """Plausible values, the most likely first, then hostile ones."""
    declared = list(argument.possible_values or ())[:8]
    if argument.default_value is not None:
        declared.insert(0, argument.default_value)
    likely = [_Value(text, "a declared value") for text in declared] or [*_PLAUSIBLE]
    hint = f"{argument.value_name or ''} {argument.name}".lower()
    if not declared and ("url" in hint or "uri" in hint):
        likely.insert(0, _Value("http://example.org/", "a URL"))
    return (*likely, *_HOSTILE)
