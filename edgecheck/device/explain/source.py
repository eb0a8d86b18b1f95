"""The ONNX file as a source of evidence: one run of the file, and its tail in float32."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgecheck.attribution.evidence import Evidence, missing
from edgecheck.attribution.source import SOURCES, Answer, ExplainedSubject
from edgecheck.attribution.table import Need
from edgecheck.device.explain.ablation import Ablation
from edgecheck.device.explain.cut import Cut, cut
from edgecheck.device.explain.opening import open_wiring
from edgecheck.device.explain.rehearsal import rehearse
from edgecheck.device.explain.tail import Array, Passed, Tail, by_image, flat
from edgecheck.device.explain.target import find_target
from edgecheck.device.runtime import ort
from edgecheck.device.runtime.ort import Options
from edgecheck.device.runtime.session import Classifier, open_classifier
from edgecheck.errors import ModelError
from edgecheck.records import Diagnostic
from edgecheck.registry import register

# Largest difference of a logit between the file and its parts, relative to the size of the logits: float32 sums in
# another order, and float16 or quantized ones, whose tail computes in float32.
TOLERANCE = 1e-4
ROUNDED_TOLERANCE = 0.1
STEPS = 8  # of the quantizer of the logits, where that is more
CHANGED_CLASSES = 0.1  # a further output can keep ONNX Runtime from fusing int8 operators, which changes rounding


@register(SOURCES, "artefact")
@contextmanager
def open_artefact(subject: ExplainedSubject, example: NDArray[np.float32]) -> Iterator[ArtefactSource]:
    """Open the ONNX file of a subject, see `attribution.source.Opener`.

    Raises:
        ModelError: no file; or one that cannot be cut at the target, or whose parts give other logits than the whole.
        MeasurementError: ONNX Runtime crashes on its parts.
    """
    if subject.onnx_file is None:
        raise ModelError("heatmaps of the artefact need an ONNX file, and there is none")
    shape = (example.shape[1], example.shape[2], example.shape[3])
    rehearse(subject.onnx_file, _options(subject), shape, subject.target_layer)
    yield opened(subject, example)


def opened(subject: ExplainedSubject, example: NDArray[np.float32]) -> ArtefactSource:
    """Return the source of a subject that has a file.

    Raises:
        ModelError: as `open_artefact`.
    """
    assert subject.onnx_file is not None
    path, options = subject.onnx_file, _options(subject)
    whole = open_classifier(path, options)
    wiring = open_wiring(whole, (example.shape[1], example.shape[2], example.shape[3]))
    try:
        parts = cut(wiring, find_target(wiring, subject.target_layer), whole.signature.output)
    except ModelError as error:
        raise ModelError(f"{path}: cannot be explained: {error}") from None
    return ArtefactSource(path, whole, parts, options)


def _options(subject: ExplainedSubject) -> Options:
    return subject.runtime or Options()


class ArtefactSource:
    """Explains batches with one ONNX file, cut once at its target tensor."""

    gives: frozenset[Need]
    largest_batch: int | None = None

    def __init__(self, path: Path, whole: Classifier, parts: Cut, options: Options) -> None:
        self.path, self.whole, self.parts = path, whole, parts
        self.device = "cpu"
        always: frozenset[Need] = frozenset({"activations", "drops", "masks", "own-head", "positions"})
        # Gradients only where the tail is a chain of operators whose gradients are known.
        self.gives = always if parts.chain.without_gradient else always | {"gradients"}
        self.lacks: Mapping[Need, str] = _lacking(parts)
        self.network, self.target_layer = path.name, parts.target.name
        self.body = ort.start(path, options, parts.body.SerializeToString())
        self.tail = Tail(path, parts, options, whole.batch)
        self.ablation = Ablation(self.tail)
        self.checked = False
        self.drowned: list[float] = []  # of each image, the share of channels whose effect is below one step

    @property
    def warnings(self) -> list[Diagnostic]:
        """The quantization steps of map and logits, and the share of channels whose effect is below the latter."""
        map_scale, scale = self.parts.target.scale, self.parts.scale
        if map_scale is None and scale is None:
            return []
        return [
            Diagnostic(
                "heatmaps-quantized",
                {
                    "map": self.target_layer,
                    "map_step": map_scale.scale if map_scale else None,
                    "logit_step": scale.scale if scale else None,
                    "below": float(np.mean(self.drowned)) if self.drowned else None,
                },
                severity="note",
            )
        ]

    def answer(self, inputs: NDArray[np.float32]) -> Answer:
        """Return the logits of inputs `(N, C, H, W)`, and evidence for any of their classes.

        Raises:
            ModelError: the run failed, or the parts give other logits than the whole.
        """
        maps, others, logits = self._run(inputs)
        values = self.tail.values(maps, others)
        if not self.checked:
            self._check(inputs, logits, flat(values[self.parts.logits]))
            self.checked = True

        def evidence(classes: NDArray[np.int64]) -> Evidence:
            return self._evidence(inputs, Passed(maps, others, classes, values))

        return Answer(logits, evidence)

    def _run(self, inputs: NDArray[np.float32]) -> tuple[Array, dict[str, NDArray[np.generic]], Array]:
        """Return the real maps, what crosses, and the logits of the file."""
        names = [self.parts.target.tensor, self.parts.logits, *(value.name for value in self.parts.crossing)]
        step = self.whole.batch or len(inputs)
        chunks = [
            ort.run(self.path, self.body, names, self.whole.feed(inputs[start : start + step]), ModelError)
            for start in range(0, len(inputs), step)
        ]
        maps, logits, *others = [
            self._joined(name, given, len(inputs)) for name, given in zip(names, zip(*chunks, strict=True), strict=True)
        ]
        crossing = {value.name: value.real(given) for value, given in zip(self.parts.crossing, others, strict=True)}
        scale = self.parts.integers
        return self.parts.target.channels_first(maps), crossing, flat(scale.real(logits) if scale else logits)

    def _joined(self, name: str, given: Sequence[NDArray[np.generic]], images: int) -> NDArray[np.generic]:
        """Return the entries of all chunks; what has no entry per image, such as a size, is the same in each."""
        if by_image(given[0], self.whole.batch or images):
            return np.concatenate(given)[:images]
        if any(not np.array_equal(given[0], other) for other in given[1:]):
            raise ModelError(f"{self.path}: {name!r}, which bypasses {self.target_layer!r}, differs between batches")
        return given[0]

    def _evidence(self, inputs: NDArray[np.float32], passed: Passed) -> Evidence:
        tail, parts = self.tail, self.parts
        outputs = flat(passed.values[parts.logits])
        gradient = cache(lambda: parts.target.ordered(tail.gradient(passed)))  # serves all methods
        return Evidence(
            passed.maps,
            outputs[np.arange(len(outputs)), passed.classes],
            (inputs.shape[2], inputs.shape[3]),
            gradients=missing("gradients") if parts.chain.without_gradient else gradient,
            drops=lambda: self._drops(passed),
            score=lambda masks: self._score(inputs, masks, passed.classes),
            head=lambda maps: tail.explained(passed, maps),
            positions=lambda: self.ablation.positions(passed),
        )

    def _drops(self, passed: Passed) -> Array:
        drops = self.ablation.drops(passed)
        if self.parts.scale:
            self.drowned.extend((np.abs(drops) < self.parts.scale.scale).mean(axis=1).tolist())
        return drops

    def _score(self, inputs: NDArray[np.float32], masks: Array, classes: NDArray[np.int64]) -> Array:
        """Return the explained logits `(N, C)` of the inputs times each of the masks `(N, C, H, W)`."""
        columns = []
        for place in range(masks.shape[1]):
            maps, others, _ = self._run(inputs * masks[:, place, None])
            columns.append(self.tail.logits(maps, others)[np.arange(len(classes)), classes])
        return np.stack(columns, axis=1)

    def _check(self, inputs: NDArray[np.float32], logits: Array, of_the_tail: Array) -> None:
        """Compare the parts with the whole on the first batch.

        Raises:
            ModelError: they give other logits, or another class for more than a tenth of the images.
        """
        scale, rounded = self.parts.scale, self.parts.rounded
        largest = max(1.0, float(np.abs(logits).max(initial=0)))
        allowed = (ROUNDED_TOLERANCE if rounded else TOLERANCE) * largest
        # The quantizer of the logits limits them; the tail does not.
        limited = np.clip(of_the_tail, *scale.range) if scale else of_the_tail
        apart = float(np.abs(limited - logits).max(initial=0))
        if not apart <= max(allowed, STEPS * scale.scale if scale else 0):
            raise ModelError(
                f"{self.path}: cut at {self.target_layer!r}, it gives other logits than whole (up to {apart:.2g}): "
                "name another tensor (explain.target_layer)"
            )
        self._check_alone(inputs, logits, allowed)
        self._check_classes(inputs[: self.whole.batch or len(inputs)])

    def _check_alone(self, inputs: NDArray[np.float32], logits: Array, allowed: float) -> None:
        """Refuse a file that mixes images: maps are computed from copies of one image, changed in one place each."""
        alone = self._run(inputs[:1])[2]
        apart = float(np.abs(alone - logits[:1]).max(initial=0))
        if not apart <= allowed:
            raise ModelError(
                f"{self.path}: its logits for an image depend on the other images in the batch (up to {apart:.2g}), so "
                "no image has a heatmap of its own: export it in inference mode"
            )

    def _check_classes(self, inputs: NDArray[np.float32]) -> None:
        """Refuse a body that predicts other classes than the file: it is fused in another way."""
        name = self.whole.signature.output
        cut = flat(ort.run(self.path, self.body, [name], self.whole.feed(inputs), ModelError)[0])[: len(inputs)]
        changed = int((self.whole.run(inputs).argmax(axis=1) != cut.argmax(axis=1)).sum())
        if changed > max(1, CHANGED_CLASSES * len(inputs)):
            raise ModelError(
                f"{self.path}: with its feature map as a further output, it predicts another class for {changed} of "
                f"{len(inputs)} images: its graph cannot be cut at {self.target_layer!r}"
            )


def _lacking(parts: Cut) -> dict[Need, str]:
    """Return why there are no gradients, where there are none."""
    why = parts.chain.without_gradient
    return {"gradients": f"behind {parts.target.name!r}, {why}"} if why else {}
