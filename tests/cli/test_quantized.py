"""Quantized variants through the whole job: what was measured on their file, and notes of what was not."""

import base64
import json

import cv2
import numpy as np
import pytest

from edgecheck.attribution.table import default_methods
from edgecheck.cli import main
from edgecheck.pipeline.picture_file import PICTURES, load_pictures
from edgecheck.score import cam
from edgecheck.score.cam_file import load_cams
from tests.cli.conftest import TINY

pytestmark = pytest.mark.usefixtures("files_here_and_there")
ROWS = """\
variants:
  - quantization: int8
  - criterion: l1
    structure: filters
    rate: 0.5
    quantization: [none, int8, fp16]
quantize:
  images: 32
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory, tiny_config):
    weights = tiny_config.read_text().split("weights: ")[1].splitlines()[0]
    text = TINY.format(weights=weights)
    head, rest = text.split("variants:")[0], "finetune:" + text.split("finetune:")[1]
    path = tmp_path_factory.mktemp("quantized") / "edgecheck.yaml"
    path.write_text(head.replace(", layer-cam, xgrad-cam, hires-cam, score-cam, recipro-cam", "") + ROWS + rest)
    return path


@pytest.fixture(scope="module")
def report(config):
    folder = config.parent / "run"
    with pytest.raises(SystemExit) as stop:
        main(["run", str(config), "--out", str(folder), "--format", "json"])
    assert stop.value.code == 0  # one variant that passes is enough, and the int8 file has heatmaps of its own
    return json.loads((folder / "report.json").read_text())


def value(report, variant, metric):
    return next((r for r in report["readings"] if (r["variant"], r["metric"]) == (variant, metric)), None)


def test_what_is_shown_was_measured_on_the_file(report):
    names = [variant["name"] for variant in report["variants"]]
    pruned, quantized = "l1-filters-0.50", "l1-filters-0.50-int8"

    assert names == ["baseline", "control", "baseline-int8", pruned, quantized, "l1-filters-0.50-fp16"]
    assert value(report, quantized, "size.bytes")["value"] < value(report, pruned, "size.bytes")["value"]
    assert value(report, quantized, "macs")["value"] == value(report, pruned, "macs")["value"]
    assert 0.5 < value(report, quantized, "quantization.agreement")["value"] <= 1
    record = next(v for v in report["variants"] if v["name"] == quantized)
    assert (record["steps"][-1]["scheme"], record["twin"]) == ("int8", None)
    sources = {s["variant"]: s["source"] for s in report["similarities"]}
    assert sources == {
        **dict.fromkeys(["control", pruned], "twin"),
        **dict.fromkeys(["baseline-int8", quantized, "l1-filters-0.50-fp16"], "artefact"),
    }


@pytest.mark.parametrize("name", ["baseline-int8", "l1-filters-0.50-int8", "l1-filters-0.50-fp16"])
def test_its_heatmaps_are_its_own_with_the_figure_of_the_twin_beside(report, name):
    source, _, kind = name.rpartition("-")
    for method in default_methods():
        own, alone = (value(report, name, f"{metric}.{method}") for metric in ("sp2ps", "fidelity"))
        assert own["source"] == alone["source"] == "artefact"
        theirs = value(report, source, f"sp2ps.{method}")
        if theirs is None:  # of the baseline: both compare the same maps, but for images of which the class changed
            assert own["note"] == ""
            assert alone["value"] >= own["value"] - 0.01
        else:
            assert own["note"] == f"the float file {source} has {theirs['value']:.3f} (by the twin)"
            assert own["value"] == pytest.approx(theirs["value"], abs=0.05)
        assert alone["value"] > (0.999 if kind == "fp16" else 0.9)
    for metric in ("parity.max_abs", "parity.agreement"):
        assert value(report, name, metric)["value"] is None
        assert value(report, name, metric)["note"].startswith(f"an {kind} file has no twin")
    assert value(report, name, "params")["value"] is None


def test_nothing_is_moved_by_a_quantization_that_there_was_not(report):
    reading = value(report, "l1-filters-0.50", "fidelity.grad-cam")
    assert (reading["value"], reading["note"]) == (1.0, "not quantized: it is its own float file")


def test_its_pictures_are_those_of_the_file(report, config):
    run = config.parent / "run"
    names = load_pictures(run / "baseline-int8" / PICTURES)
    page = (run / "report.html").read_text()
    assert all(base64.b64encode(content).decode() in page for content in names.values())
    maps = load_cams(run / "baseline-int8" / "artefact-cams.npz").maps["grad-cam"]
    variant = next(one for one in report["variants"] if one["name"] == "baseline-int8")
    for shown in variant["gallery"]["shown"]:
        content = names[f"grad-cam-{shown['index']:05d}-variant.webp"]
        drawn = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
        expected = cam.heatmaps(maps[shown["index"]][None], drawn.shape)[0]
        assert np.abs(drawn - 255 * expected).max() <= 0.5 + 1e-9


def test_which_images_calibrated_is_kept(report, config):
    kept = json.loads((config.parent / "run" / "baseline-int8" / "quantize-0.json").read_text())

    assert len(json.dumps(kept).split("places")[1].split("]")[0].split(",")) == 32


@pytest.mark.parametrize(
    ("written", "instead", "says"),
    [
        ("images: 32", "images: 97", "97 images are requested, but the training split has 96"),
        ("quantization: int8", "quantization: int7", "int8-dynamic"),  # the known ones are listed
    ],
)
def test_what_cannot_be_quantized_so_is_refused(config, edgecheck, tmp_path, written, instead, says):
    odd = tmp_path / "edgecheck.yaml"
    odd.write_text(config.read_text().replace(written, instead))

    code, _, err = edgecheck("run", odd, "--out", tmp_path / "run")

    assert code == 2
    assert says in err
