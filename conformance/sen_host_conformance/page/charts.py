"""Charts of fuel and time by area, each with its figures as a table.

Lengths are shares of the width, so that a chart fits any screen and its text
keeps its size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, log10
from typing import Any

from sen_host_conformance.page.figures import SYMBOLS, UNKNOWN, all_of, counted, seconds
from sen_host_conformance.page.markup import Markup, join, tag

_LINE = 30
_AXIS = 22


@dataclass
class _Fuel:
    """Of an area: fuel by backend, of the steps whose fuel every backend knows."""

    by_host: dict[str, int]
    steps: int = 0
    left_out: int = 0

    @property
    def equal(self) -> bool:
        return len(set(self.by_host.values())) == 1

    def sharing(self) -> list[tuple[int, list[str]]]:
        """Each value with the backends that have it, first what most of them have."""
        shared: dict[int, list[str]] = {}
        for host, value in self.by_host.items():
            shared.setdefault(value, []).append(host)
        return sorted(shared.items(), key=lambda item: -len(item[1]))


def fuel_chart(report: Mapping[str, Any], hosts: list[str], areas: list[str]) -> Markup:
    """What the guests used, on a logarithmic scale; one line where backends agree."""
    fuel = {area: _Fuel(dict.fromkeys(hosts, 0)) for area in areas}
    for case in report["cases"]:
        _add_fuel(fuel[case["area"]], case, hosts)
    agreeing = sum(item.equal for item in fuel.values())
    everyone = f"{all_of(len(hosts))} backends"
    if len(hosts) == 1:
        told = "There is one backend, so there is nothing to compare."
    elif agreeing == len(areas):
        told = f"Equal on {everyone} in every area."
    else:
        told = f"Equal on {everyone} in {agreeing} of {counted(len(areas), 'area')}."
    note = " The scale is logarithmic."
    left_out = sum(item.left_out for item in fuel.values())
    if left_out:
        note += f" Left out: {counted(left_out, 'step')} whose fuel not every backend can tell."
    return tag(
        "figure",
        tag("h3", "Fuel by area"),
        tag("p", tag("strong", told), note),
        _fuel_drawing(fuel, hosts, told),
        _table("Fuel", hosts, {area: _fuel_row(item) for area, item in fuel.items()}),
    )


def _add_fuel(area: _Fuel, case: Mapping[str, Any], hosts: list[str]) -> None:
    for number in range(len(case["steps"])):
        used = {}
        for host in hosts:
            seen = case["played"][host]["seen"]
            used[host] = seen[number].get("fuel_used") if number < len(seen) else None
        known = {host: value for host, value in used.items() if value is not None}
        if len(known) == len(hosts):
            area.steps += 1
            for host, value in known.items():
                area.by_host[host] += value
        elif known:
            area.left_out += 1


def _fuel_row(item: _Fuel) -> list[str]:
    return [f"{value:,}" if item.steps else UNKNOWN for value in item.by_host.values()]


def _fuel_drawing(fuel: Mapping[str, _Fuel], hosts: list[str], told: str) -> Markup:
    most = max((value for item in fuel.values() for value in item.by_host.values()), default=0)
    powers = max(1, ceil(log10(max(most, 1))))
    parts: list[Markup] = []
    y = _AXIS
    for area, item in fuel.items():
        if item.steps and not item.equal:
            parts.append(_label(y, f"{SYMBOLS['differs']} {area} differs", class_="differs"))
            y += _LINE - 8
            lines = [
                (shared[0] if len(shared) == 1 else f"{len(shared)} backends", value, f"{value:,}")
                for value, shared in item.sharing()
            ]
        else:
            value = item.by_host[hosts[0]]
            shown = f"{value:,}" + (f" on {all_of(len(hosts))}" if len(hosts) > 1 else "")
            lines = [(area, value, shown if item.steps else UNKNOWN)]
        for name, value, shown in lines:
            parts.append(_label(y, name, shown))
            if item.steps:
                parts += _lollipop(y + 18, log10(max(value, 1)) / powers)
            y += _LINE
    axis: list[Markup] = []
    for power in range(powers + 1):
        x = _percent(power / powers)
        anchor = "start" if power == 0 else "end" if power == powers else "middle"
        axis.append(tag("line", x1=x, x2=x, y1=14, y2=y, class_="grid"))
        # At ten powers, every label no longer fits the width of a phone.
        if power % ceil(powers / 5) == 0:
            axis.append(tag("text", _power(power), x=x, y=10, text_anchor=anchor, class_="axis"))
    return _drawing(f"Fuel by area. {told}", y, [*axis, *parts])


def time_charts(report: Mapping[str, Any], hosts: list[str], areas: list[str]) -> Markup:
    """How long the cases took: a drawing for each backend, all on one scale."""
    spent = {host: dict.fromkeys(areas, 0.0) for host in hosts}
    for case in report["cases"]:
        for host, played in case["played"].items():
            spent[host][case["area"]] += played["seconds"]
    most = max((value for by_area in spent.values() for value in by_area.values()), default=0.0)
    panels = []
    for host, by_area in spent.items():
        parts: list[Markup] = []
        for row, (area, value) in enumerate(by_area.items()):
            y = row * _LINE + 2
            share = _percent(value / most if most else 0)
            parts += [
                _label(y, area, seconds(value)),
                tag("rect", x=0, y=y + 15, width="100%", height=5, class_="track"),
                tag("rect", x=0, y=y + 15, width=share, height=5, class_="bar"),
            ]
        total = seconds(sum(by_area.values()))
        drawing = _drawing(f"Time by area on {host}: {total} in all", len(areas) * _LINE, parts)
        panels.append(tag("div", tag("h4", host), tag("p", f"{total} in all"), drawing))
    rows = {area: [seconds(spent[host][area]) for host in hosts] for area in areas}
    return tag(
        "figure",
        tag("h3", "Time by area"),
        tag(
            "p",
            "From loading to closing, of all cases of an area together, on one scale. Cases are"
            " played at the same time on the same processors: these are no benchmarks.",
        ),
        tag("div", *panels, class_="panels"),
        _table("Time", hosts, rows),
    )


def _label(y: int, name: str, shown: str = "", class_: str | None = None) -> Markup:
    left = tag("text", name, x=0, y=y + 11, class_=class_)
    if not shown:
        return left
    return join([left, tag("text", shown, x="100%", y=y + 11, text_anchor="end", class_="figure")])


def _lollipop(y: int, share: float) -> list[Markup]:
    x = _percent(share)
    return [
        tag("line", x1=0, x2=x, y1=y, y2=y, class_="stem"),
        tag("circle", cx=x, cy=y, r=3.5, class_="bar"),
    ]


def _drawing(label: str, height: int, parts: list[Markup]) -> Markup:
    return tag("svg", *parts, role="img", aria_label=label, width="100%", height=height)


def _table(what: str, hosts: list[str], rows: Mapping[str, list[str]]) -> Markup:
    head = tag("tr", tag("th", "Area", scope="col"), *(tag("th", h, scope="col") for h in hosts))
    body = [
        tag("tr", tag("th", area, scope="row"), *(tag("td", value) for value in values))
        for area, values in rows.items()
    ]
    table = tag("table", tag("thead", head), tag("tbody", *body), class_="figures")
    box = tag("div", table, class_="box", tabindex=0, role="region", aria_label=f"{what} by area")
    return tag("details", tag("summary", f"{what} as a table"), box)


def _percent(share: float) -> str:
    return f"{share * 100:.2f}%"


def _power(power: int) -> str:
    """``100k`` for five; fuel is at most a power of 20."""
    return f"{10 ** (power % 3)}{('', 'k', 'M', 'G', 'T', 'P', 'E')[power // 3]}"
