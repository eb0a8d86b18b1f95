"""What is odd about an ONNX file and what to do about it, one line each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx
from attrs import frozen

from edgecheck.device.model.graph import GraphCounts
from edgecheck.device.model.lowering import lowered
from edgecheck.device.model.operators import MACS
from edgecheck.device.model.tensors import stored
from edgecheck.device.model.weights import SCALED, owner_of, stored_constants, uses_of, values
from edgecheck.device.runtime.denormals import Gain
from edgecheck.device.runtime.layers import LAYOUT
from edgecheck.errors import MeasurementError
from edgecheck.records import LayerCost

# Of the work: below this another channel count would gain nothing to speak of.
PADDED_SHARE = 0.10
# Time with subnormal numbers flushed, as a share: above this the cure gains nothing to speak of.
HELPFUL = 0.95
ZERO_SHARE = 0.10  # training leaves next to no exact zeros, rounding to int8 a few per cent
# Of the types a CPU computes in: float16 is widened first, and out of the subnormal range by that.
SMALLEST_NORMAL = {np.dtype(kind): np.finfo(kind).tiny for kind in (np.float32, np.float64)}
# ONNX Runtime and the newest opset and IR version it reads. Boards are behind: the default is the oldest one that
# edgecheck is declared for.
RUNTIMES = (("1.18", 21, 10), ("1.16", 19, 9), ("1.14", 18, 8))


@frozen
class Target:
    """The newest opset and IR version that the device's ONNX Runtime reads."""

    max_opset: int = RUNTIMES[0][1]
    max_ir: int = RUNTIMES[0][2]


def diagnose(
    model: onnx.ModelProto, counts: GraphCounts, target: Target, cure: Callable[[], Gain] | None = None
) -> list[str]:
    """Return warnings with advice about a file that can be measured all the same.

    Args:
        model: the file as `files.load_model` gives it.
        counts: the same file as `graph.count` gives it.
        target: what the ONNX Runtime on the device reads.
        cure: measures what `session.set_denormal_as_zero` gains; asked only where there are subnormal weights.
    """
    found = [
        _subnormals(model, cure),
        _zeros(counts),
        _unsupported(counts),
        _batch(counts),
        _external(counts),
        _too_new("opset", counts.opset, target.max_opset),
        _too_new("IR version", counts.ir_version, target.max_ir),
    ]
    return [warning for warning in found if warning]


def nonfinite_weights(model: onnx.ModelProto) -> list[str]:
    """Return the names of weights that hold NaN or infinity: no output of such a file can be trusted.

    An infinite bound of Clip, padding or mask is no weight and is left alone; NaN is wrong anywhere.
    """
    uses, found = uses_of(model.graph), []
    for name, constant in stored_constants(model.graph).items():
        if not stored(constant).is_float:
            continue
        owner = owner_of(uses.get(name, []), uses)
        array = values(constant)
        if np.isnan(array).any() or (np.isinf(array).any() and _multiplies(owner)):
            found.append(name)
    return found


def _multiplies(owner: onnx.NodeProto | None) -> bool:
    """Whether a node is a layer, whose stored floats are weights, biases, statistics or scales."""
    op_type = lowered(owner).op_type if owner is not None else ""
    return op_type in MACS or op_type.startswith(SCALED) or op_type.endswith("Normalization")


def _subnormals(model: onnx.ModelProto, cure: Callable[[], Gain] | None) -> str:
    count = 0
    for constant in stored_constants(model.graph).values():
        array = values(constant) if stored(constant).is_float else np.zeros(0)
        if array.dtype in SMALLEST_NORMAL:
            count += int(np.count_nonzero((array != 0) & (np.abs(array) < SMALLEST_NORMAL[array.dtype])))
    if not count:
        return ""
    gained = _gained(cure) if cure else ""
    return (
        f"{count} subnormal weights, which slow many CPUs several times: run with the session option "
        f"session.set_denormal_as_zero=1{gained}, or set them to zero before export"
    )


def _gained(cure: Callable[[], Gain]) -> str:
    try:
        gain = cure()
    except MeasurementError as error:
        return f" (what that gains was not measured: {error})"
    helps = "" if gain.ratio < HELPFUL else ": this processor does not mind, others do"
    times = f"{gain.as_is_s:.3g} s a run as it is, {gain.flushed_s:.3g} s so, {gain.ratio:.2f} times"
    return f" (measured here: {times}{helps})"


def _zeros(counts: GraphCounts) -> str:
    zeros = counts.params_graph - counts.params_nonzero
    if not counts.params_graph or zeros < ZERO_SHARE * counts.params_graph:
        return ""
    # The same words for every file (the share is params.nonzero), so that a report can say it once for all.
    return (
        "many weights are zero but stored densely: ONNX Runtime computes all of them, so they save neither bytes nor "
        "time; remove whole filters for that"
    )


def padded(counts: GraphCounts, layers: Sequence[LayerCost]) -> list[str]:
    """Return a warning where channel counts that fill no vector register cost ONNX Runtime work.

    It pads channels to whole blocks, or changes the layout of data before and after a layer that it cannot pad.
    """
    if not layers or counts.unsupported:
        return []
    computed = sum(layer.macs or 0 for layer in layers)
    moving = sum(layer.seconds for layer in layers if layer.layer == LAYOUT) / sum(layer.seconds for layer in layers)
    wasted = computed / counts.macs - 1 if counts.macs else 0.0
    if wasted <= PADDED_SHARE:
        return []
    return [
        f"channel counts that vector units dislike: ONNX Runtime computes {wasted:+.0%} MACs of padding and spends "
        f"{moving:.0%} of the time on changing layouts; keep channels at multiples of 16 (round_to when pruning)"
    ]


def _unsupported(counts: GraphCounts) -> str:
    if not counts.unsupported:
        return ""
    return f"MACs are a lower bound: the work of {', '.join(counts.unsupported)} is not known; judge speed by latency"


def _batch(counts: GraphCounts) -> str:
    if counts.batch in (None, 1):
        return ""
    return f"made for batches of {counts.batch}: MACs and memory are of {counts.batch} images; export with a free batch"


def _external(counts: GraphCounts) -> str:
    if not counts.external_files:
        return ""
    return (
        f"weights lie in {', '.join(counts.external_files)} beside the file: always copy both, or export a single file"
    )


def _too_new(what: str, version: int, highest: int) -> str:
    if version <= highest:
        return ""
    runtime = next((f"ONNX Runtime {name}" for name, *known in RUNTIMES if highest in known), "the device")
    return (
        f"{what} {version} is newer than {runtime} reads ({highest}): export with a lower one; measure.max_opset and "
        "measure.max_ir say what the device reads, a criterion such as opset <= 17 makes it count"
    )
