"""How the predictions of a variant shift from those of its baseline, on the same images: flips, confidence, errors."""

from __future__ import annotations

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from edgecheck import stats
from edgecheck.records import NewlyWrong, Reading, reading
from edgecheck.score.parity import log_probabilities

CUT_OFF = 0.5  # of the confidence: what an application commonly accepts
CONTINUITY = 0.5  # errors added to both sides of a ratio, so that it is finite for a baseline without errors
NEWLY_WRONG = 10  # images kept, those first of which the baseline was surest


@frozen(eq=False)
class Side:
    """What one model answers: `predicted` classes `(N,)`, and `probabilities` float64 `(N, C)`.

    The predictions are those of the outputs: of two that nearly tie, the probabilities can be equal.
    """

    predicted: NDArray[np.intp]
    probabilities: NDArray[np.float64]

    @classmethod
    def of(cls, outputs: NDArray[np.floating]) -> Side:
        """Return the answers in outputs `(N, C)`, logits or softmax."""
        return cls(outputs.argmax(axis=1), np.exp(log_probabilities(outputs)))

    @property
    def accepted(self) -> NDArray[np.bool_]:
        """True where the confidence reaches `CUT_OFF`, `(N,)`."""
        return self.probabilities.max(axis=1) >= CUT_OFF


@frozen(eq=False)
class Pair:
    """The answers of the baseline, `before`, and of a variant, `after`, to the same images; labels int64 `(N,)`."""

    before: Side
    after: Side
    labels: NDArray[np.int64]

    @classmethod
    def of(cls, baseline: NDArray[np.floating], variant: NDArray[np.floating], labels: NDArray[np.int64]) -> Pair:
        """Return the pair of outputs `(N, C)`, logits or softmax."""
        return cls(Side.of(baseline), Side.of(variant), labels)

    @property
    def right_before(self) -> NDArray[np.bool_]:
        """True where the baseline is right, `(N,)`."""
        return self.before.predicted == self.labels

    @property
    def right_after(self) -> NDArray[np.bool_]:
        """True where the variant is right, `(N,)`."""
        return self.after.predicted == self.labels


def readings(variant: str, pair: Pair) -> list[Reading]:
    """Return the readings on flips, errors, confidence and divergence, with 95 % intervals."""
    lost, gained = pair.right_before & ~pair.right_after, pair.right_after & ~pair.right_before
    return [
        _share(variant, "negative_flip_rate", lost),
        _share(variant, "positive_flip_rate", gained),
        _error_ratio(variant, pair),
        _mean(variant, "confidence_shift", confidence_shift(pair)),
        _operating_point(variant, pair),
        _mean(variant, "js_divergence", js_divergence(pair)),
    ]


def confidence_shift(pair: Pair) -> NDArray[np.float64]:
    """Return per image by how much the probability of the class that the baseline predicts changes, `(N,)` in 0..1."""
    places = np.arange(len(pair.labels)), pair.before.predicted
    return np.abs(pair.after.probabilities[places] - pair.before.probabilities[places])


def js_divergence(pair: Pair) -> NDArray[np.float64]:
    """Return the Jensen-Shannon divergence of the probabilities of each image in bits, `(N,)` in 0..1 (Lin 1991)."""
    before, after = pair.before.probabilities, pair.after.probabilities
    middle = (before + after) / 2
    nats = [(side * np.log(side / middle)).sum(axis=1) for side in (before, after)]
    return np.clip((nats[0] + nats[1]) / (2 * np.log(2)), 0, 1)


def same_acceptance(pair: Pair) -> float:
    """Return the cut-off at which the variant accepts as many images as the baseline does at `CUT_OFF`."""
    accepted = int(pair.before.accepted.sum())
    falling = np.sort(pair.after.probabilities.max(axis=1))[::-1]
    return float(falling[accepted - 1]) if accepted else 1.0


def newly_wrong(
    baseline: NDArray[np.floating], variant: NDArray[np.floating], labels: NDArray[np.int64]
) -> list[NewlyWrong]:
    """Return the images that the baseline classifies correctly and the variant does not, by falling margin there.

    Args:
        baseline: its outputs `(N, C)`, logits or softmax.
        variant: those of the variant.
        labels: `(N,)`.
    """
    lost = np.flatnonzero((baseline.argmax(axis=1) == labels) & (variant.argmax(axis=1) != labels))
    if not len(lost):
        return []
    pair = Pair.of(baseline[lost], variant[lost], labels[lost])
    before, after = (_margins(side.probabilities, pair.labels) for side in (pair.before, pair.after))
    return [
        NewlyWrong(
            index=int(lost[i]),
            label=int(pair.labels[i]),
            variant_class=int(pair.after.predicted[i]),
            baseline_margin=float(before[i]),
            variant_margin=float(after[i]),
        )
        for i in np.argsort(-before, kind="stable")[:NEWLY_WRONG]
    ]


def _margins(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the probability of the label minus the largest other one, `(N,)`."""
    others = probabilities.copy()
    images = np.arange(len(labels))
    others[images, labels] = -np.inf
    return probabilities[images, labels] - others.max(axis=1, initial=0.0)


def _mean(variant: str, metric: str, values: NDArray[np.float64]) -> Reading:
    return reading(variant, metric, float(values.mean()), stats.mean_interval(values), len(values))


def _share(variant: str, metric: str, hits: NDArray[np.bool_], note: str = "") -> Reading:
    count, n = int(hits.sum()), len(hits)
    return reading(variant, metric, count / n, stats.wilson_interval(count, n), n, note)


def _error_ratio(variant: str, pair: Pair) -> Reading:
    """Return the ratio of errors; its interval draws the outcomes of the images again.

    As in the interval of the accuracy drop, one image more is lost and gained, so that it has a width without any.
    """
    n, wrong_before, wrong_after = len(pair.labels), ~pair.right_before, ~pair.right_after
    both, lost, gained = wrong_before & wrong_after, wrong_after & ~wrong_before, wrong_before & ~wrong_after
    counts = np.array([both.sum(), lost.sum(), gained.sum()])
    shares = (counts + np.array([0, 1, 1])) / (n + 2)
    drawn = np.random.default_rng(stats.SEED).multinomial(n, [*shares, 1 - shares.sum()], size=stats.RESAMPLES)
    tail = (1 - stats.CONFIDENCE) / 2
    low, high = np.quantile(_ratio(drawn), [tail, 1 - tail])
    value, note = float(_ratio(counts)), f"{wrong_after.sum()} errors, of the baseline {wrong_before.sum()}"
    return reading(variant, "error_ratio", value, (min(float(low), value), max(float(high), value)), n, note)


def _ratio(counts: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the ratio of errors from the numbers of images wrong in both, only after, and only before."""
    both, lost, gained = counts[..., 0], counts[..., 1], counts[..., 2]
    return (both + lost + CONTINUITY) / (both + gained + CONTINUITY)


def _operating_point(variant: str, pair: Pair) -> Reading:
    before, after = pair.before.accepted, pair.after.accepted
    note = (
        f"a cut-off of {CUT_OFF} accepts {100 * after.mean():.1f} % of the images, in the baseline "
        f"{100 * before.mean():.1f} %; {same_acceptance(pair):.2f} accepts as many as there"
    )
    return _share(variant, "operating_point_shift", before != after, note)
