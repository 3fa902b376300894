"""The options that say what a plugin may do, the same for ``run`` and ``permissions grant``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from sen_host.messages import Capabilities, NetPattern

_OPTIONS = (
    ("read", "PATH", "Allow to read a file, or the files in a directory."),
    ("read-all", "DIR", "Allow to read a directory and all below it."),
    ("write", "PATH", "As --allow-read, to write as well."),
    ("write-all", "DIR", "As --allow-read-all, to write as well."),
    ("env", "NAME", "Allow to read an environment variable, or APP_*."),
    (
        "net",
        "[SCHEME://]HOST[:PORT]",
        "Allow connections there; *.HOST: all below it. SCHEME: https (if none), http, tcp.",
    ),
    ("stdio", "", "Allow a standard stream."),
)


def granting_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options; its function gets what ``allowed`` takes."""
    for name, metavar, help in reversed(_OPTIONS):
        streams = click.Choice(["stdin", "stdout", "stderr"]) if name == "stdio" else None
        function = click.option(
            f"--allow-{name}",
            name.replace("-", "_"),
            metavar=metavar or None,
            type=streams,
            multiple=True,
            help=f"{help} May be repeated.",
        )(function)
    return function


def allowed(
    read: tuple[str, ...],
    read_all: tuple[str, ...],
    write: tuple[str, ...],
    write_all: tuple[str, ...],
    env: tuple[str, ...],
    net: tuple[str, ...],
    stdio: tuple[str, ...],
) -> Capabilities:
    """What the values of the options allow.

    Raises:
        ConfigError: a network pattern is not written as it should be.
        click.BadParameter: a path or a name of a variable is not.
    """
    from sen_host.messages import Capabilities, PathPattern, StdioCapability
    from sen_host.permissions import environment, paths

    for option, given in (("read", (*read, *read_all)), ("write", (*write, *write_all))):
        for pattern in given:
            problem = paths.problem(pattern)
            if problem is not None:
                raise click.BadParameter(f"{pattern!r}: {problem}", param_hint=f"--allow-{option}")
    for name in env:
        if not environment.valid(name):
            raise click.BadParameter(
                f"{name!r} is no name, and no `NAME*`", param_hint="--allow-env"
            )
    return Capabilities(
        fs_read=(*map(PathPattern, read), *(PathPattern(path, True) for path in read_all)),
        fs_write=(*map(PathPattern, write), *(PathPattern(path, True) for path in write_all)),
        env_read=env,
        net=tuple(map(_peer, net)),
        stdio=StdioCapability(**dict.fromkeys(stdio, True)),
    )


def options_for(asked: Capabilities) -> list[str]:
    """The words of a command line that allow what is asked for."""
    words: list[str] = []
    for option, patterns in (("read", asked.fs_read), ("write", asked.fs_write)):
        for pattern in patterns:
            words += [f"--allow-{option}{'-all' if pattern.recursive else ''}", pattern.pattern]
    for name in asked.env_read:
        words += ["--allow-env", name]
    for peer in asked.net:
        host = f"[{peer.host}]" if ":" in peer.host else peer.host
        port = "" if peer.port is None else f":{peer.port}"
        scheme = "" if peer.protocol.value == "https" else f"{peer.protocol.value}://"
        words += ["--allow-net", f"{scheme}{host}{port}"]
    for stream in ("stdin", "stdout", "stderr"):
        if getattr(asked.stdio, stream):
            words += ["--allow-stdio", stream]
    return words


def _peer(text: str) -> NetPattern:
    from sen_host.effects.patterns import parse_pattern
    from sen_host.messages import NetPattern, NetProtocol

    if text.lower().startswith("tcp://"):
        peer = parse_pattern(f"https://{text[6:]}")
        return NetPattern(peer.host, peer.port, NetProtocol.TCP)
    return parse_pattern(text)
