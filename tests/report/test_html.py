import base64
import hashlib
import re
from functools import partial
from html import unescape
from html.parser import HTMLParser

import pytest
from attrs import evolve

from edgecheck.metrics import listed, listed_name
from edgecheck.report import html, markdown, reasons, svg, terminal
from tests.report.conftest import HOSTILE, shown_on

VOID = {"meta", "link", "img", "br", "hr", "input"}
FETCHING = {"src", "href", "xlink:href", "srcset", "data", "poster", "action"}


class Page(HTMLParser):
    """Checks that tags are balanced, and keeps what a browser would fetch, every tag, id and text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.fetched, self.tags, self.ids, self.text = [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self._see(tag, attributes)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self._see(tag, attributes)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def _see(self, tag, attributes):
        self.tags.append(tag)
        for name, value in attributes:
            assert not name.startswith("on"), name
            if name == "id":
                self.ids.append(value)
            if name in FETCHING:
                self.fetched.append(value)


@pytest.fixture(scope="module")
def text(report):
    return html.render(*shown_on(report, "l1-filters-0.4", "control"))


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_is_balanced_and_ids_are_unique(page):
    assert len(page.ids) == len(set(page.ids))


def test_fetches_nothing(page, text):
    assert all(link.startswith(("#", "data:")) for link in page.fetched)
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)


def test_the_policy_allows_the_scripts_of_the_page_and_no_others(text):
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert len(scripts) == text.count("<script") == len(html.SCRIPTS)
    allowed = unescape(policy)
    sources = " ".join(f"'sha256-{one}'" for one in hashes)
    assert f"script-src {sources};" in allowed
    assert allowed.startswith("default-src 'none'; ")
    assert "unsafe-eval" not in allowed
    assert "unsafe-inline" not in allowed.replace("style-src 'unsafe-inline'", "")


def test_links_within_the_page_lead_somewhere(page):
    links = {link[1:] for link in page.fetched if link.startswith("#")}
    assert links <= set(page.ids)


def test_names_everything_a_report_must_name(report, page):
    shown = " ".join(" ".join(page.text).split())
    subject, machine = report.subject, report.environment
    for fact in (
        *(variant.sha256 for variant in report.variants),
        *(subject.weights_sha256, subject.data_sha256, subject.preprocessing, subject.preprocessing_sha256),
        *(subject.target_layer, subject.class_explained, subject.finetune, f"seed {subject.seed}"),
        *(machine.cpu, machine.provider, machine.python, f"threads {machine.intra_op_threads}"),
        "vector features asimd",
        *(f"{name} {version}" for name, version in machine.versions.items()),
        *("opset 18", "ONNX IR version 10", "exit code 1", report.recommendation.reason),
    ):
        assert fact in shown, fact


def test_the_glossary_explains_the_metrics_of_the_report_and_no_others(report):
    explained = {metric.name for metric in html.glossary(report)}
    assert {listed_name(one.metric) for one in [*report.readings, *report.policy.criteria]} == explained
    assert explained < {metric.name for metric in listed()}
    assert explained >= {"sp2ps.METHOD", "accuracy_drop_pp"}


def test_shows_every_verdict_and_reading(report, page):
    shown = " ".join(page.text)
    for verdict in report.verdicts:
        assert verdict.reason in shown
    for reading in report.readings:
        assert reading.note in shown


def test_low_sp2ps_is_called_drift(page):
    assert "explanation drift" in " ".join(page.text)


def test_hostile_text_is_shown_and_not_run(hostile):
    text = html.render(*shown_on(hostile, HOSTILE, "control"))
    page = Page(text)
    text.encode("utf-8")
    assert page.tags.count("script") == len(html.SCRIPTS)
    assert not re.search("[\x00-\x08\x1b\u202e]", text)
    assert '<script>alert("x")</script>' in " ".join(page.text)
    assert all(link.startswith(("#", "data:")) for link in page.fetched)


def test_without_matplotlib_the_page_says_what_charts_need(report, monkeypatch):
    monkeypatch.setattr(svg, "installed", lambda: False)
    text = html.render(report)
    assert "edgecheck[lab]" in text
    assert 'role="img" aria-labelledby' not in text  # as each chart has
    Page(text)


def test_a_run_with_next_to_nothing_in_it(report):
    bare = evolve(
        report,
        variants=report.variants[:1],
        readings=[],
        similarities=[],
        verdicts=[],
        statuses={},
        warnings=[],
        policy=evolve(report.policy, criteria=[]),
        subject=evolve(report.subject, classes=[], target_layer=""),
    )
    text = html.render(bare)
    Page(text)
    assert "No charts" in text


def test_worst_classes_come_first(report):
    assert [name for name, _ in html.worst_classes(report.similarities[0])] == ["truck", "ship", "horse"]


def test_every_cell_says_what_it_is_where_a_narrow_screen_hides_the_head_of_the_table(text):
    stacked = re.findall(r'<table class="stack">.*?</table>', text, re.DOTALL)
    assert any("as written" in table for table in stacked)  # the gate
    for table in stacked:
        assert not re.search(r"<td(?![^>]*data-label=)", table)


def test_a_share_does_not_break_before_its_percent_sign(report, text):
    for one in report.similarities:
        images, share = reasons.differing(one).split(" (")
        assert f'{images} <span class="one">({share}</span>' in text
    assert re.search(r"\.one \{ display: inline-block; \}", text)


def test_class_without_a_name_is_its_number(report):
    assert html.class_name(report, 3) == "cat"
    assert html.class_name(report, 10) == "10"
    assert html.class_name(report, -1) == "-1"


def test_each_sp2ps_names_its_source_and_that_of_a_quantized_file_has_the_float_file_beside_it(report):
    name, figure = "l1-filters-0.4", "the float file other has 0.987 (by the twin)"
    mine = [one for one in report.readings if one.variant == name and one.metric == "sp2ps.grad-cam"]
    others = [one for one in report.readings if one not in mine]
    score = evolve(mine[0], source="artefact", note=figure)
    fidelity = evolve(score, metric="fidelity.grad-cam", value=0.9876, note="")
    maps = [evolve(one, source="artefact") if one.variant == name else one for one in report.similarities]
    quantized = evolve(report, readings=[*others, score, fidelity], similarities=maps)

    for render in (html.render, partial(terminal.render, verbose=True), markdown.render):
        shown = " ".join(render(quantized).replace("\\", "").split())
        assert figure in shown
        assert "0.988" in shown  # the fidelity
        assert all(words in shown for words in (reasons.SOURCES, reasons.FIDELITY_IS, "artefact"))
    assert figure not in html.render(report)
    assert "Fidelity:" not in terminal.render(report, verbose=True)


def test_the_reasons_against_variants_are_called_others_only_beside_one_to_ship(report):
    assert "<h2>Why not the others</h2>" in html.render(report)
    nothing = evolve(report, recommendation=evolve(report.recommendation, variant=None))
    assert "<h2>Why none of them</h2>" in html.render(nothing)
