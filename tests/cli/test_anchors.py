"""The scale of Sp2PS in a whole run, in `check`, and on a device."""

import json
import shutil

import attrs
import numpy as np
import onnx
import pytest

from edgecheck.artefact import Artefact
from edgecheck.config.plan import Preprocessing
from edgecheck.device.bundle import expected
from edgecheck.device.model import files
from edgecheck.device.model.randomize import randomized
from edgecheck.device.runtime.ort import Options
from edgecheck.images import load_npz, take
from edgecheck.pipeline.stage import Desk
from edgecheck.pipeline.stages import anchors as stage
from edgecheck.pipeline.subject import Images
from edgecheck.progress import Silent
from edgecheck.score.cam_file import CamFile, load_cams, save_cams
from edgecheck.score.compare import Scoring, compare_images
from tests.device.bundle import small_run

pytestmark = pytest.mark.usefixtures("files_in_this_process")
PLAIN = Preprocessing(None, (0, 1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return small_run.write(tmp_path_factory.mktemp("anchors"))


@pytest.fixture
def check(folder, edgecheck, tmp_path):
    def run(*more, baseline="a.onnx"):
        words = small_run.command(folder, "--format", "json", "--gate", "agreement >= 0", *more)
        words[words.index(str(folder / "a.onnx"))] = str(folder / baseline)
        words[words.index(str(folder / "run"))] = str(tmp_path / "run")
        _, out, err = edgecheck(*words)
        return json.loads(out), err

    return run


def value(report, metric, variant="candidate", device="host"):
    return next(r for r in report["readings"] if (r["variant"], r["metric"], r["device"]) == (variant, metric, device))


def test_a_run_measures_the_anchors_of_every_method(tiny_report):
    anchors = {one["method"]: one for one in tiny_report["anchors"]}
    assert len(anchors) == len(tiny_report["anchors"]) == 8
    for one in anchors.values():
        assert (one["source"], one["device"]) == ("twin", "host")
        for mark in (one["chance"], one["head"], one["all"]):
            assert 0 <= mark["low"] <= mark["value"] <= mark["high"] <= 1
            assert (mark["n"], mark["reason"]) == (60, "")


def test_chance_is_that_of_the_baselines_maps(tiny_run, tiny_report):
    maps, data = load_cams(tiny_run / "baseline" / "cams.npz"), load_npz(tiny_run / "data.npz")
    order = np.random.default_rng(0).permutation(len(data))
    moved = {method: stack[np.roll(order, -1)] for method, stack in maps.maps.items()}
    there = CamFile({method: stack[order] for method, stack in maps.maps.items()}, maps.logits, maps.classes)
    other = attrs.evolve(there, maps=moved)
    for one in tiny_report["anchors"]:
        method = one["method"]
        scores = compare_images("", method, there.cams(method), other.cams(method), data.labels, Scoring((32, 32)))
        assert one["chance"]["value"] == pytest.approx(scores.sp2ps.mean(), abs=1e-9)


def test_every_sp2ps_has_one_corrected_for_chance(tiny_report):
    chances = {one["method"]: one["chance"]["value"] for one in tiny_report["anchors"]}
    scores = [r for r in tiny_report["readings"] if r["metric"].startswith("sp2ps.")]
    assert {r["variant"] for r in scores} == {"control", "l1-unstructured-0.20", "l1-filters-0.50"}
    for score in scores:
        method = score["metric"].partition(".")[2]
        own = value(tiny_report, f"sp2ps_corrected.{method}", score["variant"])
        for part in ("value", "low", "high"):
            assert own[part] == pytest.approx((score[part] - chances[method]) / (1 - chances[method]))
        assert [own[part] for part in ("n", "source", "note")] == [score["n"], score["source"], ""]


def test_a_gate_takes_the_corrected_score(tiny_run, edgecheck, tmp_path):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    for limit, expected_code in ((">= -5", 0), ("> 1", 1)):
        code, out, _ = edgecheck("gate", run, "--only", "--gate", f"sp2ps_corrected.grad-cam {limit}")
        assert (code, f": Sp2PS corrected grad-cam {limit}\n" in out) == (expected_code, True)
    _, out, _ = edgecheck("gate", run, "--only", "--gate", "sp2ps_corrected.grad-cam >= control - 0.1")
    assert "noise floor" in out or "exit code 0" in out


def test_the_anchors_are_in_every_report(tiny_run):
    shown = (tiny_run / "report.html").read_text()
    assert "The scale of Sp2PS" in shown
    assert 'data-label="chance"' in shown
    assert "| method | noise floor | random head | chance | random weights |" in (tiny_run / "report.md").read_text()


def test_copies_are_explained_and_compared_as_the_baseline_is(folder, tmp_path, monkeypatch):
    """Each of two copies explains every other image, by the class that is asked for."""
    monkeypatch.setattr(stage, "COPIES", 2)
    data, methods = load_npz(folder / "data.npz"), ["grad-cam", "ablation-cam"]
    before = expected.heatmaps(folder / "a.onnx", data, PLAIN, methods, None, Options())
    save_cams(tmp_path / "cams.npz", before)

    def measured(classes):
        asked = stage.MeasureAnchors(
            file=Artefact("", folder / "a.onnx"),
            baseline=Artefact("", tmp_path / "cams.npz"),
            images=Images(Artefact("", folder / "data.npz"), (3, 16, 16)),
            preprocessing=PLAIN,
            methods=methods,
            layer=None,
            classes=classes,
            sam="map",
            seed=7,
            runtime=Options(),
            machine={},
        )
        return asked.compute(Desk(tmp_path, tmp_path, Silent()))

    found = measured("predicted")
    for layers, marks in (("head", found.head), ("all", found.all)):
        scores = dict.fromkeys(methods, 0.0)
        for number in (0, 1):
            copy = randomized(files.load_model(folder / "a.onnx"), layers, (7, number))
            onnx.save(copy, tmp_path / "copy.onnx")
            places = range(number, len(data), 2)
            own = expected.heatmaps(tmp_path / "copy.onnx", take(data, places), PLAIN, methods, None, Options())
            for method in methods:
                maps = own.cams(method)
                theirs = attrs.evolve(maps, maps=before.maps[method][number::2])
                labels = np.zeros(len(maps), np.int64)
                scores[method] += compare_images("", method, theirs, maps, labels, Scoring((16, 16))).sp2ps.mean() / 2
        assert {method: mark.value for method, mark in marks.items()} == pytest.approx(scores)
        assert all((mark.n, mark.reason) == (40, "") for mark in marks.values())
    assert measured("predicted") == found
    assert measured("label") != found != measured("baseline")


def test_what_cannot_be_copied_is_missing_with_the_reason_and_the_run_goes_on(folder, check):
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        folder / "a.onnx", folder / "int8.onnx", weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul"]
    )
    report, _ = check(baseline="int8.onnx")
    assert report["anchors"]
    for one in report["anchors"]:
        assert one["chance"]["value"] is not None
        assert one["head"]["value"] is one["all"]["value"] is None
        assert "integer weights" in one["head"]["reason"]
    assert value(report, "sp2ps_corrected.grad-cam")["value"] is not None


def test_one_image_has_no_chance(check):
    report, _ = check("--limit", "1")
    (one, *_), corrected = report["anchors"], value(report, "sp2ps_corrected.grad-cam")
    assert one["chance"]["value"] is corrected["value"] is None
    assert one["chance"]["reason"] == corrected["note"] != ""
    assert one["head"]["value"] is not None
    assert one["head"]["low"] is None


def test_without_maps_there_is_no_scale_and_the_reason_is_that_of_sp2ps(edgecheck, tmp_path):
    from tests.board_files import write_all

    write_all(tmp_path)
    words = ["--baseline", tmp_path / "a.onnx", "--candidate", tmp_path / "b.onnx", "--data", tmp_path / "data.npz"]
    _, out, _ = edgecheck("check", *words, "--time-budget", "0", "--format", "json", "--gate", "agreement >= 0")
    report = json.loads(out)
    assert report["anchors"] == []
    score, corrected = (value(report, f"{family}.grad-cam") for family in ("sp2ps", "sp2ps_corrected"))
    assert corrected["value"] is None
    assert corrected["note"] == score["note"] != ""


def test_the_warning_about_architectures_states_chance(folder, check, monkeypatch):
    model = small_run.network(folder / "wide.onnx")
    deeper = onnx.load(model)
    deeper.graph.node[1].output[0] = "first"
    deeper.graph.node.insert(2, onnx.helper.make_node("Conv", ["first", "kernel2"], ["second"], pads=[1, 1, 1, 1]))
    deeper.graph.node.insert(3, onnx.helper.make_node("Relu", ["second"], ["maps"]))
    kernel = np.zeros((4, 4, 3, 3), np.float32)
    kernel[range(4), range(4), 1, 1] = 1
    deeper.graph.initializer.append(onnx.numpy_helper.from_array(kernel, "kernel2"))
    onnx.save(deeper, folder / "deeper.onnx")
    report, _ = check("--candidate", str(folder / "deeper.onnx"))
    warnings = [
        one for v in report["variants"] for one in v["warnings"] if one["id"] == "heatmaps-across-architectures"
    ]
    (warning,) = warnings
    assert warning["variant"] == "candidate-2"
    assert warning["fields"]["chances"] == {one["method"]: one["chance"]["value"] for one in report["anchors"]}


def test_a_second_run_measures_nothing_again(folder, edgecheck):
    words = small_run.command(folder)
    edgecheck(*words)
    record = folder / "run" / "baseline" / "anchors.json"
    before = record.stat().st_mtime_ns
    edgecheck(*words)
    assert record.stat().st_mtime_ns == before
