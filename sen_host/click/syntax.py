"""What a manifest says of a command line, and what is surely wrong with one.

A plugin gets its words as they were typed, as from the Rust host, and parses them itself.
A manifest cannot say everything that a plugin takes: not that a positional argument may be
repeated, nor that an option has no value. So only what is wrong in every reading is refused;
the rest is for the plugin to judge.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from sen_host.messages import ArgSpec, CommandSpec
from sen_host.records import record

_LONG = re.compile(r"[^\W_][^\s=]{0,99}\Z")
_NUMBER = re.compile(r"-\.?\d")


class WrongUse(Exception):
    """The command line is not one that the manifest allows; the text says why."""


@record(frozen=True, slots=True)
class Option:
    """An option that can be typed.

    Attributes:
        spec: what the manifest says of it.
        names: ``-s`` and ``--long``, those of them that it has.
        takes_value: whether it surely has a value; if not, nobody but the plugin knows.
    """

    spec: ArgSpec
    names: tuple[str, ...]
    takes_value: bool


@record(frozen=True, slots=True)
class Scanned:
    """A command line in its parts.

    Attributes:
        values: what each option was given, by its names joined; None where nothing is known.
        positionals: the other words.
        uncertain: whether one of those may be the value of an option.
        unknown: the first word that looks like an option and is none.
        pending: the option that the last word was, if it lacks its value.
        wants: "help" or "version" if that was asked for.
    """

    values: dict[tuple[str, ...], list[str | None]]
    positionals: tuple[str, ...]
    uncertain: bool
    unknown: str | None
    pending: Option | None
    wants: str | None


class Syntax:
    """The syntax of one command, without those below it."""

    def __init__(self, spec: CommandSpec) -> None:
        self.spec = spec
        self.positionals = tuple(arg for arg in spec.args if not (arg.long or arg.short))
        self.options: list[Option] = []
        self.by_name: dict[str, Option] = {}
        self.left_out: list[ArgSpec] = []
        for arg in spec.args:
            if arg.long or arg.short:
                self._add(arg)

    def _add(self, arg: ArgSpec) -> None:
        wanted = []
        if arg.short and arg.short.isprintable() and arg.short not in "-= ":
            wanted.append(f"-{arg.short}")
        if arg.long and arg.long.isprintable() and _LONG.match(arg.long):
            wanted.append(f"--{arg.long}")
        # --help is the application's, and the first of two with one name has it.
        names = tuple(name for name in wanted if name != "--help" and name not in self.by_name)
        if not names:
            self.left_out.append(arg)
            return
        takes = bool(
            arg.value_name or arg.possible_values or arg.required or arg.default_value is not None
        )
        option = Option(arg, names, takes)
        self.options.append(option)
        self.by_name.update(dict.fromkeys(names, option))

    @property
    def has_version(self) -> bool:
        """Whether ``--version`` shows the manifest's version."""
        return self.spec.version is not None and "--version" not in self.by_name

    def scan(self, words: Sequence[str]) -> Scanned:
        """Take a command line apart. Nothing is refused."""
        return _Scan(self, words).result()

    def check(self, scanned: Scanned) -> None:
        """Refuse what is wrong in every reading.

        Raises:
            WrongUse
        """
        if not self.spec.args:
            return  # the manifest tells nothing
        if scanned.unknown is not None and not self.left_out:
            raise WrongUse(self._no_such(scanned.unknown))
        if scanned.pending is not None and scanned.pending.takes_value:
            raise WrongUse(f"option {'/'.join(scanned.pending.names)} needs a value")
        for option in self.options:
            given = scanned.values.get(option.names)
            if given is None and option.spec.required and option.spec.default_value is None:
                raise WrongUse(f"option {'/'.join(option.names)} is required")
            for value in given or ():
                if value is not None:
                    _check_choice(f"option {'/'.join(option.names)}", option.spec, value)
        self._check_positionals(scanned)

    def _check_positionals(self, scanned: Scanned) -> None:
        words = scanned.positionals
        required = [arg for arg in self.positionals if arg.required and arg.default_value is None]
        if len(words) < len(required):
            raise WrongUse(f"argument {placeholder(required[len(words)])} is required")
        # With words to spare, those in front of a required one may be left out or not.
        in_order = required == list(self.positionals[: len(required)])
        if in_order and not scanned.uncertain:
            for arg, word in zip(self.positionals, words):  # noqa: B905 - more words may follow
                _check_choice(f"argument {placeholder(arg)}", arg, word)

    def _no_such(self, word: str) -> str:
        from difflib import get_close_matches

        near = get_close_matches(word[:100], list(self.by_name)[:1000], 1)
        meant = f", did you mean {near[0]}?" if near else ""
        return f"there is no option {word.partition('=')[0][:100]}{meant}"


def placeholder(arg: ArgSpec) -> str:
    """What stands for a value in the help text."""
    return arg.value_name or arg.name.upper()


def _check_choice(where: str, arg: ArgSpec, value: str) -> None:
    if arg.possible_values and value not in arg.possible_values:
        shown = ", ".join(arg.possible_values[:20])
        more = len(arg.possible_values) - 20
        raise WrongUse(
            f"{where} is {value[:100]!r}, it must be one of: {shown}"
            + (f" and {more:,} more" if more > 0 else "")
        )


class _Scan:
    def __init__(self, syntax: Syntax, words: Sequence[str]) -> None:
        self._by_name = syntax.by_name
        self._version = syntax.has_version
        self._values: dict[tuple[str, ...], list[str | None]] = {}
        self._positionals: list[str] = []
        self._uncertain = False
        self._unknown: str | None = None
        self._open: Option | None = None
        self._wants: str | None = None
        self._read(words)

    def _read(self, words: Sequence[str]) -> None:
        for number, word in enumerate(words):
            if self._open is not None and self._open.takes_value:
                self._give(self._open, word)
            elif word == "--":
                self._open = None
                self._positionals += words[number + 1 :]
                break
            elif word.startswith("--"):
                self._long(word)
            elif len(word) > 1 and word.startswith("-") and not self._is_number(word):
                self._short(word)
            else:
                self._positional(word)

    def result(self) -> Scanned:
        return Scanned(
            self._values,
            tuple(self._positionals),
            self._uncertain,
            self._unknown,
            self._open,
            self._wants,
        )

    def _positional(self, word: str) -> None:
        if self._open is not None:
            self._uncertain = True
        self._open = None
        self._positionals.append(word)

    def _is_number(self, word: str) -> bool:
        return bool(_NUMBER.match(word)) and word[:2] not in self._by_name

    def _long(self, word: str) -> None:
        name, joined, value = word.partition("=")
        option = self._by_name.get(name)
        if option is not None:
            self._named(option)
            if joined:
                self._give(option, value)
            return
        self._open = None
        if word == "--help":
            self._wants = self._wants or "help"
        elif word == "--version" and self._version:
            self._wants = self._wants or "version"
        else:
            self._unknown = self._unknown or word

    def _short(self, word: str) -> None:
        for place in range(1, len(word)):
            option = self._by_name.get(f"-{word[place]}")
            rest = word[place + 1 :]
            if option is None:
                self._open = None
                self._unknown = self._unknown or f"-{word[place]}"
                return
            self._named(option)
            # -lw: two options; -r5: a value, joined.
            if rest and (option.takes_value or f"-{rest[0]}" not in self._by_name):
                self._give(option, rest)
                return

    def _named(self, option: Option) -> None:
        self._values.setdefault(option.names, []).append(None)
        self._open = option

    def _give(self, option: Option, value: str) -> None:
        self._values[option.names][-1] = value
        self._open = None
