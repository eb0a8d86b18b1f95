"""Whether a file with a heatmap gives the logits of the file that it was made from, and the maps of the map source."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import attrs
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from edgecheck.attribution.engine import maps_of
from edgecheck.attribution.source import ExplainedSubject
from edgecheck.device.explain.branch import OUTPUT, BranchMethod, Explaining
from edgecheck.device.explain.source import opened
from edgecheck.device.explain.tail import Array, flat
from edgecheck.device.runtime import ort
from edgecheck.device.runtime.ort import Options
from edgecheck.device.runtime.session import Classifier, Feed, open_classifier
from edgecheck.errors import MeasurementError
from edgecheck.progress import Progress

TOLERANCE = 1e-4  # of the maps, relative to the largest value: float32 sums in another order
# Of maps in float16, whose own rounding is 2^-11: ONNX Runtime omits it between layers that it computes in float32.
HALF_TOLERANCE = 2e-3
BATCH_SIZE = 8  # few, because some branches hold a copy of the map for each of its positions


@frozen(eq=False)
class WithHeatmap(Classifier):
    """An open file whose runs also give the heatmap."""

    def both(self, images: NDArray[np.float32]) -> tuple[Array, Array]:
        """Return class scores `(N, classes)` and heatmaps `(N, h, w)` of images `(N, C, H, W)`, at most one batch."""
        scores, heatmaps = self._outputs(self.feed(images))
        return flat(scores)[: len(images)], heatmaps[: len(images)]

    def run_once(self, feed: Feed) -> np.ndarray:
        """Return the class scores of one run, in which the heatmap is computed too."""
        return self._outputs(feed)[0]

    def _outputs(self, feed: Feed) -> list[np.ndarray]:
        return ort.run(self.path, self.session, [self.signature.output, OUTPUT], feed)


@frozen
class Differences:
    """How far a file with a heatmap is from the file without, over `images`.

    Attributes:
        images: their number.
        maps: largest difference to the maps of the source, relative to the largest value, without graph optimization.
        maps_optimized: the same as the file is run.
        logits_optimized: largest difference of a class score, as the file is run; without optimization there is none.
    """

    images: int
    maps: float
    maps_optimized: float
    logits_optimized: float


@frozen(eq=False)
class _Compared:
    """Scores of both files, and maps of the file and of the source, on the same images."""

    before: Array
    after: Array
    heatmaps: Array
    maps: Array

    @property
    def map_difference(self) -> float:
        """The largest difference of the maps, relative to the largest value."""
        apart = float(np.abs(self.heatmaps - self.maps).max(initial=0))
        return apart / max(float(np.abs(self.maps).max(initial=0)), float(np.finfo(np.float32).tiny))


def open_with_heatmap(path: Path, options: Options) -> WithHeatmap:
    """Open a file with a heatmap.

    Raises:
        ModelError: as `session.open_classifier`.
    """
    whole = open_classifier(path, options)
    return WithHeatmap(whole.path, whole.options, whole.signature, whole.session)


def compare(
    source: Path, made: Path, subject: ExplainedSubject, explaining: Explaining, inputs: Array, progress: Progress
) -> Differences:
    """Compare a file with a heatmap with the file that it was made from, and with the maps of the map source.

    Args:
        source: the file without.
        made: the file with.
        subject: how `source` is explained and run.
        explaining: what `made` was written from.
        inputs: images `(N, C, H, W)`, preprocessed.
        progress: told of the batches.

    Raises:
        MeasurementError: without graph optimization, a bit of a class score differs, or the maps do beyond
            `TOLERANCE` or `HALF_TOLERANCE`; with it, another class is predicted for any image.
        ModelError: the source cannot be explained.
    """
    options: Options = subject.runtime or Options()
    plain = attrs.evolve(options, graph_optimization="disabled")
    exact = _compared(source, made, attrs.evolve(subject, runtime=plain), explaining.method, inputs, progress)
    _require_equal(source, exact, HALF_TOLERANCE if explaining.half else TOLERANCE)
    fast = _compared(source, made, attrs.evolve(subject, runtime=options), explaining.method, inputs, progress)
    changed = int((fast.before.argmax(axis=1) != fast.after.argmax(axis=1)).sum())
    if changed:
        raise MeasurementError(
            f"{source}: with a heatmap, it predicts another class for {changed} of {len(inputs)} images: the further "
            "output keeps ONNX Runtime from fusing operators; name another tensor (--target-layer)"
        )
    largest = float(np.abs(fast.before - fast.after).max(initial=0))
    return Differences(len(inputs), exact.map_difference, fast.map_difference, largest)


def _require_equal(source: Path, exact: _Compared, tolerance: float) -> None:
    if not np.array_equal(exact.before, exact.after, equal_nan=True):
        raise MeasurementError(
            f"{source}: with a heatmap, its class scores are others, even without graph optimization: name another "
            "tensor (--target-layer)"
        )
    if not exact.map_difference <= tolerance:
        raise MeasurementError(
            f"{source}: the heatmap in the file is not edgecheck's: it differs by {exact.map_difference:.2g} of the "
            f"largest value (at most {tolerance:g}); name another tensor (--target-layer) or --method"
        )


def _compared(
    source: Path, made: Path, subject: ExplainedSubject, method: BranchMethod, inputs: Array, progress: Progress
) -> _Compared:
    before, after = open_classifier(source, subject.runtime), open_with_heatmap(made, subject.runtime)
    explained = opened(subject, inputs[:1])
    parts = []
    for batch in _batches(inputs, before.batch, progress):
        answer = explained.answer(batch)
        maps = maps_of(answer, np.asarray(answer.logits).argmax(axis=1), [method])[method]
        parts.append((before.run(batch), *after.both(batch), np.asarray(maps)))
    return _Compared(*(np.concatenate(given) for given in zip(*parts, strict=True)))


def _batches(inputs: Array, fixed: int | None, progress: Progress) -> Iterator[Array]:
    step = fixed or BATCH_SIZE
    starts = range(0, len(inputs), step)
    for start in progress.track(starts, "comparing heatmaps", len(inputs), lambda at: min(step, len(inputs) - at)):
        yield inputs[start : start + step]
