"""Baseline against variant, image by image, and the summary of it: how alike do they look at the same pictures?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray

from edgecheck import stats
from edgecheck.config.plan import SamKind
from edgecheck.errors import DataError, MeasurementError
from edgecheck.progress import Progress, Silent
from edgecheck.records import ImageScore, Similarity
from edgecheck.score.cam_file import CamFile, Cams, load_cams, save_cams
from edgecheck.score.pairs import score_pairs
from edgecheck.score.pe_like import confidence, pe_like
from edgecheck.score.sp2ps import sp2ps
from edgecheck.score.ssim import check_size

__all__ = ["CamFile", "Cams", "ImageScores", "compare", "compare_images", "load_cams", "save_cams", "summarize"]

# Both sides are rounded to this type, or to a coarser one that either was stored in, before they are compared.
STORAGE = np.dtype(np.float32)

# Heatmap pixels of one side per batch, 1 MiB in float64 where they are made at all: more maps at a time leave the
# cache, fewer pay more for calls.
BATCH_PIXELS = 2**17

# The images a report shows when somebody asks where the explanations went.
WORST_IMAGES = 10


@frozen(eq=False)
class ImageScores:
    """The comparison of every image, each array `(N,)`; what `summarize` and the curious read.

    `pe_like` is NaN throughout where it was left out.
    """

    variant: str
    method: str
    labels: NDArray[np.int64]
    baseline_classes: NDArray[np.intp]
    variant_classes: NDArray[np.intp]
    sp2ps: NDArray[np.float64]
    sam: NDArray[np.float64]
    ssim: NDArray[np.float64]
    pe_like: NDArray[np.float64]
    both_zero: NDArray[np.bool_]
    one_zero: NDArray[np.bool_]
    negative_logit: NDArray[np.bool_]

    @property
    def agreeing(self) -> NDArray[np.bool_]:
        """Whether both models predict the same class."""
        return self.baseline_classes == self.variant_classes


def compare(
    variant_name: str,
    method: str,
    baseline: Cams,
    variant: Cams,
    labels: NDArray[np.integer],
    size: tuple[int, int],
    sam: SamKind = "map",
    class_names: Sequence[str] = (),
    seed: int = stats.SEED,
    progress: Progress | None = None,
    with_pe_like: bool = True,
) -> Similarity:
    """Return how alike the heatmaps of variant and baseline are: `summarize(compare_images(...))`.

    Left out, the PE-like score is NaN: a missing reading for the gate, and JSON refuses the record.
    """
    scores = compare_images(variant_name, method, baseline, variant, labels, size, sam, progress, with_pe_like)
    return summarize(scores, class_names, seed)


def compare_images(
    variant_name: str,
    method: str,
    baseline: Cams,
    variant: Cams,
    labels: NDArray[np.integer],
    size: tuple[int, int],
    sam: SamKind = "map",
    progress: Progress | None = None,
    with_pe_like: bool = True,
) -> ImageScores:
    """Score every image; a dozen numbers per image are kept.

    Heatmaps are made only for what needs their pixels (see `pairs`), a few at a time.

    Args:
        variant_name: for errors and the record.
        method: the CAM method, for errors and the record.
        baseline: maps of any resolution, logits `(N, C)`, classes `(N,)`.
        variant: the same of the variant, over the same images.
        labels: `(N,)`.
        size: (height, width) of the input, to which the maps are resized.
        sam: how the spectral angle is taken.
        progress: is told of every batch.
        with_pe_like: False leaves out the PE-like score, whose IoU needs the pixels; it then is NaN.

    Raises:
        DataError: the sides do not fit together, there is no image, or `size` is below SSIM's window.
        MeasurementError: a map or logit is not finite.
        ConfigError: no such kind of SAM.
    """
    _check_shapes(variant_name, baseline, variant, labels)
    baseline, variant = _same_type(baseline, variant)
    _check_finite("baseline", method, baseline)
    _check_finite(variant_name, method, variant)
    check_size(*size)
    step = max(1, BATCH_PIXELS // (size[0] * size[1]))
    starts = range(0, len(labels), step)
    batches = [
        score_pairs(baseline.maps[i : i + step], variant.maps[i : i + step], size, sam, with_pe_like)
        for i in (progress or Silent()).track(starts, f"comparing {method} of {variant_name}", len(starts))
    ]
    sams, ssims, ious, both_zero, one_zero = map(np.concatenate, zip(*batches, strict=True))
    change = confidence(variant.logits, variant.classes) - confidence(baseline.logits, baseline.classes)
    return ImageScores(
        variant=variant_name,
        method=method,
        labels=np.asarray(labels, dtype=np.int64),
        baseline_classes=baseline.predictions,
        variant_classes=variant.predictions,
        sp2ps=sp2ps(sams, ssims),
        sam=sams,
        ssim=ssims,
        pe_like=pe_like(ssims, ious, change),
        both_zero=both_zero,
        one_zero=one_zero,
        negative_logit=(_explained_logit(baseline) < 0) | (_explained_logit(variant) < 0),
    )


def summarize(scores: ImageScores, class_names: Sequence[str] = (), seed: int = stats.SEED) -> Similarity:
    """Return the means, the 95 % bootstrap interval over images, the counts and the worst images.

    Per class goes by label; a class without images is left out. The PE-like score is the mean over classes of the
    mean over images, as its paper has it. `class_names` default to the numbers.
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
    )


def _same_type(baseline: Cams, variant: Cams) -> tuple[Cams, Cams]:
    """Round both sides' maps alike: else a variant equal to its baseline would not score 1."""
    coarsest = min(STORAGE, baseline.maps.dtype, variant.maps.dtype, key=lambda kind: kind.itemsize)
    with np.errstate(over="ignore"):  # what overflows is refused next, with its image
        return (
            evolve(baseline, maps=baseline.maps.astype(coarsest, copy=False)),
            evolve(variant, maps=variant.maps.astype(coarsest, copy=False)),
        )


def _explained_logit(cams: Cams) -> NDArray[np.floating]:
    return cams.logits[np.arange(len(cams)), cams.classes]


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
