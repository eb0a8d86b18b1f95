"""Quantized variants through the whole job: what was measured on their file, and notes of what was not."""

import json

import pytest

from edgecheck.attribution.table import default_methods
from edgecheck.cli import main
from edgecheck.records import Reading, from_dict
from edgecheck.report.format import format_reading
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
    path = tmp_path_factory.mktemp("quantized") / "edgecheck.yaml"
    path.write_text(head.replace(", layer-cam, xgrad-cam, hires-cam, score-cam", "") + ROWS + rest)
    return path


@pytest.fixture(scope="module")
def report(config):
    folder = config.parent / "run"
    with pytest.raises(SystemExit) as stop:
        main(["run", str(config), "--out", str(folder), "--format", "json"])
    assert stop.value.code == 1  # half the filters are too many for the float file, and the others show no heatmaps
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
    assert (record["steps"][-1]["scheme"], record["twin"], record["pictures"]) == ("int8", None, [])
    assert "quantized-without-heatmaps" in [warning["id"] for warning in record["warnings"]]
    assert {s["variant"] for s in report["similarities"]} == {"control", pruned}


@pytest.mark.parametrize("name", ["baseline-int8", "l1-filters-0.50-int8", "l1-filters-0.50-fp16"])
def test_what_was_not_is_missing_with_the_figure_of_the_float_source_as_a_note(report, name):
    source, _, kind = name.rpartition("-")
    scores = [f"{score}.{method}" for score in ("sp2ps", "pe_like") for method in default_methods()]
    for metric in (*scores, "cam.degenerate_share", "parity.max_abs", "parity.agreement", "params"):
        found = value(report, name, metric)
        assert found["value"] is None
        assert found["note"].startswith(f"an {kind} file has no twin")
        assert "gate accuracy_drop_pp and agreement instead" in found["note"]
        theirs = value(report, source, metric)
        if theirs is None:  # the baseline is not compared with itself
            assert found["note"].endswith("it was quantized from baseline")
        else:
            figure = format_reading(from_dict(theirs, Reading))
            assert found["note"].endswith(f"it was quantized from {source}, which has {figure}")


def test_they_do_not_pass_by_the_heatmaps_of_others(report, config, edgecheck):
    run = config.parent / "run"
    assert {name: status for name, status in report["statuses"].items() if "8" in name or "16" in name} == {
        "baseline-int8": "MISSING",
        "l1-filters-0.50-int8": "MISSING",
        "l1-filters-0.50-fp16": "MISSING",
    }
    assert report["recommendation"]["variant"] in (None, "l1-filters-0.50")
    junit = edgecheck("gate", run, "--format", "junit")[1]
    assert junit.count("MISSING sp2ps.grad-cam, limit") == 3
    page = (run / "report.html").read_text().split('id="details"')[1]
    details = page.split('<span class="name">baseline-int8</span>')[1].split("</details>")[0]
    assert "<img" not in details
    assert "Likeness" not in details
    assert "it was quantized from baseline" in details


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
