"""Capabilities in words, one line for each thing that a plugin may do."""

from __future__ import annotations

from sen_host.messages.types import Capabilities, NetPattern, PathPattern
from sen_host.permissions import environment, network, paths
from sen_host.permissions.words import shown

MOST_CHARACTERS = 1_000
"""A longer pattern cannot be shown so that a person would read it."""


def describe(capabilities: Capabilities) -> tuple[str, ...]:
    """What the capabilities allow, for people: nothing is left out, nothing is shortened.

    Host names are shown in ASCII, so that no letter looks like another one. Characters
    that are not printable are written out, names with spaces are quoted.
    """
    lines = [f"read {_path(pattern)}" for pattern in capabilities.fs_read]
    lines += [f"read, change and remove {_path(pattern)}" for pattern in capabilities.fs_write]
    lines += [_variable(pattern) for pattern in capabilities.env_read]
    lines += [_peer(pattern) for pattern in capabilities.net]
    streams = capabilities.stdio
    lines += ["read standard input"] if streams.stdin else []
    lines += ["write to standard output"] if streams.stdout else []
    lines += ["write to standard error"] if streams.stderr else []
    return tuple(lines)


def too_long(capabilities: Capabilities) -> bool:
    """Whether a pattern is longer than ``MOST_CHARACTERS``."""
    texts = [pattern.pattern for pattern in (*capabilities.fs_read, *capabilities.fs_write)]
    texts += [*capabilities.env_read, *(pattern.host for pattern in capabilities.net)]
    return any(len(text) > MOST_CHARACTERS for text in texts)


def _named(text: str) -> str:
    """A name as it is shown: in quotes where it could be read as words of ours, or as lines."""
    written = shown(text)
    if " " not in written and '"' not in written:
        return written
    return '"' + written.replace('"', '\\"') + '"'


def _path(pattern: PathPattern) -> str:
    problem = paths.problem(pattern.pattern)
    if problem is not None:
        return f"the file {shown(pattern.pattern)!r} (which means nothing: {problem})"
    path = _named(pattern.pattern)
    if pattern.recursive:
        return f"{path} and everything below it"
    return f"{path}, or if it is a directory, the files directly in it"


def _variable(pattern: str) -> str:
    if not environment.valid(pattern):
        return f"read the environment variable {_named(pattern)} (which means nothing)"
    if pattern.endswith("*"):
        return f"read all environment variables that begin with {_named(pattern[:-1])}"
    return f"read the environment variable {_named(pattern)}"


def _peer(pattern: NetPattern) -> str:
    try:
        host = network.normal_pattern(pattern.host)
    except ValueError as error:
        host = f"{_named(pattern.host)} (which means nothing: {shown(str(error), 120)})"
    if host == "*":
        host = "every host"
    elif host.startswith("*."):
        host = f"all hosts below {host[2:]}"
    port = "any port" if pattern.port is None else f"port {pattern.port}"
    return f"connect to {host}, {port}, by {pattern.protocol.value.upper()}"
