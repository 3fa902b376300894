"""What a plugin of ``sen-host run`` may do: by options, by what is stored, by asking.

Imported only for a plugin that asks for something, or a user who allows something.
"""

from __future__ import annotations

from sen_host.audit import PermissionEvent
from sen_host.cli.granting import options_for
from sen_host.cli.output import one_line
from sen_host.errors import PermissionDenied
from sen_host.messages import Capabilities
from sen_host.permissions import CiStrategy, Permissions, Trust, TrustFlags, describe, union
from sen_host.permissions.capabilities import is_empty
from sen_host.records import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sen_host.audit import Audit
    from sen_host.plugin import Plugin

APPLICATION = "sen-host"

_FIELDS = ("fs_read", "fs_write", "env_read", "net", "stdio")
_LONGEST_REMEDY = 500


class Wishes(NamedTuple):
    """What the user says beforehand.

    Attributes:
        allowed: what the options allow.
        trusted: names of plugins that get all that they ask for.
        trust_all: whether every plugin does.
        prompt: whether the user may be asked.
    """

    allowed: Capabilities
    trusted: tuple[str, ...]
    trust_all: bool
    prompt: bool

    def trust(self) -> Trust:
        """Whom the user trusts.

        Raises:
            ConfigError: a name cannot be that of a plugin.
        """
        return TrustFlags.trust(plugins=self.trusted) | Trust(everything=self.trust_all)


def authorize(plugin: Plugin, path: str, wishes: Wishes, audit: Audit | None) -> Capabilities:
    """What the plugin may do now; this may ask the user.

    An option decides on all of its kind: who allows one file to be read, allows no other.

    Raises:
        PermissionDenied: it asks for more.
        ConfigError: a plugin of another name is trusted.
        PermissionStoreError: the grants cannot be read or written.
    """
    trust = wishes.trust()
    name = plugin.manifest.command.name
    trust.check_known([name])
    asked = plugin.manifest.capabilities
    if not trust.covers(name):
        asked = _undecided(asked, wishes.allowed)
    if audit is not None and not is_empty(wishes.allowed):
        _tell(plugin, wishes.allowed, audit)
    if is_empty(asked):
        return wishes.allowed
    permissions = Permissions(
        APPLICATION,
        strategy=None if wishes.prompt else CiStrategy(),
        audit=audit,
        trust=trust,
    )
    try:
        granted = permissions.check(name, asked, sha256=plugin.sha256)
    except PermissionDenied as error:
        if error.hint is not None:
            error.hint = _remedy(asked, path)
        error.plugin = path
        raise
    return union(wishes.allowed, granted)


def _tell(plugin: Plugin, allowed: Capabilities, audit: Audit) -> None:
    from datetime import datetime, timezone

    audit.record(
        PermissionEvent(
            "granted",
            datetime.now(timezone.utc),
            APPLICATION,
            plugin.manifest.command.name,
            plugin.sha256,
            (),
            describe(allowed),
            "by options of the command line",
        )
    )


def _undecided(asked: Capabilities, allowed: Capabilities) -> Capabilities:
    """What is asked for of the kinds that no option is about."""
    nothing = Capabilities()
    return Capabilities(
        **{
            field: getattr(
                asked if getattr(allowed, field) == getattr(nothing, field) else nothing, field
            )
            for field in _FIELDS
        }
    )


def _remedy(asked: Capabilities, path: str) -> str:
    from shlex import join

    words = one_line(join(options_for(asked)))
    options = "options such as --allow-read" if len(words) > _LONGEST_REMEDY else words
    stored = one_line(join(["sen-host", "permissions", "grant", path]))
    return (
        f"if it can be trusted, allow it for this run with {options}, or for ever with `{stored}`"
    )
