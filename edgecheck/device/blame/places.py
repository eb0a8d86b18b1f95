"""Where a pair of layers lies in both graphs: the tensors that are compared, and the nodes between them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from attrs import frozen

from edgecheck.device.blame.layers import affine_in, bounds, chain, source
from edgecheck.device.blame.matching import Pair
from edgecheck.device.explain.scales import Scale, scale_of
from edgecheck.device.explain.wiring import Wiring, makers, wire
from edgecheck.device.model.shapes import open_graph, reads
from edgecheck.device.runtime.ort import Options
from edgecheck.device.runtime.session import Classifier, open_classifier
from edgecheck.errors import ModelError

MOST_AFFINE = 3  # after a float layer: a bias, and a BatchNormalization in two steps


@frozen(eq=False)
class OpenFile:
    """An ONNX file with its connections and a session."""

    path: Path
    wiring: Wiring
    classifier: Classifier

    @property
    def outputs(self) -> list[str]:
        """The names of the outputs of its graph."""
        return [value.name for value in self.wiring.graph.model.graph.output]


@frozen(eq=False)
class Side:
    """A layer in one file: it reads a tensor and gives one, by these nodes; None as scale: they are real numbers."""

    nodes: Sequence[onnx.NodeProto]
    reads: str
    gives: str
    reads_scale: Scale | None = None
    gives_scale: Scale | None = None


@frozen(eq=False)
class Place:
    """A pair of layers in both graphs.

    The two give the same tensor, one of them rounded. `low` and `high` are the bounds of the activation behind the
    float layer, which a quantizer may have taken over.
    """

    pair: Pair
    baseline: Side
    candidate: Side
    low: float
    high: float

    def activated(self, values: np.ndarray) -> np.ndarray:
        """Return what a layer gives, within the bounds of the activation."""
        return np.clip(values, self.low, self.high) if np.isfinite([self.low, self.high]).any() else values


def open_file(path: Path, size: tuple[int, int, int], options: Options) -> OpenFile:
    """Return a file with its connections; `size` is channels, height, width of an image.

    Raises:
        ModelError: as `session.open_classifier` and `shapes.open_graph`.
    """
    classifier = open_classifier(path, options)
    signature = classifier.signature
    wiring = wire(open_graph(path, size), signature.input, signature.layout, signature.output)
    return OpenFile(path, wiring, classifier)


def place(baseline: OpenFile, candidate: OpenFile, pair: Pair) -> Place:
    """Return where a pair of layers lies.

    Raises:
        ModelError: the tensors there cannot be compared.
    """
    nodes = chain(baseline.wiring, pair.baseline, MOST_AFFINE, baseline.outputs)
    here = Side(nodes, pair.baseline.node.input[pair.baseline.data], nodes[-1].output[0])
    other = chain(candidate.wiring, pair.candidate, affine_in(nodes), candidate.outputs)
    given, taken = other[-1].output[0], source(candidate.wiring, pair.candidate)
    scales = (scale_of(candidate.wiring, taken), scale_of(candidate.wiring, given))
    there = Side(other, taken, given, *scales)
    for theirs, mine in ((there.reads, here.reads), (there.gives, here.gives)):
        _check_shapes(baseline, mine, candidate, theirs)
    between(candidate.wiring, taken, given)
    return Place(pair, here, there, *bounds(baseline.wiring, nodes))


def _check_shapes(baseline: OpenFile, mine: str, candidate: OpenFile, theirs: str) -> None:
    shapes = [
        file.wiring.graph.tensors[name].shape[1:] if name in file.wiring.graph.tensors else None
        for file, name in ((baseline, mine), (candidate, theirs))
    ]
    if None not in shapes and shapes[0] != shapes[1]:
        sizes = ["x".join(map(str, shape or ())) or "a number" for shape in shapes]
        raise ModelError(f"its tensor {mine!r} is {sizes[0]}, but {theirs!r} of the candidate is {sizes[1]}")


def between(wiring: Wiring, start: str, end: str) -> list[onnx.NodeProto]:
    """Return the nodes that make `end` from `start`, in the order of execution, with those that compute constants.

    Raises:
        ModelError: `end` also depends on something else.
    """
    chosen = makers([node for node in wiring.graph.nodes if start not in node.output], [end])
    needed = {end}.union(*map(reads, chosen))
    made = {name for node in chosen for name in node.output} | wiring.constants | {start}
    if missing := sorted(needed - made):
        raise ModelError(f"it also depends on {missing[0]!r}, not only on its input {start!r}")
    return chosen
