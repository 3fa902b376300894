"""Other ways to run the same plugin. Each does the same work, and its result is checked."""

from __future__ import annotations


class Missing(Exception):
    """A peer cannot run here; the text says why."""
