"""The options that commands share, and what they come to: one Call."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

import click

from sen_host.cache.settings import CacheSettings
from sen_host.cli.output import setting as shown_setting
from sen_host.config import SETTINGS, Config, Setting
from sen_host.limits import Limits
from sen_host.records import defaults

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from sen_host.host_functions import HostFunctions
    from sen_host.loader import PluginLoader

_CALL = "sen_host.call"

_HELP: dict[str, tuple[str, str]] = {
    "backend": ("NAME", "The engine to run on; auto: the first that is available."),
    "binding": ("NAME", "The way to reach the engine; see `sen-host backends`."),
    "isolation": ("[auto|none|process]", "Run in this process, or in a worker process."),
    "accept": (
        "NAME,...|none",
        "Exceptions of the accepted profile that the named backend runs, e.g. simd.",
    ),
    "limits.fuel": ("N|none", "Fuel for each call of the plugin; 0 to 2^64 - 1."),
    "limits.memory_bytes": (
        "SIZE|none",
        'Memory of the plugin, e.g. "64 MiB"; 64 KiB to 4 GiB.',
    ),
    "limits.table_elements": (
        "N|none",
        "Elements of the plugin's tables together; 0 to 2^32 - 1.",
    ),
    "limits.stack_bytes": ("SIZE", "Call stack of the plugin; 128 KiB to 2 MiB."),
    "limits.result_bytes": (
        "SIZE",
        "Longest message that the plugin may send; 1 byte to 4 GiB - 1.",
    ),
    "limits.wall_clock_seconds": (
        "SECONDS|none",
        "Time for each operation: load, execute, resume; above 0, at most 86,400.",
    ),
    "limits.module_bytes": ("SIZE", "Largest plugin file to read; 8 bytes to 4 GiB - 1."),
    "cache.enabled": ("", "Neither use compiled modules that were kept, nor keep any."),
    "cache.directory": ("DIR|auto", "Where compiled modules are kept; an absolute path."),
    "cache.max_bytes": ("SIZE", "What all kept modules together may have; at least 1 MiB."),
}


class Call:
    """One use of the command line.

    Attributes:
        flags: texts of the given options by key of the configuration.
        json: whether the answer is wanted as JSON.
        verbose: how many times ``-v`` was given.
        traceback: whether errors are shown with their traceback.
        facts: what is known by now, for the JSON of an error.
    """

    def __init__(
        self,
        flags: dict[str, str | None] | None = None,
        *,
        json: bool = False,
        verbose: int = 0,
        traceback: bool = False,
    ) -> None:
        self.flags = flags or {}
        self.json = json
        self.verbose = verbose
        self.traceback = traceback
        self.facts: dict[str, Any] = {}

    def config(self) -> Config:
        """The configuration, with the options as its strongest source.

        Raises:
            ConfigError, InvalidLimit
        """
        return Config.load(flags=self.flags)

    def loader(
        self, config: Config, host_functions: Callable[[], HostFunctions] | None = None
    ) -> PluginLoader:
        """A loader on the configured backend.

        Args:
            host_functions: what it offers to plugins; None for WASI.

        Raises:
            As ``PluginLoader``.
        """
        from sen_host.engines import open_backend
        from sen_host.errors import LimitNotEnforceable
        from sen_host.loader import PluginLoader

        self.facts |= {"backend": config.backend, "binding": config.binding}
        try:
            loader = PluginLoader(config=config, host_functions=host_functions or _wasi)
        except LimitNotEnforceable:
            # Which binding it is that lacks the limit, is not in the error.
            opened = open_backend(
                config.backend, binding=config.binding, isolation=config.isolation
            )
            self.facts |= {"backend": opened.name, "binding": opened.binding.name}
            raise
        self.facts |= {"backend": loader.backend, "binding": loader.binding.name}
        return loader


def current_call() -> Call:
    """The call that is being carried out; one without options before they are read."""
    context = click.get_current_context(silent=True)
    call = None if context is None else context.meta.get(_CALL)
    return call if isinstance(call, Call) else Call()


def call_options(
    *, settings: bool, without: Collection[str] = ()
) -> Callable[[Callable[..., int | None]], Callable[..., int | None]]:
    """Give a command the shared options; its function gets a Call first.

    Args:
        settings: whether the options of the configuration are among them.
        without: keys of those that are not.
    """
    chosen = [setting for setting in SETTINGS.values() if settings and setting.key not in without]

    def decorate(function: Callable[..., int | None]) -> Callable[..., int | None]:
        @functools.wraps(function)
        def call_it(**given: Any) -> int | None:
            call = Call(
                flags={setting.key: given.pop(_name(setting)) for setting in chosen},
                json=given.pop("json"),
                verbose=given.pop("verbose"),
                traceback=given.pop("traceback"),
            )
            call.traceback |= call.verbose > 1
            context = click.get_current_context()
            context.meta[_CALL] = call
            if call.verbose:
                _log_to_stderr(context)
            return function(call, **given)

        options = [_setting_option(setting) for setting in chosen]
        options += [
            click.option("--json", is_flag=True, help="Answer with one JSON object."),
            click.option(
                "-v", "--verbose", count=True, help="Show the debug log; twice: tracebacks."
            ),
            click.option("--traceback", is_flag=True, help="Show errors with their traceback."),
        ]
        decorated: Callable[..., int | None] = call_it
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return decorate


def backends_option() -> Callable[[Callable[..., int | None]], Callable[..., int | None]]:
    """``--backend``, for a command that uses several; its function gets ``backends``."""
    return click.option(
        "--backend",
        "backends",
        multiple=True,
        metavar="NAME",
        help="An engine to run on; may be repeated.  [default: all that are available]",
        shell_complete=_complete_backend,
    )


def _wasi() -> HostFunctions:
    from sen_host.cli.wasi import functions

    return functions()


def _name(setting: Setting) -> str:
    return setting.key.replace(".", "_")


def _setting_option(setting: Setting) -> Callable[[Any], Any]:
    metavar, help = _HELP[setting.key]
    if setting.kind == "switch":
        return click.option(setting.option, _name(setting), flag_value="false", help=help)
    if setting.limit is not None:
        help += _default(setting, defaults(Limits)[setting.limit])
    elif setting.kind == "bytes":
        help += _default(setting, defaults(CacheSettings)["max_bytes"])
    return click.option(
        setting.option,
        _name(setting),
        metavar=metavar,
        help=help,
        shell_complete=_COMPLETIONS.get(setting.key),
    )


def _default(setting: Setting, value: object) -> str:
    return f"  [default: {shown_setting(setting.kind, value)}]"


def _log_to_stderr(context: click.Context) -> None:
    """Show the debug log for as long as the command runs."""
    import logging

    from sen_host.cli.output import printable

    class Formatter(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return printable(super().format(record))

    handler = logging.StreamHandler()
    handler.setFormatter(Formatter("%(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("sen_host")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    context.call_on_close(lambda: logger.removeHandler(handler))
    context.call_on_close(lambda: logger.setLevel(level))


def _complete_backend(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    from sen_host.distributions import entry_points
    from sen_host.engines import GROUP

    names = ["auto", *sorted({entry.name for entry in entry_points(GROUP)})]
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def _complete_binding(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    from sen_host.engines import backends

    wanted = context.params.get("backend")
    return [
        CompletionItem(binding.name, help=binding.engine)
        for backend in backends()
        if wanted in (None, "auto", backend.name)
        for binding in backend.bindings
        if binding.name.startswith(incomplete)
    ]


def _complete_isolation(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    words = ("auto", "none", "process")
    return [CompletionItem(word) for word in words if word.startswith(incomplete)]


_COMPLETIONS = {
    "backend": _complete_backend,
    "binding": _complete_binding,
    "isolation": _complete_isolation,
}
