"""Gradients of quantized files: with respect to what the integers of the map stand for."""

import numpy as np

from edgecheck.attribution.source import ExplainedSubject
from edgecheck.device.explain.source import opened
from tests.device import graphs

TEXT = """
whole (float[n, 3, 5, 6] x) => (float[n, 4] y) {
    c = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, filters) a = Relu (c)
    aq = QuantizeLinear (a, scale, zero) ar = DequantizeLinear (aq, scale, zero)
    p = GlobalAveragePool (ar) f = Flatten (p) y = Gemm (f, w)
}
"""


def test_they_are_no_integers_that_scale_and_zero_point_change(tmp_path):
    random = np.random.default_rng(0)
    filters, weight = (random.normal(size=shape).astype(np.float32) for shape in ((5, 3, 3, 3), (5, 4)))
    weights = {"filters": filters, "w": weight, "scale": np.float32(0.05), "zero": np.uint8(3)}
    path = graphs.save(tmp_path / "whole.onnx", TEXT, weights, opset=13)
    images, classes = random.normal(size=(4, 3, 5, 6)).astype(np.float32), np.arange(4)
    gradients = opened(ExplainedSubject(path), images[:1]).answer(images).evidence(classes).gradients()
    expected = np.broadcast_to(weight.T[:, :, None, None] / 30, (4, 5, 5, 6))
    np.testing.assert_allclose(gradients, expected, rtol=1e-6)
