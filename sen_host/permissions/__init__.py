"""What a plugin may do: rules, grants that are kept, and asking the user.

``Permissions.check`` is the one question that a host asks before a plugin runs. It is
made of a strategy (allow, deny, ask), a store of grants, a prompt, and the trust flags of
this run. The rules, which patterns a pattern covers, are functions without state:
``paths``, ``environment`` and ``network``, and ``is_subset_of`` for all of them together.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sen_host.permissions.capabilities import is_subset_of, missing, union
    from sen_host.permissions.description import describe
    from sen_host.permissions.events import PermissionEvent
    from sen_host.permissions.file_store import FilePermissionStore
    from sen_host.permissions.grant import StoredGrant, digest
    from sen_host.permissions.permissions import Permissions
    from sen_host.permissions.prompts import (
        AutomaticPrompt,
        Choice,
        Prompt,
        PromptRequest,
        RecordingPrompt,
        Unanswered,
    )
    from sen_host.permissions.store import (
        MemoryPermissionStore,
        PermissionStore,
        ReadOnlyPermissionStore,
    )
    from sen_host.permissions.strategies import (
        Allow,
        Ask,
        CiStrategy,
        Decision,
        DefaultStrategy,
        Deny,
        Granularity,
        PermissiveStrategy,
        Question,
        Strategy,
        StrictStrategy,
        TrustAllStrategy,
    )
    from sen_host.permissions.terminal import TerminalPrompt
    from sen_host.permissions.trust import Trust, TrustFlags

_HOMES = {
    "Allow": "strategies",
    "Ask": "strategies",
    "AutomaticPrompt": "prompts",
    "Choice": "prompts",
    "CiStrategy": "strategies",
    "Decision": "strategies",
    "DefaultStrategy": "strategies",
    "Deny": "strategies",
    "FilePermissionStore": "file_store",
    "Granularity": "strategies",
    "MemoryPermissionStore": "store",
    "PermissionEvent": "events",
    "PermissionStore": "store",
    "Permissions": "permissions",
    "PermissiveStrategy": "strategies",
    "Prompt": "prompts",
    "PromptRequest": "prompts",
    "Question": "strategies",
    "ReadOnlyPermissionStore": "store",
    "RecordingPrompt": "prompts",
    "StoredGrant": "grant",
    "Strategy": "strategies",
    "StrictStrategy": "strategies",
    "TerminalPrompt": "terminal",
    "Trust": "trust",
    "TrustAllStrategy": "strategies",
    "TrustFlags": "trust",
    "Unanswered": "prompts",
    "describe": "description",
    "digest": "grant",
    "is_subset_of": "capabilities",
    "missing": "capabilities",
    "union": "capabilities",
}

__all__ = [
    "Allow",
    "Ask",
    "AutomaticPrompt",
    "Choice",
    "CiStrategy",
    "Decision",
    "DefaultStrategy",
    "Deny",
    "FilePermissionStore",
    "Granularity",
    "MemoryPermissionStore",
    "PermissionEvent",
    "PermissionStore",
    "Permissions",
    "PermissiveStrategy",
    "Prompt",
    "PromptRequest",
    "Question",
    "ReadOnlyPermissionStore",
    "RecordingPrompt",
    "StoredGrant",
    "Strategy",
    "StrictStrategy",
    "TerminalPrompt",
    "Trust",
    "TrustAllStrategy",
    "TrustFlags",
    "Unanswered",
    "describe",
    "digest",
    "is_subset_of",
    "missing",
    "union",
]


def __getattr__(name: str) -> object:
    # Effects need the rules for hosts only: the rest is imported at first use.
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    __import__(f"{__name__}.{home}")
    value: object = getattr(sys.modules[f"{__name__}.{home}"], name)
    globals()[name] = value
    return value
