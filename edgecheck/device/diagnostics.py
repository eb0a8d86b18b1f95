"""Diagnoses what makes measurements misleading: properties of an ONNX file, and conditions on the device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import onnx
from attrs import asdict, frozen

from edgecheck.device.model.graph import GraphCounts
from edgecheck.device.model.lowering import lowered
from edgecheck.device.model.operators import MACS
from edgecheck.device.model.tensors import stored
from edgecheck.device.model.weights import SCALED, owner_of, stored_constants, uses_of, values
from edgecheck.device.runtime.denormals import Gain
from edgecheck.device.runtime.layers import LAYOUT
from edgecheck.errors import MeasurementError
from edgecheck.records import Diagnostic, LayerCost
from edgecheck.records.board import CPU, Conditions, Placement

PADDED_SHARE = 0.10  # of the MACs; with less padding, another channel count gains almost nothing
HELPFUL = (
    0.95  # ratio of the times with and without flushing subnormal numbers to zero; above it, the gain is negligible
)
ZERO_SHARE = 0.10  # training leaves almost no exact zeros, rounding to int8 a few percent
# Only types that a CPU computes in. float16 is converted to float32 first, where its values are not subnormal.
SMALLEST_NORMAL = {np.dtype(kind): np.finfo(kind).tiny for kind in (np.float32, np.float64)}
# Releases of ONNX Runtime with the newest opset and IR version that they read. Devices lag behind: the default is the
# oldest release that edgecheck supports.
RUNTIMES = (("1.18", 21, 10), ("1.16", 19, 9), ("1.14", 18, 8))


@frozen
class Target:
    """The newest opset and IR version that the device's ONNX Runtime reads."""

    max_opset: int = RUNTIMES[0][1]
    max_ir: int = RUNTIMES[0][2]


def diagnose(
    model: onnx.ModelProto, counts: GraphCounts, target: Target, cure: Callable[[], Gain] | None = None
) -> list[Diagnostic]:
    """Return warnings about a file, which can be measured nevertheless.

    Args:
        model: the file, from `files.load_model`.
        counts: the counts of the same file, from `graph.count`.
        target: the versions that the ONNX Runtime on the device supports.
        cure: measures the gain of `session.set_denormal_as_zero`; called only if there are subnormal weights.

    Raises:
        ModelError: raised by `weights.values`.
    """
    return [
        *_subnormals(model, cure),
        *_zeros(counts),
        *uncounted(counts),
        *_batch(counts),
        *_external(counts),
        *_too_new(counts, target),
    ]


def nonfinite_weights(model: onnx.ModelProto) -> list[str]:
    """Return the names of weights with NaN or infinite values, which make all outputs unreliable.

    An infinite bound of a Clip, padding value or mask is not a weight and is allowed; NaN is wrong anywhere.
    """
    uses, broken = uses_of(model.graph), []
    for name, constant in stored_constants(model.graph).items():
        if not stored(constant).is_float:
            continue
        owner = owner_of(uses.get(name, []), uses)
        array = values(constant)
        if np.isnan(array).any() or (np.isinf(array).any() and _multiplies(owner)):
            broken.append(name)
    return broken


def _multiplies(owner: onnx.NodeProto | None) -> bool:
    """Whether a node is a layer, whose stored floats are weights, biases, statistics or scales."""
    op_type = lowered(owner).op_type if owner is not None else ""
    return op_type in MACS or op_type.startswith(SCALED) or op_type.endswith("Normalization")


def _subnormals(model: onnx.ModelProto, cure: Callable[[], Gain] | None) -> Iterator[Diagnostic]:
    count = 0
    for constant in stored_constants(model.graph).values():
        array = values(constant) if stored(constant).is_float else np.zeros(0)
        if array.dtype in SMALLEST_NORMAL:
            count += int(np.count_nonzero((array != 0) & (np.abs(array) < SMALLEST_NORMAL[array.dtype])))
    if count:
        gain, failure = _measured(cure) if cure else (None, None)
        yield Diagnostic(
            "subnormal-weights",
            {
                "weights": count,
                "as_is_s": gain and gain.as_is_s,
                "flushed_s": gain and gain.flushed_s,
                "helps": gain and gain.ratio < HELPFUL,
                "not_measured": failure,
            },
        )


def _measured(cure: Callable[[], Gain]) -> tuple[Gain | None, str | None]:
    """Return the gain of flushing to zero, or why it was not measured."""
    try:
        return cure(), None
    except MeasurementError as error:
        return None, str(error)


def _zeros(counts: GraphCounts) -> Iterator[Diagnostic]:
    zeros = counts.params_graph - counts.params_nonzero
    if counts.params_graph and zeros >= ZERO_SHARE * counts.params_graph:
        # Without the share (see params.nonzero), so that the diagnostics of several variants are equal and shown once.
        yield Diagnostic("zero-weights")


def padded(counts: GraphCounts, layers: Sequence[LayerCost]) -> list[Diagnostic]:
    """Return a warning if channel counts that do not fill vector registers cause extra work.

    ONNX Runtime pads channels to whole blocks, or changes the data layout around a layer that it cannot pad.
    """
    if not layers or counts.unsupported:
        return []
    computed = sum(layer.macs or 0 for layer in layers)
    moving = sum(layer.seconds for layer in layers if layer.layer == LAYOUT) / sum(layer.seconds for layer in layers)
    wasted = computed / counts.macs - 1 if counts.macs else 0.0
    if wasted <= PADDED_SHARE:
        return []
    return [Diagnostic("channel-padding", {"padding_share": wasted, "layout_share": moving})]


def uncounted(counts: GraphCounts) -> list[Diagnostic]:
    """Return a warning if the cost of some operators is unknown."""
    if not counts.unsupported:
        return []
    return [Diagnostic("macs-lower-bound", {"operators": list(counts.unsupported)})]


def _batch(counts: GraphCounts) -> Iterator[Diagnostic]:
    if counts.batch not in (None, 1):
        yield Diagnostic("batch-fixed", {"batch": counts.batch})


def _external(counts: GraphCounts) -> Iterator[Diagnostic]:
    if counts.external_files:
        yield Diagnostic("external-weights", {"files": list(counts.external_files)})


def _too_new(counts: GraphCounts, target: Target) -> Iterator[Diagnostic]:
    opset, ir_version = counts.opset, counts.ir_version
    if opset > target.max_opset:
        runtime = next((name for name, newest, _ in RUNTIMES if newest == target.max_opset), None)
        yield Diagnostic("opset-too-new", {"version": opset, "supported": target.max_opset, "runtime": runtime})
    if ir_version > target.max_ir:
        runtime = next((name for name, _, newest in RUNTIMES if newest == target.max_ir), None)
        yield Diagnostic("ir-version-too-new", {"version": ir_version, "supported": target.max_ir, "runtime": runtime})


def throttling(conditions: Conditions) -> list[Diagnostic]:
    """Return a warning if the device was throttled, and notes on what its sensors could not tell."""
    told = []
    if conditions.throttled:
        told.append(Diagnostic("device-throttled", {"signs": [asdict(sign) for sign in conditions.signs]}))
    if conditions.throttled is None:
        told.append(Diagnostic("throttling-unknown", severity="note"))
    if conditions.before:
        told.append(Diagnostic("throttled-before", {"kinds": list(conditions.before)}, severity="note"))
    if conditions.unread:
        told.append(
            Diagnostic("sensors-unread", {"sources": [asdict(unread) for unread in conditions.unread]}, severity="note")
        )
    return told


def fallback(placement: Placement) -> list[Diagnostic]:
    """Return a warning if nodes ran on the CPU although another provider was asked for."""
    if not placement.fallback_share:
        return []
    nodes = sum(ran.nodes for ran in placement.providers.values())
    return [
        Diagnostic(
            "provider-fallback",
            {
                "provider": placement.asked,
                "on_cpu": placement.providers[CPU].nodes,
                "nodes": nodes,
                "time_share": placement.fallback_time_share,
            },
        )
    ]
