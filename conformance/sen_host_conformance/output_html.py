"""A report as one HTML file that needs nothing else: no network, no other file."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import urlencode

from sen_host import Limits
from sen_host_conformance.output_json import as_json
from sen_host_conformance.page.cases import case_list, fixture_anchor, limit_text
from sen_host_conformance.page.charts import fuel_chart, time_charts
from sen_host_conformance.page.figures import SYMBOLS, counted, seconds, verdict
from sen_host_conformance.page.markup import Markup, join, tag
from sen_host_conformance.player import DECLARED, FAILED, PASSED
from sen_host_conformance.report import Report

_PAGE = Path(__file__).parent / "page"
_VERDICTS = (PASSED, DECLARED, FAILED)
_DIFFERS = "differs"


def as_html(report: Report) -> str:
    """A report as a page to look at: one HTML document, in text that UTF-8 can encode."""
    return _page(as_json(report))


def _page(report: Mapping[str, Any]) -> str:
    hosts = [backend["name"] for backend in report["backends"]]
    areas = list(dict.fromkeys(case["area"] for case in report["cases"]))
    limits = asdict(Limits())
    style, script = (
        Markup((_PAGE / name).read_text(encoding="utf-8")) for name in ("report.css", "report.js")
    )
    charts = (fuel_chart, time_charts) if hosts and areas else ()
    template = Template((_PAGE / "report.html").read_text(encoding="utf-8"))
    return template.substitute(
        policy=f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}",
        style=style,
        script=script,
        title=f"{SYMBOLS[_verdict(report)]} Conformance of backends, {_verdict(report)}",
        verdict=_verdict_told(report),
        head=_head(report),
        matrix=_matrix(report, hosts, areas),
        filters=_filters(hosts, areas),
        number=counted(len(report["cases"]), "case"),
        defaults=", ".join(f"{name} {limit_text(value)}" for name, value in limits.items()),
        cases=case_list(report, limits),
        backends=join(_backend(item, report["cases"]) for item in report["backends"]),
        charts=join(chart(report, hosts, areas) for chart in charts),
        fixtures=join(_fixture(*item) for item in report["fixtures"].items()),
    )


def _hash(source: str) -> str:
    """By which the page allows this source and nothing that got into it."""
    return f"'sha256-{b64encode(sha256(source.encode()).digest()).decode()}'"


def _verdict(report: Mapping[str, Any]) -> str:
    return PASSED if report["passed"] else FAILED


def _verdict_told(report: Mapping[str, Any]) -> Markup:
    cases, word = report["cases"], _verdict(report)
    counts = Counter(case["verdict"] for case in cases)
    declared = sum(DECLARED in _verdicts(case) for case in cases)
    on = counted(len(report["backends"]), "backend")
    if not cases:
        told = "There was no case."
    elif counts[FAILED]:
        told = f"{counts[FAILED]:,} of {counted(len(cases), 'case')} failed on {on}."
    elif declared:
        told = (
            f"{counted(len(cases), 'case')} on {on}. {declared:,} of them failed on some backend"
            " as it had declared."
        )
    else:
        told = f"{counted(len(cases), 'case')} on {on}, all passed."
    link = _link("Show them", verdict=FAILED) if counts[FAILED] else None
    return tag(
        "div",
        tag("p", verdict(word, word.capitalize()), class_="whole"),
        tag("p", told, " " if link else None, link),
        class_=f"outcome {word}",
    )


def _verdicts(case: Mapping[str, Any]) -> set[str]:
    return {played["verdict"] for played in case["played"].values()}


def _head(report: Mapping[str, Any]) -> Markup:
    shown = {**report["head"], "duration": seconds(report["seconds"])}
    if "time" in shown:
        shown["time"] = shown["time"].replace("T", " ").replace("+00:00", " UTC")
    return join(tag("div", tag("dt", name), tag("dd", value)) for name, value in shown.items())


def _link(shown: str, label: str | None = None, **state: str) -> Markup:
    """A link that sets the filters, which are kept in the address."""
    return tag("a", shown, href=f"#{urlencode(state)}", aria_label=label)


def _matrix(report: Mapping[str, Any], hosts: list[str], areas: list[str]) -> Markup:
    counts: Counter[tuple[str, str, str]] = Counter()
    differing: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for case in report["cases"]:
        for area in (case["area"], ""):
            sizes[area] += 1
            differing[area] += bool(case["differences"])
            for host, played in case["played"].items():
                counts[area, host, played["verdict"]] += 1
    compared = len(hosts) > 1

    def line(area: str) -> Markup:
        where = {"area": area} if area else {}
        title = _link(area, area=area) if area else join(["all areas"])
        size = tag("span", f" {sizes[area]:,}", class_="size")
        cells = [tag("th", title, size, scope="row")]
        for host in hosts:
            found = {word: counts[area, host, word] for word in _VERDICTS}
            parts = [
                _count(word, number, {**where, "backend": host, "verdict": word})
                for word, number in found.items()
                if number
            ]
            worst = next((word for word in reversed(_VERDICTS) if found[word]), None)
            cells.append(tag("td", *parts, class_=worst))
        if compared:
            unequal = differing[area]
            state = {**where, "verdict": _DIFFERS}
            shown = _count(_DIFFERS, unequal, state) if unequal else join(["equal"])
            cells.append(tag("td", shown, class_=FAILED if unequal else None))
        return tag("tr", *cells)

    titles = ["Area", *hosts, *(["Between them"] if compared else [])]
    head = tag("tr", *(tag("th", title, scope="col") for title in titles))
    body = tag("tbody", *(line(area) for area in areas))
    foot = tag("tfoot", line(""))
    return tag("table", tag("thead", head), body, foot, class_="matrix")


def _count(word: str, number: int, state: Mapping[str, str]) -> Markup:
    """A count that shows its cases."""
    shown = f"{SYMBOLS[word]} {number:,}"
    label = f"{number:,} {word}: show {'it' if number == 1 else 'them'}"
    return tag("a", shown, href=f"#{urlencode(state)}", aria_label=label, class_=word)


def _filters(hosts: list[str], areas: list[str]) -> Markup:
    def choice(name: str, title: str, every: str, values: list[tuple[str, str]]) -> Markup:
        options = [tag("option", shown, value=value) for value, shown in values]
        return tag(
            "label",
            tag("span", title),
            tag("select", tag("option", every, value=""), *options, name=name),
        )

    words = [(word, f"{SYMBOLS[word]} {word}") for word in (*_VERDICTS, _DIFFERS)]
    return join(
        [
            choice("area", "Area", "all", [(area, area) for area in areas]),
            choice("verdict", "Verdict", "any", words),
            choice("backend", "on backend", "any", [(host, host) for host in hosts]),
        ]
    )


def _backend(backend: Mapping[str, Any], cases: list[Mapping[str, Any]]) -> Markup:
    name = backend["name"]
    counts = Counter(case["played"][name]["verdict"] for case in cases)
    place = "in a worker process" if backend["isolation"] == "process" else "in this process"
    shown = ", ".join(f"{counts[word]:,} {word}" for word in _VERDICTS if counts[word])
    return tag(
        "article",
        tag("h3", name),
        tag("p", f"{backend['engine']}, {place}"),
        tag("p", f"Packages: {', '.join(backend['packages']) or 'none'}"),
        tag("p", shown),
        tag("h4", "Lacks" if backend["lacks"] else "Lacks nothing"),
        tag("dl", *_lacks(backend, cases)) if backend["lacks"] else None,
    )


def _lacks(backend: Mapping[str, Any], cases: list[Mapping[str, Any]]) -> Iterator[Markup]:
    for lack in backend["lacks"]:
        needing = sum(lack["capability"] in case["needs"] for case in cases)
        yield tag("dt", tag("b", lack["capability"]), f", {lack['why']}")
        yield tag(
            "dd",
            f"{lack['reason']}. Needed by {counted(needing, 'case') if needing else 'no case'}.",
        )


def _fixture(name: str, fixture: Mapping[str, Any]) -> Markup:
    source = fixture["text"]
    size = counted(fixture["bytes"], "byte")
    return tag(
        "details",
        tag("summary", tag("b", name), f" {size}"),
        tag("pre", tag("code", source))
        if source is not None
        else tag("p", "A plugin that comes with sen-host; it has no text."),
        id=fixture_anchor(name),
        class_="fixture",
    )
