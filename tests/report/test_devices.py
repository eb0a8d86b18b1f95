"""Readings of another device beside those of the host."""

import csv
from functools import partial
from io import StringIO

import pytest
from attrs import evolve

from edgecheck.gate.judgement import judged
from edgecheck.records import Criterion, DeviceRun, reading
from edgecheck.records.board import Clock, Conditions, Energy, Sign, Temperature
from edgecheck.report import RENDERERS, devices, html, terminal
from edgecheck.report.sweep import page
from edgecheck.report.table import columns, margin_of, rows

BOARD = "pi4"


@pytest.fixture(scope="module")
def report(report):
    """The made-up run, two of whose files were timed on a board too."""
    board = evolve(report.environment, cpu="Cortex-A76 of the board", host="pi")
    taken = [
        reading(variant, "latency.ratio", ratio, (ratio - 0.01, ratio + 0.01), 640, device=BOARD)
        for variant, ratio in (("baseline", 1.0), ("l1-filters-0.4", 0.97))
    ]
    return evolve(report, readings=[*report.readings, *taken], environments={BOARD: board})


def _cells(report, variant):
    shown = next(one for one in rows(report) if one.name == variant)
    return {column.name: column.cell(report, shown) for column in columns(report)}


def test_a_board_has_columns_of_its_own_readings(report):
    cells = _cells(report, "l1-filters-0.4")
    assert (cells["latency ratio"], cells["latency ratio @pi4"]) == ("0.52x", "0.97x")
    assert _cells(report, "control")["latency ratio @pi4"] == "—"
    assert "latency p50 @pi4" not in cells  # nothing measured it there


def test_what_the_gate_asks_of_a_board_comes_first(report):
    asked = Criterion("latency.ratio", "<=", 0.9, device=BOARD)
    again = judged(report, evolve(report.policy, criteria=[asked]))
    first = columns(again)[2]
    assert (first.name, first.limits) == ("latency ratio @pi4", ("<= 0.9x",))
    shown = next(one for one in rows(again) if one.name == "l1-filters-0.4")
    assert margin_of(again, shown, first) == "-0.070x"


def test_a_reading_is_that_of_the_host_unless_a_device_is_named(report):
    assert report.value("l1-filters-0.4", "latency.ratio").value == 0.52
    assert report.value("l1-filters-0.4", "latency.ratio", BOARD).value == 0.97
    assert report.value("control", "latency.ratio", BOARD) is None


def test_a_criterion_is_judged_on_the_host(report):
    again = judged(report, report.policy)  # 0.97 on the board would miss latency.ratio <= 0.80
    assert again.verdicts == report.verdicts
    assert again.readings == report.readings


@pytest.mark.parametrize("render", [partial(terminal.render, verbose=True), RENDERERS["markdown"]])
def test_text_formats_show_the_board(report, render):
    text = render(report).replace("@<!-- -->", "@")
    assert any("@pi4: Cortex-A76 of the board" in line for line in text.splitlines())
    assert "0.97x" in text


def test_what_differs_between_host_and_board_beyond_noise(report):
    rows = {(name, metric): cells for name, metric, *cells in devices.differences(report)}
    assert rows[("l1-filters-0.4", "latency.ratio")] == ["0.52x (0.51..0.53)", "0.97x (0.96..0.98)"]
    assert set(rows) == {("l1-filters-0.4", "latency.ratio")}
    inside = [evolve(r, low=0.5, high=1.0) if r.device == BOARD and r.low else r for r in report.readings]
    assert list(devices.differences(evolve(report, readings=inside))) == []


def test_a_difference_that_rounding_hides_is_left_out(report):
    def timed(device, ratio):
        return reading("control", "latency.ratio", ratio, (ratio - 1e-5, ratio + 1e-5), 640, device=device)

    others = [one for one in report.readings if one.metric != "latency.ratio"]
    other = evolve(report, readings=[*others, timed("host", 1.0), timed(BOARD, 1.001)])
    assert list(devices.differences(other)) == []
    other = evolve(report, readings=[*others, timed("host", 1.0), timed(BOARD, 1.01)])
    assert [cells[2:] for cells in devices.differences(other)] == [["1.00x (1.00..1.00)", "1.01x (1.01..1.01)"]]


@pytest.mark.parametrize("width", [120, 140])
def test_a_narrow_terminal_shows_the_latency_of_a_device(report, width):
    board = [reading(one, "latency.p50_s", 0.3, (0.29, 0.31), 640, device=BOARD) for one in ("baseline", "control")]
    assert "300 ms" in terminal.render(evolve(report, readings=[*report.readings, *board]), width)


@pytest.mark.parametrize(
    ("metric", "value", "differs"),
    [
        ("parity.max_abs", 0.0009, False),
        ("parity.max_abs", 0.0011, True),
        ("parity.agreement", 1.0, False),
        ("parity.agreement", 0.9999, True),
        ("size.bytes", 1e9, False),
    ],
)
def test_parity_on_the_board_is_that_with_the_outputs_on_the_host(report, metric, value, differs):
    other = evolve(report, readings=[*report.readings, reading("control", metric, value, device=BOARD)])
    assert (("control", metric) in {(name, what) for name, what, *_ in devices.differences(other)}) == differs


def test_the_page_shows_the_board_and_its_environment(report):
    shown = html.render(report)
    assert "@pi4" in shown
    assert "Device pi4" in shown
    assert "Cortex-A76 of the board" in shown


def test_csv_has_a_column_for_the_board(report):
    table = {row["name"]: row for row in csv.DictReader(StringIO(page.table(report)))}
    assert table["l1-filters-0.4"]["latency.ratio@pi4"] == "0.97"
    assert table["l1-filters-0.4"]["latency.ratio@pi4.low"] == "0.96"
    assert table["control"]["latency.ratio@pi4"] == ""


def test_how_a_board_measured(report):
    hot = Conditions(
        60.0,
        60,
        [Temperature("cpu-thermal", 48.25, 61.0, 60.0), Temperature("gpu", 40.0, 45.0, 45.0)],
        Clock(6e8, 1.8e9, 1.5e9, 1.8e9),
        [Sign("throttled", "firmware", 3)],
        ["firmware"],
    )
    run = DeviceRun(
        bundle_sha256="0",
        images=500,
        created="2026-11-30T10:05:00+00:00",
        conditions=hot,
        energies={"baseline": Energy(3.5, "INA3221 VDD_IN", 5.0)},
    )
    (name, text), *_ = devices.facts(evolve(report, devices={BOARD: run}))
    assert name == "@pi4"
    assert text.endswith(
        "500 images, cpu-thermal 48.2 to 61.0 °C, clock 600 MHz to 1.80 GHz of 1.80 GHz, throttled, "
        "energy by INA3221 VDD_IN, measured 2026-11-30 10:05 UTC"
    )
    quiet = evolve(run, images=None, conditions=Conditions(1.0, 2), energies={})
    (_, text), *_ = devices.facts(evolve(report, devices={BOARD: quiet}))
    assert text.endswith("synthetic images, measured 2026-11-30 10:05 UTC")
