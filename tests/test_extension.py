"""Each kind of extension, in one small file outside the package, takes part in a run that names it under `plugins:`."""

import json
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from importlib import resources
from io import StringIO

import onnx
import pytest

from edgecheck.cli import main
from tests.plugged import no_plugins_yet

pytestmark = pytest.mark.slow
PLUGINS = {
    "criterion": """
from edgecheck.pruning.criteria import CRITERIA, Importance
from edgecheck.registry import register


def weights(inputs, weights):
    return {name: -weight.detach().abs() for name, weight in weights.items()}


register(CRITERIA, "large")(Importance("minus the magnitude of a weight", "none", weights=weights))
""",
    "structure": """
from edgecheck.lab.prune.structures.masking import masked
from edgecheck.pruning.structures import STRUCTURES, Structure
from edgecheck.registry import register


def one_of_each_filter(state, step, scores, example):
    lowest = {name: score.flatten(1).argmin(1, keepdim=True) for name, score in scores.items()}
    kept = {name: score.flatten(1).isfinite().scatter(1, lowest[name], False) for name, score in scores.items()}
    return masked(state, {name: mask.reshape(scores[name].shape) for name, mask in kept.items()})


register(STRUCTURES, "one")(
    Structure("one weight of each filter is set to zero", "none", "weights", one_of_each_filter)
)
""",
    "method": """
from edgecheck.attribution.methods import register_method
from edgecheck.attribution.table import Method

register_method(Method("mean-map", "Mean map", {"activations"}, "none"), lambda evidence: evidence.activations.mean(1))
""",
    "metric": """
from edgecheck.metrics import Metric
from edgecheck.score.predictions import register_metric

register_metric(
    Metric("top_logit", "logit", "higher", "mean of the largest logit", "none"),
    lambda predictions: predictions.logits.max(axis=1).mean(),
)
""",
    "corruption": """
from edgecheck.corruption.applying import register_corruption
from edgecheck.corruption.table import Kind


def negative(image, share, random):
    return (1 - share) * image + share * (255.0 - image)


strengths = (0.1, 0.2, 0.3, 0.4, 0.9)
register_corruption("negative", Kind("a negative", "share of it", strengths, strengths, negative))
""",
    "source": """
from contextlib import contextmanager

import numpy as np
import onnxruntime

from edgecheck.attribution.evidence import Evidence
from edgecheck.attribution.source import SOURCES, Answer
from edgecheck.registry import register


class Pixels:
    network, device, target_layer, largest_batch, warnings = "file", "cpu", "pixels", None, ()
    gives = frozenset(["activations"])
    lacks: dict = {}

    def __init__(self, file):
        self.session = onnxruntime.InferenceSession(str(file))

    def answer(self, inputs):
        (logits,) = self.session.run(None, {self.session.get_inputs()[0].name: inputs})
        picked = lambda classes: np.take_along_axis(logits, classes[:, None], 1)[:, 0]
        return Answer(logits, lambda classes: Evidence(inputs, picked(classes), inputs.shape[2:]))


@register(SOURCES, "pixels")
@contextmanager
def open_file(subject, example):
    yield Pixels(subject.onnx_file)
""",
    "executor": """
from pathlib import Path

from edgecheck.pipeline.executors import EXECUTORS
from edgecheck.pipeline.executors.serial import Serial
from edgecheck.registry import register


class Logged(Serial):
    def submit(self, job):
        with open(job.run_folder / "jobs.log", "a") as log:
            log.write(f"{job.work.variant} {job.work.stage.name}\\n")
        return super().submit(job)


register(EXECUTORS, "logged")(lambda argument, progress: Logged(progress))
""",
    "format": """
from edgecheck.registry import register
from edgecheck.report import RENDERERS

register(RENDERERS, "names")(lambda report: " ".join(variant.name for variant in report.variants))
""",
    "step": """
import torch
from attrs import frozen

from edgecheck.registry import register
from edgecheck.steps import STEPS, NetworkStep


@register(STEPS, "clip")
@frozen
class Clip(NetworkStep):
    kind = "clip"
    limit: float

    def change(self, model):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.clamp_(-self.limit, self.limit)
        return model
""",
}

PLUGINS["file-step"] = """
import onnx
from attrs import frozen

from edgecheck.registry import register
from edgecheck.steps import STEPS, FileStep


@register(STEPS, "rename")
@frozen
class Rename(FileStep):
    kind = "rename"
    graph: str

    def convert(self, source, out):
        model = onnx.load(source)
        model.graph.name = self.graph
        onnx.save(model, out)
"""

CONFIG = """
plugins: [{plugins}]
model: {{factory: 'edgecheck:digits_cnn', weights: {weights}}}
data: {{dataset: digits, limit: 60, train_limit: 64}}
explain: {{methods: [{methods}], pictures: 1, source: {source}}}
corruption: [negative-1]
variants:
  - {{criterion: large, structure: one, rate: 0.5}}
  - {{clip: {{limit: 0.1}}}}
  - {{rename: {{graph: small}}}}
finetune: {{epochs: 1}}
measure: {{latency_budget_s: 0, rss: false}}
gate: {{require: any, criteria: [top_logit >= 0, {gate} >= 0]}}
"""
NAMES = "baseline control large-one-0.50 baseline-clip-0.1 baseline-rename-small"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with the plugins and two configurations that use them."""
    folder = tmp_path_factory.mktemp("extension")
    for name, source in PLUGINS.items():
        (folder / f"{name}.py").write_text(source)
    weights = resources.files("edgecheck.models") / "digits_cnn.safetensors"
    common = {"plugins": ", ".join(f"{name}.py" for name in PLUGINS), "weights": weights}
    text = CONFIG.format(**common, methods="grad-cam, mean-map", source="twin", gate="sp2ps.mean-map")
    (folder / "edgecheck.yaml").write_text(text)
    text = CONFIG.format(**common, methods="mean-map", source="pixels", gate="sp2ps.mean-map")
    (folder / "pixels.yaml").write_text(text)
    return folder


def edgecheck(*arguments):
    """Run a command that exits with 0; return what it prints."""
    with no_plugins_yet(), redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        assert not stop.value.code, err.getvalue()
    return out.getvalue()


def apart(*arguments):
    """Run such a command in a process of its own, in which nothing but its plugins has been imported."""
    command = [sys.executable, "-P", "-m", "edgecheck", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def report_of(folder):
    return json.loads((folder / "report.json").read_text())


def readings_of(folder):
    return {(r["variant"], r["metric"]): r["value"] for r in report_of(folder)["readings"]}


def words(files, out):
    return ["run", files / "edgecheck.yaml", "--out", out, "--executor", "logged", "--format", "names"]


@pytest.fixture(scope="module")
def run(files):
    assert edgecheck(*words(files, files / "run")).strip() == NAMES
    return files / "run"


@pytest.fixture
def copied(files, run, tmp_path):
    """A copy of the folder with the finished run, to be changed."""
    return shutil.copytree(files, tmp_path / "copied")


def check_all_kinds(run):
    report, readings = report_of(run), readings_of(run)
    assert [v["name"] for v in report["variants"]] == NAMES.split()
    assert report["variants"][3]["steps"] == [{"step": "clip", "limit": 0.1}]
    assert all(readings[name, "top_logit"] > 0 for name in NAMES.split())
    assert report["variants"][4]["steps"] == [{"step": "rename", "graph": "small"}]
    assert onnx.load(run / "baseline-rename-small" / "model.onnx").graph.name == "small"
    assert readings["baseline-rename-small", "agreement"] == 1
    assert 0 < readings["baseline-clip-0.1", "sp2ps.mean-map"] < 1
    assert readings["baseline-rename-small", "excess_error_pp.negative-1"] == 0
    assert {s["method"] for s in report["similarities"]} == {"grad-cam", "mean-map"}
    assert {"large-one-0.50 prune-0", "baseline-clip-0.1 clip-0"} <= set((run / "jobs.log").read_text().splitlines())


def test_all_kinds_take_part(run):
    check_all_kinds(run)


@pytest.mark.thorough
def test_all_kinds_take_part_in_a_process_of_its_own(files):
    assert apart(*words(files, files / "apart")).strip() == NAMES
    check_all_kinds(files / "apart")


def test_processes_give_the_readings_of_one(run, files, tmp_path):
    edgecheck("run", files / "edgecheck.yaml", "--out", tmp_path, "--executor", "processes:2")
    assert readings_of(tmp_path) == readings_of(run)


def test_a_changed_plugin_runs_the_stages_that_use_it_again(copied):
    step, run = copied / "step.py", copied / "run"
    step.write_text(PLUGINS["step"].replace("-self.limit,", "-self.limit / 2,"))
    (run / "jobs.log").unlink()
    edgecheck("run", copied / "edgecheck.yaml", "--out", run, "--executor", "logged")
    again = {line.split()[0] for line in (run / "jobs.log").read_text().splitlines()}
    assert again == {"baseline-clip-0.1"}


def test_a_map_source_explains_files(copied):
    """In a finished folder, so that only the heatmaps are new."""
    run = copied / "run"
    edgecheck("run", copied / "pixels.yaml", "--out", run)
    report = report_of(run)
    assert report["subject"]["target_layer"] == "pixels"
    # The pixels are those of the same images, whatever the network.
    assert readings_of(run)["baseline-clip-0.1", "sp2ps.mean-map"] == pytest.approx(1)


def test_a_saved_run_is_judged_with_the_plugins_that_define_its_metrics(run, files):
    plugins = [word for name in ("method", "metric", "corruption") for word in ("--plugin", files / f"{name}.py")]
    apart("gate", run, *plugins)
