"""SQNR of a network of two layers, by hand arithmetic."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgecheck.config.plan import Preprocessing
from edgecheck.device.blame.comparing import compare
from edgecheck.device.runtime.ort import Options
from edgecheck.images import ImageSet
from edgecheck.progress import Silent

# One pixel of one channel goes through y = relu(a x + c) and z = (d, e) y.
A, C, D, E = 0.62, -0.05, 0.81, -0.33
X_STEP, A_STEP, Y_STEP, D_STEP, Z_STEP, ZERO = 1 / 255, 0.01, 0.004, 0.007, 0.01, 60
STEPS = {"x": (X_STEP, 0), "y": (Y_STEP, 0), "z": (Z_STEP, ZERO)}


def value(name, values, kind=np.float32):
    return numpy_helper.from_array(np.asarray(values, kind), name)


def network(path, quantized):
    """Conv 1x1 with ReLU and Gemm; quantized as ONNX Runtime does it, where the quantizer of y stands for the ReLU."""
    nodes, made = [], []

    def rounded(name, source):
        if not quantized:
            return source
        step, zero = STEPS[name]
        made.extend([value(f"{name}_step", step), value(f"{name}_zero", zero, np.uint8)])
        scales = [f"{name}_step", f"{name}_zero"]
        nodes.append(helper.make_node("QuantizeLinear", [source, *scales], [f"{name}_q"]))
        nodes.append(helper.make_node("DequantizeLinear", [f"{name}_q", *scales], [f"{name}_dq"]))
        return f"{name}_dq"

    def weight(name, values, step):
        if not quantized:
            made.append(value(name, values))
            return name
        integers = np.rint(np.asarray(values) / step).astype(np.int8)
        made.extend([value(f"{name}_quantized", integers, np.int8), value(f"{name}_step", step)])
        nodes.append(helper.make_node("DequantizeLinear", [f"{name}_quantized", f"{name}_step"], [f"{name}_dq"]))
        return f"{name}_dq"

    made.append(value("bias", [C]))
    first = weight("first.weight", [[[[A]]]], A_STEP)
    nodes.append(helper.make_node("Conv", [rounded("x", "x"), first, "bias"], ["y"], "first"))
    if not quantized:
        nodes.append(helper.make_node("Relu", ["y"], ["y_relu"]))
    nodes.append(helper.make_node("Flatten", [rounded("y", nodes[-1].output[0])], ["flat"]))
    nodes.append(helper.make_node("Gemm", ["flat", weight("second.weight", [[D, E]], D_STEP)], ["z"], "second"))
    output = rounded("z", "z")
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, 1, 1])]
    outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", 2])]
    graph = helper.make_graph(nodes, "two", inputs, outputs, made)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def rounding(values, name):
    step, zero = STEPS[name]
    return (np.clip(np.rint(values / step) + zero, 0, 255) - zero) * step


def decibels(exact, found):
    return 10 * np.log10((exact**2).sum() / ((found - exact) ** 2).sum())


def test_local_and_accumulated_errors_are_those_of_hand_arithmetic(tmp_path):
    pixels = np.arange(0, 256, 5, dtype=np.uint8).reshape(-1, 1, 1, 1)
    data = ImageSet(pixels, np.zeros(len(pixels), np.int64), ("a", "b"))
    files = network(tmp_path / "float.onnx", False), network(tmp_path / "int8.onnx", True)

    found = compare(files, Options(), data, Preprocessing(range=(0, 0.917)), Silent())

    x = pixels.ravel() / 255 * 0.917
    y = np.maximum(A * x + C, 0)
    z = np.outer(y, [D, E])
    a, d = (np.rint(np.asarray(w) / step) * step for w, step in ((A, A_STEP), ([D, E], D_STEP)))
    y_alone = rounding(a * rounding(x, "x") + C, "y")
    z_alone = rounding(np.outer(y, d), "z")  # its input is not rounded again: the quantizer belongs to the first layer
    z_all = rounding(np.outer(y_alone, d), "z")
    errors = {error.layer: error for error in found.errors}
    assert errors["first"].local.sqnr_db == pytest.approx(decibels(y, y_alone), abs=1e-3)
    assert errors["first"].accumulated.sqnr_db == pytest.approx(decibels(y, y_alone), abs=1e-3)
    assert errors["second"].accumulated.sqnr_db == pytest.approx(decibels(z, z_all), abs=1e-3)
    assert errors["second"].local.sqnr_db == pytest.approx(decibels(z, z_alone), abs=1e-3)
    assert errors["second"].local.sqnr_db != pytest.approx(decibels(z, z_all), abs=0.05)
    assert [error.layer for error in found.errors] == sorted(errors, key=lambda n: errors[n].local.sqnr_db)
