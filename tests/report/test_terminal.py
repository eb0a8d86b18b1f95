import re

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from edgecheck.gate.judgement import judged
from edgecheck.records import Criterion, Diagnostic, Waiver
from edgecheck.report import RENDERERS, terminal
from edgecheck.report.decision import decide
from edgecheck.report.terminal.names import GAP, LEAST_WIDTH, cut, fold, shorten
from edgecheck.report.terminal.page import LINES
from tests.report.conftest import CRITERIA, HOSTILE, renamed

ANSI = re.compile(r"\x1b\[[0-9;]*m")
WORDS = ("PASS", "FAIL", "WARN", "INCONCLUSIVE", "MISSING")
WIDTHS = [40, 60, 80, 100, 140, 200]


def copied(report, copies):
    """Return that report with copies of variants under other names, judged again."""
    variants, readings = list(report.variants), list(report.readings)
    for original, name in copies:
        (source,) = (variant for variant in report.variants if variant.name == original)
        variants.append(evolve(source, name=name))
        readings += [evolve(one, variant=name) for one in report.readings if one.variant == original]
    return judged(evolve(report, variants=variants, readings=readings), report.policy)


@pytest.fixture(scope="module")
def thirteen(report):
    """A run of 13 variants, of which 8 fail, with warnings of the run and of variants."""
    failing = [("l1-filters-0.6", f"l1-filters-0.{rate}-by16-int8") for rate in (62, 64, 66)]
    failing += [("l1-unstructured-0.4", "random-unstructured-0.4"), ("random-filters-0.2", "random-filters-0.4")]
    passing = [("l1-filters-0.4", f"fpgm-filters-0.{rate}") for rate in (2, 3, 4)]
    made = copied(report, [*failing, *passing])
    text = "channel counts do not fill vector registers, which costs time: use multiples of 16 channels"
    crowded = [
        evolve(variant, warnings=[Diagnostic("text", {"text": text})]) if "filters" in variant.name else variant
        for variant in made.variants
    ]
    further = [Diagnostic("text", {"text": f"the machine was busy in block {block}"}) for block in range(3)]
    return evolve(made, variants=crowded, warnings=[*made.warnings, *further])


@pytest.mark.parametrize("width", [80, 100, 140])
def test_golden(report, golden, width):
    golden(f"terminal_{width}.txt", terminal.render(report, width))


def test_golden_of_the_long_form(report, golden):
    golden("terminal_verbose.txt", terminal.render(report, 100, verbose=True))


def test_golden_of_13_variants(thirteen, golden):
    golden("terminal_13_variants.txt", terminal.render(thirteen, 100))


@pytest.mark.parametrize("width", [100, 140, 200])
def test_13_variants_fit_a_screen(thirteen, width):
    lines = terminal.render(thirteen, width).splitlines()
    assert len([variant for variant in thirteen.variants if variant.role == "candidate"]) == 13
    statuses = list(thirteen.statuses.values())
    assert [statuses.count(word) for word in WORDS] == [4, 4, 1, 2, 2]
    assert len(lines) <= LINES
    assert sum(line.startswith(WORDS) for line in lines) == 9
    assert any(line.startswith("warning: ") for line in lines)
    assert any(line.startswith("try: ") for line in lines)


@pytest.mark.parametrize("original", ["l1-filters-0.6", "l1-unstructured-0.4"])
def test_13_failing_variants_fit_a_screen_without_losing_one(report, original):
    kept = [v for v in report.variants if v.role != "candidate" or v.name == original]
    alone = evolve(report, variants=kept, readings=[r for r in report.readings if r.variant in {v.name for v in kept}])
    every = copied(alone, [(original, f"variant-{number}") for number in range(12)])
    lines = terminal.render(every, 100).splitlines()
    assert len(lines) <= LINES
    assert sum(line.startswith(WORDS) for line in lines) == 13
    assert " ".join(lines).endswith(decide(every).headline)


def test_more_variants_have_a_longer_page_with_warnings_all_the_same(thirteen):
    more = copied(thirteen, [("l1-filters-0.6", f"more-{number}") for number in range(12)])
    lines = terminal.render(more, 100).splitlines()
    assert sum(line.startswith(WORDS) for line in lines) == 21
    assert any(line.startswith("warning: ") for line in lines)
    assert any(line.startswith("try: ") for line in lines)


@pytest.mark.parametrize("verbose", [False, True])
def test_a_run_without_variants_or_criteria_has_a_page(report, verbose):
    empty = judged(evolve(report, variants=[], readings=[]), report.policy)
    assert "Do not ship anything: there is no variant" in terminal.render(empty, 100, verbose=verbose)
    lenient = evolve(report.policy, criteria=[])
    assert "exit code 1" in terminal.render(judged(report, lenient), 100, verbose=verbose)


@pytest.mark.parametrize("verbose", [False, True])
@pytest.mark.parametrize("width", WIDTHS)
def test_no_line_is_wider_than_the_terminal(report, hostile, thirteen, width, verbose):
    for each in (report, hostile, thirteen):
        assert max(map(cell_len, terminal.render(each, width, verbose=verbose).splitlines())) <= width


@pytest.mark.parametrize("verbose", [False, True])
def test_colour_adds_nothing_but_colour(report, verbose):
    plain, coloured = (terminal.render(report, 100, colour, verbose) for colour in (False, True))
    assert "\x1b[" in coloured
    assert "\x1b" not in plain
    lines = [line.rstrip() for line in ANSI.sub("", coloured).splitlines()]
    assert lines == plain.splitlines()


def test_environment_does_not_change_the_text(report, monkeypatch):
    expected = terminal.render(report, 90)
    monkeypatch.setenv("COLUMNS", "33")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert terminal.render(report, 90) == expected


@pytest.mark.parametrize("width", WIDTHS)
def test_every_verdict_is_a_word(report, width):
    text = terminal.render(report, width)
    assert all(word in text for word in WORDS)


@pytest.mark.parametrize("verbose", [False, True])
@pytest.mark.parametrize("width", WIDTHS)
def test_decision_comes_last_and_whole(report, thirteen, width, verbose):
    for each in (report, thirteen):
        text = " ".join(terminal.render(each, width, verbose=verbose).split())
        assert text.endswith(f"{decide(each).gate} {decide(each).headline}")


def test_a_failing_variant_is_told_in_one_line(report):
    lines = terminal.render(report, 140).splitlines()
    assert "FAIL          l1-filters-0.6       drop +1.84 pp > 1 pp (+1)" in lines
    (undecided,) = (line for line in lines if line.startswith("INCONCLUSIVE"))
    assert "latency ratio 0.79x (0.78..0.80), limit <= 0.8x lies inside (+1)" in undecided
    (missing,) = (line for line in lines if line.startswith("MISSING"))
    assert "grad-cam missing: the twin's weights are gone" in missing


@pytest.mark.parametrize(
    ("metric", "op", "limit", "told"),
    [
        ("sp2ps.grad-cam", ">=", 0.95, "grad-cam 0.914 < 0.95"),
        ("sp2ps.grad-cam", ">", 0.95, "grad-cam 0.914 <= 0.95"),
        ("sp2ps.grad-cam", "==", 1.0, "grad-cam 0.914 != 1"),
        ("accuracy_drop_pp", "<=", 0.5, "drop +1.84 pp > 0.5 pp"),
        ("accuracy_drop_pp", "<", 0.5, "drop +1.84 pp >= 0.5 pp"),
    ],
)
def test_the_relation_is_the_one_that_holds(report, metric, op, limit, told):
    policy = evolve(report.policy, criteria=[Criterion(metric, op, limit)])
    text = terminal.render(judged(report, policy), 140)
    assert re.search(rf"^FAIL +l1-filters-0.6 +{re.escape(told)}$", text, re.MULTILINE)


def test_missed_limits_are_marked_in_the_table(report):
    lines = terminal.render(report, 140).splitlines()
    (row,) = (line for line in lines if line.startswith("  l1-filters-0.6 "))
    assert re.findall(r"\S+ (?:pp|MB)? ?!", row) == ["+1.84 pp !", "0.914 !"]
    (row,) = (line for line in lines if line.startswith("  random-filters-0.2 "))
    assert row.count("?") == 1
    assert row.count("~") == 1
    assert "! misses its limit, ? undecided, ~ warns." in " ".join(lines)


def test_legend_names_only_the_marks_in_use(report):
    policy = evolve(report.policy, criteria=[Criterion("accuracy_drop_pp", "<=", 50.0)])
    text = terminal.render(judged(report, policy), 100)
    assert "> recommended." in text
    assert "misses" not in text
    assert "undecided" not in text


def test_recommended_row_is_marked(report):
    rows = [line.split() for line in terminal.render(report, 100).splitlines() if line.startswith("> ")]
    assert [row[:2] for row in rows] == [[">", report.recommendation.variant], [">", "recommended,"]]


def test_waivers_are_shown(report):
    waiver = Waiver(
        "l1-filters-0.6", "sp2ps.grad-cam", "until the next training", "A. Person", "2026-12-31", "w.yaml:3"
    )
    verdicts = [
        evolve(one, status="WAIVED", waiver=waiver)
        if (one.variant, one.metric) == (waiver.variant, waiver.metric)
        else one
        for one in report.verdicts
    ]
    text = terminal.render(evolve(report, verdicts=verdicts), 140)
    assert "0.914 w" in text
    assert "w waived" in text
    line = "l1-filters-0.6       grad-cam 0.914 < 0.95, waived until 2026-12-31 by A. Person: until the next training\n"
    assert f"WAIVED        {line}" in text


def test_noise_floor_is_a_row_of_the_table(report):
    (row,) = (line for line in terminal.render(report, 140).splitlines() if "noise floor" in line)
    assert re.findall(r"0\.\d{3}", row) == ["0.962", "0.959", "0.978"]
    long = terminal.render(report, 140, verbose=True)
    assert "sp2ps.grad-cam 0.914, limit >= 0.95, noise floor 0.962" in long


def test_a_limit_relative_to_the_control_is_resolved(report):
    asked = Criterion("sp2ps.grad-cam", ">=", -0.02, "fail", relative_to="control")
    text = terminal.render(judged(report, evolve(report.policy, criteria=[asked])), 100)
    assert ">= 0.942" in text
    assert "grad-cam 0.914 < control - 0.02 (0.942)" in text


def test_what_is_left_out_is_named(report):
    text, whole = (" ".join(terminal.render(report, 60, verbose=verbose).split()) for verbose in (False, True))
    assert re.search(r"Omitted at 60 columns: [^.]*, \d more\.", text)
    assert re.search(r"Omitted at 60 columns: [^.]*, size zlib, MACs\.", whole)
    assert "Omitted" not in terminal.render(report, 180)


def test_columns_that_the_gate_asks_for_stay_longest(report):
    asked = {criterion.metric for criterion in CRITERIA}
    assert {"latency.ratio", "size.bytes"} <= asked
    head = terminal.render(report, 100).partition("──")[0]
    assert all(limit in head for limit in (">= 0.95", ">= 0.9", "<= 1 pp", "<= 0.8x", "<= 25 MB"))
    assert "accuracy" not in head.partition("variant  ")[2]


def test_columns_without_values_are_absent(report):
    readings = [reading for reading in report.readings if not reading.metric.startswith(("sp2ps.", "macs"))]
    text = terminal.render(evolve(report, readings=readings, similarities=[]), 160)
    assert "Sp2PS" not in text
    assert "MACs" not in text
    assert "latency" in text


def test_equal_warnings_are_told_once(thirteen):
    text = terminal.render(evolve(thirteen, warnings=[]), 200)
    assert text.count("channel counts do not fill vector registers") == 1
    assert "warning: l1-filters-0.2 and 10 others: channel counts" in text


@pytest.mark.parametrize("width", WIDTHS)
def test_what_does_not_match_its_digest_is_told_whole(report, width):
    files = [f"variant-{number}/model.onnx differs from its digest" for number in range(9)]
    text = " ".join(terminal.render(evolve(report, unverified=files), width).split())
    assert f"NOT VERIFIED, judged anyway (--unverified): {'; '.join(files)} Gate FAIL" in text


@pytest.mark.parametrize("verbose", [False, True])
@pytest.mark.parametrize(
    "name",
    [
        HOSTILE,
        "\"quoted\" 'name' <b>",
        "two\nlines\r\x1b[2J",
        "\U0001f600" * 20,
        "\u05d0\u05d1\u202e\u2066txt",
        "a" * 300,
        "release/2026-11/cifar10_resnet20-l1-filters-0.60-by16-int8",
    ],
)
def test_hostile_names_reach_the_screen_as_text(name, verbose):
    text = terminal.render(renamed(name), 100, verbose=verbose)
    assert all(line.isprintable() for line in text.splitlines())
    assert max(map(cell_len, text.splitlines())) <= 100
    assert text.count("\n") < LINES or verbose


def test_registry_renders_everything(report):
    assert list(RENDERERS) == [
        *("terminal", "json", "markdown", "junit", "github", "gitlab", "csv", "cyclonedx", "model-card")
    ]
    assert all(render(report) for render in RENDERERS.values())


words = st.text(
    st.characters(codec="utf-8", categories=("L", "N", "S")) | st.sampled_from("ab."), min_size=1, max_size=7
)
word_lists = st.lists(words, min_size=1, max_size=8)
names = st.lists(st.builds(str.join, st.sampled_from("-_/"), word_lists), min_size=1, max_size=8, unique=True)
fronts = st.builds(lambda front, ends: [f"{front}-{end}" for end in ends], st.text("ab-", max_size=30), names)


@given(names | fronts, st.integers(LEAST_WIDTH, 60))
def test_short_names_fit_and_are_unique(given_names, width):
    short = shorten(given_names, width)
    assert list(short) == list(given_names)
    assert all(cell_len(text) <= width for text in short.values())
    assert len(set(short.values())) == len(given_names)


@given(names | fronts, st.integers(LEAST_WIDTH, 60))
def test_names_that_fit_are_unchanged(given_names, width):
    short = shorten(given_names, width)
    assert all(short[name] == name for name in given_names if cell_len(name) <= width)


@given(names, st.integers(16, 60))
def test_names_are_never_cut_within_a_word(given_names, width):
    """Each piece of a name is whole words; what keeps it unique is a number at the end."""
    short = shorten(given_names, width)
    for name, text in short.items():
        known = {word for word in re.split("[-_/]", name) if word}
        pieces = re.split("[-_/…]", text)
        assert {piece for piece in pieces if piece} <= known | {str(number) for number in range(2, 9)}


def test_names_lose_what_they_have_in_common():
    front = "release-2026-cifar10-resnet20-"
    ends = [f"{criterion}-filters-0.{rate}" for criterion in ("l1", "random") for rate in (20, 40)]
    short = shorten(["baseline", *(front + end for end in ends)], 24)
    assert list(short.values()) == ["baseline", *(GAP + end for end in ends)]
    short = shorten(["baseline", *(front + end for end in ends)], 15)
    assert list(short.values())[1:] == ["…l1-…0.20", "…l1-…0.40", "…random-…0.20", "…random-…0.40"]


def test_names_without_words_are_cut_at_the_end():
    assert shorten(["a" * 30, "a" * 31], 10) == {"a" * 30: "a" * 9 + GAP, "a" * 31: "a" * 8 + GAP + "2"}


@given(st.text(st.characters(codec="utf-8", categories=("L", "N", "Zs")), max_size=200), st.integers(5, 80))
def test_text_is_cut_or_folded_to_the_width(text, width):
    assert cell_len(cut(text, width)) <= width
    folded = fold(text, width)
    assert all(cell_len(line) <= width for line in folded)
    assert "".join(folded).replace(" ", "") == text.replace(" ", "")


def test_text_is_cut_between_words():
    assert cut("stop other programs, then measure again", 25) == "stop other programs ..."
