"""Variants by a criterion that looks at images, in steps, of two in four, and two that come out the same."""

import json

import numpy as np
import pytest

from edgecheck.images import load_npz
from tests.cli.conftest import TINY

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("files_in_this_process")]
TAYLOR, SAME = "taylor-filters-0.50-by8", "taylor-filters-0.45-by8"
ROWS = """\
variants:
  - criterion: taylor
    structure: filters
    rate: [0.5, 0.45]
    round_to: 8
  - criterion: l1
    structure: "2:4"
  - criterion: l1
    structure: filters
    rate: 0.5
    steps: 2
  - criterion: l1
    structure: unstructured
    rate: 0.2
    quantization: fp16
  - criterion: l2
    structure: unstructured
    rate: 0.2
  - criterion: l1
    structure: filters
    rate: 0.003
controls: 2
prune:
  images: 32
"""
STEPS = "l1-filters-0.50-2steps"
# Among single weights l2 has the order of l1, of which so far only the fp16 file was asked for.
HALF, FLOAT, SECOND = "l1-unstructured-0.20-fp16", "l1-unstructured-0.20", "l2-unstructured-0.20"
NOTHING = "l1-filters-0.003"
NAMES = ["baseline", "control", "control-seed1", TAYLOR, "l1-2of4", STEPS, HALF, SECOND, NOTHING]


@pytest.fixture(scope="module")
def config(tmp_path_factory, tiny_config):
    weights = tiny_config.read_text().split("weights: ")[1].splitlines()[0]
    text = TINY.format(weights=weights)
    head, rest = text.split("variants:")[0], "finetune:" + text.split("finetune:")[1]
    path = tmp_path_factory.mktemp("pruning") / "edgecheck.yaml"
    path.write_text(
        head.replace(", grad-cam++, ablation-cam, layer-cam, xgrad-cam, hires-cam, score-cam, recipro-cam", "")
        + ROWS
        + rest
    )
    return path


@pytest.fixture(scope="module")
def folder(config):
    from edgecheck.cli import main

    out = config.parent / "run"
    with pytest.raises(SystemExit) as stop:
        main(["run", str(config), "--out", str(out), "--format", "json"])
    assert stop.value.code == 0
    return out


@pytest.fixture(scope="module")
def report(folder):
    return json.loads((folder / "report.json").read_text())


def stages(folder):
    """All that a stage wrote, and when."""
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.glob("*/*") if path.parent != folder
    }


def record(report, name):
    return next(variant for variant in report["variants"] if variant["name"] == name)


def repeated(report, name):
    warnings = record(report, name)["warnings"]
    return [warning["fields"]["repeated"] for warning in warnings if warning["id"] == "variant-repeated"]


def kept(folder, variant, stage):
    return json.loads((folder / variant / f"{stage}.json").read_text())["result"]


def test_every_variant_is_there_and_one_that_came_out_the_same_is_said_once(report):
    assert [variant["name"] for variant in report["variants"]] == NAMES
    assert [variant["role"] for variant in report["variants"]] == ["baseline", *["control"] * 2, *["candidate"] * 6]
    assert {verdict["variant"] for verdict in report["verdicts"]} == set(NAMES[3:])
    told = {variant["name"]: repeated(report, variant["name"]) for variant in report["variants"]}
    assert [name for name, same in told.items() if SAME in same] == [TAYLOR]
    assert told[TAYLOR] == [SAME]
    assert record(report, TAYLOR)["steps"][0]["round_to"] == 8
    assert [step["step"] for step in record(report, STEPS)["steps"]] == ["prune", "finetune"] * 2
    assert [step.get("share") for step in record(report, STEPS)["steps"]] == [0.5, None, 1, None]


def test_a_second_run_says_the_same_and_does_nothing_again(config, folder, report, edgecheck, monkeypatch):
    from edgecheck.lab import export, prune, train

    def refuse(*_arguments, **_options):
        raise AssertionError("done again")

    for module, name in ((train, "train"), (export, "export"), (prune, "prune"), (prune, "rank")):
        monkeypatch.setattr(module, name, refuse)
    before = stages(folder)
    code, out, _ = edgecheck("run", config, "--out", folder, "--format", "json")
    assert code == 0
    assert json.loads(out) == report
    assert stages(folder) == before


def test_the_images_that_ranked_are_kept(folder):
    for name in (TAYLOR, SAME):
        images = kept(folder, name, "prune-0")["seen"]
        assert len(images["places"]) == len(set(images["places"])) == 32
        assert images["places"] == sorted(images["places"])
        assert set(images["places"]) <= set(range(96))  # train_limit
        assert len(images["sha256"]) == 64
    assert kept(folder, "l1-2of4", "prune-0")["seen"] is None
    assert not (folder / SAME / "model.onnx").exists()


def test_channels_are_multiples_of_8(folder):
    from safetensors.numpy import load_file

    weights = load_file(folder / TAYLOR / "weights.safetensors")
    assert [len(weights[f"features.conv{n}.weight"]) for n in (1, 2, 3, 4)] == [8, 16, 32, 32]


def test_two_of_four_are_zero_in_the_file(folder, report):
    from safetensors.numpy import load_file

    weights = load_file(folder / "l1-2of4" / "weights.safetensors")
    for name in ("features.conv2.weight", "features.conv4.weight", "classifier.weight"):
        groups = np.moveaxis(weights[name], 1, -1).reshape(-1, 4)
        assert ((groups != 0).sum(1) == 2).all()  # fine-tuning left it so
    assert (weights["features.conv1.weight"] != 0).all()
    assert {"layers": ["features.conv1"], "multiple": 4} in [w["fields"] for w in record(report, "l1-2of4")["warnings"]]


def test_steps_reach_the_rate(folder, report):
    from safetensors.numpy import load_file

    weights = load_file(folder / STEPS / "weights.safetensors")
    assert [len(weights[f"features.conv{n}.weight"]) for n in (1, 2, 3, 4)] == [8, 16, 32, 32]
    assert record(report, STEPS)["effective_rate"] == 0.5
    losses = [kept(folder, STEPS, "finetune-1")["losses"], kept(folder, STEPS, "finetune-3")["losses"]]
    assert [len(epochs) for epochs in losses] == [1, 1]


def test_what_comes_out_as_the_float_of_a_quantized_variant_is_examined_and_not_trained_again(folder, report):
    assert any(r["variant"] == SECOND and r["metric"] == "accuracy" and r["value"] for r in report["readings"])
    first, second = (json.loads((folder / name / "finetune-1.json").read_text()) for name in (FLOAT, SECOND))
    assert first == second  # a copy


def test_a_candidate_that_loses_nothing_is_missing(report):
    assert report["statuses"][NOTHING] == "MISSING"
    (failed,) = [one for one in record(report, NOTHING)["warnings"] if one["id"] == "variant-failed"]
    assert "this rate removes nothing" in failed["fields"]["reason"]


def test_controls_differ_by_their_seed_alone(folder):
    first, second = (kept(folder, name, "finetune-0")["losses"] for name in NAMES[1:3])
    assert len(first) == len(second) == 1
    assert first != second
    assert first == pytest.approx(second, rel=0.5)


def test_the_files_follow_their_twins(folder, report):
    found = {r["variant"]: r["value"] for r in report["readings"] if r["metric"] == "parity.max_abs"}
    assert list(found) == NAMES
    quantized = {
        variant["name"]
        for variant in report["variants"]
        if any(step["step"] == "quantize" for step in variant["steps"])
    }
    assert {name for name, value in found.items() if value is None} == {NOTHING, *quantized}
    limits = [value for value in found.values() if value is not None]
    assert max(limits) < 1e-3
    assert len(load_npz(folder / "data.npz")) == 60


@pytest.mark.parametrize(
    ("written", "instead", "says"),
    [
        ('    structure: "2:4"\n', '    structure: "2:4"\n    steps: 2\n', "2:4 has no rates between"),
        ("criterion: taylor", "criterion: hrnk", "did you mean 'hrank'"),
        ("    structure: filters\n", "    structure: unstructured\n", "round_to counts channels"),
        (
            'criterion: l1\n    structure: "2:4"',
            'criterion: hrank\n    structure: "2:4"',
            "hrank cannot rank single weights",
        ),
    ],
)
def test_what_cannot_be_pruned_so_is_refused(config, refused, tmp_path, written, instead, says):
    odd = tmp_path / "edgecheck.yaml"
    text = config.read_text()
    assert written in text
    odd.write_text(text.replace(written, instead))
    assert says in refused("run", odd, "--out", tmp_path / "run")


def test_a_criterion_that_does_not_fit_the_network_is_refused_before_training(config, refused, tmp_path):
    odd = tmp_path / "edgecheck.yaml"
    net = tmp_path / "net.py"
    net.write_text(
        "from torch import nn\n\n\ndef net():\n"
        "    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(),\n"
        "                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10))\n"
    )
    text = config.read_text().replace("criterion: taylor", "criterion: bn-scale")
    lines = [line for line in text.splitlines() if "weights: " not in line]
    odd.write_text("\n".join(lines).replace("edgecheck:digits_cnn", f"{net}:net"))
    assert "criterion bn-scale: Sequential has no BatchNorm" in refused("run", odd, "--out", tmp_path / "run")
    assert not (tmp_path / "run" / "control").exists()
