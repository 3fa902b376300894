"""What a manifest says, and whether a host can make sense of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from sen_host.checkup.findings import Area, Finding, Level
from sen_host.messages import ArgSpec, Capabilities, CommandSpec, PluginManifest

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_SPACE = re.compile(r"\s")


def check_manifest(manifest: PluginManifest) -> Iterator[Finding]:
    """All findings in a manifest, with the path to each place."""
    yield from _command(manifest.command, "command")
    yield from _capabilities(manifest.capabilities)


def _command(command: CommandSpec, at: str) -> Iterator[Finding]:
    yield from _name(command.name, f"{at}.name", "the name of a command")
    for label in ("about", "version", "author"):
        yield from _text(getattr(command, label) or "", f"{at}.{label}")
    if not command.about.strip():
        yield _note("a command has no description", f"{at}.about", "say in one line what it does")
    for number, argument in enumerate(command.args):
        yield from _argument(argument, f"{at}.args[{number}]")
    yield from _duplicates(command, at)
    yield from _order(command, at)
    for number, sub in enumerate(command.subcommands):
        yield from _command(sub, f"{at}.subcommands[{number}]")


def _argument(argument: ArgSpec, at: str) -> Iterator[Finding]:
    yield from _name(argument.name, f"{at}.name", "the name of an argument")
    yield from _text(argument.help, f"{at}.help")
    yield from _text(argument.value_name or "", f"{at}.value_name")
    yield from _long(argument.long, f"{at}.long")
    short = argument.short
    if short is not None and (short in "-=" or _SPACE.match(short) or _CONTROL.match(short)):
        yield _error(
            f"{short!r} cannot be the short name of an option",
            f"{at}.short",
            "use a letter or a digit, without a dash",
        )
    if (argument.long, short) in (("help", short), (argument.long, "h")):
        yield _warning(
            "an option has the name of the host's own help",
            f"{at}.{'long' if argument.long == 'help' else 'short'}",
            "leave --help and -h to the host, or be sure that they show help",
        )
    yield from _values(argument, at)


def _long(long: str | None, at: str) -> Iterator[Finding]:
    if long is None:
        return
    remedy = "use letters, digits and single dashes between them, e.g. 'dry-run'"
    if not long:
        yield _error("the long name of an option is empty", at, remedy)
    elif long.startswith("-"):
        yield _error("the long name of an option begins with a dash", at, "leave the dashes out")
    elif "=" in long or _SPACE.search(long) or _CONTROL.search(long):
        yield _error(f"{long!r} cannot be the long name of an option", at, remedy)


def _values(argument: ArgSpec, at: str) -> Iterator[Finding]:
    default, possible = argument.default_value, argument.possible_values
    if argument.required and default is not None:
        yield _warning(
            "an argument is required, so its default is never used",
            at,
            "drop the default, or 'required'",
        )
    if possible is None:
        return
    if not possible:
        yield _error(
            "an argument has an empty list of possible values",
            f"{at}.possible_values",
            "leave the list out if any value will do",
        )
    elif default is not None and default not in possible:
        yield _error(
            f"the default {default!r} is not one of the possible values",
            f"{at}.default_value",
            "add it to them, or choose one of them",
        )
    for value, count in Counter(possible).items():
        if count > 1:
            yield _warning(
                f"the possible value {value!r} stands {count} times",
                f"{at}.possible_values",
                "name each value once",
            )


def _duplicates(command: CommandSpec, at: str) -> Iterator[Finding]:
    listed: tuple[tuple[str, Iterable[str | None]], ...] = (
        ("arguments have the name", (arg.name for arg in command.args)),
        ("options have the long name", (arg.long for arg in command.args)),
        ("options have the short name", (arg.short for arg in command.args)),
        ("subcommands have the name", (sub.name for sub in command.subcommands)),
    )
    for what, names in listed:
        for name, count in Counter(name for name in names if name is not None).items():
            if count > 1:
                yield _error(
                    f"{count} {what} {name!r}", at, "give each a name of its own within a command"
                )


def _order(command: CommandSpec, at: str) -> Iterator[Finding]:
    optional = None
    for number, argument in enumerate(command.args):
        if is_option(argument):
            continue
        if not argument.required:
            optional = optional or argument
        elif optional is not None:
            yield _error(
                f"the required argument {argument.name!r} comes after the optional"
                f" {optional.name!r}",
                f"{at}.args[{number}]",
                "let required arguments come first, or make one of the two an option",
            )
    if command.subcommands and any(not is_option(argument) for argument in command.args):
        yield _warning(
            "a command has arguments by position and subcommands:"
            " a host cannot tell which a word is",
            at,
            "give the arguments to the subcommands, or make them options",
        )


def is_option(argument: ArgSpec) -> bool:
    """Whether an argument is given by name; otherwise it goes by position."""
    return argument.long is not None or argument.short is not None


def _capabilities(asked: Capabilities) -> Iterator[Finding]:
    named: list[tuple[str, str]] = []
    for field in ("fs_read", "fs_write"):
        named += [
            (f"capabilities.{field}[{number}].pattern", item.pattern)
            for number, item in enumerate(getattr(asked, field))
        ]
    named += [(f"capabilities.env_read[{n}]", name) for n, name in enumerate(asked.env_read)]
    hosts = [(f"capabilities.net[{n}].host", item.host) for n, item in enumerate(asked.net)]
    for at, text in named + hosts:
        if not text:
            yield _error("a wish for a capability is empty", at, "name what the plugin needs")
        yield from _text(text, at)
    for at, host in hosts:
        if "/" in host or ":" in host or "@" in host:
            yield _error(
                f"{host!r} is not the name of a network host",
                at,
                "name the host alone; port and protocol have fields of their own",
            )


def _name(name: str, at: str, what: str) -> Iterator[Finding]:
    remedy = "use letters, digits and dashes"
    if not name:
        yield _error(f"{what} is empty", at, remedy)
    elif name.startswith("-"):
        yield _error(f"{what} begins with a dash", at, remedy)
    elif _CONTROL.search(name):
        yield _error(f"{what} has control characters", at, remedy)
    elif _SPACE.search(name):
        yield _warning(f"{what} has white space", at, remedy)


def _text(text: str, at: str) -> Iterator[Finding]:
    if _CONTROL.search(text):
        yield _warning("a text for people has control characters", at, "use plain text on one line")


def _error(what: str, at: str, remedy: str) -> Finding:
    return Finding(Level.ERROR, Area.MANIFEST, what, (at,), remedy)


def _warning(what: str, at: str, remedy: str) -> Finding:
    return Finding(Level.WARNING, Area.MANIFEST, what, (at,), remedy)


def _note(what: str, at: str, remedy: str) -> Finding:
    return Finding(Level.NOTE, Area.MANIFEST, what, (at,), remedy)
