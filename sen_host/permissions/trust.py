"""Trust flags: options of an application by which its user trusts plugins for one run."""

from __future__ import annotations

import re

from sen_host.errors import ConfigError
from sen_host.permissions.words import shown
from sen_host.records import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_FLAG = re.compile(r"--?[A-Za-z][A-Za-z0-9_-]*\Z")


@record(frozen=True, slots=True)
class Trust:
    """Whom the user trusts for this run: they get all that they ask for, nothing is stored.

    Attributes:
        plugins: names of plugins.
        commands: commands with their words, e.g. ``("db", "create")``.
        everything: every plugin. For development only.

    Raises:
        ConfigError: a name is empty or has characters that are not printable.
    """

    plugins: frozenset[str] = frozenset()
    commands: frozenset[tuple[str, ...]] = frozenset()
    everything: bool = False

    def __post_init__(self) -> None:
        for name in (*self.plugins, *(word for words in self.commands for word in words)):
            _check_name(name)
        if () in self.commands:
            raise ConfigError("a trusted command has no name", key="trust")

    def covers(self, plugin: str, command_path: tuple[str, ...] = ()) -> bool:
        """Whether the plugin, or this command of it, is trusted."""
        words = (*plugin.split(":"), *command_path)
        return self.everything or plugin in self.plugins or words in self.commands

    def check_known(self, plugins: Iterable[str]) -> None:
        """Look for typing errors: every trusted plugin has to be one of these.

        Raises:
            ConfigError: one is not; it tells the name that is nearest.
        """
        known = sorted(plugins)
        unknown = sorted(self.plugins.difference(known))
        if unknown:
            from difflib import get_close_matches

            near = get_close_matches(unknown[0], known, 1)
            raise ConfigError(
                f"there is no plugin {shown(unknown[0], 80)!r} that could be trusted",
                key="trust",
                hint=f"did you mean {shown(near[0])!r}?" if near else None,
            )

    def __or__(self, other: Trust) -> Trust:
        return Trust(
            self.plugins | other.plugins,
            self.commands | other.commands,
            self.everything or other.everything,
        )


@record(frozen=True, slots=True)
class TrustFlags:
    """The options of an application that make up a ``Trust``.

    Attributes:
        plugin: options that take the name of a plugin.
        command: options that take a command, e.g. ``db:create``.
        aliases: options without a value, each with the trust that it stands for, e.g.
            ``("--yolo", Trust(everything=True))``.

    Raises:
        ConfigError: an option does not look like one, or is there twice.
    """

    plugin: tuple[str, ...] = ("--trust-plugin",)
    command: tuple[str, ...] = ("--trust-command",)
    aliases: tuple[tuple[str, Trust], ...] = ()

    def __post_init__(self) -> None:
        flags = (*self.plugin, *self.command, *(flag for flag, _ in self.aliases))
        for flag in flags:
            if not _FLAG.match(flag):
                raise ConfigError(
                    f"{shown(flag, 80)!r} is not an option",
                    key="trust",
                    hint="write it like --trust-plugin",
                )
            if flags.count(flag) > 1:
                raise ConfigError(f"the option {flag} would mean two things", key="trust")

    @classmethod
    def allow_style(cls) -> TrustFlags:
        """``--allow-plugin`` and ``--allow-command``."""
        return cls(("--allow-plugin",), ("--allow-command",))

    @classmethod
    def disabled(cls) -> TrustFlags:
        """None at all."""
        return cls((), (), ())

    def take(self, arguments: Sequence[str]) -> tuple[list[str], Trust]:
        """Take the trust flags out of a command line.

        A value follows its option, or is joined to it by ``=``. What follows ``--`` is
        left alone.

        Returns:
            The other arguments in order, and the trust.

        Raises:
            ConfigError: an option lacks its value, or the value is no usable name.
        """
        left: list[str] = []
        trust = Trust()
        words = iter(arguments)
        for word in words:
            flag, joined, value = word.partition("=")
            if word == "--":
                left.append(word)
                break
            if not joined and word in dict(self.aliases):
                trust |= dict(self.aliases)[word]
            elif flag in (*self.plugin, *self.command):
                name = value if joined else next(words, "")
                if not name or (not joined and name.startswith("-")):
                    raise ConfigError(f"{flag} needs a name", key="trust", source="command line")
                trust |= self.trust(
                    plugins=[name] if flag in self.plugin else (),
                    commands=[name] if flag in self.command else (),
                )
            else:
                left.append(word)
        return [*left, *words], trust

    @staticmethod
    def trust(*, plugins: Iterable[str] = (), commands: Iterable[str] = ()) -> Trust:
        """The trust of values that were read by another parser, such as click's.

        Raises:
            ConfigError: a value is no usable name.
        """
        split = frozenset(tuple(re.split("[: ]", command)) for command in commands)
        return Trust(frozenset(plugins), split)


def _check_name(name: str) -> None:
    if not name or not name.isprintable() or name.strip() != name:
        raise ConfigError(
            f"{shown(name, 80)!r} cannot be the name of a trusted plugin or command", key="trust"
        )
