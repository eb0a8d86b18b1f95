"""Quantized copies of a float ONNX file, made by ONNX Runtime's own tools.

`int8` puts QuantizeLinear and DequantizeLinear around every layer, with ranges seen on calibration images.
`int8-dynamic` stores int8 weights of matrix products and finds the ranges of activations at run time. `fp16` halves
every float, with float32 inputs and outputs. What the copy computes is measured like any other file; its heatmaps are
those of the float twin, since rounding has no gradient.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from attrs import frozen
from numpy.typing import NDArray

from edgecheck.config.plan import Preprocessing
from edgecheck.errors import ModelError
from edgecheck.images import ImageSet, preprocess
from edgecheck.registry import lookup, register
from edgecheck.steps import Quantize
from edgecheck.store import atomic, write_bytes

BATCH = 16  # calibration images a run: few, as ONNX Runtime keeps every activation of a run

Quantizer = Callable[[Path, Path, "Calibration"], list[str]]
QUANTIZERS: dict[str, Quantizer] = {}
CALIBRATED = ("int8",)  # the others look at no images
SEVEN_BITS = (
    "int8 weights have 7 bits, so that sums do not saturate on x86 CPUs without VNNI; if all targets have VNNI or are "
    "ARM CPUs, quantize.reduce_range: false keeps all 8 bits"
)


@frozen(eq=False)
class Calibration:
    """The images that ranges are taken from, and how; None where nothing is calibrated."""

    images: ImageSet | None
    how: Preprocessing
    options: Quantize


def quantize(name: str, source: Path, out: Path, calibration: Calibration) -> list[str]:
    """Write a quantized copy of the float file `source`, whole or not at all; return warnings.

    Raises:
        ConfigError: an unknown quantization.
        ModelError: ONNX Runtime's tools cannot quantize the file.
    """
    make = lookup(QUANTIZERS, name, "quantization")
    try:
        with _quiet():
            return make(source, out, calibration)
    except Exception as error:  # the tools raise anything at all
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(f"{source}: cannot be quantized to {name} ({first})") from error


@register(QUANTIZERS, "int8")
def _static(source: Path, out: Path, calibration: Calibration) -> list[str]:
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    methods = {
        "minmax": CalibrationMethod.MinMax,
        "entropy": CalibrationMethod.Entropy,
        "percentile": CalibrationMethod.Percentile,
    }
    options = calibration.options
    with _prepared(source) as prepared, atomic(out) as temporary:
        quantize_static(
            prepared,
            temporary,
            _Reader(prepared, calibration),  # type: ignore[arg-type]  # by its one method
            quant_format=QuantFormat.QDQ,
            per_channel=options.per_channel,
            reduce_range=options.reduce_range,
            activation_type=QuantType.QUInt8 if options.activations == "uint8" else QuantType.QInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=methods[options.calibration],
        )
    return _advice(options)


@register(QUANTIZERS, "int8-dynamic")
def _dynamic(source: Path, out: Path, calibration: Calibration) -> list[str]:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # Convolutions are left alone: ONNX Runtime has no kernel for the signed ConvInteger that they would become.
    model = onnx.load(source)
    del model.graph.value_info[:]  # it tells the shapes of weights that are transposed on the way
    with atomic(out) as temporary:
        quantize_dynamic(
            model,
            temporary,
            op_types_to_quantize=["MatMul", "Gemm"],
            per_channel=calibration.options.per_channel,
            reduce_range=calibration.options.reduce_range,
            weight_type=QuantType.QInt8,
        )
    if not any(tensor.data_type == onnx.TensorProto.INT8 for tensor in onnx.load(out).graph.initializer):
        return ["int8-dynamic changed nothing: it quantizes matrix products, and the file has none with stored weights"]
    return _advice(calibration.options)


@register(QUANTIZERS, "fp16")
def _half(source: Path, out: Path, calibration: Calibration) -> list[str]:
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    half = OnnxModel(convert_float_to_float16(onnx.load(source), keep_io_types=True))
    half.topological_sort()  # the casts of inputs are appended at the end
    write_bytes(out, half.model.SerializeToString())
    return ["fp16: a CPU without half-precision kernels converts every layer back, so it may be slower than float32"]


def _advice(options: Quantize) -> list[str]:
    return [SEVEN_BITS] if options.reduce_range else []


class _Reader:
    """Feeds ONNX Runtime's calibration, batch by batch."""

    def __init__(self, file: Path, calibration: Calibration) -> None:
        given = onnx.load(file, load_external_data=False).graph.input[0]
        fixed = given.type.tensor_type.shape.dim[0].dim_value
        self.name, self.batches = given.name, self._batches(calibration, fixed or BATCH)

    def _batches(self, calibration: Calibration, size: int) -> Iterator[NDArray[np.float32]]:
        images = calibration.images
        assert images is not None, "int8 is calibrated"
        for start in range(0, len(images) - len(images) % size or len(images), size):
            yield preprocess(images.images[start : start + size], calibration.how)

    def get_next(self) -> dict[str, Any] | None:
        """Return the next feed, None after the last."""
        batch = next(self.batches, None)
        return None if batch is None else {self.name: batch}


@contextmanager
def _prepared(source: Path) -> Iterator[Path]:
    """Yield the file with shapes inferred and constants folded, as ONNX Runtime's quantizer wants it."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory(prefix="edgecheck-") as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        yield prepared


@contextmanager
def _quiet() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
