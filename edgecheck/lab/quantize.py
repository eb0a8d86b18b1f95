"""Quantize a float ONNX file with the tools of ONNX Runtime.

- `int8` puts QuantizeLinear and DequantizeLinear around every layer; ranges come from calibration images.
- `int8-dynamic` stores the weights of matrix products as int8 and determines the ranges of activations at run time.
- `fp16` stores and computes in float16, with float32 inputs and outputs.

All three leave out the nodes that `quantize.exclude` names, and with `quantize.only` all others than those.
A quantized file is measured like any other. It has no twin, because rounding has no gradient.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from attrs import frozen
from numpy.typing import NDArray

from edgecheck.atomic import atomic, write_bytes
from edgecheck.config.plan import Preprocessing
from edgecheck.errors import ModelError
from edgecheck.images import ImageSet, preprocess
from edgecheck.lab.chatter import quiet
from edgecheck.records import Diagnostic
from edgecheck.registry import lookup, nearest, register
from edgecheck.steps import Quantize
from edgecheck.text import first_line

BATCH = 16  # calibration images per run: few, because ONNX Runtime keeps all activations of a run

Quantizer = Callable[[Path, Path, "Calibration"], list[Diagnostic]]
QUANTIZERS: dict[str, Quantizer] = {}
CALIBRATED = ("int8",)  # the others need no images


@frozen(eq=False)
class Calibration:
    """The images that ranges are taken from (None where nothing is calibrated), their preprocessing, and options."""

    images: ImageSet | None
    how: Preprocessing
    options: Quantize


def quantize(name: str, source: Path, out: Path, calibration: Calibration) -> list[Diagnostic]:
    """Write a quantized copy of the float file `source` to `out`, completely or not at all; return warnings.

    Raises:
        ConfigError: unknown quantization `name`.
        ModelError: the tools of ONNX Runtime cannot quantize the file, or it has no node of a name in `exclude` or
            `only`.
    """
    make = lookup(QUANTIZERS, name, "quantization")
    try:
        with quiet():
            return make(source, out, calibration)
    except Exception as error:  # the tools raise errors of any type
        raise ModelError(f"{source}: cannot be quantized to {name} ({first_line(error)})") from error


@register(QUANTIZERS, "int8")
def _static(source: Path, out: Path, calibration: Calibration) -> list[Diagnostic]:
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    methods = {
        "minmax": CalibrationMethod.MinMax,
        "entropy": CalibrationMethod.Entropy,
        "percentile": CalibrationMethod.Percentile,
    }
    options = calibration.options
    with _prepared(source) as prepared, atomic(out) as temporary:
        _check_names(onnx.load(prepared, load_external_data=False), options)
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
            nodes_to_quantize=options.only,
            nodes_to_exclude=options.exclude,
        )
    return _range_notes(options)


@register(QUANTIZERS, "int8-dynamic")
def _dynamic(source: Path, out: Path, calibration: Calibration) -> list[Diagnostic]:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # Not convolutions: they would become signed ConvInteger, for which ONNX Runtime has no kernel.
    model = onnx.load(source)
    del model.graph.value_info[:]  # it holds the shapes of weights that quantize_dynamic transposes
    _check_names(model, calibration.options)
    with atomic(out) as temporary:
        quantize_dynamic(
            model,
            temporary,
            op_types_to_quantize=["MatMul", "Gemm"],
            per_channel=calibration.options.per_channel,
            reduce_range=calibration.options.reduce_range,
            weight_type=QuantType.QInt8,
            nodes_to_quantize=_as_products(calibration.options.only),
            nodes_to_exclude=_as_products(calibration.options.exclude),
        )
    if not any(tensor.data_type == onnx.TensorProto.INT8 for tensor in onnx.load(out).graph.initializer):
        return [Diagnostic("int8-dynamic-unchanged")]
    return _range_notes(calibration.options)


def _as_products(names: list[str] | None) -> list[str] | None:
    """Return the names of nodes also as `quantize_dynamic` calls them, which makes a MatMul of every Gemm first."""
    return None if names is None else [name + suffix for name in names for suffix in ("", "_MatMul")]


@register(QUANTIZERS, "fp16")
def _half(source: Path, out: Path, calibration: Calibration) -> list[Diagnostic]:
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    model = onnx.load(source)
    _check_names(model, calibration.options)
    left_out, only = list(calibration.options.exclude), calibration.options.only
    if only is not None:
        left_out += [node.name for node in model.graph.node if node.name not in only]
    half = OnnxModel(convert_float_to_float16(model, keep_io_types=True, node_block_list=left_out))
    half.topological_sort()  # the converter appends the casts of inputs at the end
    write_bytes(out, half.model.SerializeToString())
    return [Diagnostic("fp16-on-cpu")]


def _check_names(model: onnx.ModelProto, options: Quantize) -> None:
    """Refuse names of nodes that are not there: the quantizers would not say so."""
    known = {node.name: node for node in model.graph.node if node.name}
    for setting, names in (("exclude", options.exclude), ("only", options.only or [])):
        for name in names:
            if name not in known:
                hint = nearest(name, known) or "; `edgecheck blame` lists the names of nodes"
                raise ModelError(f"quantize.{setting}: it has no node {name!r}{hint}")


def _range_notes(options: Quantize) -> list[Diagnostic]:
    return [Diagnostic("int8-seven-bits", severity="note")] if options.reduce_range else []


class _Reader:
    """A `CalibrationDataReader`: feeds ONNX Runtime's calibration batch by batch."""

    def __init__(self, file: Path, calibration: Calibration) -> None:
        pixels = onnx.load(file, load_external_data=False).graph.input[0]
        fixed = pixels.type.tensor_type.shape.dim[0].dim_value
        self.name, self.batches = pixels.name, self._batches(calibration, fixed or BATCH)

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
    """Yield the file with shapes inferred and constants folded, as ONNX Runtime's quantizer requires."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory(prefix="edgecheck-") as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        yield prepared
