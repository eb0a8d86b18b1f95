"""The metrics. Their names are a public interface, used in gates, JSON and JUnit.

Values are in SI or plain units; `report.format` formats them.
"""

from __future__ import annotations

from typing import Literal, get_args

from attrs import Attribute, field, frozen

from edgecheck.attribution.table import METHODS

Unit = Literal["fraction", "pp", "score", "s", "bytes", "count", "ratio", "logit", "J"]
Better = Literal["higher", "lower"]
DecidedBy = Literal["interval", "point"]


def _known(_metric: object, attribute: Attribute[str], value: str) -> None:
    known = get_args({"unit": Unit, "better": Better}[attribute.name])
    if value not in known:
        raise ValueError(f"unknown {attribute.name} {value!r}; known: {', '.join(known)}")


@frozen
class Metric:
    """A metric: its unit, the better direction, and the source of its formula.

    `decided_by` is the default rule for its criteria: the whole 95 % interval of a reading, if it has one, or the value.
    """

    name: str
    unit: Unit = field(validator=_known)
    better: Better = field(validator=_known)
    meaning: str
    source: str
    decided_by: DecidedBy = "point"


# The families of metrics with one metric per attribution method, such as `sp2ps.grad-cam`. The first ones compare the
# maps of a variant with those of the baseline.
MAP_FAMILIES = ("sp2ps", "sp2ps_corrected", "pe_like")
METHOD_FAMILIES = (*MAP_FAMILIES, "fidelity")


def family_of(metric: str) -> str:
    """Return what comes before the first dot of a metric's name, such as `sp2ps`."""
    return metric.partition(".")[0]


def compares_maps(metric: str) -> bool:
    """Return whether a metric compares the heatmaps of a variant with those of the baseline."""
    return family_of(metric) in MAP_FAMILIES


_SP2PS = "Renza & Ballesteros 2023, Eq. 8"
_PE_LIKE = "after Pachon, Renza & Ballesteros 2023; the combining rule is ours"
_LATENCY = "one session.run on one image"


def metrics_of(method: str) -> tuple[Metric, ...]:
    """Return the metrics of an attribution method, one for each of `METHOD_FAMILIES`."""
    similarity = f"similarity of the {method} heatmaps of baseline and variant"
    corrected = (
        f"(sp2ps.{method} - chance) / (1 - chance), where chance is the similarity of the baseline's own maps of "
        "different images: 0 at chance, negative below it"
    )
    alone = (
        f"Sp2PS of a quantized file against its own float file, {method}, for the class that the float file predicts: "
        "how much quantization alone moved the maps"
    )
    combined = f"SSIM, IoU and confidence change on {method} heatmaps"
    return (
        Metric(f"sp2ps.{method}", "score", "higher", similarity, _SP2PS),
        Metric(f"sp2ps_corrected.{method}", "score", "higher", corrected, "ours"),
        Metric(f"pe_like.{method}", "score", "higher", combined, _PE_LIKE),
        Metric(f"fidelity.{method}", "score", "higher", alone, _SP2PS),
    )


_ALL = (
    Metric("accuracy", "fraction", "higher", "share of test images the ONNX file classifies correctly", "top-1"),
    Metric("accuracy.top5", "fraction", "higher", "share of test images whose class is among the five largest outputs", "top-5"),
    Metric("accuracy.worst_class", "fraction", "higher", "accuracy on the class where it is lowest", "top-1"),
    Metric("accuracy_drop_pp", "pp", "lower", "accuracy of the baseline minus that of the variant", "top-1"),
    Metric("calibration.error", "fraction", "lower", "expected calibration error: difference of confidence and accuracy, over 15 bins", "Guo et al. 2017, Eq. 3"),
    Metric("agreement", "fraction", "higher", "share of images on which variant and baseline predict the same class", "top-1"),
    *(metrics_of(method)[place] for place in range(len(METHOD_FAMILIES)) for method in METHODS),
    Metric("cam.degenerate_share", "fraction", "lower", "share of image pairs with an all-zero heatmap, worst method", "ours: an all-zero map has no direction"),
    Metric("latency.p50_s", "s", "lower", "median time of one inference", _LATENCY, "interval"),
    Metric("latency.p90_s", "s", "lower", "90th percentile time, upper order statistic of at least 64 samples", "MLPerf LoadGen", "interval"),
    Metric("latency.cold_s", "s", "lower", "session creation and first run, with library and file already in memory", "median over openings", "interval"),
    Metric("latency.ratio", "ratio", "lower", "median latency of the variant over that of the baseline", "per block, bootstrap over blocks", "interval"),
    Metric("size.bytes", "bytes", "lower", "the .onnx file with its external data", "file system"),
    Metric("size.zlib_bytes", "bytes", "lower", "size.bytes after compression, which zeros reduce", "zlib level 6"),
    Metric("opset", "count", "lower", "version of the ONNX operators that the file uses", "ONNX file"),
    Metric("ir_version", "count", "lower", "version of the ONNX format of the file", "ONNX file"),
    Metric("params", "count", "lower", "trainable parameters of the twin", "torch module"),
    Metric("params.graph", "count", "lower", "float initializer elements of the ONNX file", "ONNX graph"),
    Metric("params.nonzero", "count", "lower", "float initializer elements that are not zero", "ONNX graph"),
    Metric("macs", "count", "lower", "multiply-adds of one inference", "ONNX graph"),
    Metric("macs.nonzero", "count", "lower", "multiply-adds whose weight is not zero, the work of a runtime that skips zeros", "ONNX graph"),
    Metric("flops", "count", "lower", "2 x MACs", "ONNX graph"),
    Metric("memory.activation_bytes", "bytes", "lower", "peak of live activations over the execution order", "liveness over the graph that ONNX Runtime runs"),
    Metric("memory.rss_bytes", "bytes", "lower", "peak resident memory of a fresh process that runs the file", "operating system"),
    Metric("energy.per_inference_j", "J", "lower", "energy of one inference, of all that the device's counter covers and with its idle power", "RAPL or INA3221 counter of the device"),
    Metric("provider.fallback_share", "fraction", "lower", "share of nodes that ran on the CPU although another execution provider was asked for", "node assignment and profile of ONNX Runtime"),
    Metric("parity.max_abs", "logit", "lower", "largest difference between the logits of ONNX file and twin; on another device, between those of the file there and on the host", "all images of the comparison"),
    Metric("quantization.agreement", "fraction", "higher", "share of images on which a quantized file and its float file predict the same class", "top-1"),
    Metric("parity.agreement", "fraction", "higher", "share of images on which ONNX file and twin predict the same class; on another device, the file there and on the host", "top-1"),
)  # fmt: skip

METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}
