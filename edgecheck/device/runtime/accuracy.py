"""Predictions of a file on labelled images: accuracy, calibration, and agreement with the baseline."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgecheck import images
from edgecheck.config.plan import Preprocessing
from edgecheck.device.runtime.session import Classifier, check_class_count
from edgecheck.errors import DataError, ModelError
from edgecheck.images import ImageSet
from edgecheck.progress import Progress, Silent
from edgecheck.records import Reading, reading
from edgecheck.score.parity import log_probabilities
from edgecheck.score.selection import selected
from edgecheck.stats import Interval, Z, wilson_interval

# Limits the input of a run and thereby its activations (VGG at 224 x 224: 25 MB per image).
BATCH_BYTES = 2 << 20
LARGEST_BATCH = 128  # beyond this a larger batch is no faster on a CPU
FLOAT32_BYTES = 4

PERCENT = 100.0
TOP = 5
CALIBRATION_BINS = 15  # as in the paper


def predict(
    classifier: Classifier, data: ImageSet, how: Preprocessing, progress: Progress | None = None
) -> NDArray[np.float32]:
    """Return the outputs of a file for each image, float32 `(N, classes)`, logits or probabilities.

    If the data selects outputs, only these are returned, in the order of its classes.

    Raises:
        ConfigError: the preprocessing does not fit the images' channels.
        DataError: the images do not have the size that the file expects, or a label is not one of its classes.
        ModelError: NaN or infinite outputs.
        MeasurementError: a run failed.
    """
    step = _batch_size(data, classifier.batch or 1)
    starts = range(0, len(data), step)
    outputs = np.concatenate(
        [
            classifier.run(images.preprocess(data.images[start : start + step], how))
            for start in (progress or Silent()).track(
                starts, "predicting", len(data), lambda start: min(step, len(data) - start)
            )
        ]
    )
    _check_finite(classifier.path, outputs)
    check_class_count(classifier.path, outputs.shape[1], data)
    return selected(outputs, data.selection)


def readings(
    variant: str,
    logits: NDArray[np.float32],
    labels: NDArray[np.int64],
    baseline_logits: NDArray[np.float32] | None = None,
) -> list[Reading]:
    """Return accuracies and calibration error and, given a baseline, the drop in percentage points and the agreement.

    Shares have a 95 % Wilson score interval. The drop has the interval of `drop_interval`, for paired samples, and a
    note on how many images differ. Top-5 is missing with five classes or fewer.

    Args:
        variant: its name in the readings.
        logits: finite `(N, classes)`, from `predict`.
        labels: `(N,)`.
        baseline_logits: finite `(N, classes)` of the baseline on the same images.

    Raises:
        DataError: the arrays differ in length.
    """
    sizes = {len(labels), len(logits), len(labels if baseline_logits is None else baseline_logits)}
    if len(sizes) != 1:
        raise DataError(f"{variant}: outputs and labels differ in length {sorted(sizes)}: predict again")
    n, right = len(labels), logits.argmax(axis=1) == labels
    taken = [
        reading(variant, "accuracy", right.mean(), wilson_interval(int(right.sum()), n), n),
        _top5(variant, logits, labels),
        reading(variant, "accuracy.worst_class", min(per_class(logits, labels).values()), n=n),
        reading(variant, "calibration.error", calibration_error(logits, labels), n=n),
    ]
    return taken if baseline_logits is None else [*taken, *_beside(variant, logits, labels, baseline_logits)]


def _beside(
    variant: str, logits: NDArray[np.float32], labels: NDArray[np.int64], baseline_logits: NDArray[np.float32]
) -> list[Reading]:
    """Return the accuracy drop against the baseline and the agreement with it."""
    n, predicted, expected = len(labels), logits.argmax(axis=1), baseline_logits.argmax(axis=1)
    right, was_right, same = predicted == labels, expected == labels, predicted == expected
    lost, gained = int((was_right & ~right).sum()), int((right & ~was_right).sum())
    drop = PERCENT * (lost - gained) / n
    note = f"{lost} images lost, {gained} gained; exact McNemar test: p = {mcnemar(lost, gained):.2g}"
    return [
        reading(variant, "accuracy_drop_pp", drop, drop_interval(lost, gained, n), n, note),
        reading(variant, "agreement", same.mean(), wilson_interval(int(same.sum()), n), n),
    ]


def per_class(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> dict[int, float]:
    """Return the accuracy, 0..1, for each class that has images."""
    right = logits.argmax(axis=1) == labels
    return {int(label): float(right[labels == label].mean()) for label in np.unique(labels)}


def calibration_error(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Return the expected calibration error, 0..1 (Guo et al. 2017, Eq. 3), of outputs that are logits or softmax.

    Images are put into 15 bins of equal width by the probability of their predicted class; it is the mean over images
    of |mean probability - accuracy| of their bin.
    """
    probabilities = np.exp(log_probabilities(logits))
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = np.bincount(bins, confidence - right, minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(labels))


def mcnemar(lost: int, gained: int) -> float:
    """Return the two-sided p-value of McNemar's exact test of equally likely losses and gains."""
    differing, fewer = lost + gained, min(lost, gained)
    if differing == 0:
        return 1.0
    return min(1.0, 2 * math.exp(_log_binomial_cdf(differing, fewer)))


def _log_binomial_cdf(n: int, k: int) -> float:
    """Return log P(Binomial(n, 1/2) <= k), without underflow for any n."""
    terms = [math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) for i in range(k + 1)]
    largest = max(terms)
    return largest + math.log(sum(math.exp(term - largest) for term in terms)) - n * math.log(2)


def _top5(variant: str, logits: NDArray[np.float32], labels: NDArray[np.int64]) -> Reading:
    classes, n = logits.shape[1], len(labels)
    if classes <= TOP:
        return reading(
            variant, "accuracy.top5", None, note=f"with {classes} classes, nearly every prediction would count"
        )
    among = int((np.argpartition(-logits, TOP - 1, axis=1)[:, :TOP] == labels[:, None]).any(axis=1).sum())
    return reading(variant, "accuracy.top5", among / n, wilson_interval(among, n), n)


def drop_interval(lost: int, gained: int, n: int) -> Interval:
    """Return the 95 % interval of the accuracy drop in percentage points, from the images on which the two differ.

    Only images right in one and wrong in the other say something of the difference of paired shares (McNemar).
    The normal interval is adjusted by one image more on either side (Bonett & Price 2012), so that it keeps its
    coverage with few such images, and has a width where there are none.

    Args:
        lost: images right in the baseline and wrong in the variant.
        gained: images wrong in the baseline and right in the variant.
        n: all images.
    """
    down, up = (lost + 1) / (n + 2), (gained + 1) / (n + 2)
    half = Z * math.sqrt((down + up - (down - up) ** 2) / (n + 2))
    return PERCENT * max(down - up - half, -1.0), PERCENT * min(down - up + half, 1.0)


def _batch_size(data: ImageSet, multiple: int) -> int:
    """Return how many images to run at once: whole batches of the file, and few enough for the memory of a board."""
    fitting = min(max(BATCH_BYTES // (math.prod(data.shape) * FLOAT32_BYTES), 1), LARGEST_BATCH)
    return max(fitting // multiple, 1) * multiple


def _check_finite(path: Path, outputs: NDArray[np.float32]) -> None:
    broken = np.flatnonzero(~np.isfinite(outputs).all(axis=1))
    if len(broken):
        raise ModelError(
            f"{path}: NaN or infinite outputs on {len(broken)} of {len(outputs)} images, first on image {broken[0]}: "
            "look for overflow (float16?) and check the preprocessing"
        )
