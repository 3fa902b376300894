"""The report as a page: what is in it, that nothing breaks it, and how it works in a browser."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sen_host import Limits
from sen_host.backend import Binding, Capability, Lack
from sen_host_conformance.case import Case, Fixture, Step
from sen_host_conformance.fixtures import find_fixture
from sen_host_conformance.output_html import as_html
from sen_host_conformance.player import DECLARED, FAILED, PASSED, Fault, Played
from sen_host_conformance.report import CaseResult, Report, differences
from tests.chromium import Chromium, find_chromium

HOSTILE = (
    "</script><script>window.broken = 1</script><img src=x onerror='window.broken = 1'>&amp;\""
)
WHY = "a trap ends the process in which the guest runs"
LACK = Lack(Capability.COUNTERS_AFTER_TRAP, "not possible", WHY)
BINDINGS = {
    "alpha": Binding(name="alpha", engine="Alpha 1.2", packages=("alpha-py 1.2",)),
    "alpha-worker": Binding(name="alpha", engine="Alpha 1.2", isolation="process"),
    "beta-with-a-long-name": Binding(name="beta", engine="Beta 7", lacks=(LACK,)),
}
PLUGIN = Fixture("puppet", *find_fixture("puppet"), is_plugin=True)


def _seen(result: Any = "ok", used: int | None = 5, **outcome: Any) -> dict[str, Any]:
    figures = {"fuel_used": used, "fuel_left": None if used is None else 100 - used}
    return {**(outcome or {"result": {"Success": result}}), **figures, "memory_bytes": 65_536}


def _played(*seen: dict[str, Any], **other: Any) -> Played:
    fields = {"verdict": PASSED, "why": None, "faults": (), "seconds": 0.25, "fuel": 5}
    return Played(**{**fields, "seen": seen, **other})


def _result(
    id: str,
    played: Mapping[str, Played] | None = None,
    bindings: Mapping[str, Binding] = BINDINGS,
    **fields: Any,
) -> CaseResult:
    area, name = id.split("/")
    step = Step("execute", {"args": ["x"]}, {"result": {"Success": "ok"}, "fuel_used": 5})
    values: dict[str, Any] = {
        "shows": f"what {name} shows",
        "rule": "a rule, section 4",
        "fixture": PLUGIN,
        "limits": Limits(),
        "needs": (),
        "instances": 1,
        "steps": (step,),
    }
    case = Case(area=area, name=name, source=Path("x.toml"), **{**values, **fields})
    found = {**dict.fromkeys(bindings, _played(_seen())), **(played or {})}
    return CaseResult(case, found, differences(case, found, bindings))


def _report(*results: CaseResult, bindings: Mapping[str, Binding] = BINDINGS) -> Report:
    head = {
        "sen-host": "0.1.0",
        "fuel schedule": "1",
        "platform": "Linux",
        "time": "2026-01-02T03:04:05+00:00",
    }
    return Report(head, bindings, results, 12.34)


OFF_BY_ONE = Fault(0, "fuel_used", 5, 6)
MIXED = _report(
    _result("bounds/plain"),
    _result("bounds/small", limits=Limits(fuel=1_000), instances=3),
    _result(
        "fuel/off-by-one",
        {"alpha-worker": _played(_seen(used=6), verdict=FAILED, faults=(OFF_BY_ONE,), fuel=6)},
    ),
    _result(
        "fuel/hangs",
        {"alpha": _played(verdict=FAILED, why="there was no end to it within 60 s", fuel=0)},
    ),
    _result(
        "trap/unknown-fuel",
        {
            "beta-with-a-long-name": _played(
                _seen(used=None),
                verdict=DECLARED,
                why=f"it lacks counters-after-trap (not possible): {WHY}",
                faults=(Fault(0, "fuel_used", 5, None),),
            )
        },
        needs=(Capability.COUNTERS_AFTER_TRAP,),
    ),
    _result("trap/hostile", shows=HOSTILE, rule=HOSTILE),
)
GOOD = _report(*(_result(f"area-{number % 3}/case-{number}") for number in range(9)))


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


# --- what is in the page ---------------------------------------------------------------


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
        (_report(), "✗ Failed There was no case."),
        (
            _report(MIXED.results[0], MIXED.results[4]),
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
    root = _tree(_report(_result("a/b", bindings=bindings), bindings=bindings))
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
    result = _result(
        "a/b", {"alpha": _played(_seen(raises=raised), verdict=FAILED, faults=(fault,))}
    )
    columns = _columns(_case(_tree(_report(result)), "a/b"))
    assert columns["alpha"]["result ≠"] == "✗ —"
    assert columns["alpha"]["raises.trap"] == '"unreachable"'
    assert columns["expected"]["raises.trap"] == "—"


def test_figures_keep_all_digits_and_hidden_characters_are_written_out() -> None:
    seen = _seen(returns=[2**64 - 1, float("nan")], used=2**63 - 1)
    odd = _seen(result="\u202eevil\ud800\0")
    steps = (Step("call", {"function": "f"}, {"returns": [1]}), Step("close", {}, {"done": True}))
    result = _result("a/b", dict.fromkeys(BINDINGS, _played(seen, odd)), steps=steps)
    told = _text(_tree(_report(result)))
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
        played = _played(_seen(result=seen), verdict=FAILED, why=why)
        result = _result(f"{name}/{name}", {"alpha": played}, shows=shows, rule=shows)
        return replace(_report(result), head={"sen-host": head})

    page = as_html(made(shows, why, seen, head, name))
    page.encode()
    root = _Tree().tree(page)
    plain = _tree(made("x", "x", "x", "x", "x"))
    assert [item.tag for item in root.iter()] == [item.tag for item in plain.iter()]
    shown = _with_class(root, "shows")[0].text
    assert shown == shows.encode("utf-8", "backslashreplace").decode()


def _many(cases: int, hosts: int) -> Report:
    bindings = {f"backend-{n}-worker": BINDINGS["alpha"] for n in range(hosts)}
    step = Step("execute", {"args": ["tm"]}, {"raises": {"error": "FunctionCall"}, "fuel_used": 5})
    error = {"error": "FunctionCall", "message": "the plugin trapped: " + "m" * 80, "trap": "x"}
    results = []
    for number in range(cases):
        played = dict.fromkeys(bindings, _played(*[_seen(raises=error)] * 4))
        if number % 10 == 0:
            faults = (Fault(1, "fuel_used", 5, 6),)
            seen = [_seen(raises=error), _seen(raises=error, used=6), *[_seen(raises=error)] * 2]
            played["backend-0-worker"] = _played(*seen, verdict=FAILED, faults=faults)
        id = f"area-{number // 20}/case-{number}"
        results.append(_result(id, played, bindings, steps=(step,) * 4))
    return _report(*results, bindings=bindings)


def test_a_page_for_the_whole_suite_is_small() -> None:
    assert len(as_html(_many(300, 5)).encode()) < 3_000_000


# --- in a browser ----------------------------------------------------------------------

SHOWN = "[...document.querySelectorAll('.case')].filter(c => c.checkVisibility()).map(c => c.id)"
STATUS = "document.getElementById('status').textContent"
FRAGMENT = "decodeURIComponent(location.hash)"


@pytest.fixture(scope="module")
def program() -> str:
    found = find_chromium()
    if found is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    return found


@pytest.fixture(scope="module")
def browser(program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with Chromium(program, tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return _write(MIXED, tmp_path_factory.mktemp("page"))


def _write(report: Report, folder: Path) -> str:
    path = folder / "report.html"
    path.write_text(as_html(report), encoding="utf-8")
    return path.resolve().as_uri()


def _set(browser: Chromium, name: str, value: str) -> None:
    browser.run(
        f"(() => {{ const field = document.getElementById('filters').elements.{name};"
        f" field.value = {value!r};"
        " field.dispatchEvent(new Event('input', {bubbles: true})); })()"
    )


@pytest.mark.parametrize(
    ("filters", "shown"),
    [
        ({"area": "fuel"}, ["fuel/off-by-one", "fuel/hangs"]),
        ({"verdict": "failed"}, ["fuel/off-by-one", "fuel/hangs"]),
        ({"verdict": "failed", "backend": "alpha"}, ["fuel/hangs"]),
        ({"verdict": "declared"}, ["trap/unknown-fuel"]),
        ({"verdict": "declared", "backend": "alpha"}, []),
        ({"verdict": "passed"}, ["bounds/plain", "bounds/small", "trap/hostile"]),
        ({"verdict": "differs"}, ["fuel/off-by-one"]),
        ({"text": "SHOWS small"}, ["bounds/small"]),
        ({"text": "no end within", "area": "fuel"}, ["fuel/hangs"]),
        ({"text": "no end within", "area": "trap"}, []),
    ],
    ids=str,
)
def test_filters_choose_cases_and_are_kept_in_the_address(
    browser: Chromium, page: str, filters: dict[str, str], shown: list[str]
) -> None:
    browser.open(page)
    for name, value in filters.items():
        _set(browser, name, value)
    assert browser.run(SHOWN) == shown
    assert browser.run(STATUS) == f"{len(shown) or 'None'} of 6 cases"
    address = browser.run("location.href")
    browser.open(address)
    assert browser.run(SHOWN) == shown
    assert browser.messages == []


def test_all_cases_come_back(browser: Chromium, page: str) -> None:
    browser.open(page + "#area=fuel&verdict=nonsense")
    assert browser.run(STATUS) == "2 of 6 cases"
    browser.run("document.querySelector('button[type=reset]').click()")
    browser.settle()
    assert browser.run(STATUS) == "6 cases"
    assert browser.run("location.hash") == ""


def test_a_count_in_the_matrix_shows_its_cases(browser: Chromium, page: str) -> None:
    browser.open(page)
    browser.run("document.querySelector('.matrix td.failed a.failed').click()")
    browser.settle()
    assert browser.run(SHOWN) == ["fuel/hangs"]
    assert browser.run(FRAGMENT) == "#area=fuel&backend=alpha&verdict=failed"
    assert browser.run("document.activeElement.id") == "cases-title"


def test_a_link_opens_its_case(browser: Chromium, page: str) -> None:
    browser.open(page + "#fuel/hangs")
    assert browser.run("document.getElementById('fuel/hangs').open") is True
    assert browser.run("document.querySelectorAll('.case[open]').length") == 1
    top = browser.run("document.getElementById('fuel/hangs').getBoundingClientRect().top")
    assert 0 <= top < 900


def test_an_opened_case_has_the_text_of_its_fixture(browser: Chromium, page: str) -> None:
    browser.open(page + "#bounds/plain")
    browser.settle()
    browser.run("document.querySelector('.case[open] .facts summary').click()")
    assert PLUGIN.text is not None
    shown = browser.run("document.querySelector('.case[open] .facts pre').textContent")
    assert shown == PLUGIN.text.read_text(encoding="utf-8")


def test_all_that_is_shown_opens_at_once(browser: Chromium, page: str) -> None:
    browser.open(page + "#area=trap")
    browser.run("document.querySelector('#folding [value=open]').click()")
    opened = "[...document.querySelectorAll('.case[open]')].map(c => c.id)"
    assert browser.run(opened) == ["trap/unknown-fuel", "trap/hostile"]
    browser.run("document.querySelector('#folding [value=close]').click()")
    assert browser.run(opened) == []


def test_everything_is_reached_with_the_keyboard(browser: Chromium, page: str) -> None:
    browser.open(page)
    reached = []
    for _ in range(120):
        browser.press("Tab", 9)
        reached.append(
            browser.run(
                "(() => { const e = document.activeElement; return e === document.body ? ''"
                " : `${e.matches(':focus-visible')}"
                " ${getComputedStyle(e).outlineStyle}"
                " ${e.name || e.value || e.getAttribute('href') || e.parentNode.id"
                " || e.parentNode.className || e.className}`; })()"
            )
        )
        if reached[-1] == "":
            break
    assert reached.pop() == ""
    assert all(item.startswith("true solid ") for item in reached)
    names = [item.removeprefix("true solid ") for item in reached]
    wanted = ["#verdict=failed", "#matrix", "#area=bounds", "text", "area", "verdict", "backend"]
    wanted += ["open", "close", *(result.case.id for result in MIXED.results), "fixture:puppet"]
    assert [name for name in names if name in wanted] == wanted


def test_a_case_is_found_and_opened_with_the_keyboard(browser: Chromium, page: str) -> None:
    browser.open(page)
    browser.run("document.querySelector('[name=text]').focus()")
    browser.insert("hangs")
    assert browser.run(SHOWN) == ["fuel/hangs"]
    assert browser.run(FRAGMENT) == "#text=hangs"
    while browser.run("document.activeElement.parentNode.id") != "fuel/hangs":
        browser.press("Tab", 9)
    browser.press("Enter", 13, "\r")
    assert browser.run("document.getElementById('fuel/hangs').open") is True


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_no_width_makes_the_page_scroll_sideways(browser: Chromium, page: str, width: int) -> None:
    browser.open(page, width=width)
    browser.run("document.querySelectorAll('details').forEach(d => d.open = true)")
    browser.settle()
    assert browser.run("[innerWidth, document.documentElement.scrollWidth]") == [width, width]


def test_the_matrix_scrolls_beside_its_areas(browser: Chromium, tmp_path: Path) -> None:
    browser.open(_write(_many(4, 5), tmp_path), width=360)
    box = "document.querySelector('#matrix .box')"
    assert browser.run(f"{box}.scrollWidth > {box}.clientWidth")
    name = f"{box}.querySelector('tbody th').getBoundingClientRect().left"
    before = browser.run(name)
    browser.run(f"{box}.scrollLeft = 150")
    browser.settle()
    assert browser.run(f"{box}.scrollLeft") == 150
    assert browser.run(name) == before


CONTRAST = """
(() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const light = (colour) => {
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map(
      (v) => v / 255 <= .04045 ? v / 255 / 12.92 : ((v / 255 + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor;
      if (colour !== 'rgba(0, 0, 0, 0)') return colour;
    }
  };
  const found = [];
  for (const e of document.querySelectorAll('body *')) {
    if (!e.checkVisibility() || ![...e.childNodes].some(
        (n) => n.nodeType === 3 && n.data.trim())) continue;
    const style = getComputedStyle(e);
    const ink = e.namespaceURI.endsWith('svg') ? style.fill : style.color;
    const [a, b] = [light(ink), light(behind(e))].sort();
    const ratio = (b + .05) / (a + .05);
    if (ratio < 4.5) found.push([e.tagName, e.className, e.textContent.slice(0, 30), ratio]);
  }
  return found;
})()
"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_all_text_can_be_read(browser: Chromium, page: str, dark: bool) -> None:
    browser.open(page, dark=dark)
    browser.run("document.querySelectorAll('details').forEach(d => d.open = true)")
    ground = browser.run("getComputedStyle(document.body).backgroundColor")
    brightest = max(int(part) for part in re.findall(r"\d+", ground))
    assert brightest < 60 if dark else brightest > 240
    assert browser.run(CONTRAST) == []


def test_texts_of_others_run_no_script(browser: Chromium, page: str) -> None:
    browser.open(page + "#trap/hostile")
    assert browser.run("typeof window.broken") == "undefined"
    assert browser.run("document.querySelector('.case[open] .shows').textContent") == HOSTILE
    assert browser.messages == []


def test_without_scripts_all_is_there_but_the_filters(
    program: str, page: str, tmp_path: Path
) -> None:
    with Chromium(program, tmp_path) as browser:
        browser.without_scripts()
        browser.open(page)
        for shown in (".outcome", ".versions", ".matrix", ".case summary", "svg", "article"):
            assert browser.run(f"document.querySelector({shown!r}).checkVisibility()")
        assert not browser.run("document.getElementById('filters').checkVisibility()")
        assert not browser.run("document.getElementById('folding').checkVisibility()")


def test_the_page_of_the_whole_suite_opens_quickly(browser: Chromium, tmp_path: Path) -> None:
    address = _write(_many(300, 5), tmp_path)
    browser.open(address + "#verdict=failed")
    assert browser.run(STATUS) == "30 of 300 cases"
    took = browser.run("performance.getEntriesByType('navigation')[0].domComplete")
    assert took < 10_000, "milliseconds, on any machine"
