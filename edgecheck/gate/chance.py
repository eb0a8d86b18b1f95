"""Whether the baseline recognizes the images at all, or does little better than guessing. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from edgecheck.binomial import binomial_tail
from edgecheck.corruption.table import PREFIX
from edgecheck.records import Reading, Variant

# Times the accuracy of guessing among all classes. Below the first, a run looks for a preprocessing that does better;
# below the second, the report warns.
SUSPECT, WARN = 3.0, 2.0

# Probability of accepting a guessing baseline: once in a thousand runs, as for stopping latency sampling too early.
CHANCE_ALPHA = 0.001

_ON_LABELS = (
    *("accuracy", "agreement", "calibration.", "quantization.agreement", PREFIX, "negative_flip", "positive_flip"),
    *("error_ratio", "pie_rate", "confidence_shift", "operating_point", "js_divergence"),
)


def on_labels(metric: str) -> bool:
    """Return whether a metric is meaningless if the baseline does not recognize the images."""
    return metric.startswith(_ON_LABELS)


def suspicious(accuracy: float, classes: int) -> bool:
    """Return whether a baseline is so close to guessing that its preprocessing may be wrong."""
    return accuracy < SUSPECT / classes


def near_guessing(accuracy: float, classes: int) -> bool:
    """Return whether a baseline is little better than guessing; False for two classes or fewer, where it is unclear."""
    return classes > WARN and accuracy < WARN / classes


def guessing(variants: Sequence[Variant], readings: Sequence[Reading], chance: float | None) -> str:
    """Return why no verdict can depend on the baseline's accuracy; "" if it is significantly above chance.

    Args:
        variants: of the run.
        readings: of the run.
        chance: share of the test images in the most frequent class: the accuracy of always answering that class.
    """
    baselines = [v.name for v in variants if v.role == "baseline"]
    accuracy = next((r for r in readings if r.metric == "accuracy" and r.variant in baselines), None)
    if accuracy is None or accuracy.value is None or not math.isfinite(accuracy.value) or not accuracy.n:
        return "the baseline's accuracy is missing, so nothing shows that it recognizes the images"
    if chance is None:
        return "the report does not hold how often guessing is right on these images: run it again"
    if not guesses(round(accuracy.value * accuracy.n), accuracy.n, chance):
        return ""
    told = f"of {accuracy.n:,} images, and always answering the most frequent class on {100 * chance:.2f} %"
    return f"the baseline is right on {100 * accuracy.value:.2f} % {told}: {_suspected(accuracy.n, chance)}"


def guesses(right: int, n: int, chance: float) -> bool:
    """Return whether `right` answers of `n` may be guesses, each right with probability `chance`."""
    return binomial_tail(right, n, chance) > CHANCE_ALPHA


def _suspected(n: int, chance: float) -> str:
    if guesses(n, n, chance):
        return "too few images, or too few classes among them, to tell any model from a guess; test with more"
    return "no better than a guess; check preprocessing (range, mean, std), the order of the classes, labels, weights"
