"""Selects the images whose heatmaps a report shows: those that moved most, that changed class, and typical ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from edgecheck.records.gallery import Group, Shown
from edgecheck.score.cam_file import CamFile
from edgecheck.score.pe_like import confidence


@frozen(eq=False)
class Answers:
    """What a model answers to each image: the class, and its probability in 0..1; each `(N,)`."""

    classes: NDArray[np.intp]
    confidence: NDArray[np.float64]

    @classmethod
    def of(cls, cams: CamFile) -> Answers:
        """Return those of the model whose maps a file holds."""
        classes = cams.logits.argmax(axis=1)
        return cls(classes, confidence(cams.logits, classes))


def select(
    sp2ps: NDArray[np.float64], labels: NDArray[np.int64], before: Answers, after: Answers, count: int
) -> list[tuple[Group, int]]:
    """Return the group and the index of each image to show; an image is in one group only.

    - `moved`: both models answer the same class; the lowest Sp2PS first.
    - `changed`: they answer different classes; first the images that the baseline had right, the surest first, then
      the others in the same way.
    - `typical`: of the remaining images, those whose Sp2PS is nearest to the median of all.

    Of equal images, the first in the test split comes first.

    Args:
        sp2ps: of each image, `(N,)`.
        labels: of each image, `(N,)`.
        before: the answers of the baseline.
        after: the answers of the variant.
        count: images per group.
    """
    same = before.classes == after.classes
    lost = before.classes == labels
    moved = _first(np.flatnonzero(same), sp2ps)[:count]
    changed = _first(np.flatnonzero(~same), ~lost, -before.confidence)[:count]
    shown = np.zeros(len(sp2ps), dtype=bool)
    shown[[*moved, *changed]] = True
    typical = _first(np.flatnonzero(~shown), np.abs(sp2ps - np.median(sp2ps)))[:count]
    groups: list[tuple[Group, list[int]]] = [("moved", moved), ("changed", changed), ("typical", typical)]
    return [(group, index) for group, indices in groups for index in indices]


def _first(images: NDArray[np.intp], *keys: NDArray[np.generic]) -> list[int]:
    """Return images by rising keys, of which the first counts most."""
    order = np.lexsort([key[images] for key in reversed(keys)])
    return [int(index) for index in images[order]]


def records(
    chosen: Sequence[tuple[Group, int]],
    sp2ps: dict[str, NDArray[np.float64]],
    labels: NDArray[np.int64],
    before: Answers,
    after: Answers,
) -> list[Shown]:
    """Return the records of chosen images; `sp2ps` is by method."""
    return [
        Shown(
            index=index,
            group=group,
            label=int(labels[index]),
            baseline_class=int(before.classes[index]),
            baseline_confidence=float(before.confidence[index]),
            variant_class=int(after.classes[index]),
            variant_confidence=float(after.confidence[index]),
            sp2ps={method: float(scores[index]) for method, scores in sp2ps.items()},
        )
        for group, index in chosen
    ]
