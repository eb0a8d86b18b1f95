"""Files that cannot be explained, given to `edgecheck check`: one line and exit 2, or a criterion without a value."""

import json
import sys

import numpy as np
import pytest

from edgecheck.device.runtime import probe
from edgecheck.images import ImageSet, save_npz
from tests.cli.conftest import work_here
from tests.device.explain import bad_files
from tests.device.explain.bad_files import SHAPE

pytestmark = pytest.mark.usefixtures("files_in_this_process")
GATES = ["--gate", "sp2ps.ablation-cam >= 0", "--gate", "sp2ps.grad-cam >= 0", "--gate", "size.bytes <= 1 MB"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (12, *SHAPE[1:], 3), dtype=np.uint8)
    path = tmp_path_factory.mktemp("data") / "data.npz"
    save_npz(path, ImageSet(images, np.arange(12) % bad_files.CLASSES, ("a", "b", "c", "d")))
    return path


@pytest.fixture
def words(data, tmp_path):
    """The command line that checks a file against a good one, at which nothing is wrong."""

    def of(write, *more):
        good, bad = bad_files.good(tmp_path / "good.onnx"), write(tmp_path / "bad.onnx")
        files = ["check", "--baseline", good, "--candidate", bad, "--data", data, "--time-budget", "0"]
        return [*files, *GATES, *more]

    return of


@pytest.fixture
def verdicts(edgecheck, words):
    """Check a bad file; return criterion -> (status, value, reason)."""

    def of(write, *more):
        code, out, err = edgecheck(*words(write, *more), "--format", "json")
        assert "Traceback" not in err
        assert code in (0, 1), err
        return {one["metric"]: one for one in json.loads(out)["verdicts"]}

    return of


def assert_missing(found, *reasons):
    """Only the size has a value; the heatmaps have a reason in one line."""
    assert found["size.bytes"]["status"] == "PASS"
    for method in ("ablation-cam", "grad-cam"):
        verdict = found[f"sp2ps.{method}"]
        assert (verdict["status"], verdict["actual"]) == ("MISSING", None)
        assert "\n" not in verdict["reason"]
        for reason in reasons:
            assert reason in verdict["reason"]


def test_a_good_file_has_values(verdicts):
    found = verdicts(bad_files.good)
    assert {one["status"] for one in found.values()} == {"PASS"}
    assert found["sp2ps.grad-cam"]["actual"] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (bad_files.without_convolution, "no convolution before its classifier head"),
        (bad_files.one_pixel, "with a map larger than 1x1"),
        (bad_files.conditional_behind, "control flow (If)"),
        (bad_files.loop_behind, "control flow (Loop)"),
        (bad_files.centred_over_the_batch, "depend on the other images in the batch"),
    ],
)
def test_criteria_without_a_value(verdicts, write, reason):
    assert_missing(verdicts(write), reason)


def test_control_flow_before_the_target_is_no_trouble(verdicts):
    found = verdicts(bad_files.conditional_before)
    assert found["sp2ps.ablation-cam"]["status"] == "PASS"


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (bad_files.two_inputs, "needs exactly one input"),
        (bad_files.two_outputs, "several outputs look like classes"),
        (bad_files.segmentation, "rows for images|one row for each|looks like classes"),
        (bad_files.detection, "no output looks like classes"),
        (bad_files.custom_operator, "Sharpen"),
        (bad_files.external_data_missing, "weights.bin"),
        (bad_files.not_a_number, "NaN or infinite outputs"),
    ],
)
def test_files_that_are_no_classifiers(refused, words, write, reason):
    said = refused(*words(write))
    assert any(one in said for one in reason.split("|")), said


def test_an_unknown_target_lists_the_maps(verdicts):
    assert_missing(verdicts(bad_files.good, "--target-layer", "nothing"), "no feature map 'nothing'", "map_c")


def test_a_target_of_one_pixel(verdicts):
    assert_missing(verdicts(bad_files.good, "--target-layer", "scores_mean"), "has one pixel")


@pytest.mark.parametrize("write", [bad_files.infinite_channel, bad_files.falling_channel])
def test_infinite_activations_are_missing_and_not_zero(verdicts, write):
    """ReLU would make a map of minus infinity zero."""
    found = verdicts(write)
    assert found["sp2ps.ablation-cam"]["status"] == "MISSING"
    assert "not finite" in found["sp2ps.ablation-cam"]["reason"]
    assert found["sp2ps.grad-cam"]["status"] == "MISSING"


IN_CHILD = probe.in_child  # as it is outside of these tests


@pytest.mark.parametrize(
    ("code", "reason", "limit_s"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "crashed", 60),
        ("raise SystemExit(7)", "not measured in a separate process", 60),
        ("import sys; sys.stderr.write('bad_alloc'); raise SystemExit(1)", "GB of memory", 60),
        ("import time; time.sleep(60)", "takes too long", 0.5),
    ],
)
def test_a_crash_on_the_parts_of_a_file_is_a_result(verdicts, monkeypatch, code, reason, limit_s):
    def in_child(module, *request):
        if module.endswith("rehearsal"):
            return IN_CHILD(module, *request, time_limit_s=limit_s)
        return work_here(module, *request)

    monkeypatch.setattr(probe, "in_child", in_child)
    monkeypatch.setattr(probe.children, "command", lambda *_: [sys.executable, "-c", code])
    assert_missing(verdicts(bad_files.good), reason)
