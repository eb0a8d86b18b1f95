"""Which variant to ship: the smallest that passes and is smaller or faster than the baseline. Pure."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping

from edgecheck.records import Reading, Recommendation

# Names and metadata change the size of a file by a few bytes; less than this share is not "smaller".
MEANINGFUL_SIZE_SHARE = 0.01
# Of a dozen equally fast variants, one interval lies below 1 by chance; "faster" requires more.
MEANINGFUL_LATENCY_SHARE = 0.05


def recommend(
    passing: Mapping[str, int], lacking: Container[str], baseline: str, taken: Mapping[tuple[str, str], Reading]
) -> Recommendation:
    """Choose among the passing variants, except those that pass a lenient policy without the required evidence.

    Args:
        passing: the number of waivers that each passing variant needs.
        lacking: variants without required evidence.
        baseline: its name.
        taken: readings by variant and metric.
    """
    if not passing:
        return Recommendation(None, "keep the baseline: no variant passes")
    known = [name for name in passing if name not in lacking]
    if not known:
        return Recommendation(None, "keep the baseline: every passing variant lacks evidence that the gate asks for")
    gained = {name: gains(name, baseline, taken) for name in known}
    useful = [name for name in known if gained[name]]
    if not useful:
        return Recommendation(None, "keep the baseline: no passing variant is smaller or faster")

    def cost(name: str) -> list[float]:
        """Return the sort key: size, then latency; missing values come last."""
        values = [_value(taken.get((name, metric))) for metric in ("size.bytes", "latency.ratio")]
        return [math.inf if value is None else value for value in values]

    best = min(useful, key=cost)
    others = f"; the smallest of {len(useful)} such variants" if len(useful) > 1 else ""
    ratio = taken.get((best, "latency.ratio"))
    slower = f", but {ratio.value:.2f} times as slow" if ratio and ratio.value and (ratio.low or 0) > 1 else ""
    waived = f" with {passing[best]} waiver{'' if passing[best] == 1 else 's'}" if passing[best] else ""
    return Recommendation(
        best, f"it passes{waived} and is {' and '.join(gained[best])} than the baseline{slower}{others}"
    )


def gains(name: str, baseline: str, taken: Mapping[tuple[str, str], Reading]) -> list[str]:
    """Return in what a variant is better than the baseline, beyond noise and metadata."""
    own, reference = (_value(taken.get((variant, "size.bytes"))) for variant in (name, baseline))
    smaller = own is not None and reference is not None and own < reference * (1 - MEANINGFUL_SIZE_SHARE)
    ratio = taken.get((name, "latency.ratio"))
    faster = ratio is not None and ratio.high is not None and ratio.high < 1 - MEANINGFUL_LATENCY_SHARE
    return [word for word, holds in (("smaller", smaller), ("faster", faster)) if holds]


def _value(reading: Reading | None) -> float | None:
    return reading.value if reading else None
