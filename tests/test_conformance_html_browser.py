"""The report as a page, in a browser: filters, links, keyboard, widths, colours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sen_host_conformance.output_html import as_html
from sen_host_conformance.report import Report
from tests.chromium import Chromium, find_chromium
from tests.report_samples import (
    HOSTILE,
    MIXED,
    PLUGIN,
    many_cases,
)

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
    browser.open(_write(many_cases(4, 5), tmp_path), width=360)
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
    address = _write(many_cases(300, 5), tmp_path)
    browser.open(address + "#verdict=failed")
    assert browser.run(STATUS) == "30 of 300 cases"
    took = browser.run("performance.getEntriesByType('navigation')[0].domComplete")
    assert took < 10_000, "milliseconds, on any machine"
