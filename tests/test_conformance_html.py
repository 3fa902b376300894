"""The report as a page: what is in it, and that nothing breaks it."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from xml.etree.ElementTree import Element, TreeBuilder

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sen_host_conformance.case import Step
from sen_host_conformance.output_html import as_html
from sen_host_conformance.player import DECLARED, FAILED, PASSED, Fault
from sen_host_conformance.report import Report
from tests.report_samples import (
    BINDINGS,
    GOOD,
    HOSTILE,
    MIXED,
    PLUGIN,
    WHY,
    many_cases,
    played_as,
    report_of,
    result_of,
    seen_as,
)


class _Tree(HTMLParser):
    """A document as elements; fails on a tag that is not closed where it should be."""

    _VOID = frozenset({"meta", "input"})

    def __init__(self) -> None:
        super().__init__()
        self._builder = TreeBuilder()
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._builder.start(tag, {name: value or "" for name, value in attrs})
        self._open.append(tag)
        if tag in self._VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        self._builder.end(tag)

    def handle_data(self, data: str) -> None:
        if self._open:
            self._builder.data(data)

    def tree(self, text: str) -> Element:
        self.feed(text)
        self.close()
        assert not self._open
        return self._builder.close()


def _tree(report: Report) -> Element:
    return _Tree().tree(as_html(report))


def _text(element: Element | None) -> str:
    assert element is not None
    return " ".join("".join(element.itertext()).split())


def _with_class(root: Element, name: str) -> list[Element]:
    return [item for item in root.iter() if name in item.get("class", "").split()]


def _case(root: Element, id: str) -> Element:
    found = root.find(f".//details[@id='{id}']")
    assert found is not None
    return found


def test_the_page_needs_nothing_else() -> None:
    root = _tree(MIXED)
    for item in root.iter():
        assert item.tag not in ("link", "img", "iframe", "object", "base")
        assert "src" not in item.attrib
        assert item.get("href", "#").startswith("#")
        assert "style" not in item.attrib
        assert not [name for name in item.attrib if name.startswith("on")]
    assert "@import" not in as_html(MIXED)
    assert "url(" not in as_html(MIXED)


def test_only_the_script_and_the_style_of_the_page_are_allowed() -> None:
    root = _tree(MIXED)
    policy = root.find(".//meta[@http-equiv]")
    assert policy is not None
    for tag in ("style", "script"):
        (source,) = root.iter(tag)
        digest = b64encode(sha256((source.text or "").encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy.get("content", "")
    assert policy.get("content", "").startswith("default-src 'none';")


def test_ids_are_unique_and_every_link_has_a_target() -> None:
    root = _tree(MIXED)
    ids = [item.get("id") for item in root.iter() if "id" in item.attrib]
    assert len(ids) == len(set(ids))
    for link in root.iter("a"):
        target = link.get("href", "").removeprefix("#")
        assert "=" in target or target in ids


@pytest.mark.parametrize(
    ("report", "told"),
    [
        (MIXED, "✗ Failed 2 of 6 cases failed on 3 backends. Show them"),
        (GOOD, "✓ Passed 9 cases on 3 backends, all passed."),
        (report_of(), "✗ Failed There was no case."),
        (
            report_of(MIXED.results[0], MIXED.results[4]),
            "✓ Passed 2 cases on 3 backends. 1 of them failed on some backend as it had declared.",
        ),
    ],
    ids=["mixed", "good", "empty", "declared"],
)
def test_the_verdict_is_told_first(report: Report, told: str) -> None:
    root = _tree(report)
    (outcome,) = _with_class(root, "outcome")
    assert " ".join(map(_text, outcome)) == told
    assert told[0] in _text(root.find(".//title"))


def test_the_head_tells_what_was_tested_when_and_where() -> None:
    versions = _text(_with_class(_tree(MIXED), "versions")[0])
    for told in ("sen-host0.1.0", "fuel schedule1", "platformLinux", "2026-01-02 03:04:05 UTC"):
        assert told in versions
    assert "duration12.3 s" in versions


def test_the_matrix_has_the_counts_of_the_report() -> None:
    (matrix,) = _with_class(_tree(MIXED), "matrix")
    lines = [*matrix.iterfind("tbody/tr"), *matrix.iterfind("tfoot/tr")]
    areas = [*MIXED.areas, None]
    assert len(lines) == len(areas)
    for area, line in zip(areas, lines, strict=True):
        _, *cells, between = line
        for host, cell in zip(BINDINGS, cells, strict=True):
            found = {a.get("class"): int(_text(a).split()[1]) for a in cell.iter("a")}
            expected = {word: MIXED.count(host, word, area) for word in (PASSED, FAILED, DECLARED)}
            assert found == {word: number for word, number in expected.items() if number}
        differing = sum(bool(r.differences) and area in (None, r.case.area) for r in MIXED.results)
        assert _text(between) == (f"≠ {differing}" if differing else "equal")


def test_one_backend_is_not_compared() -> None:
    bindings = {"alpha": BINDINGS["alpha"]}
    root = _tree(report_of(result_of("a/b", bindings=bindings), bindings=bindings))
    (matrix,) = _with_class(root, "matrix")
    assert [_text(cell) for cell in matrix.iterfind("thead/tr/th")] == ["Area", "alpha"]
    assert "nothing to compare" in _text(root.find(".//figure"))


def test_a_case_tells_what_it_is() -> None:
    root = _tree(MIXED)
    told = _text(_case(root, "bounds/small"))
    for part in (
        "✓ passed",
        "what small shows",
        "a rule, section 4",
        "puppet, loaded as a plugin, 3 instances side by side",
        "Limitsfuel 1,000",
        "execute(args=['x'])",
    ):
        assert part in told
    assert "Needscounters-after-trap" in _text(_case(root, "trap/unknown-fuel"))
    assert "Limits" not in _text(_case(root, "bounds/plain"))
    assert [item.get("id") for item in _with_class(root, "case")] == [
        result.case.id for result in MIXED.results
    ]


def _columns(case: Element) -> dict[str, dict[str, str]]:
    """The cells of the first step: by title of the column, by field."""
    table = _with_class(case, "step")[0]
    titles = [" ".join(cell.itertext()) for cell in table.iterfind("thead/tr/th")]
    lines = {_text(line[0]): [_text(cell) for cell in line[1:]] for line in table.iter("tr")}
    return {
        title: {field: values[number] for field, values in lines.items() if field}
        for number, title in enumerate(titles)
    }


def test_backends_that_saw_the_same_share_a_column() -> None:
    columns = _columns(_case(_tree(MIXED), "bounds/plain"))
    assert columns == {
        "expected": {
            "result": '{"Success": "ok"}',
            "fuel_used": "5",
            "fuel_left": "—",
            "memory_bytes": "—",
        },
        "all 3 backends": {
            "result": '{"Success": "ok"}',
            "fuel_used": "5",
            "fuel_left": "95",
            "memory_bytes": "65,536",
        },
    }


def test_a_fault_and_a_difference_are_marked_and_told() -> None:
    case = _case(_tree(MIXED), "fuel/off-by-one")
    columns = _columns(case)
    assert list(columns) == ["expected", "alpha beta-with-a-long-name", "alpha-worker"]
    assert columns["alpha-worker"]["fuel_used ≠"] == "✗ 6"
    assert columns["alpha-worker"]["fuel_left ≠"] == "94"
    assert columns["alpha beta-with-a-long-name"]["fuel_used ≠"] == "5"
    told = _text(case)
    assert "✗ alpha-worker: fuel_used: expected 5, seen 6" in told
    assert "≠ differs: fuel_left: alpha, beta-with-a-long-name saw 95; alpha-worker saw 94" in told
    assert "≠ backends differ" in told


def test_a_backend_that_hung_reached_no_step() -> None:
    case = _case(_tree(MIXED), "fuel/hangs")
    assert set(_columns(case)["alpha not reached"].values()) == {"—"}
    assert "✗ alpha: there was no end to it within 60 s" in _text(case)


def test_a_declared_fault_is_no_failure() -> None:
    case = _case(_tree(MIXED), "trap/unknown-fuel")
    assert _columns(case)["beta-with-a-long-name"]["fuel_used"] == "◇ nothing known"
    assert f"◇ beta-with-a-long-name: it lacks counters-after-trap (not possible): {WHY}" in _text(
        case
    )
    assert "✗" not in _text(case)


def test_another_outcome_than_expected_is_marked() -> None:
    raised = {"error": "FunctionCall", "message": "it trapped", "trap": "unreachable"}
    fault = Fault(0, "outcome", {"result": {"Success": "ok"}}, {"raises": raised})
    result = result_of(
        "a/b", {"alpha": played_as(seen_as(raises=raised), verdict=FAILED, faults=(fault,))}
    )
    columns = _columns(_case(_tree(report_of(result)), "a/b"))
    assert columns["alpha"]["result ≠"] == "✗ —"
    assert columns["alpha"]["raises.trap"] == '"unreachable"'
    assert columns["expected"]["raises.trap"] == "—"


def test_figures_keep_all_digits_and_hidden_characters_are_written_out() -> None:
    seen = seen_as(returns=[2**64 - 1, float("nan")], used=2**63 - 1)
    odd = seen_as(result="\u202eevil\ud800\0")
    steps = (Step("call", {"function": "f"}, {"returns": [1]}), Step("close", {}, {"done": True}))
    result = result_of("a/b", dict.fromkeys(BINDINGS, played_as(seen, odd)), steps=steps)
    told = _text(_tree(report_of(result)))
    assert "[18446744073709551615, NaN]" in told
    assert "9,223,372,036,854,775,807" in told
    assert r"\u202eevil\ud800\u0000" in told


def test_what_a_backend_lacks_has_its_reason() -> None:
    articles = {_text(item.find("h3")): _text(item) for item in _tree(MIXED).iter("article")}
    assert list(articles) == list(BINDINGS)
    assert (
        f"counters-after-trap, not possible{WHY}. Needed by 1 case."
        in articles["beta-with-a-long-name"]
    )
    assert "Beta 7, in this process" in articles["beta-with-a-long-name"]
    assert "Alpha 1.2, in a worker process" in articles["alpha-worker"]
    assert "Packages: alpha-py 1.2" in articles["alpha"]
    assert "Lacks nothing" in articles["alpha"]
    assert "5 passed, 1 failed" in articles["alpha"]


def test_fixtures_show_their_source_once() -> None:
    root = _tree(MIXED)
    assert PLUGIN.text is not None
    (source,) = root.iter("pre")
    assert "".join(source.itertext()) == PLUGIN.text.read_text(encoding="utf-8")


def test_the_chart_of_fuel_shows_that_backends_agree() -> None:
    figure = _tree(GOOD).find(".//figure")
    assert figure is not None
    assert "Equal on all 3 backends in every area." in _text(figure)
    drawing = figure.find("svg")
    assert drawing is not None
    assert _text(drawing).count("15 on all 3") == 3


def test_the_chart_of_fuel_shows_where_backends_differ_and_what_is_left_out() -> None:
    figure = _tree(MIXED).find(".//figure")
    assert figure is not None
    told = _text(figure)
    # The steps of the host that hung, and of the one that cannot tell.
    assert "Left out: 2 steps" in told
    assert "Equal on all 3 backends in 2 of 3 areas." in told
    assert "≠ fuel differs" in _text(figure.find("svg"))
    rows = {_text(line[0]): [_text(cell) for cell in line[1:]] for line in figure.iter("tr")}
    assert rows == {
        "Area": list(BINDINGS),
        "bounds": ["10", "10", "10"],
        "fuel": ["5", "6", "5"],
        "trap": ["5", "5", "5"],
    }


def test_the_charts_of_time_have_a_table() -> None:
    _, figure = _tree(MIXED).iter("figure")
    assert len([*figure.iter("svg")]) == len(BINDINGS)
    rows = {_text(line[0]): [_text(cell) for cell in line[1:]] for line in figure.iter("tr")}
    assert rows["bounds"] == ["500 ms"] * 3


TEXTS = st.one_of(
    st.text(st.characters(exclude_characters="\r\0"), min_size=1),
    st.sampled_from([HOSTILE, "<!--", "]]>", "</style>", "</textarea><b>", "$script", "${title}"]),
)


@given(shows=TEXTS, why=TEXTS, seen=TEXTS, head=TEXTS, name=TEXTS.map(lambda t: t.replace("/", "")))
@settings(max_examples=50)
def test_no_text_breaks_the_page(shows: str, why: str, seen: str, head: str, name: str) -> None:
    def made(shows: str, why: str, seen: str, head: str, name: str) -> Report:
        played = played_as(seen_as(result=seen), verdict=FAILED, why=why)
        result = result_of(f"{name}/{name}", {"alpha": played}, shows=shows, rule=shows)
        return replace(report_of(result), head={"sen-host": head})

    page = as_html(made(shows, why, seen, head, name))
    page.encode()
    root = _Tree().tree(page)
    plain = _tree(made("x", "x", "x", "x", "x"))
    assert [item.tag for item in root.iter()] == [item.tag for item in plain.iter()]
    shown = _with_class(root, "shows")[0].text
    assert shown == shows.encode("utf-8", "backslashreplace").decode()


def test_a_page_for_the_whole_suite_is_small() -> None:
    assert len(as_html(many_cases(300, 5)).encode()) < 3_000_000
