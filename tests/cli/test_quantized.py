"""Quantised variants through the whole job: numbers of the file, heatmaps of the float twin, and words that say so."""

import json

import pytest

from tests.cli.conftest import TINY

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
    path = tmp_path_factory.mktemp("quantised") / "edgecheck.yaml"
    path.write_text(head.replace(", layer-cam, xgrad-cam, hires-cam, score-cam", "") + ROWS + rest)
    return path


@pytest.fixture
def report(config, edgecheck):
    folder = config.parent / "run"
    code, out, err = edgecheck("run", config, "--out", folder, "--format", "json")
    assert code == 0, err
    return json.loads(out)


def value(report, variant, metric):
    return next(r for r in report["readings"] if (r["variant"], r["metric"]) == (variant, metric))


def test_the_file_is_measured_and_the_twin_explained(report, config):
    names = [variant["name"] for variant in report["variants"]]
    pruned, quantised = "l1-filters-0.50", "l1-filters-0.50-int8"

    assert names == ["baseline", "control", "baseline-int8", pruned, quantised, "l1-filters-0.50-fp16"]
    for method in ("grad-cam", "grad-cam++", "ablation-cam"):
        assert value(report, "baseline-int8", f"sp2ps.{method}")["value"] == pytest.approx(1, abs=1e-6)
        assert value(report, quantised, f"sp2ps.{method}") == {
            **value(report, pruned, f"sp2ps.{method}"),
            "variant": quantised,
        }
    assert value(report, quantised, "size.bytes")["value"] < value(report, pruned, "size.bytes")["value"]
    assert value(report, quantised, "macs")["value"] == value(report, pruned, "macs")["value"]
    assert value(report, quantised, "parity.max_abs")["value"] < 1e-3
    assert "of the float file" in value(report, quantised, "parity.max_abs")["note"]
    assert 0.5 < value(report, quantised, "quantization.agreement")["value"] <= 1
    record = next(v for v in report["variants"] if v["name"] == quantised)
    assert any("heatmaps, Sp2PS and parity those of the float twin" in text for text in record["warnings"])
    assert record["quantization"] == "int8"


def test_which_images_calibrated_is_kept(report, config):
    kept = json.loads((config.parent / "run" / "baseline-int8" / "quantize.json").read_text())

    assert len(json.dumps(kept).split("places")[1].split("]")[0].split(",")) == 32


@pytest.mark.parametrize(
    ("written", "instead", "says"),
    [
        ("images: 32", "images: 97", "97 images are asked for, but the training split has 96"),
        ("quantization: int8", "quantization: int7", "int8-dynamic"),  # the known ones are listed
    ],
)
def test_what_cannot_be_quantised_so_is_refused(config, edgecheck, tmp_path, written, instead, says):
    odd = tmp_path / "edgecheck.yaml"
    odd.write_text(config.read_text().replace(written, instead))

    code, _, err = edgecheck("run", odd, "--out", tmp_path / "run")

    assert code == 2
    assert says in err
