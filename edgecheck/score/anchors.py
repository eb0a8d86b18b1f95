"""Points that show where the scale of Sp2PS lies: chance, copies with random parameters, and the score above chance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from attrs import evolve
from numpy.typing import NDArray

from edgecheck import stats
from edgecheck.records import Mark
from edgecheck.score.cam_file import Cams
from edgecheck.score.compare import compare_images
from edgecheck.score.pairs import Scoring

ONE_IMAGE = "chance compares the maps of different images, and there is only one"

# Two neighbours of the cycle share an image, so their scores are correlated (about .3 on ResNet-20 and CIFAR-10). The
# means of this many neighbours hardly are.
NEIGHBOURS = 8
FEWEST_GROUPS = 10  # with fewer, a bootstrap says nothing about the spread

# The 97.5 % quantiles of Student's t distribution, by degrees of freedom from 1: half of a 95 % interval.
T_QUANTILES = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)

# Scores agree with their definition to this difference, so a smaller distance between chance and 1 is no scale.
SCORE_PRECISION = 1e-6


def taken(cams: Cams, places: NDArray[np.integer] | Sequence[int]) -> Cams:
    """Return the images at some places, in this order."""
    return evolve(cams, maps=cams.maps[places], logits=cams.logits[places], classes=cams.classes[places])


def pairs(n: int, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return n images, and another one for each: they form one cycle in an order drawn by the seed.

    The second array is a permutation of the first one without fixed points, for n of at least 2.
    """
    order = np.random.default_rng(seed).permutation(n)
    return order, np.roll(order, -1)


def chance(method: str, cams: Cams, scoring: Scoring, seed: int) -> Mark:
    """Return the Sp2PS of a network's maps against its own maps of other images.

    Each image is compared with another one, see `pairs`. The score is the mean over the images.

    Args:
        method: the attribution method, for errors.
        cams: the maps `(N, h, w)` of the network.
        scoring: heatmap size and kind of SAM.
        seed: of the order, and of the bootstrap interval.

    Raises:
        DataError: the heatmap size is below the SSIM window.
        MeasurementError: a map or logit is not finite.
    """
    if len(cams) < 2:
        return Mark(n=len(cams), reason=ONE_IMAGE)
    images, others = pairs(len(cams), seed)
    scores = sp2ps_of(method, taken(cams, images), taken(cams, others), scoring)
    groups = np.array_split(scores, max(len(scores) // NEIGHBOURS, min(len(scores), FEWEST_GROUPS)))
    low, high = stats.mean_interval([group.mean() for group in groups], seed=seed)
    return Mark(float(scores.mean()), low, high, len(scores))


def sp2ps_of(method: str, one: Cams, other: Cams, scoring: Scoring) -> NDArray[np.float64]:
    """Return the Sp2PS `(N,)` of each pair of maps.

    Raises:
        DataError: the two sides do not fit together, or the heatmap size is below the SSIM window.
        MeasurementError: a map or logit is not finite.
    """
    return compare_images("", method, one, other, one.classes, evolve(scoring, pe_like=False)).sp2ps


def over_copies(scores: Sequence[NDArray[np.float64]]) -> Mark:
    """Return the mean over copies with different random parameters.

    Copies differ by more than the images of one copy do, so the interval is Student's t over the copies' means. One
    copy has no interval.

    Args:
        scores: the Sp2PS of each copy, `(n,)` over its own images; at most 10 copies.
    """
    means = np.array([each.mean() for each in scores])
    mean, n = float(means.mean()), sum(map(len, scores))
    if len(means) < 2:
        return Mark(mean, n=n)
    half = T_QUANTILES[len(means) - 2] * float(means.std(ddof=1)) / np.sqrt(len(means))
    return Mark(mean, max(0.0, mean - half), min(1.0, mean + half), n)


def corrected(score: float, chance: float) -> float:
    """Return (score - chance) / (1 - chance): 1 for identical maps, 0 at chance, negative below it; as Cohen's kappa.

    Raises:
        ZeroDivisionError: chance is 1.
    """
    return (score - chance) / (1 - chance)


def no_scale(chance: Mark) -> str:
    """Return why no score can be corrected for chance; "" where it can."""
    if chance.value is None:
        return chance.reason
    if 1 - chance.value <= SCORE_PRECISION:
        return "chance is 1: the baseline's maps of different images are equal"
    return ""
