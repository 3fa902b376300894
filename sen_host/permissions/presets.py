"""Permissions for common uses. ``audit`` and ``trust`` are those of ``Permissions``."""

from __future__ import annotations

import os

from sen_host.permissions.file_store import FilePermissionStore
from sen_host.permissions.permissions import Permissions
from sen_host.permissions.prompts import AutomaticPrompt, Choice
from sen_host.permissions.store import MemoryPermissionStore, ReadOnlyPermissionStore
from sen_host.permissions.strategies import (
    CiStrategy,
    PermissiveStrategy,
    StrictStrategy,
    TrustAllStrategy,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sen_host.permissions.events import Sink
    from sen_host.permissions.trust import Trust


def interactive(
    application: str, *, audit: Sink | None = None, trust: Trust | None = None
) -> Permissions:
    """Grants in the user's file; what is not granted is asked at the terminal."""
    return Permissions(application, audit=audit, trust=trust)


def strict(
    application: str, *, audit: Sink | None = None, trust: Trust | None = None
) -> Permissions:
    """As interactive, for each command by itself and for each file of a plugin anew."""
    return Permissions(
        application, strategy=StrictStrategy(), audit=audit, trust=trust, tie_to_hash=True
    )


def permissive(
    application: str, *, audit: Sink | None = None, trust: Trust | None = None
) -> Permissions:
    """Everything is allowed but connections; those are asked at the terminal."""
    return Permissions(application, strategy=PermissiveStrategy(), audit=audit, trust=trust)


def ci(
    application: str,
    file: str | os.PathLike[str] | None = None,
    *,
    audit: Sink | None = None,
    tie_to_hash: bool = False,
) -> Permissions:
    """What stands in a file of grants, which stays as it is; the rest is denied.

    Args:
        application: whose grants they are.
        file: the file; by default the user's.
        audit: see ``Permissions``.
        tie_to_hash: see ``Permissions``.
    """
    return Permissions(
        application,
        strategy=CiStrategy(),
        store=ReadOnlyPermissionStore(FilePermissionStore(application, file)),
        prompt=AutomaticPrompt(Choice.DENY),
        audit=audit,
        tie_to_hash=tie_to_hash,
    )


def for_tests(*, audit: Sink | None = None) -> Permissions:
    """Everything that is asked for is granted, and kept in memory. For tests."""
    return Permissions(
        "testing",
        store=MemoryPermissionStore(),
        prompt=AutomaticPrompt(Choice.ALWAYS),
        audit=audit,
    )


def trust_all_dangerous(application: str, *, audit: Sink | None = None) -> Permissions:
    """Every plugin gets whatever it asks for. For development with plugins of your own."""
    return Permissions(
        application,
        strategy=TrustAllStrategy(),
        store=MemoryPermissionStore(),
        prompt=AutomaticPrompt(Choice.DENY),
        audit=audit,
    )
