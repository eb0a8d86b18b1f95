import re

import pytest
from attrs import evolve
from rich.cells import cell_len

from edgecheck.report import RENDERERS, terminal
from tests.report.conftest import HOSTILE

ANSI = re.compile(r"\x1b\[[0-9;]*m")
WORDS = ("PASS", "FAIL", "WARN", "INCONCLUSIVE", "MISSING")


@pytest.mark.parametrize("width", [80, 140])
def test_golden(report, golden, width):
    golden(f"terminal_{width}.txt", terminal.render(report, width))


@pytest.mark.parametrize("width", [40, 60, 80, 100, 140, 200])
def test_no_line_is_wider_than_the_terminal(report, hostile, width):
    for each in (report, hostile):
        assert max(map(cell_len, terminal.render(each, width).splitlines())) <= width


def test_colour_adds_nothing_but_colour(report):
    plain, coloured = terminal.render(report, 100), terminal.render(report, 100, colour=True)
    assert "\x1b[" in coloured
    assert "\x1b" not in plain
    lines = [line.rstrip() for line in ANSI.sub("", coloured).splitlines()]
    assert lines == plain.splitlines()


def test_environment_does_not_change_the_text(report, monkeypatch):
    expected = terminal.render(report, 90)
    monkeypatch.setenv("COLUMNS", "33")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert terminal.render(report, 90) == expected


@pytest.mark.parametrize("width", [40, 80, 140])
def test_every_verdict_is_a_word(report, width):
    text = terminal.render(report, width)
    assert all(word in text for word in WORDS)


def test_decision_comes_last(report):
    last = terminal.render(report, 200).splitlines()[-1]
    assert last == (
        "Do not ship all 5 variants: 3 fail. l1-filters-0.4 passes: 0.52x size, 0.52x latency, -0.66 pp accuracy"
    )


def test_noise_floor_stands_over_every_sp2ps(report):
    lines = terminal.render(report, 140).splitlines()
    heading = next(line for line in lines if line.startswith("variant"))
    assert re.findall(r"0\.\d{3}", heading) == ["0.962", "0.959", "0.978"]
    assert "sp2ps.grad-cam 0.914, limit >= 0.95, noise floor 0.962" in terminal.render(report, 140)


def test_what_is_left_out_is_named(report):
    text = " ".join(terminal.render(report, 80).split())
    assert "Omitted at 80 columns: MACs, size zlib" in text
    assert "Omitted" not in terminal.render(report, 160)


def test_columns_without_values_are_absent(report):
    readings = [reading for reading in report.readings if not reading.metric.startswith(("sp2ps.", "macs"))]
    text = terminal.render(evolve(report, readings=readings, similarities=[]), 160)
    assert "Sp2PS" not in text
    assert "MACs" not in text
    assert "latency" in text


def test_hostile_names_reach_the_screen_as_text(hostile):
    text = terminal.render(hostile, 200)
    assert "\x1b" not in text
    assert "[bold red]" in text
    assert HOSTILE not in text


def test_registry_renders_everything(report):
    assert list(RENDERERS) == ["terminal", "json", "markdown", "junit", "github", "gitlab", "csv"]
    assert all(render(report) for render in RENDERERS.values())
