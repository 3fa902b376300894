"""The registry: from the name of a command to the plugin that has it."""

from __future__ import annotations

import os

from sen_host import log
from sen_host.audit.recorder import DEFAULT_APPLICATION, audit_of
from sen_host.errors import CommandNotFound
from sen_host.plugin import Plugin
from sen_host.registry.files import normal
from sen_host.registry.intake import Change, Intake
from sen_host.registry.session import Session
from sen_host.registry.table import CommandTable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
    from types import TracebackType

    from sen_host.audit import Audit, AuditSink
    from sen_host.effects import EffectDriver
    from sen_host.loader import PluginLoader
    from sen_host.messages import (
        Capabilities,
        Effect,
        EffectResult,
        Error,
        ExecuteResult,
        PluginManifest,
        Success,
    )
    from sen_host.permissions import Permissions
    from sen_host.registry.entry import Entry


class PluginRegistry:
    """Plugins by the names of their commands, for all threads and coroutines of a program.

    A command is named as the plugin names it, or with a prefix: ``db:create``. With the
    name of a subcommand behind it (``db:create``, ``db create``) it gets that as its first
    argument.

    Calls of different plugins run side by side. Those of one plugin are made one after
    the other, or on several ``instances``. A plugin of a binding that is tied to one
    thread is loaded and called in a thread of the registry's own.

    Args:
        loader: loads the plugins; by default one of the configuration.
        permissions: is asked before each execute what the plugin may use; by default
            nothing of what a capability can grant.
        effects: does the effects of ``run`` without a handler; by default an EffectDriver.
            If there are permissions, what they grant is what it may reach; else its own.
        instances: how many instances each plugin may have.
        audit: is told of each plugin that comes and goes, each call and each effect; it is
            for the permissions to tell of what is asked and granted.

    Raises:
        ConfigError: ``instances`` is not a whole number above 0.
    """

    def __init__(
        self,
        loader: PluginLoader | None = None,
        *,
        permissions: Permissions | None = None,
        effects: EffectDriver | None = None,
        instances: int = 1,
        audit: Audit | AuditSink | None = None,
    ) -> None:
        application = DEFAULT_APPLICATION if permissions is None else permissions.application
        self._audit = audit_of(audit, application)
        self._table = CommandTable()
        self._intake = Intake(self._table, loader, instances=instances, audit=self._audit)
        self._permissions = permissions
        self._effects = effects

    # --- what is there ---------------------------------------------------------

    def commands(self) -> tuple[str, ...]:
        """The names of all commands, sorted."""
        return tuple(self._table.entries())

    def manifest(self, name: str) -> PluginManifest:
        """The manifest of the plugin that has a command.

        Raises:
            CommandNotFound
        """
        return self._table.find(name)[0].first.manifest

    def manifests(self) -> dict[str, PluginManifest]:
        """All manifests by the names of the commands, in their order."""
        entries = self._table.entries()
        return {name: entry.first.manifest for name, entry in entries.items()}

    def source(self, name: str) -> str | None:
        """The file that a command's plugin was loaded from; None if from bytes.

        Raises:
            CommandNotFound
        """
        return self._table.find(name)[0].first.path

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._table.look_up(name) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self.commands())

    def __len__(self) -> int:
        return len(self._table)

    # --- coming and going ------------------------------------------------------

    def load(
        self, path: str | os.PathLike[str], *, prefix: str | None = None, replace: bool = False
    ) -> str:
        """Load a plugin from a file, in place of the one that came from there before.

        If anything fails, what was there goes on serving.

        Args:
            path: the file.
            prefix: put before the plugin's own name: ``prefix:name``.
            replace: whether it may take the command of a plugin from another file.

        Returns:
            The name of its command.

        Raises:
            CommandConflict: a plugin from another file has the command.
            InvalidCommandName: it, or a subcommand, has a name that cannot be used.
            ConfigError: the prefix cannot be used.
            PluginClosed: the registry is closed.
            Others as ``PluginLoader.load``.
        """
        return self._intake.file(path, prefix=prefix, replace=replace).command

    def refresh(self, path: str | os.PathLike[str], *, replace: bool = False) -> Change:
        """As :meth:`load`, unless what is in the file serves already; keeps its prefix.

        Raises:
            As :meth:`load`.
        """
        before = self._table.registered_from(normal(path))
        prefix = None if before is None else before.prefix
        return self._intake.file(path, prefix=prefix, replace=replace, unless_same=True)

    async def load_async(
        self, path: str | os.PathLike[str], *, prefix: str | None = None, replace: bool = False
    ) -> str:
        """As :meth:`load`, in a thread. It goes on there if this is cancelled."""
        import asyncio

        return await asyncio.to_thread(self.load, path, prefix=prefix, replace=replace)

    def register(self, plugin: Plugin, *, prefix: str | None = None, replace: bool = False) -> str:
        """Take over a plugin: the registry closes it. If this fails, it is still the caller's.

        To have one plugin under several names, register its ``clone()`` or ``sibling()``.

        Returns, Raises:
            As :meth:`load`. WrongThread: the plugin is tied to a thread, so that it cannot
            have several instances.
        """
        path = None if plugin.path is None else normal(plugin.path)
        if path is not None and self._table.registered_from(path) is not None:
            path = None  # a clone: the first one is that of the file
        return self._intake.take_over(plugin, path, prefix=prefix, replace=replace)

    def reload(self, name_or_path: str | os.PathLike[str]) -> str:
        """Load a plugin anew from its file, with its prefix.

        Running calls finish on the old one, which goes on serving if this fails.

        Returns:
            The name of its command, which may be another one now.

        Raises:
            CommandNotFound: there is no such plugin, or it was not loaded from a file.
            Others as :meth:`load`.
        """
        entry = self._table.registered(name_or_path)
        if entry is None or entry.path is None:
            raise CommandNotFound(
                os.fspath(name_or_path), hint="only what was loaded from a file can be reloaded"
            )
        return self.load(entry.path, prefix=entry.prefix)

    def unload(self, name_or_path: str | os.PathLike[str]) -> str | None:
        """Remove a plugin, by the name of its command or by its file.

        Running calls finish; it is closed after the last of them. Nobody waits for that.

        Returns:
            The name of its command; None if there is no such plugin.
        """
        entry = self._table.take(name_or_path)
        if entry is None:
            return None
        self._tell_unloaded([entry])
        log.debug("unloaded the command %s", entry.command)
        return entry.command

    def close(self) -> None:
        """Unload all plugins. May be called more than once."""
        self._tell_unloaded(self._table.close())
        self._intake.close()

    def __enter__(self) -> PluginRegistry:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # --- calls -------------------------------------------------------------------

    def execute(self, name: str, args: Sequence[str] = ()) -> ExecuteResult:
        """Execute a command once; an effect that it asks for is the caller's to do.

        To go on after an effect, use :meth:`run` or :meth:`lease`.

        Args:
            name: of the command, and perhaps of a subcommand.
            args: further arguments.

        Raises:
            CommandNotFound
            PermissionDenied: it may not run.
            Others as ``Plugin.execute``.
        """
        if self._permissions is not None or self._audit is not None:
            with self.lease(name) as session:
                return session.execute(args)
        entry, words = self._table.hold(name)
        try:
            return entry.plugin.execute([*words, *args] if words else args)
        finally:
            entry.release()

    async def execute_async(self, name: str, args: Sequence[str] = ()) -> ExecuteResult:
        """As :meth:`execute`, in a thread. It goes on there if this is cancelled."""
        import asyncio

        return await asyncio.to_thread(self.execute, name, args)

    def run(
        self,
        name: str,
        args: Sequence[str] = (),
        handler: Callable[[Effect], EffectResult] | None = None,
    ) -> Success | Error:
        """Run a command to its end, and do its effects.

        Args:
            name: of the command, and perhaps of a subcommand.
            args: further arguments.
            handler: does the effects, in place of the registry's driver.

        Raises:
            CommandNotFound
            PermissionDenied: it may not run.
            Others as ``Plugin.run`` and ``EffectDriver.run``.
        """
        with self.lease(name) as session:
            if handler is None:
                return self._driver(session, session.authorize(args)).run(session, args)
            if self._audit is not None:
                handler = self._audit.handler(session, handler)
            return session.run(args, handler)

    async def run_async(
        self,
        name: str,
        args: Sequence[str] = (),
        handler: Callable[[Effect], Awaitable[EffectResult]] | None = None,
    ) -> Success | Error:
        """As :meth:`run`, with a handler that is awaited; guests run in threads.

        Cancelling does not stop a guest that runs; its plugin stays open until it is done.
        """
        import asyncio

        with await self._lease_async(name) as session:
            if handler is None:
                granted = None
                if self._permissions is not None:  # which may ask the user
                    granted = await asyncio.to_thread(session.authorize, args)
                return await self._driver(session, granted).run_async(session, args)
            if self._audit is not None:
                handler = self._audit.async_handler(session, handler)
            return await session.run_async(args, handler)

    def lease(self, name: str) -> Session:
        """A command's plugin for several calls in a row, to be used with ``with``.

        It has the calls of a ``Plugin``, and stays the same one when it is reloaded. With
        several instances, it is one of them, for this caller alone.

        Raises:
            CommandNotFound
        """
        return Session(*self._table.hold(name), permissions=self._permissions, audit=self._audit)

    async def _lease_async(self, name: str) -> Session:
        if self._intake.instances == 1:
            return self.lease(name)
        import asyncio

        # An instance may have to be waited for.
        taking = asyncio.get_running_loop().run_in_executor(None, self.lease, name)
        try:
            return await asyncio.shield(taking)
        except asyncio.CancelledError:
            taking.add_done_callback(_end_lease)
            raise

    # --- inside --------------------------------------------------------------------

    def _tell_unloaded(self, entries: Iterable[Entry]) -> None:
        if self._audit is not None:
            for entry in entries:
                first = entry.first
                self._audit.plugin("unloaded", entry.command, path=first.path, sha256=first.sha256)

    def _driver(self, session: Session, granted: Capabilities | None) -> EffectDriver:
        if self._effects is None:
            from sen_host.effects import EffectDriver

            self._effects = EffectDriver()
        driver = self._effects if granted is None else self._effects.with_net(granted.net)
        audit = self._audit
        if audit is None:
            return driver
        return driver.with_observer(lambda report: audit.effect(session, report))


def _end_lease(taken: Future[Session]) -> None:
    if not taken.cancelled() and taken.exception() is None:
        taken.result().end()
