"""What an engine must offer to run plugins: the whole contract.

An engine is only asked to run plain, valid WebAssembly. Everything that users
rely on (fuel, stack depth, memory, features, message shapes, bounds, imports)
is enforced above it, most of it by code that the host adds to each module. So a
backend is small: compile, instantiate, call, and access to one memory and two
globals.

A backend registers a subclass of :class:`Backend` in the entry-point group
``sen_host.backends`` under the name by which users choose it.

Rules that hold for every method of this file:

* Arguments and results are unsigned: i32 as 0 .. 2**32 - 1, i64 as 0 .. 2**64 - 1.
* A guest that traps raises :class:`Trap`; a module that the engine refuses
  raises ``ModuleCompilation``; any other failure of the engine ``EngineFault``.
  No exception of the engine itself gets out, unless as a ``__cause__``.
* The host never uses one instance from two threads at the same time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum

from sen_host.errors import TrapKind
from sen_host.limits import Limits
from sen_host.records import NamedTuple, record, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import ClassVar, Literal

    Isolation = Literal["none", "process"]
else:
    Isolation = str

RESERVED = "sen-host:"
"""No export of a plugin may have a name that begins like this."""

FUEL = RESERVED + "fuel"
"""Export: an i64 global, what is left of the fuel; below zero when it is exhausted."""

STACK = RESERVED + "stack"
"""Export: an i64 global, bytes of stack left; below zero when it is exhausted."""

START = RESERVED + "start"
"""Export: the start function, if there is one. The host calls it."""

EXHAUSTED = RESERVED + "exhausted"
"""Export: an empty function, called just before each ``unreachable``."""

COUNTER_MAX = 2**63 - 1
"""The most that a global of the host may be set to."""


class Trap(Exception):
    """The guest trapped. The ABI layer turns it into the error that users see.

    ``detail`` is the engine's text, its first line at most. The others are set
    where several calls were made in one crossing: ``function`` is the export
    that was called, ``fuel_left`` and ``stack_left`` are the values of the
    globals, below zero if exhausted, None if they cannot be known any more.
    """

    def __init__(
        self,
        kind: TrapKind,
        detail: str | None = None,
        *,
        function: str | None = None,
        fuel_left: int | None = None,
        stack_left: int | None = None,
    ) -> None:
        super().__init__(kind, detail)
        self.kind = kind
        self.detail = detail
        self.function = function
        self.fuel_left = fuel_left
        self.stack_left = stack_left


class FuncType(NamedTuple):
    """A function type: names of value types, e.g. ``("i32", "i32")``, ``("i64",)``."""

    params: tuple[str, ...]
    results: tuple[str, ...]

    def __str__(self) -> str:
        return f"({', '.join(self.params)}) -> ({', '.join(self.results)})"


class Import(NamedTuple):
    """A function that a module imports; it takes and returns integers, one result at most."""

    module: str
    name: str
    type: FuncType


class HostFunction(NamedTuple):
    """An import of a module with what the guest calls there.

    ``call`` takes as many unsigned integers as the type has parameters, and returns the
    result, unsigned, or None if there is none. It raises Trap as a rule.
    """

    module: str
    name: str
    type: FuncType
    call: Callable[..., int | None]


class Capability(str, Enum):
    """What a backend may lack if it says so. The rest of this file is asked of all."""

    ANY_THREAD = "any-thread"
    """An instance works in every thread, not only in the one that made it."""

    WALL_CLOCK = "wall-clock"
    """A guest that runs can be stopped at a time, see ``Instance.set_deadline``."""

    COUNTERS_AFTER_TRAP = "counters-after-trap"
    """The globals can be read after any trap, so that its fuel is known."""

    FULL_STACK = "full-stack"
    """A guest can have as much stack as ``Limits`` allow."""

    TRAP_KINDS = "trap-kinds"
    """Traps are told apart. Without it they are UNKNOWN, except ``unreachable``."""

    VALIDATION = "validation"
    """All invalid modules are refused. Without it, some are taken."""

    BULK_MEMORY = "bulk-memory"
    """Operators that copy, fill and initialise memories and tables."""

    REFERENCE_TYPES = "reference-types"
    """References as values, several tables, and operators on tables."""

    MULTI_VALUE = "multi-value"
    """Blocks with parameters, blocks and functions with several results."""

    HOST_FUNCTIONS = "host-functions"
    """A module may import functions, see ``Module.instantiate_with``."""

    def __str__(self) -> str:
        return self.value


@record(frozen=True, slots=True)
class Lack:
    """A capability that a binding lacks.

    Attributes:
        why: "not implemented" yet, "not possible" with this engine, or "never"
            because it is not wanted.
        reason: the cause, in a sentence without a full stop.
    """

    capability: Capability
    why: Literal["not implemented", "not possible", "never"]
    reason: str


_ADDED_BY_WORKER = frozenset({Capability.ANY_THREAD, Capability.WALL_CLOCK})


@record(frozen=True, slots=True, kw_only=True)
class Binding:
    """One way to reach an engine from this interpreter.

    Attributes:
        name: by which a user can fix it, unique within the backend.
        engine: the engine's name and version, e.g. ``Wasmtime 50.0.1``; the
            name alone where it is not installed. Serialized modules are kept for
            exactly this engine and these packages.
        packages: the distributions that provide it, with versions if installed.
        reason: why it cannot be used here; None if it can.
        remedy: the command that mends it; None if there is none.
        isolation: "process" if it must only run in a worker process.
        stack_bytes: the most native stack that a guest can have, if it lacks
            FULL_STACK.
        lacks: the capabilities that it lacks.

    Raises:
        ValueError: a capability is named twice, or ``stack_bytes`` does not go
            with ``lacks``.
    """

    name: str
    engine: str
    packages: tuple[str, ...] = ()
    reason: str | None = None
    remedy: str | None = None
    isolation: Isolation = "none"
    stack_bytes: int | None = None
    lacks: tuple[Lack, ...] = ()

    def __post_init__(self) -> None:
        if len({lack.capability for lack in self.lacks}) < len(self.lacks):
            raise ValueError(f"the binding {self.name!r} lacks a capability twice")
        if self.has(Capability.FULL_STACK) != (self.stack_bytes is None):
            raise ValueError(
                f"the binding {self.name!r} must have stack_bytes if and only if it lacks"
                f" {Capability.FULL_STACK}"
            )

    @property
    def available(self) -> bool:
        """Whether it can be used here."""
        return self.reason is None

    def has(self, capability: Capability) -> bool:
        """Whether it does not lack a capability."""
        return all(lack.capability is not capability for lack in self.lacks)

    def in_worker(self) -> Binding:
        """The binding as it is in a worker process, which can be killed and has its own thread."""
        kept = tuple(lack for lack in self.lacks if lack.capability not in _ADDED_BY_WORKER)
        return replace(self, isolation="process", lacks=kept)


class Backend(ABC):
    """An engine, reached through one of its bindings."""

    name: ClassVar[str]

    def __init__(self, binding: Binding) -> None:
        self.binding = binding

    @property
    def home(self) -> str:
        """Where its class is, as ``module:Class``: other code there, other compiled modules."""
        return f"{type(self).__module__}:{type(self).__qualname__}"

    @classmethod
    @abstractmethod
    def bindings(cls) -> tuple[Binding, ...]:
        """All bindings, the preferred one first, available or not.

        Must be cheap and must not import the engine's Python package.
        """

    @abstractmethod
    def validate(self, wasm: bytes) -> None:
        """Check the module as its author built it, before the host rewrites it.

        Raises:
            ModuleCompilation: the module is invalid.
        """

    @abstractmethod
    def compile(self, wasm: bytes, limits: Limits) -> Module:
        """Compile a module that the host has rewritten. It has no start function.

        The host has written its ``limits`` into the module. An engine that has
        limits of its own may set them as a second line of defence, so that the
        host's speak first. Only ``wall_clock_seconds`` is the engine's to keep,
        unless its binding lacks WALL_CLOCK.

        Raises:
            ModuleCompilation: the module is invalid.
        """

    def deserialize(self, compiled: bytes, limits: Limits) -> Module:
        """A module from what ``Module.serialize`` made of it, with equal ``limits``.

        Only needed if the backend's modules can be serialized. The host sees to it
        that the bytes are unchanged, and were made by this engine and binding on such
        a machine: an engine may trust them.

        Raises:
            EngineFault: the engine refuses them; the host compiles the module again.
        """
        raise NotImplementedError("the backend does not serialize modules")


class Module(ABC):
    """A compiled module. It may be instantiated many times."""

    @abstractmethod
    def instantiate(self) -> Instance:
        """A fresh instance.

        Raises:
            Trap: a segment is out of bounds.
        """

    def instantiate_with(self, imports: Sequence[HostFunction]) -> Instance:
        """As ``instantiate``, for a module that imports functions, and nothing else.

        Not needed without HOST_FUNCTIONS. While a host function runs, the methods
        ``memory_size``, ``read`` and ``write`` of the instance that calls it work, in
        the thread that it is called in; the host calls no other one. Instantiation
        itself calls none.

        If one raises, whatever it is, the guest is ended as by a trap, and the call of
        the export raises that exception. Nothing may be raised through frames that are
        not Python's.

        Args:
            imports: one for each import, in the module's order.
        """
        raise NotImplementedError("the backend has no host functions")

    def serialize(self) -> bytes | None:
        """The compiled module as bytes, for ``Backend.deserialize``.

        None if the engine cannot do that: the host then keeps the module that it
        rewrote, and compiles it again. Called once at most, before any guest ran.
        """
        return None

    def separate(self) -> Module:
        """The same module, so that instances of both run at the same time; both are closed.

        Only needed where instances of one module have to wait for each other.
        """
        return self

    def close(self) -> None:  # noqa: B027 - most engines free with the object
        """Free what the module holds. Called once, after its instances are closed."""


class Instance(ABC):
    """A live instance. Its memory is the export ``memory``."""

    @abstractmethod
    def function(self, name: str, type: FuncType) -> Callable[..., int | None]:
        """The exported function ``name``, whose type is ``type``, as a callable.

        It takes as many integers as the type has parameters and returns the
        result, or None if there is none. It raises Trap.
        """

    @abstractmethod
    def memory_size(self) -> int:
        """The present size of the memory, in bytes."""

    @abstractmethod
    def read(self, offset: int, length: int) -> bytes:
        """A copy of ``length`` bytes. The caller has checked the bounds."""

    @abstractmethod
    def write(self, offset: int, data: bytes) -> None:
        """Write ``data``. The caller has checked the bounds."""

    @abstractmethod
    def get_global(self, name: str) -> int | None:
        """The value of the exported i64 global ``name``, -(2**63) .. 2**63 - 1.

        None after a trap, if that has ended the guest and the value with it.
        """

    @abstractmethod
    def set_global(self, name: str, value: int) -> None:
        """Set the exported mutable i64 global ``name``, 0 .. COUNTER_MAX."""

    def set_deadline(self, seconds: float) -> None:
        """From ``seconds`` from now on, a running call traps as INTERRUPTED."""
        raise NotImplementedError("the binding lacks a wall clock")

    def close(self) -> None:  # noqa: B027 - most engines free with the object
        """Free what the instance holds. Called once; no other call follows."""


ALLOC = "plugin_alloc"
DEALLOC = "plugin_dealloc"
MANIFEST = "plugin_manifest"
EXECUTE = "plugin_execute"
RESUME = "plugin_resume"

FUNCTIONS: Mapping[str, FuncType] = {
    ALLOC: FuncType(("i32",), ("i32",)),
    DEALLOC: FuncType(("i32", "i32"), ()),
    MANIFEST: FuncType((), ("i64",)),
    EXECUTE: FuncType(("i32", "i32"), ("i64",)),
    RESUME: FuncType(("i32", "i32", "i32"), ("i64",)),
}
"""The functions of the plugin ABI with their types. ``plugin_resume`` is optional."""


class Exchanged(NamedTuple):
    """The facts of one exchange of messages; the ABI layer judges them.

    Attributes:
        pointer: what ``plugin_alloc`` returned; 0 if there was no payload.
        packed: what the function returned; None if it was not called because
            pointer and length of the payload do not fit the memory.
        memory_bytes: size of the memory at the last check.
        data: the message; None if it was not read, because it is out of
            bounds or longer than the cap.
        fuel_left: what the function left of its fuel, or ``plugin_alloc`` if only
            that was called.
        free_trap: the trap of a ``plugin_dealloc``, if one trapped.
    """

    pointer: int
    packed: int | None
    memory_bytes: int
    data: bytes | None
    fuel_left: int | None = None
    free_trap: Trap | None = None


class CompositeInstance(Instance):
    """An instance that makes a whole exchange in one crossing, because crossings are dear."""

    @abstractmethod
    def exchange(
        self,
        function: str,
        prefix: tuple[int, ...],
        payload: bytes | None,
        *,
        result_bytes: int,
        fuel: int,
        stack: int,
        seconds: float | None,
    ) -> Exchanged | None:
        """Do what ``sen_host.abi.exchange`` does, with the same calls in the same order.

        Args:
            function: the export to call, as ``function(*prefix, pointer, length)``,
                or as ``function(*prefix)`` if there is no payload.
            payload: bytes to hand over, at least one; None for no payload.
            result_bytes: a longer message is not read.
            fuel: what FUEL is set to before each guest call. A call that
                returns with FUEL below zero counts as a trap at its end.
            stack: what STACK is set to before each guest call.
            seconds: time for the whole exchange, or None for no limit.

        Returns:
            The facts; None if it cannot make this one so, and has done nothing: then
            the host makes it call by call.

        Raises:
            Trap: ``function`` or ``plugin_alloc`` trapped (with the name of the
                export that trapped).
        """
