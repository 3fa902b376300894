"""Every error that sen-host raises, split by who is at fault.

    SenHostError
    ├── PluginFault        the plugin broke the ABI, its limits, or itself
    ├── CallerFault        the embedding program asked for something impossible
    └── EnvironmentFault   the machine, an installation or an engine let us down

The names are those of the Rust host's ``LoaderError`` where it has one. An
error carries three texts: ``message`` (the same on every engine), ``detail``
(the engine's or the system's own words, if there are any) and ``hint`` (what
to do about it, if we know). Every error can be pickled.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SHOWN = 80
"""How much of a plugin's own names an error shows."""


class TrapKind(str, Enum):
    """Why a guest trapped, in the terms of the WebAssembly specification."""

    UNREACHABLE = "unreachable"
    MEMORY_OUT_OF_BOUNDS = "out of bounds memory access"
    TABLE_OUT_OF_BOUNDS = "out of bounds table access"
    INTEGER_DIVIDE_BY_ZERO = "integer divide by zero"
    INTEGER_OVERFLOW = "integer overflow"
    INVALID_CONVERSION_TO_INTEGER = "invalid conversion to integer"
    UNINITIALIZED_ELEMENT = "uninitialized element"
    INDIRECT_CALL_TYPE_MISMATCH = "indirect call type mismatch"
    STACK_OVERFLOW = "call stack exhausted"
    OUT_OF_FUEL = "out of fuel"
    INTERRUPTED = "interrupted"
    EXIT = "exit"
    UNKNOWN = "unknown trap"

    def __str__(self) -> str:
        return self.value


class SenHostError(Exception):
    """The root of all errors of sen-host.

    Attributes:
        message: what happened; equal on every engine for the same fault.
        detail: the engine's or the operating system's own text, or None.
        hint: the remedy, or None.
        plugin: path of the plugin that it is about, or None.
    """

    plugin: str | None = None

    def __init__(self, message: str, *, detail: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail
        self.hint = hint

    def __str__(self) -> str:
        text = self.message if self.detail is None else f"{self.message}: {self.detail}"
        if self.plugin is not None:
            text = f"{self.plugin}: {text}"
        return text if self.hint is None else f"{text}\nhint: {self.hint}"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.__dict__)


def _restore(kind: type[SenHostError], attributes: dict[str, Any]) -> SenHostError:
    error = kind.__new__(kind)
    Exception.__init__(error, attributes["message"])
    error.__dict__.update(attributes)
    return error


class PluginFault(SenHostError):
    """The plugin is at fault: its binary, its messages or its behaviour."""


class CallerFault(SenHostError):
    """The embedding program is at fault: wrong arguments, configuration or use."""


class EnvironmentFault(SenHostError):
    """The environment is at fault: files, installations, engines, processes."""


# --- the plugin is at fault ------------------------------------------------


class ModuleCompilation(PluginFault):
    """The bytes are not a WebAssembly module that the host accepts."""

    def __init__(
        self,
        message: str = "the module is not valid WebAssembly",
        *,
        detail: str | None = None,
        hint: str | None = None,
        offset: int | None = None,
    ) -> None:
        super().__init__(message, detail=detail, hint=hint)
        self.offset = offset
        """Byte offset of the fault in the binary, where it is known."""


class Instantiation(PluginFault):
    """The module is valid but could not be instantiated.

    ``trap`` is the trap kind when the start function or a segment trapped.
    """

    def __init__(
        self,
        message: str,
        *,
        trap: TrapKind | None = None,
        detail: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, detail=detail, hint=hint)
        self.trap = trap


class ImportNotGranted(Instantiation):
    """The module imports something that the host does not grant to it.

    ``mismatch`` tells how the type of the first of them differs, if it is offered.
    """

    def __init__(
        self,
        imports: Iterable[tuple[str, str, str]],
        *,
        mismatch: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.imports = tuple(imports)
        """Every import that is not granted, as (module, name, kind)."""
        self.mismatch = mismatch
        listed = ", ".join(
            f"{kind} {module[:_SHOWN]!r}.{name[:_SHOWN]!r}"
            for module, name, kind in self.imports[:8]
        )
        if len(self.imports) > 8:
            listed += f" and {len(self.imports) - 8} more"
        if mismatch is not None:
            listed += f" ({mismatch})"
        super().__init__(
            f"the plugin imports what is not granted: {listed}",
            hint=hint
            or "build the plugin for wasm32-unknown-unknown (freestanding), without host imports",
        )


class MemoryLimitExceeded(Instantiation):
    """The module's initial memory is already over the limit."""

    def __init__(self, *, initial_bytes: int, limit_bytes: int) -> None:
        self.initial_bytes = initial_bytes
        self.limit_bytes = limit_bytes
        super().__init__(
            f"the plugin starts with {initial_bytes:,} bytes of memory,"
            f" the limit is {limit_bytes:,} bytes",
            hint="raise limits.memory_bytes or build the plugin with a smaller initial memory",
        )


class TableLimitExceeded(Instantiation):
    """The module's tables already start with more elements than the limit."""

    def __init__(self, *, initial_elements: int, limit_elements: int) -> None:
        self.initial_elements = initial_elements
        self.limit_elements = limit_elements
        super().__init__(
            f"the plugin starts with {initial_elements:,} table elements,"
            f" the limit is {limit_elements:,}",
            hint="raise limits.table_elements if the plugin needs tables of this size",
        )


class FunctionNotFound(PluginFault):
    """The module lacks an export that the ABI or the call needs."""

    def __init__(
        self, function: str, message: str | None = None, *, hint: str | None = None
    ) -> None:
        super().__init__(message or f"the plugin does not export {function!r}", hint=hint)
        self.function = function


class SignatureMismatch(FunctionNotFound):
    """The module exports the name, but not with the type that the ABI asks for."""

    def __init__(self, function: str, *, expected: str, actual: str) -> None:
        super().__init__(
            function,
            f"the plugin exports {function!r} as {actual}, the ABI asks for {expected}",
        )
        self.expected = expected
        self.actual = actual


class FunctionCall(PluginFault):
    """An exported function of the plugin trapped, or a host function ended it.

    ``exit_code`` is the code of the latter, 0 .. 2**32 - 1, where ``trap`` is EXIT.
    """

    def __init__(
        self,
        function: str,
        trap: TrapKind,
        *,
        detail: str | None = None,
        exit_code: int | None = None,
    ) -> None:
        message = (
            f"the plugin trapped in {function!r}: {trap}"
            if exit_code is None
            else f"the plugin exited in {function!r} with code {exit_code}"
        )
        super().__init__(message, detail=detail)
        self.function = function
        self.trap = trap
        self.exit_code = exit_code


class FuelExhausted(PluginFault):
    """An exported function of the plugin used up its fuel."""

    def __init__(self, function: str, *, budget: int | None) -> None:
        of = "" if budget is None else f" of {budget:,}"
        super().__init__(
            f"the plugin ran out of fuel in {function!r}, its budget{of} is spent",
            hint="raise limits.fuel if the plugin can be trusted with more work",
        )
        self.function = function
        self.budget = budget


class WallClockExceeded(PluginFault):
    """An exported function of the plugin ran longer than the wall-clock limit."""

    def __init__(self, function: str, *, seconds: float) -> None:
        super().__init__(
            f"the plugin was stopped in {function!r} after {seconds:g} s",
            hint="raise limits.wall_clock_seconds if the plugin needs more time",
        )
        self.function = function
        self.seconds = seconds


class MemoryAccess(PluginFault):
    """A pointer or length of the plugin does not fit its linear memory."""

    def __init__(
        self, message: str, *, pointer: int, length: int, memory_bytes: int | None = None
    ) -> None:
        super().__init__(message)
        self.pointer = pointer
        self.length = length
        self.memory_bytes = memory_bytes


class ResultTooLarge(PluginFault):
    """A message of the plugin is longer than the cap on results."""

    def __init__(self, function: str, *, length: int, limit_bytes: int) -> None:
        super().__init__(
            f"{function!r} returned {length:,} bytes, the cap is {limit_bytes:,} bytes",
            hint="raise limits.result_bytes if results of this size are expected",
        )
        self.function = function
        self.length = length
        self.limit_bytes = limit_bytes


class ApiVersionMismatch(PluginFault):
    """The plugin speaks another version of the plugin API."""

    def __init__(self, *, expected: int, actual: int) -> None:
        super().__init__(
            f"the plugin speaks API version {actual}, this host speaks version {expected}",
            hint=f"rebuild the plugin with an SDK for API version {expected}",
        )
        self.expected = expected
        self.actual = actual


class Deserialization(PluginFault):
    """A message is not what the ABI says it is.

    Attributes:
        path: where the fault is, e.g. ``command.args[2].short``; empty for
            the message as a whole.
        reason: what is wrong there, e.g. ``expected one character``.
        type_name: the type that was being decoded, e.g. ``PluginManifest``.
    """

    def __init__(self, type_name: str, path: str, reason: str, *, hint: str | None = None) -> None:
        where = f"{path}: " if path else ""
        super().__init__(f"not a valid {type_name}: {where}{reason}", hint=hint)
        self.type_name = type_name
        self.path = path
        self.reason = reason


class EffectLimitExceeded(PluginFault):
    """The plugin asked for more effects than one run may have."""

    def __init__(self, max_effects: int) -> None:
        super().__init__(
            f"the plugin asked for more than {max_effects:,} effects in one run",
            hint="raise max_effects (EffectLimits.effects of a driver) if the plugin needs more",
        )
        self.max_effects = max_effects


class InvalidCommandName(PluginFault):
    """The name that a plugin gives its command cannot be the name of a command.

    Attributes:
        command: the name, as the plugin gave it.
        reason: what is wrong with it.
    """

    def __init__(self, command: str, reason: str) -> None:
        shown = command if len(command) <= _SHOWN else command[:_SHOWN] + "..."
        super().__init__(
            f"{shown!a} cannot be the name of a command: {reason}",
            hint="rename the command in the plugin's manifest",
        )
        self.command = command
        self.reason = reason


# --- the caller is at fault ------------------------------------------------


class ConfigError(CallerFault):
    """A configuration value is unknown, of the wrong type or out of range.

    ``source`` names where it stands: a file with line, a variable, an option.
    """

    def __init__(
        self,
        message: str,
        *,
        source: str | None = None,
        key: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(f"{source}: {message}" if source else message, hint=hint)
        self.source = source
        self.key = key


class UnknownBackend(ConfigError):
    """No installed package offers a backend or a binding of that name."""


class InvalidLimit(ConfigError):
    """A limit is of the wrong type or out of its range."""


class LimitNotEnforceable(CallerFault):
    """A limit was asked for that the chosen backend cannot enforce."""

    def __init__(self, limit: str, *, backend: str, hint: str, source: str | None = None) -> None:
        message = f"the backend {backend} cannot enforce limits.{limit}"
        super().__init__(f"{source}: {message}" if source else message, hint=hint)
        self.limit = limit
        self.source = source
        self.backend = backend


class Serialization(CallerFault):
    """A value cannot be sent to a plugin: wrong type, or out of range."""


class EffectsNotSupported(CallerFault):
    """``resume`` was called on a plugin that does not export ``plugin_resume``."""


class PluginBusy(CallerFault):
    """A plugin was called by a signal handler or a finalizer within a call of its own."""


class PluginClosed(CallerFault):
    """A closed plugin was used."""


class WrongThread(CallerFault):
    """A plugin was used from a thread to which its backend does not allow it."""


class CommandNotFound(CallerFault):
    """No plugin of the registry has that command.

    ``command`` is the name that was asked for.
    """

    def __init__(self, command: str, *, hint: str | None = None) -> None:
        super().__init__(f"there is no command {command[:_SHOWN]!a}", hint=hint)
        self.command = command


class PermissionDenied(CallerFault):
    """A plugin asks for more than it is granted.

    Attributes:
        name: the plugin's name.
        missing: what is not granted, in words.
        reason: why it was not granted now.
    """

    def __init__(
        self, name: str, missing: Iterable[str], reason: str, *, hint: str | None = None
    ) -> None:
        self.name = name
        self.missing = tuple(missing)
        self.reason = reason
        listed = "; ".join(
            line if len(line) <= 200 else f"{line[:200]}..." for line in self.missing[:8]
        )
        if len(self.missing) > 8:
            listed += f"; and {len(self.missing) - 8:,} more"
        wants = f" It wants to: {listed}" if listed else ""
        super().__init__(
            f"the plugin {name[:_SHOWN]!r} is not permitted: {reason}.{wants}", hint=hint
        )


# --- the environment is at fault -------------------------------------------


class PluginFileError(EnvironmentFault):
    """A plugin file could not be read."""

    def __init__(
        self, message: str, *, path: str, detail: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, detail=detail, hint=hint)
        self.path = path


class BackendUnavailable(EnvironmentFault):
    """The backend is known, but its engine cannot be used here."""

    def __init__(self, backend: str, reason: str, *, hint: str | None = None) -> None:
        super().__init__(f"the backend {backend!r} is not available: {reason}", hint=hint)
        self.backend = backend
        self.reason = reason


class BackendConflict(EnvironmentFault):
    """Two installed packages claim one backend name."""


class EngineCreation(EnvironmentFault):
    """The engine refused to start."""


class EngineFault(EnvironmentFault):
    """The engine failed in a way that is neither a trap nor the plugin's fault."""


class WorkerDied(EnvironmentFault):
    """The worker process that ran the plugin is gone."""

    def __init__(
        self, message: str, *, exit_code: int | None = None, detail: str | None = None
    ) -> None:
        super().__init__(message, detail=detail)
        self.exit_code = exit_code


class CommandConflict(EnvironmentFault):
    """Two plugins claim one command.

    Attributes:
        command: its name.
        path: the file of the plugin that came second; None if it was loaded from bytes.
        holder: the file of the plugin that has it, or None.
    """

    def __init__(self, command: str, *, path: str | None, holder: str | None) -> None:
        def named(file: str | None) -> str:
            return "a plugin loaded from bytes" if file is None else repr(file)

        super().__init__(
            f"the command {command[:_SHOWN]!a} of {named(path)} is already that of {named(holder)}",
            hint="remove one of the two, give one a prefix, or ask for it to be replaced",
        )
        self.command = command
        self.path = path
        self.holder = holder


class PluginDirectoryError(EnvironmentFault):
    """A directory of plugins does not exist or cannot be read."""

    def __init__(self, message: str, *, path: str, detail: str | None = None) -> None:
        super().__init__(message, detail=detail, hint="check the path and its permissions")
        self.path = path


class MissingLibrary(EnvironmentFault):
    """A library that only some of the host needs is not installed."""

    def __init__(self, library: str, *, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} need the package {library!r}, which is not installed",
            hint=f"pip install 'sen-host[{extra}]'",
        )
        self.library = library
        self.extra = extra
        self.purpose = purpose


class PermissionStoreError(EnvironmentFault):
    """Stored grants cannot be read or written. What is stored stays as it is."""

    def __init__(
        self, message: str, *, path: str | None, detail: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(
            message if path is None else f"{path}: {message}", detail=detail, hint=hint
        )
        self.path = path


class PermissionStoreCorrupt(PermissionStoreError):
    """The file of grants is not what this version of sen-host writes."""


class PermissionStoreLocked(PermissionStoreError):
    """Another process holds the lock of the grants for too long."""


class AuditError(EnvironmentFault):
    """An event could not be kept, and the sink was told to be strict about that."""

    def __init__(self, path: str, *, detail: str | None = None) -> None:
        super().__init__(
            f"the audit file {path!r} cannot be written",
            detail=detail,
            hint="mend it, or do without strict to go on when events are lost",
        )
        self.path = path


class GrantNotUsable(EnvironmentFault):
    """A file or directory that was granted to a plugin cannot be opened for it."""

    def __init__(self, pattern: str, reason: str) -> None:
        shown = repr(pattern[:_SHOWN])
        super().__init__(
            f"the granted path {shown} cannot be used: {reason}",
            hint="revoke the grant, or make the path one that this program can open",
        )
        self.pattern = pattern
        self.reason = reason
