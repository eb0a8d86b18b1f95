"""Compares the heatmaps of a variant with those of its baseline: scores per image and their summary."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from attrs import asdict, evolve, frozen
from numpy.typing import NDArray

from edgecheck import stats
from edgecheck.errors import DataError, MeasurementError
from edgecheck.progress import Progress, Silent
from edgecheck.records import ImageScore, Mean, Similarity
from edgecheck.score.cam_file import CamFile, Cams, load_cams, save_cams
from edgecheck.score.native import NativeScores
from edgecheck.score.native import compare as native_scores
from edgecheck.score.pairs import PairScores, Scoring, score_pairs
from edgecheck.score.pe_like import confidence, pe_like
from edgecheck.score.sp2ps import sp2ps
from edgecheck.score.ssim import check_size

__all__ = ["CamFile", "Cams", "ImageScores", "Scoring", "compare_images", "load_cams", "save_cams", "summarize"]

# Both sides are rounded to this type before they are compared, or to a coarser one that either was stored in.
STORAGE = np.dtype(np.float32)

# Heatmap pixels of one side per batch (1 MiB in float64): larger batches leave the cache, smaller ones spend their time
# in call overhead.
BATCH_PIXELS = 2**17

# Images with the lowest scores that a report shows.
WORST_IMAGES = 10


@frozen(eq=False)
class ImageScores:
    """The scores of every image; each array has shape `(N,)`.

    Scores are float64 in 0..1. `iou` and `pe_like` are NaN if they were not computed.
    """

    variant: str
    method: str
    labels: NDArray[np.int64]
    baseline_classes: NDArray[np.intp]
    variant_classes: NDArray[np.intp]
    sp2ps: NDArray[np.float64]
    sam: NDArray[np.float64]
    ssim: NDArray[np.float64]
    iou: NDArray[np.float64]
    pe_like: NDArray[np.float64]
    both_zero: NDArray[np.bool_]
    one_zero: NDArray[np.bool_]
    negative_logit: NDArray[np.bool_]
    native: NativeScores

    @property
    def agreeing(self) -> NDArray[np.bool_]:
        """True for images on which both models predict the same class, `(N,)`."""
        return self.baseline_classes == self.variant_classes


def compare_images(
    variant_name: str,
    method: str,
    baseline: Cams,
    variant: Cams,
    labels: NDArray[np.integer],
    scoring: Scoring,
    progress: Progress | None = None,
) -> ImageScores:
    """Return the scores of every image.

    Args:
        variant_name: for errors and the record, with the `method`.
        method: the CAM method.
        baseline: its maps, logits and explained classes.
        variant: the same of the variant.
        labels: integers `(N,)`.
        scoring: heatmap size and the scores to compute.
        progress: receives each batch.

    Raises:
        DataError: the sides do not fit together, there is no image, or the size is below the SSIM window.
        MeasurementError: a map or logit is not finite.
        ConfigError: unknown kind of SAM.
    """
    check_size(*scoring.size)
    baseline, variant = _checked(variant_name, method, baseline, variant, labels)
    pairs = _score_batches(baseline, variant, scoring, f"comparing {method} of {variant_name}", progress)
    return ImageScores(
        variant=variant_name,
        method=method,
        labels=np.asarray(labels, dtype=np.int64),
        baseline_classes=baseline.predictions,
        variant_classes=variant.predictions,
        sp2ps=sp2ps(pairs.sam, pairs.ssim),
        pe_like=pe_like(pairs.ssim, pairs.iou, _confidence(variant) - _confidence(baseline)),
        negative_logit=_negative_logit(baseline) | _negative_logit(variant),
        native=native_scores(baseline.maps, variant.maps),
        **pairs._asdict(),
    )


def summarize(scores: ImageScores, class_names: Sequence[str] = (), seed: int = stats.SEED) -> Similarity:
    """Return mean scores, the 95 % bootstrap interval over images, counts, and the worst images.

    Means per class are grouped by label; a class without images is left out. The PE-like score averages over the images
    of each class, then over classes, as its paper does. A PE-like score that was not computed is NaN: the gate treats
    it as missing.

    Args:
        scores: what `compare_images` returned.
        class_names: by label; the label's number by default.
        seed: of the bootstrap.

    Raises:
        MeasurementError: a score is not finite.
    """
    low, high = stats.mean_interval(scores.sp2ps, seed=seed)
    agreeing = scores.agreeing
    return Similarity(
        variant=scores.variant,
        method=scores.method,
        score=float(scores.sp2ps.mean()),
        low=low,
        high=high,
        n=len(scores.sp2ps),
        agreeing_score=float(scores.sp2ps[agreeing].mean()) if agreeing.any() else None,
        n_agreeing=int(agreeing.sum()),
        ssim=float(scores.ssim.mean()),
        sam=float(scores.sam.mean()),
        pe_like=float(np.mean(list(_class_means(scores.pe_like, scores.labels).values()))),
        both_zero=int(scores.both_zero.sum()),
        one_zero=int(scores.one_zero.sum()),
        negative_logits=int(scores.negative_logit.sum()),
        per_class={
            _name(label, class_names): mean for label, mean in _class_means(scores.sp2ps, scores.labels).items()
        },
        worst=_worst(scores),
        further=_further(scores.native, seed),
    )


def _score_batches(baseline: Cams, variant: Cams, scoring: Scoring, text: str, progress: Progress | None) -> PairScores:
    step = max(1, BATCH_PIXELS // (scoring.size[0] * scoring.size[1]))
    starts = range(0, len(baseline), step)
    batches = [
        score_pairs(baseline.maps[i : i + step], variant.maps[i : i + step], scoring)
        for i in (progress or Silent()).track(starts, text, len(starts))
    ]
    return PairScores(*map(np.concatenate, zip(*batches, strict=True)))


def _further(native: NativeScores, seed: int) -> dict[str, Mean]:
    scores: dict[str, NDArray[np.float64]] = asdict(native)
    intervals = stats.mean_intervals(list(scores.values()), seed=seed)
    return {
        family: Mean(float(values.mean()), *interval)
        for (family, values), interval in zip(scores.items(), intervals, strict=True)
    }


def _same_type(baseline: Cams, variant: Cams) -> tuple[Cams, Cams]:
    """Round the maps of both sides to one type: otherwise a variant equal to its baseline would not score 1."""
    coarsest = min(STORAGE, baseline.maps.dtype, variant.maps.dtype, key=lambda kind: kind.itemsize)
    with np.errstate(over="ignore"):  # _check_finite reports an overflow, with its image
        return (
            evolve(baseline, maps=baseline.maps.astype(coarsest, copy=False)),
            evolve(variant, maps=variant.maps.astype(coarsest, copy=False)),
        )


def _confidence(cams: Cams) -> NDArray[np.float64]:
    """Return the probability of the explained class, `(N,)`."""
    return confidence(cams.logits, cams.classes)


def _negative_logit(cams: Cams) -> NDArray[np.bool_]:
    explained: NDArray[np.floating] = cams.logits[np.arange(len(cams)), cams.classes]
    return explained < 0


def _class_means(values: NDArray[np.float64], labels: NDArray[np.int64]) -> dict[int, float]:
    return {int(label): float(values[labels == label].mean()) for label in np.unique(labels)}


def _name(label: int, class_names: Sequence[str]) -> str:
    return class_names[label] if label < len(class_names) else str(label)


def _worst(scores: ImageScores) -> list[ImageScore]:
    return [
        ImageScore(
            index=int(index),
            score=float(scores.sp2ps[index]),
            label=int(scores.labels[index]),
            baseline_class=int(scores.baseline_classes[index]),
            variant_class=int(scores.variant_classes[index]),
        )
        for index in np.argsort(scores.sp2ps, kind="stable")[:WORST_IMAGES]
    ]


def _checked(
    variant_name: str, method: str, baseline: Cams, variant: Cams, labels: NDArray[np.integer]
) -> tuple[Cams, Cams]:
    """Return both sides with maps of one type, after checking that they fit together and are finite."""
    _check_shapes(variant_name, baseline, variant, labels)
    baseline, variant = _same_type(baseline, variant)
    _check_finite("baseline", method, baseline)
    _check_finite(variant_name, method, variant)
    return baseline, variant


def _check_shapes(variant_name: str, baseline: Cams, variant: Cams, labels: NDArray[np.integer]) -> None:
    lengths = {len(baseline.maps), len(variant.maps), len(baseline.logits), len(variant.logits), len(labels)}
    if lengths == {0} or len(lengths) > 1:
        raise DataError(
            f"{variant_name}: {len(baseline)} heatmaps of the baseline, {len(variant)} of the variant and "
            f"{len(labels)} labels; explain both on the same images, at least one"
        )
    if baseline.logits.shape != variant.logits.shape:
        raise DataError(
            f"{variant_name}: {variant.logits.shape[1]} classes, but the baseline has {baseline.logits.shape[1]}; "
            "only models of the same classes can be compared"
        )


def _check_finite(name: str, method: str, cams: Cams) -> None:
    bad = ~(np.isfinite(cams.maps).all(axis=(1, 2)) & np.isfinite(cams.logits).all(axis=1))
    if bad.any():
        raise MeasurementError(
            f"{name}: {int(bad.sum())} of {len(cams)} {method} maps or their logits are not finite, first at image "
            f"{int(bad.argmax())}; look for NaN or overflow in its weights"
        )
