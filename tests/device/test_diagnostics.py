from pathlib import Path

import numpy as np
import onnx
import pytest

from edgecheck.device.diagnostics import Target, diagnose, nonfinite_weights
from edgecheck.device.model import files, graph
from edgecheck.device.runtime.denormals import Gain
from edgecheck.errors import MeasurementError
from edgecheck.records import Diagnostic
from edgecheck.report.diagnostics import render
from tests.device import graphs

MATMUL = "g (float[N,10] x) => (float[n,m] y) { y = MatMul (x, w) }"
SUBNORMAL = np.float32(1e-40)


def warnings_of(path: Path, target: Target = Target(), cure=None) -> list[Diagnostic]:  # noqa: B008 (frozen)
    return diagnose(files.load_model(path), graph.count(path), target, cure)


def file_with(tmp_path: Path, weight: np.ndarray, text: str = MATMUL, **versions: int) -> Path:
    return graphs.save(tmp_path / "model.onnx", text, {"w": weight}, **versions)


def test_a_sound_file_has_no_warning(tmp_path):
    assert warnings_of(file_with(tmp_path, graphs.ones(10, 10))) == []


def test_subnormal_weights_are_counted(tmp_path):
    weight = graphs.ones(10, 10)
    weight[0, :3] = SUBNORMAL, -SUBNORMAL, np.finfo(np.float32).tiny  # the last is the smallest normal number
    (warning,) = warnings_of(file_with(tmp_path, weight))
    assert (warning.id, warning.fields["weights"]) == ("subnormal-weights", 2)
    assert render(warning).startswith("2 subnormal weights")
    assert "session.set_denormal_as_zero=1" in render(warning)


def test_the_gain_of_the_cure_is_told(tmp_path):
    path = file_with(tmp_path, np.full((10, 10), SUBNORMAL))

    (warning,) = warnings_of(path, cure=lambda: Gain(0.02, 0.005))
    assert "(measured here: 5.00 ms instead of 20.0 ms per run)" in render(warning)

    (warning,) = warnings_of(path, cure=lambda: Gain(0.02, 0.02))
    assert "so this CPU gains nothing" in render(warning)

    def failing():
        raise MeasurementError("no process")

    (warning,) = warnings_of(path, cure=failing)
    assert "not measured: no process" in render(warning)


def test_the_cure_is_not_measured_where_there_is_nothing_to_cure(tmp_path):
    assert warnings_of(file_with(tmp_path, graphs.ones(10, 10)), cure=lambda: pytest.fail("asked")) == []


def test_small_half_precision_weights_are_not_subnormal_in_float32(tmp_path):
    weight = np.full((10, 10), 1e-7, np.float16)
    text = MATMUL.replace("float[", "float16[")
    assert warnings_of(file_with(tmp_path, weight, text)) == []


@pytest.mark.parametrize(("zeros", "warned"), [(9, False), (10, True), (80, True)])
def test_zeros_that_buy_nothing(tmp_path, zeros, warned):
    weight = graphs.ones(10, 10)
    weight.flat[:zeros] = 0
    found = warnings_of(file_with(tmp_path, weight))
    assert found == [Diagnostic("zero-weights")] * warned


def test_unknown_operators_are_named(tmp_path):
    text = "g (float[N,10] x) => (float[n,m] y) { h = mine.Mystery (x)\n y = MatMul (h, w) }"
    (warning,) = warnings_of(file_with(tmp_path, graphs.ones(10, 10), text))
    assert warning == Diagnostic("macs-lower-bound", {"operators": ["MatMul", "Mystery"]})


def test_a_fixed_larger_batch(tmp_path):
    (warning,) = warnings_of(file_with(tmp_path, graphs.ones(10, 10), MATMUL.replace("N", "4")))
    assert warning == Diagnostic("batch-fixed", {"batch": 4})


def test_external_data_is_named(tmp_path):
    path = tmp_path / "model.onnx"
    model = graphs.model(MATMUL, {"w": graphs.ones(10, 10)})
    onnx.save(model, path, save_as_external_data=True, location="model.data", size_threshold=0)
    assert warnings_of(path) == [Diagnostic("external-weights", {"files": ["model.data"]})]


@pytest.mark.parametrize(
    ("versions", "said"),
    [
        ({"opset": 23}, ["opset 23 is newer than ONNX Runtime 1.18 supports (21)"]),
        ({"ir_version": 11}, ["IR version 11 is newer than ONNX Runtime 1.18 supports (10)"]),
        ({"opset": 21}, []),
    ],
)
def test_versions_that_an_older_runtime_refuses(tmp_path, versions, said):
    found = warnings_of(file_with(tmp_path, graphs.ones(10, 10), **versions))
    assert [render(warning).partition(":")[0] for warning in found] == said


def test_what_the_device_reads_can_be_said(tmp_path):
    path = file_with(tmp_path, graphs.ones(10, 10), opset=20, ir_version=10)

    assert warnings_of(path) == []
    assert warnings_of(path, Target(max_opset=19, max_ir=9)) == [
        Diagnostic("opset-too-new", {"version": 20, "supported": 19, "runtime": "1.16"}),
        Diagnostic("ir-version-too-new", {"version": 10, "supported": 9, "runtime": "1.16"}),
    ]
    (warning,) = warnings_of(path, Target(max_opset=17))
    assert render(warning).startswith("opset 20 is newer than the device supports (17)")
    assert render(warning).endswith("add the criterion `opset <= 17`")


def test_a_file_may_have_several(tmp_path):
    weight = np.full((10, 10), SUBNORMAL)
    weight[:5] = 0
    text = "g (float[4,10] x) => (float[n,m] y) { h = mine.Mystery (x)\n y = MatMul (h, w) }"
    found = warnings_of(file_with(tmp_path, weight, text, opset=23, ir_version=11))
    assert [warning.id for warning in found] == [
        *("subnormal-weights", "zero-weights", "macs-lower-bound", "batch-fixed"),
        *("opset-too-new", "ir-version-too-new"),
    ]
    assert all(len(render(warning)) < 240 for warning in found)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_named(bad):
    weight = graphs.ones(10, 10)
    weight[3, 3] = bad
    assert nonfinite_weights(graphs.model(MATMUL, {"w": weight, "fine": graphs.ones(2)})) == ["w"]


def test_half_precision_overflow_is_found():
    weight = np.array([[np.inf]], np.float16)  # what 70000 becomes
    text = MATMUL.replace("float[", "float16[").replace("10", "1")
    assert nonfinite_weights(graphs.model(text, {"w": weight})) == ["w"]


def test_scales_that_are_not_finite_are_named():
    text = "g (float[N,10] x) => (float[n,m] y) { q = QuantizeLinear (x, s, z)\n y = DequantizeLinear (q, s, z) }"
    assert nonfinite_weights(graphs.model(text, {"s": np.float32(np.inf), "z": np.uint8(0)})) == ["s"]


def test_infinite_bounds_and_masks_are_no_weights():
    text = """g (float[N,10] x) => (float[n,m] y) {
        c = Clip (x, low)
        m = Add (c, mask)
        y = Pad (m, pads, fill)
    }"""
    mask = np.where(np.eye(10), -np.inf, 0).astype(np.float32)
    constants = {"low": np.float32(-np.inf), "mask": mask, "pads": np.zeros(4, np.int64), "fill": np.float32(-np.inf)}
    assert nonfinite_weights(graphs.model(text, constants)) == []
    assert nonfinite_weights(graphs.model(text, constants | {"mask": mask[:, :1] * np.nan})) == ["mask"]
