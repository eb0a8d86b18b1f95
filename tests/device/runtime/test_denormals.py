"""Planted subnormal numbers, in a real file under ONNX Runtime."""

import numpy as np

from edgecheck.device import diagnostics
from edgecheck.device.diagnostics import Target
from edgecheck.device.model import files, graph
from edgecheck.device.runtime import denormals
from edgecheck.device.runtime.ort import Options
from tests.device import graphs

SHAPE = (3, 16, 16)
TEXT = """g (float[N,3,16,16] x) => (float[n,m] y) {
    s = Conv <pads = [1,1,1,1]> (x, stem) a = Conv <pads = [1,1,1,1]> (s, w) b = Conv <pads = [1,1,1,1]> (a, one)
    p = GlobalAveragePool (b) y = Flatten (p) }"""


def test_planted_subnormal_weights_are_named_with_the_gain_of_the_cure(tmp_path):
    """Products of such weights and of what comes out of them stay subnormal. What the cure gains is up to the CPU."""
    weights = {
        "stem": graphs.ones(64, 3, 3, 3),
        "w": np.full((64, 64, 3, 3), 1e-41, np.float32),
        "one": np.full((64, 64, 3, 3), 1e-3, np.float32),
    }
    path = graphs.save(tmp_path / "model.onnx", TEXT, weights)

    gain = denormals.measure(path, Options(), SHAPE)
    (warning,) = diagnostics.diagnose(files.load_model(path), graph.count(path, SHAPE), Target(), lambda: gain)

    assert gain.as_is_s > 0
    assert gain.flushed_s > 0
    assert warning.id == "subnormal-weights"
    assert warning.fields == {
        "weights": 36864,
        "as_is_s": gain.as_is_s,
        "flushed_s": gain.flushed_s,
        "helps": gain.ratio < diagnostics.HELPFUL,
        "not_measured": None,
    }


def test_the_parents_own_process_is_left_alone(tmp_path):
    ones = graphs.ones(64, 64, 3, 3)
    before = np.float32(1e-40) * np.float32(1.0)
    path = graphs.save(tmp_path / "model.onnx", TEXT, {"stem": graphs.ones(64, 3, 3, 3), "w": ones, "one": ones})

    denormals.measure(path, Options(), SHAPE)

    assert np.float32(1e-40) * np.float32(1.0) == before != 0
