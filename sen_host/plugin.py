"""A loaded plugin: its manifest, and calls in typed messages."""

from __future__ import annotations

import threading
from threading import get_ident

from sen_host.abi import EXECUTE, MANIFEST, RESUME, Guest, instantiation_fault
from sen_host.backend import Capability, Trap
from sen_host.conversation import Conversation, is_awaitable
from sen_host.errors import (
    ApiVersionMismatch,
    PluginBusy,
    PluginClosed,
    SenHostError,
    Serialization,
    WrongThread,
)
from sen_host.forks import reset_after_fork
from sen_host.loaded import LoadedModule
from sen_host.messages import (
    API_VERSION,
    Capabilities,
    EffectResult,
    ExecuteResult,
    PluginManifest,
    decode,
    decode_result,
    encode,
    encode_args,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import TypeVar

    from sen_host.wasm.reader import ParsedModule

    T = TypeVar("T")

_NOTHING = Capabilities()


class Plugin(Conversation):
    """A plugin, ready to be called. ``PluginLoader.load`` makes it.

    The instance behind it keeps its memory from call to call. After a trap,
    out of fuel or a timeout it is discarded, and the next call gets a fresh
    one. A plugin may be shared by threads, unless its binding is tied to the
    thread that loaded it; calls are made one after the other.

    Attributes:
        manifest: what the plugin says about itself.
        backend: name of the backend that runs it.
        binding: the backend's binding.
        limits: the limits in force, None where one is off.
        path: where it was loaded from; None if from bytes.
    """

    def __init__(self, loaded: LoadedModule, *, manifest: PluginManifest | None = None) -> None:
        """``manifest`` is what another plugin of the same module has said."""
        self.backend = loaded.backend
        self.binding = loaded.binding
        self.limits = loaded.terms.limits
        self.path = loaded.path
        self._loaded = loaded
        self._lock = threading.Lock()
        self._thread = None if self.binding.has(Capability.ANY_THREAD) else _this_thread()
        self._caller: int | None = None
        reset_after_fork(self)
        self._closed = False
        self._result_bytes = self.limits.result_bytes
        self._guest: Guest | None = None
        self._spent: tuple[int | None, int | None] = (None, None)
        self._granted = _NOTHING
        if manifest is None:
            try:
                manifest = self._load_manifest()
            except BaseException:
                self._discard_guest()
                raise
        self.manifest = manifest

    @property
    def module(self) -> ParsedModule:
        """The structure of its binary."""
        return self._loaded.parsed

    @property
    def sha256(self) -> str:
        """SHA-256 of its binary, 64 hexadecimal digits in lower case."""
        return self._loaded.sha256

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

    @property
    def supports_effects(self) -> bool:
        """Whether the plugin exports ``plugin_resume``.

        Plugins built with the Rust SDK always do, whether they use effects or not.
        """
        return self._loaded.has_resume

    @property
    def fuel_used(self) -> int | None:
        """Fuel that the latest call used, 0 .. 2**64 - 1.

        It is that of the manifest's, execute's or resume's function alone, or of
        the one that failed. None if the engine lost it with a guest that trapped; after
        a trap of the engine it may be less than was used (docs/fuel.md).
        """
        return self._spent[0] if self._guest is None else self._guest.fuel_used

    @property
    def fuel_left(self) -> int | None:
        """What the latest call left of its budget; None also if there is no budget."""
        return self._spent[1] if self._guest is None else self._guest.fuel_left

    @property
    def memory_bytes(self) -> int | None:
        """Size of the linear memory after the latest call; None while there is no instance."""
        guest = self._guest
        return None if guest is None else guest.memory_bytes

    def execute(self, args: Sequence[str] = ()) -> ExecuteResult:
        """Run the plugin's command.

        Args:
            args: the arguments, without the command's name.

        Returns:
            ``Success``, ``Error``, or an effect that the plugin wants done.

        Raises:
            Serialization: an argument is not a string.
            PluginFault: the plugin trapped, ran out of a limit, or answered
                with something that is not an ``ExecuteResult``.
            PluginClosed, WrongThread, WorkerDied, EngineFault
        """
        return self._call(EXECUTE, (), encode_args(args), decode_result, args=args)

    def resume(self, effect_id: int, result: EffectResult) -> ExecuteResult:
        """Hand the plugin the result of an effect that it asked for.

        Args:
            effect_id: the effect's ``id``, 0 .. 2**32 - 1.
            result: ``HttpResponse``, ``SleepComplete`` or ``EffectError``.

        Raises:
            Serialization: ``result`` is no ``EffectResult``.
            EffectsNotSupported: the plugin does not export ``plugin_resume``.
            Others as :meth:`execute`.
        """
        if not isinstance(effect_id, int):
            raise Serialization(f"an effect id is of type {type(effect_id).__name__}, not int")
        if not isinstance(result, EffectResult):
            raise Serialization(
                f"the result of effect {effect_id} is of type {type(result).__name__}",
                hint="it must be an HttpResponse, SleepComplete or EffectError"
                + (" (for an async handler, use run_async)" if is_awaitable(result) else ""),
            )
        return self._call(RESUME, (effect_id,), encode(result), decode_result)

    def grant(self, capabilities: Capabilities) -> None:
        """Say what the host functions may do for this plugin from its next call on.

        At first nothing is granted. A clone, and a plugin that is sent to another process,
        has the same grant; the two can be changed apart. It is no concern of a plugin that
        imports nothing: effects are granted to the one who does them.
        """
        self._granted = capabilities

    @property
    def granted(self) -> Capabilities:
        """What was granted."""
        return self._granted

    def restart(self) -> None:
        """Go on with a fresh instance, asked for its manifest, as after a load.

        What the plugin remembered is gone. The module is not compiled again.

        Raises:
            PluginClosed, WrongThread, WorkerDied, EngineFault; others as
            ``PluginLoader.load``.
        """
        self.manifest = self._load_manifest(fresh=True)

    def clone(self) -> Plugin:
        """A plugin of the same module with an instance of its own, which the first call makes.

        Nothing is compiled again. With ``isolation="process"`` it gets a worker process
        of its own. Both have to be closed, in any order.

        Raises:
            PluginClosed, WrongThread
        """
        if self._closed:
            raise self._about_us(PluginClosed("the plugin is closed"))
        self._check_thread()
        return self._another(self._loaded.separate())

    def sibling(self) -> Plugin:
        """As :meth:`clone`, but in a worker process it shares that, and may have to wait."""
        return self._another(self._loaded.shared())

    def _another(self, loaded: LoadedModule) -> Plugin:
        plugin = Plugin(loaded, manifest=self.manifest)
        plugin._granted = self._granted
        return plugin

    def usable_here(self) -> bool:
        """Whether it is open, and may be called in this thread."""
        return not self._closed and self._in_its_thread()

    def __reduce__(self) -> tuple[object, ...]:
        arguments = self._loaded.wasm, self._loaded.terms, self.path
        return self._loaded.restore, arguments, None if self._granted == _NOTHING else self._granted

    def __setstate__(self, granted: Capabilities) -> None:
        self._granted = granted

    def close(self) -> None:
        """Free the instance, and the module if no clone uses it. May be called more than once.

        A call that another thread is in is waited for, unless the plugin has a
        worker process: that is ended, and the call raises WorkerDied.
        """
        if self.binding.isolation == "none":
            self._refuse_reentry()
        if not self._lock.acquire(blocking=self.binding.isolation == "none"):
            if not self._closed:
                self._closed = True
                self._loaded.leave()
            return
        try:
            if self._closed:
                return
            self._check_thread()
            self._closed = True
            self._discard_guest()
            self._loaded.leave()
        finally:
            self._lock.release()

    def __enter__(self) -> Plugin:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        where = self.path or "bytes"
        return f"<Plugin {self.manifest.command.name!r} from {where} on {self.backend}>"

    def _load_manifest(self, *, fresh: bool = False) -> PluginManifest:
        manifest = self._call(MANIFEST, (), None, _decode_manifest, fresh=fresh)
        if manifest.api_version != API_VERSION:
            raise ApiVersionMismatch(expected=API_VERSION, actual=manifest.api_version)
        return manifest

    def _call(
        self,
        function: str,
        prefix: tuple[int, ...],
        payload: bytes | None,
        decode: Callable[[bytes, int], T],
        *,
        fresh: bool = False,
        args: Sequence[str] = (),
    ) -> T:
        if self._caller is not None:
            self._refuse_reentry()
        with self._lock:
            self._caller = get_ident()
            guest = self._guest
            try:
                if guest is None or fresh or self._closed or self._thread is not None:
                    guest = self._prepare(fresh=fresh)
                if self._loaded.imports:
                    self._tell(guest, args)
                return decode(guest.exchange(function, prefix, payload), self._result_bytes)
            except SenHostError as error:
                raise self._about_us(error)  # noqa: B904 - the same error
            finally:
                self._caller = None
                if guest is not None and (not guest.alive or self._closed):
                    self._discard_guest()

    def _prepare(self, *, fresh: bool) -> Guest:
        if self._closed:
            raise PluginClosed("the plugin is closed")
        self._check_thread()
        if fresh:
            self._discard_guest()
        return self._live_guest()

    def _refuse_reentry(self) -> None:
        # A signal handler or a finalizer that runs within a call would wait for itself.
        if self._caller == get_ident() and self._lock.locked():
            raise self._about_us(PluginBusy("this thread is in the middle of a call of the plugin"))

    def after_fork(self) -> None:
        """In a fork of the process: another thread may have been in a call."""
        if self._lock.locked():
            self._guest = None
        self._lock = threading.Lock()
        self._caller = None

    def _about_us(self, error: SenHostError) -> SenHostError:
        error.plugin = self.path
        return error

    def _live_guest(self) -> Guest:
        if self._guest is None:
            loaded = self._loaded
            if loaded.imports:
                self._guest = self._serve()
            else:
                try:
                    instance = loaded.module.instantiate()
                except Trap as trap:
                    raise instantiation_fault(trap, self.limits) from trap
                self._guest = Guest(instance, self.limits, has_resume=loaded.has_resume)
            if loaded.has_start:
                self._start(self._guest)
        return self._guest

    def _serve(self) -> Guest:
        from sen_host.host_calls import serve

        loaded = self._loaded
        guest = serve(
            loaded.module,
            loaded.imports,
            loaded.terms.host_functions,
            self.binding,
            self.limits,
            has_resume=loaded.has_resume,
        )
        # The start function comes first.
        guest.functions.granted = self._granted
        return guest

    def _tell(self, guest: Guest, args: Sequence[str]) -> None:
        """Tell the host functions what comes."""
        from sen_host.host_calls import ServedGuest

        assert isinstance(guest, ServedGuest)
        guest.functions.granted = self._granted
        guest.args = args

    def _start(self, guest: Guest) -> None:
        try:
            guest.start()
        except BaseException:
            self._discard_guest()
            raise

    def _discard_guest(self) -> None:
        guest, self._guest = self._guest, None
        if guest is not None:
            self._spent = guest.fuel_used, guest.fuel_left
            guest.close()

    def _in_its_thread(self) -> bool:
        return self._thread is None or self._thread is _this_thread()

    def _check_thread(self) -> None:
        if not self._in_its_thread():
            raise WrongThread(
                f"the binding {self.binding.name!r} of {self.backend} can use a plugin only in"
                " the thread that loaded it",
                hint="load the plugin in this thread as well, or use isolation='process'",
            )


_threads = threading.local()


def _this_thread() -> object:
    """A token of this thread; the number of a thread that ended is given to another."""
    try:
        token: object = _threads.token
    except AttributeError:
        token = _threads.token = object()
    return token


def _decode_manifest(data: bytes, max_bytes: int) -> PluginManifest:
    return decode(PluginManifest, data, max_bytes=max_bytes)


def leave_quietly(loaded: LoadedModule, error: BaseException) -> None:
    """Leave a module whose load failed; what goes wrong then hangs on to ``error``."""
    try:
        loaded.leave()
    except SenHostError as second:
        error.__context__ = second
