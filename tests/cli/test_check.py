"""Two ONNX files made elsewhere."""

import json
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgecheck.attribution.table import default_methods
from edgecheck.images import ImageSet, save_npz
from tests.board_files import write_all
from tests.device.saturating import QDQ, WIDE, written
from tests.device.small_files import write

pytestmark = pytest.mark.usefixtures("files_in_this_process")
TWIN = "edgecheck:digits_cnn"


@pytest.fixture
def files(tmp_path):
    write_all(tmp_path)
    return tmp_path


@pytest.fixture
def check(edgecheck, files):
    def run(*arguments, baseline="a.onnx", candidate="b.onnx"):
        command = ["--baseline", files / baseline, "--candidate", files / candidate, "--data", files / "data.npz"]
        code, out, err = edgecheck("check", *command, "--time-budget", "0.02", "--format", "json", *arguments)
        return code, json.loads(out) if out else None, err

    return run


def value(report, variant, metric):
    return next(r["value"] for r in report["readings"] if (r["variant"], r["metric"]) == (variant, metric))


def test_without_twins_files_are_judged_by_heatmaps_of_their_own(tiny_run, tmp_path, edgecheck):
    pruned, flags = tiny_run / "l1-filters-0.50" / "model.onnx", ["--data", "digits", "--limit", "40"]
    words = ["--baseline", tiny_run / "baseline" / "model.onnx", "--candidate", pruned, "--time-budget", "0"]
    code, out, _ = edgecheck("check", *words, *flags, "--out", tmp_path / "run", "--format", "json")
    report = json.loads(out)
    assert code == 1
    assert {v["metric"] for v in report["verdicts"]} == {
        *("sp2ps.grad-cam", "sp2ps.ablation-cam", "cam.degenerate_share", "accuracy_drop_pp")
    }
    assert {s["source"] for s in report["similarities"]} == {"artefact"}
    twins = ["--baseline-twin", tiny_run / "baseline", "--candidate-twin", tiny_run / "l1-filters-0.50"]
    _, out, _ = edgecheck("check", *words, *flags, *twins, "--out", tmp_path / "twins", "--format", "json")
    by_twin = json.loads(out)
    assert {s["source"] for s in by_twin["similarities"]} == {"twin"}
    for method in default_methods():
        own, theirs = (value(one, "candidate", f"sp2ps.{method}") for one in (report, by_twin))
        assert own == pytest.approx(theirs, abs=1e-4)


def test_files_made_elsewhere_are_not_called_fine_tuned(check, files):
    check("--gate", "agreement >= 0", "--out", files / "run")
    report = json.loads((files / "run" / "report.json").read_text())
    assert report["subject"]["finetune"] == ""
    assert ">fine-tuning<" not in (files / "run" / "report.html").read_text()


def test_what_cannot_be_explained_is_missing_with_the_reason(check, files):
    code, report, _ = check("--gate", "sp2ps.grad-cam >= 0.95", "--gate", "parity.max_abs <= 0.001")
    assert code == 1
    heatmaps, parity = report["verdicts"]
    assert (heatmaps["status"], parity["status"]) == ("MISSING", "MISSING")
    assert "cannot be explained: it has no convolution before its classifier head" in heatmaps["reason"]
    assert parity["reason"].startswith("no twin to compare the file with")
    assert report["withheld"] == []
    (files / "own.yaml").write_text("data: {dataset: digits}\ngate: {criteria: [sp2ps.grad-cam >= 0.95]}\n")
    code, report, _ = check("--config", files / "own.yaml")
    assert (code, report["statuses"]) == (1, {"candidate": "MISSING"})


def test_several_candidates_are_judged_by_their_numbers(files, edgecheck, refused):
    two = ["--baseline", files / "a.onnx", "--candidate", files / "b.onnx", "--candidate", files / "a.onnx"]
    common = [*two, "--data", files / "data.npz", "--time-budget", "0", "--gate", "agreement >= 0"]
    code, out, _ = edgecheck("check", *common, "--format", "json")
    report = json.loads(out)
    assert (code, report["statuses"]) == (0, {"candidate-1": "PASS", "candidate-2": "PASS"})
    assert report["variants"][2]["sha256"] == report["variants"][0]["sha256"]
    said = refused("check", *common, "--candidate-twin", "edgecheck:digits_cnn")
    assert "--candidate-twin is given 1 times for 2 files: give it once per file" in said


def test_two_files_have_no_control_to_be_judged_by(check):
    code, report, _ = check("--gate", "accuracy_drop_pp <= control + 1 pp", "--gate", "agreement >= 100 %")
    assert code == 1
    missing, held = report["verdicts"]
    assert (missing["status"], missing["limit"], held["status"]) == ("MISSING", None, "PASS")
    assert "no control in this run" in missing["reason"]


def test_a_gate_of_ones_own_passes_without_twins(check):
    code, report, _ = check("--gate", "accuracy_drop_pp <= 0", "--gate", "agreement >= 100 %")
    assert code == 0
    assert report["passed"]
    # NCHW logits against NHWC softmax of the same function, on images labelled by hand.
    assert value(report, "baseline", "accuracy") == value(report, "candidate", "accuracy") == 1.0


def test_an_int8_file_that_can_saturate_is_told(edgecheck, tmp_path):
    """Made elsewhere; whether this CPU saturates shows in what it predicts for a white image."""
    white = ImageSet(np.full((8, 4, 4, 3), 255, np.uint8), np.zeros(8, np.int64), ("exact", "saturated"))
    save_npz(tmp_path / "data.npz", white)
    narrow, wide = (written(tmp_path / f"{name}.onnx", QDQ, w) for name, w in (("narrow", WIDE // 2), ("wide", WIDE)))

    command = ["--baseline", narrow, "--candidate", wide, "--data", tmp_path / "data.npz", "--time-budget", "0"]
    code, out, err = edgecheck("check", *command, "--gate", "size.bytes <= 1 MB", "--format", "json")

    assert code == 0, err
    report = json.loads(out)
    baseline, candidate = ([w for w in v["warnings"] if w["id"].startswith("int8")] for v in report["variants"])
    saturates_here = value(report, "candidate", "accuracy") == 0
    assert baseline == []
    (warning,) = candidate
    assert warning["id"] == ("int8-saturates" if saturates_here else "int8-may-saturate")
    assert warning["variant"] == "candidate"
    assert not saturates_here or (warning["fields"]["changed"], warning["fields"]["images"]) == (8, 8)


def test_classes_are_found_among_the_outputs_by_name_or_number(check, files):
    gate = "--gate", "agreement >= 100 %"
    (files / "names.txt").write_text("red\ngreen\nblue\nnone\n")
    named = check(*gate, "--classes", files / "names.txt")[1]
    assert value(named, "baseline", "accuracy") == 1.0
    assert named["subject"]["dataset"].endswith("; classes are outputs 0, 1, 2, 3 of 4")
    swapped = check(*gate, "--classes", "1,0,2,3")[1]
    with np.load(files / "data.npz") as archive:  # only what is blue keeps its output
        assert value(swapped, "baseline", "accuracy") == np.mean(archive["labels"] == 2)
    assert swapped["subject"]["outputs"] == [1, 0, 2, 3]


def levels(path, flip):
    """Write a network that tells four levels of grey in 0..255 by the nearest; `flip` counts them from above."""
    centres = np.array([20.0, 100.0, 180.0, 240.0], dtype=np.float32)[:: -1 if flip else 1]
    weight = np.repeat(2 * centres[None] / 3, 3, axis=0)
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "weight", "bias"], ["scores"]),
    ]
    arrays = [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(-(centres**2), "bias")]
    shapes = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", ("N", 3, 8, 8)), ("scores", None))
    ]
    graph = helper.make_graph(nodes, "levels", shapes[:1], shapes[1:], arrays)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)


def test_a_preprocessing_under_which_the_network_works_is_named(check, files):
    levels(files / "a.onnx", flip=False)
    labels = np.arange(80) % 4
    pixels = np.broadcast_to(np.array([20, 100, 180, 240], np.uint8)[labels][:, None, None, None], (80, 8, 8, 3))
    save_npz(files / "data.npz", ImageSet(pixels, labels, tuple("abcd")))

    def said(*arguments):
        report = check("--gate", "agreement >= 0 %", *arguments, candidate="a.onnx")[1]
        warnings = [warning for variant in report["variants"] for warning in variant["warnings"]]
        return [warning["fields"] for warning in warnings if warning["id"] == "preprocessing-doubtful"]

    assert said() == [
        {
            "accuracy": 0.25,
            "better_accuracy": 1.0,
            "images": 64,
            "preprocessing": "{range: [0, 255]}",
            "bgr": False,
        }
    ]
    assert said("--range", "0,255") == []
    levels(files / "a.onnx", flip=True)  # wrong whatever it is fed
    assert said() == []


def test_other_outputs_than_classes_are_said(check, files):
    with np.load(files / "data.npz") as archive:
        np.savez(files / "data.npz", images=archive["images"], labels=archive["labels"])
    report = check("--gate", "agreement >= 100 %")[1]
    warnings = [warning for variant in report["variants"] for warning in variant["warnings"]]
    (unmatched,) = [warning for warning in warnings if warning["id"] == "outputs-unmatched"]
    assert unmatched["fields"] == {"outputs": 4, "classes": 3}


@pytest.mark.parametrize(
    "options",
    [
        {"opset": 9},
        {"opset": 21},
        {"shape": (4, 3, 16, 16)},
        {"shape": (1, 16, 16, 3), "layout": "NHWC"},
        {"shape": ("n", "c", "h", "w")},
        {"dtype": TensorProto.FLOAT16},
        {"softmax": True, "as_map": True},
        {"second_output": "float"},
    ],
    ids=str,
)
def test_foreign_files_work(check, files, options):
    write(files / "foreign.onnx", **{"shape": ("N", 3, 16, 16), **options})
    code, report, err = check("--gate", "agreement >= 1", candidate="foreign.onnx")
    assert (code, report and report["passed"]) == (0, True), err


def test_twins_give_heatmaps_and_an_identical_pair_scores_one(tiny_run, edgecheck):
    file, weights = tiny_run / "baseline" / "model.onnx", tiny_run / "baseline" / "weights.safetensors"
    twins = [
        word for side in ("baseline", "candidate") for word in (f"--{side}-twin", TWIN, f"--{side}-weights", weights)
    ]
    flags = ["--data", "digits", "--limit", "40", "--time-budget", "0"]
    gates = [word for name in default_methods() for word in ("--gate", f"sp2ps.{name} >= 0.999999")]
    code, out, err = edgecheck(
        "check", "--baseline", file, "--candidate", file, *flags, *gates, *twins, "--format", "json"
    )
    assert code == 0, err
    report = json.loads(out)
    for method in ("grad-cam", "grad-cam++", "ablation-cam"):
        assert value(report, "candidate", f"sp2ps.{method}") == pytest.approx(1, abs=1e-6)
    assert value(report, "candidate", "parity.max_abs") < 1e-4
    assert value(report, "candidate", "accuracy_drop_pp") == 0


def test_parity_of_a_softmax_file_is_taken_on_log_probabilities(tiny_run, tmp_path, edgecheck):
    folder = tiny_run / "baseline"
    model = onnx.load(folder / "model.onnx")
    output = model.graph.output[0]
    model.graph.node.append(helper.make_node("Softmax", [output.name], ["probabilities"], axis=1))
    output.name = "probabilities"
    onnx.save(model, tmp_path / "softmax.onnx")
    twin = ["--candidate-twin", TWIN, "--candidate-weights", folder / "weights.safetensors"]
    flags = ["--data", "digits", "--limit", "40", "--time-budget", "0", "--gate", "parity.max_abs <= 0.001", *twin]
    code, out, err = edgecheck(
        "check",
        "--baseline",
        folder / "model.onnx",
        "--candidate",
        tmp_path / "softmax.onnx",
        *flags,
        "--format",
        "json",
    )
    assert code == 0, err
    assert value(json.loads(out), "candidate", "parity.agreement") == 1


def test_a_twin_of_other_weights_fails_parity(tiny_run, edgecheck):
    folder = tiny_run / "baseline"
    twin = ["--candidate-twin", TWIN, "--candidate-weights", tiny_run / "control" / "weights.safetensors"]
    flags = ["--data", "digits", "--limit", "40", "--time-budget", "0", "--gate", "parity.max_abs <= 0.001", *twin]
    code, _, _ = edgecheck("check", "--baseline", folder / "model.onnx", "--candidate", folder / "model.onnx", *flags)
    assert code == 1


# Runs the command lines that it is given; tells how each ended.
WITHOUT_TORCH = """
import contextlib, io, json, sys
for name in ("torch", "torchvision", "cv2", "sklearn", "safetensors", "matplotlib", "torch_pruning"):
    sys.modules[name] = None
from edgecheck.cli import main
ends = []
for words in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            main(words)
        except SystemExit as stop:
            ends.append((stop.code or 0, err.getvalue()))
print(json.dumps(ends))
"""


def board(*lines, cwd):
    """Run command lines in one process without PyTorch; return the exit code and the words on stderr of each."""
    command = [sys.executable, "-c", WITHOUT_TORCH, json.dumps(lines)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


PAIR = ["--baseline", "a.onnx", "--candidate", "b.onnx", "--data", "data.npz"]


def test_a_board_without_torch_can_check_gate_report_bench_and_count(files):
    lines = {
        ("check", *PAIR, "--out", "run", "--time-budget", "0.02", "--gate", "agreement >= 1"): 0,
        ("gate", "run", "--gate", "size.bytes <= 1 B"): 1,
        ("report", "run", "--format", "markdown"): 0,
        ("bench", "a.onnx", "b.onnx", "--time-budget", "0.02"): 0,
        ("count", "a.onnx"): 0,
        ("layers", "a.onnx", "b.onnx"): 0,
        ("doctor",): 0,
    }
    ends = board(*lines, cwd=files)
    assert [code for code, _ in ends] == list(lines.values()), ends


def test_a_board_is_told_how_to_get_torch(files):
    ((code, err),) = board(["check", *PAIR, "--baseline-twin", TWIN], cwd=files)
    assert code == 2
    assert "pip install 'edgecheck[lab]'" in err
    assert err.count("\n") == 1
