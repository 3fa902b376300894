"""What an embedding program sets for the WASI functions of its plugins."""

from __future__ import annotations

from collections.abc import Mapping

from sen_host.errors import ConfigError
from sen_host.records import record
from sen_host.wasi.clocks import FixedClock
from sen_host.wasi.streams import is_sink, is_source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sen_host.wasi.functions import WasiFunctions
    from sen_host.wasi.streams import Sink, Source

MIB = 1 << 20


@record(frozen=True, slots=True, kw_only=True)
class WasiLimits:
    """What a guest may use in one entry. Beyond a limit functions return ``dquot``.

    Attributes:
        open_files: descriptors open at a time, without the standard streams and the
            granted directories (``mfile`` beyond).
        written_bytes: by how much files may grow or be overwritten, together.
        output_bytes: bytes on standard output and standard error, together.
        directory_entries: entries of a directory that can be listed.
        path_bytes: length of a path, and of a symbolic link's text (``nametoolong``).
        sleep_seconds: time slept, together.
        steps: the host's work: each call is one step, and so are each name in a path,
            each entry of a directory, and each 4 KiB that are moved.

    Raises:
        ConfigError: a value is of the wrong type or negative.
    """

    open_files: int = 64
    written_bytes: int = 256 * MIB
    output_bytes: int = 16 * MIB
    directory_entries: int = 10_000
    path_bytes: int = 4_096
    sleep_seconds: float = 10.0
    steps: int = 1_000_000

    def __post_init__(self) -> None:
        for name in WasiLimits.__annotations__:
            value = getattr(self, name)
            number = (int, float) if name == "sleep_seconds" else int
            # The upper bound keeps `nan` and `inf` out as well.
            if isinstance(value, bool) or not isinstance(value, number) or not 0 <= value <= 2**53:
                raise ConfigError(f"the limit {name} is {value!r}, not 0 .. 2**53", key=name)


_KINDS: dict[str, tuple[type, ...]] = {
    "working_directory": (str, type(None)),
    "environ": (Mapping, type(None)),
    "clock": (FixedClock, type(None)),
    "random_seed": (int, type(None)),
    "limits": (WasiLimits,),
}


@record(frozen=True, slots=True, kw_only=True)
class Wasi:
    """WASI preview 1 for plugins: pass it to a loader as ``host_functions``.

    A plugin sees only what it was granted; these settings say what that is here.
    They can be pickled if what they hold can.

    Attributes:
        working_directory: what relative paths of a grant are relative to; None for the
            process's, at the time of use.
        environ: the environment from which grants select; None for ``os.environ``, at
            the time of use.
        stdin: the standard input of a plugin that was granted it: bytes, which each
            entry reads from their start; a function that gets a length and returns at
            most as many bytes, none at the end; a binary file; None for the process's.
        stdout, stderr: the same for output: a function that gets bytes, a binary file,
            or None for the process's. Bytes go through as the plugin wrote them.
        clock: None for the machine's clocks.
        random_seed: None for the system's random numbers; otherwise each entry gets the
            same ones.
        program_name: the first of the arguments that ``args_get`` tells.
        arguments: what follows it; None for the arguments of the command.
        limits: what one guest entry may use.

    Raises:
        ConfigError: a value is of the wrong type.
    """

    working_directory: str | None = None
    environ: Mapping[str, str] | None = None
    stdin: Source | None = None
    stdout: Sink | None = None
    stderr: Sink | None = None
    clock: FixedClock | None = None
    random_seed: int | None = None
    program_name: str = "plugin"
    arguments: tuple[str, ...] | None = None
    limits: WasiLimits = WasiLimits()

    def __post_init__(self) -> None:
        for name, kinds in _KINDS.items():
            value = getattr(self, name)
            if not isinstance(value, kinds) or isinstance(value, bool):
                raise ConfigError(f"{name} is of type {type(value).__name__}", key=name)
        if self.stdin is not None and not is_source(self.stdin):
            raise ConfigError("stdin must be bytes, a function or a binary file", key="stdin")
        for name in ("stdout", "stderr"):
            if getattr(self, name) is not None and not is_sink(getattr(self, name)):
                raise ConfigError(f"{name} must be a function or a binary file", key=name)
        for name, texts in (
            ("program_name", (self.program_name,)),
            ("arguments", self.arguments or ()),
        ):
            for text in texts:
                if not isinstance(text, str) or "\0" in text or not _is_unicode(text):
                    raise ConfigError(
                        f"{name}: {text!r} is no string, or has what is no character, or a NUL",
                        key=name,
                    )

    def __call__(self) -> WasiFunctions:
        """The functions for one instance of a plugin."""
        from sen_host.wasi.functions import WasiFunctions

        return WasiFunctions(self)


def _is_unicode(text: str) -> bool:
    """Whether it can be written as UTF-8: text from the system may have surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
