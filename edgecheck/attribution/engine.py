"""Computes maps from a source and images: one answer per batch, and every method on its evidence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from edgecheck.attribution.evidence import Array, Evidence
from edgecheck.attribution.explanation import Collected, Explanation, float32, pointless
from edgecheck.attribution.methods import MapFunction, function_of
from edgecheck.attribution.source import Answer, MapSource
from edgecheck.attribution.table import METHODS, satisfied_by
from edgecheck.config.plan import Preprocessing
from edgecheck.errors import ModelError
from edgecheck.foreign import blamed
from edgecheck.images import ImageSet, preprocess
from edgecheck.progress import Progress, Silent
from edgecheck.registry import lookup
from edgecheck.score.selection import selected

BATCH_SIZE = 32  # large enough to keep the cores busy, small enough for 224 px feature maps in memory

Classes = NDArray[np.int64]


def explain(
    source: MapSource,
    data: ImageSet,
    how: Preprocessing,
    methods: Sequence[str],
    classes: Classes | None = None,
    progress: Progress | None = None,
) -> Explanation:
    """Return the maps of all images under each method.

    If the data selects outputs of the network (`data.selection`), only these can be predicted, and the returned logits
    and classes are those of the data's classes. The explained output is the network's output for such a class.

    Args:
        source: the network to explain.
        data: the images, at the size that the network takes.
        how: the preprocessing.
        methods: names in `table.METHODS`; none for logits alone.
        classes: the class to explain per image `(N,)`; None for the network's own arg-max.
        progress: receives the batches.

    Raises:
        ConfigError: unknown method.
        DataError: an output is selected that the network does not have.
        ModelError: a method needs what the source cannot give; classes that the network does not have; a network that
            fails on the images or gives logits that are not finite.
    """
    require_needs(source, methods)
    outputs = _Outputs(source.network, data, classes)
    collected: Collected | None = None
    with blamed(f"{source.network} cannot be explained"):
        for batch, inputs in _batches(source, data, how, progress or Silent()):
            answer = source.answer(inputs)
            logits = float32(answer.logits)
            collected = collected or Collected(len(data), outputs.checked(logits.shape[1]))
            explained = outputs.to_explain(batch, logits)
            collected.put(batch, maps_of(answer, explained, methods), logits, explained)
    assert collected is not None  # an ImageSet holds at least one image
    warnings = [*source.warnings, *collected.checked(), *pointless(collected.maps.values(), source.target_layer)]
    return Explanation(collected.maps, *outputs.of_the_data(collected), source.target_layer, warnings)


def maps_of(answer: Answer, classes: Classes, methods: Sequence[str]) -> dict[str, Array]:
    """Return the maps of one batch under each method, in the namespace of the source.

    Args:
        answer: the answer of the source for the batch.
        classes: the output to explain of each image, int64 `(N,)`.
        methods: names in `table.METHODS`.

    Raises:
        ConfigError: unknown method.
        ModelError: the source cannot give what a method needs, or a method gives no map per image.
    """
    functions = {name: function_of(name) for name in methods}
    if not functions:
        return {}
    evidence = answer.evidence(classes)
    return {name: _maps(name, function, evidence, len(classes)) for name, function in functions.items()}


def _maps(name: str, function: MapFunction, evidence: Evidence, images: int) -> Array:
    with blamed(f"method {name} fails"):
        stack = function(evidence)
        shape = tuple(stack.shape)
    if len(shape) != 3 or shape[0] != images or 0 in shape:
        raise ModelError(f"method {name} gives maps of shape {shape} for {images} images, not (N, h, w)")
    return stack


def refused(source: MapSource, methods: Sequence[str]) -> dict[str, str]:
    """Return the methods that need what a source cannot give, each with the reason and methods that work.

    Raises:
        ConfigError: unknown method.
    """
    reasons = {}
    for name in methods:
        method = lookup(METHODS, name, "CAM method")
        if lacking := sorted(method.needs - source.gives):
            others = ", ".join(satisfied_by(source.gives)) or "none"
            because = next((f" ({why})" for need in lacking if (why := source.lacks.get(need))), "")
            reasons[name] = (
                f"{method.title} needs {' and '.join(lacking)}, which the map source of {source.network} cannot give"
                f"{because}; methods that work with it (explain.methods): {others}"
            )
    return reasons


def require_needs(source: MapSource, methods: Sequence[str]) -> None:
    """Refuse methods that need what a source cannot give.

    Raises:
        ConfigError: unknown method.
        ModelError: the source lacks something; the message names methods that work.
    """
    for reason in refused(source, methods).values():
        raise ModelError(reason)


@frozen(eq=False)
class _Outputs:
    """Which output of the network is explained for each image."""

    network: str
    data: ImageSet
    classes: Classes | None

    def checked(self, outputs: int) -> int:
        """Return the number of outputs, once all classes are known to be among them."""
        if self.data.selection:
            self.data.selection.check(self.network, outputs)
        if self._wanted is not None:
            self._check_classes(self._wanted, outputs)
        return outputs

    def to_explain(self, batch: slice, logits: NDArray[np.float32]) -> Classes:
        """Return the output to explain of each image of a batch, `(N,)`."""
        if self._wanted is not None:
            return self._wanted[batch]
        selection = self.data.selection
        if selection is None:
            return logits.argmax(axis=1)
        candidates = np.array(selection.outputs, dtype=np.int64)
        return candidates[logits[:, candidates].argmax(axis=1)]

    def of_the_data(self, collected: Collected) -> tuple[NDArray[np.float32], Classes]:
        """Return logits and explained classes as those of the data's classes."""
        selection = self.data.selection
        if selection is None:
            return collected.logits, collected.classes
        return selected(collected.logits, selection), selection.places(collected.classes)

    @property
    def _wanted(self) -> Classes | None:
        if self.classes is None or self.data.selection is None:
            return self.classes
        return self.data.selection.numbers(self.classes)

    def _check_classes(self, wanted: Classes, outputs: int) -> None:
        if np.shape(wanted) != (len(self.data),):
            raise ModelError(
                f"the classes to explain have shape {np.shape(wanted)}, but there are {len(self.data)} images: "
                "give one class per image"
            )
        if np.max(wanted) >= outputs:
            raise ModelError(
                f"class {np.max(wanted)} is to be explained, but {self.network} has only {outputs} classes"
            )
        if np.min(wanted) < 0:
            raise ModelError(f"class {np.min(wanted)} is to be explained: classes count from 0")


def _batches(
    source: MapSource, data: ImageSet, how: Preprocessing, progress: Progress
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Yield each batch with its inputs; the next one is read and preprocessed while the caller works on this one."""
    batches = batch_slices(len(data), min(BATCH_SIZE, source.largest_batch or BATCH_SIZE))
    with ThreadPoolExecutor(max_workers=1) as reader:
        coming = [reader.submit(_inputs, data, how, batches[0])]
        for place, batch in enumerate(
            progress.track(batches, "explaining", len(data), lambda batch: batch.stop - batch.start)
        ):
            if place + 1 < len(batches):
                coming.append(reader.submit(_inputs, data, how, batches[place + 1]))
            yield batch, coming.pop(0).result()


def _inputs(data: ImageSet, how: Preprocessing, batch: slice) -> NDArray[np.float32]:
    return preprocess(data.images[batch], how)


def batch_slices(images: int, size: int) -> list[slice]:
    """Return the batches; a single image left over joins the last, since some networks cannot take one image."""
    starts = list(range(0, images, size))
    if len(starts) > 1 and size > 1 and images - starts[-1] == 1:
        starts.pop()
    return [slice(start, end) for start, end in zip(starts, [*starts[1:], images], strict=True)]
