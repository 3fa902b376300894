"""The cases, each with what every backend did in every step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from sen_host_conformance.page.figures import (
    FIGURES,
    SYMBOLS,
    all_of,
    field_value,
    seconds,
    verdict,
)
from sen_host_conformance.page.markup import Markup, join, tag, text

Case = Mapping[str, Any]

_NO_VALUE = "—"
_LONGEST = 300


def case_list(report: Mapping[str, Any], default_limits: Mapping[str, Any]) -> Markup:
    """All cases, folded."""
    hosts = [backend["name"] for backend in report["backends"]]
    return join(_case(case, hosts, default_limits) for case in report["cases"])


def case_anchor(case: Case) -> str:
    """The ``id`` of a case's element, as it can stand in an address too."""
    return quote(case["id"], safe="/")


def fixture_anchor(name: str) -> str:
    """The ``id`` of a fixture's element."""
    return "fixture:" + quote(name, safe="")


def _case(case: Case, hosts: list[str], default_limits: Mapping[str, Any]) -> Markup:
    return tag(
        "details",
        _summary(case),
        tag(
            "div",
            tag("dl", *_facts(case, default_limits), class_="facts"),
            _played(case, hosts),
            tag("h4", "Steps"),
            tag("ol", *_steps(case, hosts), class_="steps"),
            class_="body",
        ),
        id=case_anchor(case),
        class_="case",
        data_area=case["area"],
        data_verdict=case["verdict"],
        data_on=" ".join(case["played"][host]["verdict"] for host in hosts),
        data_differs="" if case["differences"] else None,
    )


def _summary(case: Case) -> Markup:
    notes = [
        verdict(played["verdict"], f"{played['verdict']} on {host}")
        for host, played in case["played"].items()
        if played["verdict"] != "passed"
    ]
    if case["differences"]:
        notes.append(verdict("differs", "backends differ"))
    return tag(
        "summary",
        verdict(case["verdict"]),
        tag(
            "span",
            tag("span", f"{case['area']}/", tag("b", case["name"]), class_="id"),
            tag("span", case["shows"], class_="shows"),
            class_="what",
        ),
        tag("span", *notes, class_="notes") if notes else None,
    )


def _facts(case: Case, default_limits: Mapping[str, Any]) -> Iterator[Markup]:
    def fact(name: str, *values: str) -> Markup:
        return join([tag("dt", name), tag("dd", *values)])

    yield fact("Rule", case["rule"])
    loaded = f", loaded as a {case['loaded_as']}"
    if case["instances"] != 1:
        loaded += f", {case['instances']} instances side by side"
    link = tag("a", case["fixture"], href=f"#{fixture_anchor(case['fixture'])}", class_="fixture")
    yield fact("Fixture", link, loaded)
    if case["needs"]:
        yield fact("Needs", ", ".join(case["needs"]))
    changed = [
        f"{name} {limit_text(value)}"
        for name, value in case["limits"].items()
        if value != default_limits.get(name)
    ]
    if changed:
        yield fact("Limits", ", ".join(changed))
    yield fact("Link", tag("a", "to this case", href=f"#{case_anchor(case)}"))


def limit_text(value: Any) -> str:
    """A limit as the page tells it."""
    return "none" if value is None else f"{value:,}"


def _played(case: Case, hosts: list[str]) -> Markup:
    rows = []
    for host in hosts:
        played = case["played"][host]
        done = len(played["seen"])
        steps = f"{done} of {len(case['steps'])}"
        rows.append(
            tag(
                "tr",
                tag("th", host),
                tag("td", verdict(played["verdict"])),
                tag("td", steps),
                tag("td", f"{played['fuel']:,}"),
                tag("td", seconds(played["seconds"])),
            )
        )
    titles = ("Backend", "Verdict", "Steps", "Fuel", "Time")
    head = tag("tr", *(tag("th", title) for title in titles))
    table = tag("table", tag("thead", head), tag("tbody", *rows), class_="figures played")
    reasons = [
        tag("li", verdict(played["verdict"], host), f": {played['why']}")
        for host, played in case["played"].items()
        if played["why"]
    ]
    told = tag("ul", *reasons, class_="faults") if reasons else None
    return join([_box(table), told])


def _steps(case: Case, hosts: list[str]) -> Iterator[Markup]:
    for number, step in enumerate(case["steps"]):
        faults = [
            (host, fault, case["played"][host]["verdict"])
            for host in hosts
            for fault in case["played"][host]["faults"]
            if fault["step"] == number
        ]
        differing = [item for item in case["differences"] if item["step"] == number]
        told = [
            tag("li", verdict(word, host), f": {_fault_text(fault)}")
            for host, fault, word in faults
        ]
        told += [
            tag("li", verdict("differs", "differs"), f": {_difference_text(item)}")
            for item in differing
        ]
        title = tag("p", tag("code", step["title"]), class_="title")
        notes = tag("ul", *told, class_="faults") if told else None
        yield tag("li", title, _box(_Step(case, number, hosts).table()), notes)


def _fault_text(fault: Mapping[str, Any]) -> str:
    expected, seen = (
        _shorten(field_value(fault["field"], fault[key])) for key in ("expected", "seen")
    )
    return f"{fault['field']}: expected {expected}, seen {seen}"


def _difference_text(item: Mapping[str, Any]) -> str:
    shared: dict[str, list[str]] = {}
    for host, value in item["seen"].items():
        shared.setdefault(field_value(item["field"], value), []).append(host)
    told = (f"{', '.join(hosts)} saw {_shorten(value)}" for value, hosts in shared.items())
    return f"{item['field']}: {'; '.join(told)}"


def _shorten(shown: str) -> str:
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"


class _Step:
    """A step as a table: what was expected, and a column for all backends that saw the same."""

    def __init__(self, case: Case, number: int, hosts: list[str]) -> None:
        self._expected = _fields(case["steps"][number]["expect"])
        self._seen: dict[str, dict[str, Any] | None] = {}
        for host in hosts:
            seen = case["played"][host]["seen"]
            self._seen[host] = _fields(seen[number]) if number < len(seen) else None
        has_manifest = any(seen and "manifest" in seen for seen in self._seen.values())
        if has_manifest and self._expected.pop("done", False):
            self._expected["manifest"] = "any"
        names = dict.fromkeys([*self._expected, *(n for s in self._seen.values() for n in s or ())])
        figures = [name for name in FIGURES if name in names and self._tells(name)]
        self._rows = [*(name for name in names if name not in FIGURES), *figures]
        self._differing = {
            row
            for item in case["differences"]
            if item["step"] == number
            for row in [self._row(item["field"])]
        }
        self._wrong = {
            (host, self._row(fault["field"])): case["played"][host]["verdict"]
            for host in hosts
            for fault in case["played"][host]["faults"]
            if fault["step"] == number
        }

    def _tells(self, name: str) -> bool:
        """Whether anything was expected of it or is known of it."""
        known = (seen and seen.get(name) is not None for seen in self._seen.values())
        return name in self._expected or any(known)

    def table(self) -> Markup:
        columns: dict[str, list[str]] = {}
        for host, seen in self._seen.items():
            marks = [self._wrong.get((host, row)) for row in self._rows]
            columns.setdefault(repr((seen, marks)), []).append(host)
        titles = [[text("expected")], *(self._title(shared) for shared in columns.values())]
        head = [tag("td"), *(tag("th", *title) for title in titles)]
        body = [self._line(row, [shared[0] for shared in columns.values()]) for row in self._rows]
        class_ = "step split" if len(columns) > 1 else "step"
        return tag("table", tag("thead", tag("tr", *head)), tag("tbody", *body), class_=class_)

    def _title(self, hosts: list[str]) -> list[Markup]:
        if len(hosts) == len(self._seen) > 1:
            names = [tag("span", f"{all_of(len(hosts))} backends")]
        else:
            names = [tag("span", host) for host in hosts]
        if self._seen[hosts[0]] is None:
            names.append(tag("i", "not reached"))
        return names

    def _line(self, row: str, hosts: list[str]) -> Markup:
        name = tag("th", row)
        if row in self._differing:
            mark = tag("span", SYMBOLS["differs"], role="img", aria_label="differs")
            name = tag("th", row, " ", mark, class_="differs")
        wanted = self._expected.get(row, _NO_VALUE)
        expected = wanted if wanted in ("any", _NO_VALUE) else field_value(row, wanted)
        return tag("tr", name, tag("td", expected), *(self._cell(row, host) for host in hosts))

    def _cell(self, row: str, host: str) -> Markup:
        seen = self._seen[host] or {}
        shown = field_value(row, seen[row]) if row in seen else _NO_VALUE
        word = self._wrong.get((host, row))
        if word is None:
            return tag("td", shown)
        mark = tag("span", SYMBOLS[word], role="img", aria_label=word)
        return tag("td", mark, " ", shown, class_=word)

    def _row(self, field: str) -> str:
        """The row that shows a field: its own, or the one of the whole that it is part of."""
        for row in self._rows:
            if field == row or field.startswith(f"{row}."):
                return row
        return self._rows[0]


def _fields(observation: Mapping[str, Any]) -> dict[str, Any]:
    """An observation or expectation by field, as faults and differences name them."""
    fields: dict[str, Any] = {}
    for name, value in observation.items():
        if name == "raises" and isinstance(value, Mapping):
            fields.update({f"raises.{key}": item for key, item in value.items()})
        else:
            fields[name] = value
    return fields


def _box(table: Markup) -> Markup:
    """A table that scrolls for itself where the page is too narrow."""
    return tag("div", table, class_="box")
