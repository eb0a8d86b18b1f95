"""A float ONNX classifier built by hand, and the files that are quantized from it."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from edgecheck.config.plan import Preprocessing
from edgecheck.images import ImageSet, preprocess
from edgecheck.lab.quantize import Calibration, quantize
from edgecheck.steps import Quantize

SIZE = (3, 12, 12)
CLASSES = 4


def images(count: int = 96, seed: int = 1) -> ImageSet:
    """Random images whose class is their brightest channel, or the last one where none is."""
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 200, (count, *SIZE[1:], SIZE[0]), dtype=np.uint8)
    labels = np.arange(count) % CLASSES
    for image, label in zip(pixels, labels, strict=True):
        if label < SIZE[0]:
            image[..., label] += 55
    return ImageSet(pixels, labels.astype(np.int64), tuple("rgbn"))


def stored(name, values):
    return numpy_helper.from_array(np.asarray(values, np.float32), name)


def float_file(path: Path, batch="N", norm: bool = False, softmax: bool = False, prefix: str = "") -> Path:
    """Write conv1 - relu - conv2 - relu - conv3 - sum with conv2 - pool - fc; with `norm`, conv1 has a BatchNorm."""
    random = np.random.default_rng(0)
    shapes = {"conv1": (8, 3, 3, 3), "conv2": (8, 8, 3, 3), "conv3": (8, 8, 1, 1), "fc": (CLASSES, 8)}
    made = [stored(f"{n}.weight", random.normal(0, np.prod(s[1:]) ** -0.5, s)) for n, s in shapes.items()]
    made += [stored(f"{n}.bias", random.normal(0, 0.1, s[0])) for n, s in shapes.items()]

    def layer(kind, name, source, **attributes):
        inputs = [source, f"{name}.weight", f"{name}.bias"]
        return helper.make_node(kind, inputs, [name], f"{prefix}{name}_node", **attributes)

    nodes = [layer("Conv", "conv1", "x", pads=[1, 1, 1, 1])]
    if norm:
        made += [stored(f"bn.{k}", np.abs(random.normal(1, 0.3, 8))) for k in ("scale", "shift", "mean", "var")]
        nodes.append(
            helper.make_node("BatchNormalization", ["conv1", "bn.scale", "bn.shift", "bn.mean", "bn.var"], ["bn"])
        )
    nodes += [
        helper.make_node("Relu", [nodes[-1].output[0]], ["relu1"]),
        layer("Conv", "conv2", "relu1", pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Relu", ["conv2"], ["relu2"]),
        layer("Conv", "conv3", "relu2"),
        helper.make_node("Add", ["conv3", "relu2"], ["sum"], "sum_node"),
        helper.make_node("GlobalAveragePool", ["sum"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        layer("Gemm", "fc", "flat", transB=1),
    ]
    if softmax:
        nodes.append(helper.make_node("Softmax", ["fc"], ["soft"], axis=1))
    output = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, [batch, CLASSES])
    graph = helper.make_graph(
        nodes, "net", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, *SIZE])], [output], made
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8), path)
    return path


class Reader(CalibrationDataReader):
    """Feeds batches to the calibration of ONNX Runtime."""

    def __init__(self, name, pixels) -> None:
        self.feeds = iter([{name: batch} for batch in pixels])

    def get_next(self):
        return next(self.feeds, None)


def batches(data: ImageSet, count: int, size: int = 16, **how) -> list[np.ndarray]:
    """Return the first images preprocessed, in whole batches."""
    pixels = preprocess(data.images[:count], Preprocessing(**how))
    return [pixels[start : start + size] for start in range(0, count - size + 1, size)]


def int8_file(source: Path, path: Path, form: str = "QDQ", exclude=(), calibration=None, **options) -> Path:
    """Quantize as ONNX Runtime does, to `QDQ` or `QOperator`; weights have 7 bits, so that no CPU saturates."""
    prepared = path.with_suffix(".prepared")
    quant_pre_process(source, prepared, skip_symbolic_shape=True)
    pixels = onnx.load(prepared).graph.input[0]
    size = pixels.type.tensor_type.shape.dim[0].dim_value or 16
    options = {"per_channel": True, "activation_type": QuantType.QUInt8, **options}
    quantize_static(
        prepared,
        path,
        Reader(pixels.name, calibration or batches(images(32, seed=0), 32, size)),
        quant_format=QuantFormat[form],
        reduce_range=True,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=list(exclude),
        **options,
    )
    return path


def half_file(source: Path, path: Path) -> Path:
    """Convert to float16."""
    quantize("fp16", source, path, Calibration(None, Preprocessing(), Quantize()))
    return path


def changed(path: Path, out: Path, **tensors) -> Path:
    """Write a copy with stored tensors replaced by a function of their values; dots of names are written as `__`."""
    model = onnx.load(path)
    wanted = {name.replace("__", "."): change for name, change in tensors.items()}
    for tensor in model.graph.initializer:
        if tensor.name in wanted:
            old = numpy_helper.to_array(tensor)
            new = wanted.pop(tensor.name)(old).astype(old.dtype)
            tensor.CopyFrom(numpy_helper.from_array(new, tensor.name))
    assert not wanted
    onnx.save(model, out)
    return out
