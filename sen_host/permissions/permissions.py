"""Permissions: the one question that a host asks before it runs a plugin."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from threading import RLock

from sen_host import log
from sen_host.audit.events import PermissionEvent
from sen_host.audit.recorder import audit_of
from sen_host.errors import EnvironmentFault, PermissionDenied
from sen_host.forks import reset_after_fork
from sen_host.messages.types import Capabilities
from sen_host.permissions.capabilities import count, is_empty, missing, union
from sen_host.permissions.description import MOST_CHARACTERS, describe, too_long
from sen_host.permissions.file_store import FilePermissionStore, checked_application
from sen_host.permissions.grant import StoredGrant
from sen_host.permissions.prompts import Choice, Prompt, PromptRequest, Unanswered
from sen_host.permissions.store import MemoryPermissionStore
from sen_host.permissions.strategies import (
    Allow,
    DefaultStrategy,
    Deny,
    Granularity,
    Question,
    Strategy,
)
from sen_host.permissions.trust import Trust
from sen_host.permissions.words import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sen_host.audit.events import PermissionKind
    from sen_host.audit.recorder import Audit
    from sen_host.audit.sinks import AuditSink
    from sen_host.permissions.store import PermissionStore

MOST_PATTERNS = 256
"""A plugin that asks for more things is denied: nobody could look through them."""


class Permissions:
    """Decides what plugins may do, by what is granted, and by asking.

    It may be used by any number of threads; a prompt is never called by two at once. What
    was granted for the session is in ``session``, a store like ``store``.

    Args:
        application: for whom the plugins run; see ``checked_application``.
        strategy: allows, denies or asks; by default a ``DefaultStrategy``.
        store: where grants are kept; by default the file of the application.
        prompt: asks the user; by default a ``TerminalPrompt``.
        audit: is given an event for each request, grant, denial and escalation.
        trust: whom the user trusts for this run.
        tie_to_hash: whether a grant is for one file: then a plugin whose file has changed
            is asked for anew, even if it wants no more. Otherwise it is for the name.
        directory: the working directory of plugins, in which links are looked at; None:
            that of the process at each check.

    Raises:
        ConfigError: the application's name is not usable.
        PermissionStoreError: there is no directory for the file of grants.
    """

    def __init__(
        self,
        application: str,
        *,
        strategy: Strategy | None = None,
        store: PermissionStore | None = None,
        prompt: Prompt | None = None,
        audit: Audit | AuditSink | None = None,
        trust: Trust | None = None,
        tie_to_hash: bool = False,
        directory: str | os.PathLike[str] | None = None,
    ) -> None:
        self.application = checked_application(application)
        self.strategy = DefaultStrategy() if strategy is None else strategy
        self.store = FilePermissionStore(application) if store is None else store
        self.prompt = _terminal_prompt() if prompt is None else prompt
        self.audit = audit_of(audit, self.application)
        self.trust = Trust() if trust is None else trust
        self.tie_to_hash = tie_to_hash
        self._directory = None if directory is None else os.path.abspath(directory)
        self.session = MemoryPermissionStore()
        self.after_fork()
        reset_after_fork(self)

    def after_fork(self) -> None:
        # Reentrant: a prompt that checks something itself must not wait for itself.
        self._asking = RLock()

    def check(
        self,
        plugin: str,
        requested: Capabilities,
        *,
        sha256: str,
        command_path: tuple[str, ...] = (),
    ) -> Capabilities:
        """What the plugin may do now; this may ask the user and wait for the answer.

        Args:
            plugin: the plugin's name.
            requested: what it asks for, as in its manifest.
            sha256: of its file, 64 hexadecimal digits.
            command_path: the words of the command after the plugin's name.

        Returns:
            What is granted: what is requested, or less if the strategy says so.

        Raises:
            PermissionDenied: it may not run.
            PermissionStoreError: the grants cannot be read, or a new one not be kept.
            EnvironmentFault: the working directory is gone.
        """
        if is_empty(requested):
            return requested
        check = _Check(self, plugin, requested, sha256, command_path)
        check.report("requested", requested, "")
        if count(requested) > MOST_PATTERNS:
            raise check.denied(f"it asks for more than {MOST_PATTERNS} things")
        if too_long(requested):
            raise check.denied(f"a pattern of it has more than {MOST_CHARACTERS:,} characters")
        if self.trust.covers(plugin, command_path):
            return check.granted(requested, "trusted for this run")
        decided = check.decide()
        if decided is not None:
            return decided
        with self._asking:
            # Another thread may have got an answer while this one waited.
            decided = check.decide()
            return check.ask() if decided is None else decided

    def revoke(self, plugin: str, command: tuple[str, ...] | None = None) -> int:
        """Forget the grants of a plugin, stored and of this session.

        Args:
            plugin: the plugin's name.
            command: only for this command; None: all grants of the plugin.

        Returns:
            How many grants there were.

        Raises:
            PermissionStoreError: the store cannot be altered.
        """
        return self.session.remove(plugin, command) + self.store.remove(plugin, command)

    def _grants(self, plugin: str, command: tuple[str, ...]) -> list[StoredGrant]:
        """The grants for this command: of this session, and stored."""
        paths = [command]
        if self.strategy.inherit:
            paths += [command[:length] for length in range(len(command) - 1, -1, -1)]
        return [
            grant
            for store in (self.session, self.store)
            for grant in store.grants()
            if grant.plugin == plugin and grant.command in paths
        ]


class _Check:
    """One call of ``Permissions.check``."""

    def __init__(
        self,
        permissions: Permissions,
        plugin: str,
        requested: Capabilities,
        sha256: str,
        command_path: tuple[str, ...],
    ) -> None:
        self._permissions = permissions
        self._plugin = plugin
        self._requested = requested
        self._sha256 = sha256
        self._command_path = command_path
        self._granularity = permissions.strategy.granularity
        self._command = command_path if self._granularity is Granularity.COMMAND else ()
        self._directory = permissions._directory or _working_directory()
        self._escalation_reported = False

    def decide(self) -> Capabilities | None:
        """What the strategy allows; None if the user has to be asked."""
        counted, passed_over = self._known()
        question = Question(
            self._plugin,
            self._command_path,
            self._requested,
            counted,
            self._missing(counted),
            passed_over is not None and counted is None,
            self._permissions.prompt.interactive,
        )
        if question.escalation and not self._escalation_reported:
            self._escalation_reported = True
            self.report("escalated", question.missing, "it asks for more than it was granted")
        decision = self._permissions.strategy.decide(question)
        if isinstance(decision, Deny):
            raise self.denied(decision.reason, question.missing)
        if isinstance(decision, Allow):
            allowed = decision.capabilities
            reason = "as granted before" if is_empty(question.missing) else "by the strategy"
            return self.granted(self._requested if allowed is None else allowed, reason)
        return None

    def ask(self) -> Capabilities:
        """What the user allows."""
        permissions = self._permissions
        counted, passed_over = self._known()
        before = passed_over if counted is None else counted
        new = self._missing(before)
        request = PromptRequest(
            permissions.application,
            self._plugin,
            self._command_path,
            self._requested,
            before,
            new,
            counted is None and passed_over is not None,
            self._choices(),
        )
        try:
            choice = permissions.prompt.ask(request)
        except Unanswered as error:
            raise self.denied(str(error), self._missing(counted)) from error
        if choice is Choice.DENY or choice not in request.choices:
            raise self.denied("the answer was no", self._missing(counted), answered=True)
        if choice is not Choice.ONCE:
            self._keep(choice, counted)
        return self.granted(self._requested, f"the answer was {choice}")

    def granted(self, capabilities: Capabilities, reason: str) -> Capabilities:
        self.report("granted", capabilities, reason)
        return capabilities

    def denied(
        self,
        reason: str,
        lacking: Capabilities | None = None,
        *,
        answered: bool = False,
    ) -> PermissionDenied:
        """The error; the denial is reported."""
        lacking = self._requested if lacking is None else lacking
        self.report("denied", lacking, reason)
        hint = (
            None
            if answered
            else "if the plugin can be trusted, allow it with"
            f" `sen-host permissions grant --application {self._permissions.application} PLUGIN`"
        )
        name = shown(" ".join((self._plugin, *self._command_path)), 80)
        return PermissionDenied(name, _lines(lacking), reason, hint=hint)

    def report(self, kind: PermissionKind, capabilities: Capabilities, reason: str) -> None:
        audit = self._permissions.audit
        if audit is None:
            return
        audit.record(
            PermissionEvent(
                kind,
                datetime.now(timezone.utc),
                self._permissions.application,
                self._plugin,
                self._sha256,
                self._command_path,
                _lines(capabilities),
                reason,
            )
        )

    def _known(self) -> tuple[Capabilities | None, Capabilities | None]:
        """What is granted; and what is granted to another file of that name."""
        if self._granularity is Granularity.EXECUTION:
            return None, None
        grants = self._permissions._grants(self._plugin, self._command)
        ours = [grant.capabilities for grant in grants if self._is_for_this_file(grant)]
        others = [grant.capabilities for grant in grants if not self._is_for_this_file(grant)]
        return self._together(ours), self._together(others)

    def _is_for_this_file(self, grant: StoredGrant) -> bool:
        if grant.sha256 is None:
            return not self._permissions.tie_to_hash
        return grant.sha256 == self._sha256

    def _together(self, several: list[Capabilities]) -> Capabilities | None:
        if not several:
            return None
        together, *others = several
        for other in others:
            together = union(together, other, directory=self._directory)
        return together

    def _missing(self, granted: Capabilities | None) -> Capabilities:
        if granted is None:
            return self._requested
        return missing(self._requested, granted, directory=self._directory)

    def _choices(self) -> tuple[Choice, ...]:
        if self._granularity is Granularity.EXECUTION:
            return (Choice.ONCE, Choice.DENY)
        if not self._permissions.store.writable:
            return (Choice.ONCE, Choice.SESSION, Choice.DENY)
        return tuple(Choice)

    def _keep(self, choice: Choice, granted: Capabilities | None) -> None:
        capabilities = self._requested
        if granted is not None:
            capabilities = union(granted, capabilities, directory=self._directory)
        grant = StoredGrant(
            self._plugin,
            capabilities,
            self._command,
            self._sha256 if self._permissions.tie_to_hash else None,
            datetime.now(timezone.utc).replace(microsecond=0),
        )
        if choice is Choice.ALWAYS:
            self._permissions.store.put(grant)
            log.debug(
                "granted to %s for ever: %d things", shown(self._plugin, 80), count(capabilities)
            )
        else:
            self._permissions.session.put(grant)


def _lines(capabilities: Capabilities) -> tuple[str, ...]:
    """``describe``, unless it would be too much to keep."""
    number = count(capabilities)
    if number > MOST_PATTERNS or too_long(capabilities):
        return (f"use {number:,} files, variables, hosts and streams",)
    return describe(capabilities)


def _working_directory() -> str:
    try:
        return os.getcwd()
    except OSError as error:
        raise EnvironmentFault(
            "the working directory is gone, so no relative path can be checked",
            detail=error.strerror,
            hint="change to a directory that exists",
        ) from error


def _terminal_prompt() -> Prompt:
    from sen_host.permissions.terminal import TerminalPrompt

    return TerminalPrompt()
