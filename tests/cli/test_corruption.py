"""Excess errors from the configuration to the reports: in a run, a check and a search, resumed and killed."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from importlib import resources

import numpy as np
import pytest

from edgecheck.artefact import Artefact
from edgecheck.cli import main
from edgecheck.config import reader
from edgecheck.corruption.applying import corrupted
from edgecheck.corruption.table import Corruption
from edgecheck.errors import MeasurementError
from edgecheck.images import ImageSet, load_npz
from edgecheck.pipeline import saved, sensitivity
from edgecheck.pipeline.entry import Entry, Run
from edgecheck.pipeline.stages.corrupt import Corrupt
from edgecheck.pipeline.subject import DataSource, Images
from edgecheck.records import Variant
from edgecheck.report import html, markdown, terminal

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("files_in_this_process")]
LISTED, OF_GATE = ("gaussian-noise-3", "jpeg-5"), "defocus-blur-4"
ALL = (*LISTED, OF_GATE)
CONFIG = """\
model: {{factory: 'edgecheck:digits_cnn', weights: {weights}}}
data: {{dataset: digits, limit: 120, train_limit: 96}}
explain: {{methods: []}}
corruption: [gaussian-noise, jpeg-5]
variants:
  - {{criterion: l1, structure: unstructured, rate: 0.7, recipe: [none, paper]}}
finetune: {{epochs: 1}}
search: {{structure: filters, rate: [0.1, 0.5], recipe: none, quantization: none}}
measure: {{latency_budget_s: 0, rss: false}}
gate:
  require: any
  criteria: [accuracy_drop_pp <= 80, excess_error_pp.defocus-blur-4 <= control + 50]
"""
UNTUNED, TUNED = VARIANTS = ("l1-unstructured-0.70-none", "l1-unstructured-0.70")


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp("corruption") / "edgecheck.yaml"
    path.write_text(CONFIG.format(weights=resources.files("edgecheck.models") / "digits_cnn.safetensors"))
    return path


@pytest.fixture(scope="module")
def folder(config):
    folder = config.parent / "run"
    with pytest.raises(SystemExit) as stop:
        main(["run", str(config), "--out", str(folder), "--format", "json"])
    assert stop.value.code == 0
    return folder


@pytest.fixture
def copied(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "run")


def report_of(folder):
    return json.loads((folder / "report.json").read_text())


def readings_of(report):
    return {(r["variant"], r["metric"]): r for r in report["readings"] if r["metric"].startswith("excess_error_pp.")}


def right(folder, variant, place=""):
    labels = load_npz(folder / "data.npz").labels
    file = folder / variant / ("logits.npz" if not place else f"logits-{place}.npz")
    return np.load(file)["logits"].argmax(axis=1) == labels


def test_the_readings_are_those_of_the_error_rates_of_the_files(folder):
    report = report_of(folder)
    readings = readings_of(report)
    compared = {v["name"] for v in report["variants"]} - {"baseline"}
    assert set(VARIANTS) < compared
    assert readings.keys() == {(variant, f"excess_error_pp.{name}") for variant in compared for name in ALL}
    for (variant, metric), reading in readings.items():
        name = metric.removeprefix("excess_error_pp.")
        errors = [
            100 * (1 - right(folder, side, place).mean()) for side in (variant, "baseline") for place in ("", name)
        ]
        assert reading["value"] == pytest.approx((errors[1] - errors[3]) - (errors[0] - errors[2]))
        assert reading["low"] <= reading["value"] <= reading["high"]
        assert (reading["n"], reading["unit"]) == (120, "pp")
        told = f"right on {100 - errors[1]:.2f} % under {name}, the baseline on {100 - errors[3]:.2f} %"
        assert reading["note"] == told
    assert len({reading["value"] for reading in readings.values()}) > 3


def test_the_interval_is_that_of_the_differences_image_by_image(folder):
    """By the normal approximation, where there are many of them."""
    readings = readings_of(report_of(folder))
    reading = readings[UNTUNED, "excess_error_pp.gaussian-noise-3"]
    own, before = (
        right(folder, side).astype(float) - right(folder, side, "gaussian-noise-3") for side in (UNTUNED, "baseline")
    )
    half = 1.96 * 100 * (own - before).std() / np.sqrt(120)
    assert half > 0
    assert reading["high"] - reading["low"] == pytest.approx(2 * half, rel=0.15)


def test_the_images_are_corrupted_once_and_all_files_run_on_them(folder):
    clean = load_npz(folder / "data.npz")
    for name in ALL:
        kind, _, severity = name.rpartition("-")
        images = load_npz(folder / f"data-{name}.npz")
        expected = corrupted(clean.images[:], Corruption(kind, int(severity)), 0, range(120))
        assert (images.images[:] == expected).all()
        assert (images.labels == clean.labels).all()
    assert not list(folder.glob("*/data-*.npz"))


def test_a_limit_relative_to_the_control_and_the_accuracies_are_in_the_report(folder):
    report = report_of(folder)
    verdicts = {v["variant"]: v for v in report["verdicts"] if v["metric"].startswith("excess_error_pp.")}
    floor = readings_of(report)["control", f"excess_error_pp.{OF_GATE}"]["value"]
    assert verdicts[TUNED]["limit"] == pytest.approx(floor + 50)
    assert verdicts[TUNED]["status"] == "PASS"
    for variant in report["variants"]:
        assert variant["corrupted_accuracy"] == {
            name: pytest.approx(right(folder, variant["name"], name).mean()) for name in ALL
        }


def test_every_page_shows_what_the_gate_asks_for_and_the_details_show_all(folder):
    report = saved.read(folder)
    value = report.value(TUNED, f"excess_error_pp.{OF_GATE}").value
    for page in (terminal.render(report, 140), markdown.render(report)):
        assert f"{value:+.2f} pp" in page or f"{value:.2f} pp" in page
        assert "blur-4" in page
        assert "noise-3" not in page
    page = html.render(report)
    assert page.count("<summary>Under corruption</summary>") == len(report.variants)
    details = page.split(f'<span class="name">{UNTUNED}</span>')[1].split("<summary>Under corruption</summary>")[1]
    table = details.split("</table>")[0]
    assert [cell.split("</th>")[0] for cell in table.split('<th scope="row">')[1:]] == [
        *("gaussian-noise", "jpeg", "defocus-blur")
    ]
    reading = report.value(UNTUNED, "excess_error_pp.gaussian-noise-3")
    assert f"{reading.low:+.2f}..{reading.high:+.2f} pp" in table
    assert "excess_error_pp.jpeg-N" in page.split('id="glossary"')[1]


def test_a_second_run_computes_nothing_and_a_further_corruption_only_itself(copied, config, tmp_path, edgecheck):
    first = readings_of(report_of(copied))
    others = ("charts.json", "report.json", "hashes.json")
    stages = {path: path.read_bytes() for path in copied.rglob("*.json") if path.name not in others}
    edgecheck("run", config, "--out", copied)
    assert {path: path.read_bytes() for path in stages} == stages
    assert readings_of(report_of(copied)) == first

    more = tmp_path / "more.yaml"
    more.write_text(config.read_text().replace("jpeg-5]", "jpeg-5, contrast-1]"))
    _, _, err = edgecheck("run", more, "--out", copied)
    assert "contrast-1" in err
    assert {path: path.read_bytes() for path in stages} == stages
    readings = readings_of(report_of(copied))
    assert (TUNED, "excess_error_pp.contrast-1") in readings
    assert {key: reading for key, reading in readings.items() if not key[1].endswith("contrast-1")} == first


@pytest.mark.thorough  # tests/test_extension.py has a run in processes with a corruption of a plugin
def test_a_run_in_processes_gives_the_same(folder, config, tmp_path, edgecheck):
    code, _, _ = edgecheck("run", config, "--out", tmp_path / "run", "--executor", "processes:2")
    assert code == 0
    assert readings_of(report_of(tmp_path / "run")) == readings_of(report_of(folder))


@pytest.mark.thorough
def test_a_run_that_is_killed_while_it_corrupts_goes_on(folder, config, tmp_path, edgecheck):
    out = tmp_path / "run"
    command = [sys.executable, "-P", "-m", "edgecheck", "run", config, "--out", out]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True) as process:
        try:
            deadline = time.monotonic() + 120
            while not (out / "corrupt-gaussian-noise-3.json").exists() and time.monotonic() < deadline:
                time.sleep(0.005)
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # its own session, so its own group
        assert process.wait() == -signal.SIGKILL
    assert not (out / "report.json").exists()
    made = (out / "corrupt-gaussian-noise-3.json").read_bytes()

    code, _, _ = edgecheck("run", config, "--out", out)

    assert code == 0
    assert (out / "corrupt-gaussian-noise-3.json").read_bytes() == made
    assert readings_of(report_of(out)) == readings_of(report_of(folder))


def test_half_written_images_are_not_taken_for_whole_ones(copied, config, edgecheck):
    before = readings_of(report_of(copied))
    whole = (copied / "data-jpeg-5.npz").read_bytes()
    (copied / "data-jpeg-5.npz").write_bytes(whole[:-100])
    code, _, _ = edgecheck("run", config, "--out", copied)
    assert code == 0
    assert load_npz(copied / "data-jpeg-5.npz").images.shape == load_npz(copied / "data.npz").images.shape
    assert readings_of(report_of(copied)) == before


def test_a_check_measures_what_its_gate_asks_for(folder, tmp_path, edgecheck):
    files = ["--baseline", folder / "baseline" / "model.onnx", "--candidate", folder / TUNED / "model.onnx"]
    asked = ["--gate", "excess_error_pp.gaussian-noise-3 <= 100", "--gate", "accuracy_drop_pp <= 100"]
    words = [*files, "--data", folder / "data.npz", "--time-budget", "0", *asked, "--out", tmp_path / "check"]
    code, out, _ = edgecheck("check", *words, "--format", "json")
    report = json.loads(out)
    assert code == 0
    (reading,) = readings_of(report).values()
    there = readings_of(report_of(folder))[TUNED, "excess_error_pp.gaussian-noise-3"]
    assert {**reading, "variant": TUNED} == there
    assert not (tmp_path / "check" / "data-jpeg-5.npz").exists()


def test_a_search_judges_by_it_before_it_explains(config, tmp_path, edgecheck):
    asked = tmp_path / "edgecheck.yaml"
    criteria = "criteria: [accuracy_drop_pp <= 80, excess_error_pp.gaussian-noise-3 <= -90]"
    asked.write_text(config.read_text().split("  criteria:")[0] + f"  {criteria}\n")
    code, _, err = edgecheck("search", asked, "--out", tmp_path / "found")
    assert code == 1, err
    record = json.loads((tmp_path / "found" / "search.json").read_text())
    verdicts = [verdict for one in record["attempts"] for verdict in one["verdicts"]]
    assert record["found"] is None
    assert {"FAIL"} == {v["status"] for v in verdicts if v["metric"] == "excess_error_pp.gaussian-noise-3"}
    assert (tmp_path / "found" / "search" / "data-gaussian-noise-3.npz").exists()
    assert (tmp_path / "found" / "data-gaussian-noise-3.npz").exists()


def test_a_search_by_excess_error_alone_is_refused(config, tmp_path, refused):
    asked = tmp_path / "edgecheck.yaml"
    asked.write_text(config.read_text().replace("accuracy_drop_pp <= 80, ", ""))
    assert "so the smallest one would pass whatever it predicts" in refused("search", asked, "--out", tmp_path / "none")


def test_a_sensitivity_scan_leaves_corruption_out(config, monkeypatch):
    """It shows none of it, and there are many layers."""

    def measured(run, entry, baseline):
        assert run.plan.corruption == []
        raise MeasurementError("far enough")

    monkeypatch.setattr(sensitivity, "measured", measured)
    plan = reader.load(config)
    assert plan.corruption
    data = ImageSet(np.zeros((1, 2, 2, 1), np.uint8), np.zeros(1, np.int64), ("none",))
    file = Artefact("", config)
    run = Run(plan, config.parent, DataSource(plan.data, None), Images(file, data.shape), data, "")
    with pytest.raises(MeasurementError, match="far enough"):
        next(sensitivity._examined(run, Entry(Variant("a", "candidate"), file, None), None))


def test_nothing_is_compared_where_nothing_is_left_to_lose(copied, config, tmp_path, edgecheck):
    """Either the corruption takes all from the baseline, or pruning has taken all from the variant."""
    asked = tmp_path / "edgecheck.yaml"
    criteria = "criteria: [excess_error_pp.contrast-5 <= 50, excess_error_pp.jpeg-5 <= 50]"
    row = "  - {criterion: l1, structure: filters, rate: 0.5, recipe: none}\n"
    text = config.read_text().replace("finetune:", row + "finetune:").split("  criteria:")[0]
    asked.write_text(f"{text}  {criteria}\n")
    code, out, _ = edgecheck("run", asked, "--out", copied)
    readings = readings_of(report_of(copied))
    dark, lost = (
        readings[TUNED, "excess_error_pp.contrast-5"],
        readings["l1-filters-0.50-none", "excess_error_pp.jpeg-5"],
    )
    assert (code, dark["value"], lost["value"]) == (1, None, None)
    assert dark["note"].endswith("no better than a guess, so nothing can be compared; choose a lower severity")
    assert lost["note"].endswith("of the clean images, which is no better than a guess")
    assert readings[TUNED, "excess_error_pp.jpeg-5"]["value"] is not None
    assert "excess contrast-5 missing: " in out
    assert len(re.findall(r"^MISSING .*\(\+1\)$", out, re.MULTILINE)) == 1  # both, of the variant that lost all


def test_a_variant_that_cannot_be_made_misses_what_was_asked_with_the_reason(copied, config, tmp_path, edgecheck):
    asked = tmp_path / "edgecheck.yaml"
    row = "  - {criterion: l1, structure: unstructured, rate: 0.000001, recipe: none}\n"
    asked.write_text(config.read_text().replace("finetune:", row + "finetune:"))
    edgecheck("run", asked, "--out", copied)
    readings = readings_of(report_of(copied))
    notes = {
        metric: r["note"]
        for (variant, metric), r in readings.items()
        if variant not in (*VARIANTS, "control", "control-none")
    }
    assert set(notes) == {f"excess_error_pp.{name}" for name in ALL}
    assert all(note.startswith("this rate removes nothing") for note in notes.values())


def test_without_opencv_a_run_ends_in_one_line_before_any_work(config, tmp_path, refused, monkeypatch):
    monkeypatch.delitem(sys.modules, "edgecheck.lab.jpeg", raising=False)
    monkeypatch.setattr(Corrupt, "compute", None)
    monkeypatch.setitem(sys.modules, "cv2", None)
    said = refused("run", config, "--out", tmp_path / "none")
    assert "corruption jpeg-5: needs cv2, which is not installed; run: pip install 'edgecheck[lab]'" in said
