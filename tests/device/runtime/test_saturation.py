"""Sums that saturate, on a planted file whose class depends on it, against the arithmetic of the instruction in NumPy.

The tests hold on CPUs that saturate and on those that do not: where it matters, the expectation follows from what the
session did.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgecheck.device.model import files
from edgecheck.device.runtime import saturation
from edgecheck.device.runtime.ort import Options
from edgecheck.device.runtime.saturation import Saturation
from edgecheck.device.runtime.session import open_classifier
from edgecheck.report.diagnostics import render
from tests.device.saturating import DYNAMIC, QDQ, QOPERATOR, WEIGHT_ONLY, WIDE, written

PIXELS = np.ones((3, 3, 4, 4), np.float32)


def in_16_bits(activations, weight):
    """Sums as `vpmaddubsw` makes them: of two neighbouring products each, kept within 16 bits."""
    products = activations.astype(np.int64)[..., None] * weight.astype(np.int64)
    pairs = products[..., 0::2, :] + products[..., 1::2, :]
    return pairs.clip(-(2**15), 2**15 - 1).sum(axis=-2)


def model_of(path):

    return files.load_model(path)


@pytest.mark.parametrize("body", [QDQ, QOPERATOR, DYNAMIC], ids=["QDQ", "QOperator", "dynamic"])
def test_what_saturation_changes_is_measured(tmp_path, body):
    path = written(tmp_path / "model.onnx", body)
    activations = np.full(48, 255)
    right, saturated = activations @ WIDE.astype(int), in_16_bits(activations, WIDE)
    assert (right.argmax(), saturated.argmax()) == (0, 1)

    logits = open_classifier(path).run(PIXELS)
    exact = open_classifier(path, Options(exact_sums=True)).run(PIXELS)
    found = saturation.measure(path, Options(), PIXELS, logits)

    classes, saturates_here = set(logits.argmax(axis=1)), logits[0].argmax() == 1
    assert len(classes) == 1
    assert set(exact.argmax(axis=1)) == {0}
    assert found.changed == (3 if saturates_here else 0)
    assert (found.max_abs > 0) == saturates_here
    if body == DYNAMIC:  # gives the sums themselves
        np.testing.assert_array_equal(exact[0], right)
        np.testing.assert_array_equal(logits[0], saturated if saturates_here else right)


@pytest.mark.parametrize(
    ("body", "weight", "level", "can"),
    [
        (QDQ, WIDE, "all", True),
        (QDQ, WIDE, "extended", True),
        (QDQ, WIDE, "disabled", False),  # computed in float
        (QOPERATOR, WIDE, "disabled", True),
        (DYNAMIC, WIDE, "all", True),
        (QDQ, WIDE // 2, "all", False),  # 255 x (50 + 50) fits
        (QDQ, WIDE.astype(np.uint8), "all", False),  # unsigned weights are added in 32 bits
        (WEIGHT_ONLY, WIDE, "all", False),
    ],
)
def test_which_files_can_saturate(tmp_path, body, weight, level, can):
    assert saturation.can_saturate(model_of(written(tmp_path / "model.onnx", body, weight)), level) is can


def test_two_large_weights_of_different_outputs_are_never_added(tmp_path):
    apart = np.zeros((48, 2), np.int8)
    apart[0, 0] = apart[1, 1] = 127
    together = np.zeros((48, 2), np.int8)
    together[:2, 0] = 127

    assert not saturation.can_saturate(model_of(written(tmp_path / "apart.onnx", QDQ, apart)))
    assert saturation.can_saturate(model_of(written(tmp_path / "together.onnx", QDQ, together)))


def test_outputs_of_a_convolution_come_first(tmp_path):
    weight = np.zeros((2, 3, 4, 4), np.int8)
    weight[0, 0, 0, 0] = weight[1, 0, 0, 0] = 127
    body = QDQ.replace("f = Flatten (qx)", "f = Identity (qx)").replace("MatMul (df", "Conv (df")
    path = written(tmp_path / "model.onnx", body, weight)
    assert not saturation.can_saturate(model_of(path))

    weight[0, 2, 3, 3] = 2  # 127 + 2 = 129, the first sum that does not fit
    assert saturation.can_saturate(model_of(written(path, body, weight)))


@given(arrays(np.int8, (6, 3)), arrays(np.uint8, 6), st.randoms(use_true_random=False))
def test_weights_that_fit_never_saturate_and_the_others_do_in_some_order(weight, activations, random):
    if not saturation._overflows(weight.T):
        np.testing.assert_array_equal(in_16_bits(activations, weight), activations.astype(int) @ weight.astype(int))
        return
    # For some output the two largest, or the two smallest, side by side and full activations there.
    ordered = np.sort(weight.astype(int), axis=0)
    tops, bottoms = np.where(ordered[-2:] > 0, ordered[-2:], 0), np.where(ordered[:2] < 0, ordered[:2], 0)
    full = np.full(2, 255)
    changed = [(in_16_bits(full, pair) != full @ pair).any() for pair in (tops, bottoms)]
    assert any(changed)


NONE, SOME = Saturation(64, 0, 0.0), Saturation(64, 7, 1.25)


@pytest.mark.parametrize(
    ("found", "machine", "flags", "says"),
    [
        (SOME, "x86_64", ["avx2"], "saturate on this CPU, which has no VNNI: 7 of 64 images get another class"),
        (SOME, "x86_64", [], "saturate on this CPU"),  # measured, whatever is told of the CPU
        (NONE, "x86_64", ["avx2", "avx512f", "avx512_vnni"], "exact on this CPU (avx512_vnni)"),
        (NONE, "x86_64", ["avx2", "avx_vnni"], "exact on this CPU (avx_vnni)"),
        (NONE, "aarch64", ["asimd", "asimddp"], "exact on this CPU (aarch64)"),
        (NONE, "AMD64", [], "may saturate on x86 CPUs without VNNI"),  # nothing tells what it has
        (NONE, "x86_64", ["sse4_2", "avx2", "avx512f"], ""),
    ],
)
def test_warnings(found, machine, flags, says):
    told = saturation.warnings(found, machine, flags)

    assert len(told) == bool(says)
    assert all(says in (text := render(one)) and "reduce_range: true" in text for one in told)
