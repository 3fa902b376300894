"""Text of plugins made fit to be shown: no control characters, no hidden direction."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def shown(text: str, most: int | None = None) -> str:
    """The text with all that is not printable written out, e.g. ``\\x1b``, ``\\u202e``.

    Args:
        text: any text.
        most: characters of the text that are shown; None for all.
    """
    cut = text if most is None else text[:most]
    written = "".join(
        character
        if character.isprintable() and character != "\\"
        else character.encode("unicode_escape").decode()
        for character in cut
    )
    return written if cut == text else f"{written}..."


def listed(parts: Iterable[str], most: int = 8) -> str:
    """Some of the parts, and how many more there are."""
    parts = tuple(parts)
    text = "; ".join(parts[:most])
    return text if len(parts) <= most else f"{text}; and {len(parts) - most:,} more"
