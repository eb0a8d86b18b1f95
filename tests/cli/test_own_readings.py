"""Nothing is shown for a file that was not measured on it: put another file in its place, and every figure changes."""

import json
import shutil
from datetime import date

import attrs
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from edgecheck.artefact import Artefact
from edgecheck.attribution.table import default_methods
from edgecheck.config import reader
from edgecheck.config.plan import VariantSpec
from edgecheck.device.model.files import sha256
from edgecheck.gate.judgement import judged
from edgecheck.gate.preconditions import from_heatmaps
from edgecheck.pipeline import beginning, making
from edgecheck.pipeline.examining import examine
from edgecheck.pipeline.executors.serial import Serial
from edgecheck.pipeline.run import examined_baseline
from edgecheck.pipeline.schedule import Schedule
from edgecheck.pipeline.store import Store
from edgecheck.progress import Silent
from edgecheck.records import Report, from_dict
from edgecheck.seal import SEAL
from edgecheck.steps import QuantizeStep

# What two files may share though it was read from each of them: by chance, or because neither is quantized.
# On these images neither is right where the baseline is wrong.
SHARED = {"opset", "ir_version", "cam.degenerate_share", "positive_flip_rate"} | {
    f"fidelity.{method}" for method in default_methods()
}


@pytest.fixture(scope="module")
def stranger(tiny_run, tmp_path_factory):
    """A file of another size that takes every class for the next one."""
    model = onnx.load(tiny_run / "l1-filters-0.50" / "model.onnx")
    output = model.graph.output[0]
    model.graph.initializer.append(numpy_helper.from_array(np.roll(np.arange(10), 1), "order"))
    model.graph.node.append(helper.make_node("Gather", [output.name, "order"], ["rolled"], axis=1))
    output.name = "rolled"
    path = tmp_path_factory.mktemp("files") / "stranger.onnx"
    onnx.save(model, path)
    return path


def values(readings):
    return {metric: value for metric, value in readings if value is not None and metric not in SHARED}


def test_a_quantized_file_shows_only_its_own(tiny_run, tiny_config, tmp_path, stranger):
    shutil.copytree(tiny_run, tmp_path / "run")
    plan = reader.load(tiny_config)
    plan = attrs.evolve(plan, quantize=attrs.evolve(plan.quantize, images=32))
    store = Store(tmp_path / "run")
    schedule = Schedule(store, Serial(Silent()))
    run = beginning.begin(plan, store, schedule)
    (baseline,) = schedule.start([examined_baseline(run)])
    spec = VariantSpec("baseline-int8", (QuantizeStep("int8", plan.quantize),), "baseline")
    (entry,) = schedule.finish(schedule.start([making.variant(run, spec, "baseline", making.State())]))

    def examined():
        file = Artefact(sha256(entry.file.path), entry.file.path)
        line = examine(run, attrs.evolve(entry, file=file), baseline.result)
        (findings,) = schedule.finish(schedule.start([line]))
        assert {similarity.source for similarity in findings.similarities} == {"artefact"}
        return values((r.metric, r.value) for r in findings.readings)

    schedule.finish([baseline])
    own = examined()
    shutil.copyfile(stranger, entry.file.path)
    others = examined()
    assert {"accuracy", "size.bytes", "macs", "agreement", "quantization.agreement", "sp2ps.grad-cam"} <= set(own)
    assert {metric for metric in own if own[metric] == others.get(metric)} == set()


@pytest.fixture
def check(tiny_run, edgecheck):
    """Check two files, each with the twin of the baseline or with the control's weights in it."""

    def run(baseline, candidate, *arguments, wrong=()):
        words = []
        for side, file in (("baseline", baseline), ("candidate", candidate)):
            weights = tiny_run / ("control" if side in wrong else "baseline") / "weights.safetensors"
            words += [f"--{side}", file, f"--{side}-twin", "edgecheck:digits_cnn", f"--{side}-weights", weights]
        return edgecheck("check", *words, "--data", "digits", "--limit", "60", "--time-budget", "0", *arguments)

    return run


@pytest.mark.parametrize("side", ["baseline", "candidate"])
def test_a_file_shows_nothing_that_its_twin_alone_says(tiny_run, stranger, check, side):
    file = tiny_run / "baseline" / "model.onnx"

    def shown(**swapped):
        files = {"baseline": file, "candidate": file, **swapped}
        report = json.loads(check(*files.values(), "--format", "json")[1])
        return values(
            (r["metric"], r["value"]) for r in report["readings"] if r["variant"] == side or from_heatmaps(r["metric"])
        ), report

    (right, _), (swapped, report) = shown(), shown(**{side: stranger})
    assert {metric for metric in right if right[metric] == swapped.get(metric)} == set()
    assert "sp2ps.grad-cam" in (right.keys() - swapped.keys())
    assert report["similarities"] == []
    missing = {v["metric"] for v in report["verdicts"] if v["status"] == "MISSING"}
    assert missing >= {"sp2ps.grad-cam", "cam.degenerate_share"}


OWN = ["--gate", "accuracy_drop_pp <= 2", "--gate", "sp2ps.grad-cam >= 0.5"]


@pytest.mark.parametrize("wrong", ["baseline", "candidate"])
def test_a_wrong_twin_does_not_pass_a_gate_of_ones_own(tiny_run, check, edgecheck, tmp_path, wrong):
    file, run = tiny_run / "baseline" / "model.onnx", tmp_path / "run"
    code, out, _ = check(file, file, *OWN, "--out", run, "--format", "json", wrong=[wrong])
    report = json.loads(out)
    assert code == 1
    assert report["statuses"] == {"candidate": "MISSING"}
    assert f"the twin of {wrong} does not compute" in report["verdicts"][1]["reason"]
    (withheld,) = report["withheld"]
    measured = next(r["value"] for r in withheld["readings"] if r["metric"] == "sp2ps.grad-cam")
    assert 0.5 < measured < 1  # it would have passed

    for form in ("terminal", "markdown", "junit"):
        code, text, _ = edgecheck("gate", run, "--format", form)
        assert code == 1
        assert "the twin of" in " ".join(text.split())
        assert text.count(f"{measured:.3f}") == text.count(f"measured {measured:.3f}") > 0, form
    page = (run / "report.html").read_text()
    assert page.count(f"{measured:.3f}") == page.count(f"measured {measured:.3f}") > 0
    assert "<img" not in page

    # The measurement is kept: whoever accepts such a twin says so, and has it judged.
    accept = ["--gate", "parity.max_abs <= 1000", "--gate", "parity.agreement >= 0"]
    code, out, _ = edgecheck("gate", run, *accept, "--out", tmp_path / "accepted", "--format", "json")
    accepted = json.loads(out)
    assert (code, accepted["withheld"], accepted["recommendation"]["variant"]) == (0, [], None)
    assert next(v["actual"] for v in accepted["verdicts"] if v["metric"] == "sp2ps.grad-cam") == measured
    day = date.fromisoformat(report["judged"])
    assert judged(record(accepted), record(report).policy, day) == record(report)


def record(document):
    return from_dict({key: value for key, value in document.items() if key != SEAL}, Report)


def test_a_baseline_that_guesses_passes_no_accuracy_gate(tiny_run, edgecheck):
    file = tiny_run / "baseline" / "model.onnx"
    words = ["--baseline", file, "--candidate", file, "--data", tiny_run / "data.npz", "--time-budget", "0"]

    def verdict_of(*arguments):
        code, out, _ = edgecheck("check", *words, "--gate", "accuracy_drop_pp <= 2", *arguments, "--format", "json")
        verdict = json.loads(out)["verdicts"][0]
        return code, verdict["status"], verdict["actual"], verdict["reason"]

    assert verdict_of()[:3] == (0, "PASS", 0)
    for arguments, cause in (
        (["--limit", "1"], "too few images"),
        (["--range", "-9999,0"], "check preprocessing (range, mean, std)"),
    ):
        *verdict, reason = verdict_of(*arguments)
        assert verdict == [1, "MISSING", 0]
        assert cause in reason
