"""Maps of quantized files, against the head of the module with the weights that the file's integers stand for."""

import logging

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from onnxruntime import quantization
from onnxruntime.quantization import QuantFormat, QuantType

from edgecheck.attribution.engine import maps_of
from edgecheck.attribution.source import ExplainedSubject
from edgecheck.config.plan import Preprocessing
from edgecheck.device.explain.match import closest
from edgecheck.device.explain.source import opened
from edgecheck.device.runtime.ort import Options
from edgecheck.lab import quantize
from edgecheck.steps import Quantize
from tests.device.explain import independent, networks
from tests.device.explain.test_float import ALL, by_autograd, by_masks, pixels

HEADS = {
    "pooled": networks.Split,
    "max pooled": networks.MaxPooled,
    "hidden layers": networks.Hidden,
    "1x1 convolution": networks.PointwiseHead,
    "flat": networks.Flat,
}


class Calibration(quantization.CalibrationDataReader):
    """Images of several contrasts, so that no quantizer limits what is computed of a changed map."""

    def __init__(self):
        self.left = iter([{"input": contrast * pixels(8)} for contrast in (0, 1, 2, 4)])

    def get_next(self):
        return next(self.left, None)


def quantized(kind, folder, form, per_channel, activations):
    model = networks.seeded(kind)
    path, out = networks.write(model, folder / "float.onnx"), folder / "int8.onnx"
    logging.disable(logging.WARNING)
    try:
        quantization.quantize_static(
            path, out, Calibration(), quant_format=form, per_channel=per_channel, activation_type=activations,
            weight_type=QuantType.QInt8,
        )  # fmt: skip
    finally:
        logging.disable(logging.NOTSET)
    return model, out


def with_weights_of(model, path):
    """Give the head of the module the numbers that the file holds; return the parameters found in it."""
    graph = onnx.load(path).graph
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    changed = set()
    for name, parameter in model.head.named_parameters(prefix="head"):
        if f"{name}_quantized" in stored:
            real = stored[f"{name}_quantized"].astype(np.float64), *scale_of(graph, stored, name)
            real = ((real[0] - along(real[2], real[0])) * along(real[1], real[0])).astype(np.float32)
        elif name in stored:
            real = stored[name].astype(np.float32)
        else:
            continue
        parameter.data = torch.from_numpy(real if real.shape == parameter.shape else real.T.copy())
        changed.add(name)
    return changed


def scale_of(graph, stored, name):
    """Return scale and zero point of a parameter; those of a bias are the product of its layer's."""
    if f"{name}_scale" in stored:
        return stored[f"{name}_scale"], stored.get(f"{name}_zero_point", np.zeros(1)).astype(np.float64)
    layer = next(node for node in graph.node if f"{name}_quantized" in node.input)
    if layer.op_type == "DequantizeLinear":
        return stored[layer.input[1]], np.zeros(1)
    return stored[layer.input[1]] * stored[layer.input[4]], np.zeros(1)


def along(numbers, integers):
    """Return one number for all, or one for each entry of the axis that is as long."""
    if numbers.size == 1:
        return numbers.reshape(())
    axis = integers.shape.index(numbers.size)
    return np.expand_dims(numbers.ravel(), [place for place in range(integers.ndim) if place != axis])


def expected(model, x, maps):
    """Return the maps of the module's head behind the feature maps of a file."""
    model.maps = lambda _: torch.from_numpy(maps)
    _, logits, classes, gradients = by_autograd(model, x)
    ablated, alone = by_masks(model, x, maps, classes)
    return (
        classes,
        logits,
        {
            "grad-cam": independent.grad_cam(maps, gradients),
            "grad-cam++": independent.grad_cam_plusplus(maps, gradients),
            "ablation-cam": independent.ablation_cam(maps, logits[np.arange(len(x)), classes], ablated),
            "recipro-cam": alone,
        },
    )


def assert_explained(path, model, x, methods=ALL):
    """Compare maps and tail with the module's head; return the source."""
    own = model.maps(torch.from_numpy(x)).detach().numpy()
    source = opened(ExplainedSubject(path), x)
    answer = source.answer(x)
    maps = answer.evidence(np.zeros(len(x), int)).activations
    assert np.abs(maps - own).max() < 0.08 * np.abs(own).max()  # it is the map of the module, but for rounding
    assert with_weights_of(model, path) >= {f"head.{name}" for name, _ in model.head.named_parameters()}
    classes, logits, wanted = expected(model, x, maps)
    np.testing.assert_allclose(answer.evidence(classes).logits, logits.max(axis=1), atol=1e-4)
    for method, found in maps_of(answer, classes, methods).items():
        scale = np.abs(wanted[method]).max()
        np.testing.assert_allclose(found, wanted[method], atol=2e-5 * scale, rtol=1e-3, err_msg=method)
    return source


@pytest.mark.parametrize("activations", [QuantType.QUInt8, QuantType.QInt8], ids=["uint8", "int8"])
@pytest.mark.parametrize("per_channel", [False, True], ids=["per tensor", "per channel"])
@pytest.mark.parametrize("form", [QuantFormat.QDQ, QuantFormat.QOperator], ids=["QDQ", "QOperator"])
@pytest.mark.parametrize("head", HEADS)
def test_static_quantization(tmp_path, head, form, per_channel, activations):
    model, path = quantized(HEADS[head], tmp_path, form, per_channel, activations)
    source = assert_explained(path, model, pixels())
    assert source.parts.target.scale is not None
    (note,) = source.warnings
    assert note.fields["map_step"] > 0


def test_the_share_of_channels_below_a_step(tmp_path):
    _, path = quantized(networks.Split, tmp_path, QuantFormat.QDQ, True, QuantType.QUInt8)
    x = pixels()
    source = opened(ExplainedSubject(path), x)
    answer = source.answer(x)
    classes = answer.logits.argmax(axis=1)
    drops = answer.evidence(classes).drops()
    few = source.answer(x[:2]).evidence(classes[:2]).drops()  # a smaller batch counts as much as it has images
    drops = np.concatenate([drops, few])
    model_of_file = onnx.load(path)
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in model_of_file.graph.initializer}
    step, map_step = float(stored["scores_scale"]), float(stored[f"{source.target_layer}_scale"])
    fields = source.warnings[0].fields
    assert (fields["logit_step"], fields["map_step"]) == pytest.approx((step, map_step))
    assert fields["below"] == pytest.approx((np.abs(drops) < step).mean())
    assert 0 < fields["below"] < 1


@pytest.mark.parametrize("per_channel", [False, True], ids=["per tensor", "per channel"])
@pytest.mark.parametrize("head", ["pooled", "hidden layers", "flat"])
def test_dynamic_quantization(tmp_path, head, per_channel):
    model = networks.seeded(HEADS[head])
    path = networks.write(model, tmp_path / "float.onnx")
    whole = onnx.load(path)
    quantization.quantize_dynamic(
        whole, tmp_path / "int8.onnx", op_types_to_quantize=["MatMul", "Gemm"], per_channel=per_channel,
        weight_type=QuantType.QInt8,
    )  # fmt: skip
    kinds = {node.op_type for node in onnx.load(tmp_path / "int8.onnx").graph.node}
    assert {"DynamicQuantizeLinear", "MatMulInteger"} <= kinds
    assert_explained(tmp_path / "int8.onnx", model, pixels())


@pytest.mark.parametrize("head", HEADS)
def test_half_precision(tmp_path, head):
    model = networks.seeded(HEADS[head])
    path = networks.write(model, tmp_path / "float.onnx")
    quantize.quantize("fp16", path, tmp_path / "half.onnx", quantize.Calibration(None, Preprocessing(), Quantize()))
    assert_explained(tmp_path / "half.onnx", model, pixels())


LEVELS = {
    "basic": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
}


def optimized(path, out, level):
    """Write the graph that ONNX Runtime makes of a file."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level, options.optimized_model_filepath = LEVELS[level], str(out)
    options.log_severity_level = 4
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return out


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("head", HEADS)
def test_float_files_that_were_optimized(tmp_path, head, level):
    model, x = networks.seeded(HEADS[head]), pixels()
    path = optimized(networks.write(model, tmp_path / "float.onnx"), tmp_path / "optimized.onnx", level)
    source = opened(ExplainedSubject(path), x)
    answer = source.answer(x)
    classes, _, wanted = expected(model, x, model.maps(torch.from_numpy(x)).detach().numpy())
    for method, found in maps_of(answer, classes, ALL).items():
        np.testing.assert_allclose(found, wanted[method], atol=1e-5 * np.abs(wanted[method]).max(), rtol=1e-3)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("per_channel", [False, True], ids=["per tensor", "per channel"])
@pytest.mark.parametrize("head", HEADS)
def test_quantized_files_that_were_optimized(tmp_path, head, per_channel, level):
    """They give the maps of the file that they were made from."""
    _, path = quantized(HEADS[head], tmp_path, QuantFormat.QDQ, per_channel, QuantType.QUInt8)
    made = optimized(path, tmp_path / "optimized.onnx", level)
    x, maps, drops = pixels(), [], []
    for file in (path, made):
        answer = opened(ExplainedSubject(file), x).answer(x)
        evidence = answer.evidence(np.zeros(len(x), int))
        maps.append(evidence.activations)
        drops.append(evidence.drops())
    np.testing.assert_allclose(maps[1], maps[0], atol=0.03 * maps[0].max())
    np.testing.assert_allclose(drops[1], drops[0], atol=0.03 * np.abs(drops[0]).max())


@pytest.mark.parametrize("form", [QuantFormat.QDQ, QuantFormat.QOperator], ids=["QDQ", "QOperator"])
def test_a_quantized_bypass(tmp_path, form):
    """A convolution, a sum with something made before the target, and the average of all, on integers."""
    model, path = quantized(networks.Bypass, tmp_path, form, True, QuantType.QUInt8)
    x = pixels()
    maps, logits, classes, _ = by_autograd(model, x)
    wanted, _ = by_masks(model, x, maps, classes)
    found = closest(path, x, maps, Options())
    source = opened(ExplainedSubject(path, target_layer=found.tensor), x)
    assert len(source.parts.crossing) == 1
    drops = source.answer(x).evidence(classes).drops()
    wanted = logits.max(axis=1)[:, None] - wanted
    np.testing.assert_allclose(drops, wanted, atol=0.1 * np.abs(wanted).max())
    assert np.corrcoef(drops.ravel(), wanted.ravel())[0, 1] > 0.99
