"""Saturation of integer sums: an int8 file computes other values on x86 CPUs without VNNI.

On these, ONNX Runtime multiplies with an instruction (`vpmaddubsw`, or its older form) that adds two neighbouring
products of an unsigned activation and a signed weight in 16 bits: 255 x 127 + 255 x 127 = 64,770 becomes 32,767.
Weights of 7 bits fit. VNNI and ARM instructions add in 32 bits. With the session option `session.x64quantprecision`,
ONNX Runtime uses unsigned weights on such CPUs, which are added in 32 bits too; elsewhere the option has no effect.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import attrs
import numpy as np
import onnx
from attrs import frozen
from numpy.typing import NDArray

from edgecheck.classes import Selection
from edgecheck.device.model.lowering import lowered
from edgecheck.device.model.operators import MACS
from edgecheck.device.model.weights import Parameter, parameters, stored_constants, values
from edgecheck.device.runtime import session
from edgecheck.device.runtime.ort import Options
from edgecheck.records import Diagnostic
from edgecheck.score.selection import selected

X86 = ("x86_64", "AMD64", "i686", "i386")
# CPU flags of the x86 instructions that add int8 products in 32 bits.
VNNI = ("avx512_vnni", "avx_vnni", "amx_int8")
LARGEST_ACTIVATION = np.iinfo(np.uint8).max
INT16 = np.iinfo(np.int16)
# The levels of graph optimization at which ONNX Runtime turns QuantizeLinear and DequantizeLinear around a layer into
# integer arithmetic, and at which `session.x64quantprecision` has an effect.
FUSING = ("all", "extended")


@frozen
class Saturation:
    """The effect of saturation on `images` images: `changed` get another class, logits differ by up to `max_abs`."""

    images: int
    changed: int
    max_abs: float


def can_saturate(model: onnx.ModelProto, graph_optimization: str = "all") -> bool:
    """Return whether a layer computes in integers with weights of which two can saturate a 16-bit sum.

    Args:
        model: the file as `files.load_model` gives it.
        graph_optimization: the level at which the file is run (`ort.LEVELS`).

    Raises:
        ModelError: as `weights.parameters`.
    """
    constants = stored_constants(model.graph)
    dequantized = {name for node in model.graph.node if node.op_type == "DequantizeLinear" for name in node.output}
    fused = dequantized if graph_optimization in FUSING else set()
    return any(
        parameter.tensor.dtype == "int8"
        and _in_integers(parameter.owner, fused)
        and _overflows(_by_output(values(constants[parameter.name]), parameter))
        for parameter in parameters(model)
    )


def measure(
    path: Path,
    options: Options,
    pixels: NDArray[np.float32],
    logits: NDArray[np.float32],
    selection: Selection | None = None,
) -> Saturation:
    """Compare the logits of a file on this CPU with those of exact sums.

    Args:
        path: the file.
        options: how it was run.
        pixels: preprocessed images, float32 `(N, C, H, W)`.
        logits: its output for them, float32 `(N, classes)`.
        selection: which outputs `logits` holds; None: all.

    Raises:
        ModelError: as `session.open_classifier`.
        MeasurementError: as `session.Classifier.run`.
    """
    level = options.graph_optimization if options.graph_optimization in FUSING else FUSING[-1]
    classifier = session.open_classifier(path, attrs.evolve(options, graph_optimization=level, exact_sums=True))
    exact = selected(classifier.run(pixels), selection)
    changed = int(np.count_nonzero(exact.argmax(axis=1) != logits.argmax(axis=1)))
    return Saturation(len(pixels), changed, float(np.abs(exact - logits).max()))


def warnings(measured: Saturation, machine: str, flags: Collection[str]) -> list[Diagnostic]:
    """Return warnings about a file that `can_saturate`.

    Args:
        measured: the effect of saturation on this CPU.
        machine: the architecture, as `platform.machine` gives it.
        flags: `environment.cpu_flags` of this CPU.
    """
    if measured.max_abs > 0:
        changed, images = measured.changed, measured.images
        return [Diagnostic("int8-saturates", {"changed": changed, "images": images, "max_abs": measured.max_abs})]
    exact = [flag for flag in VNNI if flag in flags]
    if machine in X86 and flags and not exact:
        return []  # saturation is possible here, but does not occur
    return [Diagnostic("int8-may-saturate", {"cpu": exact[0] if exact else machine})]


def _in_integers(owner: onnx.NodeProto | None, fused: Collection[str]) -> bool:
    """Return whether a layer is an integer operator, or a float one whose sides both come from DequantizeLinear."""
    if owner is None or lowered(owner).op_type not in MACS:
        return False
    integer = "Integer" in owner.op_type or owner.op_type.startswith(("QLinear", "QGemm", "DynamicQuantize"))
    return integer or all(name in fused for name in owner.input[:2])


def _by_output(weight: NDArray[np.number], parameter: Parameter) -> NDArray[np.number]:
    """Return a weight as `(outputs, products summed per output)`."""
    owner = parameter.owner
    transposed = owner is not None and any(a.name == "transB" and a.i for a in owner.attribute)
    is_convolution = owner is not None and "Conv" in owner.op_type
    first = weight if is_convolution or transposed else np.moveaxis(weight, -1, 0)
    return first.reshape(first.shape[0], -1)


def _overflows(weight: NDArray[np.number]) -> bool:
    """Return whether two weights of an output, times the largest activation, leave the range of 16 bits."""
    ordered = np.sort(np.pad(weight.astype(np.int64), ((0, 0), (1, 1))), axis=1)  # a lone weight is added to nothing
    highest, lowest = ordered[:, -2:].sum(axis=1).max(), ordered[:, :2].sum(axis=1).min()
    return bool(LARGEST_ACTIVATION * highest > INT16.max or LARGEST_ACTIVATION * lowest < INT16.min)
