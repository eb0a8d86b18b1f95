"""Runs the tail of a cut file, in the batches that it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from edgecheck.device.explain.adjoints import Local, adjoint_of
from edgecheck.device.explain.cut import Cut
from edgecheck.device.runtime import ort
from edgecheck.device.runtime.ort import Options
from edgecheck.errors import ModelError

Array = NDArray[np.float32]

# Bytes of feature maps that the tail takes at once: larger runs leave the cache and gain nothing.
CHUNK_BYTES = 8 * 2**20
COPY_TOLERANCE = 1e-4  # relative to the largest logit: float32 sums in another order


@frozen(eq=False)
class Passed:
    """A batch of N images at the target.

    Attributes:
        maps: the real feature maps `(N, K, h, w)`.
        others: the values that cross, by name.
        classes: the explained output of each image `(N,)`.
        values: the values of the chain, by name, the map and the logits included.
    """

    maps: Array
    others: Mapping[str, NDArray[np.generic]]
    classes: NDArray[np.int64]
    values: Mapping[str, Array]

    @property
    def divisible(self) -> bool:
        """Whether all others have one entry per image, so that images can be taken out and repeated."""
        return all(by_image(value, len(self.maps)) for value in self.others.values())


class Tail:
    """From feature maps to logits; `batch` is the only number of images that the file takes, None for any."""

    def __init__(self, where: Path, cut: Cut, options: Options, batch: int | None) -> None:
        self.where, self.cut, self.batch = where, cut, batch
        self.outputs = [output.name for output in cut.tail.graph.output]
        self.session = ort.start(where, options, cut.tail.SerializeToString())
        self.copies: bool | None = None  # whether it takes more maps at once than the batch has, once that was tried

    def values(self, maps: Array, others: Mapping[str, NDArray[np.generic]]) -> dict[str, Array]:
        """Return the values of the chain for maps `(N, K, h, w)`, by name; one entry per image."""
        stored = self.cut.target.as_stored(maps)
        named = {self.cut.target.tensor: stored, **others}
        chunks = [self._run(_rows(named, part, len(maps), self.batch)) for part in _parts(len(maps), self.batch)]
        joined = [np.concatenate(given)[: len(maps)] for given in zip(*chunks, strict=True)]
        return {self.cut.target.tensor: stored} | dict(zip(self.outputs, joined, strict=True))

    def logits(self, maps: Array, others: Mapping[str, NDArray[np.generic]]) -> Array:
        """Return the logits `(N, outputs)` of maps `(N, K, h, w)`."""
        return flat(self.values(maps, others)[self.cut.logits])

    def explained(self, passed: Passed, maps: Array) -> Array:
        """Return the explained logits `(N, C)` with the maps of a batch replaced by each of `(N, C, K, h, w)`."""
        images, count = maps.shape[:2]
        if not passed.divisible or not self._takes_copies(passed):
            columns = [self.logits(maps[:, place], passed.others) for place in range(count)]
            return np.stack([_pick(logits, passed.classes) for logits in columns], axis=1)
        at_once = max(1, CHUNK_BYTES // max(1, maps[:, 0].nbytes))
        parts = []
        for start in range(0, count, at_once):
            part = maps[:, start : start + at_once]
            others = {name: np.repeat(value, part.shape[1], axis=0) for name, value in passed.others.items()}
            logits = self.logits(part.reshape(-1, *part.shape[2:]), others)
            parts.append(_pick(logits, np.repeat(passed.classes, part.shape[1])).reshape(images, -1))
        return np.concatenate(parts, axis=1)

    def _takes_copies(self, passed: Passed) -> bool:
        """Return whether the tail gives the same for more maps at once; what crosses may belong to one batch size."""
        if self.copies is None:
            zeros, count = np.zeros_like(passed.maps), len(passed.maps)
            others = {name: np.concatenate([value, value]) for name, value in passed.others.items()}
            alone = [flat(passed.values[self.cut.logits]), self.logits(zeros, passed.others)]
            allowed = COPY_TOLERANCE * max(1.0, *(float(np.abs(logits).max(initial=0)) for logits in alone))
            try:
                together = self.logits(np.concatenate([passed.maps, zeros]), others)
            except (ModelError, ValueError):
                together = np.empty((0, 0), np.float32)
            same = together.shape == (2 * count, alone[0].shape[1])
            self.copies = same and float(np.abs(together - np.concatenate(alone)).max(initial=0)) <= allowed
        return self.copies

    def gradient(self, passed: Passed, behind: int = 0) -> Array:
        """Return the gradient of the explained logits with respect to what the first `behind` steps give."""
        outputs = passed.values[self.cut.logits]
        gradient = np.zeros((len(outputs), outputs[0].size), np.float32)
        gradient[np.arange(len(outputs)), passed.classes] = 1
        gradient = gradient.reshape(outputs.shape)
        for step in reversed(self.cut.chain.steps[behind:]):
            rule = adjoint_of(step.node)
            assert rule is not None, f"the gradient of {step.node.op_type} is known"
            x, y = passed.values[step.source], passed.values[step.output]
            gradient = rule(Local(step.node, x, y, self.cut.chain.constants), gradient)
        return gradient

    def _run(self, feed: dict[str, NDArray[np.generic]]) -> list[Array]:
        try:
            return [np.asarray(value) for value in self.session.run(self.outputs, feed)]
        except Exception as error:  # ONNX Runtime's exceptions have no common base class
            raise ModelError(
                f"{self.where}: what follows {self.cut.target.name!r} cannot be run alone ({ort.one_line(error)})"
            ) from None


def by_image(value: NDArray[np.generic], images: int) -> bool:
    """Return whether a value has one entry per image.

    A row of integers is the size of something, and further int64 values are places in a whole batch.
    """
    row = value.ndim == 1 and value.dtype.kind == "f"
    return (row or value.ndim > 1) and len(value) == images and value.dtype != np.int64


def flat(scores: NDArray[np.generic]) -> Array:
    """Return logits of any shape `(N, ...)` as float32 `(N, outputs)`."""
    return scores.reshape(len(scores), -1).astype(np.float32, copy=False)


def _pick(logits: Array, classes: NDArray[np.int64]) -> Array:
    return logits[np.arange(len(classes)), classes]


def _parts(images: int, batch: int | None) -> Sequence[slice]:
    step = batch or images
    return [slice(start, start + step) for start in range(0, images, step)]


def _rows(
    others: Mapping[str, NDArray[np.generic]], part: slice, images: int, batch: int | None
) -> dict[str, NDArray[np.generic]]:
    """Return the entries of some images; values without one entry per image go whole."""
    if batch is None:
        return dict(others)
    return {name: _filled(value[part], batch) if by_image(value, images) else value for name, value in others.items()}


def _filled(values: NDArray[np.generic], batch: int | None) -> NDArray[np.generic]:
    """Repeat the last entry until there are as many as the file takes."""
    missing = max((batch or 0) - len(values), 0)
    return np.concatenate([values, np.repeat(values[-1:], missing, axis=0)]) if missing else values
