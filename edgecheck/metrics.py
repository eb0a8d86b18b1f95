"""The metrics. Their names are a public interface, used in gates, JSON and JUnit.

Values are in SI or plain units; `report.format` formats them.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Literal, get_args

from attrs import Attribute, evolve, field, frozen

from edgecheck.attribution.table import METHODS
from edgecheck.corruption.table import KINDS, PREFIX, SEVERITIES, Corruption, of_metric
from edgecheck.registry import lookup

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


_SP2PS = "Renza & Ballesteros 2023, Eq. 8"
_LATENCY = "one session.run on one image"
_EXCESS = "Liebenwein et al. 2021 (arXiv:2103.03014); images after Hendrycks & Dietterich 2019 (arXiv:1903.12261)"

# The metrics of each attribution method: family, unit, meaning, source; higher is better. In this order they are listed.
_OF_METHODS: tuple[tuple[str, Unit, str, str], ...] = (
    ("sp2ps", "score", "similarity of the {} heatmaps of baseline and variant", _SP2PS),
    ("sp2ps_corrected", "score", "(sp2ps.{0} - chance) / (1 - chance), where chance is the similarity of the baseline's own maps of different images: 0 at chance, negative below it", "ours"),
    ("pe_like", "score", "SSIM, IoU and confidence change on {} heatmaps", "after Pachon, Renza & Ballesteros 2023; the combining rule is ours"),
    ("spearman", "score", "rank correlation of the {} maps of baseline and variant, at the resolution of the layer", "Adebayo et al. 2018"),
    ("top20_iou", "score", "intersection over union of the highest 20 % of the {} maps, .11 by chance; ties are taken in together", "intersection over union"),
    ("pointing", "fraction", "share of images on which the maxima of the {} maps are at most one cell apart; always 1 on maps of up to 2x2 cells", "after Zhang et al. 2016, pointing game"),
    ("fidelity", "score", "Sp2PS of a quantized file against its own float file, {}, for the class that the float file predicts: how much quantization alone moved the maps", _SP2PS),
)  # fmt: skip

METHOD_FAMILIES = tuple(family for family, *_ in _OF_METHODS)
MAP_FAMILIES = METHOD_FAMILIES[:-1]  # compare the maps of a variant with those of the baseline


ANY_METHOD = "METHOD"  # stands for each attribution method in lists


def family_of(metric: str) -> str:
    """Return the part of a name before the first dot: `sp2ps` of `sp2ps.grad-cam`."""
    return metric.partition(".")[0]


def compares_maps(metric: str) -> bool:
    """Return whether a metric compares the maps of a variant with those of the baseline."""
    return family_of(metric) in MAP_FAMILIES


def metrics_of(method: str) -> tuple[Metric, ...]:
    """Return the metrics of an attribution method: `sp2ps.METHOD`, `pe_like.METHOD`, `spearman.METHOD` and so on."""
    return tuple(
        Metric(f"{family}.{method}", unit, "higher", meaning.format(method), source)
        for family, unit, meaning, source in _OF_METHODS
    )


def excess_error(corruption: Corruption) -> Metric:
    """Return the metric of the excess error under a corruption."""
    return Metric(corruption.metric, "pp", "lower", _excess_meaning(corruption.kind, str(corruption.severity)), _EXCESS)


def _excess_meaning(kind: str, severity: str) -> str:
    added = f"error that {KINDS[kind].meaning} of severity {severity} adds"
    return f"{added} to the variant, minus what it adds to the baseline"


_ALL = (
    Metric("accuracy", "fraction", "higher", "share of test images the ONNX file classifies correctly", "top-1"),
    Metric("accuracy.top5", "fraction", "higher", "share of test images whose class is among the five largest outputs", "top-5"),
    Metric("accuracy.worst_class", "fraction", "higher", "accuracy on the class where it is lowest", "top-1"),
    Metric("accuracy_drop_pp", "pp", "lower", "accuracy of the baseline minus that of the variant", "top-1"),
    Metric("calibration.error", "fraction", "lower", "expected calibration error: difference of confidence and accuracy, over 15 bins", "Guo et al. 2017, Eq. 3"),
    Metric("accuracy_drop_pp.worst_class", "pp", "lower", "largest accuracy drop on one class", "top-1"),
    Metric("error_ratio", "ratio", "lower", "errors of the variant plus 1/2 over those of the baseline plus 1/2", "top-1; the 1/2 keeps it finite"),
    Metric("negative_flip_rate", "fraction", "lower", "share of images that the baseline classifies correctly and the variant does not", "Yan et al. 2021, positive-congruent training"),
    Metric("positive_flip_rate", "fraction", "higher", "share of images that the variant classifies correctly and the baseline does not", "Yan et al. 2021, positive-congruent training"),
    Metric("pie_rate", "fraction", "lower", "share of images whose most frequent class over at least 5 seeds of the variant is not that over the seeds of its control", "Hooker et al. 2019, pruning identified exemplars"),
    Metric("confidence_shift", "fraction", "lower", "mean change, up or down, of the probability of the class that the baseline predicts", "softmax"),
    Metric("operating_point_shift", "fraction", "lower", "share of images that a cut-off of 0.5 on the confidence accepts in only one of baseline and variant", "softmax"),
    Metric("js_divergence", "score", "lower", "Jensen-Shannon divergence of the probabilities of baseline and variant, mean, 0..1 bit", "Lin 1991"),
    Metric("agreement", "fraction", "higher", "share of images on which variant and baseline predict the same class", "top-1"),
    *(excess_error(Corruption(kind, severity)) for kind in KINDS for severity in SEVERITIES),
    *chain(*zip(*map(metrics_of, METHODS), strict=True)),
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


def find(name: str) -> Metric:
    """Return the metric of a name.

    Raises:
        ConfigError: the name is unknown; the message suggests the closest names and lists all, each family once.
    """
    return lookup(METRICS, name, "metric", dict.fromkeys(map(_pattern, METRICS)))


def _pattern(metric: str) -> str:
    """Return a name in which METHOD stands for the attribution method, and KIND-N for the corruption."""
    if of_metric(metric):
        return f"{PREFIX}KIND-N"
    return f"{family_of(metric)}.METHOD" if family_of(metric) in METHOD_FAMILIES else metric


def listed_name(metric: str) -> str:
    """Return the name by which `listed` has a metric: `sp2ps.METHOD` for `sp2ps.grad-cam`."""
    if family_of(metric) in METHOD_FAMILIES:
        return f"{family_of(metric)}.{ANY_METHOD}"
    corruption = of_metric(metric)
    return metric if corruption is None else f"{PREFIX}{corruption.kind}-N"


def listed() -> Iterator[Metric]:
    """Yield all metrics for a list to read: one for all attribution methods, and one for all severities."""
    by_method = {metric.name: metric for metric in metrics_of(ANY_METHOD)}
    for metric in METRICS.values():
        corruption, family = of_metric(metric.name), family_of(metric.name)
        if family in METHOD_FAMILIES:
            if general := by_method.pop(f"{family}.{ANY_METHOD}", None):
                yield general
        elif corruption is None:
            yield metric
        elif corruption.severity == SEVERITIES[0]:
            meaning = _excess_meaning(corruption.kind, f"N = {SEVERITIES[0]} (weak) to {SEVERITIES[-1]}")
            yield evolve(metric, name=f"{PREFIX}{corruption.kind}-N", meaning=meaning)
