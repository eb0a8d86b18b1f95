"""The whole job, on real digits with a committed network."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

import numpy as np
import onnxruntime
import pytest

from edgecheck.config.plan import Preprocessing
from edgecheck.images import load_npz, preprocess

NAMES = ["baseline", "control", "l1-unstructured-0.20", "l1-filters-0.50"]


def test_it_leaves_what_it_promises(tiny_run):
    for file in ("report.json", "report.html", "report.md", "junit.xml", "data.npz"):
        assert (tiny_run / file).stat().st_size > 0
    for name in NAMES:
        assert (tiny_run / name / "model.onnx").stat().st_size > 0
    leftovers = [p for p in tiny_run.rglob("*") if p.name.startswith(".")]
    assert leftovers == []


def test_the_document_is_whole(tiny_report):
    assert tiny_report["schema_version"] == 5
    assert [v["name"] for v in tiny_report["variants"]] == NAMES
    assert [v["role"] for v in tiny_report["variants"]] == ["baseline", "control", "candidate", "candidate"]
    judged = {v["variant"] for v in tiny_report["verdicts"]}
    assert judged == set(NAMES[2:])
    for key in ("tool", "environment", "subject", "readings", "recommendation", "passed"):
        assert key in tiny_report
    assert all(len(v["sha256"]) == 64 for v in tiny_report["variants"])


def test_the_recipe_of_the_fine_tuned_variants_is_told(tiny_report):
    assert tiny_report["subject"]["finetune"].startswith("SGD, learning rate 0.001")


def test_every_contract_metric_is_measured_for_a_candidate(tiny_report):
    from edgecheck.metrics import METRICS
    from edgecheck.pipeline.failures import measurable

    taken = {r["metric"]: r for r in tiny_report["readings"] if r["variant"] == NAMES[2]}
    # Switched off; not quantized; measured on devices only; one seed is no population. No corruption was asked for.
    absent = {"memory.rss_bytes", "quantization.agreement", "energy.per_inference_j", "provider.fallback_share"}
    absent |= {"pie_rate"}
    assert set(taken) == set(measurable()) - absent
    for name, reading in taken.items():
        assert reading["unit"] == METRICS[name].unit
        if name != "latency.p90_s":  # may need more samples than this short run takes
            assert reading["value"] is not None, name


def test_accuracy_in_the_report_is_that_of_the_file(tiny_run, tiny_report):
    data = load_npz(tiny_run / "data.npz")
    session = onnxruntime.InferenceSession(tiny_run / NAMES[3] / "model.onnx", providers=["CPUExecutionProvider"])
    pixels = preprocess(data.images[:], Preprocessing(mean=[0.3053], std=[0.3233]))
    predicted = session.run(None, {session.get_inputs()[0].name: pixels})[0].argmax(1)
    reading = next(r for r in tiny_report["readings"] if (r["variant"], r["metric"]) == (NAMES[3], "accuracy"))
    assert reading["value"] == pytest.approx(np.mean(predicted == data.labels))


def test_filter_pruning_makes_the_file_smaller_and_zeros_do_not(tiny_report):
    size = {r["variant"]: r["value"] for r in tiny_report["readings"] if r["metric"] == "size.bytes"}
    assert size[NAMES[3]] < 0.5 * size["baseline"]
    assert size[NAMES[2]] == pytest.approx(size["baseline"], rel=0.01)
    nonzero = {r["variant"]: r["value"] for r in tiny_report["readings"] if r["metric"] == "params.nonzero"}
    assert nonzero[NAMES[2]] < 0.85 * nonzero["baseline"]


def measured(report):
    """Return a report without the command that wrote it last: another test may have run the same again."""
    return {key: value for key, value in report.items() if key not in ("command", "seal")}


def test_every_format_tells_the_same_verdict(tiny_run, tiny_report, edgecheck):
    passed = tiny_report["passed"]
    for form in ("json", "markdown", "junit", "terminal"):
        code, out, _ = edgecheck("gate", tiny_run, "--format", form)
        assert code == (0 if passed else 1)
        assert out
        if form == "json":
            assert measured(json.loads(out)) == measured(tiny_report)
        if form == "junit":
            assert int(ElementTree.fromstring(out).get("failures")) == 0
    hopeless = ["--gate", "accuracy >= 100 %", "--gate", "size.bytes <= 1 B"]
    for form in ("json", "markdown", "junit", "terminal"):
        code, out, _ = edgecheck("gate", tiny_run, *hopeless, "--format", form)
        assert code == 1
        if form == "json":
            assert json.loads(out)["passed"] is False
        elif form == "junit":
            assert int(ElementTree.fromstring(out).get("failures")) > 0
        else:
            assert "FAIL" in out


def test_judging_again_measures_nothing_and_changes_nothing(tiny_run, tiny_report, edgecheck):
    edgecheck("gate", tiny_run, "--gate", "accuracy >= 0")
    assert measured(json.loads((tiny_run / "report.json").read_text())) == measured(tiny_report)


def test_rendering_again_gives_the_same_pages(tiny_run, tmp_path, edgecheck):
    code, _, _ = edgecheck("report", tiny_run, "--out", tmp_path / "again")
    assert code == 0
    for file in ("report.json", "report.html", "report.md", "junit.xml"):
        assert (tmp_path / "again" / file).read_text() == (tiny_run / file).read_text()


def test_a_finished_run_is_not_done_again(tiny_config, tiny_run, tiny_report, edgecheck, monkeypatch):
    from edgecheck.lab import export, train

    def refuse(*_arguments, **_options):
        raise AssertionError("done again")

    monkeypatch.setattr(train, "train", refuse)
    monkeypatch.setattr(export, "export", refuse)
    code, out, err = edgecheck("run", tiny_config, "--out", tiny_run, "--format", "json")
    assert code == 0
    assert measured(json.loads(out)) == measured(tiny_report)
    told = [line.partition(": accuracy ")[0] for line in err.splitlines() if ": accuracy " in line]
    assert sorted(told) == sorted(NAMES[1:])  # each variant's result, once
    assert "left" not in err  # nothing was computed that tells of the time


def timeless(report):
    """The report without what a clock decides."""
    report = json.loads(json.dumps(report))
    for part in ("readings", "verdicts"):
        report[part] = [row for row in report[part] if not row["metric"].startswith("latency.")]
    for variant in report["variants"]:
        variant["layers"] = [{**layer, "seconds": None} for layer in variant["layers"]]
        variant["warnings"] = [one for one in variant["warnings"] if one["id"] != "channel-padding"]
    for key in ("warnings", "recommendation", "seconds", "seal", "command", "created", "duration_s"):
        report.pop(key)
    # Records hold what a clock said; files do not.
    report["evidence"] = {name: found for name, found in report["evidence"].items() if not name.endswith(".json")}
    return report


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_the_same(tiny_config, tiny_report, tmp_path, edgecheck):
    folder = tmp_path / "killed"
    command = [sys.executable, "-m", "edgecheck", "run", str(tiny_config), "--out", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (folder / "control" / "finetune-0.json").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=120)  # until the end of file: the process that works, and holds the folder, is gone too
    assert process.returncode == -signal.SIGKILL, "it had ended before"
    assert not (folder / "report.json").exists()
    made = (folder / "control" / "weights.safetensors").stat().st_mtime_ns
    code, out, err = edgecheck("run", tiny_config, "--out", folder, "--format", "json")
    assert code == 0
    assert re.search(r"^\[1/3 variants.*\] .*: exporting$", err, re.MULTILINE)
    assert err.count(": accuracy ") == 3
    assert (folder / "control" / "weights.safetensors").stat().st_mtime_ns == made
    assert timeless(json.loads(out)) == timeless(tiny_report)


@pytest.mark.slow
def test_a_variant_whose_training_breaks_is_missing_and_the_others_go_on(tiny_config, tmp_path, edgecheck):
    config = tmp_path / "broken.yaml"
    config.write_text(tiny_config.read_text().replace("  epochs: 1", "  epochs: 1\n  learning_rate: 1e6"))
    code, out, err = edgecheck("run", config, "--out", tmp_path / "run", "--format", "json")
    report = json.loads(out)
    assert code == 1
    assert {v["status"] for v in report["verdicts"]} == {"MISSING"}
    assert all("learning_rate" in v["reason"] for v in report["verdicts"])
    assert "Traceback" not in err
