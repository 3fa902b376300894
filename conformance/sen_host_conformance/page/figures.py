"""Verdicts, figures and values as the page tells them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sen_host_conformance.page.markup import Markup, tag

SYMBOLS: Mapping[str, str] = {"passed": "✓", "failed": "✗", "declared": "◇", "differs": "≠"}
"""With each verdict, so that colours only repeat what is said."""

FIGURES = ("fuel_used", "fuel_left", "memory_bytes")
UNKNOWN = "nothing known"


def verdict(word: str, shown: str | None = None) -> Markup:
    """A verdict as symbol and word, or another text in its place."""
    symbol = tag("span", SYMBOLS[word], aria_hidden="true")
    return tag("span", symbol, " ", shown or word, class_=f"verdict {word}")


def seconds(value: float) -> str:
    """A time with three digits, or to the second."""
    if value < 0.9995:
        return f"{value * 1000:.0f} ms"
    if value < 99.95:
        return f"{value:.2f} s" if value < 9.995 else f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s"


def counted(number: int, one: str, many: str | None = None) -> str:
    """``1 case``, ``2 cases``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def all_of(number: int) -> str:
    """``both``, ``all 3``."""
    return "both" if number == 2 else f"all {number}"


def field_value(field: str, value: Any) -> str:
    """What a field of an observation holds, in a line."""
    if value is None:
        return UNKNOWN
    if field in FIGURES and isinstance(value, int):
        return f"{value:,}"
    return value_text(value)


def value_text(value: Any) -> str:
    """A value as json; in ASCII alone if it has characters that cannot be seen."""
    shown = json.dumps(value, ensure_ascii=False)
    return shown if shown.isprintable() else json.dumps(value)
