"""A world for the core alone: names, servers and a clock, without a socket."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sen_host import EffectLimits
from sen_host.effects.addresses import parse_networks
from sen_host.effects.core import EffectRun, Rules
from sen_host.effects.faults import EffectRefused, StepFailed, Unresolved
from sen_host.effects.patterns import parse_pattern
from sen_host.effects.session import advance
from sen_host.effects.steps import HangUp, Head, Pause, Read, Resolve, Send, Step
from sen_host.messages import Effect, EffectError, EffectResult


class Answer(NamedTuple):
    """What a server answers with."""

    status: int = 200
    headers: Mapping[str, str] = {}
    body: Sequence[bytes] = (b"ok",)


class World:
    """Does the steps of the core, and keeps them.

    Args:
        names: addresses of each name.
        answers: what the servers answer, one after the other; the last one again and again.
        seconds: how long each step takes.
    """

    def __init__(
        self,
        *grants: str,
        names: Mapping[str, Sequence[str]] | None = None,
        answers: Sequence[Answer | StepFailed] = (Answer(),),
        private: Sequence[str] = (),
        limits: EffectLimits | None = None,
        seconds: float = 0,
    ) -> None:
        self.steps: list[Step] = []
        self.now = 1_000.0
        self.reason = ""
        self._names = names or {}
        self._answers = list(answers)
        self._body: list[bytes] = []
        self._seconds = seconds
        rules = Rules(
            tuple(map(parse_pattern, grants)),
            parse_networks(private),
            limits or EffectLimits(),
        )
        self.run = EffectRun(rules, lambda: self.now)

    @property
    def sent(self) -> list[Send]:
        """The requests that went out."""
        return [step for step in self.steps if isinstance(step, Send)]

    def do(self, effect: Effect) -> EffectResult:
        """Do an effect as the driver does."""
        steps = self.run.steps(effect)
        try:
            step = advance(steps, None)
            while not isinstance(step, EffectResult):
                self.steps.append(step)
                self.now += 0 if isinstance(step, HangUp) else self._seconds
                try:
                    outcome = self._do(step)
                except StepFailed as failure:
                    step = advance(steps, None, failure)
                else:
                    step = advance(steps, outcome)
        except EffectRefused as refused:
            self.reason = refused.reason
            return EffectError(refused.message)
        return step

    def _do(self, step: Step) -> object:
        match step:
            case Resolve(host):
                if host not in self._names:
                    raise Unresolved("no such name")
                return self._names[host]
            case Send():
                answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
                if isinstance(answer, StepFailed):
                    raise answer
                self._body = list(answer.body)
                return Head(
                    answer.status,
                    [(name.encode(), value.encode()) for name, value in answer.headers.items()],
                )
            case Read():
                return self._body.pop(0) if self._body else b""
            case Pause(seconds):
                self.now += seconds
                return None
            case HangUp():
                return None
