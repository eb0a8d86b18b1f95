"""The pages in a real browser: nothing is fetched, nothing fails, nothing overflows, and the controls work."""

import re
import shutil
from contextlib import contextmanager

import pytest
from attrs import evolve

from edgecheck.report import html
from edgecheck.report.decision import decide
from edgecheck.report.sweep import page as sweep_page
from tests.report.conftest import shown_on
from tests.report.sweep.conftest import page_of
from tests.report.test_terminal import copied

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install -e '.[browser]'")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt install chromium"),
    pytest.mark.thorough,
]

DESK, PHONE, SMALL = ({"width": width, "height": 850} for width in (1280, 400, 320))
THEMES = ("light", "dark")
NAMES = ("l1-filters-0.4", "l1-filters-0.6", "control")


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def files(report, hostile, tmp_path_factory):
    """The pages by name: a report with a gallery, one with hostile names, and a sweep."""
    folder = tmp_path_factory.mktemp("pages")
    pages = {
        "report": html.render(*shown_on(with_class_accuracy(report), *NAMES)),
        "hostile": html.render(hostile),
        "sweep": sweep_page.html(report, *page_of(report)),
    }
    for name, text in pages.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: (folder / f"{name}.html").as_uri() for name in pages}


def with_class_accuracy(report):
    """Return a report in which all variants lose all classes: the widest bars."""
    accuracies = {"baseline": 1.0}
    classes = report.subject.classes
    variants = [evolve(v, class_accuracy=dict.fromkeys(classes, accuracies.get(v.role, 0.0))) for v in report.variants]
    return evolve(report, variants=variants)


@contextmanager
def opened(browser, address, fragment="", **options):
    """Open a page, and check at the end that nothing but it was fetched and that nothing failed."""
    context = browser.new_context(**{"viewport": DESK, **options})
    page = context.new_page()
    faults, fetched = [], []
    page.on("console", lambda message: faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: fetched.append(request.url))
    page.goto(address + fragment)
    yield page
    assert faults == []
    assert {one.partition("#")[0] for one in fetched if not one.startswith("data:")} == {address}
    context.close()


def visible_rows(page):
    """Return the names of the rows of the table that are shown, from the top."""
    rows = page.locator("#table-variants tbody tr:visible")
    return [rows.nth(place).get_attribute("data-name") for place in range(rows.count())]


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("size", [DESK, PHONE, SMALL], ids=["desk", "phone", "small"])
@pytest.mark.parametrize("name", ["report", "hostile", "sweep"])
def test_nothing_fails_and_nothing_overflows(browser, files, name, size, theme):
    with opened(browser, files[name], viewport=size, color_scheme=theme) as page:
        page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
        page.wait_for_timeout(50)
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]


def test_the_headline_is_the_decision(browser, files, report):
    with opened(browser, files["report"]) as page:
        decided = decide(report)
        assert page.locator("h1").inner_text() == decided.headline
        assert page.locator("header .gate").inner_text() == decided.gate
        assert page.title().startswith(decided.headline)


def test_a_heading_sorts_by_click_and_by_key(browser, files, report):
    sizes = {one.name: report.value(one.name, "size.bytes").value for one in report.variants}
    smallest = sorted(sizes, key=lambda name: sizes[name])
    with opened(browser, files["report"]) as page:
        assert visible_rows(page)[0] == "baseline"
        head = page.locator("th", has=page.locator("button", has_text=re.compile("^size$")))
        head.locator("button").click()
        assert [sizes[name] for name in visible_rows(page)] == [sizes[name] for name in smallest]
        assert head.get_attribute("aria-sort") == "ascending"
        head.locator("button").focus()
        page.keyboard.press("Enter")
        assert [sizes[name] for name in visible_rows(page)] == [sizes[name] for name in smallest[::-1]]
        assert head.get_attribute("aria-sort") == "descending"


def test_what_is_missing_is_sorted_last_in_both_directions(browser, files):
    with opened(browser, files["report"]) as page:
        page.locator("#table-sort").select_option(label="Sp2PS grad-cam")
        missing = {"baseline", "l1-unstructured-0.4"}
        assert set(visible_rows(page)[-2:]) == missing
        page.locator("#table-turn").click()
        assert set(visible_rows(page)[-2:]) == missing


def test_rows_are_filtered_by_verdict_and_by_name(browser, files):
    with opened(browser, files["report"]) as page:
        page.locator("#table-verdict").select_option("FAIL")
        assert visible_rows(page) == ["l1-filters-0.6"]
        assert page.locator("#table-count").inner_text() == "1 of 7 rows"
        page.locator("#table-verdict").select_option("")
        page.locator("#table-name").fill("RANDOM")
        assert visible_rows(page) == ["random-filters-0.2"]
        page.locator("#table-name").fill("")
        assert len(visible_rows(page)) == 7


def test_the_controls_are_reached_by_key(browser, files):
    with opened(browser, files["report"]) as page:
        page.locator("nav a").last.focus()
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == "table-verdict"
        page.keyboard.press("Tab")
        page.keyboard.type("0.4")
        assert visible_rows(page) == ["l1-filters-0.4", "l1-unstructured-0.4"]


def test_without_a_script_the_page_is_whole(browser, files):
    with opened(browser, files["report"], java_script_enabled=False) as page:
        assert page.locator("#table-variants tbody tr:visible").count() == 7
        assert page.locator("#table-tools:visible").count() == 0
        assert page.locator(".gallery-controls:visible").count() == 0
        assert page.locator("#gallery .of-variant").count() == len(NAMES)


def test_a_link_with_the_name_of_a_variant_opens_its_details(browser, files):
    with opened(browser, files["report"], "#l1-filters-0.4") as page:
        page.wait_for_timeout(50)
        assert page.locator("#l1-filters-0\\.4").is_visible()
        assert not page.locator("#l1-filters-0\\.6").is_visible()


def test_the_gallery_changes_variant_method_class_and_opacity(browser, files):
    with opened(browser, files["report"]) as page:
        gallery = page.locator("#gallery")
        assert gallery.locator(".of-variant:visible").count() == 1
        gallery.locator("[name=variant]").select_option(index=1)
        assert gallery.locator(".of-variant:visible").count() == 1
        maps = "#gallery .of-variant:not([hidden]) use[data-maps]"
        before = page.locator(maps).first.get_attribute("href")
        gallery.locator("[name=method]").select_option(index=1)
        assert page.locator(maps).first.get_attribute("href") != before
        everything = gallery.locator(".shot:visible").count()
        gallery.locator("[name=label]").select_option(index=1)
        assert 0 < gallery.locator(".shot:visible").count() < everything
        slider = gallery.locator("[name=opacity]")
        slider.focus()
        page.keyboard.press("Home")
        assert gallery.locator("output").inner_text() == "0 %"
        assert page.evaluate("getComputedStyle(document.querySelector('#gallery .heat')).opacity") == "0"


def pages_of(page):
    """Return how many pages the browser prints."""
    return len(re.findall(rb"/Type /Page\b", page.pdf(prefer_css_page_size=True)))


@pytest.mark.parametrize("name", ["report", "hostile"])
def test_two_pages_are_printed_and_the_details_on_request(browser, files, name):
    with opened(browser, files[name]) as page:
        assert pages_of(page) == 2
        page.locator("#print-details").check()
        assert pages_of(page) > 3


def test_two_pages_are_printed_of_many_variants(browser, report, tmp_path):
    hundred = copied(report, [("l1-filters-0.6", f"l1-filters-0.6-{number}") for number in range(95)])
    (tmp_path / "many.html").write_text(html.render(hundred), encoding="utf-8")
    with opened(browser, (tmp_path / "many.html").as_uri()) as page:
        assert pages_of(page) == 2
