"""The charts, drawn from the figures as JSON: the same figures, the same bytes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.speed.calls import EXTISM, PORT
from benchmarks.speed.outcome import OURS
from benchmarks.speed.report import number
from benchmarks.speed.starts import BARE
from benchmarks.speed.svg import OTHERS_COLOUR, OURS_COLOUR, Drawing

Report = Mapping[str, Any]
Bars = Sequence[tuple[str, float]]

WIDTH = 680
_LABELS = {PORT: "wasmtime-py, plain", EXTISM: "Extism", OURS: "sen-host"}
_LEFT, _RIGHT, _TOP, _BAR, _GAP = 170, 90, 52, 20, 7


def calls_chart(report: Report) -> str | None:
    """Time of a call with a small and a large message; None if it was not measured."""
    groups = []
    for row, title in (("execute-64", "64 bytes"), ("execute-64k", "64 KiB")):
        medians = _medians(report, row)
        if OURS not in medians:
            return None
        bars = [(_LABELS[name], medians[name]) for name in _LABELS if name in medians]
        groups.append((title, bars))
    return _bar_chart("One call of a plugin, fuel on, typed result: µs, less is better", groups)


def starts_chart(report: Report) -> str | None:
    """Time from the start of a process to the first result; None if it was not measured."""
    medians = _medians(report, "first-result")
    if OURS not in medians:
        return None
    bars = [
        (_LABELS[name], medians[name] - medians[BARE]) for name in (EXTISM, OURS) if name in medians
    ]
    title = "Process start to first result, above bare Python: ms, less is better"
    return _bar_chart(title, [("320 KB, cached", bars)])


def _bar_chart(title: str, groups: Sequence[tuple[str, Bars]]) -> str:
    count = sum(len(bars) for _, bars in groups)
    height = _TOP + count * (_BAR + _GAP) + len(groups) * 30
    longest = max(value for _, bars in groups for _, value in bars)
    drawing = Drawing(WIDTH, height, title)
    drawing.text(0, 20, title, size=15, bold=True)
    y: float = _TOP
    for group, bars in groups:
        drawing.text(0, y, group, bold=True)
        y += 8
        for label, value in bars:
            length = max(value / longest * (WIDTH - _LEFT - _RIGHT), 1)
            middle = y + _BAR * 0.72
            drawing.text(_LEFT - 10, middle, label, anchor="end")
            colour = OURS_COLOUR if label == _LABELS[OURS] else OTHERS_COLOUR
            drawing.bar(_LEFT, y, length, _BAR, colour)
            drawing.text(_LEFT + length + 8, middle, number(value), bold=True)
            y += _BAR + _GAP
        y += 22
    return drawing.render()


def load_chart(report: Report) -> str | None:
    """Cold load time against module size; None if it was not measured."""
    points = [(int(size), value) for size, value in _medians(report, "load-size").items()]
    if len(points) < 2:
        return None
    height, bottom = 300, 260
    title = "Loading a plugin for the first time, by its size: ms, both scales logarithmic"
    drawing = Drawing(WIDTH, height, title)
    drawing.text(0, 20, title, size=15, bold=True)
    across = _Axis([size for size, _ in points], 70, WIDTH - 30)
    up = _Axis([value for _, value in points], bottom, 50)
    for size in across.powers:
        x = across.place(size)
        drawing.line([(x, up.end), (x, bottom)], OTHERS_COLOUR, 0.5)
        drawing.text(x, bottom + 20, _bytes(size), anchor="middle")
    for value in up.powers:
        y = up.place(value)
        drawing.line([(across.start, y), (across.end, y)], OTHERS_COLOUR, 0.5)
        drawing.text(across.start - 10, y + 4, f"{value:,.0f}", anchor="end")
    places = [(across.place(size), up.place(value)) for size, value in points]
    drawing.line(places, OURS_COLOUR, 2)
    for place in places:
        drawing.dot(*place, OURS_COLOUR)
    return drawing.render()


class _Axis:
    """A logarithmic axis from a power of ten to another; it holds all values."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        # A hair of room, so that a value that is meant to be a power is one.
        self._low = math.floor(math.log10(min(values)) + 1e-6)
        self._high = max(math.ceil(math.log10(max(values)) - 1e-6), self._low + 1)
        self.start, self.end = start, end
        self.powers = [10**power for power in range(self._low, self._high + 1)]

    def place(self, value: float) -> float:
        share = (math.log10(value) - self._low) / (self._high - self._low)
        return self.start + share * (self.end - self.start)


def _medians(report: Report, row: str) -> dict[str, float]:
    found = report["rows"].get(row, {}).get("contestants", {})
    return {name: spread["median"] for name, spread in found.items()}


def _bytes(size: float) -> str:
    for unit, factor in (("MB", 10**6), ("KB", 10**3)):
        if size >= factor:
            return f"{size / factor:g} {unit}"
    return f"{size:g} bytes"


CHARTS: dict[str, Callable[[Report], str | None]] = {
    "calls.svg": calls_chart,
    "starts.svg": starts_chart,
    "load.svg": load_chart,
}
"""The files and what draws them."""
