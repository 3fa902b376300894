"""The effects of one run, done one after the other."""

from __future__ import annotations

from sen_host import log
from sen_host.effects.core import EffectRun
from sen_host.effects.faults import EffectRefused, StepFailed
from sen_host.effects.reports import EffectReport
from sen_host.errors import EffectsNotSupported, Serialization
from sen_host.messages import Effect, EffectError, EffectResult

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sen_host.conversation import Conversation
    from sen_host.effects.async_io import AsyncIO
    from sen_host.effects.settings import Handler, Settings
    from sen_host.effects.steps import Step, Steps
    from sen_host.effects.sync_io import SyncIO
    from sen_host.pool import PluginPool


class EffectSession:
    """A handler for one run of one plugin. ``EffectDriver.session`` makes it.

    It counts what the effects of the run take together: so it belongs to one run, and is
    used by one thread or task at a time.
    """

    def __init__(self, settings: Settings, plugin: Conversation | PluginPool | None = None) -> None:
        self._settings = settings
        self._plugin = plugin
        self._run = EffectRun(settings.rules, settings.clock)

    def handle(self, effect: Effect) -> EffectResult:
        """Do an effect. One that is refused or fails gives an EffectError.

        Raises:
            EffectsNotSupported: the plugin cannot be told the result.
            MissingLibrary: the library for HTTP is not installed.
            Serialization: a handler returned what is no EffectResult.
            Whatever a handler, the interceptor or the observer raises.
        """
        started = self._settings.clock()
        result: EffectResult | None = None
        reason: str | None = None
        try:
            result = self._do(effect)
        except EffectRefused as refused:
            result, reason = EffectError(refused.message), refused.reason
        finally:
            self._report(effect, result, reason, started)
        return result

    async def handle_async(self, effect: Effect) -> EffectResult:
        """As :meth:`handle`; a handler may be async. Cancelling closes the connection."""
        started = self._settings.clock()
        result: EffectResult | None = None
        reason: str | None = None
        try:
            result = await self._do_async(effect)
        except EffectRefused as refused:
            result, reason = EffectError(refused.message), refused.reason
        finally:
            self._report(effect, result, reason, started)
        return result

    def _do(self, effect: Effect) -> EffectResult:
        wanted, handler = self._begin(effect)
        if isinstance(wanted, EffectResult):
            return wanted
        if handler is not None:
            return _checked(handler(wanted), wanted)
        from sen_host.effects.sync_io import SyncIO

        settings = self._settings
        io = SyncIO(settings.resolver, settings.tls, settings.sleep)
        return drive(self._run.steps(wanted), io)

    async def _do_async(self, effect: Effect) -> EffectResult:
        wanted, handler = self._begin(effect)
        if isinstance(wanted, EffectResult):
            return wanted
        if handler is not None:
            from inspect import isawaitable

            answer = handler(wanted)
            return _checked(await answer if isawaitable(answer) else answer, wanted)
        from sen_host.effects.async_io import AsyncIO

        settings = self._settings
        io = AsyncIO(settings.resolver, settings.tls, settings.sleep_async)
        return await drive_async(self._run.steps(wanted), io)

    def _begin(self, effect: Effect) -> tuple[Effect | EffectResult, Handler | None]:
        """What to do after the interceptor had its say, and the handler that does it."""
        if self._plugin is not None and not self._plugin.supports_effects:
            error = EffectsNotSupported(
                "the plugin asks for an effect, but does not export 'plugin_resume'"
            )
            error.plugin = self._plugin.path
            raise error
        intercept = self._settings.intercept
        wanted = None if intercept is None else intercept(effect)
        if wanted is None:
            wanted = effect
        if not isinstance(wanted, (Effect, EffectResult)):
            raise Serialization(
                f"the interceptor returned {type(wanted).__name__}",
                hint="it must return None, an Effect or an EffectResult",
            )
        return wanted, self._settings.handlers.get(type(wanted))  # type: ignore[arg-type]

    def _report(
        self, effect: Effect, result: EffectResult | None, reason: str | None, started: float
    ) -> None:
        seconds = self._settings.clock() - started
        if reason is not None:
            log.debug("%s was refused or failed: %r", type(effect).__name__, reason)
        if self._settings.observer is not None:
            plugin = self._plugin
            name = None if plugin is None else plugin.manifest.command.name
            path = getattr(plugin, "path", None)
            self._settings.observer(EffectReport(name, path, effect, result, reason, seconds))


def advance(
    steps: Steps, outcome: object, failure: StepFailed | None = None
) -> Step | EffectResult:
    """Tell an effect how its step went; the next step, or the result at its end.

    Raises:
        EffectRefused
    """
    try:
        return steps.send(outcome) if failure is None else steps.throw(failure)
    except StopIteration as done:
        result: EffectResult = done.value
        return result


def drive(steps: Steps, io: SyncIO) -> EffectResult:
    """Do the steps of an effect.

    Raises:
        EffectRefused
    """
    try:
        step = advance(steps, None)
        while not isinstance(step, EffectResult):
            outcome: object = None
            failure = None
            try:
                outcome = io.do(step)
            except StepFailed as error:
                failure = error
            step = advance(steps, outcome, failure)
        return step
    finally:
        steps.close()
        io.close()


async def drive_async(steps: Steps, io: AsyncIO) -> EffectResult:
    """As ``drive``.

    Raises:
        EffectRefused
    """
    try:
        step = advance(steps, None)
        while not isinstance(step, EffectResult):
            outcome: object = None
            failure = None
            try:
                outcome = await io.do(step)
            except StepFailed as error:
                failure = error
            step = advance(steps, outcome, failure)
        return step
    finally:
        steps.close()
        await io.close()


def _checked(answer: object, effect: Effect) -> EffectResult:
    if isinstance(answer, EffectResult):
        return answer
    if hasattr(answer, "close"):
        answer.close()  # a coroutine that nobody awaits would warn
    raise Serialization(
        f"the handler of {type(effect).__name__} returned {type(answer).__name__}",
        hint="it must return an EffectResult; an async handler needs run_async",
    )
