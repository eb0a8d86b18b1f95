"""Integer sums that saturate: the same int8 file gives other numbers on x86 CPUs without VNNI.

There ONNX Runtime multiplies with an instruction (`vpmaddubsw`, and its older form) that adds two neighbouring products
of an unsigned activation and a signed weight in 16 bits: 255 x 127 + 255 x 127 = 64,770 becomes 32,767. Weights of 7
bits fit. VNNI and ARM instructions add in 32 bits. ONNX Runtime's session option `session.x64quantprecision` has such
CPUs take unsigned weights, which are added in 32 bits too; elsewhere it changes nothing.
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
from edgecheck.score.selection import selected

X86 = ("x86_64", "AMD64", "i686", "i386")
# Features of x86 CPUs that add int8 products in 32 bits.
VNNI = ("avx512_vnni", "avx_vnni", "amx_int8")
LARGEST_ACTIVATION = np.iinfo(np.uint8).max
INT16 = np.iinfo(np.int16)
# The levels of graph optimization at which ONNX Runtime turns QuantizeLinear and DequantizeLinear around a layer into
# integer arithmetic, and at which it heeds `session.x64quantprecision`.
FUSING = ("all", "extended")


@frozen
class Saturation:
    """What saturated sums change on `images` images: predicted classes, and logits by how much at most."""

    images: int
    changed: int
    max_abs: float


def can_saturate(model: onnx.ModelProto, graph_optimization: str = "all") -> bool:
    """Return whether some layer multiplies in integers by weights of which two could saturate a 16-bit sum.

    Args:
        model: the file as `files.load_model` gives it.
        graph_optimization: the level at which the file is run (`runtime.LEVELS`).

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
    """Compare what a file gives on this CPU with what it gives where no sum saturates.

    Args:
        path: the file.
        options: how it was run.
        pixels: preprocessed images `(N, C, H, W)`.
        logits: what it gave for them, `(N, classes)`.
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


def warnings(found: Saturation, machine: str, flags: Collection[str]) -> list[str]:
    """Return what to know of a file that `can_saturate`.

    Args:
        found: what it changes on this CPU.
        machine: the architecture, as `platform.machine` gives it.
        flags: `environment.cpu_flags` of this CPU.
    """
    if found.max_abs > 0:
        return [
            f"int8 sums saturate on this CPU, which has no VNNI: {found.changed} of {found.images} images get another "
            f"class than with exact sums, logits differ by up to {found.max_abs:.3g}; accuracy on a device with VNNI "
            "or on ARM is another one: quantize with 7-bit weights (quantize.reduce_range: true), run with the session "
            "option session.x64quantprecision=1, or measure on the device"
        ]
    has = [flag for flag in VNNI if flag in flags]
    if machine in X86 and flags and not has:
        return []  # it could saturate here, and does not
    return [
        f"8-bit weights: int8 sums are exact on this CPU ({has[0] if has else machine}) and may saturate on x86 CPUs "
        "without VNNI (AVX2, plain AVX-512), where accuracy is then lower: for these quantize with 7-bit weights "
        "(quantize.reduce_range: true), or measure on the device"
    ]


def _in_integers(owner: onnx.NodeProto | None, fused: Collection[str]) -> bool:
    """Return whether a layer is an integer operator, or a float one whose sides both come from DequantizeLinear."""
    if owner is None or lowered(owner).op_type not in MACS:
        return False
    integer = "Integer" in owner.op_type or owner.op_type.startswith(("QLinear", "QGemm", "DynamicQuantize"))
    return integer or all(name in fused for name in owner.input[:2])


def _by_output(weight: NDArray[np.number], parameter: Parameter) -> NDArray[np.number]:
    """Return a weight as `(outputs, all that is summed for one of them)`."""
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
