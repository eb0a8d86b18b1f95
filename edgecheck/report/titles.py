"""The headings of columns: short names of the metrics, on one or more lines."""

from __future__ import annotations

from edgecheck.corruption.table import PREFIX
from edgecheck.metrics import family_of

_TITLES: dict[str, tuple[str, ...]] = {
    "accuracy_drop_pp": ("drop",),
    "accuracy_drop_pp.worst_class": ("worst", "class", "drop"),
    "accuracy.worst_class": ("worst", "class"),
    "accuracy.top5": ("top-5",),
    "cam.degenerate_share": ("all-zero", "maps"),
    "parity.max_abs": ("parity", "max_abs"),
    "parity.agreement": ("parity", "agree"),
    "latency.p50_s": ("latency", "p50"),
    "latency.p90_s": ("latency", "p90"),
    "latency.cold_s": ("cold", "start"),
    "latency.ratio": ("latency", "ratio"),
    "size.bytes": ("size",),
    "size.zlib_bytes": ("size", "zlib"),
    "macs": ("MACs",),
    "flops": ("FLOPs",),
    "js_divergence": ("JS", "divergence"),
    "negative_flip_rate": ("negative", "flips"),
    "positive_flip_rate": ("positive", "flips"),
    "memory.activation_bytes": ("live", "memory"),
    "memory.rss_bytes": ("peak", "RSS"),
    "energy.per_inference_j": ("energy",),
}
_FAMILIES = {"sp2ps": ("Sp2PS",), "sp2ps_corrected": ("Sp2PS", "corrected"), "pe_like": ("PE-like",)}


def of(metric: str) -> tuple[str, ...]:
    """Return the heading of the column of a metric, such as ("Sp2PS", "grad-", "cam")."""
    if metric in _TITLES:
        return _TITLES[metric]
    if metric.startswith(PREFIX):
        return ("excess", *_hyphenated(metric.removeprefix(PREFIX)))
    family, _, rest = metric.partition(".")
    if family_of(metric) in _FAMILIES:
        return (*_FAMILIES[family], *_hyphenated(rest))
    return tuple(part for part in (*family.split("_"), *rest.split("_")) if part)


def _hyphenated(name: str) -> tuple[str, ...]:
    """Return `grad-cam` as ("grad-", "cam"), and `jpeg-3` as one part: a number alone says nothing."""
    *rest, last = name.split("-")
    if last.isdigit() and rest:
        *rest, stem = rest
        last = f"{stem}-{last}"
    return (*(f"{word}-" for word in rest), last)
