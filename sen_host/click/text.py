"""A plugin's words in the help of an application: harmless, short, on one line."""

from __future__ import annotations

from sen_host.cli.output import one_line

LONGEST = 500


def shown(text: str, longest: int = LONGEST) -> str:
    """The text without line feeds and control characters, cut to ``longest`` characters."""
    flat = " ".join(text[: 4 * longest].split())
    return one_line(flat if len(flat) <= longest else f"{flat[:longest]}…")
