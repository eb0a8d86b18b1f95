"""Recipes of fine-tuning from the configuration to the report, and what is refused before any work is done."""

import json

import pytest

from edgecheck.cli import main
from edgecheck.pipeline import saved
from edgecheck.report import markdown, terminal
from edgecheck.report.series import series
from tests.cli.conftest import TINY

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("files_in_this_process")]

ROWS = """\
recipes:
  again: {epochs: 0, recalibrate_batchnorm: 64}
variants:
  - {criterion: l1, structure: unstructured, rate: 0.6, recipe: [none, paper, preserve, again]}
"""
L1 = "l1-unstructured-0.60"
VARIANTS = [f"{L1}-none", L1, f"{L1}-preserve", f"{L1}-again"]
CONTROLS = ["control", "control-none", "control-preserve", "control-again"]


def text_of(tiny_config):
    text = TINY.format(weights=tiny_config.read_text().split("weights: ")[1].splitlines()[0])
    head, rest = text.split("variants:")[0], "finetune:" + text.split("finetune:")[1]
    methods = ", grad-cam++, ablation-cam, layer-cam, xgrad-cam, hires-cam, score-cam, recipro-cam"
    head, rest = head.replace(methods, ", ablation-cam"), rest.replace("latency_budget_s: 0.02", "latency_budget_s: 0")
    return head + ROWS + rest.replace("    - latency.ratio <= 100\n", "")


@pytest.fixture(scope="module")
def config(tmp_path_factory, tiny_config):
    path = tmp_path_factory.mktemp("recipes") / "edgecheck.yaml"
    path.write_text(text_of(tiny_config))
    return path


def run(config, folder, *more, code=0):
    with pytest.raises(SystemExit) as stop:
        main(["run", str(config), "--out", str(folder), "--format", "json", *more])
    assert stop.value.code == code
    return json.loads((folder / "report.json").read_text())


@pytest.fixture(scope="module")
def report(config):
    return run(config, config.parent / "run")


def readings(report):
    return {(r["variant"], r["metric"]): r["value"] for r in report["readings"]}


def steps_of(report, name):
    return next(variant for variant in report["variants"] if variant["name"] == name)["steps"]


def test_each_recipe_has_its_variants_and_its_control(report):
    assert [variant["name"] for variant in report["variants"]] == ["baseline", *CONTROLS, *VARIANTS]
    values = readings(report)
    # With itself the baseline is as similar as can be, whatever is measured.
    assert values["control-none", "sp2ps.grad-cam"] == values["control-none", "sp2ps.ablation-cam"] == 1
    assert values["control-none", "accuracy_drop_pp"] == 0
    assert values["control-again", "sp2ps.grad-cam"] < 1
    assert len({values[name, "sp2ps.grad-cam"] for name in VARIANTS}) == 4  # four different networks
    assert [step["step"] for step in steps_of(report, f"{L1}-again")] == ["prune", "recalibrate"]


def test_the_record_says_which_map_was_trained_and_the_gate_asks_for_another(report):
    (step,) = steps_of(report, "control-preserve")
    assert step["recipe"]["preserve"]["method"] == "grad-cam"
    by_variant = {v["variant"]: v for v in report["verdicts"] if v["metric"] == "sp2ps.grad-cam"}
    assert by_variant[f"{L1}-preserve"]["status"] == "MISSING"
    assert by_variant[f"{L1}-preserve"]["actual"] == readings(report)[f"{L1}-preserve", "sp2ps.grad-cam"]
    assert by_variant[L1]["status"] != "MISSING"
    (note,) = [one for one in report["warnings"] if one["id"] == "gate-map-trained"]
    assert note["fields"] == {"method": "grad-cam", "variants": ["control-preserve", f"{L1}-preserve"]}


def test_a_saved_run_is_judged_again_with_an_unseen_map(report, config, edgecheck):
    words = ["--gate", "sp2ps.grad-cam >= 0.1", "--gate", "sp2ps.ablation-cam >= control - 1"]
    code, out, _ = edgecheck("gate", config.parent / "run", *words, "--format", "json")
    assert code == 0
    judged = json.loads(out)
    assert set(judged["statuses"].values()) == {"PASS"}
    limits = {v["variant"]: v["limit"] for v in judged["verdicts"] if v["metric"] == "sp2ps.ablation-cam"}
    for name, control in zip(VARIANTS, ["control-none", "control", "control-preserve", "control-again"], strict=True):
        assert limits[name] == pytest.approx(readings(report)[control, "sp2ps.ablation-cam"] - 1)


def test_every_format_tells_both_maps_and_which_was_trained(report, config, edgecheck):
    edgecheck("report", config.parent / "run")
    saved_run = saved.read(config.parent / "run")
    for shown in (terminal.render(saved_run, verbose=True), markdown.render(saved_run)):
        told = " ".join(shown.split())
        assert "trained to keep the grad-cam maps" in told
        assert "(twin, trained)" in told
    page = (config.parent / "run" / "report.html").read_text()
    assert "grad-cam maps kept, weight" in page
    assert "BatchNorm statistics of 64 training images" in page


def test_a_second_run_computes_nothing_and_processes_give_the_same(report, config):
    again = run(config, config.parent / "run")
    assert readings(again) == readings(report)
    assert again["seconds"] == report["seconds"]
    others = run(config, config.parent / "processes", "--executor", "processes:2")
    assert readings(others) == readings(report)


def trainings(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("finetune-*.json")}


def test_a_recipe_more_trains_its_own_variants_alone(report, config):
    before = trainings(config.parent / "run")
    path = config.with_name("weight.yaml")
    path.write_text(config.read_text().replace("recipes:\n", "recipes:\n  heavy: {preserve: {weight: 50}}\n"))
    path.write_text(path.read_text().replace("preserve, again]", "preserve, again, heavy]"))
    run(path, config.parent / "run")
    after = trainings(config.parent / "run")
    assert {path for path in before if before[path] != after[path]} == set()
    assert {path.parent.name for path in after.keys() - before.keys()} == {"control-heavy", f"{L1}-heavy"}


def test_series_are_told_apart_by_recipe(report):
    from edgecheck.records import Report, from_dict

    content = {name: value for name, value in report.items() if name != "seal"}
    labels = [one.label for one in series(from_dict(content, Report))]
    assert labels == [
        "l1, unstructured (global), recipe none",
        "l1, unstructured (global)",
        "l1, unstructured (global), recipe preserve",
        "l1, unstructured (global), recipe again",
    ]


@pytest.mark.usefixtures("report")  # whose stages it takes over
def test_sweep_takes_recipes(config, edgecheck):
    words = ["--criterion", "l1", "--rate", "0.6", "--recipe", "none,preserve"]
    folder = config.parent / "sweep"
    code, _, told = edgecheck("sweep", config, *words, "--out", folder, "--reuse", config.parent / "run")
    assert code == 0, told
    report = json.loads((folder / "report.json").read_text())
    names = ["baseline", "control-none", "control-preserve", f"{L1}-none", f"{L1}-preserve"]
    assert [variant["name"] for variant in report["variants"]] == names
    page = (folder / "sweep.md").read_text()
    assert "recipe preserve" in page
    assert "--recipe none,preserve" in page


NET = """
from torch import nn

def flat():
    return nn.Sequential(nn.Flatten(), nn.Linear(1024, 10))

def plain():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10))
"""


@pytest.mark.parametrize(
    ("factory", "recipe", "explain", "says"),
    [
        ("flat", "preserve", "methods: []", "no convolution before its classifier with a map larger than 1x1"),
        ("plain", "again", "pictures: 0", "recalibrate_batchnorm: Sequential has no BatchNorm with running statistics"),
        ("plain", "preserve", "target_layer: '2'", "target layer 2 of Sequential gives maps of one pixel"),
        (
            "plain",
            "preserve",
            "engine: grad-cam",
            "recipes with preserve train on the heatmaps of edgecheck's own engine",
        ),
        ("plain", "presrve", "pictures: 0", "unknown recipe 'presrve', did you mean 'preserve'?"),
    ],
)
def test_refused_in_one_line_before_any_work(tiny_config, tmp_path, refused, factory, recipe, explain, says):
    (tmp_path / "net.py").write_text(NET)
    text = text_of(tiny_config).replace("[none, paper, preserve, again]", recipe)
    weights = next(line for line in text.splitlines() if "weights:" in line)
    text = text.replace("edgecheck:digits_cnn", f"net.py:{factory}").replace(weights + "\n", "")
    methods = next(line for line in text.splitlines() if "methods:" in line)
    text = text.replace(methods + "\n  pictures: 1", f"  {explain}")
    (tmp_path / "edgecheck.yaml").write_text(text)
    assert says in refused("run", tmp_path / "edgecheck.yaml", "--out", tmp_path / "out")
    assert not list((tmp_path / "out").rglob("finetune-*"))
    assert not list((tmp_path / "out").rglob("model.onnx"))
