"""The messages between host and plugin, as values.

Every class is frozen, compares and hashes by value, and holds its lists as
tuples. Rust's enums are base classes here and their variants subclasses, so a
result is taken apart with ``match``::

    match plugin.execute(["Alice"]):
        case Success(text): ...
        case Error(code, message): ...
        case HttpGet(id=id, url=url): ...

What the Rust crate calls what:

    ExecuteResult::Success(text)           Success(text)
    ExecuteResult::Error(ExecuteError)     Error(code, message), alias ExecuteError
    ExecuteResult::Effect(Effect::Sleep)   Sleep(id, duration_ms); likewise HttpGet, HttpPost
    EffectResult::Http(HttpResponse)       HttpResponse(status, body, headers)
    EffectResult::SleepComplete            SleepComplete()
    EffectResult::Error(message)           EffectError(message)

The order of the fields is the order on the wire, where a struct may be an
array. Constructors do not check their arguments; ``encode`` does.
"""

from __future__ import annotations

from enum import Enum

from sen_host.records import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

API_VERSION: Final = 2
"""The version of the plugin API that these messages belong to."""

Headers = tuple[tuple[str, str], ...]
"""HTTP headers as (name, value), in order; names may repeat."""


class Message:
    """The root of every class that has a form on the wire."""

    __slots__ = ()


# --- the manifest: what a plugin says of itself ------------------------------


class NetProtocol(str, Enum):
    """The protocol of a network pattern."""

    HTTPS = "https"
    HTTP = "http"
    TCP = "tcp"

    def __str__(self) -> str:
        return self.value


@record(frozen=True, slots=True)
class PathPattern(Message):
    """A file or directory that a plugin wants to use; relative to the working directory.

    Attributes:
        pattern: a path; a leading ``~`` stands for the user's home.
        recursive: whether everything below it is meant as well.
    """

    pattern: str
    recursive: bool = False


@record(frozen=True, slots=True)
class NetPattern(Message):
    """A network peer that a plugin wants to talk to.

    Attributes:
        host: a name, or ``*.`` and a name for all names below it.
        port: 0 to 65,535, or None for any.
        protocol: HTTPS unless said otherwise.
    """

    host: str
    port: int | None = None
    protocol: NetProtocol = NetProtocol.HTTPS


@record(frozen=True, slots=True)
class StdioCapability(Message):
    """Which of the standard streams a plugin wants to use."""

    stdin: bool = False
    stdout: bool = False
    stderr: bool = False


@record(frozen=True, slots=True)
class Capabilities(Message):
    """What a plugin asks of the system.

    Attributes:
        fs_read: what it wants to read.
        fs_write: what it wants to write.
        env_read: names of environment variables, or patterns such as ``APP_*``.
        net: network peers.
        stdio: standard streams.
    """

    fs_read: tuple[PathPattern, ...] = ()
    fs_write: tuple[PathPattern, ...] = ()
    env_read: tuple[str, ...] = ()
    net: tuple[NetPattern, ...] = ()
    stdio: StdioCapability = StdioCapability()


@record(frozen=True, slots=True)
class ArgSpec(Message):
    """One argument of a command: positional, or an option if it has ``long`` or ``short``.

    Attributes:
        name: by which the argument is known.
        long: the option's long name, without dashes.
        short: the option's one-character name, without the dash.
        required: whether a call without it is an error.
        help: one line for the help text; may be empty.
        value_name: placeholder of the value in the help text.
        default_value: what is used if the argument is not given.
        possible_values: the values allowed, or None for any.
    """

    name: str
    long: str | None = None
    short: str | None = None
    required: bool = False
    help: str = ""
    value_name: str | None = None
    default_value: str | None = None
    possible_values: tuple[str, ...] | None = None


@record(frozen=True, slots=True)
class CommandSpec(Message):
    """A command: its name, its help and what it takes.

    Attributes:
        name: by which the command is called.
        about: one line for the help text.
        version: the plugin's version.
        author: the plugin's author.
        args: its arguments, in order.
        subcommands: commands below it; at most 63 levels deep, 62 if the
            deepest has arguments.
    """

    name: str
    about: str
    version: str | None = None
    author: str | None = None
    args: tuple[ArgSpec, ...] = ()
    subcommands: tuple[CommandSpec, ...] = ()


@record(frozen=True, slots=True)
class PluginManifest(Message):
    """What ``plugin_manifest`` returns.

    Attributes:
        api_version: the version that the plugin was built for; decoding takes
            any, the host compares it with ``API_VERSION``.
        command: the command that the plugin implements.
        capabilities: what it asks of the system.
    """

    api_version: int
    command: CommandSpec
    capabilities: Capabilities = Capabilities()

    @classmethod
    def new(
        cls,
        command: CommandSpec,
        capabilities: Capabilities = Capabilities(),  # noqa: B008 - it is frozen
    ) -> PluginManifest:
        """A manifest of the present API version."""
        return cls(API_VERSION, command, capabilities)


# --- from the plugin: results and effects ------------------------------------


class ExecuteResult(Message):
    """What a call of the plugin gives: Success, Error, or an Effect to perform."""

    __slots__ = ()


@record(frozen=True, slots=True)
class Success(ExecuteResult):
    """The plugin is done; ``text`` is its output."""

    text: str


@record(frozen=True, slots=True)
class Error(ExecuteResult):
    """The plugin failed.

    Attributes:
        code: exit code, 0 to 255.
        message: the error text.
    """

    code: int
    message: str

    @classmethod
    def user(cls, message: str) -> Error:
        """The user is at fault: code 1."""
        return cls(1, message)

    @classmethod
    def system(cls, message: str) -> Error:
        """Something else went wrong: code 101."""
        return cls(101, message)


ExecuteError = Error
"""The Rust crate's name of what Error holds."""


class Effect(ExecuteResult):
    """Something that the plugin asks the host to do before it can go on.

    The host answers with an EffectResult, under the effect's ``id``.
    """

    __slots__ = ()

    id: int


@record(frozen=True, slots=True)
class HttpGet(Effect):
    """An HTTP GET request. Answer: HttpResponse or EffectError."""

    id: int
    url: str
    headers: Headers = ()


@record(frozen=True, slots=True)
class HttpPost(Effect):
    """An HTTP POST request. Answer: HttpResponse or EffectError.

    ``content_type`` None leaves the choice to the host, which takes application/json.
    """

    id: int
    url: str
    body: str
    content_type: str | None = None
    headers: Headers = ()


@record(frozen=True, slots=True)
class Sleep(Effect):
    """A pause of ``duration_ms`` milliseconds. Answer: SleepComplete or EffectError."""

    id: int
    duration_ms: int


# --- to the plugin: results of effects ---------------------------------------


class EffectResult(Message):
    """How an effect went: HttpResponse, SleepComplete or EffectError."""

    __slots__ = ()


@record(frozen=True, slots=True)
class HttpResponse(EffectResult):
    """The answer to an HTTP request.

    Attributes:
        status: HTTP status code, 0 to 65,535.
        body: the body as text.
        headers: (name, value) pairs.
    """

    status: int
    body: str
    headers: Headers = ()


@record(frozen=True, slots=True)
class SleepComplete(EffectResult):
    """The pause is over."""


@record(frozen=True, slots=True)
class EffectError(EffectResult):
    """The effect failed or was refused; ``message`` says why."""

    message: str
