"""How far a grant reaches below the directory that a guest gets for it."""

from __future__ import annotations

from sen_host.records import NamedTuple, record

Parts = tuple[bytes, ...]


@record(frozen=True, slots=True)
class Scope:
    """What lies in reach of one right.

    Attributes:
        deep: all below the directory.
        flat: the directory and the files in it.
        names: single entries of the directory.
    """

    deep: bool = False
    flat: bool = False
    names: frozenset[bytes] = frozenset()

    def __or__(self, other: Scope) -> Scope:
        return Scope(self.deep or other.deep, self.flat or other.flat, self.names | other.names)

    def admits(self, parts: Parts) -> bool:
        """Whether an entry is in reach; of the directory itself, whether it can be listed."""
        if self.deep:
            return True
        if not parts:
            return self.flat
        return len(parts) == 1 and (self.flat or parts[0] in self.names)


class Access(NamedTuple):
    """What a guest may do below a directory; what it may write, it may read."""

    read: Scope = Scope()
    write: Scope = Scope()

    @property
    def deep(self) -> bool:
        """Whether directories below may be entered."""
        return self.read.deep or self.write.deep

    def sees(self, parts: Parts) -> bool:
        """Whether an entry may be looked at and read."""
        return self.read.admits(parts) or self.write.admits(parts)

    def writes(self, parts: Parts) -> bool:
        """Whether it may be altered, made or removed."""
        return self.write.admits(parts)
