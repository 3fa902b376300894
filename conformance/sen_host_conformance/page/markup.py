"""HTML that cannot be broken by the texts in it: what is no Markup is escaped."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

_VOID = frozenset({"input", "meta"})


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def text(value: str) -> Markup:
    """A text as HTML shows it; what UTF-8 cannot encode is written out as an escape."""
    return Markup(escape(value.encode("utf-8", "backslashreplace").decode()))


def tag(element: str, /, *children: str | None, **attributes: str | float | None) -> Markup:
    """An element.

    Args:
        children: what it holds; None holds nothing.
        attributes: by name, with ``_`` for ``-`` and at the end of Python's own
            words. None leaves an attribute out, an empty text gives it no value.
    """
    opened = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + (f'="{text(str(value))}"' if value != "" else "")
        for key, value in attributes.items()
        if value is not None
    )
    if element in _VOID:
        return Markup(f"<{element}{opened}>")
    return Markup(f"<{element}{opened}>{join(children)}</{element}>")


def join(parts: Iterable[str | None]) -> Markup:
    """Parts, one behind the other."""
    return Markup(
        "".join(part if isinstance(part, Markup) else text(part) for part in parts if part)
    )
